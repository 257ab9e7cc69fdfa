"""/calendar: a day of a branch, by therapist, by room or as a list, and the week of one therapist."""

import datetime as dt
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlencode

from babel.dates import format_interval
from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from flask_babel import format_date, ngettext
from flask_babel import gettext as _

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError, WayOut
from spa_app.queries.calendar import By, Day, get_day
from spa_app.queries.calendar_revision import changes_by_time, get_revision
from spa_app.queries.week import DAYS, Week, get_week, monday_of
from spa_app.web.calendar.drawing import ONE_DAY, ONE_WEEK, Asked, draw
from spa_app.web.calendar.present import flag_words, new_visit_url, summary
from spa_app.web.calendar.unchanged import note_unchanged
from spa_app.web.errors import register_way_out
from spa_app.web.htmx import announce, render
from spa_app.web.i18n import current_locale
from spa_app.web.navigation import DESK, EVERYONE
from spa_app.web.security import current_branch, local_today, roles, signed_in, use_branch

bp = Blueprint("calendar", __name__)
register_way_out("calendar", "calendar.day")

EARLIEST, LATEST = dt.date(2000, 1, 1), dt.date(2100, 12, 31)
VIEWS = ("day", "week", "list")
OF_THE_DAY = {"block": "/blocks", "absence": "/affected"}  # forms in the panel that are about the calendar's date
PANEL_FIELDS = ("starts_at", "staff_id", "resource_id", "service_id", "minutes", "customer_id")
NOBODY = -1  # a therapist's login without a therapist behind it: an empty calendar


@bp.get("/calendar")
@roles(*EVERYONE)
def day() -> ResponseReturnValue:
    """The calendar: ``date``, ``view`` (day, week, list), ``by`` (therapist, room), ``branch``; 422 for no date.

    In the week, ``staff_id`` says whose; a therapist's own otherwise.

    ``booking``, or ``new`` (``walk-in``, ``block``, ``absence`` for those forms) with ``starts_at`` and the like, says
    what is in the side panel.
    """
    return _answer(asked_for(), "calendar/_main.html")


@bp.get("/calendar/grid")
@roles(*EVERYONE)
def grid() -> ResponseReturnValue:
    """What changes within the page: 204 while ``revision`` is still the day's, else the fresh grid or list."""
    asked = asked_for()
    known = request.args.get("revision")
    if known and known == _revision(asked):
        # Without a date, midnight is news; the end of a hold is, too.
        if request.args.get("date") and not changes_by_time(**_shown_in(asked)):
            note_unchanged(signed_in().snapshot)
        return Response(status=204)
    return _answer(asked, "calendar/_changed.html", changed="revision" in request.args)


def _revision(asked: Asked) -> str | None:
    if asked.view == "week" and asked.staff_id is None:
        return None
    return get_revision(**_shown_in(asked), snapshot=signed_in().snapshot)


def _shown_in(asked: Asked) -> dict[str, Any]:
    """What the revision is of."""
    shown = {"branch_id": asked.branch.id, "date": asked.date, "timezone": asked.branch.timezone}
    if asked.view == "week":
        shown |= {"date": monday_of(asked.date), "days": DAYS, "only_staff_id": asked.staff_id}
    return shown


def _answer(asked: Asked, partial: str, *, changed: bool = False) -> Response:
    user = signed_in()
    own = user.role == "therapist"
    shown: Day | Week
    if asked.view == "week":
        shown = get_week(asked.branch.id, asked.date, asked.staff_id, snapshot=user.snapshot)
        if shown.staff is None and asked.staff_id is not None and not own:
            raise NotFoundError("staff_unknown", N_("There is no such therapist in your branches."))
        asked = replace(asked, staff_id=shown.staff.id if shown.staff else asked.staff_id)
    else:
        shown = get_day(
            asked.branch.id,
            asked.date,
            asked.by,
            only_staff_id=(user.staff_id or NOBODY) if own else None,
            with_given_up=asked.view == "list",
            snapshot=user.snapshot,
        )
    counts = summary(shown.blocks)
    if changed:
        announce(ngettext("Calendar updated: %(num)s visit", "Calendar updated: %(num)s visits", counts["visits"]))
    now = clock.now()
    can_book = user.role in DESK
    days = shown.days if isinstance(shown, Week) else (shown,)
    new_url = new_visit_url(days, asked.date, today=local_today(), extra=asked.booking_here)
    dates, heading = _dates(asked)
    return render(
        "calendar/page.html",
        partial,
        title=f"{_('Calendar')}, {dates}",
        heading=heading,
        drawn=draw(shown, asked, now=now, can_book=can_book, can_choose=not own, new_url=new_url),
        asked=asked,
        day=shown,
        now=now,
        today=local_today(),
        shows_today=local_today() in [one.date for one in days],
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
    view = args.get("view") if args.get("view") in VIEWS else VIEWS[0]
    return Asked(_date(args.get("date")), str(view), cast(By, by), branch, extra, _therapist(str(view)))


def _therapist(view: str) -> int | None:
    """Whose week it is: a therapist's own, else the one whom the address names."""
    user = signed_in()
    if view != "week":
        return None
    if user.role == "therapist":
        return user.staff_id or NOBODY
    named = request.args.get("staff_id")
    return _whole(named) if named else None


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


def _dates(asked: Asked) -> tuple[str, str]:
    """The days on show in few words and in more."""
    if asked.view != "week":
        return format_date(asked.date, "medium"), format_date(asked.date, "full")
    monday = monday_of(asked.date)
    words = format_interval(monday, monday + ONE_WEEK - ONE_DAY, "yMMMd", locale=current_locale())
    return words, words


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
