"""/affected: the visits that an absence falls upon, who could take them over, and the form that does it."""

import datetime as dt

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import ngettext

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut
from spa_app.queries.roster import get_owner
from spa_app.services import bookings
from spa_app.services.availability import Span
from spa_app.services.blocks import REASON_LENGTH
from spa_app.services.bookings import AffectedList, Mark
from spa_app.services.scheduling_facts import Absence
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.affected.forms import AffectedForm, StretchForm, read_choices
from spa_app.web.bookings.forms import parse_id
from spa_app.web.bookings.place import affected_url, beside, calendar_url, in_panel, see_other, swap
from spa_app.web.htmx import is_partial, refresh, render, toast
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, local_timezone, local_today, roles, use_branch
from spa_app.web.times import parse_date

bp = Blueprint("affected", __name__)
errors.register_way_out("blocked_times", "blocks.index")


@bp.get("/affected")
@roles(*DESK)
def index() -> ResponseReturnValue:
    """Who is affected when ``staff_id`` or ``resource_id`` is away ``from`` … ``to``; else on ``date``, from now on.

    ``kind`` and ``reason`` are filled in.
    """
    name = _owner()
    form = _form_of_address()
    if any(field.errors for field in form):
        return _answer(name, form, None, 422)
    return _look(name, form)


@bp.post("/affected")
@roles(*DESK)
def apply() -> ResponseReturnValue:
    """Give each ``item-<id>`` to whom it names, all or none; ``mark`` also marks the absence (``kind``, ``reason``).

    409 with the fresh list where it is no longer true, with nothing stored.
    """
    name = _owner()
    form = AffectedForm()
    form.offer_kinds(is_room=form.resource_id.data is not None)
    if not form.validate():
        return _look(name, form, 422)
    absence = _absence(form)
    try:
        chosen = read_choices(request.form)
        mark = Mark(form.kind.data, form.reason.data or "") if form.mark.data else None
        moved = run_once(
            "apply_substitutes",
            lambda: bookings.apply_substitutes(absence, chosen, mark=mark, actor=current_actor()),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        if is_partial():
            refresh("bookings-changed")
        return _look(name, form, errors.status_of(error))
    toast(_done(moved, name, form, marked=mark is not None))
    if not is_partial():
        return see_other(_url(form))
    refresh("bookings-changed")
    return _look(name, _begun(form.staff_id.data, form.resource_id.data, form.starts_at.data, form.ends_at.data))


def _done(moved: int, name: str, form: AffectedForm, *, marked: bool) -> str:
    words = [_("%(name)s: marked in the calendar.", name=name)] if marked else []
    if moved and form.resource_id.data:
        words.append(ngettext("%(num)s visit has another room now.", "%(num)s visits have another room now.", moved))
    elif moved:
        words.append(ngettext("%(num)s visit has been taken over.", "%(num)s visits have been taken over.", moved))
    return " ".join(words)


def _owner() -> str:
    """The name of who is absent; the request is about their branch from here on, time zone included."""
    staff_id, resource_id = (_id(name) for name in ("staff_id", "resource_id"))
    if (staff_id is None) == (resource_id is None):
        raise InvalidError(
            "nothing_to_block",
            N_("Choose a therapist or a room."),
            ways_out=(WayOut("blocked_times", N_("Block time")),),
        )
    owner = get_owner(staff_id=staff_id, resource_id=resource_id)
    if owner is None:
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    use_branch(owner[0])
    return owner[1]


def _id(name: str) -> int | None:
    try:
        return parse_id(request.values.get(name, ""))
    except ValueError as error:
        raise InvalidError("choice_unreadable", N_("Not a valid choice.")) from error


def _form_of_address() -> AffectedForm:
    """The form for what the address says; times that it does not give are those of the day, from this minute on."""
    given = StretchForm(formdata=request.args)
    date = local_today()
    if request.args.get("date"):
        try:
            date = parse_date(request.args["date"])
        except ValueError as error:
            raise InvalidError("date_invalid", str(error), field="date") from error
    begins, ends = clock.day_bounds(date, local_timezone())
    now = clock.now().replace(second=0, microsecond=0)
    form = _begun(
        given.staff_id.data,
        given.resource_id.data,
        given.starts_at.data or (max(begins, now) if now < ends else begins),
        given.ends_at.data or ends,
    )
    # What was meant to be marked, where leave was refused because of these visits
    if request.args.get("kind") in {choice.value for choice in form.kind.choices}:
        form.kind.data = request.args["kind"]
    form.reason.data = request.args.get("reason", "")[:REASON_LENGTH]
    for field, typed in ((form.starts_at, given.starts_at), (form.ends_at, given.ends_at)):
        if typed.process_errors:
            field.errors, field.raw_data = list(typed.process_errors), typed.raw_data
    return form


def _begun(staff_id: int | None, resource_id: int | None, starts_at: dt.datetime, ends_at: dt.datetime) -> AffectedForm:
    form = AffectedForm(formdata=None)
    form.staff_id.data, form.resource_id.data = staff_id, resource_id
    form.starts_at.data, form.ends_at.data = starts_at, ends_at
    form.offer_kinds(is_room=resource_id is not None)
    return form


def _absence(form: StretchForm) -> Absence:
    return Absence(
        Span(form.starts_at.data, form.ends_at.data), staff_id=form.staff_id.data, resource_id=form.resource_id.data
    )


def _url(form: StretchForm) -> str:
    return affected_url(
        staff_id=form.staff_id.data,
        resource_id=form.resource_id.data,
        starts_at=form.starts_at.data,
        ends_at=form.ends_at.data,
    )


def _look(name: str, form: AffectedForm, status: int = 200) -> Response:
    """The list as it is now; none where the times are none."""
    found = None
    if form.starts_at.data and form.ends_at.data:
        try:
            found = bookings.find_affected(_absence(form), actor=current_actor())
        except InvalidError as error:
            if status == 200:
                errors.add_to_form(form, error)
                status = 422
    return _answer(name, form, found, status)


def _answer(name: str, form: AffectedForm, found: AffectedList | None, status: int) -> Response:
    date = clock.local_date(form.starts_at.data, local_timezone()) if form.starts_at.data else local_today()
    return render(
        "affected/page.html",
        "affected/_index.html",
        status,
        title=_("Affected visits"),
        name=name,
        form=form,
        is_room=form.resource_id.data is not None,
        found=found,
        panel=in_panel(),
        close_url=calendar_url(date),
        swap=swap,
        beside=beside,
    )
