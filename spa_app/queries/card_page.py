"""The page of one treatment card: its history, where its sessions came from, and whom they can go to."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select, union_all
from sqlalchemy.orm import aliased

from spa_app.extensions import db
from spa_app.models import (
    Booking,
    BookingItem,
    Customer,
    CustomerLink,
    CustomerTreatment,
    Invoice,
    InvoiceLine,
    TreatmentEntry,
    TreatmentShare,
    User,
)
from spa_app.models.refund import Refund, work_out
from spa_app.queries.refunds import get_refund_facts

PER_PAGE = 30


@dataclass(frozen=True)
class HistoryRow:
    """One entry of a card. ``other`` is whom it concerns beside the card's customer: a transfer's or a share's other.

    ``value_amount`` is what left the card with it, without VAT (negative: what came).
    """

    at: dt.datetime
    kind: str
    sessions: int
    value_amount: int
    days: int | None
    reason: str
    actor: str | None
    booking_id: int | None
    branch_id: int | None
    visit_at: dt.datetime | None
    other_card_id: int | None
    other: str | None


@dataclass(frozen=True)
class Lot:
    """What the sessions were sold for. ``origin_*``: the card, and its customer, that they were transferred from."""

    invoice_id: int | None
    invoice_number: str | None
    sold_on: dt.datetime
    line_amount: int | None
    deferred_amount: int
    total_sessions: int
    origin_id: int | None
    origin_customer: str | None

    @property
    def session_amount(self) -> int:
        """What one session is worth, without VAT."""
        return self.deferred_amount // self.total_sessions if self.total_sessions else 0


@dataclass(frozen=True)
class Person:
    """Somebody to whom sessions can go."""

    id: int
    full_name: str
    phone: str | None


@dataclass(frozen=True)
class CardHead:
    """Where a card belongs, and what decides which acts are open."""

    id: int
    customer_id: int
    branch_id: int
    expired_sessions: int
    has_refund: bool


def find_card(treatment_id: int, *, branch_ids: list[int]) -> CardHead | None:
    """The card, if it is one of these branches'."""
    refund = (
        select(TreatmentEntry.id)
        .where(
            TreatmentEntry.treatment_id == CustomerTreatment.id,
            TreatmentEntry.kind == "refund",
            TreatmentEntry.sessions < 0,
            TreatmentEntry.closed_by_id.is_(None),
        )
        .exists()
    )
    note = select(Invoice.id).where(Invoice.treatment_id == CustomerTreatment.id, Invoice.status != "void").exists()
    row = db.session.execute(
        select(
            CustomerTreatment.id,
            CustomerTreatment.customer_id,
            CustomerTreatment.branch_id,
            CustomerTreatment.expired_sessions,
            refund & note,
        ).where(CustomerTreatment.id == treatment_id, CustomerTreatment.branch_id.in_(branch_ids))
    ).first()
    return CardHead(*row) if row else None


def list_history(treatment_id: int, *, page: int) -> tuple[list[HistoryRow], int]:
    """The entries of a card, the newest first, and how many there are. Two statements."""
    total = db.session.scalar(
        select(func.count()).select_from(TreatmentEntry).where(TreatmentEntry.treatment_id == treatment_id)
    )
    answer, question = aliased(TreatmentEntry), aliased(TreatmentEntry)
    other_card = aliased(CustomerTreatment)
    transferred, shared = aliased(Customer), aliased(Customer)
    rows: Any = db.session.execute(
        select(
            TreatmentEntry.created_at,
            TreatmentEntry.kind,
            TreatmentEntry.sessions,
            TreatmentEntry.value_amount,
            TreatmentEntry.days,
            TreatmentEntry.reason,
            User.full_name,
            Booking.id,
            Booking.branch_id,
            BookingItem.starts_at,
            other_card.id,
            func.coalesce(transferred.full_name, shared.full_name),
        )
        .outerjoin(User, User.id == TreatmentEntry.actor_id)
        .outerjoin(BookingItem, BookingItem.id == TreatmentEntry.booking_item_id)
        .outerjoin(Booking, Booking.id == BookingItem.booking_id)
        .outerjoin(answer, answer.counterpart_id == TreatmentEntry.id)
        .outerjoin(question, question.id == TreatmentEntry.counterpart_id)
        .outerjoin(other_card, other_card.id == func.coalesce(answer.treatment_id, question.treatment_id))
        .outerjoin(transferred, transferred.id == other_card.customer_id)
        .outerjoin(
            TreatmentShare,
            (TreatmentShare.treatment_id == treatment_id)
            & or_(TreatmentShare.entry_id == TreatmentEntry.id, TreatmentShare.ended_by_id == TreatmentEntry.id),
        )
        .outerjoin(shared, shared.id == TreatmentShare.customer_id)
        .where(TreatmentEntry.treatment_id == treatment_id)
        .order_by(TreatmentEntry.id.desc())
        .limit(PER_PAGE)
        .offset((page - 1) * PER_PAGE)
    )
    return [HistoryRow(*row) for row in rows], total or 0


def get_lot(treatment_id: int) -> Lot:
    """The price lot of a card that exists."""
    origin, owner = aliased(CustomerTreatment), aliased(Customer)
    line = aliased(InvoiceLine)
    price = (
        select(func.sum(line.amount))
        .where(or_(line.id == InvoiceLine.id, line.discounts_id == InvoiceLine.id))
        .correlate(InvoiceLine)
        .scalar_subquery()
    )
    row = db.session.execute(
        select(
            Invoice.id,
            Invoice.number,
            func.coalesce(Invoice.issued_at, CustomerTreatment.created_at),
            price,
            CustomerTreatment.deferred_amount,
            CustomerTreatment.total_sessions,
            origin.id,
            owner.full_name,
        )
        .select_from(CustomerTreatment)
        .outerjoin(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
        .outerjoin(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .outerjoin(origin, origin.id == CustomerTreatment.origin_id)
        .outerjoin(owner, owner.id == origin.customer_id)
        .where(CustomerTreatment.id == treatment_id)
    ).one()
    return Lot(*row)


def list_near(treatment_id: int) -> list[Person]:
    """The family of the card's customer, who shares their phone, and whose card its sessions once came from."""
    card, me = aliased(CustomerTreatment), aliased(Customer)
    phone = select(me.phone).join(card, card.customer_id == me.id).where(card.id == treatment_id).scalar_subquery()
    mine = select(card.customer_id).where(card.id == treatment_id).scalar_subquery()
    origin = (
        select(CustomerTreatment.customer_id)
        .join(card, card.origin_id == CustomerTreatment.id)
        .where(card.id == treatment_id)
        .scalar_subquery()
    )
    family = union_all(
        select(CustomerLink.customer_id).where(CustomerLink.relative_id == mine),
        select(CustomerLink.relative_id).where(CustomerLink.customer_id == mine),
    )
    near = or_(Customer.phone == phone, Customer.id == origin, Customer.id.in_(family))
    rows = db.session.execute(
        select(Customer.id, Customer.full_name, Customer.phone)
        .where(near, Customer.id != mine)
        .order_by(Customer.full_name, Customer.id)
    )
    return [Person(*row) for row in rows]


def get_person(customer_id: int) -> Person | None:
    """Somebody by id."""
    row = db.session.execute(
        select(Customer.id, Customer.full_name, Customer.phone).where(Customer.id == customer_id)
    ).first()
    return Person(*row) if row else None


def preview_refund(treatment_id: int, *, basis: str, fee_amount: int) -> Refund:
    """What would come back of a card that exists, by the arithmetic that its refund will use."""
    card = db.session.get_one(CustomerTreatment, treatment_id)
    facts = get_refund_facts(card)
    return work_out(facts, basis=basis, fee_amount=fee_amount)
