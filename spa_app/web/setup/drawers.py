"""/setup/drawers: the drawers of a branch."""

from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length

from spa_app.errors import N_, NotFoundError
from spa_app.queries.drawers import DrawerSetup, list_drawer_setups
from spa_app.queries.users import BranchRef
from spa_app.services import drawers as services
from spa_app.services.team import NAME_LENGTH
from spa_app.web.forms import Form
from spa_app.web.navigation import MANAGERS
from spa_app.web.security import asked_branch, current_actor, roles
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit


class DrawerForm(Form):
    """A drawer."""

    name = StringField(
        _l("Name of the drawer"), [InputRequired(), Length(max=NAME_LENGTH)], render_kw={"autocomplete": "off"}
    )
    is_active = BooleanField(_l("In use"), default=True)


@bp.get("/drawers")
@roles(*MANAGERS)
def drawers() -> ResponseReturnValue:
    """The drawers of the branch."""
    return show("setup.drawers", "_drawers.html", drawers=list_drawer_setups(asked_branch().id))


@bp.get("/drawers/new")
@roles(*MANAGERS)
def new_drawer() -> ResponseReturnValue:
    """The form for a new one."""
    return _page(asked_branch(), None)


@bp.get("/drawers/<int:drawer_id>")
@roles(*MANAGERS)
def drawer(drawer_id: int) -> ResponseReturnValue:
    """One of them, to be changed."""
    branch = asked_branch()
    return _page(branch, _known(branch, drawer_id))


@bp.post("/drawers")
@roles(*MANAGERS)
def add_drawer() -> ResponseReturnValue:
    """Add one."""
    return _save(asked_branch(), None)


@bp.post("/drawers/<int:drawer_id>")
@roles(*MANAGERS)
def save_drawer(drawer_id: int) -> ResponseReturnValue:
    """Change one; 409 for one that is open and is to go out of use."""
    branch = asked_branch()
    return _save(branch, _known(branch, drawer_id))


def _save(branch: BranchRef, chosen: DrawerSetup | None) -> ResponseReturnValue:
    form = DrawerForm()
    submitted = submit(
        form,
        "setup_drawer",
        lambda: services.save_drawer(
            branch_id=branch.id,
            drawer_id=chosen.id if chosen else None,
            name=form.name.data or "",
            is_active=form.is_active.data,
            seen=seen() if chosen else None,
            actor=current_actor(),
        ),
    )
    return see("setup.drawers", branch) if submitted.is_done else _page(branch, chosen, form, submitted)


def _known(branch: BranchRef, drawer_id: int) -> DrawerSetup:
    for one in list_drawer_setups(branch.id, drawer_id):
        return one
    raise NotFoundError("not_found", N_("There is no such thing in your branches."))


def _page(
    branch: BranchRef, chosen: DrawerSetup | None, form: DrawerForm | None = None, submitted: Submitted = NOT_SENT
) -> ResponseReturnValue:
    if chosen and submitted.is_stale:
        chosen = _known(branch, chosen.id)
    if form is None or submitted.is_stale:
        form = DrawerForm(formdata=None)
        if chosen:
            form.name.data, form.is_active.data = chosen.name, chosen.is_active
    return show(
        "setup.drawers",
        "_drawer.html",
        submitted,
        title=chosen.name if chosen else _("New drawer"),
        form=form,
        chosen=chosen,
        stamp=chosen.stamp if chosen else None,
    )
