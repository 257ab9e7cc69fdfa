"""Treatment cards as they are drawn: one square per session."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    BookingItem,
    Branch,
    Customer,
    CustomerTreatment,
    Invoice,
    InvoiceLine,
    Plan,
    PlanItem,
    Service,
    Staff,
    TreatmentEntry,
    derive_status,
)

_STATES = {"hold": "reserved", "punch": "used", "forfeit": "forfeited"}
FOLDED = ("completed", "expired", "cancelled")


@dataclass(frozen=True)
class Square:
    """One session. ``state``: used, forfeited, reserved, free, expired; the rest is known where a visit took it."""

    state: str
    starts_at: dt.datetime | None = None
    service: str | None = None
    staff: str | None = None
    booking_id: int | None = None
    branch_id: int | None = None


@dataclass(frozen=True)
class Card:
    """A treatment card on its branch's present day. Amounts are minor units; ``owed_amount`` has no VAT in it.

    ``left`` counts what can still be booked: neither used, nor reserved, nor expired. ``service`` is None where the
    card is good for any.
    """

    id: int
    service: str | None
    plan: str | None
    branch: str
    branch_id: int
    total: int
    used: int
    held: int
    left: int
    expired: int
    status: str
    expiry_date: dt.date
    frozen_on: dt.date | None
    owed_amount: int
    invoice_id: int | None
    invoice_number: str | None
    due_amount: int
    squares: tuple[Square, ...]

    @property
    def is_folded(self) -> bool:
        """Whether nothing can be done with it any more."""
        return self.status in FOLDED


@dataclass(frozen=True)
class PlanOption:
    """A plan for sale, and what it holds as (service or None for any, sessions)."""

    id: int
    name: str
    price_amount: int
    validity_days: int
    items: tuple[tuple[str | None, int], ...]


@dataclass(frozen=True)
class Owner:
    """Whose cards they are."""

    id: int
    full_name: str
    phone: str | None


def get_owner(customer_id: int) -> Owner | None:
    """The customer's name and phone."""
    row = db.session.execute(
        select(Customer.id, Customer.full_name, Customer.phone).where(Customer.id == customer_id)
    ).first()
    return Owner(row.id, row.full_name, row.phone) if row else None


def list_cards(customer_id: int) -> list[Card]:
    """A customer's cards, those in use first, each by expiry. Two statements, however many cards there are."""
    rows = db.session.execute(
        select(CustomerTreatment, Service.name, Plan.name, Branch, Invoice)
        .join(Branch, Branch.id == CustomerTreatment.branch_id)
        .outerjoin(Service, Service.id == CustomerTreatment.service_id)
        .outerjoin(Plan, Plan.id == CustomerTreatment.plan_id)
        .outerjoin(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
        .outerjoin(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(CustomerTreatment.customer_id == customer_id)
    ).all()
    taken = _taken_squares(card.id for card, *_ in rows)
    cards = [_card(*row, taken=taken[row[0].id]) for row in rows]
    # What was over last stands first among those that are over.
    over = sorted((card for card in cards if card.is_folded), key=lambda card: (card.expiry_date, card.id))
    return [
        *sorted((card for card in cards if not card.is_folded), key=lambda card: (card.expiry_date, card.id)),
        *reversed(over),
    ]


def list_plans_for_sale() -> list[PlanOption]:
    """What can be sold now, by name: active plans that hold sessions."""
    rows = db.session.execute(
        select(Plan, Service.name, PlanItem.sessions)
        .join(PlanItem, PlanItem.plan_id == Plan.id)
        .outerjoin(Service, Service.id == PlanItem.service_id)
        .where(Plan.is_active)
        .order_by(Plan.name, Plan.id, PlanItem.id)
    ).all()
    items: dict[int, list[tuple[str | None, int]]] = defaultdict(list)
    for plan, service, sessions in rows:
        items[plan.id].append((service, sessions))
    plans = {plan.id: plan for plan, _, _ in rows}
    return [
        PlanOption(plan.id, plan.name, plan.price_amount, plan.validity_days, tuple(items[plan.id]))
        for plan in plans.values()
    ]


def _taken_squares(card_ids: Iterable[int]) -> dict[int, list[Square]]:
    """The sessions that visits have used or reserved, by card, in the order of the visits."""
    rows = db.session.execute(
        select(
            TreatmentEntry.treatment_id,
            TreatmentEntry.kind,
            BookingItem.starts_at,
            Service.name.label("service"),
            Staff.full_name.label("staff"),
            Booking.id.label("booking_id"),
            Booking.branch_id,
        )
        .join(BookingItem, BookingItem.id == TreatmentEntry.booking_item_id)
        .join(Booking, Booking.id == BookingItem.booking_id)
        .join(Service, Service.id == BookingItem.service_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .where(
            TreatmentEntry.treatment_id.in_(list(card_ids)),
            TreatmentEntry.kind.in_(_STATES),
            TreatmentEntry.closed_by_id.is_(None),
        )
        .order_by(BookingItem.starts_at, TreatmentEntry.id)
    )
    squares: dict[int, list[Square]] = defaultdict(list)
    for row in rows:
        squares[row.treatment_id].append(
            Square(_STATES[row.kind], row.starts_at, row.service, row.staff, row.booking_id, row.branch_id)
        )
    return squares


def _card(
    card: CustomerTreatment,
    service: str | None,
    plan: str | None,
    branch: Branch,
    invoice: Invoice | None,
    *,
    taken: list[Square],
) -> Card:
    # The stored status may lag behind midnight until the nightly job has run; what cannot be booked is not "left".
    status = derive_status(card, clock.today(branch.timezone))
    over = card.free_sessions if status == "expired" else 0
    left = card.free_sessions - over
    gone = [square for square in taken if square.state != "reserved"]
    reserved = [square for square in taken if square.state == "reserved"]
    squares = [
        *gone,
        *[Square("used")] * (card.used_sessions - len(gone)),
        *reserved,
        *[Square("reserved")] * (card.held_sessions - len(reserved)),
        *[Square("free")] * left,
        *[Square("expired")] * (card.expired_sessions + over),
    ]
    return Card(
        id=card.id,
        service=service,
        plan=plan,
        branch=branch.name,
        branch_id=branch.id,
        total=card.total_sessions,
        used=card.used_sessions,
        held=card.held_sessions,
        left=left,
        expired=card.expired_sessions + over,
        status=status,
        expiry_date=card.expiry_date,
        frozen_on=card.frozen_on,
        owed_amount=card.owed_amount,
        invoice_id=invoice.id if invoice else None,
        invoice_number=invoice.number if invoice else None,
        due_amount=invoice.due_amount if invoice else 0,
        squares=tuple(squares),
    )
