"""Where on the screen a visit stands: beside the calendar in the side panel, or in the main pane of its own page."""

import datetime as dt
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import Response, request, url_for
from flask import redirect as plain_redirect
from werkzeug.wrappers import Response as BaseResponse

from spa_app.web.htmx import is_partial
from spa_app.web.security import local_timezone
from spa_app.web.times import format_local

CALENDAR = "/calendar"
# What the address of the calendar says about its panel; all else is about the calendar itself.
PANEL_ARGS = ("booking", "new", "customer_id", "starts_at", "staff_id", "resource_id", "service_id", "minutes")


def in_panel() -> bool:
    """Whether the answer goes into the side panel."""
    return is_partial() and request.headers.get("HX-Target") == "panel"


def swap(url: str, *, target: str | None = None) -> dict[str, str]:
    """The HTMX attributes of a form that posts to ``url`` and is answered in the place where it stands."""
    target = target or ("#panel" if in_panel() else "#main")
    return {"hx-post": url, "hx-target": target, "hx-swap": "innerHTML scroll:top", "hx-sync": "this:replace"}


def redraw_swap(url: str, *, target: str | None = None) -> dict[str, str]:
    """The HTMX attributes of what has the booking form drawn anew: of several such requests the last one counts."""
    return {**swap(url, target=target), "hx-swap": "innerHTML", "hx-sync": "closest form:replace"}


def beside(url: str) -> dict[str, str]:
    """The HTMX attributes of a link whose page opens in the side panel, too; none where there is no panel."""
    return {"hx-get": url, "hx-target": "#panel"} if in_panel() else {}


def calendar_url(date: dt.date, booking_id: int | None = None) -> str:
    """The calendar as the user has it beside the panel, else on ``date``; with a visit in its panel, or none."""
    parts = urlsplit(request.headers.get("HX-Current-URL", ""))
    shown = parse_qsl(parts.query) if parts.path == CALENDAR else []
    # In the week of a therapist, whose it is belongs to the calendar.
    own = {"staff_id"} if ("view", "week") in shown else set()
    kept = [pair for pair in shown if pair[0] not in PANEL_ARGS or pair[0] in own]
    if "date" not in dict(kept):
        kept.append(("date", date.isoformat()))
    if booking_id is not None:
        kept.append(("booking", str(booking_id)))
    return f"{CALENDAR}?{urlencode(kept)}"


def affected_url(
    *, starts_at: dt.datetime, ends_at: dt.datetime, staff_id: int | None = None, resource_id: int | None = None
) -> str:
    """The visits that fall into an absence of a therapist, or of a room, with who could take them over."""
    timezone = local_timezone()
    stretch: dict[str, Any] = {"from": format_local(starts_at, timezone), "to": format_local(ends_at, timezone)}
    return url_for("affected.index", staff_id=staff_id, resource_id=resource_id, **stretch)


def push_url(response: Response, url: str) -> Response:
    """Have the address bar say what the place now shows."""
    response.headers["HX-Push-Url"] = url
    return response


def see_other(url: str) -> BaseResponse:
    """A plain client's answer to a form: go and look."""
    return plain_redirect(url, code=303)
