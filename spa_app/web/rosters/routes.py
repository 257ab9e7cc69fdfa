"""/roster: a branch's week of work. Managers plan and publish it, the desk reads it, a therapist sees their own row."""

import datetime as dt
from typing import Any

from flask import Blueprint, Response, render_template, request
from flask import redirect as plain_redirect
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from spa_app import clock
from spa_app.errors import N_, ConflictError, DomainError, InvalidError, NotFoundError
from spa_app.queries import rosters as queries
from spa_app.queries.users import BranchRef
from spa_app.services import rosters
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.blocks.forms import KINDS
from spa_app.web.htmx import is_partial, refresh, render, toast, with_notices
from spa_app.web.navigation import EVERYONE, MANAGERS
from spa_app.web.periods import short
from spa_app.web.rosters.forms import CellForm, CopyForm, cell_value, monday_of, read_cell
from spa_app.web.rosters.present import affected_url, draw, list_changes, week_url
from spa_app.web.security import asked_branch, current_actor, local_today, roles, signed_in
from spa_app.web.times import parse_date

bp = Blueprint("rosters", __name__, url_prefix="/roster")

LATEST = dt.date(2199, 1, 1)
NOBODY = -1


@bp.get("")
@roles(*EVERYONE)
def week() -> ResponseReturnValue:
    """The ``week`` of a date (this one) in a ``branch``: its draft for managers, what counts for everybody else."""
    branch = asked_branch()
    return _page(branch, _monday(local_today()))


@bp.get("/cell")
@roles(*MANAGERS)
def cell() -> ResponseReturnValue:
    """The shifts of one ``staff_id`` on one ``weekday`` (0 is Monday) of a ``week``, to be changed."""
    branch = asked_branch()
    monday = _monday(local_today())
    staff_id, weekday = (_whole(request.args.get(name, "")) for name in ("staff_id", "weekday"))
    return _cell_page(branch, monday, staff_id, weekday)


@bp.post("/cell")
@roles(*MANAGERS)
def change_cell() -> ResponseReturnValue:
    """Plan one cell: ``periods-from`` and ``periods-to``, those of ``template_id``, or none where ``off`` is given."""
    branch, monday = asked_branch(), _monday()
    form = CellForm()
    chosen = read_cell(request.form.get("cells", ""))
    if not form.validate() and not ({"off", "template_id"} & set(request.form)):
        return _cell_page(branch, monday, chosen.staff_id, chosen.weekday, form, 422)
    try:
        _plan(branch, monday, [chosen], _periods(branch, form))
    except (InvalidError, ConflictError) as error:
        # Of a conflict the fresh truth is shown, not what was typed over it.
        fresh = form if isinstance(error, InvalidError) else None
        return _cell_page(branch, monday, chosen.staff_id, chosen.weekday, fresh, errors.status_of(error), error)
    toast(_("Planned."))
    if not is_partial():
        return plain_redirect(week_url(branch, monday), code=303)
    return with_notices(_grid_aside(branch, monday))


@bp.post("/cells")
@roles(*MANAGERS)
def change_cells() -> ResponseReturnValue:
    """Plan all the chosen ``cells`` alike: by ``template_id``, or off."""
    branch, monday = asked_branch(), _monday()
    try:
        chosen = [read_cell(text) for text in request.form.getlist("cells")]
        _plan(branch, monday, chosen, _periods(branch, None))
    except (InvalidError, ConflictError) as error:
        return _page(branch, monday, errors.status_of(error), error)
    toast(ngettext("%(num)s day planned.", "%(num)s days planned.", len(chosen)))
    return _done(branch, monday)


@bp.post("/copy")
@roles(*MANAGERS)
def copy() -> ResponseReturnValue:
    """Plan the week like the one of ``source``; with ``only_empty`` what stands in it stays."""
    branch, monday = asked_branch(), _monday()
    form = CopyForm()
    if not form.validate():
        return _page(branch, monday, 422, copy_form=form)
    counts = {}

    source = form.source.data or monday

    def work() -> int:
        counts["copied"], counts["left_out"] = rosters.copy_week(
            branch_id=branch.id,
            monday=monday,
            source=source,
            only_empty=form.only_empty.data,
            seen=request.form.get("seen"),
            actor=current_actor(),
        )
        return branch.id

    try:
        run_once("roster_copy", work)
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _page(branch, monday, errors.status_of(error), copy_form=form)
    if counts:
        said = ngettext("%(num)s shift copied.", "%(num)s shifts copied.", counts["copied"])
        if counts["left_out"]:
            said += " " + ngettext(
                "%(num)s left out: closed or on leave.", "%(num)s left out: closed or on leave.", counts["left_out"]
            )
        toast(said)
    return _done(branch, monday)


@bp.get("/publish")
@roles(*MANAGERS)
def review() -> ResponseReturnValue:
    """What publishing the week's draft would change, and the visits that it would leave off shift."""
    return _review(asked_branch(), _monday(local_today()))


@bp.post("/publish")
@roles(*MANAGERS)
def publish() -> ResponseReturnValue:
    """Make the draft what counts; 409 with the fresh summary where it is no longer the one that was looked at."""
    branch, monday = asked_branch(), _monday()
    try:
        run_once("roster_publish", lambda: rosters.publish_week(**_whole_week(branch, monday)))
    except ConflictError as error:
        return _review(branch, monday, errors.status_of(error), error)
    toast(_("Published. The desk books by this roster from now on."))
    return _done(branch, monday)


@bp.post("/discard")
@roles(*MANAGERS)
def discard() -> ResponseReturnValue:
    """Forget the draft."""
    return _take_back(rosters.discard_draft, "roster_discard", _("The draft is gone."))


@bp.post("/unpublish")
@roles(*MANAGERS)
def unpublish() -> ResponseReturnValue:
    """Make a draft again of what was published."""
    return _take_back(rosters.unpublish_week, "roster_unpublish", _("The roster is a draft again."))


def _take_back(act: Any, name: str, words: str) -> ResponseReturnValue:
    branch, monday = asked_branch(), _monday()
    try:
        run_once(name, lambda: act(**_whole_week(branch, monday)))
    except ConflictError as error:
        return _page(branch, monday, errors.status_of(error), error)
    toast(words)
    return _done(branch, monday)


def _whole_week(branch: BranchRef, monday: dt.date) -> dict[str, Any]:
    return {
        "branch_id": branch.id,
        "monday": monday,
        "seen": request.form.get("seen", ""),
        "actor": current_actor(),
    }


def _plan(branch: BranchRef, monday: dt.date, cells: list[rosters.Cell], periods: rosters.Periods) -> None:
    run_once(
        "roster_plan",
        lambda: rosters.plan_cells(
            branch_id=branch.id, monday=monday, cells=cells, periods=periods, actor=current_actor()
        ),
    )


def _periods(branch: BranchRef, form: CellForm | None) -> rosters.Periods:
    """What the pressed button stands for: off, a usual shift, or what was typed."""
    if "off" in request.form:
        return ()
    if form is not None and "template_id" not in request.form:
        periods: rosters.Periods = form.periods.data
        return periods
    wanted = _whole(request.form.get("template_id", ""))
    for template in queries.list_templates(branch.id):
        if template.id == wanted:
            return template.periods
    raise InvalidError("template_unknown", N_("Choose one of the usual shifts."), field="template_id")


def _done(branch: BranchRef, monday: dt.date) -> ResponseReturnValue:
    refresh("bookings-changed")
    return _page(branch, monday) if is_partial() else plain_redirect(week_url(branch, monday), code=303)


def _page(
    branch: BranchRef,
    monday: dt.date,
    status: int = 200,
    error: DomainError | None = None,
    copy_form: CopyForm | None = None,
) -> Response:
    return render("rosters/page.html", "rosters/_week.html", status, **_context(branch, monday, error, copy_form))


def _context(
    branch: BranchRef, monday: dt.date, error: DomainError | None = None, copy_form: CopyForm | None = None
) -> dict[str, Any]:
    user = signed_in()
    is_manager = user.role in MANAGERS
    shown = queries.get_week(branch.id, monday)
    plan = shown.planned if is_manager else shown.published
    team = queries.list_therapists(branch.id, (user.staff_id or NOBODY) if user.role == "therapist" else None)
    days = queries.list_open_days(branch.id, monday)
    bounds = [clock.day_bounds(date, branch.timezone) for date in (shown.days[0], shown.days[-1])]
    away = queries.list_leave(branch.id, bounds[0][0], bounds[1][1])
    off_shift = []
    if is_manager:
        bound = queries.bound_staff(shown, [one.id for one in team])
        off_shift = queries.list_off_shift(shown.published, monday, branch.timezone, bound, clock.now())
    return {
        "view": "rosters/_week.html",
        "title": _("Roster"),
        "branch": branch,
        "week": shown,
        "days": days,
        "today": local_today(),
        "rows": draw(shown, plan, team, days, away, branch),
        "off_shift": off_shift,
        "affected_url": lambda one: affected_url(one.staff_id, one.starts_at, one.ends_at, branch.timezone),
        "week_url": lambda date: week_url(branch, date),
        "one_week": queries.WEEK,
        "is_manager": is_manager,
        "templates": queries.list_templates(branch.id) if is_manager else [],
        "short": short,
        "kinds_of_leave": KINDS,
        "error": errors.translate(error) if error else None,
        "copy_form": copy_form or CopyForm(formdata=None, source=monday - queries.WEEK),
    }


def _cell_page(
    branch: BranchRef,
    monday: dt.date,
    staff_id: int,
    weekday: int,
    form: CellForm | None = None,
    status: int = 200,
    error: DomainError | None = None,
) -> ResponseReturnValue:
    shown = queries.get_week(branch.id, monday)
    name = next((one.name for one in queries.list_therapists(branch.id) if one.id == staff_id), None)
    if name is None or weekday not in range(7):
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    stands = shown.planned.get((staff_id, weekday), ())
    form = form or CellForm(formdata=None, periods=stands)
    if error is not None:
        if isinstance(error, InvalidError):
            form.periods.errors = [*form.periods.errors, errors.translate(error)]
        else:
            errors.add_to_form(form, error)
    answer = render(
        "rosters/cell.html",
        "rosters/_cell.html",
        status,
        title=name,
        branch=branch,
        monday=monday,
        name=name,
        date=shown.days[weekday],
        form=form,
        cell=cell_value(shown, staff_id, weekday),
        published=short(shown.published.get((staff_id, weekday), ())),
        is_changed=(staff_id, weekday) in shown.changes(),
        templates=queries.list_templates(branch.id),
        short=short,
        back=week_url(branch, monday),
        in_panel=is_partial(),
    )
    if is_partial() and status == 409:
        answer.set_data(answer.get_data(as_text=True) + _grid_aside(branch, monday))
    return answer


def _grid_aside(branch: BranchRef, monday: dt.date) -> str:
    """The grid for the page beside which a cell was changed."""
    return render_template("rosters/_aside.html", **_context(branch, monday))


def _review(
    branch: BranchRef, monday: dt.date, status: int = 200, error: DomainError | None = None
) -> ResponseReturnValue:
    shown = queries.get_week(branch.id, monday)
    team = queries.list_therapists(branch.id)
    ids = [one.id for one in team]
    with_shifts = {staff_id for staff_id, _ in shown.planned}
    return render(
        "rosters/page.html",
        "rosters/_review.html",
        status,
        view="rosters/_review.html",
        title=_("Publish the roster"),
        branch=branch,
        week=shown,
        changes=list_changes(shown, team),
        without=[one.name for one in team if one.id not in with_shifts],
        shifts=sum(map(len, shown.planned.values())),
        people=len(with_shifts & set(ids)),
        off_shift=queries.list_off_shift(shown.planned, monday, branch.timezone, ids, clock.now()),
        affected_url=lambda one: affected_url(one.staff_id, one.starts_at, one.ends_at, branch.timezone),
        back=week_url(branch, monday),
        error=errors.translate(error) if error else None,
    )


def _monday(default: dt.date | None = None) -> dt.date:
    """The Monday of the week that is asked for. Raises InvalidError for a date that is none."""
    text = request.values.get("week", "")
    try:
        date = default if default and not text else parse_date(text)
        if date > LATEST:
            raise ValueError(N_("Not a valid date value."))
    except ValueError as error:
        raise InvalidError("date_invalid", str(error), field="week") from error
    return monday_of(date)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
