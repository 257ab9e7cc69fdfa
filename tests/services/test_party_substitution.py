"""Guests who came together and an absence: who shares a room goes on sharing one, where there is one with places."""

from functools import partial

import pytest

from spa_app.errors import ConflictError
from spa_app.services import blocks, bookings
from spa_app.services.availability import Span
from spa_app.services.bookings import Guest, ItemRequest, Mark, Substitution
from spa_app.services.scheduling_facts import Absence
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import execute, refused, rows


@pytest.fixture
def at(spa):
    return partial(factories.tomorrow_at, spa.branch)


@pytest.fixture
def suite(spa):
    """A room for two."""
    return factories.make_room(spa.branch, spa.room_type, "Suite", places=2)


@pytest.fixture
def couple(spa, suite, at):
    """Two facials at 10, in the room for two."""
    return factories.make_party(spa, starts_at=at("10:00"), actor=spa.receptionist)


def all_day(at, **who):
    return Absence(Span(at("08:00"), at("21:00")), **who)


def find(spa, absence):
    return bookings.find_affected(absence, actor=spa.receptionist)


def apply(spa, absence, *substitutes, mark=None):
    """What is proposed, or these for the visits in their order."""
    visits = find(spa, absence).visits
    chosen = [
        Substitution(one.item.item_id, one.item.version, who)
        for one, who in zip(visits, substitutes or [one.proposed_id for one in visits], strict=True)
        if who is not None
    ]
    return bookings.apply_substitutes(absence, chosen, actor=spa.receptionist, mark=mark)


def places(*visits):
    return [
        rows(
            "SELECT resource_id, place FROM booking_item_resources r JOIN booking_items i ON i.id = r.booking_item_id"
            " WHERE booking_id = :id ORDER BY position",
            id=one,
        )
        for one in visits
    ]


def staff(*visits):
    return [rows("SELECT staff_id FROM booking_items WHERE booking_id = :id", id=one)[0][0] for one in visits]


def test_another_therapist_takes_over_in_the_shared_room(spa, suite, at, couple):
    third = factories.make_staff(spa.branch, [spa.facial])
    ill, well = staff(*couple)

    assert apply(spa, all_day(at, staff_id=ill), mark=Mark("sick")) == 1

    assert staff(*couple) == [third, well]
    assert places(*couple) == [[(suite, 1)], [(suite, 2)]]
    assert rows("SELECT version FROM bookings ORDER BY id") == [(2,), (1,)]
    assert_books_balance()


def test_both_go_to_another_room_for_two(spa, suite, at, couple):
    twin = factories.make_room(spa.branch, spa.room_type, "Twin", places=2)
    closed = all_day(at, resource_id=suite)

    found = find(spa, closed)
    assert [one.proposed_id for one in found.visits] == [twin, twin]
    assert apply(spa, closed) == 2

    assert places(*couple) == [[(twin, 1)], [(twin, 2)]]
    assert_books_balance()


def test_each_goes_to_a_room_of_their_own_where_none_has_two_places(spa, suite, at, couple):
    closed = all_day(at, resource_id=suite)
    assert [[who.name for who in one.candidates] for one in find(spa, closed).visits] == [["Room 1", "Room 2"]] * 2

    apply(spa, closed)

    assert places(*couple) == [[(one, 1)] for one in spa.rooms]
    assert_books_balance()


def test_a_room_for_one_takes_one_of_them_and_times_for_all_are_offered(spa, suite, at, couple):
    blocks.block_time(
        resource_id=spa.rooms[1],
        starts_at=at("08:00"),
        ends_at=at("13:00"),
        kind="blocked",
        reason="damp",
        actor=spa.receptionist,
    )
    closed = all_day(at, resource_id=suite)

    found = find(spa, closed)

    assert sorted(one.proposed_id or 0 for one in found.visits) == [0, spa.rooms[0]]
    (left,) = (one for one in found.visits if one.proposed_id is None)
    assert left.next_free[0].starts_at == at("13:00")
    with refused("substitute_taken"):
        apply(spa, closed, spa.rooms[0], spa.rooms[0])
    assert apply(spa, closed) == 1


def test_times_for_all_leave_the_ill_therapist_out(spa, at, couple):
    ill, well = staff(*couple)

    (one,) = find(spa, all_day(at, staff_id=ill)).visits

    assert (one.candidates, one.proposed_id) == ((), None)
    begins = one.next_free[0]
    assert begins.starts_at == factories.local_at(spa.branch, "08:00", days=2)
    assert {who for who, _ in begins.staff} == {ill, well}


def test_who_lies_alone_joins_the_one_in_the_room_for_two(spa, suite, at):
    customers = (spa.customer, factories.make_customer("Vũ Lan"))
    rooms = (suite, spa.rooms[0])
    guests = [Guest(one, [ItemRequest(spa.facial, None, room)]) for one, room in zip(customers, rooms, strict=True)]
    visits = factories.make_party(spa, *guests, starts_at=at("10:00"), actor=spa.receptionist)
    closed = all_day(at, resource_id=spa.rooms[0])

    assert apply(spa, closed, suite) == 1

    assert places(*visits) == [[(suite, 1)], [(suite, 2)]]
    assert_books_balance()


def test_nobody_joins_strangers_or_a_room_that_is_closed(spa, suite, at):
    strangers = [
        Guest(
            factories.make_customer(), [ItemRequest(spa.facial, factories.make_staff(spa.branch, [spa.facial]), room)]
        )
        for room in (suite, spa.rooms[1])
    ]
    factories.make_party(spa, *strangers, starts_at=at("10:00"), actor=spa.receptionist)
    alone = factories.make_booking(spa, starts_at=at("10:00"))
    closed = all_day(at, resource_id=spa.rooms[0])

    (one,) = find(spa, closed).visits
    assert (one.item.booking_id, one.candidates) == (alone, ())
    with refused("substitute_taken"):
        apply(spa, closed, suite)

    # One of them in the room for two that is to be closed as well, with the other in Room 2.
    bookings.apply_substitutes(all_day(at, resource_id=suite), [], mark=Mark("blocked", "damp"), actor=spa.receptionist)
    (one,) = find(spa, all_day(at, resource_id=spa.rooms[1])).visits
    assert one.candidates == ()


def test_a_room_that_lost_a_place_takes_one(spa, suite, at, couple):
    twin = factories.make_room(spa.branch, spa.room_type, "Twin", places=2)
    closed = all_day(at, resource_id=suite)
    chosen = [Substitution(one.item.item_id, one.item.version, twin) for one in find(spa, closed).visits]
    execute("UPDATE resources SET places = 1 WHERE id = :id", id=twin)

    with refused("substitute_taken", ConflictError):
        bookings.apply_substitutes(closed, chosen, actor=spa.receptionist)
