"""What all forms share."""

import hashlib
import uuid
from typing import Any

from flask import Flask, request
from flask_babel import gettext
from flask_wtf import FlaskForm

from spa_app.errors import N_, InvalidError


class _Translations:
    def gettext(self, string: str) -> str:
        return str(gettext(string))

    def ngettext(self, singular: str, plural: str, n: int) -> str:
        # Only English tells them apart, and it is the language of the msgids.
        translated = str(gettext(plural))
        return singular if translated == plural and n == 1 else translated


class Form(FlaskForm):
    """A form whose CSRF token is checked for the whole application, and whose messages come from our own catalogue."""

    class Meta(FlaskForm.Meta):
        csrf = False

        def get_translations(self, form: Any) -> _Translations:  # noqa: ARG002 - WTForms passes it
            """WTForms' own messages, looked up in our catalogue (it has no Vietnamese)."""
            return _Translations()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What the user can do about a refusal (errors.Way): errors.add_to_form() fills it.
        self.ways_out: list[Any] = []


def init_app(app: Flask) -> None:
    """Give templates fresh idempotency keys."""
    app.jinja_env.globals["new_idempotency_key"] = lambda: str(uuid.uuid4())


def posted_key() -> uuid.UUID:
    """The idempotency key of the posted form. Raises InvalidError when it is missing or not a UUID."""
    try:
        return uuid.UUID(request.form.get("idempotency_key", ""))
    except ValueError as error:
        raise InvalidError("key_missing", N_("This form was incomplete. Nothing was saved; open it again.")) from error


def fingerprint() -> str:
    """What the posted form says, its tokens aside: a replay of the same key must have the same."""
    said = sorted(
        (key, value)
        for key, value in request.form.items(multi=True)
        if key not in ("csrf_token", "idempotency_key", "next")
    )
    return hashlib.sha256(repr((request.path, said)).encode()).hexdigest()


# WTForms' own messages, so that they are found for translation.
WTFORMS_MESSAGES = (
    N_("This field is required."),
    N_("Not a valid choice."),
    N_("Invalid Choice: could not coerce."),
    N_("Not a valid integer value."),
    N_("Not a valid decimal value."),
    N_("Not a valid date value."),
    N_("Not a valid datetime value."),
    N_("Not a valid time value."),
    N_("Invalid input."),
    N_("Invalid email address."),
    N_("Number must be at least %(min)s."),
    N_("Number must be at most %(max)s."),
    N_("Number must be between %(min)s and %(max)s."),
    N_("Field must be between %(min)d and %(max)d characters long."),
    N_("Field must be at least %(min)d characters long."),
    N_("Field cannot be longer than %(max)d characters."),
)
