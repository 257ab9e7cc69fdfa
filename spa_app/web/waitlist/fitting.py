"""Who waits for a time that has become free: looked for after each act that frees one, and said beside its result."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from flask import url_for
from flask_babel import ngettext

from spa_app.queries.bookings import Visit
from spa_app.queries.waitlist import Entry, list_open
from spa_app.services.availability import Span
from spa_app.services.matching import Freed, find_matches
from spa_app.services.scheduling import Slot
from spa_app.web.bookings.place import beside
from spa_app.web.htmx import toast
from spa_app.web.security import local_timezone
from spa_app.web.times import format_local


@dataclass(frozen=True)
class Fit:
    """An entry of the waitlist, and the place where it fits."""

    entry: Entry
    slot: Slot


def freed_by(visit: Visit) -> list[Freed]:
    """The time that a visit takes, or took."""
    return [Freed(item.staff_id, Span(item.starts_at, item.ends_at)) for item in visit.items]


def who_fits(branch_id: int, freed: Iterable[Freed]) -> list[Fit]:
    """Who fits there, in the order in which they are to be asked."""
    matches = find_matches(branch_id, freed)
    if not matches:
        return []
    entries = {entry.id: entry for entry in list_open(branch_id, ids=[match.entry_id for match in matches])}
    return [Fit(entries[match.entry_id], match.slot) for match in matches if match.entry_id in entries]


def words_for(count: int) -> str:
    """How many fit."""
    return ngettext("%(num)s waiting customer fits this time", "%(num)s waiting customers fit this time", count)


def address_of(lower: dt.datetime, upper: dt.datetime, staff_id: int | None) -> str:
    """The page of who fits between two instants."""
    timezone = local_timezone()
    return url_for(
        "waitlist.matches",
        starts_at=format_local(lower, timezone),
        ends_at=format_local(upper, timezone),
        staff_id=staff_id,
    )


def tell_freed(branch_id: int, freed: Iterable[Freed]) -> None:
    """Say in a toast how many wait for what has become free, with a link to who they are; nothing where nobody does."""
    some = list(freed)
    count = len(find_matches(branch_id, some))
    if count:
        span = Span(min(one.span.lower for one in some), max(one.span.upper for one in some))
        staff = {one.staff_id for one in some}
        url = address_of(span.lower, span.upper, staff.pop() if len(staff) == 1 else None)
        toast(words_for(count), link_url=url, link_attrs=beside(url))
