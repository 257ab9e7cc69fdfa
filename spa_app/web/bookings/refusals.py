"""What the desk can do about a refusal, as links and buttons of the page it happened on."""

import datetime as dt
import re
from dataclasses import dataclass, field

from flask_babel import gettext

from spa_app import clock
from spa_app.errors import DomainError, WayOut
from spa_app.web import filters
from spa_app.web.security import local_timezone

_FIELD = re.compile(r"(guests-\d+-)?(?:items-(\d+)-)?", re.ASCII)


@dataclass(frozen=True)
class Way:
    """One way out: a link (``url``), a button of the form (``do``), a form of its own (``post``), or plain words."""

    label: str
    url: str | None = None
    do: str | None = None
    post: str | None = None
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """A refused action, as its page shows it."""

    message: str
    ways: tuple[Way, ...]


def explain(
    error: DomainError,
    *,
    customer_id: int | None,
    starts_at: dt.datetime | None,
    invoice_id: int | None = None,
    form: bool = False,
) -> Refusal:
    """The refusal in the reader's language, in which instants on the day of ``starts_at`` are times of day.

    ``form``: it came from the booking form, whose buttons can help.
    """
    ways = [_way(way, error, customer_id, invoice_id, form) for way in error.ways_out]
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


def _way(way: WayOut, error: DomainError, customer_id: int | None, invoice_id: int | None, form: bool) -> Way | None:
    said = {name: filters.say(value) for name, value in way.params.items()}
    label = gettext(way.label, **said) if said else gettext(way.label)
    guest, item = guest_of(error.field), item_of(error.field)
    match way.action:
        case "pay_visit" if form:
            return Way(label, do=f"{guest}pay-{item}")
        case "share_phone" if form:
            return Way(label, do=f"{guest}share-phone")
        case "choose_card" if form:
            return Way(label, url=f"#{guest}items-{item}-treatment_id")
        case "sell_plan" | "extend_card" | "unfreeze_card" if customer_id:
            return Way(label, url=f"/customers/{customer_id}")
        case "open_customer":
            return Way(label, url=f"/customers/{way.params['customer_id']}")
        case "pay_due" if invoice_id:
            return Way(label, url=f"/invoices/{invoice_id}")
        case "choose_slot":
            return None  # the free times stand below the refusal
    return Way(label)
