"""The free times: for programs, on a page of their own, and further ones for the booking form."""

from flask import Response, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import format_date
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from spa_app import clock
from spa_app.queries.booking_form import get_choices
from spa_app.services.scheduling import Slot, find_slots
from spa_app.services.scheduling_needs import Wish
from spa_app.web.bookings import bp
from spa_app.web.bookings.draft import SLOTS, later_url
from spa_app.web.bookings.forms import SlotsForm, numbered_anew
from spa_app.web.bookings.new import branch_of
from spa_app.web.bookings.place import redraw_swap
from spa_app.web.htmx import announce, render
from spa_app.web.navigation import DESK
from spa_app.web.security import local_today, roles
from spa_app.web.times import format_local

WISH = ("service_id", "staff_id", "resource_id")


@bp.get("/slots")
@roles(*DESK)
def slots() -> ResponseReturnValue:
    """The next free times from ``date`` on (today: from now on), as page, partial or JSON.

    ``service_id`` (repeated: one after the other; ``staff_id`` then for each in turn, or one for all), or the items of
    the booking form (``items-<n>-service_id``, ``-staff_id``, ``-resource_id``). ``customer_id``: whose preferred
    therapist comes first.
    """
    values = _numbered(request.args)
    branch = branch_of(values)
    form = SlotsForm(formdata=values) if values else SlotsForm(formdata=None)
    valid = bool(values) and form.validate()
    found: list[Slot] = []
    if valid:
        since = max(clock.day_bounds(form.date.data or local_today(), branch.timezone)[0], clock.now())
        wishes = [Wish(**{name: entry.form[name].data for name in WISH}) for entry in form.items]
        found = find_slots(wishes, branch_id=branch.id, since=since, limit=SLOTS, customer_id=form.customer_id.data)
    status = 422 if values and not valid else 200
    if request.accept_mimetypes.best == "application/json":
        return _as_json(form, found, branch.timezone), status
    if request.headers.get("HX-Target") == "slots" and valid:
        place = "#panel" if values.get("place") == "panel" else "#main"
        day = format_date(found[0].starts_at if found else form.date.data, "EEE d MMM")
        announce(_("Free times from %(date)s on", date=day))
        return render(
            "bookings/slots.html",
            "bookings/_free_times.html",
            free_times=found,
            chosen="",
            shown="",
            names_staff=form.items[0].form.staff_id.data is None,
            redraw=redraw_swap(url_for("bookings.redraw"), target=place),
            later=later_url(form.items, found, branch.id, form.customer_id.data, place=place[1:]),
        )
    choices = get_choices(branch.id)
    for entry in form.items:
        item = entry.form
        item.service_id.offer([(one.id, one.name) for one in choices.services], none=_("Choose a service"))
        able = choices.staff_for(item.service_id.data)
        item.staff_id.offer([(one.id, one.full_name) for one in able], none=_("Anyone"))
    form.date.data = form.date.data or local_today()
    return render(
        "bookings/slots.html",
        "bookings/_slots.html",
        status,
        title=_("Free times"),
        form=form,
        found=found,
        asked=valid,
        wanted={name: value for name, value in values.items() if value and name not in ("date", "place")},
    )


def _numbered(args: "MultiDict[str, str]") -> "MultiDict[str, str]":
    """What is asked for, under the names of the booking form."""
    values = MultiDict(pair for pair in args.items(multi=True) if pair[0] not in WISH)
    services = args.getlist("service_id")
    for number, service_id in enumerate(services):
        values.add(f"items-{number}-service_id", service_id)
        for name in WISH[1:]:
            named = args.getlist(name)
            if len(named) == 1 or number < len(named):
                values.add(f"items-{number}-{name}", named[0] if len(named) == 1 else named[number])
    return numbered_anew(values)


def _as_json(form: SlotsForm, found: list[Slot], timezone: str) -> Response:
    return jsonify(
        slots=[
            {
                "starts_at": format_local(slot.starts_at, timezone),
                "staff_id": slot.staff_id,
                "staff_name": slot.staff_name,
                "items": [
                    {"service_id": entry.form.service_id.data, "staff_id": staff_id, "staff_name": name}
                    for entry, (staff_id, name) in zip(form.items, slot.staff, strict=True)
                ],
            }
            for slot in found
        ],
        errors=form.errors,
    )
