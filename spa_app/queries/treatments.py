"""Treatment cards as they are drawn: one square per session."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, exists, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

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
    PlanBranch,
    PlanItem,
    Service,
    Staff,
    TreatmentEntry,
    TreatmentShare,
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
    expiry_date: dt.date | None  # None: begins with the first visit
    frozen_on: dt.date | None
    is_refunded: bool
    owed_amount: int
    invoice_id: int | None
    invoice_number: str | None
    due_amount: int
    good_in: tuple[str, ...]  # names of branches; empty: good in all
    squares: tuple[Square, ...]
    shares: tuple["Share", ...]

    @property
    def is_folded(self) -> bool:
        """Whether nothing can be done with it any more."""
        return self.status in FOLDED


@dataclass(frozen=True)
class Share:
    """Who else may book on a card: ``limit`` sessions in all (None: any that is free), of which ``used`` are gone."""

    customer_id: int
    full_name: str
    limit: int | None
    used: int


@dataclass(frozen=True)
class PlanOption:
    """A plan for sale, and what it holds as (service or None for any, sessions, bonus sessions on top)."""

    id: int
    name: str
    price_amount: int
    validity_days: int | None
    validity_months: int | None
    from_first_visit: bool
    items: tuple[tuple[str | None, int, int], ...]


@dataclass(frozen=True)
class SharedCard:
    """A card that another customer shares. ``limit`` and ``used`` are as in :class:`Share`."""

    id: int
    service: str | None
    owner_id: int
    owner: str
    free: int
    limit: int | None
    used: int
    expiry_date: dt.date | None

    @property
    def left(self) -> int:
        """How many sessions are free for this customer."""
        return self.free if self.limit is None else max(min(self.free, self.limit - self.used), 0)


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
    """A customer's cards, those in use first, each by expiry. Three statements, however many cards there are."""
    cards = _draw(CustomerTreatment.customer_id == customer_id)
    # What was over last stands first among those that are over.
    over = sorted((card for card in cards if card.is_folded), key=_by_expiry)
    return [*sorted((card for card in cards if not card.is_folded), key=_by_expiry), *reversed(over)]


def get_card(treatment_id: int) -> Card | None:
    """One card. Three statements."""
    return next(iter(_draw(CustomerTreatment.id == treatment_id)), None)


def list_shared_cards(customer_id: int) -> list[SharedCard]:
    """The cards of others on which the customer may book, the soonest to expire first."""
    owner = aliased(Customer)
    rows = db.session.execute(
        select(
            CustomerTreatment.id,
            Service.name,
            owner.id,
            owner.full_name,
            CustomerTreatment.free_sessions,
            TreatmentShare.session_limit,
            _used_by(TreatmentShare.treatment_id, TreatmentShare.customer_id).label("used"),
            CustomerTreatment.expiry_date,
        )
        .join(TreatmentShare, TreatmentShare.treatment_id == CustomerTreatment.id)
        .join(owner, owner.id == CustomerTreatment.customer_id)
        .outerjoin(Service, Service.id == CustomerTreatment.service_id)
        .where(
            TreatmentShare.customer_id == customer_id,
            TreatmentShare.ended_by_id.is_(None),
            CustomerTreatment.status == "active",
        )
        .order_by(CustomerTreatment.expiry_date, CustomerTreatment.id)
    )
    return [SharedCard(*row) for row in rows]


def list_plans_for_sale(branch_id: int | None) -> list[PlanOption]:
    """What a branch can sell now, by name: active plans that hold sessions, and are not limited to other branches."""
    rows = db.session.execute(
        select(Plan, Service.name, PlanItem.sessions, PlanItem.bonus_sessions)
        .join(PlanItem, PlanItem.plan_id == Plan.id)
        .outerjoin(Service, Service.id == PlanItem.service_id)
        .where(Plan.is_active, _sold_in(branch_id))
        .order_by(Plan.name, Plan.id, PlanItem.id)
    ).all()
    items: dict[int, list[tuple[str | None, int, int]]] = defaultdict(list)
    for plan, service, sessions, bonus in rows:
        items[plan.id].append((service, sessions, bonus))
    plans = {plan.id: plan for plan, *_ in rows}
    return [
        PlanOption(
            plan.id,
            plan.name,
            plan.price_amount,
            plan.validity_days,
            plan.validity_months,
            plan.from_first_visit,
            tuple(items[plan.id]),
        )
        for plan in plans.values()
    ]


def find_plans_for(service_id: int, limit: int, *, branch_id: int) -> list[Plan]:
    """Up to ``limit`` plans that a branch sells for a service, those of that very service first, then by price."""
    covers = (
        select(PlanItem.plan_id, func.bool_or(PlanItem.service_id == service_id).label("its_own"))
        .where((PlanItem.service_id == service_id) | PlanItem.service_id.is_(None))
        .group_by(PlanItem.plan_id)
        .subquery()
    )
    query = (
        select(Plan)
        .join(covers, covers.c.plan_id == Plan.id)
        .where(Plan.is_active, _sold_in(branch_id))
        .order_by(covers.c.its_own.desc().nulls_last(), Plan.price_amount, Plan.id)
    )
    return list(db.session.execute(query.limit(limit)).scalars())


def _sold_in(branch_id: int | None) -> ColumnElement[bool]:
    limits = select(PlanBranch.plan_id).where(PlanBranch.plan_id == Plan.id)
    return ~limits.exists() | limits.where(PlanBranch.branch_id == branch_id).exists()


def get_sale_of_visit(booking_id: int) -> Invoice | None:
    """The newest sale of a card that pays in a visit, while it is still to be paid."""
    query = (
        select(Invoice)
        .join(InvoiceLine, InvoiceLine.invoice_id == Invoice.id)
        .join(CustomerTreatment, CustomerTreatment.invoice_line_id == InvoiceLine.id)
        .join(BookingItem, BookingItem.treatment_id == CustomerTreatment.id)
        .where(BookingItem.booking_id == booking_id, Invoice.status.in_(("open", "partly_paid")))
        .order_by(Invoice.id.desc())
    )
    return db.session.execute(query.limit(1)).scalar()


def _draw(which: ColumnElement[bool]) -> list[Card]:
    refunds = aliased(Invoice)
    good = aliased(Branch)
    good_in = (
        select(func.array_agg(aggregate_order_by(good.name, good.name)))
        .where(good.id == func.any(CustomerTreatment.branch_ids))
        .scalar_subquery()
    )
    is_refunded = exists().where(refunds.treatment_id == CustomerTreatment.id, refunds.status != "void")
    rows = db.session.execute(
        select(CustomerTreatment, Service.name, Plan.name, Branch, Invoice, is_refunded, good_in)
        .join(Branch, Branch.id == CustomerTreatment.branch_id)
        .outerjoin(Service, Service.id == CustomerTreatment.service_id)
        .outerjoin(Plan, Plan.id == CustomerTreatment.plan_id)
        .outerjoin(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
        .outerjoin(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(which)
    ).all()
    ids = [card.id for card, *_ in rows]
    taken, shares = _taken_squares(ids), _shares(ids)
    return [_card(*row, taken=taken[row[0].id], shares=shares[row[0].id]) for row in rows]


def _by_expiry(card: Card) -> tuple[dt.date, int]:
    return (card.expiry_date or dt.date.max, card.id)


def _used_by(treatment_id: Any, customer_id: Any) -> ScalarSelect[int]:
    """How many sessions of a card a customer's visits have used or reserved."""
    return (
        select(func.count())
        .select_from(TreatmentEntry)
        .join(BookingItem, BookingItem.id == TreatmentEntry.booking_item_id)
        .join(Booking, Booking.id == BookingItem.booking_id)
        .where(
            TreatmentEntry.treatment_id == treatment_id,
            TreatmentEntry.kind.in_(_STATES),
            TreatmentEntry.closed_by_id.is_(None),
            Booking.customer_id == customer_id,
        )
        .correlate(TreatmentShare)
        .scalar_subquery()
    )


def _shares(card_ids: Sequence[int]) -> dict[int, list[Share]]:
    rows = db.session.execute(
        select(
            TreatmentShare.treatment_id,
            Customer.id,
            Customer.full_name,
            TreatmentShare.session_limit,
            _used_by(TreatmentShare.treatment_id, TreatmentShare.customer_id),
        )
        .join(Customer, Customer.id == TreatmentShare.customer_id)
        .where(TreatmentShare.treatment_id.in_(card_ids), TreatmentShare.ended_by_id.is_(None))
        .order_by(Customer.full_name, Customer.id)
    )
    shares: dict[int, list[Share]] = defaultdict(list)
    for treatment_id, customer_id, full_name, limit, used in rows:
        shares[treatment_id].append(Share(customer_id, full_name, limit, used))
    return shares


def _taken_squares(card_ids: Sequence[int]) -> dict[int, list[Square]]:
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
            TreatmentEntry.treatment_id.in_(card_ids),
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
    is_refunded: bool,
    good_in: list[str] | None,
    *,
    taken: list[Square],
    shares: list[Share],
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
        is_refunded=is_refunded,
        owed_amount=card.owed_amount,
        invoice_id=invoice.id if invoice else None,
        invoice_number=invoice.number if invoice else None,
        due_amount=invoice.due_amount if invoice else 0,
        good_in=tuple(good_in or ()),
        squares=tuple(squares),
        shares=tuple(shares),
    )
