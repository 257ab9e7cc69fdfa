"""Booking a visit: the form, its redrawing while it is filled in, and the booking itself."""

import re

from flask import make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from spa_app import clock
from spa_app.errors import ConflictError, DomainError, InvalidError
from spa_app.queries.bookings import Visit, get_customer_name
from spa_app.queries.customers import find_survivor
from spa_app.queries.users import BranchRef
from spa_app.services import bookings, customers
from spa_app.services.availability import Span
from spa_app.services.bookings import Guest, ItemRequest
from spa_app.services.bookings.booking import MOST_ITEMS
from spa_app.services.bookings.party import MOST_GUESTS
from spa_app.services.matching import Freed, find_matches
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.bookings import bp
from spa_app.web.bookings.draft import Draft, GuestDraft, has_stale_card, prepare, search, settle_cards
from spa_app.web.bookings.forms import BookingForm, GuestForm, numbered_anew, parse_id
from spa_app.web.bookings.place import beside, calendar_url, in_panel, push_url, redraw_swap, see_other, swap
from spa_app.web.bookings.refusals import explain
from spa_app.web.bookings.routes import answer_visit, require_visit
from spa_app.web.htmx import is_partial, refresh, render, toast
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, current_branch, local_timezone, roles, use_branch
from spa_app.web.times import STEP, next_quarter
from spa_app.web.waitlist.fitting import address_of, words_for

__all__ = ["bp"]  # with all its routes: this module stands on routes.py

# The buttons that have the form drawn anew: whose, what, and which item.
_BUTTON = re.compile(
    r"(guests-\d{1,2}-|)(find|forget-customer|share-phone|add-item|add-guest|remove-guest|remove|pay)(?:-(\d{1,2}))?",
    re.ASCII,
)
ITEM_ARGS = ("service_id", "staff_id", "resource_id", "treatment_id")


@bp.get("/bookings/new")
@roles(*DESK)
def new() -> ResponseReturnValue:
    """The empty form, or one begun with ``customer_id, starts_at, service_id, staff_id, resource_id``.

    ``minutes``: how long the free time is that was chosen for it; the service that takes just so long is proposed.
    """
    values = MultiDict(
        (f"items-0-{name}" if name in ITEM_ARGS else name, value)
        for name, value in request.args.items(multi=True)
        if value.strip()
    )
    branch = branch_of(values)
    form = BookingForm(formdata=numbered_anew(values)) if values else BookingForm(formdata=None)
    if form.customer_id.data and (survivor_id := find_survivor(form.customer_id.data)):
        form.customer_id.data = survivor_id  # an old link still leads to somebody
    malformed = form.show_unreadable()
    if form.starts_at.data is None and "starts_at" not in values:
        form.starts_at.change(next_quarter(clock.now()))
    found = {"": search(form)} if form.customer_q.data else None
    text = values.get("minutes", "")
    minutes = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else None
    draft = prepare(form, branch.id, redo=True, found=found, minutes=minutes)
    if form.starts_at.data and "starts_at" in values and draft.unnamed == "":
        draft.waiting = _waiting(form, branch)
    return _render(draft, 422 if malformed else 200)


@bp.post("/bookings/form")
@roles(*DESK)
def redraw() -> ResponseReturnValue:
    """The form as typed, after a change: nothing is stored. ``do`` names the button that was pressed, if any."""
    values = numbered_anew(request.form)
    do, slot = values.get("do", ""), values.get("slot", "")
    pressed = _BUTTON.fullmatch(do)
    prefix, button, number = pressed.groups(default="") if pressed else ("", "", "")
    if button == "add-guest":
        _add_guest(values)
    if button == "remove-guest":
        values = numbered_anew(MultiDict(pair for pair in values.items(multi=True) if not pair[0].startswith(prefix)))
    if button == "forget-customer":
        values.setlist(f"{prefix}customer_id", [])
    if button == "add-item":
        count = len({name for name in values if name.startswith(f"{prefix}items-") and name.endswith("-service_id")})
        if count < MOST_ITEMS:
            values.add(f"{prefix}items-{count}-service_id", "")
    if button == "remove":
        gone = f"{prefix}items-{number}-"
        values = numbered_anew(MultiDict(pair for pair in values.items(multi=True) if not pair[0].startswith(gone)))
    if button == "pay":
        values.setlist(f"{prefix}items-{number}-treatment_id", [""])
    if slot:
        values.setlist("starts_at", [slot])
    branch = branch_of(values)
    form = BookingForm(formdata=values)
    form.show_unreadable()
    guest = dict(form.everybody).get(prefix)
    found = None
    if guest is not None and button == "share-phone":
        guest.shares_phone.data = True
    if guest is not None and button == "find":
        found = {prefix: search(guest)}
    return _render(prepare(form, branch.id, redo=True, found=found, pressed=do))


def _add_guest(values: "MultiDict[str, str]") -> None:
    """Somebody else comes along: mostly for the same as the first."""
    count = len({name.split("-")[1] for name in values if name.startswith("guests-")})
    if count + 1 >= MOST_GUESTS:
        return
    services = [(name, value) for name, value in values.items() if re.fullmatch(r"items-\d+-service_id", name)]
    for name, value in services or [("items-0-service_id", "")]:
        values.add(f"guests-{count}-{name}", value)


@bp.get("/bookings/customers")
@roles(*DESK)
def find() -> ResponseReturnValue:
    """The customers whom ``customer_q`` names, as buttons of the booking form; a plain client gets that whole."""
    prefix = request.args.get("guest", "")
    prefix = prefix if re.fullmatch(r"guests-\d{1,2}-", prefix, re.ASCII) else ""
    q = request.args.get(f"{prefix}customer_q", "")[:100]
    if not is_partial():
        return redirect(url_for("bookings.new", customer_q=q))
    form = GuestForm(formdata=None, prefix=prefix)
    form.customer_q.data = q
    found = search(form, choose=False) if q.strip() else None
    place = "#panel" if request.args.get("place") == "panel" else "#main"
    redraws = {"waitlist": "waitlist.redraw", "sale": "sales.redraw"}
    redraw_url = url_for(redraws.get(request.args.get("for", ""), "bookings.redraw"))
    return make_response(
        render_template(
            "bookings/_found.html",
            guest=GuestDraft(prefix, form, None, [], found),
            redraw_url=redraw_url,
            redraw=redraw_swap(redraw_url, target=place),
        )
    )


@bp.post("/bookings")
@roles(*DESK)
def create() -> ResponseReturnValue:
    """Book the visit: 303 to it, or its panel. 422 at the field, or 409 with the next free times and all as typed."""
    branch = branch_of(request.form)
    form = BookingForm(formdata=numbered_anew(request.form))
    if has_stale_card(form):
        settle_cards(form, branch.id, redo=False)
    if not form.validate():
        return _render(prepare(form, branch.id, redo=False), 422)
    try:
        # What the form offers, free times among it, is looked up only where it has to be drawn again.
        booking_id = run_once("book", lambda: _book(form, branch))
    except (InvalidError, ConflictError) as error:
        return _refuse(form, branch, error)
    if not is_partial():
        # The page that a plain client goes on to reads the visit.
        toast(_("%(name)s is booked.", name=get_customer_name(booking_id)))
        return see_other(url_for("bookings.show", booking_id=booking_id))
    visit = require_visit(booking_id)
    _tell(visit)
    refresh("bookings-changed")
    url = calendar_url(visit.visit_on, booking_id) if in_panel() else url_for("bookings.show", booking_id=booking_id)
    return push_url(answer_visit(visit), url)


def _waiting(form: BookingForm, branch: BranchRef) -> tuple[str, str] | None:
    """How many wait for the free time that was chosen, and the page that says who."""
    starts_at, staff_id = form.starts_at.data, form.items[0].form.staff_id.data
    ends_at = starts_at + STEP
    count = len(find_matches(branch.id, [Freed(staff_id, Span(starts_at, ends_at))]))
    return (words_for(count), address_of(starts_at, ends_at, staff_id)) if count else None


def _tell(visit: Visit) -> None:
    """Say that it is booked, with an undo where cancelling would cost the customer nothing."""
    words = _("%(name)s is booked.", name=", ".join([visit.customer.full_name, *visit.with_names]))
    if visit.taken_if_cancelled.kind != "none":
        toast(words)
        return
    url = url_for("bookings.cancel", booking_id=visit.id)
    fields = {"reason": _("Booked by mistake"), **({"together": "y"} if visit.mates else {})}
    toast(words, undo_url=url, undo_label=_("Undo"), undo_fields=fields, undo_attrs=swap(url))


def _book(form: BookingForm, branch: BranchRef) -> int:
    actor = current_actor()
    guests = [Guest(_customer(prefix, guest), _items(guest)) for prefix, guest in form.everybody]
    if len(guests) > 1:
        return bookings.book_party(
            guests,
            branch_id=branch.id,
            starts_at=form.starts_at.data,
            actor=actor,
            note=form.note.data or "",
            tentative=form.tentative.data,
            override_hours=form.override_hours.data,
        )[0]
    return bookings.book(
        customer_id=guests[0].customer_id,
        branch_id=branch.id,
        starts_at=form.starts_at.data,
        items=guests[0].items,
        actor=actor,
        note=form.note.data or "",
        tentative=form.tentative.data,
        override_hours=form.override_hours.data,
    )


def _customer(prefix: str, form: GuestForm) -> int:
    """Who it is; added now where the form says so. Raises what adding raises, at the guest's field."""
    if form.customer_id.data is not None:
        return int(form.customer_id.data)
    try:
        return customers.create_customer(
            full_name=form.full_name.data or "",
            phone=form.phone.data,
            shares_phone=form.shares_phone.data,
            actor=current_actor(),
        )
    except DomainError as error:
        error.field = f"{prefix}{error.field}" if error.field else None
        raise


def _items(form: GuestForm) -> list[ItemRequest]:
    return [
        ItemRequest(
            service_id=entry.form.service_id.data,
            staff_id=entry.form.staff_id.data,
            resource_id=entry.form.resource_id.data,
            treatment_id=entry.form.treatment_id.data,
        )
        for entry in form.items
    ]


def _refuse(form: BookingForm, branch: BranchRef, error: DomainError) -> ResponseReturnValue:
    draft = prepare(form, branch.id, redo=False)
    draft.refusal = explain(error, starts_at=form.starts_at.data, form=True)
    named = form.field_named(error.field)
    if named is not None:
        named.errors = [*named.errors, draft.refusal.message]
    return _render(draft, errors.status_of(error))


def _render(draft: Draft, status: int = 200) -> ResponseReturnValue:
    date = clock.local_date(draft.form.starts_at.data or clock.now(), local_timezone())
    return render(
        "bookings/new.html",
        "bookings/_new.html",
        status,
        title=_("New visit"),
        draft=draft,
        form=draft.form,
        panel=in_panel(),
        is_manager=current_actor().is_manager,
        close_url=calendar_url(date),
        beside=beside,
        post=swap(url_for("bookings.create")),
        redraw_url=url_for("bookings.redraw"),
        finder={},
        redraw=redraw_swap(url_for("bookings.redraw")),
    )


def branch_of(values: "MultiDict[str, str]") -> BranchRef:
    """The branch that the form names, else the user's present one; this request is about it from here on."""
    try:
        wanted = parse_id(values.get("branch_id", ""))
    except ValueError:
        wanted = -1
    present = current_branch()
    return use_branch(wanted or (present.id if present else -1))
