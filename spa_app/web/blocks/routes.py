"""/blocks: what is blocked from a day on, the form that blocks time, and the way to free it again."""

import datetime as dt

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError
from spa_app.queries.roster import get_blocked, list_blockable, list_blocks
from spa_app.services import blocks
from spa_app.services.availability import Span
from spa_app.services.matching import Freed
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.blocks.forms import KINDS, BlockForm
from spa_app.web.bookings.place import affected_url, beside, calendar_url, in_panel, see_other, swap
from spa_app.web.htmx import is_partial, refresh, render, toast
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, current_branch, local_timezone, local_today, roles
from spa_app.web.times import next_quarter, parse_date
from spa_app.web.waitlist.fitting import tell_freed

bp = Blueprint("blocks", __name__)

USUAL_LENGTH = dt.timedelta(hours=1)


@bp.get("/blocks")
@roles(*DESK)
def index() -> ResponseReturnValue:
    """What is blocked from ``date`` (today) on, and an empty form, or one begun with ``what`` and ``starts_at``."""
    return _answer(_form_of_address())


@bp.post("/blocks")
@roles(*DESK)
def create() -> ResponseReturnValue:
    """Block ``what`` (``staff-3``, ``room-5``) from ``starts_at`` to ``ends_at``, with ``kind`` and ``reason``."""
    form = BlockForm()
    if not form.validate():
        return _answer(form, 422)
    thing = form.thing()
    try:
        run_once(
            "block_time",
            lambda: blocks.block_time(
                staff_id=thing.get("staff_id"),
                resource_id=thing.get("resource_id"),
                starts_at=form.starts_at.data,
                ends_at=form.ends_at.data,
                kind=form.kind.data,
                reason=form.reason.data or "",
                actor=current_actor(),
            ),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        if error.code == "visit_in_the_way":
            url = affected_url(**thing, starts_at=form.starts_at.data, ends_at=form.ends_at.data)
            way = (
                _("Find another room for the visits")
                if "resource_id" in thing
                else _("Find somebody else for the visits")
            )
            form.ways_out.append(errors.Way(way, url=url))
        return _answer(form, errors.status_of(error))
    return _done(_("The time is blocked."), form.starts_at.data)


@bp.post("/blocks/<int:block_id>/delete")
@roles(*DESK)
def delete(block_id: int) -> ResponseReturnValue:
    """Free the time again."""
    branch = current_branch()
    block = get_blocked(block_id, branch.id) if branch else None
    freed = [Freed(block.staff_id, Span(block.starts_at, block.ends_at))] if block else []
    run_once("unblock_time", lambda: blocks.unblock_time(block_id, actor=current_actor()))
    if branch:
        tell_freed(branch.id, freed)
    return _done(_("The time is free again."), None)


def _done(words: str, starts_at: dt.datetime | None) -> ResponseReturnValue:
    toast(words)
    if not is_partial():
        date = clock.local_date(starts_at, local_timezone()) if starts_at else None
        return see_other(url_for("blocks.index", date=date.isoformat() if date else None))
    refresh("bookings-changed")
    return _answer(_empty())


def _empty() -> BlockForm:
    form = BlockForm(formdata=None)
    form.starts_at.data = next_quarter(clock.now())
    form.ends_at.data = form.starts_at.data + USUAL_LENGTH
    return form


def _form_of_address() -> BlockForm:
    form = _empty()
    given = BlockForm(formdata=request.args)
    form.what.data = given.what.data
    starts_at = given.starts_at.data
    date = _date()
    if starts_at is None and date != local_today():
        starts_at = clock.at_local(date, dt.time(12), local_timezone())
    if starts_at:
        form.starts_at.data, form.ends_at.data = starts_at, starts_at + USUAL_LENGTH
    return form


def _date() -> dt.date:
    try:
        return parse_date(request.args["date"]) if request.args.get("date") else local_today()
    except ValueError as error:
        raise InvalidError("date_invalid", str(error), field="date") from error


def _answer(form: BlockForm, status: int = 200) -> ResponseReturnValue:
    branch = current_branch()
    if branch is None:
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    form.offer(*list_blockable(branch.id))
    date = _date()
    return render(
        "blocks/page.html",
        "blocks/_index.html",
        status,
        title=_("Blocked time"),
        form=form,
        blocks=list_blocks(branch.id, clock.day_bounds(date, branch.timezone)[0]),
        kinds=KINDS,
        panel=in_panel(),
        close_url=calendar_url(date),
        swap=swap,
        beside=beside,
        affected_url=affected_url,
    )
