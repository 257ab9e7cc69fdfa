"""/waitlist: who waits, their next times, and the place held for one of them."""

import datetime as dt
from dataclasses import dataclass

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from spa_app import clock
from spa_app.errors import N_, ConflictError, DomainError, InvalidError, NotFoundError
from spa_app.queries.booking_form import get_choices
from spa_app.queries.bookings import VisitCustomer, get_visit_customer
from spa_app.queries.customers import FoundCustomer, find_customers
from spa_app.queries.users import BranchRef
from spa_app.queries.waitlist import Entry, get_entry, list_closed, list_open
from spa_app.services import bookings, customers, waitlist
from spa_app.services.availability import Span
from spa_app.services.matching import Freed, find_times
from spa_app.web import errors, filters
from spa_app.web.actions import run_once
from spa_app.web.bookings.new import branch_of
from spa_app.web.bookings.place import calendar_url, in_panel, push_url, redraw_swap, see_other, swap
from spa_app.web.bookings.refusals import Refusal, explain
from spa_app.web.bookings.routes import answer_visit, require_visit
from spa_app.web.htmx import is_partial, redirect, refresh, render, toast, with_notices
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, current_branch, local_today, roles, signed_in, use_branch
from spa_app.web.times import parse_date
from spa_app.web.waitlist.fitting import who_fits, words_for
from spa_app.web.waitlist.forms import ChangeForm, EntryForm, HoldForm, PlaceForm, WithdrawForm

bp = Blueprint("waitlist", __name__)
errors.register_way_out("waitlist", "waitlist.index")
errors.register_way_out("edit_entry", "waitlist.show", "entry_id")

FOUND = 6


@dataclass
class Draft:
    """Who waits, as far as the form knows: what the pieces that it shares with the booking form ask."""

    form: EntryForm
    customer: VisitCustomer | None
    found: list[FoundCustomer] | None  # None: not searched
    seeks_customer: bool
    prefix: str = ""  # what stands before the names of the fields


@bp.get("/waitlist")
@roles(*DESK)
def index() -> ResponseReturnValue:
    """Who waits, the longest first, each with their next times; who has a place held; who no longer waits."""
    return _answer_list()


@bp.get("/waitlist/new")
@roles(*DESK)
def new() -> ResponseReturnValue:
    """The form, begun with ``customer_id``, ``service_id``, ``staff_id`` and ``date``."""
    values = MultiDict((name, value) for name, value in request.args.items(multi=True) if value.strip())
    for name, field in (("service_id", "services-0"), ("date", "first_on")):
        if name in values:
            values.setlist(field, values.poplist(name))
    return _draw_new(values, searched=bool(values.get("customer_q")))


@bp.post("/waitlist/form")
@roles(*DESK)
def redraw() -> ResponseReturnValue:
    """The form as typed, here or in the booking form, whose words it understands: nothing is stored."""
    values = MultiDict((name, value) for name, value in request.form.items(multi=True) if value.strip())
    chosen = sorted(name for name in values if name.startswith("items-") and name.endswith("-service_id"))
    for number, name in enumerate(chosen):
        values.setlist(f"services-{number}", values.getlist(name))
    if "items-0-staff_id" in values:
        values.setlist("staff_id", values.getlist("items-0-staff_id"))
    if "first_on" not in values and values.get("starts_at"):
        values.setlist("first_on", [values["starts_at"][:10]])
    if values.get("do") == "forget-customer":
        values.setlist("customer_id", [])
    return _draw_new(values, searched=values.get("do") == "find")


@bp.post("/waitlist")
@roles(*DESK)
def create() -> ResponseReturnValue:
    """Put somebody on the waitlist and lead to it; 422 at the field, 409 with all as typed."""
    branch = branch_of(request.form)
    form = EntryForm()
    if not form.validate():
        return _answer_new(form, branch, 422)
    try:
        entry_id = run_once("waitlist_add", lambda: _add(form, branch))
    except (InvalidError, ConflictError) as error:
        return _answer_new(form, branch, _refuse_form(form, error))
    refresh("bookings-changed")
    if in_panel():
        entry = _require_entry(entry_id)
        body = render_template("waitlist/_added.html", entry=entry, close_url=calendar_url(entry.first_on))
        return push_url(with_notices(body), calendar_url(entry.first_on))
    toast(_("Put on the waitlist."))
    return redirect(url_for("waitlist.index"))


@bp.get("/waitlist/<int:entry_id>")
@roles(*DESK)
def show(entry_id: int) -> ResponseReturnValue:
    """What somebody waits for, to be changed or withdrawn."""
    return _answer_entry(_require_entry(entry_id))


@bp.post("/waitlist/<int:entry_id>")
@roles(*DESK)
def change(entry_id: int) -> ResponseReturnValue:
    """Change what somebody waits for, unless it was changed since ``version``."""
    entry = _require_entry(entry_id)
    form = ChangeForm()
    if not form.validate():
        return _answer_entry(entry, 422, form=form)
    wish = form.wish()
    try:
        run_once(
            "waitlist_change",
            lambda: waitlist.change_entry(entry_id, version=form.version.data or 0, actor=current_actor(), **wish),
        )
    except (InvalidError, ConflictError) as error:
        status = _refuse_form(form, error)
        if error.code in ("changed_meanwhile", "entry_wrong_status"):
            return _answer_entry(_require_entry(entry_id), status, refusal=_explain(error))
        return _answer_entry(entry, status, form=form)
    toast(_("Saved."))
    return redirect(url_for("waitlist.index"))


@bp.post("/waitlist/<int:entry_id>/withdraw")
@roles(*DESK)
def withdraw(entry_id: int) -> ResponseReturnValue:
    """Take somebody off the waitlist, with a ``reason``."""
    entry = _require_entry(entry_id)
    form = WithdrawForm()
    if not form.validate():
        return _answer_entry(entry, 422, withdraw_form=form)
    reason = form.reason.data or ""
    try:
        run_once("waitlist_withdraw", lambda: waitlist.withdraw_entry(entry_id, reason=reason, actor=current_actor()))
    except InvalidError as error:
        errors.add_to_form(form, error)
        return _answer_entry(entry, 422, withdraw_form=form)
    except ConflictError as error:
        return _answer_entry(_require_entry(entry_id), 409, refusal=_explain(error))
    url = url_for("waitlist.put_back", entry_id=entry_id)
    words = _("%(name)s is off the waitlist.", name=entry.customer_name)
    toast(words, undo_url=url, undo_label=_("Undo"), undo_attrs=swap(url, target="#main"))
    return redirect(url_for("waitlist.index"))


@bp.post("/waitlist/<int:entry_id>/put-back")
@roles(*DESK)
def put_back(entry_id: int) -> ResponseReturnValue:
    """Let somebody wait again."""
    entry = _require_entry(entry_id)
    run_once("waitlist_put_back", lambda: waitlist.put_back(entry_id, actor=current_actor()))
    toast(_("%(name)s is on the waitlist again.", name=entry.customer_name))
    return redirect(url_for("waitlist.index"))


@bp.post("/waitlist/<int:entry_id>/hold")
@roles(*DESK)
def hold(entry_id: int) -> ResponseReturnValue:
    """Hold the place at ``starts_at`` with ``staff_id`` for a few minutes, and lead to it; 409 with the fresh list."""
    _require_entry(entry_id)
    form = HoldForm()
    if not form.validate():
        return _answer_list(422, refusal=Refusal(" ".join(form.starts_at.errors + form.staff_id.errors), ()))
    starts_at, staff_id = form.starts_at.data, form.staff_id.data
    try:
        booking_id = run_once(
            "waitlist_hold",
            lambda: bookings.hold_place(entry_id, starts_at=starts_at, staff_id=staff_id, actor=current_actor()),
        )
    except (InvalidError, ConflictError) as error:
        return _answer_list(errors.status_of(error), refusal=_explain(error, starts_at))
    visit = require_visit(booking_id)
    toast(_("Held for %(name)s until %(time)s.", name=visit.customer.full_name, time=filters.time(visit.held_until)))
    if not is_partial():
        return see_other(url_for("bookings.show", booking_id=booking_id))
    refresh("bookings-changed")
    if not in_panel():
        return _answer_list()
    return push_url(answer_visit(visit), calendar_url(visit.visit_on, booking_id))


@bp.get("/waitlist/matches")
@roles(*DESK)
def matches() -> ResponseReturnValue:
    """Who fits between ``starts_at`` and ``ends_at``, with ``staff_id`` or anyone, in the order to ask them."""
    branch = _branch()
    form = PlaceForm(formdata=request.args)
    if not form.validate() or form.ends_at.data <= form.starts_at.data:
        raise InvalidError("place_unknown", N_("That is not a stretch of time."))
    span = Span(form.starts_at.data, min(form.ends_at.data, form.starts_at.data + dt.timedelta(days=1)))
    fits = who_fits(branch.id, [Freed(form.staff_id.data, span)])
    return render(
        "waitlist/matches.html",
        "waitlist/_matches.html",
        title=_("Who waits for this time"),
        span=span,
        fits=fits,
        words=words_for(len(fits)),
        panel=in_panel(),
        close_url=calendar_url(clock.local_date(span.lower, branch.timezone)),
        swap=swap,
    )


@bp.get("/waitlist/count")
@roles(*DESK)
def count() -> ResponseReturnValue:
    """How many of those who wait fit on ``date``, for the calendar's link to the waitlist; empty where nobody does."""
    branch = _branch()
    try:
        day = parse_date(request.args.get("date", ""))
    except ValueError as error:
        raise InvalidError("date_invalid", str(error), field="date") from error
    number = sum(1 for slots in find_times(branch.id, limit=1, on=day).values() if slots)
    return with_notices(render_template("waitlist/_count.html", number=number))


def _branch() -> BranchRef:
    branch = current_branch()
    if branch is None:
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    return branch


def _require_entry(entry_id: int) -> Entry:
    entry = get_entry(entry_id, branch_ids=[branch.id for branch in signed_in().branches])
    if entry is None:
        raise NotFoundError("entry_unknown", N_("There is no such entry on the waitlist."))
    use_branch(entry.branch_id)
    return entry


def _explain(error: DomainError, starts_at: dt.datetime | None = None) -> Refusal:
    return explain(error, starts_at=starts_at or clock.now())


def _refuse_form(form: EntryForm | ChangeForm, error: DomainError) -> int:
    named = form.field_named(error.field)
    if named is not None and named.type != "HiddenIdField":
        named.errors = [*named.errors, errors.translate(error)]
    else:
        form.form_errors = [*form.form_errors, errors.translate(error)]
    return errors.status_of(error)


def _add(form: EntryForm, branch: BranchRef) -> int:
    actor = current_actor()
    customer_id = form.customer_id.data
    if customer_id is None:
        customer_id = customers.create_customer(
            full_name=form.full_name.data or "",
            phone=form.phone.data,
            shares_phone=form.shares_phone.data,
            actor=actor,
        )
    return waitlist.add_entry(branch_id=branch.id, customer_id=customer_id, actor=actor, **form.wish())


def _draw_new(values: "MultiDict[str, str]", *, searched: bool) -> ResponseReturnValue:
    branch = branch_of(values)
    form = EntryForm(formdata=values) if values else EntryForm(formdata=None)
    for field in (*form, *form.services):
        if field is not form.services:
            field.errors = list(field.process_errors)
    found = find_customers(" ".join((form.customer_q.data or "").split()), FOUND) if searched else None
    if found and len(found) == 1 and form.customer_id.data is None:
        form.customer_id.data = found[0].id
    return _answer_new(form, branch, found=found)


def _answer_new(
    form: EntryForm, branch: BranchRef, status: int = 200, *, found: list[FoundCustomer] | None = None
) -> ResponseReturnValue:
    form.branch_id.data = branch.id
    if status == 200:
        form.begin(local_today())
    form.offer(get_choices(branch.id))
    customer = get_visit_customer(form.customer_id.data) if form.customer_id.data else None
    if customer is None:
        form.customer_id.data = None
    return render(
        "waitlist/new.html",
        "waitlist/_new.html",
        status,
        title=_("Put on the waitlist"),
        form=form,
        draft=Draft(form, customer, found, form.seeks_customer),
        panel=in_panel(),
        close_url=calendar_url(form.first_on.data or local_today()),
        post=swap(url_for("waitlist.create")),
        redraw_url=url_for("waitlist.redraw"),
        finder={"for": "waitlist"},
        redraw=redraw_swap(url_for("waitlist.redraw")),
    )


def _answer_entry(
    entry: Entry,
    status: int = 200,
    *,
    form: ChangeForm | None = None,
    withdraw_form: WithdrawForm | None = None,
    refusal: Refusal | None = None,
) -> ResponseReturnValue:
    if form is None:
        form = ChangeForm(formdata=None)
        form.show(entry)
        form.version.data = entry.version
    form.offer(get_choices(entry.branch_id))
    return render(
        "waitlist/show.html",
        "waitlist/_show.html",
        status,
        title=entry.customer_name,
        entry=entry,
        form=form,
        withdraw_form=withdraw_form or WithdrawForm(formdata=None),
        refusal=refusal,
        swap=swap,
    )


def _answer_list(status: int = 200, *, refusal: Refusal | None = None) -> ResponseReturnValue:
    branch = _branch()
    return render(
        "waitlist/index.html",
        "waitlist/_index.html",
        status,
        title=_("Waitlist"),
        entries=list_open(branch.id),
        closed=list_closed(branch.id),
        times=find_times(branch.id),
        refusal=refusal,
        panel=in_panel(),
        close_url=calendar_url(local_today()),
        swap=swap,
    )
