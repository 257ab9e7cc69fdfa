"""The Z-report: what one day of a branch came to. It is kept as it stood when the day was closed.

Days are local dates of the branch, amounts are minor units, VAT included. Takings and payouts come from the same rows
as the reports; no customer is named, since the report is kept for ever.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import aliased

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    Branch,
    Customer,
    DayClose,
    Deposit,
    DepositEntry,
    DrawerSession,
    Invoice,
    InvoiceLine,
    JournalEntry,
    Payment,
    Payout,
    User,
)
from spa_app.queries.drawers import SessionView, list_sessions, sum_cash
from spa_app.queries.invoice_lists import DUE
from spa_app.queries.reports import get_daily

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
    """Payments, or payouts, of one method."""

    method: str
    count: int
    amount: int


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
    """What one day came to. ``takings`` are the payments by method: the database compares them with its rows.

    ``sales`` are the lines of the invoices issued that day, as they were issued; ``voided_amount`` and
    ``credited_amount`` (both zero or below) are what was taken back that day, of whatever day.
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
        """All payments."""
        return sum(self.takings.values())

    @property
    def paid_out_amount(self) -> int:
        """All payouts."""
        return sum(row.amount for row in self.payouts)

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
class BranchHead:
    """The head of the report."""

    id: int
    code: str
    name: str
    address: str
    phone: str | None


@dataclass(frozen=True)
class Change:
    """A figure that is another one than in the report that this one replaces. ``what`` is a msgid or a method."""

    section: str
    what: str
    before: int
    after: int


@dataclass(frozen=True)
class ZReport:
    """A day that was closed. ``replaces`` is the number of the report of the same day before it was reopened."""

    id: int
    branch: BranchHead
    closed_on: dt.date
    z_number: int
    closed_at: dt.datetime
    closed_by: str | None
    facts: ZFacts
    reopened_at: dt.datetime | None
    reopened_by: str | None
    reopen_reason: str
    replaces: tuple[int, int] | None  # id, number
    changes: tuple[Change, ...]
    is_last: bool


@dataclass(frozen=True)
class CloseRow:
    """A closed day in a list."""

    id: int
    closed_on: dt.date
    z_number: int
    closed_at: dt.datetime
    closed_by: str | None
    reopened_at: dt.datetime | None
    taken_amount: int


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
    payments = _payments(branch_id, on)
    voids = _documents(voided, -Invoice.total_amount)
    notes = _documents(and_(issued, Invoice.kind == "credit_note"), Invoice.total_amount)
    return ZFacts(
        sales=sales,
        voided_amount=_total(voided, -Invoice.total_amount),
        credited_amount=_total(and_(issued, Invoice.kind == "credit_note"), Invoice.total_amount),
        vat=_vat(issued, voided),
        payments=payments,
        takings={row.method: row.amount for row in payments},
        payouts=_by_method(
            Payout.method,
            Payout.amount,
            Payout.branch_id == branch_id,
            Payout.given_at >= begins,
            Payout.given_at < ends,
        ),
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
        deposits=_by_method(
            Deposit.method,
            Deposit.amount,
            Deposit.branch_id == branch_id,
            Deposit.taken_at >= begins,
            Deposit.taken_at < ends,
        ),
        deposits_returned=_by_method(
            DepositEntry.method,
            -DepositEntry.amount,
            DepositEntry.deposit_id.in_(select(Deposit.id).where(Deposit.branch_id == branch_id)),
            DepositEntry.kind == "returned",
            DepositEntry.created_at >= begins,
            DepositEntry.created_at < ends,
        ),
    )


def find_report(branch_id: int, closed_on: dt.date, *, live_only: bool = True) -> int | None:
    """The id of the report of a day of the branch that counts, if it is closed by one."""
    query = select(DayClose.id).where(DayClose.branch_id == branch_id, DayClose.closed_on == closed_on)
    if live_only:
        query = query.where(DayClose.reopened_at.is_(None))
    return db.session.scalar(query.order_by(DayClose.z_number.desc()).limit(1))


def find_report_branch(report_id: int, *, branch_ids: Collection[int]) -> int | None:
    """The branch of a report, if it is one of these."""
    return db.session.scalar(
        select(DayClose.branch_id).where(DayClose.id == report_id, DayClose.branch_id.in_(branch_ids))
    )


def get_report(report_id: int) -> ZReport:
    """A report that is there (:func:`find_report_branch`). Three statements."""
    closer, opener = aliased(User), aliased(User)
    close, branch, closed_by, reopened_by = db.session.execute(
        select(DayClose, Branch, closer.full_name, opener.full_name)
        .join(Branch, Branch.id == DayClose.branch_id)
        .outerjoin(closer, closer.id == DayClose.closed_by_id)
        .outerjoin(opener, opener.id == DayClose.reopened_by_id)
        .where(DayClose.id == report_id)
        .execution_options(populate_existing=True)
    ).one()
    before = db.session.execute(
        select(DayClose)
        .where(
            DayClose.branch_id == close.branch_id,
            DayClose.closed_on == close.closed_on,
            DayClose.z_number < close.z_number,
        )
        .order_by(DayClose.z_number.desc())
        .limit(1)
    ).scalar()
    last = db.session.scalar(
        select(func.max(DayClose.closed_on)).where(
            DayClose.branch_id == close.branch_id, DayClose.reopened_at.is_(None)
        )
    )
    facts = ZFacts.of_json(close.totals)
    return ZReport(
        id=close.id,
        branch=BranchHead(branch.id, branch.code, branch.name, branch.address, branch.phone),
        closed_on=close.closed_on,
        z_number=close.z_number,
        closed_at=close.closed_at,
        closed_by=closed_by,
        facts=facts,
        reopened_at=close.reopened_at,
        reopened_by=reopened_by,
        reopen_reason=close.reopen_reason,
        replaces=(before.id, before.z_number) if before else None,
        changes=tuple(_changes(ZFacts.of_json(before.totals), facts)) if before else (),
        is_last=close.reopened_at is None and close.closed_on == last,
    )


def list_closes(branch_id: int, *, limit: int = 14) -> list[CloseRow]:
    """The days that were closed last, the latest first. One statement."""
    rows = db.session.execute(
        select(DayClose, User.full_name)
        .outerjoin(User, User.id == DayClose.closed_by_id)
        .where(DayClose.branch_id == branch_id)
        .order_by(DayClose.z_number.desc())
        .limit(limit)
    )
    return [
        CloseRow(
            id=close.id,
            closed_on=close.closed_on,
            z_number=close.z_number,
            closed_at=close.closed_at,
            closed_by=name,
            reopened_at=close.reopened_at,
            taken_amount=sum(close.totals["takings"].values()),
        )
        for close, name in rows
    ]


def find_day_left_open(branch_id: int, *, after: dt.date, before: dt.date) -> dt.date | None:
    """The first day between these on which anybody posted anything. The night's work asks for no report."""
    return db.session.scalar(
        select(func.min(JournalEntry.posted_on)).where(
            JournalEntry.branch_id == branch_id,
            JournalEntry.posted_on > after,
            JournalEntry.posted_on < before,
            JournalEntry.actor_id.is_not(None),
        )
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


def _payments(branch_id: int, on: dt.date) -> tuple[MethodRow, ...]:
    rows = db.session.execute(
        select(Payment.method, func.count(), func.sum(Payment.amount))
        .join(JournalEntry, JournalEntry.payment_id == Payment.id)
        .where(JournalEntry.branch_id == branch_id, JournalEntry.posted_on == on, JournalEntry.event == "payment_taken")
        .group_by(Payment.method)
        .order_by(Payment.method)
    )
    return tuple(MethodRow(method, count, int(amount)) for method, count, amount in rows)


def _by_method(method: Any, amount: Any, *conditions: ColumnElement[bool]) -> tuple[MethodRow, ...]:
    rows = db.session.execute(
        select(method, func.count(), func.sum(amount)).where(*conditions).group_by(method).order_by(method)
    )
    return tuple(MethodRow(name, count, int(total)) for name, count, total in rows)


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


def _changes(before: ZFacts, after: ZFacts) -> list[Change]:
    """The figures that are others than in the report before."""

    def named(facts: ZFacts) -> dict[tuple[str, str], int]:
        return {
            **{("sales", row.kind): row.amount for row in facts.sales},
            ("figure", "voided"): facts.voided_amount,
            ("figure", "credited"): facts.credited_amount,
            **{("payments", row.method): row.amount for row in facts.payments},
            **{("payouts", row.method): row.amount for row in facts.payouts},
            **{("deposits", row.method): row.amount for row in facts.deposits},
            **{("deposits_returned", row.method): row.amount for row in facts.deposits_returned},
            ("figure", "open"): facts.open_amount,
            ("figure", "variance"): facts.variance_amount,
            ("count", "documents"): facts.documents,
            ("count", "sessions"): facts.sessions_punched,
            ("count", "drawers"): len(facts.drawers),
        }

    was, now = named(before), named(after)
    keys = dict.fromkeys([*was, *now])
    return [Change(*key, was.get(key, 0), now.get(key, 0)) for key in keys if was.get(key, 0) != now.get(key, 0)]
