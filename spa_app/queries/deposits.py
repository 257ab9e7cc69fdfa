"""Deposits as they are shown."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import aliased

from spa_app.extensions import db
from spa_app.models import Booking, Branch, Customer, Deposit, DepositEntry, Invoice, Payment, User

OVER = ("completed", "cancelled", "no_show")


@dataclass(frozen=True)
class DepositEvent:
    """What happened to a deposit. ``invoice`` is (id, number) of what it paid."""

    kind: str
    amount: int
    method: str | None
    reference: str
    reason: str
    at: dt.datetime
    by: str | None
    invoice: tuple[int, str] | None


@dataclass(frozen=True)
class DepositView:
    """A deposit with its history, the oldest first."""

    id: int
    booking_id: int
    branch_id: int
    branch_name: str
    branch_address: str
    branch_phone: str | None
    customer_id: int
    customer_name: str
    visit_at: dt.datetime
    method: str
    reference: str
    amount: int
    balance_amount: int
    taken_at: dt.datetime
    taken_by: str | None
    events: tuple[DepositEvent, ...]


def usable_deposits(booking_id: int | None, customer_id: int) -> Select[int]:
    """The ids of the deposits that may pay a bill of this visit and customer.

    Those of the visit and of the others of its party, and what is left of the customer's own from visits that are over.
    """
    of_deposit, of_bill = aliased(Booking), aliased(Booking)
    return (
        select(Deposit.id)
        .join(of_deposit, of_deposit.id == Deposit.booking_id)
        .outerjoin(of_bill, of_bill.id == booking_id)
        .where(
            Deposit.balance_amount > 0,
            or_(
                of_deposit.id == of_bill.id,
                of_deposit.party_id == of_bill.party_id,
                and_(of_deposit.customer_id == customer_id, of_deposit.status.in_(OVER)),
            ),
        )
    )


def usable_amount(booking_id: int | None, customer_id: int) -> int:
    """What deposits may pay of a bill of this visit and customer."""
    ids = usable_deposits(booking_id, customer_id)
    query = select(func.coalesce(func.sum(Deposit.balance_amount), 0)).where(Deposit.id.in_(ids))
    return int(db.session.execute(query).scalar_one())


def list_deposits(booking_id: int) -> list[DepositView]:
    """The deposits of a visit, the oldest first. Two statements."""
    return _views(Deposit.booking_id == booking_id)


def get_deposit(deposit_id: int, *, branch_ids: Collection[int]) -> DepositView | None:
    """A deposit in one of these branches. Two statements."""
    return next(iter(_views(Deposit.id == deposit_id, Deposit.branch_id.in_(branch_ids))), None)


def _views(*conditions) -> list[DepositView]:  # type: ignore[no-untyped-def]
    rows = db.session.execute(
        select(Deposit, Branch, Customer.id, Customer.full_name, Booking.starts_at, User.full_name)
        .join(Booking, Booking.id == Deposit.booking_id)
        .join(Branch, Branch.id == Deposit.branch_id)
        .join(Customer, Customer.id == Booking.customer_id)
        .outerjoin(User, User.id == Deposit.actor_id)
        .where(*conditions)
        .order_by(Deposit.id)
        .execution_options(populate_existing=True)
    ).all()
    events: dict[int, list[DepositEvent]] = {row[0].id: [] for row in rows}
    for entry, by, invoice_id, number in db.session.execute(
        select(DepositEntry, User.full_name, Invoice.id, Invoice.number)
        .outerjoin(User, User.id == DepositEntry.actor_id)
        .outerjoin(Payment, Payment.id == DepositEntry.payment_id)
        .outerjoin(Invoice, Invoice.id == Payment.invoice_id)
        .where(DepositEntry.deposit_id.in_(events), DepositEntry.kind != "taken")
        .order_by(DepositEntry.id)
    ):
        events[entry.deposit_id].append(
            DepositEvent(
                kind=entry.kind,
                amount=-entry.amount,
                method=entry.method,
                reference=entry.reference,
                reason=entry.reason,
                at=entry.created_at,
                by=by,
                invoice=(invoice_id, number) if invoice_id else None,
            )
        )
    return [
        DepositView(
            id=deposit.id,
            booking_id=deposit.booking_id,
            branch_id=branch.id,
            branch_name=branch.name,
            branch_address=branch.address,
            branch_phone=branch.phone,
            customer_id=customer_id,
            customer_name=name,
            visit_at=visit_at,
            method=deposit.method,
            reference=deposit.reference,
            amount=deposit.amount,
            balance_amount=deposit.balance_amount,
            taken_at=deposit.taken_at,
            taken_by=taken_by,
            events=tuple(events[deposit.id]),
        )
        for deposit, branch, customer_id, name, visit_at, taken_by in rows
    ]
