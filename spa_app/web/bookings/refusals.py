"""What the desk can do about a refusal, as links and buttons of the page it happened on."""

import datetime as dt
import re
from dataclasses import dataclass

from flask_babel import gettext

from spa_app import clock
from spa_app.errors import DomainError, WayOut
from spa_app.web import errors, filters
from spa_app.web.errors import Way
from spa_app.web.security import local_timezone

_FIELD = re.compile(r"(guests-\d+-)?(?:items-(\d+)-)?", re.ASCII)


@dataclass(frozen=True)
class Refusal:
    """A refused action, as its page shows it."""

    message: str
    ways: tuple[Way, ...]
    lead: str = ""  # what the buttons among the ways have in common


def explain(
    error: DomainError,
    *,
    starts_at: dt.datetime | None,
    form: bool = False,
) -> Refusal:
    """The refusal in the reader's language, in which instants on the day of ``starts_at`` are times of day.

    ``form``: it came from the booking form, whose buttons can help.
    """
    ways = [_way(way, error, form) for way in error.ways_out]
    day = clock.local_date(starts_at, local_timezone()) if starts_at else None
    params = {
        name: filters.time(value)
        if isinstance(value, dt.datetime) and clock.local_date(value, local_timezone()) == day
        else filters.say(value)
        for name, value in error.params.items()
    }
    message = gettext(error.message, **params) if params else gettext(error.message)
    return Refusal(message, tuple(way for way in ways if way))


def item_of(field: str | None) -> str:
    """The place of the item that a field such as ``items-2-treatment_id`` belongs to."""
    found = _FIELD.match(field or "")
    return (found[2] if found else None) or "0"


def guest_of(field: str | None) -> str:
    """The prefix of the guest whom a field such as ``guests-0-items-2-treatment_id`` belongs to; empty: the first."""
    found = _FIELD.match(field or "")
    return (found[1] if found else None) or ""


def _way(way: WayOut, error: DomainError, form: bool) -> Way | None:
    shown = errors.way_of(way)
    guest, item = guest_of(error.field), item_of(error.field)
    match way.action:
        case "pay_visit" if form:
            return Way(shown.label, do=f"{guest}pay-{item}")
        case "share_phone" if form:
            return Way(shown.label, do=f"{guest}share-phone")
        case "choose_card" if form:
            return Way(shown.label, url=f"#{guest}items-{item}-treatment_id")
        case "choose_slot":
            return None  # the free times stand below the refusal
    return shown
