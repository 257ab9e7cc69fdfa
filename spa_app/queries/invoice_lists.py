"""Invoices in lists: those of a branch, and what a customer still owes."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from spa_app.extensions import db
from spa_app.models import Branch, Customer, Invoice, InvoiceLine

PER_PAGE = 40
MOST_DUE = 20
DUE = and_(Invoice.kind == "invoice", Invoice.status.in_(("open", "partly_paid")), Invoice.is_credited.is_(False))
STATUSES: dict[str, ColumnElement[bool]] = {
    "due": DUE,
    "paid": and_(Invoice.kind == "invoice", Invoice.status == "paid"),
    "credited": Invoice.kind == "credit_note",
    "void": Invoice.status == "void",
}


@dataclass(frozen=True)
class ListedLine:
    """A line in a list of invoices; see :class:`spa_app.queries.billing.LineView`."""

    kind: str
    description: str
    quantity: int


@dataclass(frozen=True)
class InvoiceRow:
    """An invoice in a list, with its lines but for discounts."""

    id: int
    number: str
    kind: str
    status: str
    is_credited: bool
    customer_id: int
    customer_name: str
    lines: tuple[ListedLine, ...]
    issued_at: dt.datetime
    total_amount: int
    due_amount: int


@dataclass(frozen=True)
class DueInvoice:
    """An invoice that its customer has not wholly paid."""

    id: int
    number: str
    branch_name: str
    issued_at: dt.datetime
    due_amount: int


@dataclass(frozen=True)
class InvoiceList:
    """One page of invoices, with the number and the sums of all that were found."""

    rows: tuple[InvoiceRow, ...]
    total: int
    pages: int
    sold_amount: int
    due_amount: int


def list_due(customer_id: int, *, branch_ids: Collection[int], besides: int | None = None) -> tuple[DueInvoice, ...]:
    """What a customer still owes in these branches, the oldest first, twenty at most; without ``besides``."""
    rows = db.session.execute(
        select(Invoice.id, Invoice.number, Branch.name, Invoice.issued_at, Invoice.total_amount - Invoice.paid_amount)
        .join(Branch, Branch.id == Invoice.branch_id)
        .where(
            DUE,
            Invoice.customer_id == customer_id,
            Invoice.branch_id.in_(branch_ids),
            *([Invoice.id != besides] if besides else []),
        )
        .order_by(Invoice.issued_at, Invoice.id)
        .limit(MOST_DUE)
    )
    return tuple(DueInvoice(*row) for row in rows)


def list_invoices(
    branch_id: int,
    *,
    between: tuple[dt.datetime, dt.datetime] | None = None,
    status: str = "",
    search: str = "",
    page: int = 1,
) -> InvoiceList:
    """A branch's invoices, those to pay first, then the newest. Two statements.

    ``between`` bounds the instant of issue (half-open), ``status`` is empty or a key of :data:`STATUSES`, ``search`` is
    part of a number or of a customer's name (without accents).
    """
    conditions = [Invoice.branch_id == branch_id]
    if between:
        conditions += [Invoice.issued_at >= between[0], Invoice.issued_at < between[1]]
    if status:
        conditions.append(STATUSES[status])
    if search:
        wanted = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        conditions.append(
            or_(
                Invoice.number.ilike(f"%{wanted}%"),
                Customer.search_text.like(func.concat("%", func.spa_fold(wanted), "%")),
            )
        )
    due = case((DUE, Invoice.total_amount - Invoice.paid_amount), else_=0)
    sums = db.session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(Invoice.total_amount).filter(Invoice.status != "void"), 0),
            func.coalesce(func.sum(due), 0),
        )
        .select_from(Invoice)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(*conditions)
    ).one()
    line = func.jsonb_build_array(InvoiceLine.kind, InvoiceLine.description, InvoiceLine.quantity)
    listed = (
        select(func.jsonb_agg(line, type_=JSONB).aggregate_order_by(InvoiceLine.position))
        .where(InvoiceLine.invoice_id == Invoice.id, InvoiceLine.kind != "discount")
        .correlate(Invoice)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Invoice, Customer.full_name, listed)
        .join(Customer, Customer.id == Invoice.customer_id)
        .where(*conditions)
        .order_by(DUE.desc(), Invoice.issued_at.desc(), Invoice.id.desc())
        .limit(PER_PAGE)
        .offset((page - 1) * PER_PAGE)
    )
    return InvoiceList(
        rows=tuple(
            InvoiceRow(
                id=invoice.id,
                number=invoice.number,
                kind=invoice.kind,
                status=invoice.status,
                is_credited=invoice.is_credited,
                customer_id=invoice.customer_id,
                customer_name=name,
                lines=tuple(ListedLine(*one) for one in lines or ()),
                issued_at=invoice.issued_at,
                total_amount=invoice.total_amount,
                due_amount=invoice.due_amount,
            )
            for invoice, name, lines in rows
        ),
        total=sums[0],
        pages=max(1, -(-sums[0] // PER_PAGE)),
        sold_amount=int(sums[1]),
        due_amount=int(sums[2]),
    )
