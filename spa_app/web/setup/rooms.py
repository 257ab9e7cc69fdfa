"""/setup/rooms: the rooms and machines of a branch."""

from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length

from spa_app.errors import N_, NotFoundError
from spa_app.queries import setup as queries
from spa_app.queries.setup import RoomSetup
from spa_app.queries.users import BranchRef
from spa_app.services import team
from spa_app.web.bookings.forms import IdField
from spa_app.web.forms import Form
from spa_app.web.navigation import MANAGERS
from spa_app.web.security import asked_branch, current_actor, roles
from spa_app.web.setup.fields import despite
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit


class RoomForm(Form):
    """A room or machine. Any of a kind will do for a service that needs the kind."""

    name = StringField(
        _l("Name of the room or equipment"),
        [InputRequired(), Length(max=team.NAME_LENGTH)],
        render_kw={"autocomplete": "off"},
    )
    type_id = IdField(_l("Kind"), [InputRequired()])
    is_active = BooleanField(_l("In use"), default=True)
    despite = despite()


@bp.get("/rooms")
@roles(*MANAGERS)
def rooms() -> ResponseReturnValue:
    """The rooms and machines of the branch."""
    return show("setup.rooms", "_rooms.html", rooms=queries.list_rooms(asked_branch().id))


@bp.get("/rooms/new")
@roles(*MANAGERS)
def new_room() -> ResponseReturnValue:
    """The form for a new one."""
    return _page(asked_branch(), None)


@bp.get("/rooms/<int:resource_id>")
@roles(*MANAGERS)
def room(resource_id: int) -> ResponseReturnValue:
    """One of them, to be changed, with the visits that take place in it."""
    branch = asked_branch()
    return _page(branch, _known(branch, resource_id))


@bp.post("/rooms")
@roles(*MANAGERS)
def add_room() -> ResponseReturnValue:
    """Add one."""
    return _save(asked_branch(), None)


@bp.post("/rooms/<int:resource_id>")
@roles(*MANAGERS)
def save_room(resource_id: int) -> ResponseReturnValue:
    """Change one; 409 with the visits of one that is to go out of use, until ``despite`` is given."""
    branch = asked_branch()
    return _save(branch, _known(branch, resource_id))


def _save(branch: BranchRef, chosen: RoomSetup | None) -> ResponseReturnValue:
    form = RoomForm()
    submitted = submit(
        form,
        "setup_room",
        lambda: team.save_room(
            branch_id=branch.id,
            resource_id=chosen.id if chosen else None,
            name=form.name.data or "",
            type_id=form.type_id.data or 0,
            is_active=form.is_active.data,
            despite_visits=form.despite.data,
            seen=seen() if chosen else None,
            actor=current_actor(),
        ),
    )
    return see("setup.rooms", branch) if submitted.is_done else _page(branch, chosen, form, submitted)


def _known(branch: BranchRef, resource_id: int) -> RoomSetup:
    for one in queries.list_rooms(branch.id, resource_id):
        return one
    raise NotFoundError("not_found", N_("There is no such thing in your branches."))


def _page(
    branch: BranchRef, chosen: RoomSetup | None, form: RoomForm | None = None, submitted: Submitted = NOT_SENT
) -> ResponseReturnValue:
    if chosen and submitted.is_stale:
        chosen = _known(branch, chosen.id)
    if form is None or submitted.is_stale:
        form = RoomForm(formdata=None)
        if chosen:
            form.name.data, form.type_id.data, form.is_active.data = chosen.name, chosen.type_id, chosen.is_active
    form.type_id.offer(queries.list_room_types(), none=_("Choose a kind of room"))
    return show(
        "setup.rooms",
        "_room.html",
        submitted,
        title=chosen.name if chosen else _("New room or machine"),
        form=form,
        chosen=chosen,
        stamp=chosen.stamp if chosen else None,
        visits=queries.visits_in_room(chosen.id) if chosen else [],
    )
