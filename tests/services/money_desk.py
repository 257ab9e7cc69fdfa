"""A desk that does whatever moves money, in whatever order: the machine of ``test_money_in_any_order``."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy import Select, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    CustomerTreatment,
    DayClose,
    DrawerSession,
    Invoice,
    InvoiceLine,
    JournalEntry,
    Payment,
)
from spa_app.models.invoice_refund import AS_CREDIT, AS_PAID, WAYS_BACK
from spa_app.models.refund import BASES
from spa_app.queries.day_close import find_day_left_open
from spa_app.services import (
    day_close,
    drawers,
    expiry,
    refunds,
    treatments,
)
from spa_app.services.drawers import Count
from spa_app.services.refunds import PAY_BY, Wish
from tests.factories import (
    TIMEZONE,
)
from tests.services.till import PART, WHICH, WHO, Till


class MoneyDesk(Till):
    """A :class:`Till` that gives back, too, counts its cash and closes its days."""

    # Refunds

    @rule(which=WHICH, what=st.sampled_from(("whole", "part", "piece")), part=PART, to=WHICH)
    def refund(self, which: int, what: str, part: int, to: int) -> None:
        paid = select(Invoice.id).where(Invoice.kind == "invoice", Invoice.paid_amount > 0, ~Invoice.is_credited)
        found = self.pick(paid.order_by(Invoice.id.desc()), which)
        if not found:
            return
        line = self.pick(
            select(InvoiceLine.id, InvoiceLine.amount)
            .where(InvoiceLine.invoice_id == found.id, InvoiceLine.kind != "discount")
            .order_by(InvoiceLine.position),
            which,
        )
        wish = Wish(quantity=1) if what == "piece" else Wish(amount=max(line.amount // (part + 1), 1))
        methods = select(Payment.method).where(Payment.invoice_id == found.id).order_by(Payment.id)
        ways = [AS_PAID, AS_CREDIT, *(way for way in db.session.execute(methods).scalars() if way in WAYS_BACK)]
        db.session.rollback()
        way = ways[to % len(ways)]
        self.attempt(
            f"refund {what}, {way}",
            lambda: refunds.refund_invoice(
                found.id,
                lines=None if what == "whole" else {line.id: wish},
                to=way,
                reference="FT 1",
                reason="any",
                actor=self.actor,
            ),
        )

    @rule(which=WHICH)
    def withdraw_refund(self, which: int) -> None:
        note = self.pick(
            select(Invoice.id)
            .join(JournalEntry, JournalEntry.invoice_id == Invoice.id)
            .where(JournalEntry.event == "invoice_refunded", Invoice.status != "void")
            .order_by(Invoice.id.desc()),
            which,
        )
        if note:
            self.attempt(
                "withdraw refund", lambda: refunds.withdraw_invoice_refund(note.id, reason="any", actor=self.actor)
            )

    # Cards

    def cards(self) -> Select[Any]:
        return (
            select(CustomerTreatment.id, CustomerTreatment.customer_id)
            .where(CustomerTreatment.used_sessions + CustomerTreatment.held_sessions < CustomerTreatment.total_sessions)
            .order_by(CustomerTreatment.id.desc())
        )

    def with_card(self, act: str, which: int, do: Callable[..., int], **values: Any) -> None:
        card = self.pick(self.cards(), which)
        if card:
            self.attempt(f"{act} card", lambda: do(card.id, reason="any", actor=self.actor, **values))

    @rule(
        which=WHICH,
        basis=st.sampled_from(BASES),
        fee_amount=st.sampled_from((0, 5_000)),
        pay_by=st.sampled_from(PAY_BY),
    )
    def refund_card(self, which: int, **chosen: Any) -> None:
        self.with_card("refund", which, refunds.refund_card, reference="FT 1", shown_amount=None, **chosen)

    @rule(which=WHICH, plan=st.integers(2, 4))
    def exchange_card(self, which: int, plan: int) -> None:
        where = {"branch_id": self.branch, "fee_amount": 0, "shown_amount": None}
        self.with_card("exchange", which, refunds.exchange_card, plan_id=self.shelf[plan][1], **where)

    @rule(which=WHICH)
    def withdraw_card_refund(self, which: int) -> None:
        query = select(CustomerTreatment.id).where(CustomerTreatment.cancelled_at.is_not(None))
        card = self.pick(query.order_by(CustomerTreatment.id.desc()), which)
        if card:
            self.attempt(
                "withdraw card refund", lambda: refunds.withdraw_refund(card.id, reason="any", actor=self.actor)
            )

    @rule(which=WHICH, who=WHO, sessions=st.sampled_from((None, 1)))
    def transfer(self, which: int, who: int, sessions: int | None) -> None:
        to = self.people[who]
        self.with_card("transfer", which, treatments.transfer_sessions, customer_id=to, sessions=sessions)

    @rule(which=WHICH, sessions=st.sampled_from((-1, 2)))
    def adjust_card(self, which: int, sessions: int) -> None:
        self.with_card("adjust", which, treatments.adjust_card, sessions=sessions)

    @rule(which=WHICH, days=st.integers(1, 40))
    def reactivate(self, which: int, days: int) -> None:
        gone = select(CustomerTreatment.id).where(CustomerTreatment.expired_sessions > 0)
        card, on = self.pick(gone.order_by(CustomerTreatment.id), which), clock.today(TIMEZONE) + dt.timedelta(days)
        if card:
            self.attempt(
                "reactivate card",
                lambda: treatments.reactivate_card(card.id, expiry_date=on, reason="any", actor=self.actor),
            )

    # The drawer, days and nights

    @rule(act=st.sampled_from(("paid_in", "drop", "expense")), amount=st.sampled_from((1, 45_000)))
    def move_cash(self, act: str, amount: int) -> None:
        found = self.pick(self.open_sessions(), 0)
        if found:
            self.attempt(
                "move cash",
                lambda: drawers.move_cash(found.id, kind=act, amount=amount, reason="any", actor=self.actor),
            )

    @rule(counted=st.booleans(), off=st.sampled_from((0, 0, -1, 20_000)), part=PART)
    def open_or_close_drawer(self, counted: bool, off: int, part: int) -> None:
        found = self.pick(self.open_sessions(), 0)
        how = "counted" if counted else "uncounted"
        if not found:
            count = Count(other_amount=300_000 + off) if counted else None
            self.attempt(f"open drawer {how}", lambda: drawers.open_drawer(self.drawer, count=count, actor=self.actor))
            return
        expected = drawers.expected_in(db.session.get_one(DrawerSession, found.id)) or 0
        db.session.rollback()
        count = Count(other_amount=max(expected + off, 0)) if counted else None
        left = count.amount // part if count else None
        self.attempt(
            f"close drawer {how}",
            lambda: drawers.close_drawer(found.id, count=count, left_amount=left, reason="any", actor=self.actor),
        )

    def open_sessions(self) -> Select[Any]:
        return select(DrawerSession.id).where(DrawerSession.closed_at.is_(None))

    @rule(today=st.sampled_from((False, False, True)), then=st.sampled_from(("nothing", "reopen", "next day")))
    def close_day(self, today: bool, then: str) -> None:
        present = clock.today(TIMEZONE)
        last = max(self.closed_days(), default=None)
        on = present if today else present - dt.timedelta(days=1)
        if last:
            on = find_day_left_open(self.branch, after=last, before=present) or on
            db.session.rollback()
        report = self.attempt(
            "close day", lambda: day_close.close_day(self.branch, on=on, uncounted=True, actor=self.actor)
        )
        if report:
            self.closed[report] = self.posted_through(on)
        if then == "reopen":
            self.reopen_day()
        if then == "next day":
            self.wait(1)

    @rule()
    def reopen_day(self) -> None:
        report = self.pick(select(DayClose.id).order_by(DayClose.closed_on.desc(), DayClose.id.desc()), 0)
        if report and self.attempt(
            "reopen day", lambda: day_close.reopen_day(report.id, reason="any", actor=self.actor)
        ):
            self.closed.pop(report.id)

    @rule(days=st.sampled_from((1, 1, 2, 9, 35)))
    def wait(self, days: int) -> None:
        self.clock.shift(dt.timedelta(days=days))
        self.done["expire cards"] += sum(one.cards for one in expiry.expire_due())
        self.done["expire gift cards"] += sum(one.cards for one in expiry.expire_due_gift_cards())
