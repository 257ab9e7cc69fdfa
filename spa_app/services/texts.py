"""What people type, as it is stored."""

import unicodedata

from spa_app.errors import N_, InvalidError

REASON_LENGTH = 500


def clean_text(text: str, *, field: str, limit: int, lines: bool = True) -> str:
    """``text`` composed (NFC) and trimmed. Raises :class:`InvalidError` for control characters or too long a text.

    Line breaks and tabs may stay where ``lines``. Marks that turn the direction of writing are refused: they make a
    name look like another one.
    """
    composed = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip()
    allowed = "\n\t" if lines else ""
    if any(_is_control(char) and char not in allowed for char in composed):
        raise InvalidError(
            "control_character", N_("There is an invisible control character in this text."), field=field
        )
    if len(composed) > limit:
        raise InvalidError("too_long", N_("At most %(limit)d characters are possible here."), field=field, limit=limit)
    return composed


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs") or "\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069"


def required_reason(reason: str) -> str:
    """Why something is corrected. Raises :class:`InvalidError` for nothing, and what :func:`clean_text` raises."""
    reason = clean_text(reason, field="reason", limit=REASON_LENGTH)
    if not reason:
        raise InvalidError("reason_missing", N_("Say why, in a few words."), field="reason")
    return reason
