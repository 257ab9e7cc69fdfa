"""The day of a branch: who and what stands in its columns, and the visits in them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Select, and_, case, false, func, not_, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from spa_app import clock
from spa_app.errors import N_, NotFoundError
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    BookingItem,
    BookingItemResource,
    Branch,
    BranchHours,
    Customer,
    CustomerTreatment,
    Invoice,
    Resource,
    Service,
    Staff,
)

By = Literal["therapist", "room"]
GIVEN_UP = ("cancelled", "no_show")


@dataclass(frozen=True, slots=True)
class Column:
    """A therapist, or a room or machine, of the branch."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Block:
    """One service of a visit as the calendar shows it; in the room view one for each room that it takes.

    ``number`` counts a visit's blocks of this day from 1. ``occupied_from`` and ``occupied_to`` hold the clean-up
    buffers. ``payment`` is ``unpaid``, ``partly_paid`` or ``paid``, and None while there is no invoice.
    """

    column_id: int
    booking_id: int
    item_id: int
    number: int
    status: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    occupied_from: dt.datetime
    occupied_to: dt.datetime
    customer_id: int
    customer_name: str
    service_name: str
    staff_id: int
    staff_name: str
    resource_names: tuple[str, ...]
    arrived: bool
    payment: str | None
    on_card: bool
    last_session: bool
    first_visit: bool
    entered_late: bool
    note: str
    allergies: str


@dataclass(frozen=True, slots=True)
class Day:
    """A local date of a branch. ``revision`` changes whenever anything that it shows does."""

    branch_id: int
    date: dt.date
    timezone: str
    by: By
    revision: str
    begins_at: dt.datetime
    ends_at: dt.datetime
    open_periods: tuple[tuple[dt.datetime, dt.datetime], ...]
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]


def get_day(
    branch_id: int,
    date: dt.date,
    by: By = "therapist",
    *,
    only_staff_id: int | None = None,
    with_given_up: bool = False,
) -> Day:
    """The day in four statements, however full it is.

    ``only_staff_id`` leaves nothing but that therapist's column; ``with_given_up`` adds cancelled visits and no-shows,
    which occupy no time. Blocks come by start. Raises :class:`NotFoundError` for an unknown branch.
    """
    timezone, hours = _branch_hours(branch_id, date)
    begins_at, ends_at = clock.day_bounds(date, timezone)
    # Before the blocks: what changes in between then shows as a change at the next poll, never as none.
    revision = get_revision(branch_id, date, timezone=timezone)
    columns = _columns(branch_id, by, only_staff_id)
    rows = _rows(branch_id, begins_at, ends_at, only_staff_id=only_staff_id, with_given_up=with_given_up)
    blocks = _blocks(rows, by)
    if by == "therapist":
        # Someone who has left, or helps out from another branch, stands in the calendar as long as visits are theirs.
        known = {column.id for column in columns}
        guests = {block.column_id: block.staff_name for block in blocks if block.column_id not in known}
        columns += tuple(Column(id_, name) for id_, name in sorted(guests.items()))
    return Day(
        branch_id=branch_id,
        date=date,
        timezone=timezone,
        by=by,
        revision=revision,
        begins_at=begins_at,
        ends_at=ends_at,
        open_periods=tuple(
            (clock.at_local(date, opens_at, timezone), clock.at_local(date, closes_at, timezone))
            for opens_at, closes_at in hours
        ),
        columns=columns,
        blocks=blocks,
    )


def get_revision(branch_id: int, date: dt.date, *, timezone: str) -> str:
    """A digest of all that the day shows, in one statement: the price of a poll that finds nothing new.

    ``bookings.version`` stands for the visit, its items and their places. Whether a visit is the customer's first is not
    in it: that can only change through another day.
    """
    begins_at, ends_at = clock.day_bounds(date, timezone)
    day = (
        select(
            func.concat_ws(
                " ",
                Booking.id,
                Booking.version,
                Booking.status,
                Invoice.status,
                func.hashtext(Customer.full_name + "|" + Customer.allergies),
                CustomerTreatment.used_sessions,
                CustomerTreatment.held_sessions,
                CustomerTreatment.expired_sessions,
                CustomerTreatment.total_sessions,
            ).label("said"),
            BookingItem.id,
        )
        .select_from(Booking)
        .join(BookingItem, BookingItem.booking_id == Booking.id)
        .join(Customer, Customer.id == Booking.customer_id)
        .outerjoin(CustomerTreatment, CustomerTreatment.id == BookingItem.treatment_id)
        .outerjoin(Invoice, _live_invoice())
        .where(Booking.branch_id == branch_id, Booking.starts_at >= begins_at, Booking.starts_at < ends_at)
        .subquery()
    )
    frame = [
        select(func.sum(func.hashtext(func.concat_ws(" ", *columns)))).where(condition).scalar_subquery()
        for columns, condition in (
            ((Staff.id, Staff.full_name, Staff.position, Staff.is_active), Staff.branch_id == branch_id),
            ((Resource.id, Resource.name, Resource.position, Resource.is_active), Resource.branch_id == branch_id),
            (
                (BranchHours.opens_at, BranchHours.closes_at),
                and_(BranchHours.branch_id == branch_id, BranchHours.weekday == date.weekday()),
            ),
        )
    ]
    visits = select(func.string_agg(day.c.said, aggregate_order_by(";", day.c.id))).scalar_subquery()
    return str(db.session.execute(select(func.md5(func.concat_ws("|", *frame, visits)))).scalar_one())


def _branch_hours(branch_id: int, date: dt.date) -> tuple[str, list[tuple[dt.time, dt.time]]]:
    rows = db.session.execute(
        select(Branch.timezone, BranchHours.opens_at, BranchHours.closes_at)
        .outerjoin(BranchHours, and_(BranchHours.branch_id == Branch.id, BranchHours.weekday == date.weekday()))
        .where(Branch.id == branch_id)
        .order_by(BranchHours.opens_at)
    ).all()
    if not rows:
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    return rows[0].timezone, [(row.opens_at, row.closes_at) for row in rows if row.opens_at is not None]


def _columns(branch_id: int, by: By, only_staff_id: int | None) -> tuple[Column, ...]:
    query: Select[Any]
    if by == "therapist":
        query = select(Staff.id, Staff.full_name).where(Staff.branch_id == branch_id, Staff.is_active)
        query = query.order_by(Staff.position, Staff.id)
        if only_staff_id is not None:
            query = query.where(Staff.id == only_staff_id)
    else:
        query = select(Resource.id, Resource.name).where(Resource.branch_id == branch_id, Resource.is_active)
        query = query.order_by(Resource.position, Resource.id)
    return tuple(Column(id_, name) for id_, name in db.session.execute(query).all())


def _live_invoice() -> Any:
    # The condition of uq_invoices_live_booking: at most one, and found by that index.
    return and_(
        Invoice.booking_id == Booking.id,
        Invoice.kind == "invoice",
        Invoice.status != "void",
        not_(Invoice.is_credited),
    )


def _rows(
    branch_id: int, begins_at: dt.datetime, ends_at: dt.datetime, *, only_staff_id: int | None, with_given_up: bool
) -> Sequence[Any]:
    earlier, later = aliased(Booking), aliased(BookingItem)
    card = CustomerTreatment
    free = card.total_sessions - card.used_sessions - card.held_sessions - card.expired_sessions
    has_later = (
        select(later.id)
        .where(
            later.treatment_id == card.id,
            later.occupies,
            or_(
                later.starts_at > BookingItem.starts_at,
                and_(later.starts_at == BookingItem.starts_at, later.id > BookingItem.id),
            ),
        )
        .exists()
    )
    has_earlier = (
        select(earlier.id)
        .where(
            earlier.customer_id == Booking.customer_id,
            earlier.starts_at < Booking.starts_at,
            earlier.status.not_in(GIVEN_UP),
        )
        .exists()
    )
    query = (
        select(
            Booking.id.label("booking_id"),
            BookingItem.id.label("item_id"),
            Booking.status,
            BookingItem.starts_at,
            BookingItem.ends_at,
            func.lower(BookingItem.occupied).label("occupied_from"),
            func.upper(BookingItem.occupied).label("occupied_to"),
            Booking.customer_id,
            Customer.full_name.label("customer_name"),
            Service.name.label("service_name"),
            BookingItem.staff_id,
            Staff.full_name.label("staff_name"),
            Booking.arrived_at.is_not(None).label("arrived"),
            case((Invoice.status == "open", "unpaid"), else_=Invoice.status).label("payment"),
            card.id.is_not(None).label("on_card"),
            case((free <= 0, not_(has_later)), else_=false()).label("last_session"),
            not_(has_earlier).label("first_visit"),
            Booking.entered_late,
            Booking.note,
            Customer.allergies,
            Resource.id.label("resource_id"),
            Resource.name.label("resource_name"),
        )
        .select_from(Booking)
        .join(BookingItem, BookingItem.booking_id == Booking.id)
        .join(Customer, Customer.id == Booking.customer_id)
        .join(Service, Service.id == BookingItem.service_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .outerjoin(card, card.id == BookingItem.treatment_id)
        .outerjoin(Invoice, _live_invoice())
        .outerjoin(BookingItemResource, BookingItemResource.booking_item_id == BookingItem.id)
        .outerjoin(Resource, Resource.id == BookingItemResource.resource_id)
        .where(Booking.branch_id == branch_id, Booking.starts_at >= begins_at, Booking.starts_at < ends_at)
        .order_by(BookingItem.starts_at, BookingItem.id, Resource.position, Resource.id)
    )
    if only_staff_id is not None:
        query = query.where(BookingItem.staff_id == only_staff_id)
    if not with_given_up:
        query = query.where(Booking.status.not_in(GIVEN_UP))
    return db.session.execute(query).all()


def _blocks(rows: Sequence[Any], by: By) -> tuple[Block, ...]:
    """One block per item, or, by room, per item and room that it takes."""
    rooms: dict[int, list[str]] = {}
    for row in rows:
        rooms.setdefault(row.item_id, [])
        if row.resource_name is not None:
            rooms[row.item_id].append(row.resource_name)
    counts: dict[int, int] = {}
    drawn: set[int] = set()
    blocks = []
    for row in rows:
        if by == "therapist" and row.item_id in drawn:
            continue
        if by == "room" and row.resource_id is None:
            continue
        drawn.add(row.item_id)
        counts[row.booking_id] = number = counts.get(row.booking_id, 0) + 1
        blocks.append(
            Block(
                column_id=row.staff_id if by == "therapist" else row.resource_id,
                booking_id=row.booking_id,
                item_id=row.item_id,
                number=number,
                status=row.status,
                starts_at=row.starts_at,
                ends_at=row.ends_at,
                occupied_from=row.occupied_from,
                occupied_to=row.occupied_to,
                customer_id=row.customer_id,
                customer_name=row.customer_name,
                service_name=row.service_name,
                staff_id=row.staff_id,
                staff_name=row.staff_name,
                resource_names=tuple(rooms[row.item_id]),
                arrived=row.arrived,
                payment=row.payment,
                on_card=row.on_card,
                last_session=bool(row.last_session),
                first_visit=row.first_visit,
                entered_late=row.entered_late,
                note=row.note,
                allergies=row.allergies,
            )
        )
    return tuple(blocks)
