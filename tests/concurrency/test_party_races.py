"""Customers who come together, many desks: parties that want one another's therapists, room or last place."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from spa_app.extensions import db
from spa_app.services import bookings, scheduling
from spa_app.services.bookings import Guest, ItemRequest
from spa_app.services.bookings import party as bookings_party
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import ROOM_OVERLAP, STAFF_OVERLAP, VERSION, make_app
from tests.concurrency.test_visit_races import LOST
from tests.factories import Spa

Client = Callable[[], Any]
ANY_ROOM_OVERLAP = (
    *ROOM_OVERLAP,
    "ALTER TABLE booking_item_resources DROP CONSTRAINT ex_booking_item_resources_place",
)


@dataclass(frozen=True)
class Race:
    """``clients(spa, n)`` makes n contenders of whom one may win; they stop after reading at ``read``."""

    name: str
    clients: Callable[[Spa, int], list[Client]]
    read: tuple[Any, str]
    constraints: tuple[str, ...]
    refusals: frozenset[str]


def book_one_pair_of_therapists(spa: Spa, number: int) -> list[Client]:
    """Each party wants both therapists, half of the desks in the other order."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    pairs = (spa.therapists, tuple(reversed(spa.therapists)))
    return [_book(spa, at, [ItemRequest(spa.consultation, one) for one in pairs[turn % 2]]) for turn in range(number)]


def book_one_room_for_two(spa: Spa, number: int) -> list[Client]:
    """Each party brings therapists of its own, and wants the one room that takes both."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    suite = factories.make_room(spa.branch, spa.room_type, "Suite", places=2)
    return [
        _book(
            spa, at, [ItemRequest(spa.facial, factories.make_staff(spa.branch, [spa.facial]), suite) for _ in range(2)]
        )
        for _ in range(number)
    ]


def move_a_party_or_book(spa: Spa, number: int) -> list[Client]:
    """Half of the desks move a party of their own to where the other half books one of its therapists alone."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    clients: list[Client] = []
    for turn in range(number // 2):
        own = factories.make_staff(spa.branch, [spa.consultation])
        begins = at + dt.timedelta(days=turn + 1)
        visits = _book(spa, begins, [ItemRequest(spa.consultation, one) for one in (spa.therapists[0], own)])()
        clients += [
            partial(bookings.move_party, visits[turn % 2], starts_at=at, actor=spa.receptionist),
            partial(
                bookings.book,
                customer_id=factories.make_customer(),
                branch_id=spa.branch,
                starts_at=at,
                items=[ItemRequest(spa.consultation, spa.therapists[0])],
                actor=spa.receptionist,
            ),
        ]
    return clients


def move_to_the_last_place(spa: Spa, number: int) -> list[Client]:
    """One of a party lies in the room for two; the desks bring the five others to it, as they saw them."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    for _ in range(5):
        factories.make_room(spa.branch, spa.room_type)
    suite = factories.make_room(spa.branch, spa.room_type, "Suite", places=2)
    staff = [factories.make_staff(spa.branch, [spa.facial]) for _ in range(6)]
    rooms = list(db.session.execute(sa.text("SELECT id FROM resources WHERE places = 1 ORDER BY id")).scalars())
    rooms = [one for one in rooms if one != spa.other_room]
    items = [ItemRequest(spa.facial, one, room) for one, room in zip(staff, [suite, *rooms], strict=False)]
    visits = _book(spa, at, items)()
    return [
        partial(bookings.move, visits[1 + turn % 5], starts_at=at, resource_id=suite, version=1, actor=spa.receptionist)
        for turn in range(number)
    ]


def move_one_party(spa: Spa, number: int) -> list[Client]:
    """Everybody saw version 1 of both visits, and moves them to a time of their own, from the one or the other."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    visits = _book(spa, at, [ItemRequest(spa.consultation, one) for one in spa.therapists])()
    return [
        partial(
            bookings.move_party,
            visits[turn % 2],
            starts_at=at + dt.timedelta(days=1 + turn),
            versions=dict.fromkeys(visits, 1),
            actor=spa.receptionist,
        )
        for turn in range(number)
    ]


RACES = [
    Race(
        "book parties with one pair of therapists",
        book_one_pair_of_therapists,
        (scheduling, "busy_now"),
        STAFF_OVERLAP,
        frozenset({"staff_busy", "party_too_big"}),
    ),
    Race(
        "book parties into one room for two",
        book_one_room_for_two,
        (scheduling, "busy_now"),
        ANY_ROOM_OVERLAP,
        frozenset({"resource_busy", "party_too_big"}),
    ),
    Race(
        "move a party, and book one of its therapists",
        move_a_party_or_book,
        (scheduling, "busy_now"),
        STAFF_OVERLAP,
        frozenset({"staff_busy", "party_too_big"}),
    ),
    Race(
        "move guests of a party to the last place of a room",
        move_to_the_last_place,
        (scheduling, "busy_now"),
        ANY_ROOM_OVERLAP,
        frozenset({"resource_busy", "party_too_big", "changed_meanwhile"}),
    ),
    Race(
        "move one party that all saw",
        move_one_party,
        (bookings_party, "list_items"),
        (VERSION,),
        frozenset({"changed_meanwhile"}),
    ),
]


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.clients.__name__)
def test_one_of_many_wins(which, guards, settings, fresh_database, monkeypatch, record_property):
    number = 50 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients = which.clients(spa, number)
        db.session.remove()
    race.take_off(guards, url, which.constraints, monkeypatch)
    gate = race.stop_after(monkeypatch, *which.read)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults() + [f"a change was lost: {row}" for row in db.session.execute(sa.text(LOST)).all()]
        db.session.remove()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


def _book(spa: Spa, at: dt.datetime, items: list[ItemRequest]) -> Client:
    guests = [Guest(factories.make_customer(), [item]) for item in items]
    return partial(bookings.book_party, guests, branch_id=spa.branch, starts_at=at, actor=spa.receptionist)
