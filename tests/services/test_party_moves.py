"""Moving one of those who came together: what takes the others along, and what concerns one visit alone."""

import datetime as dt
from functools import partial

import pytest
import time_machine

from spa_app.errors import InvalidError, NotFoundError, SlotTakenError, WrongStateError
from spa_app.services import bookings
from spa_app.services.bookings import Guest, ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import refused, rows


@pytest.fixture
def at(spa):
    return partial(factories.tomorrow_at, spa.branch)


@pytest.fixture
def suite(spa):
    """A room for two."""
    return factories.make_room(spa.branch, spa.room_type, "Suite", places=2)


@pytest.fixture
def couple(spa, suite, at):
    """Two facials of an hour at 10, in the room for two."""
    return factories.make_party(spa, starts_at=at("10:00"), actor=spa.receptionist)


def plan(visit):
    """Begin, end, therapist and room of each service."""
    return rows(
        "SELECT i.starts_at, i.ends_at, i.staff_id, r.resource_id FROM booking_items i"
        " LEFT JOIN booking_item_resources r ON r.booking_item_id = i.id WHERE booking_id = :id ORDER BY position",
        id=visit,
    )


def items(visit):
    return [one for (one,) in rows("SELECT id FROM booking_items WHERE booking_id = :id ORDER BY position", id=visit)]


def versions(*visits):
    return [rows("SELECT version FROM bookings WHERE id = :id", id=one)[0][0] for one in visits]


@pytest.mark.parametrize("move", [bookings.move, bookings.move_party])
@pytest.mark.parametrize("minutes", [45, 90])
def test_how_long_it_takes_concerns_one_of_them(spa, suite, at, couple, move, minutes):
    first, second = couple
    before = plan(second)

    move(second, starts_at=at("10:00"), minutes=minutes, actor=spa.receptionist)
    move(first, starts_at=at("10:00"), item_id=items(first)[0], minutes=minutes, actor=spa.receptionist)
    move(second, starts_at=at("10:00"), minutes=60, actor=spa.receptionist)

    assert plan(second) == before
    ((starts_at, ends_at, _, room),) = plan(first)
    assert (starts_at, ends_at, room) == (at("10:00"), at("10:00") + dt.timedelta(minutes=minutes), suite)
    assert versions(*couple) == [2, 3]
    assert_books_balance()


def test_time_takes_all_along_while_therapist_and_length_are_for_the_one_service(spa, suite, at):
    third = factories.make_staff(spa.branch, [spa.consultation])
    one, other = spa.therapists
    guests = [
        Guest(spa.customer, [ItemRequest(spa.facial, one), ItemRequest(spa.consultation, one)]),
        Guest(factories.make_customer(), [ItemRequest(spa.facial, other), ItemRequest(spa.consultation, other)]),
    ]
    first, second = factories.make_party(spa, *guests, starts_at=at("10:00"), actor=spa.receptionist)
    wanted = {"item_id": items(first)[1], "staff_id": third, "minutes": 45}
    later = dt.timedelta(hours=2)
    before, mate = plan(first), plan(second)

    bookings.move_party(first, starts_at=at("12:00"), **wanted, actor=spa.receptionist)

    assert [row[:3] for row in plan(first)] == [
        (before[0][0] + later, before[0][1] + later, one),
        (before[1][0] + later, before[1][0] + later + dt.timedelta(minutes=45), third),
    ]
    assert plan(second) == [(begins + later, ends + later, *rest) for begins, ends, *rest in mate]
    assert versions(first, second) == [2, 2]


def test_what_cannot_be_is_refused_for_a_party_too(spa, at, couple):
    first, second = couple
    act = partial(bookings.move_party, first, starts_at=at("11:00"), actor=spa.receptionist)
    with refused("item_unknown", NotFoundError):
        act(item_id=items(second)[0])
    with refused("minutes_out_of_range", InvalidError, "minutes"):
        act(minutes=4)


def test_guests_do_not_pass_each_other_at_one_therapist(spa, at):
    """Both end with the same therapist, the second guest first; with so much less before, the first guest would be."""
    one, other = spa.therapists
    third, last = factories.make_staff(spa.branch, [spa.facial]), ItemRequest(spa.consultation, one)
    guests = [
        Guest(spa.customer, [ItemRequest(spa.massage, other), last]),
        Guest(factories.make_customer(), [ItemRequest(spa.facial, third), last]),
    ]
    first, second = factories.make_party(spa, *guests, starts_at=at("10:00"), actor=spa.receptionist)
    assert [plan(guest)[1][0] for guest in (first, second)] == [at("11:45"), at("11:10")]
    wanted = {"item_id": items(first)[0], "minutes": 10}

    with refused("guests_cross", SlotTakenError, "minutes"):
        bookings.move_party(first, starts_at=at("11:00"), **wanted, actor=spa.receptionist)

    bookings.move_party(first, starts_at=at("11:00"), actor=spa.receptionist)
    bookings.move_party(first, starts_at=at("11:00"), **wanted, actor=spa.receptionist)
    assert [plan(guest)[1][0] for guest in (first, second)] == [at("11:25"), at("12:10")]


def test_whose_time_is_over_stays_when_the_others_move(spa, at):
    third = factories.make_staff(spa.branch, [spa.facial])
    guests = [
        Guest(spa.customer, [ItemRequest(spa.facial, third)]),
        Guest(factories.make_customer(), [ItemRequest(spa.consultation, spa.therapists[0])]),
    ]
    first, second = factories.make_party(spa, *guests, starts_at=at("10:00"), actor=spa.receptionist)
    begins, later = at("10:00"), at("11:00")
    with time_machine.travel(at("10:40")):
        offered = bookings.find_party_slots(first, since=later, limit=1)
        bookings.move_party(first, starts_at=later, actor=spa.receptionist)

        assert [slot.starts_at for slot in offered] == [later]
        assert (plan(first)[0][0], plan(second)[0][0]) == (later, begins)
        with refused("visit_over", WrongStateError):
            bookings.move_party(second, starts_at=later, actor=spa.receptionist)


def test_offered_times_are_those_at_which_the_same_move_is_done(spa, at, couple):
    first, _second = couple
    busy = [staff for _, _, staff, _ in plan(first)]
    factories.make_booking(spa, ItemRequest(spa.consultation, busy[0]), starts_at=at("13:00"))
    wanted = {"item_id": items(first)[0], "minutes": 120}

    slots = bookings.find_party_slots(first, since=at("11:30"), limit=1, **wanted)

    assert [slot.starts_at for slot in slots] == [at("13:30")]
    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        bookings.move_party(first, starts_at=at("13:15"), **wanted, actor=spa.receptionist)
    bookings.move_party(first, starts_at=slots[0].starts_at, **wanted, actor=spa.receptionist)
