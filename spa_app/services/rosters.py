"""Who works when, and on which dates a branch keeps other hours. Managers' doing; what is booked already stays."""

import datetime as dt
import itertools
from collections.abc import Sequence

from sqlalchemy import delete

from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.models import Branch, BranchException, Staff, StaffShift
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.texts import REASON_LENGTH, clean_text
from spa_app.services.transaction import atomic

Periods = Sequence[tuple[dt.time, dt.time]]


def set_shifts(*, staff_id: int, works_on: dt.date, periods: Periods, actor: Actor) -> int:
    """Make these the therapist's shifts on a local date, instead of those before; none: not at work that day.

    A week without any shift counts as "whenever the branch is open". Locks the therapist. Raises
    :class:`InvalidError` for periods that overlap or end before they begin.
    """
    with atomic() as session:
        actor.require_manager()
        staff = session.get(Staff, staff_id, with_for_update={"key_share": True})
        if staff is None:
            raise NotFoundError("not_found", N_("There is no such thing in your branches."))
        actor.require_branch(staff.branch_id)
        _check_periods(periods)
        session.execute(delete(StaffShift).where(StaffShift.staff_id == staff_id, StaffShift.works_on == works_on))
        session.add_all(
            StaffShift(staff_id=staff_id, works_on=works_on, starts_at=begins, ends_at=ends) for begins, ends in periods
        )
        audit.record(
            "shifts_set",
            entity="staff",
            entity_id=staff_id,
            actor=actor,
            after={"works_on": works_on.isoformat(), "periods": _as_json(periods)},
        )
        return staff_id


def set_exception(
    *, branch_id: int, happens_on: dt.date, periods: Periods, actor: Actor, reason: str = "", usual: bool = False
) -> int:
    """Make these the branch's opening hours on a date, instead of the week's; none: closed. ``usual``: as every week.

    Locks the branch. Raises :class:`InvalidError` for periods that overlap or end before they begin.
    """
    with atomic() as session:
        actor.require_manager()
        actor.require_branch(branch_id)
        session.get_one(Branch, branch_id, with_for_update={"key_share": True})
        _check_periods(periods)
        reason = clean_text(reason, field="reason", limit=REASON_LENGTH, lines=False)
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
            after={"happens_on": happens_on.isoformat(), "usual": usual, "periods": _as_json(periods)},
            reason=reason,
        )
        return branch_id


def _check_periods(periods: Periods) -> None:
    ordered = sorted(periods)
    if any(ends <= begins for begins, ends in ordered):
        raise InvalidError("ends_before", N_("The end must come after the beginning."), field="ends_at")
    if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(ordered)):
        raise InvalidError("periods_overlap", N_("Two of these periods overlap."), field="starts_at")


def _as_json(periods: Periods) -> list[list[str]]:
    return [[f"{begins:%H:%M}", f"{ends:%H:%M}"] for begins, ends in periods]
