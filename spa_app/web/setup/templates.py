"""/setup/shifts: the usual shifts from which rosters are made."""

from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from spa_app.errors import N_, NotFoundError
from spa_app.queries.rosters import Template, list_templates
from spa_app.queries.users import BranchRef
from spa_app.services import shift_templates
from spa_app.web.actions import run_once
from spa_app.web.forms import Form
from spa_app.web.htmx import toast
from spa_app.web.navigation import MANAGERS
from spa_app.web.periods import PeriodsField, short
from spa_app.web.security import asked_branch, current_actor, roles
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit


class TemplateForm(Form):
    """A usual shift."""

    name = StringField(
        _l("Name of the shift"),
        [InputRequired(), Length(max=shift_templates.NAME_LENGTH)],
        render_kw={"autocomplete": "off", "maxlength": shift_templates.NAME_LENGTH},
    )
    periods = PeriodsField(_l("Hours"))


@bp.get("/shifts")
@roles(*MANAGERS)
def templates() -> ResponseReturnValue:
    """All usual shifts, and an empty form."""
    return _page(asked_branch())


@bp.get("/shifts/<int:template_id>")
@roles(*MANAGERS)
def template(template_id: int) -> ResponseReturnValue:
    """One of them, to be changed."""
    branch = asked_branch()
    return _page(branch, _known(branch, template_id))


@bp.post("/shifts")
@roles(*MANAGERS)
def add_template() -> ResponseReturnValue:
    """Add one."""
    return _save(asked_branch(), None)


@bp.post("/shifts/<int:template_id>")
@roles(*MANAGERS)
def save_template(template_id: int) -> ResponseReturnValue:
    """Change one."""
    branch = asked_branch()
    return _save(branch, _known(branch, template_id))


@bp.post("/shifts/<int:template_id>/delete")
@roles(*MANAGERS)
def delete_template(template_id: int) -> ResponseReturnValue:
    """Take one away. Rosters made from it stay."""
    branch = asked_branch()
    run_once(
        "setup_shift_delete",
        lambda: shift_templates.delete_template(template_id, branch_id=branch.id, actor=current_actor()),
    )
    toast(_("The usual shift is gone. Rosters stay as they are."))
    return see("setup.templates", branch)


def _save(branch: BranchRef, chosen: Template | None) -> ResponseReturnValue:
    form = TemplateForm()
    submitted = submit(
        form,
        "setup_shift",
        lambda: shift_templates.save_template(
            branch_id=branch.id,
            template_id=chosen.id if chosen else None,
            name=form.name.data or "",
            periods=form.periods.data,
            seen=seen(),
            actor=current_actor(),
        ),
        {"starts_at": "periods", "ends_at": "periods"},
    )
    return see("setup.templates", branch) if submitted.is_done else _page(branch, chosen, form, submitted)


def _known(branch: BranchRef, template_id: int) -> Template:
    for one in list_templates(branch.id):
        if one.id == template_id:
            return one
    raise NotFoundError("not_found", N_("There is no such thing in your branches."))


def _page(
    branch: BranchRef,
    chosen: Template | None = None,
    form: TemplateForm | None = None,
    submitted: Submitted = NOT_SENT,
) -> ResponseReturnValue:
    if submitted.is_stale and chosen:
        chosen = _known(branch, chosen.id)
    if form is None or submitted.is_stale:
        given = {"name": chosen.name, "periods": chosen.periods} if chosen else {}
        form = TemplateForm(formdata=None, data=given)
    return show(
        "setup.templates",
        "_templates.html",
        submitted,
        form=form,
        chosen=chosen,
        stamp=chosen.stamp if chosen else None,
        templates=list_templates(branch.id),
        short=short,
    )
