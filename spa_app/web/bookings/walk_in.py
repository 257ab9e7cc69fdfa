"""/walk-ins: phone, name, service; now, with the first free therapist and room."""

import datetime as dt
from collections import Counter
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, HiddenField
from wtforms.validators import InputRequired, Length, Optional

from spa_app import clock
from spa_app.errors import ConflictError, DomainError, InvalidError, SlotTakenError
from spa_app.queries.booking_form import fitting_cards, get_choices, list_card_choices
from spa_app.queries.bookings import get_visit_customer
from spa_app.queries.customers import find_by_phone
from spa_app.queries.users import BranchRef
from spa_app.services import bookings, phones
from spa_app.services.scheduling import Slot, find_slots
from spa_app.services.scheduling_needs import Wish
from spa_app.web import errors, filters
from spa_app.web.actions import run_once
from spa_app.web.bookings.card_advice import Advice, advise, warn_of_unfit
from spa_app.web.bookings.draft import card_label
from spa_app.web.bookings.forms import HiddenIdField, IdField, LocalField, UnmarkedField
from spa_app.web.bookings.new import branch_of
from spa_app.web.bookings.place import calendar_url, in_panel, push_url, see_other, swap
from spa_app.web.bookings.refusals import Refusal, explain
from spa_app.web.bookings.routes import answer_visit, require_visit
from spa_app.web.forms import Form
from spa_app.web.htmx import is_partial, refresh, render, toast
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, local_today, roles
from spa_app.web.times import format_local

bp = Blueprint("walk_ins", __name__)
SLOTS = 5
LOOKED_UP = "branch_id,customer_id,phone,full_name,shares_phone,service_id,starts_at,card_for,treatment_id"


class WalkInForm(Form):
    """Who has come in, and for what. ``starts_at`` is empty for now; ``customer_id`` is known once the desk chose.

    ``card_for`` tells for which customer and service the screen chose the card.
    """

    branch_id = HiddenIdField()
    customer_id = HiddenIdField()
    phone = UnmarkedField(_l("Phone"), [Length(max=40)])
    full_name = UnmarkedField(_l("Name"), [Length(max=200)])
    shares_phone = BooleanField(_l("They share this phone with somebody"))
    service_id = IdField(_l("Service"), [InputRequired(_l("Choose a service."))])
    card_for = HiddenField()
    treatment_id = IdField(_l("Paid by"), [Optional()])
    starts_at = LocalField(_l("Begins"), [Optional()])


@bp.get("/walk-ins/new")
@roles(*DESK)
def new() -> ResponseReturnValue:
    """The empty form, or one begun with ``phone, full_name, service_id, customer_id``."""
    values = MultiDict((name, value) for name, value in request.args.items(multi=True) if value.strip())
    branch = branch_of(values)
    form = WalkInForm(formdata=values) if values else WalkInForm(formdata=None)
    for field in form:
        field.errors = list(field.process_errors)
    return _render(form, branch, 422 if any(field.errors for field in form) else 200)


@bp.get("/walk-ins/customer")
@roles(*DESK)
def customer() -> ResponseReturnValue:
    """Whose the typed ``phone`` is, and which of their cards pays for the service; a plain client gets the form."""
    if not is_partial():
        return redirect(url_for("walk_ins.new", phone=request.args.get("phone", "")[:40]))
    branch = branch_of(request.args)
    form = WalkInForm(formdata=request.args)
    advice = _settle_card(form, branch, redo=True)
    known = [] if form.customer_id.data else _known(form.phone.data or "")
    page = render_template("walk_ins/_found.html", form=form, known=known, advice=advice, look_up=_lookup())
    return make_response(page)


@bp.post("/walk-ins")
@roles(*DESK)
def create() -> ResponseReturnValue:
    """Take them in: 303 to the visit, or its panel. 422 at the field; 409 with who it may be, or the next free times.

    The buttons of the form say ``who`` (an id, or ``new``: somebody else on that phone) and ``slot`` (a time).
    """
    values = MultiDict(request.form.items(multi=True))
    who, slot = values.get("who", ""), values.get("slot", "")
    if who == "new":
        values.setlist("shares_phone", ["y"])
    elif who:
        values.setlist("customer_id", [who])
    if slot:
        values.setlist("starts_at", [slot])
    branch = branch_of(values)
    form = WalkInForm(formdata=values)
    if not form.validate():
        return _render(form, branch, 422)
    if form.card_for.data:
        _settle_card(form, branch, redo=False)
    try:
        booking_id = run_once("walk_in", lambda: _take(form, branch))
    except (InvalidError, ConflictError) as error:
        return _refuse(form, branch, error)
    visit = require_visit(booking_id)
    words = _("%(name)s is here.") if visit.visit_on == local_today() else _("%(name)s is booked.")
    toast(words % {"name": visit.customer.full_name})
    if not is_partial():
        return see_other(url_for("bookings.show", booking_id=booking_id))
    refresh("bookings-changed")
    url = calendar_url(visit.visit_on, booking_id) if in_panel() else url_for("bookings.show", booking_id=booking_id)
    return push_url(answer_visit(visit), url)


def _take(form: WalkInForm, branch: BranchRef) -> int:
    return bookings.take_walk_in(
        branch_id=branch.id,
        service_id=form.service_id.data,
        actor=current_actor(),
        customer_id=form.customer_id.data,
        full_name=form.full_name.data or "",
        phone=form.phone.data,
        shares_phone=form.shares_phone.data,
        starts_at=form.starts_at.data,
        treatment_id=form.treatment_id.data,
        choose_card=not form.card_for.data,
    )


def _settle_card(form: WalkInForm, branch: BranchRef, *, redo: bool) -> Advice:
    """Choose the card as the booking form does, unless the screen chose one for this customer and service before.

    Empties ``card_for`` where nobody knows yet who it is: the visit chooses then.
    """
    customer_id = _who(form)
    if customer_id is None or form.service_id.data is None:
        form.card_for.data = form.treatment_id.data = None
        form.treatment_id.offer([])
        return Advice()
    known = list_card_choices(customer_id, branch_id=branch.id)
    visit_on = clock.local_date(max(form.starts_at.data or clock.now(), clock.now()), branch.timezone)
    fitting = fitting_cards(known, service_id=form.service_id.data, visit_on=visit_on, taken=Counter())
    key = f"{customer_id}:{form.service_id.data}"
    fits = [card.id for card in fitting]
    if form.card_for.data != key or (redo and form.treatment_id.data and form.treatment_id.data not in fits):
        form.treatment_id.data = fits[0] if fits else None
    form.card_for.data = key
    form.treatment_id.offer([(card.id, card_label(card)) for card in fitting], none=_("Paid at the desk"))
    chosen = next((card for card in fitting if card.id == form.treatment_id.data), None)
    if fitting:
        return advise(chosen, chosen.free - 1 if chosen else 0)
    return warn_of_unfit(known, service_id=form.service_id.data, visit_on=visit_on)


def _who(form: WalkInForm) -> int | None:
    """Whose visit it would be, as far as phone and name tell."""
    if form.customer_id.data:
        customer_id: int = form.customer_id.data
        return customer_id
    if form.shares_phone.data:
        return None
    meant = bookings.list_meant(_known(form.phone.data or ""), form.full_name.data or "")
    return meant[0].id if len(meant) == 1 else None


def _lookup() -> dict[str, str]:
    """The HTMX attributes of what has customer and card looked up anew while the form is filled in."""
    return {
        "hx-get": url_for("walk_ins.customer"),
        "hx-trigger": "change",
        "hx-target": "#walk-in-card",
        "hx-swap": "morph:innerHTML",
        "hx-include": "closest form",
        "hx-params": LOOKED_UP,
        "hx-sync": "closest form:replace",
    }


def _refuse(form: WalkInForm, branch: BranchRef, error: DomainError) -> ResponseReturnValue:
    refusal = explain(error, starts_at=form.starts_at.data or clock.now())
    named = form._fields.get((error.field or "").removeprefix("items-0-"))
    if named is not None:
        named.errors = [*named.errors, refusal.message]
    slots: list[Slot] = []
    if isinstance(error, SlotTakenError) or error.field == "starts_at":
        slots = find_slots([Wish(form.service_id.data)], branch_id=branch.id, since=clock.now(), limit=SLOTS)
        form.starts_at.change(None)
    asked = error.code == "phone_known"
    people = [
        (way.params["customer_id"], way.params["name"]) for way in error.ways_out if way.action == "choose_customer"
    ]
    return _render(
        form,
        branch,
        errors.status_of(error),
        refusal=Refusal(refusal.message, () if asked else refusal.ways),
        people=people,
        slots=slots,
    )


def _render(form: WalkInForm, branch: BranchRef, status: int = 200, **further: Any) -> ResponseReturnValue:
    choices = get_choices(branch.id)
    form.branch_id.data = branch.id
    chosen = get_visit_customer(form.customer_id.data) if form.customer_id.data else None
    if chosen is None:
        form.customer_id.data = None
    form.service_id.offer(
        [
            (one.id, f"{one.name} · {filters.minutes(one.minutes)} · {filters.money(one.price_amount)}")
            for one in choices.services
        ],
        none=_("Choose a service"),
    )
    advice = _settle_card(form, branch, redo=status == 200)
    waits: dt.datetime | None = form.starts_at.data
    return render(
        "walk_ins/new.html",
        "walk_ins/_new.html",
        status,
        title=_("Walk-in"),
        form=form,
        chosen=chosen,
        known=[] if chosen else _known(form.phone.data or ""),
        starts_value=format_local(waits, branch.timezone) if waits else "",
        today=local_today(),
        panel=in_panel(),
        close_url=calendar_url(local_today()),
        post=swap(url_for("walk_ins.create")),
        again=swap(url_for("walk_ins.new")),
        look_up=_lookup(),
        advice=advice,
        **further,
    )


def _known(phone: str) -> list[Any]:
    """Who has this number; nobody while it is none yet."""
    try:
        number = phones.normalise(phone)
    except InvalidError:
        return []
    return list(find_by_phone(number)) if number else []
