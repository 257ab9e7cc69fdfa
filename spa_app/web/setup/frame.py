"""The frame of all set-up pages, and what their forms have in common. A new page: a module with its routes here, its
endpoint in :data:`SECTIONS`, and a ``templates/setup/_<name>.html``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, request, url_for
from flask import redirect as plain_redirect
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import N_, ConflictError, InvalidError
from spa_app.queries.users import BranchRef
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.forms import Form
from spa_app.web.htmx import render, toast
from spa_app.web.navigation import MANAGERS
from spa_app.web.security import asked_branch, roles

bp = Blueprint("setup", __name__, url_prefix="/setup")

# endpoint, label, icon; a page that is not registered is left out
SECTIONS = (
    ("setup.hours", N_("Opening hours"), "clock"),
    ("setup.special_days", N_("Special days"), "calendar-days"),
    ("setup.policies", N_("Policies"), "shield-check"),
    ("setup.templates", N_("Usual shifts"), "calendar-clock"),
    ("setup.therapists", N_("Therapists"), "users"),
    ("setup.rooms", N_("Rooms and equipment"), "door-closed"),
    ("setup.drawers", N_("Drawers"), "banknote"),
    ("setup.services", N_("Services"), "tag"),
    ("setup.plans", N_("Packages"), "package"),
    ("setup.products", N_("Products"), "shopping-bag"),
    ("setup.promotions", N_("Promotions"), "percent"),
    ("setup.about", N_("Branch"), "store"),
)


@dataclass(frozen=True)
class Submitted:
    """What became of a posted form. ``is_stale``: somebody else was faster; the fresh truth is to be shown."""

    status: int
    is_stale: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it was saved."""
        return self.status == 303


NOT_SENT = Submitted(200)


@bp.get("/")
@roles(*MANAGERS)
def index() -> ResponseReturnValue:
    """The first page of the set-up."""
    return plain_redirect(url_for("setup.hours"))


def submit(form: Form, action: str, work: Callable[[], int], aliases: Mapping[str, str] | None = None) -> Submitted:
    """Validate the form and do what it asks for, once per key. What is refused stands at the form's fields.

    ``aliases``: field of a refusal → name of the form's field.
    """
    if not form.validate():
        return Submitted(422)
    try:
        run_once(action, work)
    except (InvalidError, ConflictError) as error:
        if error.code == "changed_meanwhile":
            return Submitted(409, is_stale=True)
        error.field = (aliases or {}).get(error.field or "", error.field)
        errors.add_to_form(form, error)
        return Submitted(errors.status_of(error))
    toast(_("Saved."))
    return Submitted(303)


def seen() -> str:
    """What the sender of the form had before their eyes; an empty one matches nothing."""
    return request.form.get("seen", "")


def see(endpoint: str, branch: BranchRef, **values: Any) -> ResponseReturnValue:
    """Go and look."""
    return plain_redirect(url_for(endpoint, branch=branch.id, **values), code=303)


def show(
    section: str,
    partial: str,
    submitted: Submitted = NOT_SENT,
    *,
    stamp: str | None = None,
    title: str | None = None,
    **context: Any,
) -> Response:
    """A page of the set-up. ``stamp`` is that of what is shown; what was typed keeps the one it was typed over."""
    sections = [
        (endpoint, _(label), icon) for endpoint, label, icon in SECTIONS if endpoint in current_app.view_functions
    ]
    keeps = submitted.status in (409, 422) and not submitted.is_stale
    heading = next(label for endpoint, label, _icon in sections if endpoint == section)
    return render(
        "setup/page.html",
        "setup/_page.html",
        submitted.status,
        view=f"setup/{partial}",
        sections=sections,
        section=section,
        title=title or heading,
        heading=title or heading,
        branch=asked_branch(),
        is_stale=submitted.is_stale,
        stamp=seen() if keeps else stamp,
        **context,
    )
