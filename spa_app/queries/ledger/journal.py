"""The journal as accountants take it: a row for each line of a period, read a thousand at a time."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import aliased

from spa_app.models import (
    Account,
    Customer,
    CustomerTreatment,
    Invoice,
    InvoiceLine,
    JournalEntry,
    JournalLine,
    Payment,
    Service,
    TreatmentEntry,
)
from spa_app.queries.exports.stream import snapshot, stream


@dataclass(frozen=True)
class JournalRow:
    """A line with what its entry came from; ``amount`` is a debit above zero. What does not apply is None."""

    posted_on: dt.date
    entry_id: int
    event: str
    number: str | None
    code: str
    account: str
    amount: int
    payment_method: str | None
    payment_reference: str | None
    service: str | None
    billed: str | None
    reason: str | None
    customer: str | None
    card_id: int | None


def read_journal(branch_id: int, *, first: dt.date, last: dt.date) -> Iterator[JournalRow]:
    """The lines of a period in the order of the journal, all from one state of the database; constant memory."""
    entry_card = aliased(CustomerTreatment)
    billed = (
        select(func.string_agg(InvoiceLine.description, ", ").aggregate_order_by(InvoiceLine.position))
        .where(InvoiceLine.invoice_id == JournalEntry.invoice_id, JournalEntry.payment_id.is_(None))
        .correlate(JournalEntry)
        .scalar_subquery()
    )
    card_id = func.coalesce(JournalLine.treatment_id, entry_card.id)
    whose = func.coalesce(
        JournalLine.customer_id, CustomerTreatment.customer_id, Invoice.customer_id, entry_card.customer_id
    )
    columns: tuple[Any, ...] = (
        JournalEntry.posted_on,
        JournalEntry.id,
        JournalEntry.event,
        Invoice.number,
        Account.code,
        Account.name,
        JournalLine.amount,
        Payment.method,
        Payment.reference,
        Service.name,
        billed,
        func.coalesce(func.nullif(TreatmentEntry.reason, ""), func.nullif(Invoice.reason, "")),
        Customer.full_name,
        card_id,
    )
    query: Select[Any] = (
        select(*columns)
        .select_from(JournalEntry)
        .join(JournalLine, JournalLine.entry_id == JournalEntry.id)
        .join(Account, Account.id == JournalLine.account_id)
        .outerjoin(Invoice, Invoice.id == JournalEntry.invoice_id)
        .outerjoin(Payment, Payment.id == JournalEntry.payment_id)
        .outerjoin(TreatmentEntry, TreatmentEntry.id == JournalEntry.treatment_entry_id)
        .outerjoin(entry_card, entry_card.id == TreatmentEntry.treatment_id)
        .outerjoin(CustomerTreatment, CustomerTreatment.id == JournalLine.treatment_id)
        .outerjoin(Service, Service.id == func.coalesce(CustomerTreatment.service_id, entry_card.service_id))
        .outerjoin(Customer, Customer.id == whose)
        .where(JournalEntry.branch_id == branch_id, JournalEntry.posted_on.between(first, last))
        .order_by(JournalEntry.posted_on, JournalEntry.id, JournalLine.id)
    )
    with snapshot() as connection, stream(connection, query) as rows:
        for row in rows:
            yield JournalRow(*tuple(row))
