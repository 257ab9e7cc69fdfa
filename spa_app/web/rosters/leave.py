"""/roster/leave: who is away, the form that records it, and the way to take it back."""

import datetime as dt

from flask import redirect as plain_redirect
from flask import url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError
from spa_app.queries import rosters as queries
from spa_app.queries.users import BranchRef
from spa_app.services import blocks
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.blocks.forms import KINDS
from spa_app.web.htmx import render, toast
from spa_app.web.navigation import MANAGERS
from spa_app.web.rosters.forms import LeaveForm
from spa_app.web.rosters.present import affected_url
from spa_app.web.rosters.routes import bp
from spa_app.web.security import asked_branch, current_actor, local_today, roles

LOOK_BACK = dt.timedelta(days=30)


@bp.get("/leave")
@roles(*MANAGERS)
def leave() -> ResponseReturnValue:
    """Leave and sickness that is not long past, and an empty form."""
    today = local_today()
    return _page(asked_branch(), LeaveForm(formdata=None, first=today, last=today))


@bp.post("/leave")
@roles(*MANAGERS)
def record_leave() -> ResponseReturnValue:
    """Record that ``staff_id`` is away; 409 with the visits in the way, which are to find another therapist first."""
    branch = asked_branch()
    form = LeaveForm()
    if not form.validate():
        return _page(branch, form, 422)
    starts_at, ends_at = _bounds(form, branch.timezone)
    try:
        run_once(
            "leave",
            lambda: blocks.block_time(
                staff_id=form.staff_id.data,
                starts_at=starts_at,
                ends_at=ends_at,
                kind=form.kind.data,
                reason=form.reason.data or "",
                actor=current_actor(),
            ),
        )
    except (InvalidError, ConflictError) as error:
        if error.code != "visit_in_the_way":
            error.field = {"starts_at": "first", "ends_at": "last"}.get(error.field or "", error.field)
            errors.add_to_form(form, error)
            return _page(branch, form, errors.status_of(error))
        return _page(branch, form, 409, (starts_at, ends_at))
    toast(_("Recorded."))
    return plain_redirect(url_for("rosters.leave", branch=branch.id), code=303)


@bp.post("/leave/<int:block_id>/delete")
@roles(*MANAGERS)
def cancel_leave(block_id: int) -> ResponseReturnValue:
    """Take a leave back: its time can be booked again."""
    run_once("unblock_time", lambda: blocks.unblock_time(block_id, actor=current_actor()))
    toast(_("The leave is cancelled."))
    return plain_redirect(url_for("rosters.leave"), code=303)


def _bounds(form: LeaveForm, timezone: str) -> tuple[dt.datetime, dt.datetime]:
    first, last = form.first.data or local_today(), form.last.data or local_today()
    starts_at = clock.at_local(first, form.begins.data, timezone) if form.begins.data else None
    ends_at = clock.at_local(last, form.ends.data, timezone) if form.ends.data else None
    return starts_at or clock.day_bounds(first, timezone)[0], ends_at or clock.day_bounds(last, timezone)[1]


def _page(
    branch: BranchRef, form: LeaveForm, status: int = 200, wanted: tuple[dt.datetime, dt.datetime] | None = None
) -> ResponseReturnValue:
    team = queries.list_therapists(branch.id)
    form.staff_id.offer([(one.id, one.name) for one in team], none=_("Choose a therapist"))
    in_the_way = queries.list_visits_of(form.staff_id.data, *wanted) if wanted else []
    return render(
        "rosters/page.html",
        "rosters/_leave.html",
        status,
        view="rosters/_leave.html",
        title=_("Leave"),
        branch=branch,
        form=form,
        leaves=queries.list_leave(branch.id, clock.now() - LOOK_BACK),
        now=clock.now(),
        kinds=KINDS,
        in_the_way=in_the_way,
        affected_of=lambda one: affected_url(one.staff_id, one.starts_at, one.ends_at, branch.timezone),
        affected_url=affected_url(
            form.staff_id.data, *wanted, branch.timezone, kind=form.kind.data, reason=form.reason.data or ""
        )
        if wanted
        else None,
    )
