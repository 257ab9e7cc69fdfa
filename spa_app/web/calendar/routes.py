"""/calendar: a day of a branch, by therapist, by room or as a list."""

import datetime as dt
from typing import Any, cast
from urllib.parse import urlencode

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from flask_babel import format_date, ngettext
from flask_babel import gettext as _

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError, WayOut
from spa_app.queries.calendar import By, get_day, get_revision
from spa_app.web.calendar.drawing import ONE_DAY, Asked, draw
from spa_app.web.calendar.present import flag_words, new_visit_url, summary
from spa_app.web.calendar.unchanged import note_unchanged
from spa_app.web.errors import register_way_out
from spa_app.web.htmx import announce, render
from spa_app.web.navigation import DESK, EVERYONE
from spa_app.web.security import current_branch, local_today, roles, signed_in, use_branch

bp = Blueprint("calendar", __name__)
register_way_out("calendar", "calendar.day")

EARLIEST, LATEST = dt.date(2000, 1, 1), dt.date(2100, 12, 31)
OF_THE_DAY = {"block": "/blocks", "absence": "/affected"}  # forms in the panel that are about the calendar's date
PANEL_FIELDS = ("starts_at", "staff_id", "resource_id", "service_id", "minutes", "customer_id")
NOBODY = -1  # a therapist's login without a therapist behind it: an empty calendar


@bp.get("/calendar")
@roles(*EVERYONE)
def day() -> ResponseReturnValue:
    """The calendar: ``date``, ``view`` (day, list), ``by`` (therapist, room), ``branch``; 422 for a date that is none.

    ``booking``, or ``new`` (``walk-in``, ``block``, ``absence`` for those forms) with ``starts_at`` and the like, says
    what is in the side panel.
    """
    return _answer(asked_for(), "calendar/_main.html")


@bp.get("/calendar/grid")
@roles(*EVERYONE)
def grid() -> ResponseReturnValue:
    """What changes within the page: 204 while ``revision`` is still the day's, else the fresh grid or list."""
    asked = asked_for()
    branch = asked.branch
    snapshot = signed_in().snapshot
    revision = get_revision(branch.id, asked.date, timezone=branch.timezone, snapshot=snapshot)
    if request.args.get("revision") == revision:
        if request.args.get("date"):  # without one, midnight is news
            note_unchanged(snapshot)
        return Response(status=204)
    return _answer(asked, "calendar/_changed.html", changed="revision" in request.args)


def _answer(asked: Asked, partial: str, *, changed: bool = False) -> Response:
    user = signed_in()
    own = user.role == "therapist"
    shown = get_day(
        asked.branch.id,
        asked.date,
        asked.by,
        only_staff_id=(user.staff_id or NOBODY) if own else None,
        with_given_up=asked.view == "list",
        snapshot=user.snapshot,
    )
    counts = summary(shown)
    if changed:
        announce(ngettext("Calendar updated: %(num)s visit", "Calendar updated: %(num)s visits", counts["visits"]))
    now = clock.now()
    can_book = user.role in DESK
    new_url = new_visit_url(shown, today=local_today(), extra=asked.booking)
    return render(
        "calendar/page.html",
        partial,
        title=f"{_('Calendar')}, {format_date(asked.date, 'medium')}",
        drawn=draw(shown, asked, now=now, can_book=can_book, can_choose=not own, new_url=new_url),
        asked=asked,
        day=shown,
        now=now,
        today=local_today(),
        one_day=ONE_DAY,
        new_url=new_url,
        can_book=can_book,
        can_choose=not own,
        counts=counts,
        earliest=EARLIEST,
        latest=LATEST,
        legend=flag_words(),
        panel_url=_panel_url(asked),
    )


def asked_for() -> Asked:
    args = request.args
    extra = {}
    branch = current_branch()
    if args.get("branch"):
        branch = use_branch(_whole(args["branch"]))
        extra["branch"] = str(branch.id)
    if branch is None:
        raise NotFoundError("no_branch", N_("You work in no branch yet. Ask a manager to add you to one."))
    by = "room" if args.get("by") == "room" and signed_in().role != "therapist" else "therapist"
    # The views to come (week) and misspelt ones show the day.
    view = "list" if args.get("view") == "list" else "day"
    return Asked(_date(args.get("date")), view, cast(By, by), branch, extra)


def _date(text: str | None) -> dt.date:
    if not text:
        return local_today()
    try:
        date = dt.datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no time zone
    except ValueError:
        date = dt.date.min
    if not EARLIEST <= date <= LATEST:
        raise InvalidError(
            "date_invalid",
            N_("That is not a date that the calendar can show: write it as in 2026-11-23."),
            field="date",
            ways_out=(WayOut("calendar", N_("Go to today")),),
        )
    return date


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


def _panel_url(asked: Asked) -> str | None:
    """What the side panel loads, when the address of the page says so."""
    args = request.args
    if args.get("booking"):
        booking_id = _whole(args["booking"])
        return f"/bookings/{booking_id}" if booking_id > 0 else None
    if args.get("new"):
        said: dict[str, Any] = {name: args[name] for name in PANEL_FIELDS if args.get(name)}
        if args["new"] in OF_THE_DAY:
            return f"{OF_THE_DAY[args['new']]}?{urlencode({**said, 'date': asked.date.isoformat()})}"
        place = "/walk-ins/new" if args["new"] == "walk-in" else "/bookings/new"
        return f"{place}?{urlencode({**asked.booking, **said})}"
    return None
