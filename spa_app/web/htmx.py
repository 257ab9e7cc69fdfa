"""Whole pages and partials from the same routes: the one place that knows how HTMX talks."""

import json
from typing import Any

from flask import Flask, Response, flash, g, get_flashed_messages, make_response, render_template, request, session
from flask import redirect as plain_redirect
from markupsafe import escape
from werkzeug.wrappers import Response as BaseResponse

# 204 and 304 mean "leave it as it is". Refusals (4xx) carry the truth to show, so they swap; a 5xx may come from
# a proxy, so it does not: static/js/requests.js says that something went wrong.
CONFIG = {
    "allowEval": False,
    "allowScriptTags": False,
    "includeIndicatorStyles": False,
    # What was swapped in acts at once: somebody who types the moment the focus is there must not be overheard.
    "defaultSettleDelay": 0,
    "historyCacheSize": 0,
    "refreshOnHistoryMiss": True,
    "timeout": 30_000,
    "responseHandling": [
        {"code": "[23]04", "swap": False},
        {"code": "[23]..", "swap": True},
        {"code": "4..", "swap": True, "error": False},
        {"code": "...", "swap": False, "error": True},
    ],
}


# They wait in the session's cookie, which a browser drops from 4 KiB on, and the login with it.
MOST_TOASTS = 3


def init_app(app: Flask) -> None:
    """Give templates the htmx configuration and the waiting toasts, and answers their events."""
    app.jinja_env.globals.update(htmx_config=CONFIG, pending_toasts=_pending_toasts)
    app.after_request(_add_events)


def is_partial() -> bool:
    """Whether this request wants a piece of a page: HTMX asks, and not for a whole page by history or boost."""
    headers = request.headers
    return headers.get("HX-Request") == "true" and not (
        headers.get("HX-History-Restore-Request") == "true" or headers.get("HX-Boosted") == "true"
    )


def render(page: str, partial: str, status: int = 200, **context: Any) -> Response:
    """The whole ``page`` for a plain request, the ``partial`` for an HTMX one, both from the same context.

    A partial for the main pane brings the document's title along (``title`` in the context); toasts and announcements
    that were asked for during the request ride with either.
    """
    if not is_partial():
        return make_response(render_template(page, **context), status)
    body = render_template(partial, **context)
    if request.headers.get("HX-Target") == "main" and context.get("title"):
        body = render_template("_title.html", title=context["title"]) + body
    return with_notices(body, status)


def with_notices(body: str = "", status: int = 200) -> Response:
    """A partial's HTML, followed by the waiting toasts and the announcement as out-of-band swaps."""
    toasts = render_template("_toasts.html").strip()
    if toasts:
        body += f'<div hx-swap-oob="beforeend:#toasts">{toasts}</div>'
    if "announcement" in g:
        # The morph extension keeps the wrapper of any out-of-band swap, so it must not bring the region's id along.
        body += f'<div hx-swap-oob="innerHTML:#announce">{escape(g.announcement)}</div>'
    return make_response(body, status)


def redirect(location: str, *, target: str = "#main") -> BaseResponse:
    """Send the client on after a POST: 303 for a plain one; HTMX fetches ``location`` into ``target``.

    Beside the calendar the address stays that of the calendar.
    """
    if not is_partial():
        return plain_redirect(location, code=303)
    where = {"path": location, "target": target, "swap": "innerHTML scroll:top"}
    if target == "#panel":
        where["push"] = "false"
    return Response(status=204, headers={"HX-Location": json.dumps(where)})


def toast(
    message: str,
    *,
    tone: str = "ok",
    undo_url: str | None = None,
    undo_label: str | None = None,
    undo_fields: dict[str, str] | None = None,
    undo_attrs: dict[str, str] | None = None,
    link_url: str | None = None,
    link_attrs: dict[str, str] | None = None,
) -> None:
    """Show a short message with the next answer to this user: this one, or the page after a redirect.

    ``tone`` is ``ok`` or ``danger``. With ``undo_url`` it offers a form of one button that posts there, with
    ``undo_fields``; ``undo_attrs`` are the form's HTMX attributes. With ``link_url`` it leads there. Of toasts that a
    client never fetches, the newest three are kept.
    """
    flash(
        {  # type: ignore[arg-type]  # any JSON value may be flashed
            "message": str(message),
            "tone": tone,
            "undo_url": undo_url,
            "undo_label": str(undo_label or ""),
            "undo_fields": undo_fields or {},
            "undo_attrs": undo_attrs or {},
            "link_url": link_url,
            "link_attrs": link_attrs or {},
        }
    )
    session["_flashes"] = session["_flashes"][-MOST_TOASTS:]


def announce(message: str) -> None:
    """Have a screen reader say what this partial changed elsewhere on the page (a count, a sum)."""
    g.announcement = str(message)


def refresh(*events: str) -> None:
    """Tell the page what changed: every element with ``hx-trigger="<event> from:body"`` fetches itself anew."""
    g.setdefault("events", {}).update(dict.fromkeys(events, True))


def _pending_toasts() -> list[Any]:
    return list(get_flashed_messages())


def _add_events(response: Response) -> Response:
    if "events" in g and is_partial():
        response.headers["HX-Trigger"] = json.dumps(g.events)
    return response
