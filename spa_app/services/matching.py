"""Who on the waitlist fits where: the one rule of availability asked for each entry. Locks and changes nothing.

The order: who wishes for the very therapist that has become free comes first, since nobody else will do for them; then
who has waited longest. An entry for which a place is held at the moment is left out.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, Branch, Customer, WaitlistEntry, WaitlistService
from spa_app.services import availability, scheduling
from spa_app.services.availability import TICK, Span
from spa_app.services.scheduling import Outlook, Slot
from spa_app.services.scheduling_needs import Need, Wish, in_order, load_services

LOOK_AHEAD = 14  # days, as far as free times are offered anywhere
MOST_ENTRIES = 200  # that are asked for at once: what a desk can ring in a week


@dataclass(frozen=True)
class Waiting:
    """An entry that waits, as far as it matters to where it fits."""

    id: int
    staff_id: int | None
    preferred_staff_id: int | None
    first_on: dt.date
    last_on: dt.date
    weekdays: int
    from_time: dt.time | None
    until_time: dt.time | None
    service_ids: Sequence[int]

    def within(self, days: Sequence[dt.date], timezone: str) -> list[Span]:
        """The stretches in which the whole visit must lie, on those of the local dates that suit."""
        spans = []
        for day in days:
            if self.first_on <= day <= self.last_on and self.weekdays >> day.weekday() & 1:
                lower, upper = clock.day_bounds(day, timezone)
                if self.from_time is not None:
                    lower = clock.at_local(day, self.from_time, timezone)
                if self.until_time is not None:
                    upper = clock.at_local(day, self.until_time, timezone)
                spans.append(Span(lower, upper))
        return spans


@dataclass(frozen=True)
class Freed:
    """A stretch that has become free, or is: a therapist's, or (None) that of whoever will do."""

    staff_id: int | None
    span: Span


@dataclass(frozen=True)
class Match:
    """An entry that fits, and where."""

    entry_id: int
    slot: Slot


def find_times(branch_id: int, *, limit: int = 3, on: dt.date | None = None) -> dict[int, list[Slot]]:
    """For each entry that waits, by id, its next ``limit`` times within a fortnight from now on, or ``on`` one date.

    Six statements.
    """
    now = clock.now()
    branch = db.session.get_one(Branch, branch_id)
    today = clock.today(branch.timezone)
    days = [on] if on else [today + dt.timedelta(days=day) for day in range(LOOK_AHEAD)]
    waiting = list_waiting(branch_id, days[0], days[-1])
    if not waiting:
        return {}
    board = _Board(branch, waiting, days)
    from_now = [Span(now, board.outlook.days.upper)]
    return {entry.id: list(islice(board.slots(entry, from_now), limit)) for entry in waiting}


def find_matches(branch_id: int, freed: Iterable[Freed]) -> list[Match]:
    """Who fits into what has become free, in the order of the module, each where their visit begins closest to it.

    A visit fits if it takes some of the freed time, by the freed therapist. What has passed counts no more. At most six
    statements for each day.
    """
    now = clock.now()
    branch = db.session.get_one(Branch, branch_id)
    found: dict[int, tuple[tuple[bool, int], Match]] = {}
    for one in freed:
        if one.span.upper <= now:
            continue
        days = _days_of(one.span, branch.timezone, now)
        waiting = list_waiting(branch_id, days[0], days[-1])
        if not waiting:
            continue
        board = _Board(branch, waiting, days)
        for position, entry in enumerate(waiting):
            slot = board.slot_for(entry, one, now)
            if slot is not None:
                ranked = ((entry.staff_id is None, position), Match(entry.id, slot))
                found[entry.id] = min(found.get(entry.id, ranked), ranked, key=itemgetter(0))
    return [match for _, match in sorted(found.values(), key=itemgetter(0))]


def list_waiting(branch_id: int, first: dt.date, last: dt.date) -> list[Waiting]:
    """The entries that wait for a time within these local dates, the longest first. One statement."""
    held = select(Booking.id).where(
        Booking.waitlist_entry_id == WaitlistEntry.id, Booking.status == "pending", Booking.held_until > clock.now()
    )
    services = (
        select(func.array_agg(aggregate_order_by(WaitlistService.service_id, WaitlistService.position)))
        .where(WaitlistService.entry_id == WaitlistEntry.id)
        .correlate(WaitlistEntry)
        .scalar_subquery()
    )
    query = (
        select(
            WaitlistEntry.id,
            WaitlistEntry.staff_id,
            Customer.preferred_staff_id,
            WaitlistEntry.first_on,
            WaitlistEntry.last_on,
            WaitlistEntry.weekdays,
            WaitlistEntry.from_time,
            WaitlistEntry.until_time,
            services,
        )
        .join(Customer, Customer.id == WaitlistEntry.customer_id)
        .where(
            WaitlistEntry.branch_id == branch_id,
            WaitlistEntry.status == "waiting",
            WaitlistEntry.last_on >= first,
            WaitlistEntry.first_on <= last,
            ~held.exists(),
        )
        .order_by(WaitlistEntry.created_at, WaitlistEntry.id)
        .limit(MOST_ENTRIES)
    )
    return [Waiting(*row) for row in db.session.execute(query)]


def _days_of(span: Span, timezone: str, now: dt.datetime) -> list[dt.date]:
    """The local dates of a stretch from now on, a fortnight of them at most."""
    first = clock.local_date(max(span.lower, now), timezone)
    last = clock.local_date(span.upper - TICK, timezone)
    return [first + dt.timedelta(days=day) for day in range(min((last - first).days + 1, LOOK_AHEAD))]


class _Board:
    """The calendar of some days, and the services of those who wait, read once for all of them."""

    def __init__(self, branch: Branch, waiting: Sequence[Waiting], days: Sequence[dt.date]) -> None:
        self.branch, self.days = branch, days
        service_ids = {one for entry in waiting for one in entry.service_ids}
        self.services = load_services(service_ids)
        self.outlook: Outlook = scheduling.look_ahead(service_ids, branch=branch, first=days[0], last=days[-1])

    def slots(self, entry: Waiting, wanted: Sequence[Span], staff_id: int | None = None) -> Iterable[Slot]:
        """The times that suit an entry and begin within ``wanted``; by ``staff_id`` as far as they perform it."""
        needs = self._needs(entry, staff_id or entry.staff_id)
        if not needs:
            return ()
        length = needs[-1].ends_at - needs[0].starts_at
        suits = [
            Span(span.lower, span.upper - length + TICK)
            for span in entry.within(self.days, self.branch.timezone)
            if span.upper - span.lower >= length
        ]
        return self.outlook.slots(
            needs, availability.intersect(suits, wanted), preferred_staff_id=entry.preferred_staff_id
        )

    def slot_for(self, entry: Waiting, freed: Freed, now: dt.datetime) -> Slot | None:
        if freed.staff_id is not None and entry.staff_id not in (None, freed.staff_id):
            return None
        needs = self._needs(entry, freed.staff_id or entry.staff_id)
        if not needs:
            return None
        length = needs[-1].occupied.upper - needs[0].starts_at
        begins = Span(max(freed.span.lower - length + TICK, now), freed.span.upper)
        if begins.lower >= begins.upper:
            return None
        possible = [
            slot
            for slot in self.slots(entry, [begins], freed.staff_id)
            if freed.staff_id is None or freed.staff_id in dict(slot.staff)
        ]
        # As near to the beginning of what is free as can be, rather after it than before.
        return min(
            possible,
            key=lambda slot: (abs(slot.starts_at - freed.span.lower), slot.starts_at < freed.span.lower),
            default=None,
        )

    def _needs(self, entry: Waiting, staff_id: int | None) -> list[Need]:
        """The entry's services; none where one of them is no longer on offer."""
        if not self.services.keys() >= set(entry.service_ids):
            return []
        able = {one for one in entry.service_ids if staff_id in self.outlook.team.staff[one]}
        if staff_id is not None and not able:
            return []
        wishes = [Wish(one, staff_id if one in able else None) for one in entry.service_ids]
        return in_order(self.services, wishes, self.outlook.days.lower)
