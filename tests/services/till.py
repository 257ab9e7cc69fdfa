"""What a desk sells and takes, in whatever order, and what holds after each step: half of the ``MoneyDesk``."""

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import time_machine
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Select, func, select, text
from sqlalchemy.exc import DBAPIError

from spa_app import clock
from spa_app.errors import DomainError
from spa_app.extensions import db
from spa_app.models import (
    PAYMENT_METHODS,
    Booking,
    Customer,
    CustomerTreatment,
    DayClose,
    Deposit,
    GiftCard,
    Invoice,
    JournalEntry,
    JournalLine,
)
from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.queries.deposits import usable_amount
from spa_app.queries.ledger import liability
from spa_app.services import (
    billing,
    bookings,
    deposits,
    gift_card_desk,
    payments,
    reconciliation,
)
from spa_app.services.bookings import ItemRequest
from tests.books import assert_books_balance
from tests.conftest import Cleaner
from tests.factories import (
    TIMEZONE,
    make_customer,
    make_drawer,
    make_plan,
    make_product,
    make_promotion,
    make_service,
    make_spa,
    make_staff,
    set_policy,
)

WHICH = st.integers(0, 9)
WHO = st.integers(0, 1)
PART = st.integers(1, 3)  # the whole, a half, a third
PAID = st.sampled_from(("", "", *PAYMENT_METHODS))
DEPOSITED = ("cash", "card", "bank_transfer", "e_wallet")
# What the desk is refused by the database itself, though nobody else is there; any other such refusal is a fault.
BY_THE_DATABASE = ("day_closed",)

# What is owed, by account: the ledger's word for it and that of the rows which it is owed for.
OWED = text(
    """
    SELECT name, owed, coalesce(-sum(l.amount), 0) AS posted FROM (
        SELECT 'all of it' AS name, NULL::int AS account, 0 AS owed
        UNION ALL SELECT 'packages', 2110, sum(deferred_amount - recognised_amount - expired_amount)
            FROM customer_treatments
        UNION ALL SELECT 'store credit', 2130, sum(credit_amount) FROM customers
        UNION ALL SELECT 'gift cards', 2140, sum(balance_amount) FROM gift_cards
        UNION ALL SELECT 'deposits', 2160, sum(balance_amount) FROM deposits
        UNION ALL SELECT 'VAT', 2120, sum(vat_amount) FROM invoices WHERE status <> 'void'
        UNION ALL SELECT 'receivables', 1310, -sum(total_amount - paid_amount) FROM invoices
            WHERE kind = 'invoice' AND status <> 'void' AND NOT is_credited) o
    LEFT JOIN journal_lines l ON l.account_id = o.account OR o.account IS NULL
    GROUP BY name, owed HAVING coalesce(owed, 0) <> coalesce(-sum(l.amount), 0)"""
)


@dataclass(frozen=True)
class Order:
    """What a customer wants on a bill: of the things on the shelf (which, how many, with which discount) and more."""

    wares: tuple[tuple[int, int, Discount | None], ...]
    discount: Discount | None
    code: str
    tip: int


CUTS = st.sampled_from(
    (None, None, Discount(share_bp=1_000), Discount(share_bp=3_333), Discount(amount=7_777), Discount(share_bp=10_000))
)
ORDERS = st.builds(
    Order,
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), CUTS), min_size=1, max_size=3).map(tuple),
    st.sampled_from((None, None, Discount(share_bp=555), Discount(amount=10_001))),
    st.sampled_from(("", "", "TEN", "TWICE")),
    st.sampled_from((0, 0, 10_001)),
)


class Till(RuleBasedStateMachine):
    """Two customers, their cards, visits and bills, a drawer, and a manager, who may do everything.

    Each example has a database of its own, emptied before it. The clock goes on by a minute with each act: the order of
    two acts is never a matter of the same instant. ``done`` and ``refused`` count over all examples.
    """

    cleaner: ClassVar[Cleaner]
    done: ClassVar[Counter[str]] = Counter()
    refused: ClassVar[Counter[tuple[str, str]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        db.session.remove()
        self.cleaner.clean()
        self.travel = time_machine.travel(clock.now(), tick=False)
        self.clock = self.travel.start()
        self.hours = 0
        self.closed: dict[int, list[Any]] = {}

    @initialize()
    def open(self) -> None:
        spa = make_spa()
        self.branch, self.actor = spa.branch, spa.manager
        set_policy(spa.branch, no_show_policy="fee", no_show_fee_bp=5_000, late_cancel_policy="forfeit")
        set_policy(spa.branch, gift_card_months=1, close_with_open_invoices="warn")
        self.services = (make_service(minutes=30, price=333_333), make_service(minutes=30, price=120_001))
        self.staff = make_staff(spa.branch, self.services)
        self.people = (make_customer(), make_customer())
        self.shelf = (
            ("product", make_product(spa.branch, price=99_999, on_hand=12)),
            ("product", make_product(spa.branch, price=200_000, vat_rate_bp=500, on_hand=9)),
            ("plan", make_plan([(self.services[0], 3)], price=100_001, days=40)),
            ("plan", make_plan([(self.services[0], 2), (None, 1)], price=777_777, months=1, bonus=1)),
            ("plan", make_plan([(None, 2)], price=50_000, days=20, from_first_visit=True)),
        )
        make_promotion("TEN")
        make_promotion("TWICE", discount_amount=25_000, max_uses=2)
        self.drawer = make_drawer(spa.branch, opening=500_000)
        plain = Order(((2, 1, None), (0, 2, None)), None, "", 0)
        for who in (0, 1):
            self.sell(who, plain, paid="cash")
            self.sell_gift_card(who, 300_000, True)
            self.book(who, True, True)
        self.visit(0, plain, "cash")

    def teardown(self) -> None:
        """Prove the books the other ways, too; but for statuses, which go by PostgreSQL's clock: that stood still."""
        try:
            assert [fault.text for fault in reconciliation.list_faults() if fault.code != "card_status"] == []
            if hasattr(self, "branch"):
                today = clock.today(TIMEZONE)
                assert liability.get_liability(self.branch, first=today - dt.timedelta(days=400), last=today).is_proved
        finally:
            self.travel.stop()
            db.session.remove()

    def attempt(self, act: str, do: Callable[[], Any]) -> Any:
        """What an act returns, or None where it is refused: by the rules, not by the last line of defence."""
        self.clock.shift(dt.timedelta(minutes=1))
        try:
            done = do()
        except DomainError as error:
            db.session.rollback()
            if isinstance(error.__cause__, DBAPIError) and error.code not in BY_THE_DATABASE:
                raise AssertionError(f"{act}: nothing but the database refused it ({error.code})") from error
            self.refused[act, error.code] += 1
            return None
        self.done[act] += 1
        return done

    def pick(self, query: Select[Any], which: int) -> Any:
        """One of the rows that a query finds, or None."""
        rows = db.session.execute(query).all()
        db.session.rollback()
        return rows[which % len(rows)] if rows else None

    # Bills

    @rule(who=WHO, order=ORDERS, paid=PAID)
    def sell(self, who: int, order: Order, paid: str) -> None:
        sale = self.attempt(
            "sell",
            lambda: billing.sell(
                customer_id=self.people[who], branch_id=self.branch, bill=self.bill(order), actor=self.actor
            ),
        )
        if sale and paid:
            self.take(sale, paid)

    def bill(self, order: Order, *, plans: bool = True) -> Bill:
        shelf = self.shelf if plans else self.shelf[:2]
        wares = [(*shelf[which % len(shelf)], quantity, cut) for which, quantity, cut in order.wares]
        return Bill(
            wares=tuple(Ware(kind, one, 1 if kind == "plan" else number, cut) for kind, one, number, cut in wares),
            discount=order.discount,
            reason="a regular",
            code=order.code,
            tip=Tip(order.tip, staff_ids=(self.staff,)),
        )

    @rule(which=WHICH, order=ORDERS)
    def change_bill(self, which: int, order: Order) -> None:
        found = self.pick(self.unpaid(), which)
        if found:
            bill = self.bill(order, plans=found.booking_id is None)
            self.attempt("change bill", lambda: billing.change_bill(found.id, bill=bill, actor=self.actor))

    @rule(which=WHICH)
    def void(self, which: int) -> None:
        found = self.pick(self.unpaid().where(Invoice.booking_id.is_(None)), which)
        if found:
            self.attempt("void", lambda: billing.void_sale(found.id, reason="any", actor=self.actor))

    def unpaid(self) -> Select[Any]:
        return self.owed().where(Invoice.paid_amount == 0)

    def owed(self) -> Select[Any]:
        due = Invoice.total_amount - Invoice.paid_amount
        return (
            select(Invoice.id, Invoice.booking_id, Invoice.customer_id, due.label("due"))
            .where(Invoice.kind == "invoice", Invoice.status != "void", due > 0)
            .order_by(Invoice.id.desc())
        )

    # Payments

    @rule(which=WHICH, method=st.sampled_from(PAYMENT_METHODS), part=PART)
    def pay(self, which: int, method: str, part: int) -> None:
        found = self.pick(self.owed(), which)
        if found:
            self.take(found.id, method, part)

    def take(self, invoice_id: int, method: str, part: int = 1) -> None:
        """Pay all of an invoice that the method has, or a part of that."""
        found = self.pick(self.owed().where(Invoice.id == invoice_id), 0)
        code, amount = "", found.due if found else 1
        if method == "gift_card":
            on_cards = select(GiftCard.code, GiftCard.balance_amount.label("amount"))
            code, held = self.pick(on_cards.order_by(GiftCard.balance_amount.desc()), part)
            amount = min(amount, held)
        elif method == "deposit" and found:
            amount = min(amount, usable_amount(found.booking_id, found.customer_id))
        elif method == "store_credit" and found:
            amount = min(amount, db.session.get_one(Customer, found.customer_id).credit_amount)
        amount = max(amount // part, 1)
        self.attempt(
            f"pay by {method}",
            lambda: payments.take_payment(
                invoice_id,
                method=method,
                amount=amount,
                reference="" if method == "cash" else "FT 1",
                tendered_amount=amount + 50_000 if method == "cash" else None,
                gift_card_code=code,
                actor=self.actor,
            ),
        )

    # Visits and deposits

    @rule(who=WHO, prepaid=st.booleans(), deposit=st.booleans())
    def book(self, who: int, prepaid: bool, deposit: bool) -> None:
        self.book_visit(who, prepaid, deposit)

    def book_visit(self, who: int, prepaid: bool, deposit: bool) -> int | None:
        card = self.pick(self.cards().where(CustomerTreatment.customer_id == self.people[who]), 0) if prepaid else None
        self.hours += 1
        starts_at = clock.now().replace(second=0, microsecond=0) - dt.timedelta(hours=2 * (self.hours % 50))
        items = [ItemRequest(self.services[0], treatment_id=card.id if card else None)]
        visit = self.attempt(
            "book",
            lambda: bookings.book(
                customer_id=self.people[who],
                branch_id=self.branch,
                starts_at=starts_at,
                items=[*items, ItemRequest(self.services[1])] if deposit else items,
                actor=self.actor,
                override_hours=True,
            ),
        )
        if visit and deposit:
            self.take_deposit(visit, DEPOSITED[self.hours % 4], 60_001)
        return visit

    @rule(who=WHO, order=st.one_of(st.none(), ORDERS), paid=PAID)
    def visit(self, who: int, order: Order | None, paid: str) -> None:
        """One who comes, is served, buys something and perhaps pays."""
        visit = self.book_visit(who, order is None, False)
        if visit:
            self.serve(visit, order)
            found = self.pick(self.owed().where(Invoice.booking_id == visit), 0)
            if found and paid:
                self.take(found.id, paid)

    @rule(which=WHICH, order=st.one_of(st.none(), ORDERS))
    def complete(self, which: int, order: Order | None) -> None:
        found = self.pick(self.visits("confirmed", "in_progress"), which)
        if found:
            self.serve(found.id, order)

    def serve(self, visit: int, order: Order | None) -> None:
        bill = self.bill(order, plans=False) if order else None
        if db.session.get_one(Booking, visit).status == "confirmed":
            bookings.start(visit, actor=self.actor)
        self.attempt("complete", lambda: bookings.complete(visit, bill=bill, actor=self.actor))

    def visits(self, *statuses: str) -> Select[Any]:
        return select(Booking.id).where(Booking.status.in_(statuses)).order_by(Booking.id.desc())

    @rule(which=WHICH)
    def undo_complete(self, which: int) -> None:
        found = self.pick(self.visits("completed"), which)
        if found:
            self.attempt("undo complete", lambda: bookings.undo_complete(found.id, actor=self.actor))

    @rule(which=WHICH, late=st.booleans())
    def miss(self, which: int, late: bool) -> None:
        found = self.pick(self.visits("confirmed"), which)
        if found and late:
            self.attempt("cancel", lambda: bookings.cancel(found.id, reason="any", actor=self.actor))
        elif found:
            self.attempt("no-show", lambda: bookings.mark_no_show(found.id, actor=self.actor))

    @rule(which=WHICH)
    def undo_miss(self, which: int) -> None:
        found = self.pick(self.visits("cancelled", "no_show"), which)
        if found:
            self.attempt("undo cancel or no-show", lambda: bookings.undo_cancel(found.id, actor=self.actor))

    @rule(which=WHICH, method=st.sampled_from(DEPOSITED), amount=st.sampled_from((50_000, 333_334)))
    def deposit(self, which: int, method: str, amount: int) -> None:
        found = self.pick(self.visits("confirmed", "in_progress"), which)
        if found:
            self.take_deposit(found.id, method, amount)

    def take_deposit(self, visit: int, method: str, amount: int) -> None:
        self.attempt(
            "take deposit",
            lambda: deposits.take_deposit(visit, method=method, amount=amount, reference="FT 1", actor=self.actor),
        )

    @rule(which=WHICH, method=st.sampled_from((*DEPOSITED, "store_credit")), part=PART)
    def return_deposit(self, which: int, method: str, part: int) -> None:
        query = select(Deposit.id, Deposit.balance_amount).where(Deposit.balance_amount > 0).order_by(Deposit.id)
        found = self.pick(query, which)
        if found:
            amount = max(found.balance_amount // part, 1)
            self.attempt(
                "return deposit",
                lambda: deposits.return_deposit(
                    found.id, method=method, amount=amount, reason="any", reference="FT 1", actor=self.actor
                ),
            )

    # Gift cards

    @rule(who=WHO, amount=st.sampled_from((50_001, 300_000)), paid=st.booleans())
    def sell_gift_card(self, who: int, amount: int, paid: bool) -> None:
        sale = self.attempt(
            "sell gift card",
            lambda: gift_card_desk.sell_gift_card(
                customer_id=self.people[who], amount=amount, branch_id=self.branch, actor=self.actor
            ),
        )
        if sale and paid:
            self.take(sale, "cash")

    @rule(amount=st.sampled_from((77_777, 200_000)))
    def issue_gift_card(self, amount: int) -> None:
        self.attempt(
            "issue gift card",
            lambda: gift_card_desk.issue_gift_card(
                amount=amount, branch_id=self.branch, reason="any", actor=self.actor
            ),
        )

    @rule(which=WHICH, amount=st.sampled_from((-50_001, 1, 33_333)))
    def adjust_gift_card(self, which: int, amount: int) -> None:
        self.with_gift_card("adjust", which, gift_card_desk.adjust_gift_card, amount=amount)

    @rule(which=WHICH, days=st.integers(0, 40))
    def extend_gift_card(self, which: int, days: int) -> None:
        on = clock.today(TIMEZONE) + dt.timedelta(days=days)
        self.with_gift_card("extend", which, gift_card_desk.extend_gift_card, expires_on=on)

    @rule(which=WHICH)
    def cancel_gift_card(self, which: int) -> None:
        self.with_gift_card("cancel", which, gift_card_desk.cancel_gift_card)

    def with_gift_card(self, act: str, which: int, do: Callable[..., int], **values: Any) -> None:
        card = self.pick(select(GiftCard.id).order_by(GiftCard.id.desc()), which)
        self.attempt(f"{act} gift card", lambda: do(card.id, reason="any", actor=self.actor, **values))

    def closed_days(self) -> list[dt.date]:
        query = select(DayClose.closed_on).where(DayClose.reopened_at.is_(None))
        days = list(db.session.execute(query).scalars())
        db.session.rollback()
        return days

    def posted_through(self, on: dt.date) -> list[Any]:
        query = (
            select(JournalLine.account_id, func.sum(JournalLine.amount))
            .join(JournalEntry, JournalEntry.id == JournalLine.entry_id)
            .where(JournalEntry.branch_id == self.branch, JournalEntry.posted_on <= on)
            .group_by(JournalLine.account_id)
            .order_by(JournalLine.account_id)
        )
        rows = [tuple(row) for row in db.session.execute(query)]
        db.session.rollback()
        return rows

    # What holds after each step

    @invariant()
    def the_books_balance(self) -> None:
        assert_books_balance()

    @invariant()
    def what_is_owed_is_what_was_posted(self) -> None:
        wrong = [tuple(row) for row in db.session.execute(OWED)]
        db.session.rollback()
        assert wrong == []

    @invariant()
    def a_closed_day_stays_as_it_was(self) -> None:
        if days := self.closed_days():
            assert self.posted_through(max(days)) == self.closed[max(self.closed)]
