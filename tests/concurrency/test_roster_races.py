"""Managers at one week at once, and a desk that books while a roster is published."""

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
from spa_app.queries import rosters as queries
from spa_app.services import bookings, rosters, scheduling
from spa_app.services.bookings import ItemRequest
from spa_app.services.rosters import Cell
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.concurrency import race
from tests.concurrency.table import GUARDS
from tests.concurrency.test_races import make_app
from tests.factories import TIMEZONE, Spa

Client = Callable[[], Any]
# Who wrote over what they had not seen: the audit log knows two who both found the cell empty, or published one draft.
LOST = """
    SELECT action, count(*) FROM audit_log
    WHERE action = 'roster_published'
        OR action = 'roster_planned' AND before = jsonb_build_object((SELECT min(id) FROM staff) || '/0', '[]'::jsonb)
    GROUP BY action, before HAVING count(*) > 1"""
OVERLAPS = """
    SELECT a.id, b.id FROM {table} a JOIN {table} b ON b.staff_id = a.staff_id AND b.id > a.id
    WHERE a.{day} = b.{day} AND a.starts_at < b.ends_at AND b.starts_at < a.ends_at"""


@dataclass(frozen=True)
class Race:
    """``clients(spa, n)`` makes n managers of whom one may win."""

    name: str
    clients: Callable[[Spa, int], list[Client]]
    constraint: str
    refusals: frozenset[str]


def plan_one_cell(spa: Spa, number: int) -> list[Client]:
    """All have seen one cell empty, and each puts another shift into it."""
    plan(spa, 0, weekday=6)
    stamp = queries.get_week(spa.branch, next_monday()).cell_stamp(spa.therapists[0], 0)
    return [partial(plan, spa, minute, seen=stamp) for minute in range(number)]


def publish_one_draft(spa: Spa, number: int) -> list[Client]:
    """All have looked at the same draft."""
    plan(spa, 0)
    stamp = queries.get_week(spa.branch, next_monday()).stamp
    return [
        partial(rosters.publish_week, branch_id=spa.branch, monday=next_monday(), seen=stamp, actor=spa.manager)
    ] * number


RACES = [
    Race(
        "plan one cell of a roster",
        plan_one_cell,
        "ALTER TABLE draft_shifts DROP CONSTRAINT ex_draft_shifts_overlap",
        frozenset({"changed_meanwhile"}),
    ),
    Race(
        "publish one draft of a roster",
        publish_one_draft,
        "ALTER TABLE staff_shifts DROP CONSTRAINT ex_staff_shifts_overlap",
        frozenset({"changed_meanwhile", "nothing_to_publish"}),
    ),
]


class Announced(race.Gate):
    """A gate that tells when somebody stands at it: the other client begins then."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived = threading.Event()

    def stop_here(self) -> None:
        self._arrived.set()
        super().stop_here()

    def afterwards(self, client: Client) -> Any:
        assert self._arrived.wait(race.PATIENCE), "nobody came to the gate"
        return client()


def next_monday() -> dt.date:
    today = clock.today(TIMEZONE)
    return today + dt.timedelta(days=7 - today.weekday())


def plan(spa: Spa, minute: int, *, weekday: int = 0, seen: str | None = None) -> int:
    return rosters.plan_cells(
        branch_id=spa.branch,
        monday=next_monday(),
        cells=[Cell(spa.therapists[0], weekday, seen)],
        periods=[(dt.time(8, minute), dt.time(15))],
        actor=spa.manager,
    )


# The constraint keeps shifts from overlapping; who overwrites what they have not seen, only the lock can tell.
@pytest.mark.parametrize("guards", [guards for guards in GUARDS if guards != "constraints only"])
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.clients.__name__)
def test_one_manager_wins(which, guards, settings, fresh_database, monkeypatch, record_property):
    number = 50 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients = which.clients(spa, number)
        db.session.remove()
    race.take_off(guards, url, (which.constraint,), monkeypatch)
    gate = race.stop_after(monkeypatch, queries, "get_week")

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = [f"written unseen: {row}" for row in db.session.execute(sa.text(LOST)).all()]
        for table, day in (("draft_shifts", "weekday"), ("staff_shifts", "works_on")):
            found = db.session.execute(sa.text(OVERLAPS.format(table=table, day=day))).all()
            faults += [f"overlap in {table}: {row}" for row in found]
        db.session.remove()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


@pytest.mark.parametrize("guards", ["locks", "no locks"])
def test_a_visit_being_booked_is_committed_before_the_roster_that_it_did_not_see(
    guards, settings, fresh_database, monkeypatch, record_property
):
    """The desk has read the hours for good and is about to write; the manager publishes others at this moment."""
    url, app, spa, (book, publish) = _desk_and_manager(settings, fresh_database)
    if guards == "no locks":
        race.take_off_locks(monkeypatch)
    gate = Announced()
    race.stop_after(monkeypatch, scheduling, "busy_now", gate)

    outcomes = race.run(app, url, [book, partial(gate.afterwards, publish)], gate)

    with app.app_context():
        order = db.session.execute(
            sa.text("SELECT action FROM audit_log WHERE action IN ('booking_created', 'roster_published') ORDER BY id")
        ).scalars()
        order = list(order)
        week = queries.get_week(spa.branch, next_monday())
        listed = queries.list_off_shift(week.published, week.monday, TIMEZONE, spa.therapists, clock.now())
        db.session.remove()
        db.engine.dispose()
    assert [one.said for one in outcomes] == ["done", "done"]
    assert len(listed) == 1  # never silently: whoever came first, the visit shows as off shift
    unseen = order == ["roster_published", "booking_created"]
    record_property("race", ("book while a roster is published", guards, f"order: {', '.join(order)}"))
    assert unseen == (guards == "no locks")


def test_a_desk_that_waited_for_the_roster_books_by_it(settings, fresh_database, monkeypatch):
    """The manager holds the therapists; the desk has read the hours of before, and waits."""
    url, app, _spa, (book, publish) = _desk_and_manager(settings, fresh_database)
    gate = Announced()
    race.stop_after(monkeypatch, rosters, "lock_team", gate)

    outcomes = race.run(app, url, [publish, partial(gate.afterwards, book)], gate)

    assert [one.said for one in outcomes] == ["done", "off_shift"]
    with app.app_context():
        assert db.session.execute(sa.text("SELECT count(*) FROM bookings")).scalar_one() == 0
        db.session.remove()
        db.engine.dispose()


def _desk_and_manager(settings, fresh_database):
    """A desk that books the first therapist next Monday at 16:00; a manager whose roster ends their day at 15:00."""
    url = fresh_database()
    app = make_app(settings, url, 2)
    with app.app_context():
        spa = factories.make_spa()
        plan(spa, 0)
        at = clock.at_local(next_monday(), dt.time(16), TIMEZONE)
        book = partial(
            bookings.book,
            customer_id=spa.customer,
            branch_id=spa.branch,
            starts_at=at,
            items=[ItemRequest(spa.consultation, spa.therapists[0])],
            actor=spa.receptionist,
        )
        publish = partial(
            rosters.publish_week, branch_id=spa.branch, monday=next_monday(), actor=spa.manager, seen=None
        )
        db.session.remove()
    return url, app, spa, [partial(in_transaction, one) for one in (book, publish)]
