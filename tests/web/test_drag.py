"""What a drag stands on: blocks that say what may be moved, the form behind it, and the way back in each toast."""

import re

import pytest

from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest
from spa_app.web.times import format_local
from tests.factories import (
    TIMEZONE,
    local_at,
    login,
    make_booking,
    make_card,
    make_customer,
    make_resource_type,
    make_room,
    make_service,
    make_staff,
    set_policy,
    tomorrow_at,
)
from tests.services.checks import rows
from tests.web.test_items import form_on, items_of
from tests.web.visits import HTMX, error_at, nothing_stored, post, text_of, undo_in

LENGTHS = "SELECT extract(epoch FROM ends_at - starts_at)::int / 60 FROM booking_items ORDER BY position"


@pytest.fixture
def visit(spa):
    """Tomorrow at 10: a facial, then at 11:10 a consultation, both with the first therapist."""
    items = [ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]), ItemRequest(spa.consultation, spa.therapists[0])]
    return make_booking(spa, *items, starts_at=tomorrow_at(spa.branch, "10:00"))


def time(spa, text):
    return format_local(tomorrow_at(spa.branch, text), TIMEZONE)


def plan():
    return rows("SELECT staff_id, starts_at, ends_at FROM booking_items WHERE cancelled_at IS NULL ORDER BY position")


# What may be taken up


def drags(client, query=""):
    return dict(re.findall(r'id="(booking-[\d-]+)" data-status="\w+" data-drag="([\d.]+)"', client.get(query).text))


def test_each_block_says_its_service_its_version_and_how_far_into_the_visit_it_begins(desk, spa, visit):
    first, second = items_of(visit)
    day = f"/calendar?date={tomorrow_at(spa.branch, '10:00').date()}"
    assert drags(desk, day) == {f"booking-{visit}": f"{first}.1.0", f"booking-{visit}-2": f"{second}.1.70"}
    assert drags(desk, f"{day}&by=room") == {f"booking-{visit}": f"{first}.1.0"}
    bookings.move(visit, starts_at=tomorrow_at(spa.branch, "12:00"), actor=spa.manager)
    assert set(drags(desk, day).values()) == {f"{first}.2.0", f"{second}.2.70"}
    assert drags(desk, f"{day}&view=list") == {}


@pytest.mark.parametrize("status", ["pending", "confirmed", "in_progress", "completed"])
def test_what_has_begun_is_not_taken_up(desk, spa, status):
    make_booking(spa, status=status)
    assert bool(drags(desk, "/calendar")) == (status in ("pending", "confirmed"))


def test_what_is_over_is_not_taken_up_and_not_moved_but_by_a_manager(client, spa):
    booking = make_booking(spa, starts_at=local_at(spa.branch, "09:00"))
    fields = {"starts_at": time(spa, "10:00"), "version": 1}
    login(client, "reception")
    assert drags(client, "/calendar") == {}
    assert f'action="/bookings/{booking}/move"' not in client.get(f"/bookings/{booking}").text
    for headers in (None, HTMX):
        with nothing_stored():
            answer = post(client, f"/bookings/{booking}/move", headers, **fields)
        assert answer.status_code == 409
        assert "so it stays where it is" in text_of(answer)
    login(client, "manager")
    assert f'action="/bookings/{booking}/move"' in client.get(f"/bookings/{booking}").text
    assert post(client, f"/bookings/{booking}/move", **fields).status_code == 303


def test_a_therapist_takes_nothing_up(client, spa):
    make_booking(spa)
    login(client, "therapist")
    page = client.get("/calendar").text
    assert "data-drag" not in page
    assert "data-zone" not in page
    assert "js/drag.js" not in page


# The form behind it


@pytest.mark.parametrize("headers", [None, HTMX])
def test_the_form_that_moves_says_how_long_as_well(desk, spa, headers):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    url = f"/bookings/{booking}/move"
    page = desk.get(f"/bookings/{booking}", headers=headers)
    assert 'placeholder="60"' in page.text
    fields = form_on(page, url)
    assert "item_id" not in fields
    answer = desk.post(url, data={**fields, "minutes": 75}, headers=headers)
    assert answer.status_code == (200 if headers else 303)
    assert rows(LENGTHS) == [(75,)]
    page = answer if headers else desk.get(answer.location)
    assert "Basic Facial now takes 75 min." in text_of(page)


def test_the_form_for_several_services_names_the_one_that_is_meant(desk, spa, visit):
    first, second = items_of(visit)
    url = f"/bookings/{visit}/move"
    fields = form_on(desk.get(f"/bookings/{visit}"), url)
    assert fields["item_id"] == ""
    with nothing_stored():
        answer = desk.post(url, data={**fields, "minutes": 45})
    assert answer.status_code == 422
    assert "Choose the service" in error_at(answer, "move-item_id")

    fields = {**form_on(answer, url), "item_id": second, "staff_id": spa.therapists[1], "minutes": 45}
    assert desk.post(url, data=fields).status_code == 303
    assert rows(LENGTHS) == [(60,), (45,)]
    assert [staff for staff, *_ in plan()] == list(spa.therapists)
    with nothing_stored():
        assert post(desk, url, starts_at=time(spa, "10:00"), item_id=987654321, version=2).status_code == 404
    assert items_of(visit) == [first, second]


@pytest.mark.parametrize("minutes", ["soon", "1.5", "-5", "4", "721", "99999999999999999999"])
def test_a_length_that_cannot_be_is_refused_at_its_field(desk, spa, minutes):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    (item,) = items_of(booking)
    for headers in (None, HTMX):
        with nothing_stored():
            moved = post(desk, f"/bookings/{booking}/move", headers, starts_at=time(spa, "10:00"), minutes=minutes)
            changed = post(
                desk, f"/bookings/{booking}/items/{item}", headers, version=1, service_id=spa.facial, minutes=minutes
            )
        assert (moved.status_code, changed.status_code) == (422, 422)
        assert error_at(moved, "move-minutes")
        assert error_at(changed, "item-minutes")


def test_a_refused_drop_offers_other_times_for_just_what_was_dropped(desk, spa, visit):
    _, second = items_of(visit)
    for therapist in spa.therapists:
        item = ItemRequest(spa.consultation, therapist)
        make_booking(spa, item, starts_at=tomorrow_at(spa.branch, "15:00"), customer_id=make_customer())
    url = f"/bookings/{visit}/move"
    drop = {"item_id": second, "staff_id": spa.therapists[1], "minutes": 60, "version": 1}
    with nothing_stored():
        answer = post(desk, url, HTMX, starts_at=time(spa, "13:30"), **drop)
    assert answer.status_code == 409
    assert "busy from 15:00 to 15:30" in text_of(answer)
    offered = re.findall(rf'<form method="post" action="{url}".*?</form>', answer.text, re.S)
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', offered[0]))
    # The facial would begin now at 15:30, the consultation at 16:40, with the other therapist and for an hour.
    assert {name: fields[name] for name in ("starts_at", "item_id", "staff_id", "minutes")} == {
        "starts_at": time(spa, "15:30"),
        "item_id": str(second),
        "staff_id": str(spa.therapists[1]),
        "minutes": "60",
    }
    assert desk.post(url, data=fields, headers=HTMX).status_code == 200
    assert rows("SELECT staff_id, starts_at, ends_at FROM booking_items WHERE id = :id", id=second)[0] == (
        spa.therapists[1],
        tomorrow_at(spa.branch, "16:40"),
        tomorrow_at(spa.branch, "17:40"),
    )


def proposed(client, query):
    """The service that the booking form has chosen; empty for none."""
    page = client.get(f"/bookings/new?{query}")
    assert page.status_code == 200
    return form_on(page, "/bookings")["items-0-service_id"]


@pytest.mark.parametrize(
    ("drawn", "chosen"),
    [
        ("60", "facial"),
        ("90", "massage"),
        ("30", "consultation"),
        ("45", None),
        ("x", None),
        ("", None),
        ("9" * 30, None),
    ],
)
def test_the_length_that_was_drawn_proposes_the_one_service_that_takes_so_long(desk, spa, drawn, chosen):
    query = f"staff_id={spa.therapists[0]}&starts_at={time(spa, '10:00')}&minutes={drawn}"
    assert proposed(desk, query) == (str(getattr(spa, chosen)) if chosen else "")


def test_of_several_services_as_long_none_is_proposed_unless_therapist_or_room_decide(desk, spa):
    kind = make_resource_type("Nail table")
    table = make_room(spa.branch, kind)
    manicure = make_service("Manicure", minutes=60, room_types=[kind])
    nails = make_staff(spa.branch, [manicure])
    assert proposed(desk, "minutes=60") == ""
    assert proposed(desk, f"minutes=60&staff_id={nails}") == str(manicure)
    assert proposed(desk, f"minutes=60&resource_id={table}") == str(manicure)
    assert proposed(desk, f"minutes=60&service_id={spa.massage}") == str(spa.massage)


# The way back


@pytest.mark.parametrize(
    "drop",
    [
        {"starts_at": "14:00"},
        {"starts_at": "14:00", "staff_id": 1},
        {"starts_at": "10:00", "item": 0, "staff_id": 1},
        {"starts_at": "09:15", "item": 1, "staff_id": 1, "minutes": 50},
        {"starts_at": "10:00", "item": 0, "minutes": 90},
    ],
)
def test_a_move_is_taken_back_exactly(desk, spa, visit, drop):
    before = plan()
    url = f"/bookings/{visit}/move"
    fields = {"starts_at": time(spa, drop["starts_at"]), "version": 1, "minutes": drop.get("minutes", "")}
    if "item" in drop:
        fields["item_id"] = items_of(visit)[drop["item"]]
    if "staff_id" in drop:
        fields["staff_id"] = spa.therapists[drop["staff_id"]]
    answer = post(desk, url, HTMX, **fields)
    assert answer.status_code == 200
    assert plan() != before

    where, back = undo_in(answer)
    assert (where, back["version"]) == (url, "2")
    assert desk.post(where, data=back, headers=HTMX).status_code == 200

    assert plan() == before
    with nothing_stored():
        again = desk.post(where, data={**back, "idempotency_key": "6f1c1a52-7d4b-4f0a-9f55-0d1f6b1f7e11"}, headers=HTMX)
    assert again.status_code == 409
    assert "Somebody else has just changed this visit" in text_of(again)


def test_a_move_that_no_single_move_takes_back_offers_no_undo(desk, spa):
    items = [
        ItemRequest(spa.consultation, spa.therapists[0]),
        ItemRequest(spa.consultation, spa.therapists[0]),
        ItemRequest(spa.consultation, spa.therapists[1]),
    ]
    booking = make_booking(spa, *items, starts_at=tomorrow_at(spa.branch, "10:00"))
    answer = post(
        desk, f"/bookings/{booking}/move", HTMX, starts_at=time(spa, "10:00"), staff_id=spa.therapists[1], version=1
    )
    assert [staff for staff, *_ in plan()] == [spa.therapists[1]] * 3
    assert undo_in(answer) is None


def test_a_visit_moved_into_the_past_is_not_offered_the_way_back(desk, spa):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    past = format_local(local_at(spa.branch, "09:00"), TIMEZONE)
    assert undo_in(post(desk, f"/bookings/{booking}/move", HTMX, starts_at=past, version=1)) is None


@pytest.mark.parametrize("headers", [None, HTMX])
@pytest.mark.parametrize("act", ["add", "change", "payment"])
def test_each_change_of_a_service_is_taken_back_from_its_toast(desk, spa, headers, act):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"), card=card)
    (item,) = items_of(booking)
    what = "SELECT service_id, staff_id, treatment_id, starts_at, ends_at FROM booking_items WHERE cancelled_at IS NULL"
    before = rows(what)
    if act == "add":
        url, fields = f"/bookings/{booking}/items", {"service_id": spa.consultation}
    elif act == "change":
        url = f"/bookings/{booking}/items/{item}"
        fields = {"service_id": spa.massage, "staff_id": spa.therapists[1], "minutes": 100}
    else:
        url, fields = f"/bookings/{booking}/items/{item}/payment", {"treatment_id": ""}
    answer = post(desk, url, headers, version=1, **fields)
    assert rows(what) != before
    where, back = undo_in(answer if headers else desk.get(answer.location))
    assert desk.post(where, data=back, headers=headers).status_code == (200 if headers else 303)
    assert rows(what) == before


def test_a_service_cancelled_alone_has_no_way_back(desk, spa, visit):
    first, _ = items_of(visit)
    assert undo_in(post(desk, f"/bookings/{visit}/items/{first}/cancel", HTMX, version=1)) is None


@pytest.mark.parametrize("act", ["cancel", "no-show"])
def test_a_fee_that_is_not_paid_yet_goes_back_with_the_undo(desk, spa, act):
    set_policy(spa.branch, late_cancel_policy="fee", late_cancel_fee_bp=5_000)
    set_policy(spa.branch, no_show_policy="fee", no_show_fee_amount=200_000)
    booking = make_booking(spa)
    answer = post(desk, f"/bookings/{booking}/{act}", HTMX, reason="ill")
    where, back = undo_in(answer)
    assert where == f"/bookings/{booking}/undo-cancel"
    assert desk.post(where, data=back, headers=HTMX).status_code == 200
    assert rows("SELECT b.status, i.status FROM bookings b JOIN invoices i ON i.booking_id = b.id") == [
        ("confirmed", "void")
    ]
