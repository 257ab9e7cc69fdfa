"""What one day of a branch came to: the figures of the Z-report.

Days are local dates of the branch, amounts are minor units, VAT included. Takings and payouts come from the same rows
as the reports; no customer is named, since the report is kept for ever.
"""

import datetime as dt
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    MONEY_METHODS,
    Booking,
    Customer,
    DrawerSession,
    Invoice,
    InvoiceLine,
)
from spa_app.queries.drawers import SessionView, list_sessions, sum_cash
from spa_app.queries.invoice_lists import DUE
from spa_app.queries.reports import SETTLED, get_daily, moved_money

MOST_ROWS = 200
UNFINISHED = ("pending", "confirmed", "in_progress")


@dataclass(frozen=True)
class KindRow:
    """What was invoiced of one kind of line."""

    kind: str
    quantity: int
    amount: int


@dataclass(frozen=True)
class VatRow:
    """What was sold at one rate (basis points), voids and credit notes taken off; ``vat_amount`` is in ``amount``."""

    rate_bp: int
    amount: int
    vat_amount: int


@dataclass(frozen=True)
class MethodRow:
    """Payments, payouts or deposits of one method; a payment that a credit note made has the method SETTLED."""

    method: str
    count: int
    amount: int

    @property
    def is_money(self) -> bool:
        """Whether money moved; a gift card, store credit and a deposit are what the spa had before."""
        return self.method in MONEY_METHODS


@dataclass(frozen=True)
class DocumentRow:
    """An invoice or credit note; ``amount`` is its total, or what is left to pay where that is listed."""

    id: int
    number: str
    amount: int
    reason: str = ""


@dataclass(frozen=True)
class DrawerRow:
    """One session of a drawer. Instants as ISO texts; what nobody counted or knows is None."""

    session_id: int
    drawer: str
    opened_at: str
    opened_by: str | None
    opened_as: str
    opening_float_amount: int | None
    opening_variance_amount: int | None
    closed_at: str | None
    closed_by: str | None
    taken_amount: int
    given_amount: int
    paid_in_amount: int
    dropped_amount: int
    spent_amount: int
    put_away_amount: int
    expected_amount: int | None
    counted_amount: int | None
    variance_amount: int | None
    left_amount: int | None
    denominations: dict[str, int] | None
    reason: str


@dataclass(frozen=True)
class ZFacts:
    """What one day came to. ``takings`` are all payments by method: the database compares them with its rows.

    ``sales`` are the lines of the invoices issued that day, as they were issued; ``voided_amount`` and
    ``credited_amount`` are what was taken back that day, of whatever day. Both are zero or below, but for a credit note
    that is void: it is among what was voided, above zero. ``expired_amount`` is that of sessions.
    """

    sales: tuple[KindRow, ...]
    voided_amount: int
    credited_amount: int
    vat: tuple[VatRow, ...]
    payments: tuple[MethodRow, ...]
    takings: dict[str, int]
    payouts: tuple[MethodRow, ...]
    sessions_punched: int
    sessions_amount: int
    expired_amount: int
    plans_sold: int
    documents: int
    first_number: str
    last_number: str
    voids: tuple[DocumentRow, ...]
    credit_notes: tuple[DocumentRow, ...]
    open_invoices: tuple[DocumentRow, ...]
    open_count: int
    open_amount: int
    older_count: int
    older_amount: int
    unfinished_visits: int
    drawers: tuple[DrawerRow, ...]
    deposits: tuple[MethodRow, ...] = ()
    deposits_returned: tuple[MethodRow, ...] = ()

    @property
    def sold_amount(self) -> int:
        """What was invoiced, before anything was taken back."""
        return sum(row.amount for row in self.sales)

    @property
    def net_amount(self) -> int:
        """What was sold, with what was taken back taken off."""
        return self.sold_amount + self.voided_amount + self.credited_amount

    @property
    def taken_amount(self) -> int:
        """The money that came in, for bills and as deposits."""
        return sum(row.amount for row in (*self.payments, *self.deposits) if row.is_money)

    @property
    def given_amount(self) -> int:
        """The money that was handed out, for credit notes and of deposits."""
        return sum(row.amount for row in (*self.payouts, *self.deposits_returned) if row.is_money)

    @property
    def kept_amount(self) -> int:
        """The money that came in, less what was handed out."""
        return self.taken_amount - self.given_amount

    @property
    def variance_amount(self) -> int:
        """Over (above zero) or short of the drawers that were counted."""
        return sum(row.variance_amount or 0 for row in self.drawers)

    def as_json(self) -> dict[str, Any]:
        """What is stored of it."""
        return asdict(self)

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> "ZFacts":
        """It again, from what was stored. A figure that a later version adds needs a default for the older ones."""
        rows = {
            "sales": KindRow,
            "vat": VatRow,
            "payments": MethodRow,
            "payouts": MethodRow,
            "voids": DocumentRow,
            "credit_notes": DocumentRow,
            "open_invoices": DocumentRow,
            "drawers": DrawerRow,
            "deposits": MethodRow,
            "deposits_returned": MethodRow,
        }
        values = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        return cls(**values | {name: tuple(row(**one) for one in values.get(name, ())) for name, row in rows.items()})


@dataclass(frozen=True)
class VisitRow:
    """A visit of the day that is not over yet."""

    id: int
    starts_at: dt.datetime
    customer: str
    status: str


def get_facts(branch_id: int, on: dt.date, *, timezone: str, after: dt.date | None) -> ZFacts:
    """What the day ``on`` came to, as it stands now; ``after`` is the last closed day before it. Some 15 statements.

    A drawer's session belongs to the day on which it was opened; one that is still open to this day, too.
    """
    begins, ends = clock.day_bounds(on, timezone)
    issued = and_(Invoice.branch_id == branch_id, Invoice.issued_at >= begins, Invoice.issued_at < ends)
    voided = and_(Invoice.branch_id == branch_id, Invoice.voided_at >= begins, Invoice.voided_at < ends)
    sales = _sales(issued)
    day = get_daily(branch_id, timezone=timezone, first=on, last=on).total
    documents, first, last = db.session.execute(
        select(func.count(), func.min(Invoice.number), func.max(Invoice.number)).where(issued)
    ).one()
    due = and_(Invoice.branch_id == branch_id, DUE, Invoice.issued_at < ends)
    left = Invoice.total_amount - Invoice.paid_amount
    open_count, open_amount, older_count, older_amount = db.session.execute(
        select(
            func.count().filter(Invoice.issued_at >= begins),
            func.coalesce(func.sum(left).filter(Invoice.issued_at >= begins), 0),
            func.count().filter(Invoice.issued_at < begins),
            func.coalesce(func.sum(left).filter(Invoice.issued_at < begins), 0),
        ).where(due)
    ).one()
    moved = _moved(branch_id, on)
    voids = _documents(voided, -Invoice.total_amount)
    notes = _documents(and_(issued, Invoice.kind == "credit_note"), Invoice.total_amount)
    return ZFacts(
        sales=sales,
        voided_amount=_total(voided, -Invoice.total_amount),
        credited_amount=_total(and_(issued, Invoice.kind == "credit_note"), Invoice.total_amount),
        vat=_vat(issued, voided),
        payments=moved["payment"],
        takings=_takings(moved["payment"]),
        payouts=moved["payout"],
        sessions_punched=day.sessions,
        sessions_amount=day.revenue_amount,
        expired_amount=day.breakage_amount,
        plans_sold=sum(row.quantity for row in sales if row.kind == "plan"),
        documents=documents,
        first_number=first or "",
        last_number=last or "",
        voids=voids,
        credit_notes=notes,
        open_invoices=_documents(and_(due, Invoice.issued_at >= begins), left),
        open_count=open_count,
        open_amount=int(open_amount),
        older_count=older_count,
        older_amount=int(older_amount),
        unfinished_visits=_count_unfinished(branch_id, begins, ends),
        drawers=_drawers(branch_id, begins, ends, clock.day_bounds(after, timezone)[1] if after else begins),
        deposits=moved["deposit_taken"],
        deposits_returned=moved["deposit_returned"],
    )


def list_unfinished(branch_id: int, on: dt.date, *, timezone: str) -> list[VisitRow]:
    """The visits of a day that are neither completed nor given up. One statement."""
    rows = db.session.execute(
        select(Booking.id, Booking.starts_at, Customer.full_name, Booking.status)
        .join(Customer, Customer.id == Booking.customer_id)
        .where(*_unfinished(branch_id, *clock.day_bounds(on, timezone)))
        .order_by(Booking.starts_at, Booking.id)
        .limit(MOST_ROWS)
    )
    return [VisitRow(*row) for row in rows]


def _unfinished(branch_id: int, begins: dt.datetime, ends: dt.datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Booking.branch_id == branch_id,
        Booking.starts_at >= begins,
        Booking.starts_at < ends,
        Booking.status.in_(UNFINISHED),
        Booking.held_until.is_(None),
    )


def _count_unfinished(branch_id: int, begins: dt.datetime, ends: dt.datetime) -> int:
    count = db.session.scalar(select(func.count()).select_from(Booking).where(*_unfinished(branch_id, begins, ends)))
    return count or 0


def _sales(issued: ColumnElement[bool]) -> tuple[KindRow, ...]:
    rows = db.session.execute(
        select(InvoiceLine.kind, func.sum(InvoiceLine.quantity), func.sum(InvoiceLine.amount))
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(issued, Invoice.kind == "invoice")
        .group_by(InvoiceLine.kind)
        .order_by(InvoiceLine.kind)
    )
    return tuple(KindRow(kind, int(quantity), int(amount)) for kind, quantity, amount in rows)


def _vat(issued: ColumnElement[bool], voided: ColumnElement[bool]) -> tuple[VatRow, ...]:
    # What was issued and voided on one day is nothing.
    sign = case((issued, 1), else_=0) - case((voided, 1), else_=0)
    rows = db.session.execute(
        select(InvoiceLine.vat_rate_bp, func.sum(InvoiceLine.amount * sign), func.sum(InvoiceLine.vat_amount * sign))
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(or_(issued, voided))
        .group_by(InvoiceLine.vat_rate_bp)
        .having(func.sum(InvoiceLine.amount * sign) != 0)
        .order_by(InvoiceLine.vat_rate_bp)
    )
    return tuple(VatRow(rate, int(amount), int(vat)) for rate, amount, vat in rows)


def _moved(branch_id: int, on: dt.date) -> dict[str, tuple[MethodRow, ...]]:
    """What was paid and handed out on a day, by source and method, each amount above zero."""
    moved = moved_money(branch_id, on, on)
    rows = db.session.execute(
        select(moved.c.source, moved.c.method, func.count(), func.sum(func.abs(moved.c.amount)))
        .group_by(moved.c.source, moved.c.method)
        .order_by(moved.c.source, moved.c.method)
    ).all()
    return {
        name: tuple(MethodRow(method, count, int(amount)) for source, method, count, amount in rows if source == name)
        for name in ("payment", "payout", "deposit_taken", "deposit_returned")
    }


def _takings(payments: tuple[MethodRow, ...]) -> dict[str, int]:
    """Payments by the method that is stored: what credit notes settled is stored as store credit."""
    takings: dict[str, int] = {}
    for row in payments:
        method = "store_credit" if row.method == SETTLED else row.method
        takings[method] = takings.get(method, 0) + row.amount
    return takings


def _documents(condition: ColumnElement[bool], amount: Any) -> tuple[DocumentRow, ...]:
    rows = db.session.execute(
        select(Invoice.id, Invoice.number, amount, Invoice.reason)
        .where(condition)
        .order_by(Invoice.id)
        .limit(MOST_ROWS)
    )
    return tuple(DocumentRow(*row) for row in rows)


def _total(condition: ColumnElement[bool], amount: Any) -> int:
    return int(db.session.scalar(select(func.coalesce(func.sum(amount), 0)).where(condition)) or 0)


def _drawers(branch_id: int, begins: dt.datetime, ends: dt.datetime, since: dt.datetime) -> tuple[DrawerRow, ...]:
    opened_then = and_(DrawerSession.opened_at >= min(since, begins), DrawerSession.opened_at < ends)
    still_open = and_(DrawerSession.opened_at < ends, DrawerSession.closed_at.is_(None))
    sessions = list_sessions(branch_id, or_(opened_then, still_open))
    sums = sum_cash(one.id for one in sessions)
    return tuple(_drawer_row(one, asdict(sums[one.id])) for one in reversed(sessions))


def _drawer_row(one: SessionView, sums: dict[str, int]) -> DrawerRow:
    return DrawerRow(
        session_id=one.id,
        drawer=one.drawer,
        opened_at=one.opened_at.isoformat(),
        opened_by=one.opened_by,
        opened_as=one.opened_as,
        opening_float_amount=one.opening_float_amount,
        opening_variance_amount=one.opening_variance_amount,
        closed_at=one.closed_at.isoformat() if one.closed_at else None,
        closed_by=one.closed_by,
        expected_amount=one.expected_amount,
        counted_amount=one.counted_amount,
        variance_amount=one.variance_amount,
        left_amount=one.left_amount,
        denominations=one.denominations,
        reason=one.reason,
        **sums,
    )
