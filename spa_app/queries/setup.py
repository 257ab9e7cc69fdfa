"""What managers set up: hours, policies, therapists, rooms and services, with the visits that hang on them.

Each row has a ``state``: what the audit log keeps of it before and after a change, and what its stamp is taken of.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, true

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    BookingItem,
    BookingItemResource,
    Branch,
    BranchException,
    BranchHours,
    Customer,
    CustomerTreatment,
    Plan,
    PlanBranch,
    PlanItem,
    Resource,
    ResourceType,
    Service,
    ServiceResource,
    Staff,
    StaffSkill,
)
from spa_app.queries.rosters import OffShift, OpenDay, Period, list_open_days
from spa_app.queries.seen import stamp

WeekHours = tuple[tuple[Period, ...], ...]  # Monday first
POLICY_COLUMNS = (
    "late_cancel_minutes",
    "late_cancel_policy",
    "late_cancel_fee_bp",
    "late_cancel_fee_amount",
    "no_show_policy",
    "no_show_fee_bp",
    "no_show_fee_amount",
    "waiver_limit_amount",
    "extend_limit_days",
    "close_with_open_invoices",
    "discount_limit_bp",
    "gift_card_months",
    "refund_limit_amount",
)
ABOUT_COLUMNS = ("name", "timezone", "address", "phone", "tax_code", "bank_bin", "bank_account", "bank_holder")
SERVICE_COLUMNS = (
    "name",
    "duration_minutes",
    "buffer_before_minutes",
    "buffer_after_minutes",
    "price_amount",
    "vat_rate_bp",
    "is_active",
)
PLAN_COLUMNS = (
    "name",
    "price_amount",
    "vat_rate_bp",
    "validity_days",
    "validity_months",
    "from_first_visit",
    "is_active",
)
MOST_VISITS = 50


class Stamped:
    """Something with a ``state``."""

    state: Any

    @property
    def stamp(self) -> str:
        """What was seen of it, for the form that changes it."""
        return stamp(self.state)


@dataclass(frozen=True)
class TherapistSetup(Stamped):
    """A therapist as they are set up. ``skills`` are the ids of the services that they perform."""

    id: int
    branch_id: int
    full_name: str
    position: int
    is_active: bool
    skills: tuple[int, ...]

    @property
    def state(self) -> dict[str, Any]:
        """What can be changed of them."""
        return {
            "full_name": self.full_name,
            "position": self.position,
            "is_active": self.is_active,
            "skills": list(self.skills),
        }


@dataclass(frozen=True)
class RoomSetup(Stamped):
    """A room or machine as it is set up."""

    id: int
    branch_id: int
    name: str
    type_id: int
    type_name: str
    kind: str
    position: int
    is_active: bool

    @property
    def state(self) -> dict[str, Any]:
        """What can be changed of it."""
        return {"name": self.name, "type_id": self.type_id, "position": self.position, "is_active": self.is_active}


@dataclass(frozen=True)
class ServiceSetup(Stamped):
    """A service as it is set up. ``types`` are the ids of the kinds of rooms and machines that it needs."""

    id: int
    values: dict[str, Any]
    types: tuple[int, ...]

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.values["name"])

    @property
    def state(self) -> dict[str, Any]:
        """What can be changed of it."""
        return {**self.values, "types": list(self.types)}


@dataclass(frozen=True)
class PlanSetup(Stamped):
    """A plan as it is set up. ``contents`` are (id of the service or None for any, sessions, bonus sessions on top).

    ``branch_ids``: where it is sold and good, none of them for everywhere. ``cards``: how many cards of it customers
    have that are not over.
    """

    id: int
    values: dict[str, Any]
    contents: tuple[tuple[int | None, int, int], ...]
    branch_ids: tuple[int, ...]
    cards: int

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.values["name"])

    @property
    def state(self) -> dict[str, Any]:
        """What can be changed of it."""
        return {
            **self.values,
            "items": [list(item) for item in self.contents],
            "branch_ids": list(self.branch_ids),
        }


def get_hours(branch_id: int) -> WeekHours:
    """The periods in which a branch is open, by weekday."""
    week: list[list[Period]] = [[] for _ in range(7)]
    query = select(BranchHours.weekday, BranchHours.opens_at, BranchHours.closes_at)
    for weekday, opens, closes in db.session.execute(
        query.where(BranchHours.branch_id == branch_id).order_by(BranchHours.opens_at)
    ):
        week[weekday].append((opens, closes))
    return tuple(tuple(day) for day in week)


def hours_state(hours: Iterable[Iterable[Period]]) -> list[list[list[str]]]:
    """Weekly hours for the audit log and the stamp."""
    return [[[f"{begins:%H:%M}", f"{ends:%H:%M}"] for begins, ends in day] for day in hours]


def get_branch(branch_id: int) -> Branch:
    """The branch itself."""
    return db.session.get_one(Branch, branch_id)


def columns_of(row: Any, names: Sequence[str]) -> dict[str, Any]:
    """Some columns of a row, by name."""
    return {name: getattr(row, name) for name in names}


def list_special_days(branch_id: int, since: dt.date) -> list[OpenDay]:
    """The dates from ``since`` on at which the branch keeps other hours."""
    query = (
        select(BranchException.happens_on)
        .where(BranchException.branch_id == branch_id, BranchException.happens_on >= since)
        .distinct()
        .order_by(BranchException.happens_on)
    )
    return [list_open_days(branch_id, date, 1)[0] for date in db.session.execute(query).scalars()]


def list_therapists(branch_id: int, staff_id: int | None = None) -> list[TherapistSetup]:
    """The therapists of a branch, those who have left last; or one of them. Two statements."""
    query = select(Staff.id, Staff.branch_id, Staff.full_name, Staff.position, Staff.is_active)
    query = query.where(Staff.branch_id == branch_id)
    if staff_id is not None:
        query = query.where(Staff.id == staff_id)
    skills: dict[int, list[int]] = defaultdict(list)
    known = select(StaffSkill.staff_id, StaffSkill.service_id).join(Staff, Staff.id == StaffSkill.staff_id)
    for one, service_id in db.session.execute(
        known.where(Staff.branch_id == branch_id).order_by(StaffSkill.service_id)
    ):
        skills[one].append(service_id)
    rows = db.session.execute(query.order_by(Staff.is_active.desc(), Staff.position, Staff.id))
    return [TherapistSetup(*row, tuple(skills[row.id])) for row in rows]


def list_rooms(branch_id: int, resource_id: int | None = None) -> list[RoomSetup]:
    """The rooms and machines of a branch, those out of use last; or one of them."""
    query = (
        select(
            Resource.id,
            Resource.branch_id,
            Resource.name,
            Resource.type_id,
            ResourceType.name,
            ResourceType.kind,
            Resource.position,
            Resource.is_active,
        )
        .join(ResourceType, ResourceType.id == Resource.type_id)
        .where(Resource.branch_id == branch_id)
        .order_by(Resource.is_active.desc(), Resource.position, Resource.id)
    )
    if resource_id is not None:
        query = query.where(Resource.id == resource_id)
    return [RoomSetup(*row) for row in db.session.execute(query)]


def list_room_types() -> list[tuple[int, str]]:
    """(id, name) of the kinds of rooms and machines."""
    query = select(ResourceType.id, ResourceType.name).order_by(ResourceType.kind.desc(), ResourceType.name)
    return [(row[0], row[1]) for row in db.session.execute(query)]


def list_services(service_id: int | None = None) -> list[ServiceSetup]:
    """All services, those no longer offered last; or one. Two statements."""
    types: dict[int, list[int]] = defaultdict(list)
    for one, type_id in db.session.execute(
        select(ServiceResource.service_id, ServiceResource.type_id).order_by(ServiceResource.type_id)
    ):
        types[one].append(type_id)
    query = select(Service).order_by(Service.is_active.desc(), Service.name)
    if service_id is not None:
        query = query.where(Service.id == service_id)
    rows = db.session.execute(query.execution_options(populate_existing=True)).scalars()
    return [ServiceSetup(row.id, columns_of(row, SERVICE_COLUMNS), tuple(types[row.id])) for row in rows]


def list_plans(plan_id: int | None = None) -> list[PlanSetup]:
    """All plans, the retired ones last; or one. Four statements."""
    query = select(Plan).order_by(Plan.is_active.desc(), Plan.name)
    if plan_id is not None:
        query = query.where(Plan.id == plan_id)
    rows = db.session.execute(query.execution_options(populate_existing=True)).scalars().all()
    ids = [row.id for row in rows]
    contents: dict[int, list[tuple[int | None, int, int]]] = defaultdict(list)
    for item in db.session.execute(select(PlanItem).where(PlanItem.plan_id.in_(ids)).order_by(PlanItem.id)).scalars():
        contents[item.plan_id].append((item.service_id, item.sessions, item.bonus_sessions))
    limits: dict[int, list[int]] = defaultdict(list)
    for limit in db.session.execute(
        select(PlanBranch).where(PlanBranch.plan_id.in_(ids)).order_by(PlanBranch.branch_id)
    ).scalars():
        limits[limit.plan_id].append(limit.branch_id)
    running = (
        select(CustomerTreatment.plan_id, func.count())
        .where(CustomerTreatment.plan_id.in_(ids), CustomerTreatment.status.in_(("active", "frozen")))
        .group_by(CustomerTreatment.plan_id)
    )
    cards = {row[0]: row[1] for row in db.session.execute(running)}
    return [
        PlanSetup(
            row.id,
            columns_of(row, PLAN_COLUMNS),
            tuple(contents[row.id]),
            tuple(limits[row.id]),
            cards.get(row.id, 0),
        )
        for row in rows
    ]


def visits_of_staff(staff_id: int) -> list[OffShift]:
    """The upcoming visits of a therapist, fifty at most."""
    return _visits(BookingItem.staff_id == staff_id)


def visits_in_room(resource_id: int) -> list[OffShift]:
    """The upcoming visits in a room, fifty at most."""
    of_room = select(BookingItemResource.booking_item_id).where(BookingItemResource.resource_id == resource_id)
    return _visits(BookingItem.id.in_(of_room))


def visits_for_service(service_id: int, branch_id: int | None = None) -> list[OffShift]:
    """The upcoming visits for a service, in one branch or anywhere, fifty at most."""
    here = Booking.branch_id == branch_id if branch_id is not None else true()
    return _visits(and_(BookingItem.service_id == service_id, here))


def has_visits(branch_id: int) -> bool:
    """Whether anything is booked in a branch from now on."""
    query = select(Booking.id).where(
        Booking.branch_id == branch_id,
        Booking.status.in_(("pending", "confirmed", "in_progress")),
        Booking.starts_at > clock.now() - dt.timedelta(days=1),
    )
    return db.session.execute(query.limit(1)).first() is not None


def _visits(condition: ColumnElement[bool]) -> list[OffShift]:
    query = (
        select(
            BookingItem.booking_id,
            Staff.id,
            Staff.full_name,
            Customer.full_name,
            Service.name,
            BookingItem.starts_at,
            BookingItem.ends_at,
            Booking.status,
        )
        .join(Booking, Booking.id == BookingItem.booking_id)
        .join(Customer, Customer.id == Booking.customer_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .join(Service, Service.id == BookingItem.service_id)
        .where(
            condition,
            BookingItem.occupies,
            Booking.status.in_(("pending", "confirmed")),
            BookingItem.starts_at > func.now(),
        )
        .order_by(BookingItem.starts_at, BookingItem.id)
        .limit(MOST_VISITS)
    )
    return [OffShift(*row) for row in db.session.execute(query)]
