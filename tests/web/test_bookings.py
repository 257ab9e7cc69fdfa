"""Visits on the web: each action, each refusal with nothing stored, replays, and who may do what."""

import datetime as dt
import json
import re
import uuid
from contextlib import contextmanager
from html import unescape

import pytest
import time_machine
from sqlalchemy import event, func, select

from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Branch, Customer, CustomerTreatment, Invoice
from spa_app.services import bookings, payments
from spa_app.services.bookings import ItemRequest
from spa_app.web.times import format_local
from tests.factories import (
    actor_of,
    local_at,
    login,
    make_booking,
    make_branch,
    make_card,
    make_customer,
    make_staff,
    make_user,
    tomorrow_at,
)

HTMX = {"HX-Request": "true", "HX-Target": "panel", "HX-Current-URL": "http://localhost/calendar?date=2030-01-01&new=1"}
ZONE = "Asia/Ho_Chi_Minh"
STEPS = ("confirm", "arrive", "start", "complete", "no-show", "undo-complete", "undo-cancel", "cancel", "move")


def counts():
    """The number of rows in every table."""
    db.session.rollback()
    return {
        table.name: db.session.execute(select(func.count()).select_from(table)).scalar_one()
        for table in db.metadata.sorted_tables
    }


@contextmanager
def nothing_stored():
    before = counts()
    yield
    assert counts() == before


def get(entity, id_):
    db.session.expire_all()
    return db.session.get_one(entity, id_)


def post(client, url, headers=None, *, key=None, **fields):
    fields = {name.replace("__", "-"): value for name, value in fields.items() if value is not None}
    return client.post(url, data={"idempotency_key": key or str(uuid.uuid4()), **fields}, headers=headers)


def visit_fields(spa, **changes):
    fields = {
        "customer_id": spa.customer,
        "starts_at": format_local(tomorrow_at(spa.branch, "10:00"), ZONE),
        "items-0-service_id": spa.facial,
        "items-0-staff_id": "",
        "items-0-resource_id": "",
        "items-0-treatment_id": "",
        "note": "",
    }
    return {**fields, **changes}


def text_of(answer):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


def error_at(answer, id_):
    """What stands at a field as its error."""
    found = re.search(rf'id="{re.escape(id_)}-error">.*?<span>(.*?)</span>', answer.text, re.S)
    assert found, f"no error at {id_}: {text_of(answer)[:600]}"
    return unescape(found[1])


@pytest.fixture
def desk(client, spa):
    login(client, "reception")
    return client


# Booking


def test_a_visit_is_booked_and_shown(desk, spa):
    answer = post(desk, "/bookings", **visit_fields(spa, note="quiet room"))
    booking = db.session.execute(select(Booking)).scalar_one()
    assert (answer.status_code, answer.location) == (303, f"/bookings/{booking.id}")
    assert (booking.status, booking.starts_at, booking.note) == (
        "confirmed",
        tomorrow_at(spa.branch, "10:00"),
        "quiet room",
    )
    page = desk.get(answer.location)
    assert page.status_code == 200
    assert "Lê Thị Mai" in page.text
    assert "₫450,000" in page.text


def test_several_services_follow_one_another_and_gaps_in_the_numbers_do_not_matter(desk, spa):
    fields = visit_fields(spa, **{"items-4-service_id": spa.consultation, "items-4-staff_id": spa.therapists[1]})
    assert post(desk, "/bookings", **fields).status_code == 303
    items = db.session.execute(select(BookingItem).order_by(BookingItem.position)).scalars().all()
    assert [item.service_id for item in items] == [spa.facial, spa.consultation]
    assert items[1].staff_id == spa.therapists[1]
    assert items[1].starts_at >= items[0].ends_at


def test_a_tentative_visit_is_pending(desk, spa):
    post(desk, "/bookings", **visit_fields(spa, tentative="y"))
    assert db.session.execute(select(Booking.status)).scalar_one() == "pending"


def test_booking_beside_the_calendar_answers_with_the_panel(desk, spa):
    answer = post(desk, "/bookings", HTMX, **visit_fields(spa))
    booking = db.session.execute(select(Booking.id)).scalar_one()
    assert answer.status_code == 200
    assert answer.headers["HX-Push-Url"] == f"/calendar?date=2030-01-01&booking={booking}"
    assert "bookings-changed" in json.loads(answer.headers["HX-Trigger"])
    assert f'id="visit-{booking}"' in answer.text
    assert "<html" not in answer.text


def test_a_new_customer_is_added_with_the_visit_or_not_at_all(desk, spa):
    fields = visit_fields(spa, customer_id="", full_name="Trần An", phone="0987 654 321")
    with nothing_stored():
        refused = post(desk, "/bookings", **{**fields, "items-0-staff_id": spa.other_therapist})
        assert refused.status_code == 422
    assert post(desk, "/bookings", **fields).status_code == 303
    customer = db.session.execute(select(Customer).where(Customer.full_name == "Trần An")).scalar_one()
    assert customer.phone == "+84987654321"
    assert db.session.execute(select(Booking.customer_id)).scalar_one() == customer.id


def test_a_phone_that_somebody_has_is_shared_only_when_the_desk_says_so(desk, spa):
    make_customer("Trần Ba", "+84987654321")
    fields = visit_fields(spa, customer_id="", full_name="Trần An", phone="0987654321")
    with nothing_stored():
        refused = post(desk, "/bookings", **fields)
    assert refused.status_code == 409
    assert "Trần Ba already has this phone number." in error_at(refused, "phone")
    assert 'value="share-phone"' in refused.text
    assert post(desk, "/bookings", **fields, shares_phone="y").status_code == 303


# Refusals of a booking


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"starts_at": "tomorrow"}, "starts_at"),
        ({"starts_at": "2026-02-30T10:00"}, "starts_at"),
        ({"starts_at": "0001-01-01T00:00"}, "starts_at"),
        ({"starts_at": "9999-12-31T23:59"}, "starts_at"),
        ({"starts_at": ""}, "starts_at"),
        ({"items-0-service_id": "x"}, "items-0-service_id"),
        ({"items-0-service_id": ""}, "items-0-service_id"),
        ({"items-0-service_id": "99999999999999999999"}, "items-0-service_id"),
        ({"items-0-service_id": "9223372036854775807"}, "items-0-service_id"),
        ({"items-0-service_id": "-1"}, "items-0-service_id"),
        ({"items-0-service_id": "²"}, "items-0-service_id"),
        ({"items-0-staff_id": "1 or 1=1"}, "items-0-staff_id"),
        ({"items-0-treatment_id": "x"}, "items-0-treatment_id"),
        ({"items-0-treatment_id": "987654321"}, "items-0-treatment_id"),
        ({"customer_id": "x"}, "customer_q"),
        ({"customer_id": ""}, "customer_q"),
        ({"customer_id": "987654321"}, "customer_q"),
        ({"customer_id": "", "full_name": "a\u202eb", "phone": ""}, "full_name"),
        ({"customer_id": "", "full_name": "An", "phone": "12"}, "phone"),
        ({"note": "x" * 2001}, "note"),
    ],
)
def test_what_cannot_be_right_is_refused_at_its_field(desk, spa, changes, field):
    with nothing_stored():
        answer = post(desk, "/bookings", **visit_fields(spa, **changes))
    assert answer.status_code == 422
    assert error_at(answer, field)


def test_a_time_that_the_clocks_skip_is_refused(app, client, spa):
    branch = make_branch(timezone="Europe/Berlin")
    make_staff(branch, [spa.consultation])
    make_user("receptionist", [branch], username="berlin")
    with time_machine.travel("2027-03-01T10:00:00+01:00", tick=False), nothing_stored():
        login(client, "berlin")
        answer = post(
            client,
            "/bookings",
            **visit_fields(spa, **{"starts_at": "2027-03-28T02:30", "items-0-service_id": spa.consultation}),
        )
    assert answer.status_code == 422
    assert "clocks skip this time" in error_at(answer, "starts_at")


def test_what_is_too_large_or_holds_nul_is_refused(desk, spa):
    with nothing_stored():
        assert post(desk, "/bookings", **visit_fields(spa, note="x" * 1_000_000)).status_code in (413, 422)
        assert post(desk, "/bookings", **visit_fields(spa, note="a\0b")).status_code == 400
        many = {f"items-{n}-service_id": spa.consultation for n in range(400)}
        assert post(desk, "/bookings", **visit_fields(spa, **many)).status_code == 422
        assert (
            post(desk, "/bookings", **visit_fields(spa, **{"items-²-service_id": "1"}, starts_at="")).status_code == 422
        )


def test_outside_opening_hours_is_refused_at_the_time(desk, spa):
    late = format_local(tomorrow_at(spa.branch, "20:30"), ZONE)
    with nothing_stored():
        answer = post(desk, "/bookings", **visit_fields(spa, starts_at=late))
    assert answer.status_code == 422
    assert "is closed at that time" in error_at(answer, "starts_at")


def test_a_therapist_of_another_branch_is_refused_at_the_field(desk, spa):
    with nothing_stored():
        answer = post(desk, "/bookings", **visit_fields(spa, **{"items-0-staff_id": spa.other_therapist}))
    assert answer.status_code == 422
    assert error_at(answer, "items-0-staff_id") == "This therapist does not perform Basic Facial here."


def test_an_overlap_names_the_busy_time_and_offers_the_next_free_ones(desk, spa):
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.manager)
    fields = visit_fields(spa, note="as typed", **{"items-0-staff_id": spa.therapists[0]})
    with nothing_stored():
        answer = post(desk, "/bookings", **fields)
    assert answer.status_code == 409
    assert error_at(answer, "starts_at").startswith("The therapist is busy from 10:00 to 11:10. Next free: 11:15")
    assert "as typed" in answer.text
    day = format_local(tomorrow_at(spa.branch, "10:00"), ZONE)[:10]
    offered = re.findall(r'name="slot" value="([^"]+)"', answer.text)
    assert offered == [f"{day}T{time}" for time in ("11:15", "11:30", "11:45", "12:00", "12:15")]
    taken = post(desk, "/bookings", **{**fields, "starts_at": offered[0]})
    assert taken.status_code == 303


def test_another_branch_is_not_found(desk, spa):
    with nothing_stored():
        assert post(desk, "/bookings", **visit_fields(spa, branch_id=spa.other_branch)).status_code == 404
        assert desk.get(f"/bookings/new?branch_id={spa.other_branch}").status_code == 404


# Cards


def test_a_card_holds_its_session_and_the_page_says_what_is_left(desk, spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    answer = post(desk, "/bookings", **visit_fields(spa, **{"items-0-treatment_id": card}))
    assert answer.status_code == 303
    assert get(CustomerTreatment, card).held_sessions == 1
    page = desk.get(answer.location)
    assert "One reserved for this visit, 9 left after it" in text_of(page)
    assert page.text.count("session--free") == 9


def freeze(card, spa):
    get(CustomerTreatment, card).frozen_on = local_at(spa.branch, "00:00").date()
    db.session.commit()


def refused_card(spa, case):
    make = {"branch_id": spa.branch}
    if case == "other":
        return make_card(make_customer(), spa.facial, **make)
    if case == "service":
        return make_card(spa.customer, spa.massage, **make)
    if case == "expired":
        return make_card(spa.customer, spa.facial, expiry_date=local_at(spa.branch, "12:00").date(), **make)
    card = make_card(spa.customer, spa.facial, sessions=1, **make)
    if case == "used up":
        make_booking(spa, starts_at=tomorrow_at(spa.branch, "15:00"), card=card, actor=spa.manager)
    if case == "frozen":
        freeze(card, spa)
    if case == "cancelled":
        get(CustomerTreatment, card).cancelled_at = local_at(spa.branch, "00:00")
        db.session.commit()
    return card


@pytest.mark.parametrize(
    ("case", "message", "way"),
    [
        ("other", "belongs to another customer", "Choose another card"),
        ("service", "does not cover Basic Facial", "Sell a package"),
        ("expired", "which is before this visit", "Ask a manager to extend the card"),
        ("used up", "has no session left: of 1, 0 used and 1 reserved", "Sell a package"),
        ("frozen", "has been frozen since", "Unfreeze the card"),
        ("cancelled", "is cancelled", "Choose another card"),
    ],
)
def test_a_card_that_cannot_pay_says_why_and_names_the_way_out(desk, spa, case, message, way):
    card = refused_card(spa, case)
    fields = visit_fields(spa, **{"items-0-treatment_id": card})
    with nothing_stored():
        answer = post(desk, "/bookings", **fields)
    assert answer.status_code == 422
    assert message in error_at(answer, "items-0-treatment_id")
    assert f"#{card}" in error_at(answer, "items-0-treatment_id")
    assert way in text_of(answer)
    # One way out is always there, and works: the customer pays for this visit.
    assert 'name="do"' in answer.text
    assert 'value="pay-0"' in answer.text
    again = post(desk, "/bookings/form", do="pay-0", **fields)
    assert "To pay after the visit ₫450,000" in text_of(again)


def chosen_card(answer, item=0):
    select_ = re.search(rf'<select[^>]*name="items-{item}-treatment_id".*?</select>', answer.text, re.S)
    return select_ and re.search(r'<option selected value="(\d*)"', select_[0])[1]


def test_the_card_that_expires_first_is_chosen_by_itself(desk, spa):
    day = tomorrow_at(spa.branch, "10:00").date()
    make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=5)
    soon = make_card(spa.customer, None, branch_id=spa.branch, sessions=1, expiry_date=day + dt.timedelta(days=200))
    sooner = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=4, expiry_date=day)
    make_card(spa.customer, spa.massage, branch_id=spa.branch, expiry_date=day)
    query = f"customer_id={spa.customer}&service_id={spa.facial}"
    at = format_local(tomorrow_at(spa.branch, "10:00"), ZONE)
    page = desk.get(f"/bookings/new?{query}&starts_at={at}")
    assert chosen_card(page) == str(sooner)
    assert "After this visit 3 left" in text_of(page)
    later = format_local(tomorrow_at(spa.branch, "10:00") + dt.timedelta(days=30), ZONE)
    assert chosen_card(desk.get(f"/bookings/new?{query}&starts_at={later}")) != str(sooner)
    # The second service cannot take the session that the first one takes.
    fields = visit_fields(spa, starts_at=at, **{"items-1-service_id": spa.massage, "items-2-service_id": spa.massage})
    drawn = post(desk, "/bookings/form", **fields)
    assert chosen_card(drawn, 0) == str(sooner)
    assert chosen_card(drawn, 1) not in ("", str(soon))


def test_a_choice_made_on_the_screen_stays_until_customer_or_service_change(desk, spa):
    make_card(spa.customer, spa.facial, branch_id=spa.branch)
    paid = visit_fields(spa, **{"items-0-card_for": f"{spa.customer}:{spa.facial}"})
    assert chosen_card(post(desk, "/bookings/form", **paid)) == ""
    stale = {**paid, "items-0-card_for": f"{spa.customer}:{spa.massage}"}
    assert chosen_card(post(desk, "/bookings/form", **stale)) != ""
    # The screen had no time to follow: the card is chosen when the form arrives.
    assert post(desk, "/bookings", **stale).status_code == 303
    assert db.session.execute(select(BookingItem.treatment_id)).scalar_one() is not None


# The form between two keystrokes


def test_the_form_starts_at_the_next_quarter_hour(desk, spa):
    with time_machine.travel("2027-03-01T10:07:00+07:00", tick=False):
        login(desk, "reception")
        page = desk.get("/bookings/new")
    assert page.status_code == 200
    assert 'value="2027-03-01T10:15"' in page.text


@pytest.mark.parametrize(
    "query", ["starts_at=never", "customer_id=x", "service_id=-4", "staff_id=99999999999999999999"]
)
def test_a_malformed_address_of_the_form_is_told(desk, spa, query):
    assert desk.get(f"/bookings/new?{query}").status_code == 422


def test_customers_are_found_and_chosen_without_leaving(desk, spa):
    make_customer("Lê Thị Mận")
    found = desk.get("/bookings/customers?customer_q=le+thi", headers=HTMX)
    assert f'name="customer_id" value="{spa.customer}"' in found.text
    assert "Lê Thị Mận" in found.text
    plain = desk.get("/bookings/customers?customer_q=le+thi", follow_redirects=True)
    assert "Lê Thị Mận" in plain.text
    alone = post(desk, "/bookings/form", **visit_fields(spa, customer_id=None, customer_q="mai", do="find"))
    assert f'type="hidden" name="customer_id" value="{spa.customer}"' in alone.text
    nobody = post(desk, "/bookings/form", **visit_fields(spa, customer_id=None, customer_q="0123", do="find"))
    assert re.search(r'name="phone"[^>]*value="0123"', nobody.text)


def test_services_are_added_and_removed_without_javascript(desk, spa):
    with nothing_stored():
        two = post(desk, "/bookings/form", **visit_fields(spa, note="kept", do="add-item"))
        assert 'name="items-1-service_id"' in two.text
        assert "kept" in two.text
        fields = visit_fields(spa, do="remove-0", **{"items-1-service_id": spa.massage})
        one = post(desk, "/bookings/form", **fields)
    assert 'name="items-1-service_id"' not in one.text
    assert re.search(rf'<option selected value="{spa.massage}"', one.text)


def test_a_free_time_is_taken_over(desk, spa):
    at = format_local(tomorrow_at(spa.branch, "14:30"), ZONE)
    answer = post(desk, "/bookings/form", **visit_fields(spa, slot=at))
    assert re.search(rf'name="starts_at"[^>]*value="{at}"', answer.text)
    assert re.search(rf'value="{at}"[^>]*aria-pressed="true"', answer.text)


# Acting


@pytest.mark.parametrize(
    ("before", "action", "after", "fields"),
    [
        ("pending", "confirm", "confirmed", {}),
        ("confirmed", "arrive", "confirmed", {}),
        ("confirmed", "start", "in_progress", {}),
        ("in_progress", "complete", "completed", {}),
        ("confirmed", "no-show", "no_show", {}),
        ("confirmed", "cancel", "cancelled", {"reason": "ill"}),
        ("completed", "undo-complete", "in_progress", {}),
        ("cancelled", "undo-cancel", "confirmed", {}),
        ("no_show", "undo-cancel", "confirmed", {}),
    ],
)
def test_each_action_leads_on(desk, spa, before, action, after, fields):
    booking = make_booking(spa, status=before)
    page = desk.get(f"/bookings/{booking}")
    assert f'action="/bookings/{booking}/{action}"' in page.text
    answer = post(desk, f"/bookings/{booking}/{action}", **fields)
    assert (answer.status_code, answer.location) == (303, f"/bookings/{booking}")
    assert get(Booking, booking).status == after


@pytest.mark.parametrize(
    ("before", "action", "undo"),
    [
        ("in_progress", "complete", "undo-complete"),
        ("confirmed", "no-show", "undo-cancel"),
        ("confirmed", "cancel", "undo-cancel"),
        ("confirmed", "arrive", None),
    ],
)
def test_beside_the_calendar_an_action_answers_with_the_panel_and_an_undo(desk, spa, before, action, undo):
    booking = make_booking(spa, status=before)
    answer = post(desk, f"/bookings/{booking}/{action}", HTMX, reason="ill")
    assert answer.status_code == 200
    assert "bookings-changed" in json.loads(answer.headers["HX-Trigger"])
    toast = answer.text[answer.text.index('hx-swap-oob="beforeend:#toasts"') :]
    assert (f'action="/bookings/{booking}/{undo}"' in toast) == (undo is not None)
    if undo:
        assert post(desk, f"/bookings/{booking}/{undo}", HTMX).status_code == 200
        assert get(Booking, booking).status == before


def test_only_one_button_is_the_primary_one(desk, spa):
    for status in ("pending", "confirmed", "in_progress", "completed"):
        booking = make_booking(
            spa, ItemRequest(spa.consultation, spa.therapists[0]), status=status, customer_id=make_customer()
        )
        assert desk.get(f"/bookings/{booking}").text.count("button--primary") == 1, status
        bookings.cancel(booking, reason="next", actor=spa.manager) if status != "completed" else None


@pytest.mark.parametrize("status", ["pending", "confirmed", "in_progress", "completed", "cancelled", "no_show"])
def test_an_action_from_the_wrong_state_names_the_present_one(desk, spa, status):
    booking = make_booking(spa, status=status)
    words = {"in_progress": "in progress", "no_show": "no-show", "pending": "tentative"}
    allowed = set(re.findall(rf'action="/bookings/{booking}/([a-z-]+)"', desk.get(f"/bookings/{booking}").text))
    at = format_local(tomorrow_at(spa.branch, "10:00"), ZONE)
    for action in set(STEPS) - allowed:
        for headers in (None, HTMX):
            with nothing_stored():
                answer = post(desk, f"/bookings/{booking}/{action}", headers, reason="why", starts_at=at)
            assert answer.status_code == 409, action
            assert f"This visit is {words.get(status, status)}, so that is not possible" in text_of(answer)
            assert f'data-status="{status}"' in answer.text


def test_cancelling_needs_a_reason(desk, spa):
    booking = make_booking(spa)
    for reason in ("", "   ", "x" * 501):
        with nothing_stored():
            answer = post(desk, f"/bookings/{booking}/cancel", reason=reason)
        assert answer.status_code == 422
        assert error_at(answer, "cancel-reason")


def test_a_visit_of_tomorrow_cannot_be_started(desk, spa):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    assert f"/bookings/{booking}/start" not in desk.get(f"/bookings/{booking}").text
    for action in ("start", "arrive", "no-show"):
        with nothing_stored():
            assert post(desk, f"/bookings/{booking}/{action}").status_code == 409


def test_completing_shows_the_invoice_with_taking_payment_first(desk, spa):
    booking = make_booking(spa, status="in_progress")
    answer = post(desk, f"/bookings/{booking}/complete")
    assert answer.status_code == 303
    invoice = db.session.execute(select(Invoice.id).where(Invoice.booking_id == booking)).scalar_one()
    page = desk.get(answer.location)
    assert re.search(rf'class="button button--primary" href="/invoices/{invoice}"', page.text)
    assert "Left to pay ₫450,000" in text_of(page)


def test_a_card_stopped_meanwhile_is_told_at_completion_and_nothing_is_half_done(desk, spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = make_booking(spa, status="in_progress", card=card)
    freeze(card, spa)
    with nothing_stored():
        answer = post(desk, f"/bookings/{booking}/complete", HTMX)
    assert answer.status_code == 409
    assert "has been frozen since" in text_of(answer)
    assert f'href="/customers/{spa.customer}"' in answer.text
    assert get(Booking, booking).status == "in_progress"


def test_undoing_a_paid_completion_needs_a_manager(desk, client, spa):
    booking = make_booking(spa, status="completed")
    invoice = db.session.execute(select(Invoice).where(Invoice.booking_id == booking)).scalar_one()
    payments.take_payment(invoice.id, method="cash", amount=invoice.total_amount, actor=spa.receptionist)
    assert "undo-complete" not in desk.get(f"/bookings/{booking}").text
    with nothing_stored():
        assert post(desk, f"/bookings/{booking}/undo-complete").status_code == 403
    login(client, "manager")
    assert post(client, f"/bookings/{booking}/undo-complete").status_code == 303
    page = client.get(f"/bookings/{booking}")
    assert "Credit note" in page.text
    assert "Credited" in page.text


# Moving


def test_a_visit_moves_and_the_move_can_be_undone(desk, spa):
    old, new = tomorrow_at(spa.branch, "10:00"), tomorrow_at(spa.branch, "15:30")
    booking = make_booking(spa, starts_at=old)
    version = get(Booking, booking).version
    fields = {"starts_at": format_local(new, ZONE), "staff_id": spa.therapists[1], "resource_id": spa.rooms[1]}
    answer = post(desk, f"/bookings/{booking}/move", HTMX, version=version, **fields)
    assert answer.status_code == 200
    assert get(Booking, booking).starts_at == new
    undo = answer.text[answer.text.index("data-toast") :]
    back = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', undo))
    assert desk.post(f"/bookings/{booking}/move", data=back).status_code == 303
    item = db.session.execute(select(BookingItem)).scalar_one()
    assert (get(Booking, booking).starts_at, item.staff_id) == (old, spa.therapists[0])


def test_a_move_onto_a_busy_time_keeps_what_was_typed_and_offers_others(desk, spa):
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "14:00"), customer_id=make_customer())
    at = format_local(tomorrow_at(spa.branch, "10:30"), ZONE)
    with nothing_stored():
        answer = post(desk, f"/bookings/{booking}/move", starts_at=at, staff_id=spa.therapists[0])
    assert answer.status_code == 409
    assert "busy from 10:00 to 11:10" in error_at(answer, "move-starts_at")
    assert f'value="{at}"' in answer.text
    assert f'name="starts_at" value="{at[:11]}11:15"' in answer.text


def test_a_move_from_a_stale_screen_is_refused_and_shows_the_fresh_truth(desk, spa):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    version = get(Booking, booking).version
    moved = tomorrow_at(spa.branch, "12:00")
    bookings.move(booking, starts_at=moved, actor=spa.manager)
    at = format_local(tomorrow_at(spa.branch, "16:00"), ZONE)
    with nothing_stored():
        answer = post(desk, f"/bookings/{booking}/move", starts_at=at, version=version)
    assert answer.status_code == 409
    assert "Somebody else has just changed this visit" in text_of(answer)
    assert f'value="{format_local(moved, ZONE)}"' in answer.text


@pytest.mark.parametrize("fields", [{"starts_at": "soon"}, {"starts_at": ""}, {"staff_id": "x"}, {"version": "x"}])
def test_a_malformed_move_is_refused_at_its_field(desk, spa, fields):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    at = format_local(tomorrow_at(spa.branch, "12:00"), ZONE)
    with nothing_stored():
        answer = post(desk, f"/bookings/{booking}/move", **{"starts_at": at, **fields})
    assert answer.status_code == 422


# Once only


def test_a_replay_answers_like_the_first_and_books_once(desk, spa):
    key = str(uuid.uuid4())
    first = post(desk, "/bookings", key=key, **visit_fields(spa))
    with nothing_stored():
        again = post(desk, "/bookings", key=key, **visit_fields(spa))
    assert (again.status_code, again.location) == (303, first.location)
    with nothing_stored():
        other = post(desk, "/bookings", key=key, **visit_fields(spa, note="another"))
    assert other.status_code == 409
    assert "already been used" in text_of(other)


def test_a_replayed_action_answers_like_the_first(desk, spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = make_booking(spa, status="in_progress", card=card)
    key = str(uuid.uuid4())
    assert post(desk, f"/bookings/{booking}/complete", key=key).status_code == 303
    with nothing_stored():
        assert post(desk, f"/bookings/{booking}/complete", key=key).status_code == 303
        assert post(desk, f"/bookings/{booking}/complete").status_code == 409
        assert post(desk, f"/bookings/{booking}/undo-complete", key=key).status_code == 409
    assert get(CustomerTreatment, card).used_sessions == 1


def test_a_form_without_its_key_is_refused(desk, spa):
    booking = make_booking(spa)
    with nothing_stored():
        assert desk.post("/bookings", data=visit_fields(spa)).status_code == 422
        assert desk.post(f"/bookings/{booking}/start").status_code == 422
        assert desk.post(f"/bookings/{booking}/start", data={"idempotency_key": "x"}).status_code == 422


# Who


def test_what_is_not_there_or_elsewhere_is_not_found(desk, client, spa):
    booking = make_booking(spa)
    at = format_local(tomorrow_at(spa.branch, "12:00"), ZONE)
    login(client, "reception7")
    for unknown in (booking, 987654321, 2**63 - 1, 2**63):
        with nothing_stored():
            assert client.get(f"/bookings/{unknown}").status_code == 404
            for action in STEPS:
                answer = post(client, f"/bookings/{unknown}/{action}", reason="why", starts_at=at)
                assert answer.status_code == 404, (unknown, action)


def test_a_therapist_sees_their_own_visits_and_writes_nothing(client, spa):
    own = make_booking(spa)
    other = make_booking(spa, ItemRequest(spa.facial, spa.therapists[1], spa.rooms[1]), customer_id=make_customer())
    login(client, "therapist")
    page = client.get(f"/bookings/{own}")
    assert page.status_code == 200
    assert "Basic Facial" in page.text
    assert f"/bookings/{own}/" not in page.text
    with nothing_stored():
        assert client.get(f"/bookings/{other}").status_code == 403
        for action in STEPS:
            assert post(client, f"/bookings/{own}/{action}").status_code == 403, action
        assert post(client, "/bookings", **visit_fields(spa)).status_code == 403
        assert post(client, "/bookings/form", **visit_fields(spa)).status_code == 403
        for address in ("/bookings/new", "/bookings/customers", "/slots"):
            assert client.get(address).status_code == 403, address


@pytest.mark.parametrize("username", ["reception", "manager", "owner"])
def test_the_desk_may_do_everything(client, spa, username):
    login(client, username)
    booking = make_booking(spa)
    branch = {"branch_id": spa.branch}
    for address in (f"/bookings/new?branch_id={spa.branch}", "/slots", f"/bookings/{booking}"):
        assert client.get(address).status_code == 200
    assert post(client, "/bookings", **visit_fields(spa, **branch)).status_code == 303
    assert post(client, f"/bookings/{booking}/start").status_code == 303


def test_nobody_comes_in_without_a_login(client, spa):
    booking = make_booking(spa)
    with nothing_stored():
        for address in ("/bookings/new", f"/bookings/{booking}", "/slots", "/bookings/customers"):
            assert client.get(address).status_code == 302
        for address in ("/bookings", "/bookings/form", *(f"/bookings/{booking}/{action}" for action in STEPS)):
            assert post(client, address).status_code == 303


# Free times


def test_free_times_as_page_partial_and_json(desk, spa):
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "08:00"))
    day = format_local(tomorrow_at(spa.branch, "08:00"), ZONE)[:10]
    query = f"/slots?service_id={spa.facial}&date={day}&staff_id={spa.therapists[0]}"
    times = [f"{day}T{time}" for time in ("09:15", "09:30", "09:45", "10:00", "10:15")]
    answer = desk.get(query, headers={"Accept": "application/json"})
    assert [slot["starts_at"] for slot in answer.json["slots"]] == times
    assert "<html" in desk.get(query).text
    partial = desk.get(query, headers=HTMX).text
    assert "<html" not in partial
    assert partial.count('class="button button--small free-time"') == 5


def test_free_times_of_today_begin_now(desk, spa):
    with time_machine.travel("2027-03-01T13:07:00+07:00", tick=False):
        login(desk, "reception")
        answer = desk.get(f"/slots?service_id={spa.facial}&date=2027-03-01", headers={"Accept": "application/json"})
    assert answer.json["slots"][0]["starts_at"] == "2027-03-01T13:15"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("service_id=x", 422),
        ("date=2027-01-01", 422),
        ("service_id={facial}&date=01/02/2027", 422),
        ("service_id={facial}&date=9999-12-31", 422),
        ("service_id={facial}&staff_id=x", 422),
        ("service_id=987654321", 404),
        ("service_id={facial}&staff_id=987654321", 200),
    ],
)
def test_malformed_questions_for_free_times(desk, spa, query, status):
    url = "/slots?" + query.format(facial=spa.facial)
    for headers in ({}, HTMX, {"Accept": "application/json"}):
        assert desk.get(url, headers=headers).status_code == status


def test_pages_take_a_bounded_number_of_statements(desk, spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    item = ItemRequest(spa.facial, spa.therapists[0], treatment_id=card)
    small = make_booking(spa, item, starts_at=tomorrow_at(spa.branch, "08:00"))
    large = make_booking(spa, *[item] * 6, starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.manager)
    seen = []

    def note(*args):
        seen.append(args[2])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        taken = []
        for booking in (small, large):
            seen.clear()
            desk.get(f"/bookings/{booking}")
            taken.append(len(seen))
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert taken[0] == taken[1] <= 9


def test_the_branch_of_the_visit_gives_the_clock(client, spa):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    berlin = make_branch(code="AB", timezone="Europe/Berlin")
    user = make_user("receptionist", [berlin, spa.branch], username="both")
    assert actor_of(user).branch_ids == {berlin, spa.branch}
    assert get(Branch, berlin).name < get(Branch, spa.branch).name
    login(client, "both")
    assert ">10:00–11:00<" in client.get(f"/bookings/{booking}").text
