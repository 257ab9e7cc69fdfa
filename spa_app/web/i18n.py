"""Language and time zone of a request, and the catalogues compiled from ``spa_app/translations``."""

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import Flask, current_app, g, request
from flask_babel import get_locale, get_translations
from flask_login import current_user
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

from spa_app.config import LOCALES, PROJECT_DIR
from spa_app.extensions import babel
from spa_app.web.prepared import digest, prepared
from spa_app.web.security import local_timezone

CATALOGUES = PROJECT_DIR / "spa_app" / "translations"
THEMES = ("system", "light", "dark")


def init_app(app: Flask) -> None:
    """Wire Flask-Babel; the compiled catalogues lie beside the other derived files of the data folder."""
    folder = prepared(
        app.config["SETTINGS"].data_dir, f"translations-{digest(CATALOGUES, '*/LC_MESSAGES/messages.po')}", _compile
    )
    babel.init_app(
        app,
        default_locale=app.config["SETTINGS"].locale,
        default_timezone=app.config["SETTINGS"].timezone,
        default_translation_directories=str(folder),
        locale_selector=select_locale,
        timezone_selector=local_timezone,
    )
    # Flask-Babel finds out the language anew for each of a page's hundreds of words, and Jinja takes two more calls to
    # ask it. These do what Jinja's "new style" does.
    app.jinja_env.globals.update(_=_gettext, gettext=_gettext, ngettext=_ngettext)
    app.jinja_env.globals.update(current_locale=current_locale, current_theme=current_theme)


def select_locale() -> str:
    """The user's language, else the device's (cookie, then browser), else the installation's."""
    if current_user.is_authenticated and current_user.locale:
        return str(current_user.locale)
    kept = request.cookies.get("locale")
    if kept in LOCALES:
        return kept
    return request.accept_languages.best_match(LOCALES) or current_app.config["SETTINGS"].locale


def current_locale() -> str:
    """The language of this request, ``en`` or ``vi``."""
    return str(get_locale() or current_app.config["SETTINGS"].locale)


def current_theme() -> str:
    """``light``, ``dark``, or ``system``: the user's, else the device's choice."""
    if current_user.is_authenticated:
        return str(current_user.theme)
    kept = request.cookies.get("theme")
    return kept if kept in THEMES else "system"


@pass_eval_context
def _gettext(context: EvalContext, msgid: str, /, **values: Any) -> str:
    return _filled(context, _translations().ugettext(msgid), values)


@pass_eval_context
def _ngettext(context: EvalContext, singular: str, plural: str, num: int, /, **values: Any) -> str:
    return _filled(context, _translations().ungettext(singular, plural, num), {"num": num, **values})


def _filled(context: EvalContext, text: str, values: dict[str, Any]) -> str:
    """The translation as a template shows it: its own markup stands, what is filled in is escaped."""
    if context.autoescape:
        text = Markup(text)  # noqa: S704 - a translation
    return text % values if "%" in text else text


def _translations() -> Any:
    translations = g.get("translations")
    if translations is None:
        translations = g.translations = get_translations()
    return translations


def _compile(target: Path) -> None:
    for source in CATALOGUES.glob("*/LC_MESSAGES/messages.po"):
        compiled = target / source.relative_to(CATALOGUES).with_suffix(".mo")
        compiled.parent.mkdir(parents=True)
        with source.open("rb") as po, compiled.open("wb") as mo:
            write_mo(mo, read_po(po))
