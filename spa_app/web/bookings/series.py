"""/bookings/series: a course as weekly × n, looked at date by date before it is booked."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, HiddenField, IntegerField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from spa_app import clock
from spa_app.errors import ConflictError, DomainError, InvalidError
from spa_app.queries.booking_form import CardChoice, fitting_cards, get_choices, list_card_choices
from spa_app.queries.bookings import get_visit_customer
from spa_app.queries.customers import find_customers
from spa_app.queries.users import BranchRef
from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest, SeriesDate, SeriesRefusedError, SeriesRequest
from spa_app.services.bookings.booking import NOTE_LENGTH
from spa_app.services.bookings.series import MOST_VISITS, MOST_WEEKS_APART
from spa_app.web import errors, filters
from spa_app.web.actions import run_once
from spa_app.web.bookings.card_advice import Advice, advise, warn_of_unfit
from spa_app.web.bookings.draft import card_label
from spa_app.web.bookings.forms import CHOOSE_CUSTOMER, HiddenIdField, IdField, LocalField, LocalTimesField
from spa_app.web.bookings.new import branch_of
from spa_app.web.bookings.place import swap
from spa_app.web.bookings.refusals import Refusal, explain
from spa_app.web.forms import Form
from spa_app.web.htmx import redirect, refresh, render, toast
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, local_timezone, roles
from spa_app.web.times import next_quarter

bp = Blueprint("series", __name__)
FOUND = 8
DATE_LENGTH = len("2026-11-23")


class SeriesForm(Form):
    """A course. ``card_for`` tells for which customer and service the card was chosen on the screen."""

    branch_id = HiddenIdField()
    customer_id = HiddenIdField()
    customer_q = StringField(_l("Find the customer"), [Length(max=100)])
    service_id = IdField(_l("Service"), [InputRequired(_l("Choose a service."))])
    staff_id = IdField(_l("Therapist"), [Optional()])
    resource_id = IdField(_l("Room"), [Optional()])
    treatment_id = IdField(_l("Paid by"), [Optional()])
    card_for = HiddenField()
    starts_at = LocalField(_l("First visit begins"), [InputRequired()])
    every_weeks = IntegerField(_l("Every … weeks"), [InputRequired()], default=1)
    count = IntegerField(_l("Number of visits"), [InputRequired()], default=6)
    pay_rest = BooleanField(_l("Visits for which the card has no session are paid at the desk"))
    times = LocalTimesField()
    note = TextAreaField(_l("Note"), [Length(max=NOTE_LENGTH)])


@bp.get("/bookings/series")
@roles(*DESK)
def new() -> ResponseReturnValue:
    """The form, begun with ``customer_id, service_id, staff_id, starts_at``; ``customer_q`` finds the customer."""
    values = MultiDict((name, value) for name, value in request.args.items(multi=True) if value.strip())
    branch = branch_of(values)
    form = SeriesForm(formdata=values) if values else SeriesForm(formdata=None)
    for field in form:
        field.errors = list(field.process_errors)
        if field.data is None and field.default and field.name not in values:
            field.data = field.default
    if form.starts_at.data is None and "starts_at" not in values:
        form.starts_at.change(next_quarter(clock.now()))
    _choose_card(form, branch.id)
    return _render(form, branch, 422 if any(field.errors for field in form) else 200)


@bp.post("/bookings/series")
@roles(*DESK)
def create() -> ResponseReturnValue:
    """Book the course and lead to the customer: all dates, or with ``book_fitting`` those that fit; else 409, nothing.

    ``do=preview`` stores nothing and reports each date. Every answer but a booking shows the report. ``times`` are
    those taken for dates that do not fit; ``take`` adds one (the date's former one goes), ``leave`` names a date that
    goes back to the time of the series. Both are previews.
    """
    values = MultiDict(request.form.items(multi=True))
    take, leave = values.get("take", ""), values.get("leave", "")
    if take or leave:
        kept = [time for time in values.getlist("times") if time[:DATE_LENGTH] not in (take[:DATE_LENGTH], leave)]
        values.setlist("times", [*kept, take] if take else kept)
    preview = bool(take or leave) or values.get("do") == "preview"
    branch = branch_of(values)
    form = SeriesForm(formdata=values)
    if preview or form.card_for.data:
        _choose_card(form, branch.id)
    valid = form.validate()
    if form.customer_id.data is None or get_visit_customer(form.customer_id.data) is None:
        form.customer_id.data = None
        form.customer_q.errors = [*form.customer_q.errors, _(CHOOSE_CUSTOMER)]
        valid = False
    if not valid:
        return _render(form, branch, 422)
    wanted = _wanted(form, branch)
    booked: list[int] = []

    def work() -> int:
        fitting = bool(values.get("book_fitting"))
        booked.extend(bookings.book_series(wanted, actor=current_actor(), book_fitting=fitting))
        return booked[0]

    try:
        if preview:
            return _render(form, branch, dates=bookings.preview_series(wanted, actor=current_actor()))
        run_once("book_series", work)
    except (InvalidError, ConflictError) as error:
        return _refuse(form, branch, error)
    if booked:
        toast(ngettext("%(num)s visit is booked.", "%(num)s visits are booked.", len(booked)))
    refresh("bookings-changed")
    return redirect(url_for("customers.show", customer_id=wanted.customer_id))


def _wanted(form: SeriesForm, branch: BranchRef) -> SeriesRequest:
    return SeriesRequest(
        customer_id=form.customer_id.data,
        branch_id=branch.id,
        item=ItemRequest(
            service_id=form.service_id.data,
            staff_id=form.staff_id.data,
            resource_id=form.resource_id.data,
            treatment_id=form.treatment_id.data,
        ),
        starts_at=form.starts_at.data,
        every_weeks=form.every_weeks.data or 0,
        count=form.count.data or 0,
        pay_rest=form.pay_rest.data,
        note=form.note.data or "",
        times=tuple(form.times.data),
    )


def _choose_card(form: SeriesForm, branch_id: int) -> None:
    """Choose the card anew when customer or service changed after the screen last did so, as the booking form does."""
    key = f"{form.customer_id.data or ''}:{form.service_id.data or ''}"
    if form.card_for.data == key or not form.customer_id.data:
        return
    visit_on = clock.local_date(form.starts_at.data or clock.now(), local_timezone())
    cards = list_card_choices(form.customer_id.data, branch_id=branch_id)
    fitting = fitting_cards(cards, service_id=form.service_id.data, visit_on=visit_on, taken=Counter())
    form.treatment_id.data = fitting[0].id if fitting else None
    form.card_for.data = key


def _refuse(form: SeriesForm, branch: BranchRef, error: DomainError) -> ResponseReturnValue:
    refusal = explain(error, starts_at=form.starts_at.data)
    if isinstance(error, SeriesRefusedError):
        return _render(form, branch, 409, refusal=Refusal(refusal.message, ()), dates=error.dates)
    named = form._fields.get((error.field or "").removeprefix("items-0-"))
    if named is not None:
        named.errors = [*named.errors, refusal.message]
    return _render(form, branch, errors.status_of(error), refusal=refusal)


def _render(
    form: SeriesForm,
    branch: BranchRef,
    status: int = 200,
    *,
    refusal: Refusal | None = None,
    dates: Sequence[SeriesDate] = (),
) -> ResponseReturnValue:
    choices = get_choices(branch.id)
    form.branch_id.data = branch.id
    customer = get_visit_customer(form.customer_id.data) if form.customer_id.data else None
    if customer is None:
        form.customer_id.data = None
    form.service_id.offer(
        [
            (one.id, f"{one.name} · {filters.minutes(one.minutes)} · {filters.money(one.price_amount)}")
            for one in choices.services
        ],
        none=_("Choose a service"),
    )
    form.staff_id.offer([(one.id, one.full_name) for one in choices.staff_for(form.service_id.data)], none=_("Anyone"))
    form.resource_id.offer(
        [(one.id, one.name) for one in choices.resources_for(form.service_id.data)], none=_("Any that is free")
    )
    cards = list_card_choices(customer.id, branch_id=branch.id) if customer else ()
    usable = [card for card in cards if not card.is_stopped]
    form.treatment_id.offer([(card.id, card_label(card)) for card in usable], none=_("Paid at the desk"))
    if dates:
        # What was taken for a date that the series no longer has is forgotten.
        shown = {one.date for one in dates}
        form.times.data = [one for one in form.times.data if clock.local_date(one, branch.timezone) in shown]
    q = (form.customer_q.data or "").strip()
    return render(
        "series/new.html",
        "series/_new.html",
        status,
        title=_("Series"),
        form=form,
        customer=customer,
        advice=_advise(form, cards),
        found=find_customers(q, FOUND) if q and customer is None else None,
        refusal=refusal,
        dates=[(one, _reason(one)) for one in dates],
        fitting=sum(one.fits for one in dates),
        most_visits=MOST_VISITS,
        most_weeks=MOST_WEEKS_APART,
        post=swap(url_for("series.create"), target="#main"),
    )


def _advise(form: SeriesForm, cards: Sequence[CardChoice]) -> Advice:
    """What the chosen card has left after all visits of the series; else why none can pay for the first one."""
    visit_on = clock.local_date(form.starts_at.data or clock.now(), local_timezone())
    chosen = next((card for card in cards if card.id == form.treatment_id.data), None)
    if chosen and chosen.fits(form.service_id.data, visit_on):
        return advise(chosen, max(chosen.free - (form.count.data or 1), 0), visits=form.count.data or 1)
    return warn_of_unfit(cards, service_id=form.service_id.data, visit_on=visit_on)


def _reason(one: SeriesDate) -> str:
    starts_at: dt.datetime | None = one.starts_at
    return explain(one.refusal, starts_at=starts_at).message if one.refusal else ""
