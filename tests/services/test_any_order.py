"""Whatever is done to a few visits and their cards, in whatever order: after each step the books balance.

Hypothesis looks for an order that breaks them, and shrinks it to the shortest when it finds one.
"""

import datetime as dt
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from spa_app import clock
from spa_app.errors import DomainError
from spa_app.extensions import db
from spa_app.models import Invoice
from spa_app.services import bookings, expiry, payments, reconciliation
from spa_app.services.actor import Actor
from spa_app.services.bookings import ItemRequest
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, Spa, make_card, make_customer

HOURS = 6  # so few places that visits get into each other's way
ACTS = {
    "confirm": lambda visit, _, actor: bookings.confirm(visit, actor=actor),
    "start": lambda visit, _, actor: bookings.start(visit, actor=actor),
    "complete": lambda visit, _, actor: bookings.complete(visit, actor=actor),
    "undo complete": lambda visit, _, actor: bookings.undo_complete(visit, actor=actor),
    "cancel": lambda visit, _, actor: bookings.cancel(visit, reason="any", actor=actor),
    "no-show": lambda visit, _, actor: bookings.mark_no_show(visit, actor=actor),
    "undo cancel": lambda visit, _, actor: bookings.undo_cancel(visit, actor=actor),
    "move": lambda visit, hour, actor: bookings.move(visit, starts_at=_at(hour), actor=actor),
}


@dataclass
class World:
    """The visits and cards of one example. The desk acts as a manager, so that every way back is open."""

    spa: Spa
    actor: Actor
    customer: int
    cards: tuple[int | None, ...]
    visits: list[int] = field(default_factory=list)

    def book(self, hour: int, card: int, tentative: bool) -> None:
        self.visits.append(
            bookings.book(
                customer_id=self.customer,
                branch_id=self.spa.branch,
                starts_at=_at(hour),
                items=[ItemRequest(self.spa.facial, treatment_id=self.cards[card])],
                actor=self.actor,
                tentative=tentative,
            )
        )

    def pay(self, method: str, part: int) -> None:
        due = Invoice.total_amount - Invoice.paid_amount
        query = select(Invoice.id, due).where(Invoice.customer_id == self.customer, due > 0, Invoice.kind == "invoice")
        owed = db.session.execute(query.order_by(Invoice.id)).all()
        if owed:
            invoice_id, left = owed[0]
            payments.take_payment(invoice_id, method=method, amount=max(left // part, 1), actor=self.actor)


def _at(hour: int) -> dt.datetime:
    return clock.now().replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=2 * hour + 1)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("book"), st.integers(0, HOURS), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("act"), st.sampled_from(sorted(ACTS)), st.integers(0, 5), st.integers(0, HOURS)),
        st.tuples(st.just("pay"), st.sampled_from(("cash", "e_wallet", "store_credit")), st.integers(1, 3), st.none()),
        st.tuples(st.just("expire"), st.sampled_from((0, 400)), st.none(), st.none()),
    ),
    min_size=5,
    max_size=40,
)


def _take(world: World, step: tuple) -> None:
    what, first, second, third = step
    if what == "book":
        world.book(first, second, third)
    elif what == "act" and world.visits:
        ACTS[first](world.visits[second % len(world.visits)], third, world.actor)
    elif what == "pay":
        world.pay(first, second)
    elif what == "expire":
        expiry.expire_due(clock.today(TIMEZONE) + dt.timedelta(days=first))


def _live(spa: Spa, steps: list[tuple]) -> None:
    customer = make_customer()
    cards = tuple(make_card(customer, service, branch_id=spa.branch, sessions=2) for service in (spa.facial, None))
    world = World(spa, spa.manager, customer, (*cards, None))
    for step in steps:
        try:
            _take(world, step)
        except DomainError:
            db.session.rollback()
        assert_books_balance()
    # Out of the next example's way: what still occupies a place is given up.
    for visit in world.visits:
        for act in ("undo complete", "cancel"):
            try:
                ACTS[act](visit, 0, world.actor)
            except DomainError:
                db.session.rollback()
    assert reconciliation.list_faults() == []


QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)


@settings(max_examples=12, deadline=None, suppress_health_check=QUIET)
@given(steps=STEPS)
def test_the_books_balance_after_any_few_steps(spa: Spa, steps: list[tuple]):
    _live(spa, steps)


@pytest.mark.prove
@settings(max_examples=400, deadline=None, suppress_health_check=QUIET)
@given(steps=STEPS)
def test_the_books_balance_after_very_many_steps(spa: Spa, steps: list[tuple]):
    _live(spa, steps)
