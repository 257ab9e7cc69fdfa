"""The roster as it is drawn: rows of therapists, cells of days, and what publishing would change."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import url_for
from flask_babel import format_decimal
from flask_babel import gettext as _

from spa_app import clock
from spa_app.queries.rosters import Leave, OpenDay, Plan, Therapist, Week, bound_staff, instants
from spa_app.queries.users import BranchRef
from spa_app.web.filters import date as say_date
from spa_app.web.periods import short
from spa_app.web.rosters.forms import cell_value
from spa_app.web.times import format_local


@dataclass(frozen=True)
class CellView:
    """One therapist's day. ``value`` is what its checkbox carries; ``free``: bookable whenever the branch is open."""

    staff_id: int
    weekday: int
    date: dt.date
    value: str
    name: str
    shifts: list[str]
    away: list[Leave]
    is_changed: bool
    free: bool


@dataclass(frozen=True)
class RowView:
    """One therapist's week, with the hours it adds up to."""

    staff_id: int
    name: str
    hours: str
    cells: list[CellView]


@dataclass(frozen=True)
class Change:
    """A cell before and after publishing."""

    name: str
    date: dt.date
    before: list[str]
    after: list[str]


def draw(
    week: Week, plan: Plan, team: Sequence[Therapist], days: Sequence[OpenDay], away: Sequence[Leave], branch: BranchRef
) -> list[RowView]:
    """The rows of a week that shows ``plan``: the draft for its editors, what counts for all others."""
    bound = set(bound_staff(week, [one.id for one in team])) if plan is week.published else None
    changed = set(week.changes()) if plan is not week.published and week.published else set()
    rows = []
    for one in team:
        cells = []
        for weekday, day in enumerate(days):
            bounds = clock.day_bounds(day.date, branch.timezone)
            cells.append(
                CellView(
                    staff_id=one.id,
                    weekday=weekday,
                    date=day.date,
                    value=cell_value(week, one.id, weekday),
                    name=f"{one.name}, {say_date(day.date, 'MMMEd')}",
                    shifts=short(plan.get((one.id, weekday), ())),
                    away=[
                        leave
                        for leave in away
                        if leave.staff_id == one.id and leave.starts_at < bounds[1] and leave.ends_at > bounds[0]
                    ],
                    is_changed=(one.id, weekday) in changed,
                    free=bound is not None and one.id not in bound and bool(day.periods),
                )
            )
        rows.append(RowView(one.id, one.name, hours_of(week, plan, one.id, branch), cells))
    return rows


def hours_of(week: Week, plan: Plan, staff_id: int, branch: BranchRef) -> str:
    """How long a therapist's shifts really are, a change of clocks counted in: ``37.5 h``."""
    spans = [
        instants(week.days[weekday], period, branch.timezone)
        for (one, weekday), periods in plan.items()
        if one == staff_id
        for period in periods
    ]
    total = sum((span[1] - span[0] for span in spans if span), dt.timedelta())
    return _("%(hours)s h", hours=format_decimal(round(total / dt.timedelta(hours=1), 2)))


def list_changes(week: Week, team: Sequence[Therapist]) -> list[Change]:
    """What publishing would change, by day and therapist."""
    names = {one.id: one.name for one in team}
    order = {one.id: place for place, one in enumerate(team)}
    cells = [cell for cell in week.changes() if cell[0] in names]
    return [
        Change(
            name=names[staff_id],
            date=week.days[weekday],
            before=short(week.published.get((staff_id, weekday), ())),
            after=short(week.planned.get((staff_id, weekday), ())),
        )
        for staff_id, weekday in sorted(cells, key=lambda cell: (cell[1], order[cell[0]]))
    ]


def affected_url(
    staff_id: int, starts_at: dt.datetime, ends_at: dt.datetime, timezone: str, **marked: str | None
) -> str:
    """Where substitutes are found for a therapist's visits within a stretch; ``marked``: the absence's kind, reason."""
    begins, ends = (format_local(instant, timezone) for instant in (starts_at, ends_at))
    return f"/affected?{urlencode({'staff_id': staff_id, 'from': begins, 'to': ends, **marked}, safe=':')}"


def week_url(branch: BranchRef, monday: dt.date) -> str:
    """The roster of a week."""
    return url_for("rosters.week", week=monday.isoformat(), branch=branch.id)
