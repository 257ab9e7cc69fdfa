"""/customers/<id>/…: health, tags, family, the timeline, and forgetting a customer; /bookings/<id>/notes."""

from flask import current_app, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import ConflictError, InvalidError
from spa_app.queries import customer_records as queries
from spa_app.queries.customers import CustomerProfile, find_customers
from spa_app.queries.timeline import list_events, parse_cursor
from spa_app.services import customer_records as services
from spa_app.services.anonymising import anonymise_customer
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.bookings.forms import parse_id
from spa_app.web.bookings.routes import require_visit
from spa_app.web.customers.forms import RELATIONS, AnonymiseForm, HealthForm, LinkForm, NoteForm, TagsForm
from spa_app.web.customers.routes import bp, require_profile
from spa_app.web.htmx import redirect, render, toast
from spa_app.web.navigation import DESK, EVERYONE, MANAGERS
from spa_app.web.security import current_actor, roles, signed_in


@bp.get("/<int:customer_id>/health")
@roles(*DESK)
def health(customer_id: int) -> ResponseReturnValue:
    """Allergies, medical note and treatment notes; each look at them is logged, and managers see who looked."""
    return _health(require_profile(customer_id))


@bp.post("/<int:customer_id>/health")
@roles(*DESK)
def set_health(customer_id: int) -> ResponseReturnValue:
    """Replace allergies and medical note."""
    profile = require_profile(customer_id)
    form = HealthForm()
    if not form.validate():
        return _health(profile, form, 422)

    def work() -> int:
        return services.set_health(
            customer_id,
            allergies=form.allergies.data or "",
            medical_note=form.medical_note.data or "",
            actor=current_actor(),
        )

    try:
        run_once("set_health", work)
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _health(profile, form, errors.status_of(error))
    toast(_("Saved."))
    return redirect(url_for("customers.health", customer_id=customer_id))


@bp.post("/<int:customer_id>/tags")
@roles(*DESK)
def set_tags(customer_id: int) -> ResponseReturnValue:
    """Replace the customer's tags."""
    profile = require_profile(customer_id)
    form = TagsForm()
    tags = form.tags.data or ""
    run_once("set_tags", lambda: services.set_tags(customer_id, tags=tags, actor=current_actor()))
    toast(_("Saved."))
    return redirect(url_for("customers.show", customer_id=profile.id))


@bp.get("/<int:customer_id>/timeline")
@roles(*DESK)
def timeline(customer_id: int) -> ResponseReturnValue:
    """Everything that has happened, the newest first; ``before`` is where the page before this one ended."""
    profile = require_profile(customer_id)
    branch_ids = [branch.id for branch in signed_in().branches]
    return render(
        "customers/timeline.html",
        "customers/_timeline.html",
        title=_("Timeline of %(name)s", name=profile.full_name),
        customer=profile,
        events=list_events(profile.id, branch_ids=branch_ids, before=parse_cursor(request.args.get("before", ""))),
    )


@bp.get("/<int:customer_id>/family")
@roles(*DESK)
def family(customer_id: int) -> ResponseReturnValue:
    """Who belongs to the customer, and ``q``: who else there is."""
    return _family(require_profile(customer_id), LinkForm(formdata=None))


@bp.post("/<int:customer_id>/family")
@roles(*DESK)
def link(customer_id: int) -> ResponseReturnValue:
    """Note that ``relative_id`` belongs to the customer, as their ``relation``."""
    profile = require_profile(customer_id)
    form = LinkForm()
    try:
        relative_id = parse_id(form.relative_id.data or "")
    except ValueError:
        relative_id = None
    if not form.validate() or relative_id is None:
        return _family(profile, form, 422)

    def work() -> int:
        return services.link_customers(customer_id, relative_id, relation=form.relation.data, actor=current_actor())

    try:
        run_once("link_customers", work)
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _family(profile, form, errors.status_of(error))
    toast(_("They belong together now."))
    return redirect(url_for("customers.family", customer_id=customer_id))


@bp.post("/<int:customer_id>/family/<int:link_id>/delete")
@roles(*DESK)
def unlink(customer_id: int, link_id: int) -> ResponseReturnValue:
    """Take a link away."""
    profile = require_profile(customer_id)
    run_once("unlink_customers", lambda: services.unlink_customers(profile.id, link_id, actor=current_actor()))
    toast(_("The link is gone."))
    return redirect(url_for("customers.family", customer_id=customer_id))


@bp.get("/<int:customer_id>/anonymise")
@roles(*MANAGERS)
def confirm_anonymise(customer_id: int) -> ResponseReturnValue:
    """What goes, what stays, and that there is no way back."""
    return _anonymise(require_profile(customer_id), AnonymiseForm(formdata=None))


@bp.post("/<int:customer_id>/anonymise")
@roles(*MANAGERS)
def anonymise(customer_id: int) -> ResponseReturnValue:
    """Forget the customer; 409 says what is in the way."""
    profile = require_profile(customer_id)
    form = AnonymiseForm()
    if not form.validate():
        return _anonymise(profile, form, 422)

    def work() -> int:
        return anonymise_customer(
            customer_id,
            reason=form.reason.data or "",
            confirmed_name=form.confirmed_name.data or "",
            data_dir=current_app.config["SETTINGS"].data_dir,
            actor=current_actor(),
        )

    try:
        run_once("anonymise_customer", work)
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _anonymise(profile, form, errors.status_of(error))
    toast(_("The customer is anonymised. The books keep their visits and invoices, without a name."))
    return redirect(url_for("customers.show", customer_id=customer_id))


@bp.get("/visits/<int:booking_id>/notes")
@roles(*EVERYONE)
def notes(booking_id: int) -> ResponseReturnValue:
    """What whoever treats must know of the customer, and what was noted in earlier visits. A look at it is logged."""
    return _notes(booking_id, NoteForm(formdata=None))


@bp.post("/visits/<int:booking_id>/notes")
@roles(*EVERYONE)
def add_note(booking_id: int) -> ResponseReturnValue:
    """Add a treatment note; a therapist to a visit of their own."""
    require_visit(booking_id)
    form = NoteForm()
    if not form.validate():
        return _notes(booking_id, form, 422)
    try:
        run_once(
            "add_treatment_note",
            lambda: services.add_treatment_note(booking_id, body=form.body.data or "", actor=current_actor()),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _notes(booking_id, form, errors.status_of(error))
    toast(_("Saved."))
    return redirect(url_for("customers.notes", booking_id=booking_id))


def _health(profile: CustomerProfile, form: HealthForm | None = None, status: int = 200) -> ResponseReturnValue:
    services.record_access(profile.id, "health", actor=current_actor())
    known = queries.get_health(profile.id)
    form = form or HealthForm(formdata=None, obj=known)
    is_manager = signed_in().role in MANAGERS
    return render(
        "customers/health.html",
        "customers/_health.html",
        status,
        title=_("Health of %(name)s", name=profile.full_name),
        customer=profile,
        form=form,
        notes=queries.list_notes(profile.id),
        accesses=queries.list_accesses(profile.id) if is_manager else None,
    )


def _notes(booking_id: int, form: NoteForm, status: int = 200) -> ResponseReturnValue:
    visit = require_visit(booking_id)
    services.record_access(visit.customer.id, "notes", actor=current_actor())
    return render(
        "customers/notes.html",
        "customers/_notes.html",
        status,
        title=_("Treatment notes of %(name)s", name=visit.customer.full_name),
        visit=visit,
        known=queries.get_health(visit.customer.id),
        notes=queries.list_notes(visit.customer.id),
        form=form,
    )


def _family(profile: CustomerProfile, form: LinkForm, status: int = 200) -> ResponseReturnValue:
    q = request.args.get("q", "").strip()[:100]
    relatives = queries.list_family(profile.id)
    known = {profile.id, *(one.id for one in relatives)}
    return render(
        "customers/family.html",
        "customers/_family.html",
        status,
        title=_("Family of %(name)s", name=profile.full_name),
        customer=profile,
        family=relatives,
        relations=RELATIONS,
        q=q,
        found=[one for one in find_customers(q) if one.id not in known] if q else [],
        form=form,
    )


def _anonymise(profile: CustomerProfile, form: AnonymiseForm, status: int = 200) -> ResponseReturnValue:
    return render(
        "customers/anonymise.html",
        "customers/_anonymise.html",
        status,
        title=_("Anonymise %(name)s", name=profile.full_name),
        customer=profile,
        form=form,
    )
