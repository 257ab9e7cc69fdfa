"""Invoices as data for an e-invoice provider's connector: static/schemas/e-invoice-1.json says what each part means.

Amounts are integers in minor units, instants carry the offset of the branch. What a later version adds is new parts; a
part that changes its meaning raises :data:`VERSION`.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_precision
from sqlalchemy import ColumnElement, Connection, Select, func, select
from sqlalchemy.orm import aliased

from spa_app.extensions import db
from spa_app.models import Branch, Customer, Invoice, InvoiceLine, Payment, Payout
from spa_app.queries.exports.stream import snapshot, stream

VERSION = 1
_AT_ONCE = 500  # invoices whose lines are in memory
_PRICE_STEP = Decimal("0.000001")  # a price before VAT need not be whole; the amounts are

_NOTE: tuple[Any, ...] = (Invoice.corrects_id.label("invoice_id"), Invoice.number, Invoice.status)

Document = dict[str, Any]


def count_invoices(branch_id: int, *, between: tuple[dt.datetime, dt.datetime]) -> int:
    """How many invoices and credit notes a branch issued in a time (half-open)."""
    return db.session.execute(select(func.count(Invoice.id)).where(*_issued(branch_id, between))).scalar_one()


def get_e_invoice(invoice_id: int, *, currency: str) -> Document:
    """The data of an invoice that is there. Five statements, of one state of the database."""
    [document] = _read([Invoice.id == invoice_id], currency)
    return document


def read_e_invoices(branch_id: int, *, between: tuple[dt.datetime, dt.datetime], currency: str) -> Iterator[Document]:
    """The data of what a branch issued in a time (half-open), in the order of issue; constant memory."""
    yield from _read(_issued(branch_id, between), currency)


def _issued(branch_id: int, between: tuple[dt.datetime, dt.datetime]) -> list[ColumnElement[bool]]:
    return [
        Invoice.branch_id == branch_id,
        Invoice.status != "draft",
        Invoice.issued_at >= between[0],
        Invoice.issued_at < between[1],
    ]


def _read(conditions: Sequence[ColumnElement[bool]], currency: str) -> Iterator[Document]:
    corrects = aliased(Invoice)
    columns: tuple[Any, ...] = (
        *Invoice.__table__.columns,
        Branch.code.label("branch_code"),
        Branch.name.label("branch_name"),
        Branch.address.label("branch_address"),
        Branch.phone.label("branch_phone"),
        Branch.timezone,
        Customer.full_name,
        Customer.phone.label("customer_phone"),
        Customer.email,
        corrects.number.label("corrects_number"),
        corrects.issued_at.label("corrects_issued_at"),
    )
    query: Select[Any] = (
        select(*columns)
        .join(Branch, Branch.id == Invoice.branch_id)
        .join(Customer, Customer.id == Invoice.customer_id)
        .outerjoin(corrects, corrects.id == Invoice.corrects_id)
        .where(*conditions)
        .order_by(Invoice.issued_at, Invoice.id)
    )
    with snapshot() as connection, stream(connection, query) as rows:
        for part in rows.partitions(_AT_ONCE):
            ids = [row.id for row in part]
            lines = _by_invoice(connection, select(*InvoiceLine.__table__.columns), InvoiceLine, ids)
            payments = _by_invoice(connection, select(*Payment.__table__.columns), Payment, ids)
            payouts = _by_invoice(connection, select(*Payout.__table__.columns), Payout, ids)
            notes = _by_invoice(
                connection,
                select(*_NOTE),
                Invoice,
                ids,
                Invoice.corrects_id,
            )
            for row in part:
                yield _document(row, lines[row.id], payments[row.id], payouts[row.id], notes[row.id], currency)


def _by_invoice(
    connection: Connection, query: Select[Any], table: Any, ids: Sequence[int], invoice_id: Any = None
) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    named = table.invoice_id if invoice_id is None else invoice_id
    for row in connection.execute(query.where(named.in_(ids)).order_by(table.id)):
        found[row.invoice_id].append(row)
    return found


def _document(
    row: Any, lines: Sequence[Any], payments: Sequence[Any], payouts: Sequence[Any], notes: Sequence[Any], currency: str
) -> Document:
    zone = ZoneInfo(row.timezone)

    def instant(value: dt.datetime | None) -> str | None:
        return value.astimezone(zone).isoformat(timespec="seconds") if value else None

    positions = {line.id: line.position for line in lines}
    return {
        "schema_version": VERSION,
        "number": row.number,
        "kind": row.kind,
        "status": "cancelled" if row.status == "void" else "issued",
        "issued_at": instant(row.issued_at),
        "cancelled_at": instant(row.voided_at),
        "reason": row.reason,
        "currency": currency,
        "currency_exponent": get_currency_precision(currency),
        "adjusts": (
            {"number": row.corrects_number, "issued_at": instant(row.corrects_issued_at)}
            if row.corrects_number
            else None
        ),
        "adjusted_by": [note.number for note in notes if note.status != "void"],
        "seller": {
            "branch_code": row.branch_code,
            "name": row.branch_name,
            "address": row.branch_address,
            "phone": row.branch_phone,
        },
        "buyer": {
            "customer_id": row.customer_id,
            "name": row.full_name,
            "phone": row.customer_phone,
            "email": row.email,
        },
        "lines": [_line(line, positions) for line in sorted(lines, key=lambda line: line.position)],
        "vat_totals": _vat_totals(lines),
        "totals": {
            "net_amount": row.total_amount - row.vat_amount,
            "vat_amount": row.vat_amount,
            "gross_amount": row.total_amount,
            "paid_amount": sum(one.amount for one in payments) - sum(one.amount for one in payouts),
        },
        "payments": [
            *(_payment(one, one.amount, instant(one.taken_at)) for one in payments),
            *(_payment(one, -one.amount, instant(one.given_at)) for one in payouts),
        ],
    }


def _line(line: Any, positions: dict[int, int]) -> Document:
    net = line.amount - line.vat_amount
    return {
        "position": line.position,
        "kind": line.kind,
        "description": line.description,
        "quantity": line.quantity,
        "unit_price": str((Decimal(net) / line.quantity).quantize(_PRICE_STEP, ROUND_HALF_UP)),
        "net_amount": net,
        "vat_rate_bp": line.vat_rate_bp,
        "vat_amount": line.vat_amount,
        "gross_amount": line.amount,
        "discounts_position": positions.get(line.discounts_id),
    }


def _payment(one: Any, amount: int, at: str | None) -> Document:
    return {"method": one.method, "amount": amount, "at": at, "reference": one.reference}


def _vat_totals(lines: Iterable[Any]) -> list[Document]:
    sums: dict[int, tuple[int, int]] = {}
    for line in lines:
        net, vat = sums.get(line.vat_rate_bp, (0, 0))
        sums[line.vat_rate_bp] = (net + line.amount - line.vat_amount, vat + line.vat_amount)
    return [
        {"vat_rate_bp": rate, "net_amount": net, "vat_amount": vat, "gross_amount": net + vat}
        for rate, (net, vat) in sorted(sums.items())
    ]
