"""/login, /logout and the small choices of the user menu."""

from flask import Blueprint, abort, current_app, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import current_user, login_user, logout_user

from spa_app.config import LOCALES
from spa_app.errors import N_, InvalidError
from spa_app.extensions import limiter
from spa_app.queries.users import get_signed_in
from spa_app.services.users import authenticate, set_preferences
from spa_app.web.auth.forms import LoginForm
from spa_app.web.i18n import THEMES
from spa_app.web.navigation import home_url
from spa_app.web.security import public, safe_next, signed_in, use_branch

bp = Blueprint("auth", __name__)
A_YEAR = 365 * 24 * 3600


def _login_limit() -> str:
    return str(current_app.config["LOGIN_RATE_LIMIT"])


def _who_tries() -> str:
    return f"{request.remote_addr}|{request.form.get('username', '').strip().lower()[:60]}"


@bp.get("/")
def home() -> ResponseReturnValue:
    """The first page of the user's rail."""
    start = home_url()
    if start == url_for("auth.home"):
        abort(404)
    return redirect(start)


@bp.get("/login")
@public
def login() -> ResponseReturnValue:
    """The login page; someone already logged in goes on to where they wanted."""
    if current_user.is_authenticated:
        return redirect(safe_next(request.args.get("next")) or home_url())
    return render_template("auth/login.html", form=LoginForm(), next=safe_next(request.args.get("next")))


@bp.post("/login")
@public
@limiter.limit(_login_limit, key_func=_who_tries)
def log_in() -> ResponseReturnValue:
    """Check name and password; 303 onwards, or 422 with the form. Ten tries a minute per address and name."""
    form = LoginForm()
    target = safe_next(request.form.get("next"))
    if form.validate():
        user_id = authenticate(form.username.data or "", form.password.data or "", request.remote_addr)
        user = get_signed_in(user_id) if user_id is not None else None
        if user is not None:
            # A session that somebody may have planted before the login ends here.
            session.clear()
            session.permanent = True
            login_user(user)
            return redirect(target or home_url(), code=303)
        form.form_errors = [_("User name or password is not right. Please check both and try again.")]
    return render_template("auth/login.html", form=form, next=target), 422


@bp.post("/logout")
def logout() -> ResponseReturnValue:
    """End the session on this device."""
    logout_user()
    session.clear()
    return redirect(url_for("auth.login"), code=303)


@bp.post("/me/locale")
@public
def set_locale() -> ResponseReturnValue:
    """Choose the language (``locale``: en, vi): kept with the user, and on the device for the login page."""
    return _keep("locale", LOCALES)


@bp.post("/me/theme")
@public
def set_theme() -> ResponseReturnValue:
    """Choose the theme (``theme``: system, light, dark): kept with the user and on the device."""
    return _keep("theme", THEMES)


@bp.post("/me/branch")
def choose_branch() -> ResponseReturnValue:
    """Choose the branch to work in (``branch_id``) for this session; 404 unless it is one of the user's."""
    wanted = request.form.get("branch_id", "")
    branch = use_branch(int(wanted) if wanted.isascii() and wanted.isdigit() else -1)
    session["branch_id"] = branch.id
    return redirect(safe_next(request.form.get("next")) or home_url(), code=303)


def _keep(name: str, allowed: tuple[str, ...]) -> ResponseReturnValue:
    value = request.form.get(name, "")
    if value not in allowed:
        raise InvalidError("choice_invalid", N_("Not a valid choice."))
    if current_user.is_authenticated:
        set_preferences(signed_in().id, **{name: value})
    answer = redirect(safe_next(request.form.get("next")) or url_for("auth.login"), code=303)
    answer.set_cookie(name, value, max_age=A_YEAR, httponly=True, samesite="Lax", secure=request.is_secure)
    return answer
