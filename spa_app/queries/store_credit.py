"""Customers' store credit: who has how much, and where it came from."""

import datetime as dt
import re
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select

from spa_app.extensions import db
from spa_app.models import Branch, Customer, Invoice, JournalEntry, JournalLine, User

PER_PAGE = 40
ACCOUNT = 2130


@dataclass(frozen=True)
class CreditRow:
    """A customer who has store credit, and when it last changed."""

    customer_id: int
    full_name: str
    phone: str | None
    credit_amount: int
    changed_on: dt.date | None


@dataclass(frozen=True)
class CreditList:
    """One page of them. ``owed_amount`` is the credit of all customers, ``ledger_amount`` what the ledger owes."""

    rows: tuple[CreditRow, ...]
    total: int
    pages: int
    found_amount: int
    owed_amount: int
    ledger_amount: int


@dataclass(frozen=True)
class CreditChange:
    """One line of the ledger on a customer's store credit; ``balance_amount`` is what there was after it."""

    at: dt.datetime
    event: str
    amount: int
    balance_amount: int
    branch_id: int
    branch_name: str
    invoice_id: int | None
    invoice_number: str | None
    actor: str | None


def list_credits(*, search: str = "", page: int = 1) -> CreditList:
    """Customers with store credit, the most first. Store credit is good in every branch. Three statements.

    ``search`` is a part of the name (without accents) or of the phone.
    """
    conditions: list[ColumnElement[bool]] = [Customer.credit_amount > 0]
    if search:
        conditions.append(_found_by(search))
    total, found = db.session.execute(
        select(func.count(), func.coalesce(func.sum(Customer.credit_amount), 0)).where(*conditions)
    ).one()
    ledger = select(func.coalesce(-func.sum(JournalLine.amount), 0)).where(JournalLine.account_id == ACCOUNT)
    owed, in_ledger = db.session.execute(
        select(func.coalesce(func.sum(Customer.credit_amount), 0), ledger.scalar_subquery()).where(
            Customer.credit_amount > 0
        )
    ).one()
    changed = (
        select(func.max(JournalEntry.posted_on))
        .join(JournalLine, JournalLine.entry_id == JournalEntry.id)
        .where(JournalLine.customer_id == Customer.id)
        .correlate(Customer)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Customer.id, Customer.full_name, Customer.phone, Customer.credit_amount, changed)
        .where(*conditions)
        .order_by(Customer.credit_amount.desc(), Customer.id)
        .limit(PER_PAGE)
        .offset((page - 1) * PER_PAGE)
    )
    return CreditList(
        rows=tuple(CreditRow(*row) for row in rows),
        total=total,
        pages=max(1, -(-total // PER_PAGE)),
        found_amount=int(found),
        owed_amount=int(owed),
        ledger_amount=int(in_ledger),
    )


def list_changes(customer_id: int) -> list[CreditChange]:
    """What came onto and went off a customer's store credit, the newest first. One statement."""
    rows = db.session.execute(
        select(
            JournalEntry.created_at,
            JournalEntry.event,
            -JournalLine.amount,
            -func.sum(JournalLine.amount).over(order_by=JournalLine.id),
            Branch.id,
            Branch.name,
            Invoice.id,
            Invoice.number,
            User.full_name,
        )
        .join(JournalEntry, JournalEntry.id == JournalLine.entry_id)
        .join(Branch, Branch.id == JournalEntry.branch_id)
        .outerjoin(Invoice, Invoice.id == JournalEntry.invoice_id)
        .outerjoin(User, User.id == JournalEntry.actor_id)
        .where(JournalLine.customer_id == customer_id, JournalLine.account_id == ACCOUNT)
        .order_by(JournalLine.id.desc())
    )
    return [CreditChange(*row) for row in rows]


def _found_by(search: str) -> ColumnElement[bool]:
    wanted = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    digits = re.sub(r"\D", "", search).lstrip("0")
    by_name = Customer.search_text.like(func.concat("%", func.spa_fold(wanted), "%"))
    if len(digits) > 2 and re.fullmatch(r"[+\d\s().-]+", search):
        return or_(by_name, Customer.phone.like(f"%{digits}%"))
    return by_name
