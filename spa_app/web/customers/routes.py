"""/customers: search, adding one, and each one's page."""

import re
from typing import Any

from babel.dates import get_month_names
from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale
from flask_babel import gettext as _

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError
from spa_app.papers import format_phone
from spa_app.queries import birthdays, treatments
from spa_app.queries import customers as queries
from spa_app.queries.customer_records import list_family
from spa_app.queries.customers import CustomerProfile
from spa_app.queries.duplicates import list_suspects
from spa_app.queries.gift_cards import find_by_code
from spa_app.queries.invoice_lists import list_due
from spa_app.queries.waitlist import list_of_customer
from spa_app.services.customers import create_customer, update_customer
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.customers.forms import REASONS, RELATIONS, CustomerForm, TagsForm
from spa_app.web.htmx import is_partial, redirect, render, toast, with_notices
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, current_branch, local_today, roles, signed_in
from spa_app.web.treatments.forms import SellForm

bp = Blueprint("customers", __name__, url_prefix="/customers")

errors.register_way_out("open_customer", "customers.show", "customer_id")
errors.register_way_out("open_survivor", "customers.show", "customer_id")


@bp.get("")
@roles(*DESK)
def index() -> ResponseReturnValue:
    """Customers (or a gift card by its code) found by ``q``, the newest without one.

    HTMX gets the list alone; the top bar's, as a short menu. The page without a ``q`` tells whose birthday is this
    week, or in the month ``birthdays`` (1 to 12).
    """
    q = request.args.get("q", "").strip()
    in_top_bar = request.headers.get("HX-Target") == "search-results"
    if in_top_bar and not q:
        return with_notices()
    found = queries.find_customers(q, limit=8 if in_top_bar else 20) if q else queries.list_newest_customers()
    whole_pane = not is_partial() or request.headers.get("HX-Target") == "main"
    return render(
        "customers/index.html",
        "customers/_index.html" if whole_pane else "customers/_results.html",
        title=_("Customers"),
        **(_birthdays() if whole_pane and not q else {}),
        q=q,
        found=found,
        gift_card=find_by_code(q, branch_ids=[branch.id for branch in signed_in().branches]) if q else None,
        in_top_bar=in_top_bar,
    )


def _birthdays() -> dict[str, Any]:
    asked = request.args.get("birthdays", "")
    month = int(asked) if asked in [str(number) for number in range(1, 13)] else None
    today = local_today()
    found = birthdays.list_birthdays_in(month, today.year) if month else birthdays.list_birthdays_soon(today)
    names = get_month_names("wide", "stand-alone", locale=get_locale())
    return {"birthdays": found, "month": month, "months": dict(names), "most": birthdays.MOST}


@bp.get("/new")
@roles(*DESK)
def new() -> ResponseReturnValue:
    """The form for a new customer, filled with what was searched for (``q``: a name or a phone)."""
    q = request.args.get("q", "").strip()[:200]
    form = CustomerForm(formdata=None, **{"phone" if re.fullmatch(r"[+\d][\d\s().-]*", q) else "full_name": q})
    return _new_page(form)


@bp.post("")
@roles(*DESK)
def create() -> ResponseReturnValue:
    """Add a customer and go to their page; 422 at the fields; 409 where another customer has the phone."""
    form = CustomerForm()
    if not form.validate():
        return _new_page(form, 422)
    try:
        customer_id = run_once("create_customer", lambda: create_customer(**form.details(), actor=current_actor()))
    except (InvalidError, ConflictError) as error:
        return _new_page(form, _refuse(form, error))
    toast(_("%(name)s was added.", name=form.full_name.data))
    return redirect(url_for("customers.show", customer_id=customer_id))


@bp.get("/<int:customer_id>")
@roles(*DESK)
def show(customer_id: int) -> ResponseReturnValue:
    """A customer's page."""
    return _page(require_profile(customer_id))


@bp.post("/<int:customer_id>")
@roles(*DESK)
def update(customer_id: int) -> ResponseReturnValue:
    """Replace a customer's details; 422 at the fields; 409 where another customer has the phone."""
    profile = require_profile(customer_id)
    form = CustomerForm()
    if not form.validate():
        return _page(profile, form, 422)

    def work() -> int:
        update_customer(customer_id, **form.details(), actor=current_actor())
        return customer_id

    try:
        run_once("update_customer", work)
    except (InvalidError, ConflictError) as error:
        return _page(profile, form, _refuse(form, error))
    toast(_("Saved."))
    return redirect(url_for("customers.show", customer_id=customer_id))


def require_profile(customer_id: int) -> CustomerProfile:
    """The customer, or 404. A reader of one who was merged is led on to whom they were merged into."""
    branch_ids = [branch.id for branch in signed_in().branches]
    profile = queries.get_customer(customer_id, branch_ids=branch_ids, now=clock.now(), today=local_today())
    if profile is None:
        abort(404)
    if profile.merged_into_id is not None and request.method == "GET":
        toast(_("%(name)s was merged into this customer.", name=profile.full_name))
        place = {**(request.view_args or {}), "customer_id": profile.merged_into_id}
        abort(redirect(url_for(request.endpoint or "customers.show", **place)))
    return profile


def _refuse(form: CustomerForm, error: InvalidError | ConflictError) -> int:
    errors.add_to_form(form, error)
    if error.code == "phone_taken":
        form.phone_taken_by = (error.params["customer_id"], error.params["name"]) if error.params else None
    return errors.status_of(error)


def _as_it_is(profile: CustomerProfile) -> CustomerForm:
    details = {
        "full_name": profile.full_name,
        "phone": format_phone(profile.phone),
        "email": profile.email,
        "birth_date": profile.birth_date,
        "allergies": profile.allergies,
        "note": profile.note,
    }
    form = CustomerForm(formdata=None, data=details)
    form.preferred_staff_id.data = profile.preferred_staff[0] if profile.preferred_staff else None
    return form


def _offer_therapists(form: CustomerForm, chosen: tuple[int, str] | None = None) -> None:
    """Fill the choice of therapists; ``chosen`` stays on it, also one who has left or works in another branch."""
    offered = queries.list_therapists(branch.id for branch in signed_in().branches)
    if chosen and chosen[0] not in dict(offered):
        offered.append(chosen)
    form.preferred_staff_id.offer(offered, none=_("Anyone"))


def _new_page(form: CustomerForm, status: int = 200) -> ResponseReturnValue:
    _offer_therapists(form)
    return render("customers/new.html", "customers/_new.html", status, title=_("New customer"), form=form)


def _page(profile: CustomerProfile, form: CustomerForm | None = None, status: int = 200) -> ResponseReturnValue:
    form = form or _as_it_is(profile)
    _offer_therapists(form, profile.preferred_staff)
    branch = current_branch()
    plans = treatments.list_plans_for_sale(branch.id if branch else None)
    return render(
        "customers/show.html",
        "customers/_show.html",
        status,
        title=profile.full_name,
        customer=profile,
        customer_id=profile.id,
        form=form,
        cards=treatments.list_cards(profile.id),
        shared=treatments.list_shared_cards(profile.id),
        waiting=list_of_customer(profile.id, branch_ids=[branch.id for branch in signed_in().branches]),
        branch_ids=[branch.id for branch in signed_in().branches],
        plans=plans,
        sell_form=SellForm(plans, formdata=None),
        due=list_due(profile.id, branch_ids=[branch.id for branch in signed_in().branches]),
        suspects=list_suspects(profile.id),
        reasons=REASONS,
        family=list_family(profile.id),
        relations=RELATIONS,
        tags_form=TagsForm(formdata=None, data={"tags": ", ".join(profile.tags)}),
    )
