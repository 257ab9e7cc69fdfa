"""Managers' figures. Money comes from the ledger, so that each report can be checked against it; no report writes.

Days are local dates of the branch, bounds included; amounts are minor units.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, Date, Select, Subquery, Text, case, cast, func, literal, null, select, union_all
from sqlalchemy.orm import aliased

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    MONEY_METHODS,
    Account,
    Booking,
    BookingItem,
    Customer,
    CustomerTreatment,
    Deposit,
    Invoice,
    JournalEntry,
    JournalLine,
    Payment,
    Payout,
    Service,
    Staff,
    TreatmentEntry,
    User,
    derive_status,
)

# What is paid with what the spa had before: no money comes in with it.
OTHER_METHODS = ("gift_card", "store_credit", "deposit")
# The "method" of a payment that a credit note made: what was still to be paid came to less, and nobody paid anything.
SETTLED = "settled"
# By which method money moved, by the account on which it did (an account's id is its number). The last is none.
_METHOD_OF = {1110: "cash", 1120: "card", 1130: "bank_transfer", 1140: "e_wallet", 2130: "store_credit"}
_SERVICE_REVENUE, _BREAKAGE_REVENUE = "4110", "4120"
# What is earned or owed beside sessions: account → its name among the revenue of a day.
EARNED = {"4110": "services", "4130": "fees", "4140": "products", "2150": "tips"}
_SESSION_EVENTS = ("session_recognised", "session_returned", "sessions_expired", "sessions_reactivated")
_USED = ("punch", "unpunch", "forfeit")
PER_PAGE = 100


@dataclass
class Day:
    """What a day brought: ``takings`` by method and ``sessions`` punched or forfeited, less what went back of either.

    Of :data:`MONEY_METHODS` the takings are money, deposits among it; :data:`OTHER_METHODS` and :data:`SETTLED` bring
    none. ``revenue_amount`` is that of sessions, ``breakage_amount`` that of expired ones; ``earned`` is the rest, by
    :data:`EARNED` and ``gift_cards`` (expired ones), less what was taken back. None of it holds VAT. Tips are owed to
    therapists.
    """

    on: dt.date
    takings: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    sessions: int = 0
    revenue_amount: int = 0
    breakage_amount: int = 0
    earned: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def taken_amount(self) -> int:
        """Money that came in, for bills and as deposits, less what went back."""
        return sum(self.takings[method] for method in MONEY_METHODS)

    @property
    def all_revenue_amount(self) -> int:
        """Revenue of every kind; tips are none."""
        billed = sum(amount for name, amount in self.earned.items() if name != "tips")
        return billed + self.revenue_amount + self.breakage_amount

    @property
    def other_amount(self) -> int:
        """What was paid with gift cards, store credit and deposits, less what went back onto gift cards."""
        return sum(self.takings[method] for method in OTHER_METHODS)


@dataclass(frozen=True)
class Daily:
    """The daily report. ``total`` adds its days up; what is owed is as of now, on the cards that the branch sold."""

    days: tuple[Day, ...]
    total: Day
    owed_sessions: int
    owed_amount: int
    owed_cards: int


@dataclass(frozen=True)
class Table:
    """Rows behind a figure: one page of them, or all."""

    rows: Sequence[Any]
    total: int
    amount: int

    @property
    def pages(self) -> int:
        """How many pages they fill, one at least."""
        return max(1, -(-self.total // PER_PAGE))


@dataclass(frozen=True)
class PaymentRow:
    """A payment behind the takings, or below zero what was handed out for a credit note (``number``).

    A deposit, or one that was given back, has no invoice but a visit.
    """

    taken_at: dt.datetime
    invoice_id: int | None
    number: str | None
    booking_id: int | None
    customer_id: int
    customer: str
    method: str
    amount: int
    reference: str
    taken_by: str | None


@dataclass(frozen=True)
class SessionRow:
    """A session punched, forfeited or given back (``unpunch``), with the revenue that moved with it."""

    at: dt.datetime
    customer_id: int
    customer: str
    card_id: int
    service: str
    staff: str
    booking_id: int
    kind: str
    sessions: int
    amount: int


@dataclass(frozen=True)
class OwedRow:
    """A card with sessions that are still owed. ``sessions`` includes the reserved ones."""

    card_id: int
    customer_id: int
    customer: str
    phone: str | None
    service: str | None
    sessions: int
    held: int
    expiry_date: dt.date | None  # None: begins with the first visit
    status: str
    amount: int


def get_daily(branch_id: int, *, timezone: str, first: dt.date, last: dt.date) -> Daily:
    """Takings and sessions per day, and what is owed now. Four statements."""
    days = {on: Day(on) for on in (first + dt.timedelta(days=n) for n in range((last - first).days + 1))}
    moved = _shown(branch_id, first, last)
    for on, method, amount in db.session.execute(
        select(moved.c.posted_on, moved.c.method, func.sum(moved.c.amount)).group_by(moved.c.posted_on, moved.c.method)
    ):
        days[on].takings[method] = int(amount)
    of_sessions = JournalEntry.event.in_(_SESSION_EVENTS)
    for on, code, is_session, amount in db.session.execute(
        select(JournalEntry.posted_on, Account.code, of_sessions, -func.sum(JournalLine.amount))
        .join(JournalLine, JournalLine.entry_id == JournalEntry.id)
        .join(Account, Account.id == JournalLine.account_id)
        .where(
            JournalEntry.branch_id == branch_id,
            JournalEntry.posted_on.between(first, last),
            Account.code.in_((_BREAKAGE_REVENUE, *EARNED)),
        )
        .group_by(JournalEntry.posted_on, Account.code, of_sessions)
    ):
        if code == _BREAKAGE_REVENUE:
            if is_session:
                days[on].breakage_amount += int(amount)
            else:
                days[on].earned["gift_cards"] += int(amount)
        elif is_session:
            days[on].revenue_amount += int(amount)
        else:
            days[on].earned[EARNED[code]] += int(amount)
    day_of = cast(func.timezone(timezone, TreatmentEntry.created_at), Date).label("day")
    for on, sessions in db.session.execute(
        _used(branch_id, timezone, first, last).add_columns(day_of, -func.sum(TreatmentEntry.sessions)).group_by("day")
    ):
        days[on].sessions = int(sessions)
    owed = _owed_sums(branch_id)
    return Daily(tuple(days.values()), _total(last, days.values()), owed.sessions, int(owed.amount), owed.cards)


def list_payments(branch_id: int, *, first: dt.date, last: dt.date, method: str = "", page: int | None = None) -> Table:
    """The payments, payouts and deposits of these days, newest first; all of them without a ``page``. Two statements.

    ``amount`` is the sum of one ``method``, or without any that of the money.
    """
    moved = _shown(branch_id, first, last)
    chosen = [moved.c.method == method] if method else []
    summed = func.sum(moved.c.amount).filter(moved.c.method.in_([method] if method else MONEY_METHODS))
    total, amount = db.session.execute(select(func.count(), func.coalesce(summed, 0)).where(*chosen)).one()
    rows = (
        select(
            moved.c.at,
            Invoice.id,
            Invoice.number,
            moved.c.booking_id,
            Customer.id,
            Customer.full_name,
            moved.c.method,
            moved.c.amount,
            moved.c.reference,
            User.full_name,
        )
        .outerjoin(Invoice, Invoice.id == moved.c.invoice_id)
        .outerjoin(Booking, Booking.id == moved.c.booking_id)
        .join(Customer, Customer.id == func.coalesce(Invoice.customer_id, Booking.customer_id))
        .outerjoin(User, User.id == moved.c.actor_id)
        .where(*chosen)
        .order_by(moved.c.at.desc(), moved.c.entry_id.desc())
    )
    return Table([PaymentRow(*row) for row in _paged(rows, page)], total, int(amount))


def list_sessions(branch_id: int, *, timezone: str, first: dt.date, last: dt.date, page: int | None = None) -> Table:
    """The sessions punched, forfeited and given back on these days, newest first. Two statements."""
    chosen = _used(branch_id, timezone, first, last)
    total, amount = db.session.execute(
        chosen.add_columns(func.count(), func.coalesce(func.sum(TreatmentEntry.value_amount), 0))
    ).one()
    rows = (
        chosen.join(CustomerTreatment, CustomerTreatment.id == TreatmentEntry.treatment_id)
        .join(Customer, Customer.id == CustomerTreatment.customer_id)
        .join(Service, Service.id == BookingItem.service_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .add_columns(
            TreatmentEntry.created_at,
            Customer.id,
            Customer.full_name,
            CustomerTreatment.id,
            Service.name,
            Staff.full_name,
            Booking.id,
            TreatmentEntry.kind,
            -TreatmentEntry.sessions,
            TreatmentEntry.value_amount,
        )
        .order_by(TreatmentEntry.created_at.desc(), TreatmentEntry.id.desc())
    )
    return Table([SessionRow(*row) for row in _paged(rows, page)], total, int(amount))


def list_owed(branch_id: int, *, timezone: str, page: int | None = None) -> Table:
    """The branch's cards with sessions still owed, those that expire next first. Two statements."""
    rows = (
        select(CustomerTreatment, Customer.full_name, Customer.phone, Service.name)
        .join(Customer, Customer.id == CustomerTreatment.customer_id)
        .outerjoin(Service, Service.id == CustomerTreatment.service_id)
        .where(CustomerTreatment.branch_id == branch_id, _UNUSED > 0)
        .order_by(CustomerTreatment.expiry_date, CustomerTreatment.id)
    )
    sums = _owed_sums(branch_id)
    today = clock.today(timezone)
    return Table(
        [
            OwedRow(
                card_id=card.id,
                customer_id=card.customer_id,
                customer=customer,
                phone=phone,
                service=service,
                sessions=card.total_sessions - card.used_sessions - card.expired_sessions,
                held=card.held_sessions,
                expiry_date=card.expiry_date,
                status=derive_status(card, today),
                amount=card.owed_amount,
            )
            for card, customer, phone, service in _paged(rows, page)
        ],
        sums.cards,
        int(sums.amount),
    )


def moved_money(branch_id: int, first: dt.date, last: dt.date) -> Subquery:
    """What was paid, and below zero what was handed out, by the day of its posting; ``source`` says which it was.

    ``payment`` (that of a credit note has the method :data:`SETTLED`), ``payout``, ``deposit_taken`` or
    ``deposit_returned`` (as money or store credit).
    """
    bounds = (JournalEntry.branch_id == branch_id, JournalEntry.posted_on.between(first, last))
    paid = (
        select(
            literal("payment").label("source"),
            JournalEntry.posted_on,
            JournalEntry.id.label("entry_id"),
            Payment.invoice_id,
            cast(null(), BigInteger).label("booking_id"),
            case((Payment.credit_note_id.is_not(None), SETTLED), else_=Payment.method).label("method"),
            Payment.amount,
            Payment.reference,
            Payment.taken_at.label("at"),
            Payment.actor_id,
        )
        .join(Payment, Payment.id == JournalEntry.payment_id)
        .where(*bounds, JournalEntry.event == "payment_taken")
    )
    back = (
        select(
            literal("payout"),
            JournalEntry.posted_on,
            JournalEntry.id,
            Payout.invoice_id,
            cast(null(), BigInteger),
            Payout.method,
            -Payout.amount,
            Payout.reference,
            Payout.given_at,
            Payout.actor_id,
        )
        .join(Payout, Payout.entry_id == JournalEntry.id)
        .where(*bounds)
    )
    owed, money = aliased(JournalLine), aliased(JournalLine)
    deposits = (
        select(
            JournalEntry.event,
            JournalEntry.posted_on,
            JournalEntry.id,
            cast(null(), BigInteger),
            Deposit.booking_id,
            case(_METHOD_OF, value=money.account_id),
            money.amount,
            case((JournalEntry.event == "deposit_taken", Deposit.reference), else_=cast("", Text)),
            JournalEntry.created_at,
            JournalEntry.actor_id,
        )
        .select_from(owed)
        .join(JournalEntry, JournalEntry.id == owed.entry_id)
        .join(Deposit, Deposit.id == owed.deposit_id)
        .join(money, (money.entry_id == JournalEntry.id) & money.deposit_id.is_(None))
        .where(*bounds, owed.deposit_id.is_not(None), JournalEntry.event.in_(("deposit_taken", "deposit_returned")))
    )
    return union_all(paid, back, deposits).subquery("moved")


def _shown(branch_id: int, first: dt.date, last: dt.date) -> Subquery:
    """The same without deposits that became store credit: nothing was paid or handed out by that."""
    moved = moved_money(branch_id, first, last)
    became_credit = (moved.c.source == "deposit_returned") & (moved.c.method == "store_credit")
    return select(moved).where(~became_credit).subquery("shown")


_UNUSED = CustomerTreatment.total_sessions - CustomerTreatment.used_sessions - CustomerTreatment.expired_sessions


def _owed_sums(branch_id: int) -> Any:
    owed = CustomerTreatment.deferred_amount - CustomerTreatment.recognised_amount - CustomerTreatment.expired_amount
    return db.session.execute(
        select(
            func.count(case((_UNUSED > 0, 1))).label("cards"),
            func.coalesce(func.sum(_UNUSED), 0).label("sessions"),
            func.coalesce(func.sum(owed), 0).label("amount"),
        ).where(CustomerTreatment.branch_id == branch_id)
    ).one()


def _used(branch_id: int, timezone: str, first: dt.date, last: dt.date) -> Select[Any]:
    """The entries that used a session in one of the branch's visits, or gave it back; columns are still to be added."""
    begins, _ = clock.day_bounds(first, timezone)
    _, ends = clock.day_bounds(last, timezone)
    return (
        select()
        .select_from(TreatmentEntry)
        .join(BookingItem, BookingItem.id == TreatmentEntry.booking_item_id)
        .join(Booking, Booking.id == BookingItem.booking_id)
        .where(
            Booking.branch_id == branch_id,
            TreatmentEntry.kind.in_(_USED),
            TreatmentEntry.created_at >= begins,
            TreatmentEntry.created_at < ends,
        )
    )


def _paged(rows: Any, page: int | None) -> Iterator[Any]:
    if page is not None:
        rows = rows.limit(PER_PAGE).offset((page - 1) * PER_PAGE)
    return iter(db.session.execute(rows))


def _total(on: dt.date, days: Any) -> Day:
    total = Day(on)
    for day in days:
        for method, amount in day.takings.items():
            total.takings[method] += amount
        total.sessions += day.sessions
        total.revenue_amount += day.revenue_amount
        total.breakage_amount += day.breakage_amount
        for name, amount in day.earned.items():
            total.earned[name] += amount
    return total
