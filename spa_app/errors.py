"""What the domain can refuse, as facts. Knows no Flask: ``web.errors`` gives each kind its status and its language.

``message`` is an English msgid with named placeholders; ``params`` fills them and may hold dates, instants and
:class:`~spa_app.money.Money`, which are formatted in the reader's language. Wrap msgids in :func:`N_` so that they are
found for translation.
"""

from dataclasses import dataclass, field
from typing import Any

from click import ClickException


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for "translate later"
    """Mark ``message`` for translation without translating it here."""
    return message


@dataclass(frozen=True)
class WayOut:
    """One thing the user can do about a refusal. ``action`` is a stable word that the page may turn into a link."""

    action: str
    label: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Word:
    """A parameter that is itself a msgid, such as a status, and is translated with the message it stands in."""

    msgid: str

    def __str__(self) -> str:
        return self.msgid


class DomainError(Exception):
    """A refusal by the rules. Nothing has been stored when one reaches the caller of ``atomic()``."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        ways_out: tuple[WayOut, ...] = (),
        **params: Any,
    ) -> None:
        super().__init__(message % params if params else message)
        self.code = code
        self.message = message
        self.params = params
        self.field = field
        self.ways_out = ways_out


class InvalidError(DomainError):
    """The request itself cannot be right, whatever the state (422)."""


class ConflictError(DomainError):
    """The request was right once; the present state refuses it (409)."""


class SlotTakenError(ConflictError):
    """The therapist, room or equipment is busy in the wanted interval."""


class WrongStateError(ConflictError):
    """The thing is not in a status from which this action leads anywhere; names the present status."""


class NotAllowedError(DomainError):
    """The actor's role does not cover this (403)."""


class NotFoundError(DomainError):
    """No such thing, or none that this actor may know of (404)."""


class UndeliverableError(Exception):
    """What was to be sent out never can be, however often it is tried; the text says why."""


class ConfigError(ClickException):
    """The environment does not allow a start. The message is one sentence for the person who starts it.

    A ``ClickException``, so that every flask command prints it on stderr, without a traceback, and exits with 1, even
    when it is raised while the application itself is made.
    """
