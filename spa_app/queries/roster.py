"""Who is at work and what is blocked: for the calendar's shading, and for the page of blocked times."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import BlockedTime, BookingItem, BookingItemResource, Resource, Staff

Period = tuple[dt.datetime, dt.datetime]
MOST_BLOCKS = 100

# All that a calendar shows of it, in one statement: a page of a few milliseconds can afford no more.
_DAYS = text(
    """
    SELECT 'exception' AS what, CAST(NULL AS bigint) AS id, CAST(NULL AS bigint) AS column_id, happens_on AS date,
           opens_at, closes_at, CAST(NULL AS timestamptz) AS starts_at, CAST(NULL AS timestamptz) AS ends_at,
           '' AS kind, reason
    FROM branch_exceptions WHERE branch_id = :branch_id AND happens_on BETWEEN :first AND :last
    UNION ALL
    SELECT 'shift', NULL, s.id, works_on, h.starts_at, h.ends_at, NULL, NULL, '', ''
    FROM staff_shifts h JOIN staff s ON s.id = h.staff_id
    WHERE s.branch_id = :branch_id AND works_on BETWEEN :monday AND :sunday AND :by = 'therapist'
    UNION ALL
    SELECT 'shift', NULL, s.id, monday, NULL, NULL, NULL, NULL, '', ''
    FROM roster_weeks w JOIN staff s ON s.branch_id = w.branch_id
    WHERE w.branch_id = :branch_id AND w.monday = :monday AND w.published_at IS NOT NULL AND :by = 'therapist'
    UNION ALL
    SELECT 'block', x.id, coalesce(s.id, r.id), NULL, NULL, NULL, x.starts_at, x.ends_at, x.kind, x.reason
    FROM blocked_times x LEFT JOIN staff s ON s.id = x.staff_id LEFT JOIN resources r ON r.id = x.resource_id
    WHERE coalesce(s.branch_id, r.branch_id) = :branch_id AND x.starts_at < :ends_at AND x.ends_at > :begins_at
      AND (x.staff_id IS NOT NULL) = (:by = 'therapist')
    UNION ALL
    SELECT 'without-therapist', i.id, NULL, NULL, NULL, NULL, NULL, NULL, '', ''
    FROM blocked_times x JOIN staff s ON s.id = x.staff_id JOIN booking_items i ON i.staff_id = x.staff_id
    WHERE s.branch_id = :branch_id AND x.starts_at < :ends_at AND x.ends_at > :begins_at
      AND i.occupies AND i.occupied && tstzrange(x.starts_at, x.ends_at)
      AND i.booking_status IN ('pending', 'confirmed')
    UNION ALL
    SELECT 'without-room', u.booking_item_id, NULL, NULL, NULL, NULL, NULL, NULL, '', ''
    FROM blocked_times x JOIN resources r ON r.id = x.resource_id
    JOIN booking_item_resources u ON u.resource_id = x.resource_id
    JOIN booking_items i ON i.id = u.booking_item_id
    WHERE r.branch_id = :branch_id AND x.starts_at < :ends_at AND x.ends_at > :begins_at
      AND u.occupies AND u.occupied && tstzrange(x.starts_at, x.ends_at)
      AND i.booking_status IN ('pending', 'confirmed')
    ORDER BY 7, 5, 2
    """
)


@dataclass(frozen=True, slots=True)
class Blocked:
    """Blocked time in a column of the day."""

    id: int
    column_id: int
    starts_at: dt.datetime
    ends_at: dt.datetime
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class DayRoster:
    """What is particular to a day.

    ``open_periods``: the exception's, None on a usual day, and ``reason`` says why. ``shifts``: by therapist, but for
    who works always. ``without_therapist`` and ``without_room`` are the items of upcoming visits that lie in an absence
    marked over them.
    """

    open_periods: tuple[Period, ...] | None
    reason: str
    shifts: tuple[tuple[int, tuple[Period, ...]], ...]
    blocked: tuple[Blocked, ...]
    without_therapist: frozenset[int]
    without_room: frozenset[int]


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One blocked time as the list shows it; ``name`` is the therapist's or the room's.

    ``affected`` counts the services of upcoming visits that lie in it: of those that nobody has taken over yet.
    """

    id: int
    staff_id: int | None
    resource_id: int | None
    name: str
    kind: str
    reason: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    affected: int


def get_rosters(
    branch_id: int, dates: Sequence[dt.date], by: Literal["therapist", "room"], timezone: str
) -> list[DayRoster]:
    """Exception, shifts and blocked times of each of ``dates``, which lie in one week; in one statement."""
    values = {
        "branch_id": branch_id,
        "first": dates[0],
        "last": dates[-1],
        "by": by,
        "begins_at": clock.day_bounds(dates[0], timezone)[0],
        "ends_at": clock.day_bounds(dates[-1], timezone)[1],
    }
    rows = db.session.execute(_DAYS, {**values, **week_of(dates[0])}).all()
    return [_roster_of(date, rows, timezone) for date in dates]


def _roster_of(date: dt.date, rows: Sequence[Any], timezone: str) -> DayRoster:
    begins_at, ends_at = clock.day_bounds(date, timezone)
    special: list[Period] | None = None
    reason = ""
    shifts: dict[int, list[Period]] = {}
    blocked = []
    without: dict[str, set[int]] = {"without-therapist": set(), "without-room": set()}
    for what, id_, column, on, opens, closes, starts, ends, kind, why in rows:
        if what == "block":
            if starts < ends_at and ends > begins_at:
                blocked.append(Blocked(id_, column, max(starts, begins_at), min(ends, ends_at), kind, why))
            continue
        if what in without:
            without[what].add(id_)
            continue
        # A shift on any day of the week, or its published roster, says that on the others they do not work.
        periods = shifts.setdefault(column, []) if what == "shift" else []
        if on != date:
            continue
        if what == "exception":
            special = periods = special or []
            reason = reason or why
        if opens is not None:
            periods.append((clock.at_local(date, opens, timezone), clock.at_local(date, closes, timezone)))
    return DayRoster(
        tuple(special) if special is not None else None,
        reason,
        tuple((one, tuple(periods)) for one, periods in sorted(shifts.items())),
        tuple(blocked),
        frozenset(without["without-therapist"]),
        frozenset(without["without-room"]),
    )


def week_of(date: dt.date) -> dict[str, dt.date]:
    """The Monday and Sunday of a date's week, by which rosters are made."""
    monday = date - dt.timedelta(days=date.weekday())
    return {"monday": monday, "sunday": monday + dt.timedelta(days=6)}


def list_blocks(branch_id: int, since: dt.datetime) -> list[BlockRow]:
    """The branch's blocked times that end after ``since``, by their begin; a hundred at most."""
    query = (
        _rows(_of_therapist().scalar_subquery() + _in_room().scalar_subquery())
        .where(or_(Staff.branch_id == branch_id, Resource.branch_id == branch_id), BlockedTime.ends_at > since)
        .order_by(BlockedTime.starts_at, BlockedTime.id)
        .limit(MOST_BLOCKS)
    )
    return [BlockRow(*row) for row in db.session.execute(query)]


def get_blocked(block_id: int, branch_id: int) -> BlockedTime | None:
    """A blocked time of the branch, or None."""
    query = (
        select(BlockedTime)
        .outerjoin(Staff, Staff.id == BlockedTime.staff_id)
        .outerjoin(Resource, Resource.id == BlockedTime.resource_id)
        .where(or_(Staff.branch_id == branch_id, Resource.branch_id == branch_id), BlockedTime.id == block_id)
    )
    return db.session.execute(query).scalar()


def list_absences(booking_id: int) -> list[BlockRow]:
    """The blocked times in which services of an upcoming visit lie, by their begin. One statement."""
    affected = _of_therapist().where(BookingItem.booking_id == booking_id).scalar_subquery()
    in_room = _in_room().where(BookingItem.booking_id == booking_id).scalar_subquery()
    staff = select(BookingItem.staff_id).where(BookingItem.booking_id == booking_id)
    begins = select(func.min(func.lower(BookingItem.occupied))).where(BookingItem.booking_id == booking_id)
    rooms = (
        select(BookingItemResource.resource_id)
        .join(BookingItem, BookingItem.id == BookingItemResource.booking_item_id)
        .where(BookingItem.booking_id == booking_id)
    )
    query = (
        _rows(affected + in_room)
        .where(
            or_(BlockedTime.staff_id.in_(staff), BlockedTime.resource_id.in_(rooms)),
            BlockedTime.ends_at > begins.scalar_subquery(),
            affected + in_room > 0,
        )
        .order_by(BlockedTime.starts_at, BlockedTime.id)
    )
    return [BlockRow(*row) for row in db.session.execute(query)]


def get_owner(*, staff_id: int | None, resource_id: int | None) -> tuple[int, str] | None:
    """The branch and the name of a therapist, or of a room or machine; None where there is none."""
    query = (
        select(Staff.branch_id, Staff.full_name).where(Staff.id == staff_id)
        if staff_id is not None
        else select(Resource.branch_id, Resource.name).where(Resource.id == resource_id)
    )
    row = db.session.execute(query).one_or_none()
    return (row[0], row[1]) if row else None


def _rows(affected: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    """Blocked times in the order of :class:`BlockRow`."""
    return (
        select(
            BlockedTime.id,
            BlockedTime.staff_id,
            BlockedTime.resource_id,
            func.coalesce(Staff.full_name, Resource.name),
            BlockedTime.kind,
            BlockedTime.reason,
            BlockedTime.starts_at,
            BlockedTime.ends_at,
            affected,
        )
        .select_from(BlockedTime)
        .outerjoin(Staff, Staff.id == BlockedTime.staff_id)
        .outerjoin(Resource, Resource.id == BlockedTime.resource_id)
    )


def _of_therapist() -> Select[int]:
    """How many services of upcoming visits lie in a therapist's blocked time."""
    return (
        select(func.count())
        .select_from(BookingItem)
        .where(
            BookingItem.staff_id == BlockedTime.staff_id,
            BookingItem.occupies,
            BookingItem.occupied.overlaps(_blocked()),
            BookingItem.booking_status.in_(("pending", "confirmed")),
        )
        .correlate(BlockedTime)
    )


def _in_room() -> Select[int]:
    """How many lie in the blocked time of a room or machine that they take."""
    return (
        select(func.count())
        .select_from(BookingItemResource)
        .join(BookingItem, BookingItem.id == BookingItemResource.booking_item_id)
        .where(
            BookingItemResource.resource_id == BlockedTime.resource_id,
            BookingItemResource.occupies,
            BookingItemResource.occupied.overlaps(_blocked()),
            BookingItem.booking_status.in_(("pending", "confirmed")),
        )
        .correlate(BlockedTime)
    )


def is_without_therapist() -> ColumnElement[bool]:
    """Whether the item of a query on BookingItem is of an upcoming visit and lies in an absence of its therapist."""
    absent = BlockedTime.staff_id == BookingItem.staff_id
    return _upcoming(select(BlockedTime.id).where(absent, BookingItem.occupied.overlaps(_blocked())))


def is_without_room() -> ColumnElement[bool]:
    """Whether a room or machine of it is closed while it takes it."""
    taken = BookingItemResource
    return _upcoming(
        select(BlockedTime.id)
        .join(taken, taken.resource_id == BlockedTime.resource_id)
        .where(taken.booking_item_id == BookingItem.id, taken.occupies, taken.occupied.overlaps(_blocked()))
    )


def _upcoming(absences: Select[int]) -> ColumnElement[bool]:
    return and_(BookingItem.booking_status.in_(("pending", "confirmed")), absences.correlate(BookingItem).exists())


def _blocked() -> ColumnElement[Any]:
    return func.tstzrange(BlockedTime.starts_at, BlockedTime.ends_at)


def list_blockable(branch_id: int) -> tuple[Sequence[tuple[int, str]], Sequence[tuple[int, str]]]:
    """(id, name) of the branch's therapists, and of its rooms and machines."""
    staff, rooms = (
        [(row[0], row[1]) for row in db.session.execute(query)]
        for query in (
            select(Staff.id, Staff.full_name)
            .where(Staff.branch_id == branch_id, Staff.is_active)
            .order_by(Staff.position, Staff.id),
            select(Resource.id, Resource.name)
            .where(Resource.branch_id == branch_id, Resource.is_active)
            .order_by(Resource.position, Resource.id),
        )
    )
    return staff, rooms
