"""Who may come in, from where, and what a page may load."""

import datetime as dt
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask_login import current_user
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response as BaseResponse

from spa_app import clock
from spa_app.errors import N_, NotAllowedError, NotFoundError
from spa_app.extensions import csrf, limiter, login_manager
from spa_app.queries.users import BranchRef, SignedIn, get_signed_in
from spa_app.services.actor import Actor
from spa_app.web.htmx import is_partial

Params = ParamSpec("Params")
Answer = TypeVar("Answer")

CSP = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
BIGGEST_ID = 2**63 - 1
PROLONGED_EVERY = 600  # seconds


class _Sessions(SecureCookieSessionInterface):
    """The session cookie is Secure exactly when the page came over TLS: plain http works on the desk PC's own host.

    It is prolonged by use, though not with each answer: to sign it costs as much as many an answer.
    """

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - Flask passes it
        return request.is_secure

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:  # noqa: ARG002 - Flask passes it
        now = int(clock.now().timestamp())
        if session.permanent and not 0 <= now - session.get("prolonged_at", 0) < PROLONGED_EVERY:
            session["prolonged_at"] = now
        return session.modified


class _Id(IntegerConverter):
    """An id in an address; one that the database could not hold is no such page."""

    def __init__(self, url_map: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(url_map, *args, **{"max": BIGGEST_ID, **kwargs})


def init_app(app: Flask) -> None:
    """Wire cookies, CSRF, the rate limiter, the login loader, the guards and the headers."""
    app.session_interface = _Sessions()
    app.url_map.converters["int"] = _Id
    app.config.setdefault("SESSION_COOKIE_NAME", "spa_session")
    app.config.update(SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax")
    # A calendar stays open all day; the token lives as long as the session, and that is prolonged by use.
    app.config.update(WTF_CSRF_TIME_LIMIT=None, PERMANENT_SESSION_LIFETIME=dt.timedelta(hours=14))
    app.config.setdefault("LOGIN_RATE_LIMIT", "10 per minute")
    app.config.setdefault("RATELIMIT_STORAGE_URI", app.config["REDIS_URL"].replace("unix://", "redis+unix://", 1))
    app.config.setdefault("RATELIMIT_STORAGE_OPTIONS", {"socket_connect_timeout": 0.5, "socket_timeout": 0.5})
    app.config.setdefault("RATELIMIT_IN_MEMORY_FALLBACK_ENABLED", True)
    app.before_request(_allow_upload)
    csrf.init_app(app)
    limiter.init_app(app)
    login_manager.init_app(app)
    login_manager.user_loader(_load_user)
    app.before_request(_refuse_nul)
    app.before_request(_require_login)
    app.after_request(_add_headers)
    app.jinja_env.globals.update(current_branch=current_branch, local_today=local_today, here=here)


def public(view: Callable[Params, Answer]) -> Callable[Params, Answer]:
    """Mark a view that needs no login. Everything else does."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def roles(*allowed: str) -> Callable[[Callable[Params, Answer]], Callable[Params, Answer]]:
    """Let only these roles into a view, others get 403. Stands under the route: ``@roles("manager", "owner")``."""

    def decorate(view: Callable[Params, Answer]) -> Callable[Params, Answer]:
        @wraps(view)
        def guarded(*args: Params.args, **kwargs: Params.kwargs) -> Answer:
            if signed_in().role not in allowed:
                raise NotAllowedError("role", N_("Your role does not cover this. Ask a manager to do it."))
            return view(*args, **kwargs)

        guarded.roles = frozenset(allowed)  # type: ignore[attr-defined]
        return guarded

    return decorate


def uploads(limit: int) -> Callable[[Callable[Params, Answer]], Callable[Params, Answer]]:
    """Let a view take a body of so many bytes, where others take 2 MB. Stands next to the view."""

    def decorate(view: Callable[Params, Answer]) -> Callable[Params, Answer]:
        view.upload_limit = limit  # type: ignore[attr-defined]
        return view

    return decorate


def signed_in() -> SignedIn:
    """The user behind this request. Answers 401 where nobody is logged in."""
    if not current_user.is_authenticated:
        abort(401)
    user: SignedIn = current_user._get_current_object()
    return user


def current_actor() -> Actor:
    """The user behind this request, as the services want them."""
    user = signed_in()
    return Actor(
        user_id=user.id,
        role=user.role,
        branch_ids=frozenset(branch.id for branch in user.branches),
        ip=request.remote_addr,
    )


def current_branch() -> BranchRef | None:
    """The branch that this request is about: the one a page asked for, else the chosen one, else the user's first."""
    if "branch" not in g:
        branches = current_user.branches if current_user.is_authenticated else ()
        chosen = [branch for branch in branches if branch.id == session.get("branch_id")]
        g.branch = next(iter(chosen or branches), None)
    branch: BranchRef | None = g.branch
    return branch


def use_branch(branch_id: int) -> BranchRef:
    """Make this request about one of the user's branches, time zone included. NotFoundError for any other."""
    for branch in signed_in().branches:
        if branch.id == branch_id:
            g.branch = branch
            return branch
    raise NotFoundError("not_found", N_("There is no such thing in your branches."))


def asked_branch() -> BranchRef:
    """The branch that the address or the form names as ``branch``, else the chosen one. NotFoundError for another's."""
    wanted = request.values.get("branch", "")
    if wanted:
        return use_branch(int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else -1)
    branch = current_branch()
    if branch is None:
        raise NotFoundError("no_branch", N_("You work in no branch yet. Ask a manager to add you to one."))
    return branch


def local_timezone() -> str:
    """The time zone of the branch that this request is about, else the installation's."""
    branch = current_branch()
    return branch.timezone if branch else current_app.config["SETTINGS"].timezone


def local_today() -> dt.date:
    """Today's date in the branch that this request is about."""
    return clock.today(local_timezone())


def safe_next(target: str | None) -> str | None:
    """``target`` if it is a path on this very site, else None (no open redirects)."""
    if not target or not target.startswith("/") or any(ord(char) < 33 or char == "\\" for char in target):
        return None
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc and not target.startswith("//") else None


def here() -> str:
    """The path of the page that this request renders, to come back to after a small change such as the language."""
    if request.method != "GET":
        return safe_next(_own_path(request.referrer)) or "/"
    return request.full_path.rstrip("?")


def _own_path(address: str | None) -> str | None:
    parts = urlsplit(address or "")
    if not address or parts.netloc != request.host:
        return None
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _load_user(user_id: str) -> SignedIn | None:
    return get_signed_in(int(user_id)) if user_id.isdigit() else None


def _allow_upload() -> None:
    # Before anything reads the form.
    limit = getattr(current_app.view_functions.get(request.endpoint or ""), "upload_limit", None)
    if limit is not None:
        request.max_content_length = limit


def _refuse_nul() -> None:
    # PostgreSQL holds no NUL in text; no honest browser sends one.
    for values in (request.args, request.form):
        if any("\0" in key or "\0" in value for key, value in values.items(multi=True)):
            abort(400)


def _require_login() -> BaseResponse | None:
    view = current_app.view_functions.get(request.endpoint or "")
    # No view: the 404 or 405 page may show to anyone.
    if view is None or request.endpoint == "static" or getattr(view, "is_public", False):
        return None
    if current_user.is_authenticated:
        return None
    if is_partial():
        back = safe_next(_own_path(request.headers.get("HX-Current-URL")))
        return Response(status=401, headers={"HX-Redirect": url_for("auth.login", next=back)})
    back = here() if request.method == "GET" and request.full_path not in ("/", "/?") else None
    return redirect(url_for("auth.login", next=back), code=302 if request.method == "GET" else 303)


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if request.endpoint != "static":
        response.vary.add("HX-Request")
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
    return response
