"""Closing a day of a branch, after which nothing is posted on it, and reopening it. Rules: 1-product, *Money*.

One lock decides, the branch's row. Everything that is posted takes it FOR KEY SHARE (the trigger on journal entries
does, before it looks for a closed day); closing takes it FOR UPDATE first of all. The transaction of a close::

    SELECT … FROM branches … FOR UPDATE     -- waits for all that is being posted, keeps out what comes later
    SELECT max(closed_on) …                 -- is the day open, and the next one in order?
    UPDATE drawer_sessions …                -- drawers that nobody counted, if that is wanted
    SELECT …                                -- the figures of the day, all that was waited for in them
    INSERT INTO day_closes …                -- a trigger compares the takings with the rows once more

So whatever is posted is wholly before the close, and in its report, or refused. Closing waits for nobody's invoices,
cards or visits, and nobody who waits for the branch is waited for by it.
"""

import datetime as dt

from sqlalchemy import func, select

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut, WrongStateError
from spa_app.extensions import db
from spa_app.models import Branch, DayClose, Drawer, DrawerSession
from spa_app.money import Money
from spa_app.queries.day_close import find_day_left_open
from spa_app.queries.day_facts import ZFacts, get_facts
from spa_app.services import audit, drawers, ledger
from spa_app.services.actor import Actor
from spa_app.services.texts import required_reason
from spa_app.services.transaction import atomic, day_closed


def close_day(branch_id: int, *, on: dt.date, uncounted: bool, actor: Actor) -> int:
    """Close the books of the branch's local day ``on`` and of every day before it; return the report's id.

    ``uncounted`` closes the drawers that are still open as not counted. A manager's act. Locks the branch, then the
    open sessions. Raises :class:`InvalidError` for a day that has not begun, :class:`ConflictError` where it is closed,
    an earlier day with business is not, a drawer is open or its variance not explained, and, where the branch wants
    that, while invoices of the day are unpaid.

    Days are closed in their order: each report then covers one day, and together they cover all. Days on which nobody
    posted anything are passed over, and before the first close no report is asked for.
    """
    actor.require_manager()
    actor.require_branch(branch_id)
    with atomic() as session:
        branch = ledger.lock_for_closing(branch_id)
        if on > clock.today(branch.timezone):
            raise InvalidError("day_ahead", N_("This day has not begun yet."), field="date")
        last = ledger.last_closed_day(branch_id)
        if last is not None and on <= last:
            raise day_closed(branch_id, last)
        left_open = find_day_left_open(branch_id, after=last, before=on) if last else None
        if left_open:
            raise ConflictError(
                "earlier_day_open",
                N_("%(day)s is not closed yet. Days are closed in their order."),
                ways_out=(
                    WayOut(
                        "close_day", N_("Close that day first"), {"branch": branch_id, "date": left_open.isoformat()}
                    ),
                ),
                day=left_open,
            )
        _close_drawers(branch, on, uncounted=uncounted, actor=actor)
        facts = get_facts(branch_id, on, timezone=branch.timezone, after=last)
        _require_settled(branch, on, facts)
        number = session.scalar(select(func.max(DayClose.z_number)).where(DayClose.branch_id == branch_id))
        row = DayClose(
            branch_id=branch_id,
            closed_on=on,
            z_number=(number or 0) + 1,
            closed_at=clock.now(),
            closed_by_id=actor.user_id,
            totals=facts.as_json(),
            open_invoices=facts.open_count,
            open_amount=facts.open_amount,
        )
        session.add(row)
        session.flush()
        audit.record(
            "day_closed",
            entity="day_close",
            entity_id=row.id,
            actor=actor,
            after={
                "day": on.isoformat(),
                "z_number": row.z_number,
                "takings": facts.takings,
                "open_invoices": facts.open_count,
            },
        )
        return row.id


def reopen_day(report_id: int, *, reason: str, actor: Actor) -> int:
    """Open the books of a closed day again, and return the report's id. Its report stays as it was. A manager's act.

    Only the last closed day can be: every close closes what lies before it, too. Locks the branch, then the close.
    Raises :class:`InvalidError` without a reason, :class:`ConflictError` for another than the last closed day,
    :class:`WrongStateError` where it is open again already.
    """
    actor.require_manager()
    reason = required_reason(reason)
    with atomic() as session:
        branch_id = session.scalar(select(DayClose.branch_id).where(DayClose.id == report_id))
        if branch_id is None:
            raise NotFoundError("report_unknown", N_("There is no such report."))
        actor.require_branch(branch_id)
        ledger.lock_for_closing(branch_id)
        row = session.execute(
            select(DayClose).where(DayClose.id == report_id).with_for_update().execution_options(populate_existing=True)
        ).scalar_one()
        if row.reopened_at is not None:
            raise WrongStateError("already_reopened", N_("This day was reopened already."))
        last = ledger.last_closed_day(branch_id)
        if last != row.closed_on:
            raise ConflictError(
                "later_day_closed",
                N_("%(day)s is closed, too. Reopen the last closed day first."),
                ways_out=(WayOut("reopen_day", N_("Reopen the day"), {"branch": branch_id, "date": str(last)}),),
                day=last,
            )
        row.reopened_at, row.reopened_by_id, row.reopen_reason = clock.now(), actor.user_id, reason
        session.flush()
        audit.record(
            "day_reopened",
            entity="day_close",
            entity_id=row.id,
            actor=actor,
            after={"day": row.closed_on.isoformat(), "z_number": row.z_number},
            reason=reason,
        )
        return row.id


def _close_drawers(branch: Branch, on: dt.date, *, uncounted: bool, actor: Actor) -> None:
    _, ends = clock.day_bounds(on, branch.timezone)
    rows = db.session.execute(
        select(DrawerSession, Drawer.name)
        .join(Drawer, Drawer.id == DrawerSession.drawer_id)
        .where(Drawer.branch_id == branch.id, DrawerSession.closed_at.is_(None), DrawerSession.opened_at < ends)
        .order_by(DrawerSession.id)
        .with_for_update(of=DrawerSession)
        .execution_options(populate_existing=True)
    ).all()
    for row, name in rows:
        if not uncounted:
            raise ConflictError(
                "drawer_open",
                N_("%(drawer)s is still open. Count it, or close it as not counted."),
                field="uncounted",
                ways_out=(drawers.count_way(row.id),),
                drawer=name,
            )
        drawers.close_locked(row, branch=branch, count=None, left_amount=None, reason="", actor=actor)


def _require_settled(branch: Branch, on: dt.date, facts: ZFacts) -> None:
    for drawer in facts.drawers:
        if drawer.variance_amount and not drawer.reason:
            raise ConflictError(
                "variance_unexplained",
                N_("The count of %(drawer)s differs by %(amount)s, and nobody has said why yet."),
                ways_out=(WayOut("explain_variance", N_("Say why"), {"session_id": drawer.session_id}),),
                drawer=drawer.drawer,
                amount=Money(drawer.variance_amount),
            )
    if facts.open_count and branch.close_with_open_invoices == "block":
        raise ConflictError(
            "invoices_open",
            N_("Invoices of this day are still to be paid: %(due)s. The branch does not close a day with them."),
            ways_out=(WayOut("open_invoices", N_("Show them"), {"date": on.isoformat()}),),
            due=Money(facts.open_amount),
        )
