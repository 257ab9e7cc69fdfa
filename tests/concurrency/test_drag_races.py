"""Many hands on one day: a service stretched by everybody at once, and visits stretched or carried into one gap.

The guards are the row locks and, as constraints, the version of a visit and the exclusion of overlaps. Each alone must
do; with both off the check must find the fault.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from spa_app.extensions import db
from spa_app.services import bookings, scheduling
from spa_app.services.bookings import ItemRequest
from spa_app.services.bookings import moving as bookings_moving
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import ROOM_OVERLAP, STAFF_OVERLAP, VERSION, make_app
from tests.concurrency.test_visit_races import LOST
from tests.factories import Spa

Client = Callable[[], Any]


@dataclass(frozen=True)
class Race:
    """``clients(spa, n)`` makes n contenders of whom one may win; they stop after reading at ``read``."""

    name: str
    clients: Callable[[Spa, int], list[Client]]
    read: tuple[Any, str]
    constraints: tuple[str, ...]
    refusals: frozenset[str]


def stretch_one_service(spa: Spa, number: int) -> list[Client]:
    """Everybody saw version 1, and pulls the edge to a length of their own."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    booking = factories.make_booking(spa, ItemRequest(spa.consultation, spa.therapists[0]), starts_at=at)
    stretch = partial(bookings.move, booking, starts_at=at, version=1, actor=spa.receptionist)
    return [partial(stretch, minutes=31 + one) for one in range(number)]


def carry_or_stretch_one_visit(spa: Spa, number: int) -> list[Client]:
    """Half carry the visit to another time, half stretch it where it stands."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    booking = factories.make_booking(spa, ItemRequest(spa.consultation, spa.therapists[0]), starts_at=at)
    act = partial(bookings.move, booking, version=1, actor=spa.receptionist)
    later = dt.timedelta(minutes=45)
    return [partial(act, starts_at=at + later), partial(act, starts_at=at, minutes=60)] * (number // 2)


def stretch_or_carry_into_one_gap(spa: Spa, number: int) -> list[Client]:
    """One visit is stretched into the hour after it, visits of other days are carried there; one therapist."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    item = ItemRequest(spa.consultation, spa.therapists[0])
    return _into_one_gap(spa, at, number, lambda: item)


def stretch_or_carry_into_one_room(spa: Spa, number: int) -> list[Client]:
    """The same in one room, everybody with a therapist of their own."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    return _into_one_gap(
        spa, at, number, lambda: ItemRequest(spa.facial, factories.make_staff(spa.branch, [spa.facial]), spa.rooms[0])
    )


RACES = [
    Race(
        "stretch one service",
        stretch_one_service,
        (bookings_moving, "list_items"),
        (VERSION,),
        frozenset({"changed_meanwhile"}),
    ),
    Race(
        "carry or stretch one visit",
        carry_or_stretch_one_visit,
        (bookings_moving, "list_items"),
        (VERSION,),
        frozenset({"changed_meanwhile"}),
    ),
    Race(
        "stretch or carry into one therapist's gap",
        stretch_or_carry_into_one_gap,
        (scheduling, "busy_now"),
        STAFF_OVERLAP,
        frozenset({"staff_busy"}),
    ),
    Race(
        "stretch or carry into one room's gap",
        stretch_or_carry_into_one_room,
        (scheduling, "busy_now"),
        ROOM_OVERLAP,
        frozenset({"resource_busy"}),
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
    assert len(clients) == number
    race.take_off(guards, url, which.constraints, monkeypatch)
    gate = race.stop_after(monkeypatch, *which.read)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults() + [f"a change was lost: {row}" for row in db.session.execute(sa.text(LOST)).all()]
        db.session.remove()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


def _into_one_gap(spa: Spa, at: dt.datetime, number: int, item: Callable[[], ItemRequest]) -> list[Client]:
    """The first visit stands at ``at`` and grows to two hours; the others come from later days to half past eleven."""
    gap = at + dt.timedelta(minutes=90)
    first = factories.make_booking(spa, item(), starts_at=at)
    others = [
        factories.make_booking(
            spa, item(), starts_at=at + dt.timedelta(days=1 + day), customer_id=factories.make_customer()
        )
        for day in range(number - 1)
    ]
    # By room, each client names it: the other one is free.
    room = item().resource_id
    move = partial(bookings.move, actor=spa.receptionist, resource_id=room)
    return [
        partial(move, first, starts_at=at, minutes=120),
        *(partial(move, booking, starts_at=gap) for booking in others),
    ]
