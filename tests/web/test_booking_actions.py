"""Acting on a visit, replays, who may do what, and the free times."""

import datetime as dt
import json
import re
import uuid

import pytest
import time_machine
from sqlalchemy import event, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Branch, CustomerTreatment, Invoice
from spa_app.services import bookings, payments
from spa_app.services.bookings import ItemRequest
from spa_app.web.times import format_local
from tests.factories import (
    TIMEZONE,
    actor_of,
    login,
    make_booking,
    make_branch,
    make_card,
    make_customer,
    make_user,
    tomorrow_at,
)
from tests.web.visits import HTMX, STEPS, error_at, freeze, get, nothing_stored, post, text_of, visit_fields

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
    at = format_local(tomorrow_at(spa.branch, "10:00"), TIMEZONE)
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
    fields = {"starts_at": format_local(new, TIMEZONE), "staff_id": spa.therapists[1], "resource_id": spa.rooms[1]}
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
    at = format_local(tomorrow_at(spa.branch, "10:30"), TIMEZONE)
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
    at = format_local(tomorrow_at(spa.branch, "16:00"), TIMEZONE)
    with nothing_stored():
        answer = post(desk, f"/bookings/{booking}/move", starts_at=at, version=version)
    assert answer.status_code == 409
    assert "Somebody else has just changed this visit" in text_of(answer)
    assert f'value="{format_local(moved, TIMEZONE)}"' in answer.text


@pytest.mark.parametrize("fields", [{"starts_at": "soon"}, {"starts_at": ""}, {"staff_id": "x"}, {"version": "x"}])
def test_a_malformed_move_is_refused_at_its_field(desk, spa, fields):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    at = format_local(tomorrow_at(spa.branch, "12:00"), TIMEZONE)
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
    at = format_local(tomorrow_at(spa.branch, "12:00"), TIMEZONE)
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
    day = format_local(tomorrow_at(spa.branch, "08:00"), TIMEZONE)[:10]
    query = f"/slots?service_id={spa.facial}&date={day}&staff_id={spa.therapists[0]}"
    times = [f"{day}T{time}" for time in ("09:15", "09:30", "09:45", "10:00", "10:15")]
    answer = desk.get(query, headers={"Accept": "application/json"})
    assert [slot["starts_at"] for slot in answer.json["slots"]] == times
    assert "<html" in desk.get(query).text
    partial = desk.get(query, headers=HTMX).text
    assert "<html" not in partial
    assert partial.count('class="button button--small free-time"') == 5


def test_free_times_of_today_begin_now(desk, spa):
    with time_machine.travel(clock.at_local(dt.date(2027, 3, 1), dt.time(13, 7), TIMEZONE), tick=False):
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
