"""/setup/therapists: who can be booked, and for what."""

from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from spa_app.errors import N_, NotFoundError
from spa_app.queries import setup as queries
from spa_app.queries.setup import TherapistSetup
from spa_app.queries.users import BranchRef
from spa_app.services import team
from spa_app.web.forms import Form
from spa_app.web.navigation import MANAGERS
from spa_app.web.rosters.present import affected_url
from spa_app.web.security import asked_branch, current_actor, roles
from spa_app.web.setup.fields import checks, despite
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit


class TherapistForm(Form):
    """A therapist and what they perform."""

    full_name = StringField(
        _l("Name"), [InputRequired(), Length(max=team.NAME_LENGTH)], render_kw={"autocomplete": "off"}
    )
    skills = checks(_l("Performs"))
    is_active = BooleanField(_l("Works here"), default=True)
    despite = despite()


@bp.get("/therapists")
@roles(*MANAGERS)
def therapists() -> ResponseReturnValue:
    """The therapists of the branch."""
    branch = asked_branch()
    names = {one.id: one.name for one in queries.list_services()}
    return show(
        "setup.therapists", "_therapists.html", therapists=queries.list_therapists(branch.id), service_names=names
    )


@bp.get("/therapists/new")
@roles(*MANAGERS)
def new_therapist() -> ResponseReturnValue:
    """The form for a new one, who performs everything until told otherwise."""
    return _page(asked_branch(), None)


@bp.get("/therapists/<int:staff_id>")
@roles(*MANAGERS)
def therapist(staff_id: int) -> ResponseReturnValue:
    """One of them, to be changed, with the visits that are booked with them."""
    branch = asked_branch()
    return _page(branch, _known(branch, staff_id))


@bp.post("/therapists")
@roles(*MANAGERS)
def add_therapist() -> ResponseReturnValue:
    """Add one."""
    return _save(asked_branch(), None)


@bp.post("/therapists/<int:staff_id>")
@roles(*MANAGERS)
def save_therapist(staff_id: int) -> ResponseReturnValue:
    """Change one; 409 with the visits of one who is to leave, until ``despite`` is given."""
    branch = asked_branch()
    return _save(branch, _known(branch, staff_id))


def _save(branch: BranchRef, chosen: TherapistSetup | None) -> ResponseReturnValue:
    form = TherapistForm()
    submitted = submit(
        form,
        "setup_therapist",
        lambda: team.save_therapist(
            branch_id=branch.id,
            staff_id=chosen.id if chosen else None,
            full_name=form.full_name.data or "",
            skills=form.skills.data,
            is_active=form.is_active.data,
            despite_visits=form.despite.data,
            seen=seen() if chosen else None,
            actor=current_actor(),
        ),
    )
    return see("setup.therapists", branch) if submitted.is_done else _page(branch, chosen, form, submitted)


def _known(branch: BranchRef, staff_id: int) -> TherapistSetup:
    for one in queries.list_therapists(branch.id, staff_id):
        return one
    raise NotFoundError("not_found", N_("There is no such thing in your branches."))


def _page(
    branch: BranchRef,
    chosen: TherapistSetup | None,
    form: TherapistForm | None = None,
    submitted: Submitted = NOT_SENT,
) -> ResponseReturnValue:
    services = queries.list_services()
    if chosen and submitted.is_stale:
        chosen = _known(branch, chosen.id)
    if form is None or submitted.is_stale:
        everything = [one.id for one in services if one.values["is_active"]]
        form = TherapistForm(formdata=None, data=chosen.state if chosen else {"skills": everything})
    offered = [one for one in services if one.values["is_active"] or (chosen and one.id in chosen.skills)]
    form.skills.choices = [SelectChoice(one.id, one.name) for one in offered]
    return show(
        "setup.therapists",
        "_therapist.html",
        submitted,
        title=chosen.full_name if chosen else _("New therapist"),
        form=form,
        chosen=chosen,
        stamp=chosen.stamp if chosen else None,
        visits=queries.visits_of_staff(chosen.id) if chosen else [],
        affected_url=lambda one: affected_url(one.staff_id, one.starts_at, one.ends_at, branch.timezone),
    )
