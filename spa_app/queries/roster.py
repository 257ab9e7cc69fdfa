"""Who is at work and what is blocked: for the calendar's shading, and for the page of blocked times."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, or_, select, text

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import BlockedTime, Resource, Staff

Period = tuple[dt.datetime, dt.datetime]
MOST_BLOCKS = 100

# All that a day shows of it, in one statement: a page of a few milliseconds can afford no more.
_DAY = text(
    """
    SELECT 'exception' AS what, CAST(NULL AS bigint) AS id, CAST(NULL AS bigint) AS column_id, opens_at, closes_at,
           CAST(NULL AS timestamptz) AS starts_at, CAST(NULL AS timestamptz) AS ends_at, '' AS kind, reason
    FROM branch_exceptions WHERE branch_id = :branch_id AND happens_on = :date
    UNION ALL
    SELECT CASE WHEN works_on = :date THEN 'shift' ELSE 'week' END, NULL, s.id, h.starts_at, h.ends_at, NULL, NULL,
           '', ''
    FROM staff_shifts h JOIN staff s ON s.id = h.staff_id
    WHERE s.branch_id = :branch_id AND works_on BETWEEN :monday AND :sunday AND :by = 'therapist'
    UNION ALL
    SELECT 'week', NULL, s.id, NULL, NULL, NULL, NULL, '', ''
    FROM roster_weeks w JOIN staff s ON s.branch_id = w.branch_id
    WHERE w.branch_id = :branch_id AND w.monday = :monday AND w.published_at IS NOT NULL AND :by = 'therapist'
    UNION ALL
    SELECT 'block', x.id, coalesce(s.id, r.id), NULL, NULL, x.starts_at, x.ends_at, x.kind, x.reason
    FROM blocked_times x LEFT JOIN staff s ON s.id = x.staff_id LEFT JOIN resources r ON r.id = x.resource_id
    WHERE coalesce(s.branch_id, r.branch_id) = :branch_id AND x.starts_at < :ends_at AND x.ends_at > :begins_at
      AND (x.staff_id IS NOT NULL) = (:by = 'therapist')
    ORDER BY 6, 4, 2
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
    """``open_periods``: the exception's, None on a usual day. ``shifts``: by therapist, but for who works always."""

    open_periods: tuple[Period, ...] | None
    shifts: tuple[tuple[int, tuple[Period, ...]], ...]
    blocked: tuple[Blocked, ...]


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One blocked time as the list shows it; ``name`` is the therapist's or the room's."""

    id: int
    name: str
    kind: str
    reason: str
    starts_at: dt.datetime
    ends_at: dt.datetime


def get_roster(branch_id: int, date: dt.date, by: Literal["therapist", "room"], timezone: str) -> DayRoster:
    """The day's exception, shifts and blocked times, in one statement."""
    begins_at, ends_at = clock.day_bounds(date, timezone)
    values = {"branch_id": branch_id, "date": date, "by": by, "begins_at": begins_at, "ends_at": ends_at}
    special: list[Period] | None = None
    shifts: dict[int, list[Period]] = {}
    blocked = []
    for what, id_, column, opens, closes, starts, ends, kind, reason in db.session.execute(
        _DAY, {**values, **week_of(date)}
    ):
        if what == "block":
            blocked.append(Blocked(id_, column, max(starts, begins_at), min(ends, ends_at), kind, reason))
            continue
        period = None
        if opens is not None:
            period = (clock.at_local(date, opens, timezone), clock.at_local(date, closes, timezone))
        if what == "exception":
            special = [*(special or []), *([period] if period else [])]
            continue
        mine = shifts.setdefault(column, [])
        if what == "shift" and period:
            mine.append(period)
    return DayRoster(
        tuple(special) if special is not None else None,
        tuple((one, tuple(periods)) for one, periods in sorted(shifts.items())),
        tuple(blocked),
    )


def week_of(date: dt.date) -> dict[str, dt.date]:
    """The Monday and Sunday of a date's week, by which rosters are made."""
    monday = date - dt.timedelta(days=date.weekday())
    return {"monday": monday, "sunday": monday + dt.timedelta(days=6)}


def list_blocks(branch_id: int, since: dt.datetime) -> list[BlockRow]:
    """The branch's blocked times that end after ``since``, by their begin; a hundred at most."""
    query = (
        select(
            BlockedTime.id,
            func.coalesce(Staff.full_name, Resource.name),
            BlockedTime.kind,
            BlockedTime.reason,
            BlockedTime.starts_at,
            BlockedTime.ends_at,
        )
        .outerjoin(Staff, Staff.id == BlockedTime.staff_id)
        .outerjoin(Resource, Resource.id == BlockedTime.resource_id)
        .where(or_(Staff.branch_id == branch_id, Resource.branch_id == branch_id), BlockedTime.ends_at > since)
        .order_by(BlockedTime.starts_at, BlockedTime.id)
        .limit(MOST_BLOCKS)
    )
    return [BlockRow(*row) for row in db.session.execute(query)]


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
