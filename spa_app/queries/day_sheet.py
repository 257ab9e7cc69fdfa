"""The day on paper: what the desk needs to go on working when the power or the network is gone."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal, null, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    BookingItem,
    BookingItemResource,
    Customer,
    CustomerTreatment,
    Resource,
    Service,
    Staff,
)
from spa_app.queries.parties import GIVEN_UP, mate_names
from spa_app.queries.roster import is_without_room, is_without_therapist


@dataclass(frozen=True)
class Line:
    """One service of a visit. ``left`` and ``held`` are of the card that pays, which is None for a visit to be paid."""

    booking_id: int
    staff_id: int
    staff_name: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    status: str
    held_until: dt.datetime | None
    customer_id: int
    customer_name: str
    phone: str | None
    allergies: str
    service_name: str
    rooms: str
    card_id: int | None
    left: int | None
    held: int | None
    note: str
    with_names: str  # who comes along
    needs_therapist: bool  # theirs is marked absent then
    needs_room: bool


@dataclass(frozen=True)
class Part:
    """One therapist's day, in the order of time."""

    staff_id: int
    name: str
    lines: tuple[Line, ...]


def get_day_sheet(
    branch_id: int, date: dt.date, *, timezone: str, only_staff_id: int | None = None
) -> tuple[Part, ...]:
    """Each therapist of the branch with their visits of a local date, cancelled and missed ones left out, and
    services cancelled alone.

    Who has no visits is there too: a walk-in may be written in. ``only_staff_id`` leaves nothing but that therapist's
    part, without telephone numbers. Takes two statements, however full the day is.
    """
    team = select(Staff.id, Staff.full_name).where(Staff.branch_id == branch_id, Staff.is_active)
    if only_staff_id is not None:
        team = team.where(Staff.id == only_staff_id)
    names = dict(db.session.execute(team.order_by(Staff.position, Staff.id)).all())
    lines = _lines(branch_id, clock.day_bounds(date, timezone), only_staff_id)
    # Who has left, or helps out from another branch, is on the sheet as long as visits are theirs.
    names |= {line.staff_id: line.staff_name for line in lines if line.staff_id not in names}
    return tuple(
        Part(staff_id, name, tuple(line for line in lines if line.staff_id == staff_id))
        for staff_id, name in names.items()
    )


def _lines(branch_id: int, bounds: tuple[dt.datetime, dt.datetime], only_staff_id: int | None) -> Sequence[Line]:
    card = CustomerTreatment
    rooms = (
        select(func.string_agg(Resource.name, aggregate_order_by(literal(", "), Resource.position, Resource.id)))
        .join(BookingItemResource, BookingItemResource.resource_id == Resource.id)
        .where(BookingItemResource.booking_item_id == BookingItem.id)
        .correlate(BookingItem)
        .scalar_subquery()
    )
    columns: tuple[Any, ...] = (
        Booking.id,
        BookingItem.staff_id,
        Staff.full_name,
        BookingItem.starts_at,
        BookingItem.ends_at,
        Booking.status,
        Booking.held_until,
        Customer.id,
        Customer.full_name,
        Customer.phone if only_staff_id is None else null(),
        Customer.allergies,
        Service.name,
        func.coalesce(rooms, ""),
        card.id,
        card.total_sessions - card.used_sessions - card.held_sessions - card.expired_sessions,
        card.held_sessions,
        Booking.note,
        mate_names(),
        is_without_therapist(),
        is_without_room(),
    )
    query = (
        select(*columns)
        .select_from(Booking)
        .join(BookingItem, BookingItem.booking_id == Booking.id)
        .join(Customer, Customer.id == Booking.customer_id)
        .join(Service, Service.id == BookingItem.service_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .outerjoin(card, card.id == BookingItem.treatment_id)
        .where(
            Booking.branch_id == branch_id,
            Booking.starts_at >= bounds[0],
            Booking.starts_at < bounds[1],
            Booking.status.not_in(GIVEN_UP),
            BookingItem.cancelled_at.is_(None),
            Booking.is_shown(clock.now()),
        )
        .order_by(BookingItem.starts_at, BookingItem.id)
    )
    if only_staff_id is not None:
        query = query.where(BookingItem.staff_id == only_staff_id)
    return [Line(*row) for row in db.session.execute(query)]
