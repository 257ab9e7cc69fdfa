"""/drawers: the desk's drawers. Whoever counts one does not see what is expected in it before they have counted."""

from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError
from spa_app.queries import drawers as queries
from spa_app.queries.drawers import DrawerView, SessionView
from spa_app.services import drawers
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.day_close import words
from spa_app.web.day_close.forms import MOVES, MoveForm, ReasonForm, closing_form, opening_form
from spa_app.web.day_close.routes import bp
from spa_app.web.filters import money
from spa_app.web.forms import Form
from spa_app.web.htmx import redirect, render, toast
from spa_app.web.navigation import DESK, MANAGERS
from spa_app.web.security import asked_branch, current_actor, roles, signed_in, use_branch


@bp.get("/drawers")
@roles(*DESK)
def desk() -> ResponseReturnValue:
    """The drawers of the branch, what is open, and what was closed last."""
    branch = asked_branch()
    return _show(
        "_drawers",
        _("Drawers"),
        branch=branch,
        drawers=queries.list_drawers(branch.id, user_id=signed_in().id),
        closed=queries.list_closed_sessions(branch.id),
        is_manager=signed_in().role in MANAGERS,
    )


@bp.post("/drawers/<int:drawer_id>/choose")
@roles(*DESK)
def choose(drawer_id: int) -> ResponseReturnValue:
    """Make it the drawer that the user's cash goes into."""
    drawer = _known_drawer(drawer_id)
    run_once("choose_drawer", lambda: drawers.choose_drawer(drawer_id, actor=current_actor()))
    toast(_("Your cash goes into %(drawer)s.", drawer=drawer.name))
    return redirect(url_for("day_close.desk"))


@bp.get("/drawers/<int:drawer_id>/open")
@roles(*DESK)
def opening(drawer_id: int) -> ResponseReturnValue:
    """The form of the float."""
    return _opening(_known_drawer(drawer_id), opening_form(formdata=None))


@bp.post("/drawers/<int:drawer_id>/open")
@roles(*DESK)
def open_it(drawer_id: int) -> ResponseReturnValue:
    """Open a drawer with the float counted in it, or as one that nobody counted (``uncounted``)."""
    drawer, form = _known_drawer(drawer_id), opening_form()
    if not form.validate():
        return _opening(drawer, form, 422)
    if request.form.get("do") == "sum":
        return _opening(drawer, form)
    try:
        run_once("open_drawer", lambda: drawers.open_drawer(drawer_id, count=form.count, actor=current_actor()))
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _opening(drawer, form, errors.status_of(error))
    toast(_("%(drawer)s is open.", drawer=drawer.name))
    return redirect(url_for("day_close.desk"))


@bp.get("/drawers/sessions/<int:session_id>")
@roles(*DESK)
def session(session_id: int) -> ResponseReturnValue:
    """What happened in a drawer from its opening to its close."""
    return _session(_known(session_id))


@bp.get("/drawers/sessions/<int:session_id>/move")
@roles(*DESK)
def moving(session_id: int) -> ResponseReturnValue:
    """The form of cash paid in or out."""
    return _moving(_known(session_id), MoveForm(formdata=None, kind="drop"))


@bp.post("/drawers/sessions/<int:session_id>/move")
@roles(*DESK)
def move(session_id: int) -> ResponseReturnValue:
    """Pay cash in or out: ``kind``, ``amount``, ``reason``."""
    shown, form = _known(session_id), MoveForm()
    if not form.validate():
        return _moving(shown, form, 422)
    try:
        run_once(
            "move_cash",
            lambda: drawers.move_cash(
                session_id,
                kind=form.kind.data or "",
                amount=form.amount.data,
                reason=form.reason.data or "",
                actor=current_actor(),
            ),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _moving(_known(session_id), form, errors.status_of(error))
    toast(f"{MOVES[form.kind.data]}: {money(form.amount.data or 0)}")
    return redirect(url_for("day_close.session", session_id=session_id))


@bp.get("/drawers/sessions/<int:session_id>/count")
@roles(*DESK)
def counting(session_id: int) -> ResponseReturnValue:
    """The form of the count. What is expected is nowhere in it."""
    return _counting(_known(session_id), closing_form(formdata=None))


@bp.post("/drawers/sessions/<int:session_id>/count")
@roles(*DESK)
def count(session_id: int) -> ResponseReturnValue:
    """Close a drawer with what was counted; ``do=sum`` only adds up what was typed."""
    shown, form = _known(session_id), closing_form()
    if not form.validate():
        return _counting(shown, form, 422)
    if request.form.get("do") == "sum":
        return _counting(shown, form)
    try:
        run_once(
            "close_drawer",
            lambda: drawers.close_drawer(
                session_id,
                count=form.count,
                left_amount=None if form.uncounted.data else form.left_amount.data,
                reason=form.reason.data or "",
                actor=current_actor(),
            ),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _counting(_known(session_id), form, errors.status_of(error))
    toast(_("%(drawer)s is closed.", drawer=shown.drawer))
    return redirect(url_for("day_close.session", session_id=session_id))


@bp.post("/drawers/sessions/<int:session_id>/reason")
@roles(*DESK)
def explain(session_id: int) -> ResponseReturnValue:
    """Say why the count differed: ``reason``."""
    shown, form = _known(session_id), ReasonForm()
    if not form.validate():
        return _session(shown, form, 422)
    try:
        run_once(
            "explain_variance",
            lambda: drawers.explain_variance(session_id, reason=form.reason.data or "", actor=current_actor()),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _session(_known(session_id), form, errors.status_of(error))
    toast(_("Saved."))
    return redirect(url_for("day_close.session", session_id=session_id))


def _opening(drawer: DrawerView, form: Any, status: int = 200) -> ResponseReturnValue:
    return _show("_open", _("Open %(drawer)s", drawer=drawer.name), status, drawer=drawer, form=form)


def _counting(shown: SessionView, form: Any, status: int = 200) -> ResponseReturnValue:
    if shown.closed_at is not None:
        return _session(shown, status=status, refused=form)
    return _show("_count", _("Count %(drawer)s", drawer=shown.drawer), status, shown=shown, form=form)


def _moving(shown: SessionView, form: MoveForm, status: int = 200) -> ResponseReturnValue:
    if shown.closed_at is not None:
        return _session(shown, status=status, refused=form)
    return _show("_move", _("Pay in or out: %(drawer)s", drawer=shown.drawer), status, shown=shown, form=form)


def _session(
    shown: SessionView, form: ReasonForm | None = None, status: int = 200, refused: Form | None = None
) -> ResponseReturnValue:
    """The session as it stands; its sums only once it is closed. ``refused``: the form that came too late."""
    return _show(
        "_session",
        shown.drawer,
        status,
        shown=shown,
        movements=queries.list_movements(shown.id),
        sums=queries.sum_cash([shown.id])[shown.id] if shown.closed_at else None,
        form=form or ReasonForm(formdata=None),
        refused=refused if refused is not None and refused.errors else None,
        move_words={**MOVES, "closing_drop": _("Into the safe, after the count")},
        opened_as=words.opened_as,
    )


def _show(name: str, title: str, status: int = 200, **context: Any) -> ResponseReturnValue:
    view = f"day_close/{name}.html"
    return render("day_close/page.html", view, status, view=view, title=title, **context)


def _known_drawer(drawer_id: int) -> DrawerView:
    for branch in signed_in().branches:
        for drawer in queries.list_drawers(branch.id, user_id=signed_in().id):
            if drawer.id == drawer_id:
                use_branch(branch.id)
                return drawer
    raise NotFoundError("drawer_unknown", N_("There is no such drawer."))


def _known(session_id: int) -> SessionView:
    shown = queries.get_session(session_id, branch_ids=[branch.id for branch in signed_in().branches])
    if shown is None:
        raise NotFoundError("drawer_unknown", N_("There is no such drawer."))
    use_branch(shown.branch_id)
    return shown
