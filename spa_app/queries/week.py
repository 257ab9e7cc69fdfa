"""A week of one therapist, as seven days of the calendar with one column each."""

import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from itertools import chain

from sqlalchemy import BigInteger, Select, and_, bindparam, or_, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Staff
from spa_app.queries.calendar import Block, By, Column, Day, branch_hours, list_blocks, open_on
from spa_app.queries.calendar_revision import get_revision, starts_between
from spa_app.queries.roster import get_rosters

DAYS = 7


@dataclass(frozen=True, slots=True)
class Week:
    """Monday to Sunday of one therapist. ``staff`` is None, and there are no days, where there is nobody to show.

    ``reasons``: why the branch keeps other hours, by day. ``therapists``: whose week can be looked at.
    """

    staff: Column | None
    therapists: tuple[Column, ...]
    days: tuple[Day, ...]
    reasons: tuple[str, ...]
    revision: str
    by: By = field(default="therapist", init=False)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The therapist, once for each day."""
        return tuple(chain.from_iterable(day.columns for day in self.days))

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The therapist's visits of the whole week, by their start."""
        return tuple(chain.from_iterable(day.blocks for day in self.days))


def monday_of(date: dt.date) -> dt.date:
    """The Monday of the week that ``date`` lies in."""
    return date - dt.timedelta(days=date.weekday())


def get_week(branch_id: int, date: dt.date, staff_id: int | None = None, *, snapshot: str | None = None) -> Week:
    """The week of ``date`` in five statements, however full it is; in four if ``snapshot`` spares one.

    ``staff_id``: one of the branch's therapists, also one who has left, or who treats somebody here that week; by
    default the branch's first.
    Raises :class:`NotFoundError` for an unknown branch.
    """
    monday = monday_of(date)
    dates = [monday + dt.timedelta(days=day) for day in range(DAYS)]
    timezone, hours = branch_hours(branch_id, dates)
    bounds = [clock.day_bounds(day, timezone) for day in dates]
    begins_at, ends_at = bounds[0][0], bounds[-1][1]
    values = {"branch_id": branch_id, "staff_id": staff_id, "begins_at": begins_at, "ends_at": ends_at}
    therapists = tuple(Column(id_, name) for id_, name in db.session.execute(_therapists_query(), values))
    staff = next((one for one in therapists if staff_id in (None, one.id)), None)
    if staff is None:
        return Week(None, therapists, (), (), "")
    # Before the blocks: what changes in between then shows as a change at the next poll, never as none.
    revision = get_week_revision(branch_id, date, staff.id, timezone=timezone, snapshot=snapshot)
    rosters = get_rosters(branch_id, dates, "therapist", timezone)
    blocks, _seen = list_blocks(branch_id, begins_at, ends_at, only_staff_id=staff.id)
    days = tuple(
        Day(
            branch_id=branch_id,
            date=day,
            timezone=timezone,
            by="therapist",
            revision=revision,
            begins_at=day_begins_at,
            ends_at=day_ends_at,
            open_periods=open_on(day, roster, hours, timezone),
            shifts=roster.shifts,
            blocked=roster.blocked,
            without_therapist=roster.without_therapist,
            without_room=roster.without_room,
            columns=(staff,),
            # What begins after midnight, in a visit of Sunday's, still is in this week.
            blocks=tuple(
                block
                for block in blocks
                if day_begins_at <= block.starts_at and (block.starts_at < day_ends_at or day_ends_at == ends_at)
            ),
        )
        for day, (day_begins_at, day_ends_at), roster in zip(dates, bounds, rosters, strict=True)
    )
    return Week(staff, therapists, days, tuple(roster.reason for roster in rosters), revision)


def get_week_revision(
    branch_id: int, date: dt.date, staff_id: int, *, timezone: str, snapshot: str | None = None
) -> str:
    """What :func:`get_revision` is for a day, for a therapist's week."""
    return get_revision(
        branch_id, monday_of(date), timezone=timezone, days=DAYS, only_staff_id=staff_id, snapshot=snapshot
    )


@cache
def _therapists_query() -> Select[int, str]:
    branch, wanted = bindparam("branch_id", type_=BigInteger), bindparam("staff_id", type_=BigInteger)
    # Someone who helps out from another branch has a week here as long as visits are theirs.
    treats_here = (
        select(BookingItem.id)
        .join(Booking, Booking.id == BookingItem.booking_id)
        .where(BookingItem.staff_id == Staff.id, starts_between())
        .exists()
    )
    return (
        select(Staff.id, Staff.full_name)
        .where(
            or_(
                and_(Staff.branch_id == branch, Staff.is_active),
                and_(Staff.id == wanted, or_(Staff.branch_id == branch, treats_here)),
            )
        )
        .order_by(Staff.position, Staff.id)
    )
