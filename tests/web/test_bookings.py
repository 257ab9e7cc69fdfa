"""Booking on the web: what is stored, each refusal with nothing stored, cards, and the form on the way."""

import datetime as dt
import json
import re

import pytest
import time_machine
from sqlalchemy import select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Customer, CustomerTreatment
from spa_app.web.times import format_local
from tests.factories import (
    TIMEZONE,
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
from tests.web.visits import (
    HTMX,
    error_at,
    freeze,
    get,
    nothing_stored,
    post,
    text_of,
    visit_fields,
)

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
    late = format_local(tomorrow_at(spa.branch, "20:30"), TIMEZONE)
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
    day = format_local(tomorrow_at(spa.branch, "10:00"), TIMEZONE)[:10]
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
        ("expired", "which is before this visit", "Extend the card"),
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
    at = format_local(tomorrow_at(spa.branch, "10:00"), TIMEZONE)
    page = desk.get(f"/bookings/new?{query}&starts_at={at}")
    assert chosen_card(page) == str(sooner)
    assert "After this visit 3 left" in text_of(page)
    later = format_local(tomorrow_at(spa.branch, "10:00") + dt.timedelta(days=30), TIMEZONE)
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
    with time_machine.travel(clock.at_local(dt.date(2027, 3, 1), dt.time(10, 7), TIMEZONE), tick=False):
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
    at = format_local(tomorrow_at(spa.branch, "14:30"), TIMEZONE)
    answer = post(desk, "/bookings/form", **visit_fields(spa, slot=at))
    assert re.search(rf'name="starts_at"[^>]*value="{at}"', answer.text)
    assert re.search(rf'value="{at}"[^>]*aria-pressed="true"', answer.text)
