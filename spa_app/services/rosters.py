"""Who works when, and on which dates a branch keeps other hours. Managers' doing; what is booked already stays.

A week is planned, looked at, and published as a whole. The shifts that count (``staff_shifts``) are all that
availability reads; the plan of a week lies beside them until it is published. Locks, in this order: the week's row,
then all therapists of the branch by id, as every visit locks its own.
"""

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import Branch, BranchException, DraftShift, RosterWeek, Staff, StaffShift
from spa_app.queries import rosters as queries
from spa_app.queries.rosters import Plan, Week
from spa_app.services import audit
from spa_app.services.actor import SYSTEM, Actor
from spa_app.services.scheduling import lock_rows
from spa_app.services.seen import require_unchanged
from spa_app.services.texts import REASON_LENGTH, clean_text
from spa_app.services.transaction import atomic

Periods = Sequence[tuple[dt.time, dt.time]]
LONGEST_AHEAD = dt.timedelta(days=2 * 366)
MOST_PERIODS = 6


@dataclass(frozen=True)
class Cell:
    """One therapist's day in a week (Monday 0). ``seen``: the stamp of what stood there when it was chosen."""

    staff_id: int
    weekday: int
    seen: str | None = None


def plan_cells(*, branch_id: int, monday: dt.date, cells: Sequence[Cell], periods: Periods, actor: Actor) -> int:
    """Make these the shifts of some cells in the week's draft (none: off), and return the week's id.

    A week without a draft gets one first, from the shifts that count. Locks the week. Raises :class:`InvalidError` for
    periods that overlap, :class:`NotFoundError` for somebody of another branch, and :class:`ConflictError`
    (changed_meanwhile) where a cell no longer shows what its ``seen`` says; then none is changed.
    """
    check_periods(periods)
    if not cells:
        raise InvalidError("no_cells", N_("Choose at least one day of a therapist."), field="cells")
    with atomic():
        row, week = _open_draft(branch_id, monday, actor)
        team = _team(branch_id)
        wanted = tuple(sorted(periods))
        before, after = {}, {}
        for cell in cells:
            if cell.staff_id not in team or cell.weekday not in range(7):
                raise NotFoundError("not_found", N_("There is no such thing in your branches."))
            now = week.planned.get((cell.staff_id, cell.weekday), ())
            if now != wanted:  # what already stands so is no change, whoever made it
                require_unchanged(now, cell.seen)
                name = f"{cell.staff_id}/{cell.weekday}"
                before[name], after[name] = as_json(now), as_json(wanted)
        _store(row.id, {(cell.staff_id, cell.weekday): wanted for cell in cells})
        _record("roster_planned", row, actor, before=before, after=after)
        return row.id


def copy_week(
    *, branch_id: int, monday: dt.date, source: dt.date, only_empty: bool, actor: Actor, seen: str | None = None
) -> tuple[int, int]:
    """Plan a week like another one; returns how many shifts were copied, and how many left out.

    Taken is what the other week shows to its editors: its draft, else what counts there. It replaces all that stands in
    this week; with ``only_empty`` what stands in a cell stays. Left out are shifts on days on which the branch is
    closed and shifts that lie wholly in somebody's leave; therapists who have left are not copied. Locks the week.
    Raises :class:`InvalidError` for a source that is the week itself or has no shifts.
    """
    with atomic():
        row, week = _open_draft(branch_id, monday, actor)
        require_unchanged(week.state, seen)
        other = queries.get_week(branch_id, source)
        if other.monday == monday:
            raise InvalidError("same_week", N_("Choose another week to copy from."), field="source")
        team = _team(branch_id)
        taken = {cell: periods for cell, periods in other.planned.items() if cell[0] in team}
        if not taken:
            raise InvalidError("source_empty", N_("That week has no shifts to copy."), field="source")
        kept = dict(week.planned) if only_empty else {}
        wanted = {cell: periods for cell, periods in taken.items() if cell not in kept}
        fitting = _fitting(wanted, week)
        cells = {cell: () for cell in week.planned if cell not in kept}
        _store(row.id, {**cells, **fitting})
        _record(
            "roster_copied",
            row,
            actor,
            before={"shifts": _plan_json(week.planned)},
            after={"source": other.monday.isoformat(), "shifts": _plan_json({**kept, **fitting})},
        )
        copied = sum(map(len, fitting.values()))
        return copied, sum(map(len, wanted.values())) - copied


def publish_week(*, branch_id: int, monday: dt.date, actor: Actor, seen: str | None = None) -> int:
    """Make the week's draft what counts, in one transaction, and return the week's id.

    From then on who has no shift in the week is off. Visits that it leaves off shift stay as they are;
    :func:`spa_app.queries.rosters.list_off_shift` finds them. Locks the week, then all therapists of the branch: a
    visit being booked is either seen by the list, or sees these shifts. Raises :class:`ConflictError` where there is
    nothing to publish, or where the week is no longer as ``seen``.
    """
    with atomic() as session:
        row = _locked(branch_id, monday, actor)
        week = queries.get_week(branch_id, monday)
        require_unchanged(week.state, seen)
        if row is None or week.draft is None:
            raise ConflictError("nothing_to_publish", N_("There is no draft of this week: all of it is published."))
        lock_team(branch_id)
        _replace_published(week, week.draft)
        session.execute(delete(DraftShift).where(DraftShift.week_id == row.id))
        row.has_draft, row.published_at, row.published_by_id = False, clock.now(), actor.user_id
        _record(
            "roster_published",
            row,
            actor,
            before={"published": week.is_published, "shifts": _plan_json(week.published)},
            after={"published": True, "shifts": _plan_json(week.draft)},
        )
        return row.id


def unpublish_week(*, branch_id: int, monday: dt.date, actor: Actor, seen: str | None = None) -> int:
    """Take a week's roster back: its shifts become the draft, unless there is one; who works then is open again.

    Locks as :func:`publish_week` does, and raises what it raises.
    """
    with atomic() as session:
        row = _locked(branch_id, monday, actor)
        week = queries.get_week(branch_id, monday)
        require_unchanged(week.state, seen)
        if not week.is_published and not week.published:
            raise ConflictError("not_published", N_("The roster of this week is not published."))
        row = row or _make(branch_id, monday)
        lock_team(branch_id)
        if not row.has_draft:
            _store(row.id, week.published)
        _replace_published(week, {})
        row.has_draft, row.published_at, row.published_by_id = True, None, None
        session.flush()
        _record("roster_unpublished", row, actor, before={"shifts": _plan_json(week.published)})
        return row.id


def discard_draft(*, branch_id: int, monday: dt.date, actor: Actor, seen: str | None = None) -> int:
    """Forget what was planned: what counts stands again. Locks the week; raises what :func:`publish_week` raises."""
    with atomic() as session:
        row = _locked(branch_id, monday, actor)
        week = queries.get_week(branch_id, monday)
        require_unchanged(week.state, seen)
        if row is None or week.draft is None:
            raise ConflictError("nothing_to_publish", N_("There is no draft of this week: all of it is published."))
        session.execute(delete(DraftShift).where(DraftShift.week_id == row.id))
        _record("roster_discarded", row, actor, before={"shifts": _plan_json(week.draft)})
        if week.is_published:
            row.has_draft = False
        else:
            session.delete(row)
        return row.id


def set_exception(
    *,
    branch_id: int,
    happens_on: dt.date,
    periods: Periods,
    actor: Actor,
    reason: str = "",
    usual: bool = False,
    seen: str | None = None,
) -> int:
    """Make these the branch's opening hours on a date, instead of the week's; none: closed. ``usual``: as every week.

    Locks the branch and its therapists. Raises :class:`InvalidError` for periods that overlap or end before they begin,
    and :class:`ConflictError` where the date is no longer as ``seen`` (:attr:`OpenDay.stamp`).
    """
    with atomic() as session:
        actor.require_manager()
        actor.require_branch(branch_id)
        session.get_one(Branch, branch_id, with_for_update={"key_share": True})
        check_periods(periods)
        reason = clean_text(reason, field="reason", limit=REASON_LENGTH, lines=False)
        before = queries.list_open_days(branch_id, happens_on, 1)[0]
        require_unchanged(before.state, seen)
        lock_team(branch_id)
        session.execute(
            delete(BranchException).where(
                BranchException.branch_id == branch_id, BranchException.happens_on == happens_on
            )
        )
        hours: Sequence[tuple[dt.time | None, dt.time | None]] = () if usual else list(periods) or [(None, None)]
        session.add_all(
            BranchException(branch_id=branch_id, happens_on=happens_on, opens_at=opens, closes_at=closes, reason=reason)
            for opens, closes in hours
        )
        audit.record(
            "branch_exception_set",
            entity="branch",
            entity_id=branch_id,
            actor=actor,
            before={"usual": not before.is_special, "periods": as_json(before.periods), "reason": before.reason},
            after={"happens_on": happens_on.isoformat(), "usual": usual, "periods": as_json(periods)},
            reason=reason,
        )
        return branch_id


def lock_team(branch_id: int) -> None:
    """Lock all therapists of a branch by id, as whoever changes when they can be booked does."""
    lock_rows(Staff, db.session.execute(select(Staff.id).where(Staff.branch_id == branch_id)).scalars())


def check_periods(periods: Periods) -> None:
    """Raise :class:`InvalidError` unless each period ends after it begins and none overlaps another."""
    ordered = sorted(periods)
    if any(ends <= begins for begins, ends in ordered):
        raise InvalidError("ends_before", N_("The end must come after the beginning."), field="ends_at")
    if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(ordered)):
        raise InvalidError("periods_overlap", N_("Two of these periods overlap."), field="starts_at")
    if len(ordered) > MOST_PERIODS:
        raise InvalidError(
            "too_many_periods", N_("At most %(most)s periods a day."), field="starts_at", most=MOST_PERIODS
        )


def as_json(periods: Periods) -> list[list[str]]:
    """Periods as the audit log keeps them."""
    return [[f"{begins:%H:%M}", f"{ends:%H:%M}"] for begins, ends in periods]


def set_shifts(*, staff_id: int, works_on: dt.date, periods: Periods, actor: Actor) -> int:
    """Make these the shifts of a therapist that count on a local date, at once, whatever is planned for its week.

    None: not at work that day. Locks the therapist. Raises :class:`InvalidError` for periods that overlap or end before
    they begin.
    """
    with atomic() as session:
        actor.require_manager()
        staff = session.get(Staff, staff_id, with_for_update={"key_share": True})
        if staff is None:
            raise NotFoundError("not_found", N_("There is no such thing in your branches."))
        actor.require_branch(staff.branch_id)
        check_periods(periods)
        session.execute(delete(StaffShift).where(StaffShift.staff_id == staff_id, StaffShift.works_on == works_on))
        session.add_all(
            StaffShift(staff_id=staff_id, works_on=works_on, starts_at=begins, ends_at=ends) for begins, ends in periods
        )
        audit.record(
            "shifts_set",
            entity="staff",
            entity_id=staff_id,
            actor=actor,
            after={"works_on": works_on.isoformat(), "periods": as_json(periods)},
        )
        return staff_id


def _team(branch_id: int) -> set[int]:
    return {one.id for one in queries.list_therapists(branch_id)}


def _locked(branch_id: int, monday: dt.date, actor: Actor) -> RosterWeek | None:
    """The week's row under its lock, for a manager of the branch."""
    actor.require_manager()
    actor.require_branch(branch_id)
    if monday.weekday() != 0:
        raise InvalidError("not_a_monday", N_("A week begins on a Monday."), field="week")
    if monday > clock.today("UTC") + LONGEST_AHEAD:
        raise InvalidError("too_far", N_("Plan no further than two years ahead."), field="week")
    query = select(RosterWeek).where(RosterWeek.branch_id == branch_id, RosterWeek.monday == monday)
    fresh = query.with_for_update().execution_options(populate_existing=True)
    return db.session.execute(fresh).scalar_one_or_none()


def _make(branch_id: int, monday: dt.date) -> RosterWeek:
    """The week's row under its lock, made with a draft of what counts if there is none."""
    make = upsert(RosterWeek).values(branch_id=branch_id, monday=monday).on_conflict_do_nothing()
    row = None
    while row is None:  # another manager's may be discarded between the two statements
        made = db.session.execute(make.returning(RosterWeek.id)).scalar()
        if made is not None:
            _store(made, queries.get_week(branch_id, monday).published)
        row = _locked(branch_id, monday, SYSTEM)
    return row


def _open_draft(branch_id: int, monday: dt.date, actor: Actor) -> tuple[RosterWeek, Week]:
    """The week under its lock, with a draft in it, and what stands there."""
    row = _locked(branch_id, monday, actor) or _make(branch_id, monday)
    week = queries.get_week(branch_id, monday)
    if not row.has_draft:
        row.has_draft = True
        _store(row.id, week.published)
    return row, week


def _store(week_id: int, cells: Plan) -> None:
    """Make these the planned shifts of the cells, instead of those before."""
    for staff_id, weekday in cells:
        db.session.execute(
            delete(DraftShift).where(
                DraftShift.week_id == week_id, DraftShift.staff_id == staff_id, DraftShift.weekday == weekday
            )
        )
    rows = [
        {"week_id": week_id, "staff_id": staff_id, "weekday": weekday, "starts_at": begins, "ends_at": ends}
        for (staff_id, weekday), periods in cells.items()
        for begins, ends in periods
    ]
    if rows:
        db.session.execute(insert(DraftShift), rows)


def _replace_published(week: Week, plan: Plan) -> None:
    team = select(Staff.id).where(Staff.branch_id == week.branch_id)
    db.session.execute(
        delete(StaffShift).where(
            StaffShift.staff_id.in_(team), StaffShift.works_on.between(week.days[0], week.days[-1])
        )
    )
    rows = [
        {"staff_id": staff_id, "works_on": week.days[weekday], "starts_at": begins, "ends_at": ends}
        for (staff_id, weekday), periods in plan.items()
        for begins, ends in periods
    ]
    if rows:
        db.session.execute(insert(StaffShift), rows)


def _fitting(cells: Plan, week: Week) -> Plan:
    """The cells without what falls on a closed day or wholly into leave."""
    branch = db.session.get_one(Branch, week.branch_id)
    closed = {day.date for day in queries.list_open_days(branch.id, week.monday) if not day.periods}
    bounds = (clock.day_bounds(day, branch.timezone)[which] for day, which in ((week.days[0], 0), (week.days[-1], 1)))
    away = queries.list_leave(branch.id, *bounds)
    left = {}
    for (staff_id, weekday), periods in cells.items():
        date = week.days[weekday]
        at_work = tuple(
            (begins, ends)
            for begins, ends in periods
            if date not in closed
            and not any(
                one.staff_id == staff_id
                and one.starts_at <= clock.at_local(date, begins, branch.timezone)
                and clock.at_local(date, ends, branch.timezone) <= one.ends_at
                for one in away
            )
        )
        if at_work:
            left[staff_id, weekday] = at_work
    return left


def _plan_json(plan: Plan) -> dict[str, list[list[str]]]:
    return {f"{staff_id}/{weekday}": as_json(periods) for (staff_id, weekday), periods in plan.items() if periods}


def _record(
    action: str, row: RosterWeek, actor: Actor, *, before: dict[str, Any], after: dict[str, Any] | None = None
) -> None:
    """``before`` and ``after`` hold shifts by therapist and weekday: ``3/0`` is the Monday of therapist 3."""
    about = {"branch_id": row.branch_id, "monday": row.monday.isoformat()}
    audit.record(
        action, entity="roster_week", entity_id=row.id, actor=actor, before=before, after={**about, **(after or {})}
    )
