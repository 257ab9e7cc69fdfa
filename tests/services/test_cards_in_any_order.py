"""Whatever a desk does to cards, bookings and the clock, in whatever order: after each step the books balance.

A state machine: Hypothesis looks for an order of acts that breaks a rule, and shrinks it to the shortest when it finds
one. The clock only goes forward. Refusals are part of the game; anything else that is raised is a fault.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from spa_app import clock
from spa_app.errors import DomainError
from spa_app.extensions import db
from spa_app.models import CustomerTreatment, Invoice, derive_status
from spa_app.models.refund import BASES
from spa_app.services import billing, bookings, expiry, payments, reconciliation, refunds, treatments
from spa_app.services.bookings import ItemRequest
from spa_app.services.refunds import PAY_BY
from tests.books import assert_books_balance
from tests.conftest import Cleaner
from tests.factories import TIMEZONE, cards_of, make_customer, make_plan, make_service, make_spa, make_staff

WHICH = st.integers(0, 9)
DAYS = st.integers(-2, 70)
SELDOM = st.integers(0, 2)


class Desk(RuleBasedStateMachine):
    """Two customers of a family, cards of three plans, and a manager's desk, which may do everything.

    Each example has a database of its own, emptied before it: the next one's clock begins at the present again.
    """

    cleaner: Cleaner

    def __init__(self) -> None:
        super().__init__()
        db.session.remove()
        self.cleaner.clean()
        self.travel = time_machine.travel(clock.now(), tick=False)
        self.clock = self.travel.start()
        self.visits: list[int] = []
        self.hours = 0

    @initialize()
    def open(self) -> None:
        self.spa = spa = make_spa()
        self.service = make_service(minutes=30)
        make_staff(spa.branch, [self.service])
        self.people = (make_customer(), make_customer())
        self.plans = (
            make_plan([(self.service, 3)], price=100_001, days=40),
            make_plan([(self.service, 2), (None, 1)], price=77_777, months=1, bonus=1),
            make_plan([(None, 2)], price=50_000, days=20, from_first_visit=True),
        )
        for which in range(3):
            self.sell(0, which, None)
            self.book(which, False, which == 0)

    def teardown(self) -> None:
        """Prove the books the other way, too; but for statuses, which go by PostgreSQL's clock: that stood still."""
        try:
            assert [fault.text for fault in reconciliation.list_faults() if fault.code != "card_status"] == []
        finally:
            self.travel.stop()
            db.session.remove()

    def attempt(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except DomainError:
            db.session.rollback()
            return None

    def cards(self) -> list[int]:
        return list(
            db.session.execute(
                select(CustomerTreatment.id)
                .where(CustomerTreatment.customer_id.in_(self.people))
                .order_by(CustomerTreatment.id)
            ).scalars()
        )

    def card(self, which: int) -> int:
        cards = self.cards()
        db.session.rollback()
        return cards[which % len(cards)] if cards else 0

    @rule(who=st.integers(0, 1), which=st.integers(0, 2), paid=st.sampled_from((0, 20_000, None)))
    def sell(self, who: int, which: int, paid: int | None) -> None:
        def act() -> None:
            sale = billing.sell_plan(
                customer_id=self.people[who],
                plan_id=self.plans[which],
                branch_id=self.spa.branch,
                actor=self.spa.manager,
            )
            if paid != 0:
                payments.take_payment(sale, method="cash", amount=paid, actor=self.spa.manager)
            assert cards_of(sale)

        self.attempt(act)

    @rule(which=WHICH, stranger=st.sampled_from((False, False, True)), served=st.booleans())
    def book(self, which: int, stranger: bool, served: bool) -> None:
        card = db.session.get(CustomerTreatment, self.card(which))
        mine = self.people.index(card.customer_id) if card else 0
        card_id = card.id if card else None
        db.session.rollback()
        self.hours += 1
        starts_at = clock.now().replace(second=0, microsecond=0) - dt.timedelta(hours=self.hours % 100)
        visit = self.attempt(
            lambda: bookings.book(
                customer_id=self.people[mine ^ stranger],
                branch_id=self.spa.branch,
                starts_at=starts_at,
                items=[ItemRequest(self.service, treatment_id=card_id)],
                actor=self.spa.manager,
                override_hours=True,
            )
        )
        if visit:
            self.visits.append(visit)
            if served:
                self.serve_visit(visit)

    @rule(which=WHICH, act=st.sampled_from(("start", "complete", "undo_complete", "mark_no_show", "undo_cancel")))
    def visit(self, which: int, act: str) -> None:
        if self.visits:
            visit = self.visits[which % len(self.visits)]
            self.attempt(lambda: getattr(bookings, act)(visit, actor=self.spa.manager))

    @rule(which=WHICH)
    def serve(self, which: int) -> None:
        if self.visits:
            self.serve_visit(self.visits[which % len(self.visits)])

    def serve_visit(self, visit: int) -> None:
        self.attempt(lambda: bookings.start(visit, actor=self.spa.manager))
        self.attempt(lambda: bookings.complete(visit, actor=self.spa.manager))

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        if self.visits:
            visit = self.visits[which % len(self.visits)]
            self.attempt(lambda: bookings.cancel(visit, reason="any", actor=self.spa.manager))

    @rule(which=WHICH, days=DAYS)
    def extend(self, which: int, days: int) -> None:
        card, on = self.card(which), clock.today(TIMEZONE) + dt.timedelta(days=days)
        self.attempt(lambda: treatments.extend_card(card, expiry_date=on, reason="any", actor=self.spa.manager))

    @rule(which=WHICH, days=DAYS)
    def reactivate(self, which: int, days: int) -> None:
        card, on = self.card(which), clock.today(TIMEZONE) + dt.timedelta(days=days)
        self.attempt(lambda: treatments.reactivate_card(card, expiry_date=on, reason="any", actor=self.spa.manager))

    @rule(which=WHICH)
    def freeze_or_unfreeze(self, which: int) -> None:
        card = self.card(which)
        if not self.attempt(lambda: treatments.unfreeze_card(card, actor=self.spa.manager)):
            self.attempt(lambda: treatments.freeze_card(card, reason="any", actor=self.spa.manager))

    @rule(which=WHICH, sessions=st.integers(-3, 3))
    def adjust(self, which: int, sessions: int) -> None:
        card = self.card(which)
        self.attempt(lambda: treatments.adjust_card(card, sessions=sessions, reason="any", actor=self.spa.manager))

    @rule(which=WHICH, who=st.integers(0, 1), sessions=st.one_of(st.none(), st.integers(1, 3)))
    def transfer(self, which: int, who: int, sessions: int | None) -> None:
        card = self.card(which)
        self.attempt(
            lambda: treatments.transfer_sessions(
                card, customer_id=self.people[who], sessions=sessions, reason="any", actor=self.spa.manager
            )
        )

    @rule(which=WHICH, who=st.integers(0, 1), limit=st.one_of(st.none(), st.integers(1, 2)))
    def share(self, which: int, who: int, limit: int | None) -> None:
        card = self.card(which)
        self.attempt(
            lambda: treatments.share_card(
                card, customer_id=self.people[who], session_limit=limit, actor=self.spa.manager
            )
        )

    @rule(which=WHICH, who=st.integers(0, 1))
    def unshare(self, which: int, who: int) -> None:
        card = self.card(which)
        self.attempt(lambda: treatments.unshare_card(card, customer_id=self.people[who], actor=self.spa.manager))

    @rule(
        which=WHICH,
        basis=st.sampled_from(BASES),
        fee=st.sampled_from((0, 0, 5_000)),
        by=st.sampled_from(PAY_BY),
        seldom=SELDOM,
    )
    def refund(self, which: int, basis: str, fee: int, by: str, seldom: int) -> None:
        if seldom:
            return  # cards must live a little before they are given back
        card = self.card(which)
        self.attempt(
            lambda: refunds.refund_card(
                card,
                basis=basis,
                fee_amount=fee,
                pay_by=by,
                reference="FT 1",
                shown_amount=None,
                reason="any",
                actor=self.spa.manager,
            )
        )

    @rule(which=WHICH)
    def withdraw_refund(self, which: int) -> None:
        card = self.card(which)
        self.attempt(lambda: refunds.withdraw_refund(card, reason="any", actor=self.spa.manager))

    @rule(which=WHICH, plan=st.integers(0, 2), seldom=SELDOM)
    def exchange(self, which: int, plan: int, seldom: int) -> None:
        if seldom:
            return
        card = self.card(which)
        self.attempt(
            lambda: refunds.exchange_card(
                card,
                plan_id=self.plans[plan],
                branch_id=self.spa.branch,
                fee_amount=0,
                shown_amount=None,
                reason="any",
                actor=self.spa.manager,
            )
        )

    @rule(method=st.sampled_from(("cash", "store_credit")), part=st.integers(1, 3), void=st.booleans())
    def settle(self, method: str, part: int, void: bool) -> None:
        due = Invoice.total_amount - Invoice.paid_amount
        owed = db.session.execute(
            select(Invoice.id, due)
            .where(Invoice.customer_id.in_(self.people), due > 0, Invoice.kind == "invoice", Invoice.status != "void")
            .order_by(Invoice.id)
        ).all()
        db.session.rollback()
        if not owed:
            return
        invoice_id, left = owed[0]
        if void:
            self.attempt(lambda: billing.void_sale(invoice_id, reason="any", actor=self.spa.manager))
            return
        amount = max(left // part, 1)
        self.attempt(lambda: payments.take_payment(invoice_id, method=method, amount=amount, actor=self.spa.manager))

    @rule(days=st.integers(1, 30), night=st.booleans())
    def wait(self, days: int, night: bool) -> None:
        self.clock.shift(dt.timedelta(days=days))
        if night:
            expiry.expire_due()

    @rule()
    def night(self) -> None:
        expiry.expire_due()

    @invariant()
    def the_books_balance(self) -> None:
        assert_books_balance()

    @invariant()
    def a_status_is_what_the_facts_say(self) -> None:
        today = clock.today(TIMEZONE)
        for card in db.session.execute(select(CustomerTreatment)).scalars():
            facts = derive_status(card, today)
            assert card.status == facts or (card.status, facts) == ("active", "expired")
            assert (card.expiry_date is None) <= (card.used_sessions == 0)
        db.session.rollback()


QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)


def _run(cleaner: Cleaner, *, examples: int, steps: int) -> None:
    Desk.cleaner = cleaner
    run_state_machine_as_test(
        Desk,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET),
    )


def test_cards_stay_right_after_any_few_acts(app: Flask, cleaner: Cleaner):
    with app.app_context():
        _run(cleaner, examples=10, steps=30)


@pytest.mark.prove
def test_cards_stay_right_after_very_many_acts(app: Flask, cleaner: Cleaner):
    with app.app_context():
        _run(cleaner, examples=300, steps=60)
