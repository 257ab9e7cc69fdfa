"""Cash against the close of its drawer and of its day: wholly before, and counted, or after it; with negative controls.

The locks are the branch's row and the session's; the constraints are the triggers that look for an open session, for an
open day, and whether what a close says is what its rows say.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import DayClose, Payment
from spa_app.services import day_close, drawers, ledger, payments
from spa_app.services.drawers import Count
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import make_app
from tests.factories import TIMEZONE, Spa, make_drawer, make_sale, open_session_of

Client = Callable[[], Any]
CASH = tuple(f"DROP TRIGGER tr_{table}_open_session ON {table}" for table in ("cash_movements", "payments", "payouts"))
SESSIONS = (
    "DROP TRIGGER tr_drawer_sessions_expected ON drawer_sessions",
    "DROP TRIGGER tr_drawer_sessions_kept ON drawer_sessions",
)
DAYS = (
    "DROP TRIGGER tr_journal_entries_closed_day ON journal_entries",
    "DROP TRIGGER tr_invoices_closed_day ON invoices",
    "DROP TRIGGER tr_day_closes_takings ON day_closes",
    "DROP TRIGGER tr_day_closes_kept ON day_closes",
)
ONE_CLOSE = (
    "DROP INDEX uq_day_closes_live",
    "ALTER TABLE day_closes DROP CONSTRAINT uq_day_closes_branch_id_z_number",
)


@dataclass(frozen=True)
class Race:
    """``clients`` makes the contenders, who stop after one of the ``reads``; of ``one_of`` only one may win."""

    name: str
    clients: Callable[[Spa, int], list[Client]]
    reads: tuple[tuple[Any, str], ...]
    constraints: tuple[str, ...]
    refusals: frozenset[str]
    is_one_of_all: bool = False


def pay_while_the_drawer_is_closed(spa: Spa, number: int) -> list[Client]:
    """Payments of as many customers, and some who close the drawer that the cash goes into."""
    session = open_session_of(make_drawer(spa.branch, opening=1_000_000))
    closers = number // 10
    return [*_payers(spa, number - closers), *[_count(spa, session)] * closers]


def pay_while_the_day_is_closed(spa: Spa, number: int) -> list[Client]:
    """Payments, and managers who close the day with the drawer uncounted."""
    make_drawer(spa.branch, opening=1_000_000)
    closers = number // 10
    return [*_payers(spa, number - closers), *[_close_day(spa)] * closers]


def pay_while_drawer_and_day_are_closed(spa: Spa, number: int) -> list[Client]:
    """Payments, some who count the drawer, and managers who close the day."""
    session = open_session_of(make_drawer(spa.branch, opening=1_000_000))
    closers = number // 10
    return [
        *_payers(spa, number - 2 * closers),
        *[_count(spa, session, reason="x")] * closers,
        *[_close_day(spa)] * closers,
    ]


def close_one_drawer(spa: Spa, number: int) -> list[Client]:
    """One drawer, counted by everybody at once."""
    session = open_session_of(make_drawer(spa.branch, opening=1_000_000))
    return [_count(spa, session)] * number


def close_one_day(spa: Spa, number: int) -> list[Client]:
    """One day, closed by everybody at once."""
    return [_close_day(spa)] * number


def reopen_one_day(spa: Spa, number: int) -> list[Client]:
    """One closed day, reopened by everybody at once."""
    report = _close_day(spa)()
    return [partial(day_close.reopen_day, report, reason="x", actor=spa.manager)] * number


def _payers(spa: Spa, number: int) -> list[Client]:
    sales = [make_sale(spa, price=10_000, customer_id=factories.make_customer()) for _ in range(number)]
    return [
        partial(payments.take_payment, sale, method="cash", amount=10_000, actor=spa.receptionist) for sale in sales
    ]


def _count(spa: Spa, session: int, reason: str = "") -> Client:
    count = Count({500_000: 2})
    return partial(drawers.close_drawer, session, count=count, left_amount=None, reason=reason, actor=spa.receptionist)


def _close_day(spa: Spa) -> Client:
    return partial(day_close.close_day, spa.branch, on=clock.today(TIMEZONE), uncounted=True, actor=spa.manager)


READS_CASH = ((drawers, "session_for_cash"), (drawers, "expected_in"))
READS_DAY = ((drawers, "session_for_cash"), (day_close, "get_facts"))
RACES = (
    Race(
        "payments ∥ drawer close",
        pay_while_the_drawer_is_closed,
        READS_CASH,
        CASH + SESSIONS,
        frozenset({"drawer_closed", "busy"}),
    ),
    Race(
        "payments ∥ day close",
        pay_while_the_day_is_closed,
        READS_DAY,
        CASH + SESSIONS + DAYS,
        frozenset({"day_closed", "busy"}),
    ),
    Race(
        "payments ∥ drawer close ∥ day close",
        pay_while_drawer_and_day_are_closed,
        READS_DAY,
        CASH + SESSIONS + DAYS + ONE_CLOSE,
        frozenset({"day_closed", "drawer_closed", "busy"}),
    ),
    Race(
        "close one drawer",
        close_one_drawer,
        ((drawers, "expected_in"),),
        SESSIONS,
        frozenset({"drawer_closed", "busy"}),
        is_one_of_all=True,
    ),
    Race(
        "close one day",
        close_one_day,
        ((day_close, "get_facts"),),
        DAYS + ONE_CLOSE,
        frozenset({"day_closed", "busy"}),
        is_one_of_all=True,
    ),
    Race(
        "reopen one day",
        reopen_one_day,
        ((ledger, "last_closed_day"),),
        DAYS,
        frozenset({"already_reopened", "busy"}),
        is_one_of_all=True,
    ),
)


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.clients.__name__)
def test_cash_is_wholly_before_a_close_or_after_it(
    which, guards, settings, fresh_database, monkeypatch, record_property
):
    number = 50 if guards == GUARDS[0] else 10
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        clients = which.clients(factories.make_spa(), number)
        db.session.remove()
    race.take_off(guards, url, which.constraints, monkeypatch)
    gate = race.Gate()
    for owner, name in which.reads:
        race.stop_after(monkeypatch, owner, name, gate)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    if which.is_one_of_all:
        race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)
        return
    said = race.summary(outcomes)
    result = f"{number} clients: " + ", ".join(f"{count} {word}" for word, count in said.items())
    record_property("race", (which.name, guards, f"{result}; {len(faults)} faults"))
    if guards == "neither":
        assert faults, said
        return
    assert faults == []
    assert said["done"] >= 1
    if guards == GUARDS[0]:
        assert said.keys() <= {"done"} | which.refusals


def test_a_reopened_day_takes_what_was_refused_on_it(settings, fresh_database, monkeypatch, record_property):
    """Reopening ∥ posting: each payment is refused while the day is closed, or stands in the open one."""
    url = fresh_database()
    app = make_app(settings, url, 31)
    with app.app_context():
        spa = factories.make_spa()
        payers = _payers(spa, 30)
        report = _close_day(spa)()
        db.session.remove()
    gate = race.stop_after(monkeypatch, day_close, "required_reason")
    reopen = partial(day_close.reopen_day, report, reason="x", actor=spa.manager)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in (*payers, reopen)], gate)

    said = race.summary(outcomes)
    with app.app_context():
        faults = find_faults()
        taken = db.session.scalar(db.select(db.func.count()).select_from(Payment))
        reopened_at = db.session.scalar(db.select(DayClose.reopened_at))
        db.session.remove()
        db.engine.dispose()
    record_property("race", ("payments ∥ reopen", GUARDS[0], f"31 clients: {said}; {len(faults)} faults"))
    assert said.keys() <= {"done", "day_closed"}
    assert faults == []
    assert taken == said["done"] - 1
    assert reopened_at is not None
