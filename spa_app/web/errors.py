"""Refusals and failures as pages: what happened, that nothing was lost, and what to do next."""

from dataclasses import dataclass, field
from typing import Any

from flask import Flask, g, make_response, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import current_user
from flask_wtf import FlaskForm
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.routing import BuildError

from spa_app.errors import N_, ConflictError, DomainError, InvalidError, NotAllowedError, NotFoundError, WayOut
from spa_app.extensions import db, login_manager
from spa_app.web.filters import say
from spa_app.web.htmx import is_partial, toast, with_notices

STATUS: tuple[tuple[type[DomainError], int], ...] = (
    (InvalidError, 422),
    (ConflictError, 409),
    (NotAllowedError, 403),
    (NotFoundError, 404),
)
# status → title, text. Each says what happened and what to do next; none leaves a doubt about what was stored.
PAGES = {
    400: (N_("This request could not be read"), N_("Nothing was saved. Go back, reload the page and try again.")),
    403: (N_("This is not open to you"), N_("Your role does not cover this page. Ask a manager if you need it.")),
    404: (
        N_("There is nothing here"),
        N_("The page may have moved, or it belongs to another branch. Nothing was changed."),
    ),
    405: (N_("This address only takes forms"), N_("Nothing was changed. Go back and use the button on the page.")),
    409: (N_("It has changed meanwhile"), N_("Nothing was saved. Look at how it stands now, then decide again.")),
    413: (N_("That is too large"), N_("Nothing was saved. Send a smaller file, or a shorter text.")),
    422: (N_("Something is not right yet"), N_("Nothing was saved. Go back and correct what is marked.")),
    429: (N_("Too many attempts"), N_("For safety we wait a minute. Nothing was lost; then try again.")),
    500: (
        N_("Something went wrong on our side"),
        N_("Nothing was half saved: each action is stored as a whole or not at all. Please try again."),
    ),
    503: (
        N_("The database does not answer at this moment"),
        N_("Nothing was half saved. Wait a little, then do the same again: nothing is done twice."),
    ),
}
CSRF_PAGE = (
    N_("This page was open for too long"),
    N_("Nothing was saved. Open the page again (log in if asked) and repeat what you did."),
)


@dataclass(frozen=True)
class Way:
    """One way out as a page shows it: a link (``url``), a button of the form (``do``), a form of its own (``post``
    with hidden ``fields``), or plain words."""

    label: str
    url: str | None = None
    do: str | None = None
    post: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """Where a kind of way out leads: ``params`` of the way out and ``fixed`` values are part of the address."""

    endpoint: str
    params: tuple[str, ...]
    roles: tuple[str, ...]
    fixed: dict[str, str]


# WayOut.action → its page
WAYS: dict[str, Page] = {}


def init_app(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(DomainError, _domain_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(InternalServerError, _server_error)


def register_way_out(action: str, endpoint: str, *params: str, roles: tuple[str, ...] = (), **fixed: str) -> None:
    """Turn the way out ``action`` into a link to ``endpoint``, with these ``params`` of the way out as values.

    ``roles``: whose it is alone; all others are told to ask a manager. ``fixed`` values stand in the address, too.
    """
    WAYS[action] = Page(endpoint, params, roles, fixed)


def translate(error: DomainError) -> str:
    """The refusal in the reader's language, with its dates, times and amounts written as they read them."""
    return _fill(error.message, error.params)


def ways_out(error: DomainError) -> list[Way]:
    """What the user can do about it, as links where a page is registered for it and open to them."""
    return [way_of(way) for way in error.ways_out]


def way_of(way: WayOut) -> Way:
    """One of these. What another branch or role would do is said in words."""
    label = _fill(way.label, way.params)
    page = WAYS.get(way.action)
    if page is None:
        return Way(label)
    if page.roles and getattr(current_user, "role", "") not in page.roles:
        return Way(gettext("Ask a manager: %(what)s", what=label))
    branch_id = way.params.get("branch_id")
    if branch_id is not None and branch_id not in [one.id for one in getattr(current_user, "branches", ())]:
        return Way(gettext("In the branch that sold it: %(what)s", what=label))
    return Way(label, url=_address(way, page))


def add_to_form(form: FlaskForm, error: DomainError) -> None:
    """Put the refusal on the form's field that it names, else on the form itself, with its ways out."""
    message = translate(error)
    form_field = form._fields.get(error.field or "")
    if form_field is None or form_field.type == "HiddenField":
        form.form_errors = [*form.form_errors, message]
    else:
        form_field.errors = [*form_field.errors, message]
    form.ways_out = [*getattr(form, "ways_out", []), *ways_out(error)]


def status_of(error: DomainError) -> int:
    """422, 409, 403 or 404, by the kind of refusal."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 422)


def _fill(message: str, params: dict[str, Any]) -> str:
    return gettext(message, **{key: say(value) for key, value in params.items()}) if params else gettext(message)


def _address(way: WayOut, page: Page) -> str | None:
    values = {name: way.params.get(name) for name in page.params}
    try:
        return url_for(page.endpoint, **values, **page.fixed)  # type: ignore[arg-type]
    except BuildError:
        return None


def _domain_error(error: DomainError) -> ResponseReturnValue:
    db.session.rollback()
    status = status_of(error)
    return _answer(status, gettext(PAGES[status][0]), translate(error), ways_out(error))


def _csrf_error(error: CSRFError) -> ResponseReturnValue:
    title, text = CSRF_PAGE
    return _answer(400, gettext(title), gettext(text), [])


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if error.code is None or error.code < 400:
        return error
    title, text = PAGES.get(error.code, PAGES[400])
    answer = _answer(error.code, gettext(title), gettext(text), [])
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            answer.headers[name] = value
    return answer


def _server_error(error: InternalServerError) -> ResponseReturnValue:
    # The database itself may be what failed: from here on nobody asks it anything, not even who is logged in.
    db.session.rollback()
    g._login_user = login_manager.anonymous_user()
    g.branch = None
    status = 503 if _is_away(error.original_exception) else 500
    answer = _answer(status, gettext(PAGES[status][0]), gettext(PAGES[status][1]), [])
    if status == 503:
        answer.headers["Retry-After"] = "5"
    return answer


def _is_away(error: BaseException | None) -> bool:
    """Whether the database could not be asked, or went away while it was."""
    if not isinstance(error, OperationalError):
        return False
    # Only a server that is there can say, by a code, what is wrong.
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) is None


def _answer(status: int, title: str, text: str, ways: list[Way]) -> Any:
    context = {"title": title, "text": text, "ways": ways, "status": status}
    if not is_partial():
        return make_response(render_template("errors/page.html", **context), status)
    if status in (400, 405, 413, 429):
        # The request, not the place on the page, was at fault: the page stays as it is, and a toast says why.
        toast(f"{title}. {text}", tone="danger")
        answer = with_notices(status=status)
        answer.headers["HX-Reswap"] = "none"
        return answer
    return with_notices(render_template("errors/_error.html", **context), status)
