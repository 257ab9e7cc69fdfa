"""The journal down to its source: the entries of a period, the lines of an account, and one entry with its documents.

Long lists go on where the last page ended (``after``), so that a page costs the same wherever it is.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, cast, func, select, tuple_
from sqlalchemy.orm import aliased

from spa_app.extensions import db
from spa_app.models import (
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
    Service,
    TreatmentEntry,
    User,
)

PER_PAGE = 100
_bearer = aliased(Customer)  # the customer that a line names


@dataclass(frozen=True)
class Place:
    """Where in the journal a page ended."""

    on: dt.date
    entry_id: int
    line_id: int = 0

    def __str__(self) -> str:
        return f"{self.on.isoformat()}.{self.entry_id}.{self.line_id}"


@dataclass(frozen=True)
class EntryRow:
    """An entry in a list. ``amount`` is the sum of its debits."""

    id: int
    posted_on: dt.date
    event: str
    invoice_id: int | None
    number: str | None
    customer: str | None
    amount: int


@dataclass(frozen=True)
class AccountLine:
    """A line of an account, with the balance after it (debit positive); None where lines are left out."""

    entry_id: int
    line_id: int
    posted_on: dt.date
    event: str
    invoice_id: int | None
    number: str | None
    customer: str | None
    amount: int
    balance: int | None


@dataclass(frozen=True)
class Page:
    """Rows, and where the next page goes on; None at the end."""

    rows: tuple[Any, ...]
    following: Place | None


@dataclass(frozen=True)
class EntryLine:
    """A line of an entry, with the card, the customer, or the visit of the deposit that it names."""

    account_id: int
    code: str
    account: str
    amount: int
    card_id: int | None
    deposit_booking_id: int | None
    customer_id: int | None
    customer: str | None


@dataclass(frozen=True)
class Source:
    """What an entry came from; everything that does not apply is None."""

    invoice_id: int | None
    number: str | None
    invoice_kind: str | None
    payment_method: str | None
    payment_amount: int | None
    payment_reference: str | None
    card_id: int | None
    card_service: str | None
    card_change: str | None
    reason: str | None
    booking_id: int | None
    customer_id: int | None
    customer: str | None


@dataclass(frozen=True)
class EntryView:
    """A journal entry. ``reversed_by`` are the ids of the entries that took it back."""

    id: int
    branch_id: int
    posted_on: dt.date
    created_at: dt.datetime
    event: str
    actor: str | None
    reverses_id: int | None
    reversed_by: tuple[int, ...]
    source: Source
    lines: tuple[EntryLine, ...]

    @property
    def amount(self) -> int:
        """The sum of the debits, which is that of the credits."""
        return sum(line.amount for line in self.lines if line.amount > 0)


def get_account(account_id: int) -> Account | None:
    """An account of the chart."""
    return db.session.get(Account, account_id)


def list_events(branch_id: int, *, first: dt.date, last: dt.date, account_id: int) -> list[str]:
    """What an account's lines of the period were posted for."""
    rows = db.session.execute(
        select(JournalEntry.event)
        .join(JournalLine, JournalLine.entry_id == JournalEntry.id)
        .where(*_within(branch_id, first, last), JournalLine.account_id == account_id)
        .distinct()
        .order_by(JournalEntry.event)
    ).scalars()
    return list(rows)


def list_entries(branch_id: int, *, first: dt.date, last: dt.date, event: str = "", after: Place | None = None) -> Page:
    """The entries of a period in the order of the journal, from behind ``after``. One statement."""
    amount = (
        select(cast(func.sum(JournalLine.amount), BigInteger))
        .where(JournalLine.entry_id == JournalEntry.id, JournalLine.amount > 0)
        .correlate(JournalEntry)
        .scalar_subquery()
    )
    query = _with_document(select().select_from(JournalEntry)).where(*_within(branch_id, first, last))
    if event:
        query = query.where(JournalEntry.event == event)
    if after is not None:
        query = query.where(tuple_(JournalEntry.posted_on, JournalEntry.id) > (after.on, after.entry_id))
    rows = db.session.execute(
        query.add_columns(
            JournalEntry.id,
            JournalEntry.posted_on,
            JournalEntry.event,
            Invoice.id,
            Invoice.number,
            Customer.full_name,
            amount,
        )
        .order_by(JournalEntry.posted_on, JournalEntry.id)
        .limit(PER_PAGE + 1)
    ).all()
    shown = tuple(EntryRow(*row) for row in rows[:PER_PAGE])
    return Page(shown, Place(shown[-1].posted_on, shown[-1].id) if len(rows) > PER_PAGE else None)


def list_account_lines(
    branch_id: int,
    account_id: int,
    *,
    first: dt.date,
    last: dt.date,
    opening: int | None = None,
    event: str = "",
    after: Place | None = None,
    per_page: int | None = PER_PAGE,
) -> Page:
    """An account's lines of a period in the order of the journal, from behind ``after``; all without ``per_page``.

    The balance after each line goes on from the account's ``opening`` balance; without one, as for the lines of one
    ``event`` only, there is none. Two statements.
    """
    conditions = [*_within(branch_id, first, last), JournalLine.account_id == account_id]
    if event:
        conditions.append(JournalEntry.event == event)
    key = tuple_(JournalEntry.posted_on, JournalEntry.id, JournalLine.id)
    lines = select().select_from(JournalEntry).join(JournalLine, JournalLine.entry_id == JournalEntry.id)
    balance = opening
    if after is not None:
        place = (after.on, after.entry_id, after.line_id)
        if balance is not None:
            gone = lines.where(*conditions, key <= place).add_columns(func.coalesce(func.sum(JournalLine.amount), 0))
            balance += int(db.session.execute(gone).scalar_one())
        conditions.append(key > place)
    query = (
        _with_document(lines)
        .outerjoin(_bearer, _bearer.id == func.coalesce(JournalLine.customer_id, CustomerTreatment.customer_id))
        .where(*conditions)
        .add_columns(
            JournalEntry.id,
            JournalLine.id,
            JournalEntry.posted_on,
            JournalEntry.event,
            Invoice.id,
            Invoice.number,
            func.coalesce(_bearer.full_name, Customer.full_name),
            JournalLine.amount,
        )
        .order_by(JournalEntry.posted_on, JournalEntry.id, JournalLine.id)
    )
    rows = db.session.execute(query.limit(per_page + 1) if per_page else query).all()
    shown = []
    for row in rows[:per_page]:
        if balance is not None:
            balance += row[-1]
        shown.append(AccountLine(*(*row, balance)))
    more = per_page is not None and len(rows) > per_page
    return Page(tuple(shown), Place(shown[-1].posted_on, shown[-1].entry_id, shown[-1].line_id) if more else None)


def find_entry_branch(entry_id: int, *, branch_ids: Collection[int]) -> int | None:
    """The branch of an entry, if it is one of these."""
    return db.session.execute(
        select(JournalEntry.branch_id).where(JournalEntry.id == entry_id, JournalEntry.branch_id.in_(branch_ids))
    ).scalar()


def get_entry(entry_id: int) -> EntryView:
    """An entry that is there (:func:`find_entry_branch`), with what it came from. Three statements."""
    entry, actor, *source = db.session.execute(
        _with_document(select().select_from(JournalEntry))
        .outerjoin(User, User.id == JournalEntry.actor_id)
        .outerjoin(Payment, Payment.id == JournalEntry.payment_id)
        .outerjoin(Service, Service.id == CustomerTreatment.service_id)
        .outerjoin(BookingItem, BookingItem.id == TreatmentEntry.booking_item_id)
        .where(JournalEntry.id == entry_id)
        .add_columns(
            JournalEntry,
            User.full_name,
            Invoice.id,
            Invoice.number,
            Invoice.kind,
            Payment.method,
            Payment.amount,
            Payment.reference,
            CustomerTreatment.id,
            Service.name,
            TreatmentEntry.kind,
            func.coalesce(func.nullif(TreatmentEntry.reason, ""), func.nullif(Invoice.reason, "")),
            func.coalesce(BookingItem.booking_id, Invoice.booking_id),
            Customer.id,
            Customer.full_name,
        )
    ).one()
    reversed_by = db.session.execute(
        select(JournalEntry.id).where(JournalEntry.reverses_id == entry_id).order_by(JournalEntry.id)
    ).scalars()
    lines = db.session.execute(
        select(
            Account.id,
            Account.code,
            Account.name,
            JournalLine.amount,
            JournalLine.treatment_id,
            Deposit.booking_id,
            Customer.id,
            Customer.full_name,
        )
        .select_from(JournalLine)
        .join(Account, Account.id == JournalLine.account_id)
        .outerjoin(CustomerTreatment, CustomerTreatment.id == JournalLine.treatment_id)
        .outerjoin(Deposit, Deposit.id == JournalLine.deposit_id)
        .outerjoin(Booking, Booking.id == Deposit.booking_id)
        .outerjoin(
            Customer,
            Customer.id == func.coalesce(JournalLine.customer_id, CustomerTreatment.customer_id, Booking.customer_id),
        )
        .where(JournalLine.entry_id == entry_id)
        .order_by(JournalLine.id)
    )
    return EntryView(
        id=entry.id,
        branch_id=entry.branch_id,
        posted_on=entry.posted_on,
        created_at=entry.created_at,
        event=entry.event,
        actor=actor,
        reverses_id=entry.reverses_id,
        reversed_by=tuple(reversed_by),
        source=Source(*source),
        lines=tuple(EntryLine(*line) for line in lines),
    )


def _within(branch_id: int, first: dt.date, last: dt.date) -> list[ColumnElement[bool]]:
    return [JournalEntry.branch_id == branch_id, JournalEntry.posted_on.between(first, last)]


def _with_document(query: Select[Any]) -> Select[Any]:
    """With the invoice and the card of an entry, and the customer of either."""
    return (
        query.outerjoin(Invoice, Invoice.id == JournalEntry.invoice_id)
        .outerjoin(TreatmentEntry, TreatmentEntry.id == JournalEntry.treatment_entry_id)
        .outerjoin(CustomerTreatment, CustomerTreatment.id == TreatmentEntry.treatment_id)
        .outerjoin(Customer, Customer.id == func.coalesce(Invoice.customer_id, CustomerTreatment.customer_id))
    )
