"""The roster of a branch's week: what counts, what is planned, and the visits that either leaves off shift."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, DateTime, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    BlockedTime,
    BranchException,
    BranchHours,
    DraftShift,
    RosterWeek,
    ShiftTemplate,
    ShiftTemplatePeriod,
    Staff,
    StaffShift,
    User,
)
from spa_app.queries.roster import week_of
from spa_app.queries.seen import stamp

Period = tuple[dt.time, dt.time]
Plan = Mapping[tuple[int, int], tuple[Period, ...]]  # by therapist and weekday, Monday 0
WEEK = dt.timedelta(days=7)
LEAVE = ("leave", "sick")
MOST_LEAVES = 200

_OFF_SHIFT = text(
    """
    WITH work AS (
        SELECT staff_id, range_agg(tstzrange(lower, upper)) AS at_work
        FROM unnest(:of, :lowers, :uppers) AS one (staff_id, lower, upper) GROUP BY staff_id
    )
    SELECT i.booking_id, i.staff_id, s.full_name, c.full_name AS customer, v.name AS service, i.starts_at, i.ends_at,
           b.status
    FROM booking_items i
    JOIN staff s ON s.id = i.staff_id
    JOIN services v ON v.id = i.service_id
    JOIN bookings b ON b.id = i.booking_id
    JOIN customers c ON c.id = b.customer_id
    LEFT JOIN work w ON w.staff_id = i.staff_id
    WHERE i.staff_id = ANY(:staff) AND i.occupies AND i.occupied && tstzrange(:since, :until)
      AND (
          :all
          OR b.status IN ('pending', 'confirmed') AND tstzrange(i.starts_at, i.ends_at) && tstzrange(:since, :until)
      )
      AND NOT coalesce(tstzrange(i.starts_at, i.ends_at) <@ w.at_work, false)
    ORDER BY i.starts_at, i.id
    """
).bindparams(
    *(bindparam(name, type_=ARRAY(BigInteger)) for name in ("of", "staff")),
    *(bindparam(name, type_=ARRAY(DateTime(timezone=True))) for name in ("lowers", "uppers")),
)


@dataclass(frozen=True)
class Week:
    """A branch's week of work. ``draft``: the plan beside what counts, None where there is none.

    ``is_published``: whether a roster was published, so that who has no shift is off; in any other week who has no
    shift at all works whenever the branch is open.
    """

    id: int | None
    branch_id: int
    monday: dt.date
    published: Plan
    draft: Plan | None
    published_at: dt.datetime | None
    published_by: str | None

    @property
    def is_published(self) -> bool:
        """Whether its roster binds every therapist of the branch."""
        return self.published_at is not None

    @property
    def planned(self) -> Plan:
        """What its editors see: the draft, else what counts."""
        return self.published if self.draft is None else self.draft

    @property
    def days(self) -> list[dt.date]:
        """Its seven dates."""
        return [self.monday + dt.timedelta(days=day) for day in range(7)]

    def changes(self) -> list[tuple[int, int]]:
        """The (therapist, weekday) whose shifts publishing would change, in order."""
        both = self.published.keys() | self.planned.keys()
        return sorted(cell for cell in both if self.published.get(cell, ()) != self.planned.get(cell, ()))

    @property
    def state(self) -> list[Any]:
        """What is seen of it by whoever publishes, discards or replaces it."""
        return [self.is_published, sorted(self.planned.items()), sorted(self.published.items())]

    @property
    def stamp(self) -> str:
        """The same, as a form carries it."""
        return stamp(self.state)

    def cell_stamp(self, staff_id: int, weekday: int) -> str:
        """What was seen of one therapist's day."""
        return stamp(self.planned.get((staff_id, weekday), ()))


@dataclass(frozen=True, slots=True)
class Therapist:
    """A row of the roster."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class OffShift:
    """A service of a visit at which its therapist is not, or would not be, at work."""

    booking_id: int
    staff_id: int
    staff_name: str
    customer: str
    service: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    status: str


@dataclass(frozen=True, slots=True)
class Leave:
    """A therapist's leave, or days of sickness."""

    id: int
    staff_id: int
    name: str
    kind: str
    reason: str
    starts_at: dt.datetime
    ends_at: dt.datetime


@dataclass(frozen=True, slots=True)
class OpenDay:
    """When the branch is open on a date; no period: closed. ``reason``: why not as every week."""

    date: dt.date
    periods: tuple[Period, ...]
    is_special: bool
    reason: str

    @property
    def state(self) -> list[Any]:
        """What is seen of it."""
        return [self.date, self.is_special, self.periods, self.reason]

    @property
    def stamp(self) -> str:
        """The same, as a form carries it."""
        return stamp(self.state)


@dataclass(frozen=True, slots=True)
class Template:
    """A usual shift."""

    id: int
    name: str
    periods: tuple[Period, ...]

    @property
    def state(self) -> dict[str, Any]:
        """What is seen of it, and what the audit log keeps."""
        return {"name": self.name, "periods": [[f"{begins:%H:%M}", f"{ends:%H:%M}"] for begins, ends in self.periods]}

    @property
    def stamp(self) -> str:
        """The same, as a form carries it."""
        return stamp(self.state)


def get_week(branch_id: int, date: dt.date) -> Week:
    """The week that holds a local date. Three statements."""
    monday = week_of(date)["monday"]
    row = db.session.execute(
        select(RosterWeek.id, RosterWeek.has_draft, RosterWeek.published_at, User.full_name)
        .outerjoin(User, User.id == RosterWeek.published_by_id)
        .where(RosterWeek.branch_id == branch_id, RosterWeek.monday == monday)
    ).first()
    published = _plan(
        (staff_id, works_on.weekday(), begins, ends)
        for staff_id, works_on, begins, ends in db.session.execute(
            select(StaffShift.staff_id, StaffShift.works_on, StaffShift.starts_at, StaffShift.ends_at)
            .join(Staff, Staff.id == StaffShift.staff_id)
            .where(Staff.branch_id == branch_id, StaffShift.works_on.between(monday, week_of(date)["sunday"]))
            .order_by(StaffShift.starts_at)
        )
    )
    draft = None
    if row is not None and row.has_draft:
        query = select(DraftShift.staff_id, DraftShift.weekday, DraftShift.starts_at, DraftShift.ends_at)
        query = query.where(DraftShift.week_id == row.id).order_by(DraftShift.starts_at)
        draft = _plan(db.session.execute(query))
    return Week(
        id=row.id if row else None,
        branch_id=branch_id,
        monday=monday,
        published=published,
        draft=draft,
        published_at=row.published_at if row else None,
        published_by=row.full_name if row else None,
    )


def list_therapists(branch_id: int, only_staff_id: int | None = None) -> list[Therapist]:
    """The branch's therapists who work there now, in the order of the calendar."""
    query = select(Staff.id, Staff.full_name).where(Staff.branch_id == branch_id, Staff.is_active)
    if only_staff_id is not None:
        query = query.where(Staff.id == only_staff_id)
    return [Therapist(*row) for row in db.session.execute(query.order_by(Staff.position, Staff.id))]


def list_open_days(branch_id: int, first: dt.date, days: int = 7) -> list[OpenDay]:
    """The opening hours of so many dates from ``first`` on. Two statements."""
    last = first + dt.timedelta(days=days - 1)
    usual: dict[int, list[Period]] = defaultdict(list)
    hours = select(BranchHours.weekday, BranchHours.opens_at, BranchHours.closes_at)
    for weekday, opens, closes in db.session.execute(
        hours.where(BranchHours.branch_id == branch_id).order_by(BranchHours.opens_at)
    ):
        usual[weekday].append((opens, closes))
    special: dict[dt.date, list[Period]] = {}
    reasons: dict[dt.date, str] = {}
    exceptions = select(
        BranchException.happens_on, BranchException.opens_at, BranchException.closes_at, BranchException.reason
    ).where(BranchException.branch_id == branch_id, BranchException.happens_on.between(first, last))
    for date, begins, ends, reason in db.session.execute(exceptions.order_by(BranchException.opens_at)):
        periods = special.setdefault(date, [])
        reasons[date] = reason
        if begins is not None and ends is not None:
            periods.append((begins, ends))
    dates = [first + dt.timedelta(days=day) for day in range(days)]
    return [
        OpenDay(date, tuple(special.get(date, usual[date.weekday()])), date in special, reasons.get(date, ""))
        for date in dates
    ]


def list_leave(branch_id: int, since: dt.datetime, until: dt.datetime | None = None) -> list[Leave]:
    """The leave and sickness of the branch's therapists that ends after ``since`` and begins before ``until``."""
    query = (
        select(
            BlockedTime.id,
            Staff.id,
            Staff.full_name,
            BlockedTime.kind,
            BlockedTime.reason,
            BlockedTime.starts_at,
            BlockedTime.ends_at,
        )
        .join(Staff, Staff.id == BlockedTime.staff_id)
        .where(Staff.branch_id == branch_id, BlockedTime.kind.in_(LEAVE), BlockedTime.ends_at > since)
        .order_by(BlockedTime.starts_at, BlockedTime.id)
        .limit(MOST_LEAVES)
    )
    if until is not None:
        query = query.where(BlockedTime.starts_at < until)
    return [Leave(*row) for row in db.session.execute(query)]


def list_templates(branch_id: int) -> list[Template]:
    """The usual shifts of a branch, the earliest first."""
    periods: dict[int, list[Period]] = defaultdict(list)
    names: dict[int, str] = {}
    query = (
        select(ShiftTemplate.id, ShiftTemplate.name, ShiftTemplatePeriod.starts_at, ShiftTemplatePeriod.ends_at)
        .join(ShiftTemplatePeriod, ShiftTemplatePeriod.template_id == ShiftTemplate.id)
        .where(ShiftTemplate.branch_id == branch_id)
        .order_by(ShiftTemplatePeriod.starts_at, ShiftTemplate.id)
    )
    for id_, name, begins, ends in db.session.execute(query):
        names[id_] = name
        periods[id_].append((begins, ends))
    return [Template(id_, name, tuple(periods[id_])) for id_, name in names.items()]


def list_off_shift(
    plan: Plan, monday: dt.date, timezone: str, staff_ids: Collection[int], since: dt.datetime
) -> list[OffShift]:
    """The upcoming visits of a week, from ``since`` on, that do not lie within the plan's shifts of their therapist."""
    spans = [
        (staff_id, span)
        for (staff_id, weekday), periods in plan.items()
        for period in periods
        if (span := instants(monday + dt.timedelta(days=weekday), period, timezone))
    ]
    bounds = clock.day_bounds(monday, timezone)[0], clock.day_bounds(monday + WEEK, timezone)[0]
    values = {
        "of": [span[0] for span in spans],
        "lowers": [span[1][0] for span in spans],
        "uppers": [span[1][1] for span in spans],
        "staff": list(staff_ids),
        "since": max(since, bounds[0]),
        "until": max(since, bounds[1]),
        "all": False,
    }
    return [OffShift(*row) for row in db.session.execute(_OFF_SHIFT, values)]


def list_visits_of(staff_id: int, since: dt.datetime, until: dt.datetime) -> list[OffShift]:
    """All visits that take time of a therapist within a stretch, those that took place too: they bar leave."""
    values = {"of": [], "lowers": [], "uppers": [], "staff": [staff_id], "since": since, "until": until, "all": True}
    return [OffShift(*row) for row in db.session.execute(_OFF_SHIFT, values)]


def bound_staff(week: Week, staff_ids: Collection[int]) -> list[int]:
    """Who of the therapists is held to the shifts that count in this week; the others work whenever it is open."""
    with_shifts = {staff_id for staff_id, _ in week.published}
    return [one for one in staff_ids if week.is_published or one in with_shifts]


def instants(date: dt.date, period: Period, timezone: str) -> tuple[dt.datetime, dt.datetime] | None:
    """When a shift really begins and ends; None for one of which the clocks skip all."""
    begins, ends = (clock.at_local(date, time, timezone) for time in period)
    return (begins, ends) if begins < ends else None


def _plan(rows: Iterable[Any]) -> Plan:
    plan: dict[tuple[int, int], list[Period]] = defaultdict(list)
    for staff_id, weekday, begins, ends in rows:
        plan[staff_id, weekday].append((begins, ends))
    return {cell: tuple(plan[cell]) for cell in sorted(plan)}
