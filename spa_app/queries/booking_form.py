"""What the booking form offers: services, who performs them, where, and the cards that can pay."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import BigInteger, Select, bindparam, case, func, null, select, union_all
from sqlalchemy.dialects.postgresql import aggregate_order_by

from spa_app.extensions import db
from spa_app.models import (
    Booking,
    BookingItem,
    Branch,
    Customer,
    CustomerTreatment,
    Resource,
    Service,
    ServiceResource,
    Staff,
    StaffSkill,
    TreatmentEntry,
    TreatmentShare,
)


@dataclass(frozen=True)
class ServiceChoice:
    """A service that somebody in the branch performs. ``type_ids``: the kinds of room or machine that it takes."""

    id: int
    name: str
    minutes: int
    price_amount: int
    type_ids: frozenset[int]


@dataclass(frozen=True)
class StaffChoice:
    """A therapist of the branch."""

    id: int
    full_name: str
    service_ids: frozenset[int]


@dataclass(frozen=True)
class ResourceChoice:
    """A room or machine of the branch."""

    id: int
    name: str
    type_id: int


@dataclass(frozen=True)
class Choices:
    """Everything that a branch can put into a visit."""

    services: tuple[ServiceChoice, ...]
    staff: tuple[StaffChoice, ...]
    resources: tuple[ResourceChoice, ...]

    def service(self, service_id: int | None) -> ServiceChoice | None:
        """The service with that id, if it is on offer here."""
        return next((one for one in self.services if one.id == service_id), None)

    def staff_for(self, service_id: int | None) -> list[StaffChoice]:
        """Who performs the service; everybody while none is chosen."""
        return [one for one in self.staff if service_id is None or service_id in one.service_ids]

    def resources_for(self, service_id: int | None) -> list[ResourceChoice]:
        """Where the service can take place; nothing while none is chosen."""
        service = self.service(service_id)
        return [one for one in self.resources if service and one.type_id in service.type_ids]


@dataclass(frozen=True)
class CardChoice:
    """A card that can pay: neither cancelled nor used up, the customer's own or shared with them; or, while it is
    frozen, or only good in other branches, one that could.

    ``free`` is what is free for this customer; ``owner`` is whose it is, None for the customer's own; ``elsewhere``
    names the branches in which it is good, None where the branch in question is one of them.
    """

    id: int
    service_id: int | None
    service_name: str | None  # None: good for any service
    free: int
    expiry_date: dt.date | None  # None: its validity begins with the first visit
    owner: str | None
    branch_id: int
    frozen_on: dt.date | None
    elsewhere: Sequence[str] | None

    @property
    def is_stopped(self) -> bool:
        """Whether it can pay for nothing in the branch at present: frozen, or good elsewhere only."""
        return self.frozen_on is not None or self.elsewhere is not None

    def covers(self, service_id: int | None) -> bool:
        """Whether it is good for the service."""
        return service_id is not None and self.service_id in (None, service_id)

    def fits(self, service_id: int | None, visit_on: dt.date) -> bool:
        """Whether it covers the service and can be used in the branch on the visit's local date."""
        if not self.covers(service_id) or self.is_stopped:
            return False
        return self.expiry_date is None or self.expiry_date >= visit_on


def get_choices(branch_id: int) -> Choices:
    """What the branch offers, each list in the order in which it is shown. Takes three statements."""
    staff = tuple(
        StaffChoice(id_, name, frozenset(service_ids))
        for id_, name, service_ids in db.session.execute(
            select(Staff.id, Staff.full_name, func.array_agg(StaffSkill.service_id))
            .join(StaffSkill, StaffSkill.staff_id == Staff.id)
            .where(Staff.branch_id == branch_id, Staff.is_active)
            .group_by(Staff.id)
            .order_by(Staff.position, Staff.id)
        )
    )
    offered = frozenset().union(*(one.service_ids for one in staff))
    services = tuple(
        ServiceChoice(id_, name, minutes, price, frozenset(type_ids) - {None})
        for id_, name, minutes, price, type_ids in db.session.execute(
            select(
                Service.id,
                Service.name,
                Service.duration_minutes,
                Service.price_amount,
                func.array_agg(aggregate_order_by(ServiceResource.type_id, ServiceResource.type_id)),
            )
            .outerjoin(ServiceResource, ServiceResource.service_id == Service.id)
            .where(Service.is_active, Service.id.in_(offered))
            .group_by(Service.id)
            .order_by(Service.name, Service.id)
        )
    )
    resources = tuple(
        ResourceChoice(*row)
        for row in db.session.execute(
            select(Resource.id, Resource.name, Resource.type_id)
            .where(Resource.branch_id == branch_id, Resource.is_active)
            .order_by(Resource.position, Resource.id)
        )
    )
    return Choices(services, staff, resources)


def list_card_choices(customer_id: int, *, branch_id: int) -> tuple[CardChoice, ...]:
    """The cards with a session free for the customer, the soonest to expire first, their own before shared ones.

    ``branch_id``: where the visit is. Takes one statement.
    """
    rows = db.session.execute(_cards_query(), {"customer_id": customer_id, "branch_id": branch_id})
    return tuple(CardChoice(*row) for row in rows)


@cache
def _cards_query() -> Select[
    int, int | None, str, int, dt.date | None, str | None, int, dt.date | None, list[str] | None
]:
    card, customer_id = CustomerTreatment, bindparam("customer_id", type_=BigInteger)
    good_in = (
        select(func.array_agg(aggregate_order_by(Branch.name, Branch.name)))
        .where(Branch.id == func.any(card.branch_ids))
        .correlate(card)
        .scalar_subquery()
    )
    taken = (
        select(func.count())
        .select_from(TreatmentEntry)
        .join(BookingItem, BookingItem.id == TreatmentEntry.booking_item_id)
        .join(Booking, Booking.id == BookingItem.booking_id)
        .where(
            TreatmentEntry.treatment_id == TreatmentShare.treatment_id,
            TreatmentEntry.kind.in_(("hold", "punch", "forfeit")),
            TreatmentEntry.closed_by_id.is_(None),
            Booking.customer_id == customer_id,
        )
        .correlate(TreatmentShare)
        .scalar_subquery()
    )
    shared = (
        select(TreatmentShare.treatment_id, (TreatmentShare.session_limit - taken).label("still"))
        .where(TreatmentShare.customer_id == customer_id, TreatmentShare.ended_by_id.is_(None))
        .subquery()
    )
    free = func.least(card.free_sessions, shared.c.still)  # no limit is NULL, which least() leaves aside
    return (
        select(
            card.id,
            card.service_id,
            Service.name,
            free,
            card.expiry_date,
            case((card.customer_id != customer_id, Customer.full_name)),
            card.branch_id,
            card.frozen_on,
            case((bindparam("branch_id", type_=BigInteger) == func.any(card.branch_ids), null()), else_=good_in),
        )
        .join(Customer, Customer.id == card.customer_id)
        .outerjoin(Service, Service.id == card.service_id)
        .outerjoin(shared, shared.c.treatment_id == card.id)
        .where(
            # By id, so that either index finds them: "own or shared" would look through all cards.
            card.id.in_(
                union_all(select(card.id).where(card.customer_id == customer_id), select(shared.c.treatment_id))
            ),
            card.cancelled_at.is_(None),
            free > 0,
        )
        .order_by(card.customer_id != customer_id, card.expiry_date, card.id)
    )


def fitting_cards(
    cards: Iterable[CardChoice], *, service_id: int | None, visit_on: dt.date, taken: Counter[int]
) -> list[CardChoice]:
    """The cards that can pay for a service, the best first; ``taken`` counts what earlier services of the visit use."""
    return [card for card in cards if card.fits(service_id, visit_on) and card.free > taken[card.id]]
