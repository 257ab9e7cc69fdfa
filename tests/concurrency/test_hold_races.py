"""Places held from the waitlist: two desks and one slot, two holds for one entry, and the instant at which one lapses.

The guards are the row locks and the constraints; each alone must do, and with both off a check must show the fault.
"""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from spa_app import clock
from spa_app.extensions import db
from spa_app.services import bookings, reconciliation, scheduling, waitlist
from spa_app.services.bookings import ItemRequest
from spa_app.services.bookings import holding as bookings_holding
from spa_app.services.bookings import progress as bookings_progress
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import GUARDS
from tests.concurrency.test_races import VERSION, make_app
from tests.concurrency.test_visit_races import LIVE_ENTRIES, LOST
from tests.factories import Spa

Client = Callable[[], Any]
OVERLAP = (
    "ALTER TABLE booking_items DROP CONSTRAINT ex_booking_items_staff",
    "ALTER TABLE booking_item_resources DROP CONSTRAINT ex_booking_item_resources_resource",
)
NOW, LONG = dt.timedelta(), dt.timedelta(minutes=11)
ONE_PLACE = "DROP INDEX uq_bookings_live_waitlist_entry"
TWO_PLACES = """
    SELECT waitlist_entry_id FROM bookings
    WHERE status NOT IN ('cancelled', 'no_show') AND waitlist_entry_id IS NOT NULL GROUP BY 1 HAVING count(*) > 1"""


_skew = threading.local()


@pytest.fixture(autouse=True)
def _clocks_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each thread have a clock that goes wrong (:func:`_in`)."""
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + getattr(_skew, "by", NOW))


@dataclass(frozen=True)
class Race:
    """``clients(spa, n)`` makes n contenders of whom one may win; they stop after reading at each of ``reads``."""

    name: str
    clients: Callable[[Spa, int], list[Client]]
    reads: tuple[tuple[Any, str], ...]
    constraints: tuple[str, ...]
    refusals: frozenset[str]


def hold_one_slot(spa: Spa, number: int) -> list[Client]:
    """Each desk holds the same therapist's hour for a customer of its own."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    entries = [factories.make_entry(spa, spa.consultation) for _ in range(number)]
    return [
        partial(bookings.hold_place, one, starts_at=at, staff_id=spa.therapists[0], actor=spa.receptionist)
        for one in entries
    ]


def hold_twice_for_one_entry(spa: Spa, number: int) -> list[Client]:
    """Each desk has found another therapist for the same customer."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    entry = factories.make_entry(spa, spa.consultation)
    staff = [factories.make_staff(spa.branch, [spa.consultation]) for _ in range(number)]
    return [partial(bookings.hold_place, entry, starts_at=at, staff_id=one, actor=spa.receptionist) for one in staff]


def take_a_lapsed_place(spa: Spa, number: int) -> list[Client]:
    """The time of a hold is over: half of the desks book its place, half hold it for the next one."""
    _held(spa, customer_id=spa.customer, ago=LONG)
    at = factories.tomorrow_at(spa.branch, "10:00")
    clients: list[Client] = []
    for _ in range(number // 2):
        entry = factories.make_entry(spa, spa.consultation)
        hold = partial(bookings.hold_place, entry, starts_at=at, staff_id=spa.therapists[0], actor=spa.receptionist)
        clients += [_take(spa), hold]
    return clients


def confirm_as_it_lapses(spa: Spa, number: int) -> list[Client]:
    """Half of the desks confirm in the last instant; for the others it is over, and they take the place."""
    held = _held(spa, customer_id=spa.customer)
    confirm = partial(bookings.confirm, held, actor=spa.receptionist)
    return [one for _ in range(number // 2) for one in (confirm, _in(LONG, _take(spa)))]


def confirm_or_release(spa: Spa, number: int) -> list[Client]:
    """Half of the desks have the customer's yes, half their no."""
    held = _held(spa, customer_id=spa.customer)
    confirm = partial(bookings.confirm, held, actor=spa.receptionist)
    return [confirm, partial(bookings.release_hold, held, actor=spa.receptionist)] * (number // 2)


RACES = [
    Race(
        "hold one slot",
        hold_one_slot,
        ((scheduling, "busy_now"),),
        OVERLAP,
        frozenset({"staff_busy"}),
    ),
    Race(
        "hold two places for one entry of the waitlist",
        hold_twice_for_one_entry,
        ((waitlist, "refuse_held"),),
        (ONE_PLACE,),
        frozenset({"entry_held"}),
    ),
    Race(
        "take the place of a hold that has lapsed",
        take_a_lapsed_place,
        ((scheduling, "busy_now"),),
        (*OVERLAP, VERSION, *LIVE_ENTRIES),
        frozenset({"staff_busy"}),
    ),
    Race(
        "confirm or release one hold",
        confirm_or_release,
        ((bookings_progress, "require_status"), (bookings_holding, "require_status")),
        (VERSION, *LIVE_ENTRIES),
        frozenset({"wrong_status", "hold_over", "not_held"}),
    ),
    Race(
        "confirm a hold as it lapses, or take its place",
        confirm_as_it_lapses,
        ((bookings_progress, "require_status"), (scheduling, "busy_now")),
        (*OVERLAP, VERSION, *LIVE_ENTRIES),
        frozenset({"wrong_status", "hold_over", "staff_busy"}),
    ),
]


# Who ends a lapsed hold updates its row, and that alone makes the others wait: taking that off is another control.
CASES = [
    pytest.param(which, guards, id=f"{which.clients.__name__}-{guards}")
    for which in RACES
    for guards in GUARDS
    if (which.clients, guards) != (take_a_lapsed_place, "neither")
]


@pytest.mark.parametrize(("which", "guards"), CASES)
def test_one_of_many_wins(which, guards, settings, fresh_database, monkeypatch, record_property):
    number = 50 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients = which.clients(spa, number)
        db.session.remove()
    race.take_off(guards, url, which.constraints, monkeypatch)
    gate = race.Gate()
    for owner, name in which.reads:
        race.stop_after(monkeypatch, owner, name, gate)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = _faults()
        db.session.remove()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


def test_a_lapsed_hold_that_nobody_ends_keeps_everybody_out(settings, fresh_database, monkeypatch):
    """The negative control of taking a lapsed place: offers see it as free, the exclusion constraint does not."""
    url = fresh_database()
    app = make_app(settings, url, 6)
    with app.app_context():
        spa = factories.make_spa()
        clients = take_a_lapsed_place(spa, 6)
        db.session.remove()
    monkeypatch.setattr(scheduling.holds, "end_lapsed_at", lambda *_: None)
    gate = race.stop_after(monkeypatch, scheduling, "busy_now")

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    assert race.summary(outcomes) == {"staff_busy": 6}


def _held(spa: Spa, *, customer_id: int, ago: dt.timedelta = NOW) -> int:
    """A place held tomorrow at ten, so long ago, with a session of the customer's card."""
    factories.make_card(customer_id, spa.consultation, branch_id=spa.branch)
    entry = factories.make_entry(spa, spa.consultation, customer_id=customer_id)
    at = factories.tomorrow_at(spa.branch, "10:00")
    hold = partial(bookings.hold_place, entry, starts_at=at, staff_id=spa.therapists[0], actor=spa.receptionist)
    return int(_in(-ago, hold)())


def _take(spa: Spa) -> Client:
    return partial(
        bookings.book,
        customer_id=factories.make_customer(),
        branch_id=spa.branch,
        starts_at=factories.tomorrow_at(spa.branch, "10:00"),
        items=[ItemRequest(spa.consultation, spa.therapists[0])],
        actor=spa.receptionist,
    )


def _in(time: dt.timedelta, client: Client) -> Client:
    """The same client by a clock that goes fast or slow by so much."""

    def run() -> Any:
        _skew.by = time
        try:
            return client()
        finally:
            _skew.by = NOW

    return run


def _faults() -> list[str]:
    faults = find_faults() + [fault.text for fault in reconciliation.list_faults()]
    faults += [f"a change was lost: {row}" for row in db.session.execute(sa.text(LOST)).all()]
    return faults + [f"an entry has two places: {row}" for row in db.session.execute(sa.text(TWO_PLACES)).all()]
