"""The day of a branch: who and what stands in its columns, and the visits in them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from sqlalchemy import (
    Select,
    and_,
    case,
    false,
    func,
    literal_column,
    not_,
    select,
    tuple_,
)
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
    User,
)
from spa_app.queries.calendar_revision import (
    BRANCH,
    LAST_WEEKDAY,
    NEVER,
    NOW,
    STAFF,
    WEEKDAY,
    get_revision,
    live_invoice,
    starts_between,
)
from spa_app.queries.parties import GIVEN_UP, mate_names
from spa_app.queries.roster import Blocked, DayRoster, Period, get_rosters
from spa_app.queries.snapshot import SNAPSHOT

By = Literal["therapist", "room"]


@dataclass(frozen=True, slots=True)
class Column:
    """A therapist, or a room or machine, of the branch."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Block:
    """One service of a visit as the calendar shows it; in the room view one for each room that it takes.

    ``number`` counts a visit's blocks of this day from 1. ``occupied_from`` and ``occupied_to`` hold the clean-up
    buffers. ``payment`` is ``unpaid``, ``partly_paid`` or ``paid``, and None while there is no invoice. A place that is
    only held has ``held_until``, and who holds it.
    """

    column_id: int
    booking_id: int
    item_id: int
    number: int
    staff_id: int
    resource_names: tuple[str, ...]
    # These are read as they are: _rows_query() selects them in this order.
    status: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    occupied_from: dt.datetime
    occupied_to: dt.datetime
    version: int
    visit_starts_at: dt.datetime
    customer_id: int
    customer_name: str
    service_name: str
    staff_name: str
    arrived: bool
    payment: str | None
    on_card: bool
    last_session: bool
    first_visit: bool
    entered_late: bool
    note: str
    has_allergies: bool
    held_until: dt.datetime | None
    held_by: str | None
    with_names: str  # who comes along
    lane: tuple[int, int] | None  # by room, the place of a guest in a room that a party shares, and of how many


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
    open_periods: tuple[Period, ...]
    shifts: tuple[tuple[int, tuple[Period, ...]], ...]  # by therapist; who is not among them works all opening hours
    blocked: tuple[Blocked, ...]
    without_therapist: frozenset[int]  # items that lie in an absence of their therapist, and
    without_room: frozenset[int]  # of a room of theirs
    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]


# what was asked for → (snapshot in which it was read, the day, when time alone makes another of it)
_days: dict[tuple[int, dt.date, By, int | None, bool], tuple[str, Day, dt.datetime]] = {}
MOST_DAYS = 32


def get_day(
    branch_id: int,
    date: dt.date,
    by: By = "therapist",
    *,
    only_staff_id: int | None = None,
    with_given_up: bool = False,
    snapshot: str | None = None,
) -> Day:
    """The day in five statements, however full it is; in none while the database is still in the state ``snapshot``.

    ``only_staff_id`` leaves nothing but that therapist's column; ``with_given_up`` adds cancelled visits and no-shows,
    which occupy no time. Blocks come by start. Raises :class:`NotFoundError` for an unknown branch.

    ``snapshot`` is as for :func:`get_revision`. A day is kept only if its last statement still saw that state: so did
    those before it, and whoever brings that snapshot again has it as it is, until the first place that it shows as held
    is free again.
    """
    key = (branch_id, date, by, only_staff_id, with_given_up)
    kept = _days.get(key)
    if snapshot is not None and kept is not None and kept[0] == snapshot and clock.now() < kept[2]:
        return kept[1]
    day, seen = _read_day(*key, snapshot=snapshot)
    if seen is not None and seen == snapshot:
        if len(_days) >= MOST_DAYS:
            _days.clear()
        _days[key] = seen, day, min((block.held_until for block in day.blocks if block.held_until), default=NEVER)
    return day


def _read_day(
    branch_id: int, date: dt.date, by: By, only_staff_id: int | None, with_given_up: bool, *, snapshot: str | None
) -> tuple[Day, str | None]:
    """The day, and what its last statement saw of the database (None without a visit)."""
    timezone, hours = branch_hours(branch_id, [date])
    begins_at, ends_at = clock.day_bounds(date, timezone)
    # Before the blocks: what changes in between then shows as a change at the next poll, never as none.
    revision = get_revision(branch_id, date, timezone=timezone, snapshot=snapshot)
    (roster,) = get_rosters(branch_id, [date], by, timezone)
    columns = _columns(branch_id, by, only_staff_id)
    blocks, seen = list_blocks(
        branch_id, begins_at, ends_at, by, only_staff_id=only_staff_id, with_given_up=with_given_up
    )
    if by == "therapist":
        # Someone who has left, or helps out from another branch, stands in the calendar as long as visits are theirs.
        known = {column.id for column in columns}
        guests = {block.column_id: block.staff_name for block in blocks if block.column_id not in known}
        columns += tuple(Column(id_, name) for id_, name in sorted(guests.items()))
    day = Day(
        branch_id=branch_id,
        date=date,
        timezone=timezone,
        by=by,
        revision=revision,
        begins_at=begins_at,
        ends_at=ends_at,
        open_periods=open_on(date, roster, hours, timezone),
        shifts=roster.shifts,
        blocked=roster.blocked,
        without_therapist=roster.without_therapist,
        without_room=roster.without_room,
        columns=columns,
        blocks=blocks,
    )
    return day, seen


def branch_hours(branch_id: int, dates: Sequence[dt.date]) -> tuple[str, dict[int, list[tuple[dt.time, dt.time]]]]:
    """The branch's time zone, and its weekly hours by weekday for ``dates``, which lie in one week.

    Raises :class:`NotFoundError` for an unknown branch.
    """
    values = {"branch_id": branch_id, "weekday": dates[0].weekday(), "last_weekday": dates[-1].weekday()}
    rows = db.session.execute(_hours_query(), values).all()
    if not rows:
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    hours: dict[int, list[tuple[dt.time, dt.time]]] = {}
    for _, weekday, opens_at, closes_at in rows:
        if weekday is not None:
            hours.setdefault(weekday, []).append((opens_at, closes_at))
    return rows[0].timezone, hours


@cache
def _hours_query() -> Select[str, int, dt.time, dt.time]:
    this_week = and_(BranchHours.branch_id == Branch.id, BranchHours.weekday.between(WEEKDAY, LAST_WEEKDAY))
    return (
        select(Branch.timezone, BranchHours.weekday, BranchHours.opens_at, BranchHours.closes_at)
        .outerjoin(BranchHours, this_week)
        .where(Branch.id == BRANCH)
        .order_by(BranchHours.opens_at)
    )


def open_on(
    date: dt.date, roster: DayRoster, hours: dict[int, list[tuple[dt.time, dt.time]]], timezone: str
) -> tuple[Period, ...]:
    """When the branch is open on ``date``: the exception's hours where there is one, else the weekday's."""
    if roster.open_periods is not None:
        return roster.open_periods
    return tuple(
        (clock.at_local(date, opens_at, timezone), clock.at_local(date, closes_at, timezone))
        for opens_at, closes_at in hours.get(date.weekday(), ())
    )


def _columns(branch_id: int, by: By, only_staff_id: int | None) -> tuple[Column, ...]:
    query = _columns_query(by, only_staff_id is not None)
    rows = db.session.execute(query, {"branch_id": branch_id, "staff_id": only_staff_id}).all()
    return tuple(Column(id_, name) for id_, name in rows)


@cache
def _columns_query(by: By, only_one: bool) -> Select[int, str]:
    if by == "room":
        return (
            select(Resource.id, Resource.name)
            .where(Resource.branch_id == BRANCH, Resource.is_active)
            .order_by(Resource.position, Resource.id)
        )
    query = (
        select(Staff.id, Staff.full_name)
        .where(Staff.branch_id == BRANCH, Staff.is_active)
        .order_by(Staff.position, Staff.id)
    )
    return query.where(Staff.id == STAFF) if only_one else query


def list_blocks(
    branch_id: int,
    begins_at: dt.datetime,
    ends_at: dt.datetime,
    by: By = "therapist",
    *,
    only_staff_id: int | None = None,
    with_given_up: bool = False,
) -> tuple[tuple[Block, ...], str | None]:
    """The blocks of the visits that begin between two instants, by their start; and what the one statement that it
    takes saw of the database (None without a visit).
    """
    values = {"branch_id": branch_id, "begins_at": begins_at, "ends_at": ends_at, "staff_id": only_staff_id}
    values["now"] = clock.now()
    rows = db.session.execute(_rows_query(only_staff_id is not None, with_given_up), values).all()
    return _blocks(rows, by), rows[-1].seen if rows else None


@cache
def _rows_query(only_one: bool, with_given_up: bool) -> Select[Any]:
    earlier, later = aliased(Booking), aliased(BookingItem)
    card = CustomerTreatment
    free = card.total_sessions - card.used_sessions - card.held_sessions - card.expired_sessions
    has_later = (
        select(later.id)
        .where(
            later.treatment_id == card.id,
            later.occupies,
            tuple_(later.starts_at, later.id) > tuple_(BookingItem.starts_at, BookingItem.id),
        )
        .exists()
    )
    has_earlier = (
        select(earlier.id)
        .where(
            earlier.customer_id == Booking.customer_id,
            tuple_(earlier.starts_at, earlier.id) < tuple_(Booking.starts_at, Booking.id),
            earlier.status.not_in(GIVEN_UP),
            earlier.held_until.is_(None),
        )
        .exists()
    )
    query = (
        select(
            BookingItem.id.label("item_id"),
            Booking.id.label("booking_id"),
            BookingItem.staff_id,
            Resource.id.label("resource_id"),
            Resource.name.label("resource_name"),
            literal_column(f"(SELECT {SNAPSHOT})").label("seen"),
            # From here on in the order of Block's fields
            Booking.status,
            BookingItem.starts_at,
            BookingItem.ends_at,
            func.lower(BookingItem.occupied),
            func.upper(BookingItem.occupied),
            Booking.version,
            Booking.starts_at,
            Booking.customer_id,
            Customer.full_name,
            Service.name,
            Staff.full_name,
            Booking.arrived_at.is_not(None),
            case((Invoice.status == "open", "unpaid"), else_=Invoice.status),
            card.id.is_not(None),
            case((free <= 0, not_(has_later)), else_=false()),
            not_(has_earlier),
            Booking.entered_late,
            Booking.note,
            Customer.allergies != "",
            Booking.held_until,
            User.full_name,
            mate_names(),
            BookingItemResource.place,
            Resource.places,
        )
        .select_from(Booking)
        .join(BookingItem, and_(BookingItem.booking_id == Booking.id, BookingItem.cancelled_at.is_(None)))
        .join(Customer, Customer.id == Booking.customer_id)
        .join(Service, Service.id == BookingItem.service_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .outerjoin(card, card.id == BookingItem.treatment_id)
        .outerjoin(Invoice, live_invoice())
        .outerjoin(User, User.id == Booking.held_by_id)
        .outerjoin(BookingItemResource, BookingItemResource.booking_item_id == BookingItem.id)
        .outerjoin(Resource, Resource.id == BookingItemResource.resource_id)
        .where(starts_between(), Booking.is_shown(NOW))
        .order_by(BookingItem.starts_at, BookingItem.id, Resource.position, Resource.id)
    )
    if only_one:
        query = query.where(BookingItem.staff_id == STAFF)
    return query if with_given_up else query.where(Booking.status.not_in(GIVEN_UP))


def _blocks(rows: Sequence[Any], by: By) -> tuple[Block, ...]:
    """One block per item, or, by room, per item and room that it takes."""
    rooms: dict[int, list[str]] = {}
    for item_id, _booking_id, _staff_id, _resource_id, room, _seen, *_rest in rows:
        names = rooms.setdefault(item_id, [])
        if room is not None:
            names.append(room)
    counts: dict[int, int] = {}
    drawn: set[int] = set()
    blocks = []
    for item_id, booking_id, staff_id, resource_id, _room, _seen, *shown, place, places in rows:
        column_id = staff_id if by == "therapist" else resource_id
        if column_id is None or (by == "therapist" and item_id in drawn):
            continue
        drawn.add(item_id)
        counts[booking_id] = number = counts.get(booking_id, 0) + 1
        # The last of what is shown is who comes along: alone, a customer has the whole room.
        shown.append((place, places) if by == "room" and shown[-1] and places > 1 else None)
        blocks.append(Block(column_id, booking_id, item_id, number, staff_id, tuple(rooms[item_id]), *shown))
    return tuple(blocks)
