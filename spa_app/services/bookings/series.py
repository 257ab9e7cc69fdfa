"""A course: one service at the same time of day every so many weeks, as one act."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from spa_app import clock
from spa_app.errors import N_, ConflictError, DomainError, InvalidError, WayOut
from spa_app.extensions import db
from spa_app.models import BookingItem, BookingItemResource, Branch, Resource, Staff
from spa_app.services.actor import Actor
from spa_app.services.bookings.booking import ItemRequest, book
from spa_app.services.scheduling import Slot, find_slots
from spa_app.services.scheduling_needs import Wish
from spa_app.services.transaction import atomic, attempt

MOST_VISITS = 26
MOST_WEEKS_APART = 12
MOST_TIMES_A_DAY = 100  # a day of 25 hours in quarters
OTHER_TIMES = 6  # offered for a date that does not fit
CARD_GIVES_NONE = ("card_used_up", "card_expired")


@dataclass(frozen=True)
class SeriesRequest:
    """What is to be booked ``count`` times, every ``every_weeks`` weeks from ``starts_at`` on.

    ``item.treatment_id`` is the card that pays. ``pay_rest``: visits for which it has no session (used up, or
    expired by then) are paid at the desk; otherwise their dates do not fit. ``times`` are taken instead on the dates
    of the series on which they fall.
    """

    customer_id: int
    branch_id: int
    item: ItemRequest
    starts_at: dt.datetime
    every_weeks: int
    count: int
    pay_rest: bool = False
    note: str = ""
    times: tuple[dt.datetime, ...] = ()


@dataclass(frozen=True)
class SeriesDate:
    """One date of a series: booked with whom and where, or the refusal, and the free times of that day nearest to it.

    ``is_other``: at a time that was taken instead.
    """

    date: dt.date
    starts_at: dt.datetime | None  # None: the clocks skip it
    booking_id: int | None = None
    on_card: bool = False
    staff_name: str = ""
    rooms: str = ""
    refusal: DomainError | None = None
    other_times: tuple[Slot, ...] = ()
    is_other: bool = False

    @property
    def fits(self) -> bool:
        """Whether the visit can take place."""
        return self.booking_id is not None


class SeriesRefusedError(ConflictError):
    """Some dates do not fit, and nobody said to book the others. ``dates`` says which."""

    def __init__(self, dates: list[SeriesDate]) -> None:
        fitting = sum(one.fits for one in dates)
        ways = (WayOut("book_fitting", N_("Book those that fit")),) if fitting else ()
        super().__init__(
            "series_incomplete",
            N_("%(missing)s of %(count)s dates do not fit. Nothing was booked yet."),
            ways_out=ways,
            missing=len(dates) - fitting,
            count=len(dates),
        )
        self.dates = dates


@dataclass
class _Rehearsed(Exception):  # noqa: N818 - not an error: how a rehearsal leaves its transaction
    dates: list[SeriesDate] = field(default_factory=list)


def book_series(wanted: SeriesRequest, *, actor: Actor, book_fitting: bool = False) -> list[int]:
    """Book all dates in one transaction and return the visits' ids; with ``book_fitting`` those that fit, else all.

    Locks what :func:`book` does. Raises :class:`SeriesRefusedError` when a date does not fit (or, with
    ``book_fitting``, none does), and :class:`InvalidError` at the field for what is wrong with every date alike.
    """
    with atomic():
        dates = _book_dates(wanted, actor=actor)
        fitting = [one.booking_id for one in dates if one.booking_id is not None]
        if not fitting or (len(fitting) < len(dates) and not book_fitting):
            raise SeriesRefusedError(dates)
        return fitting


def preview_series(wanted: SeriesRequest, *, actor: Actor) -> list[SeriesDate]:
    """What :func:`book_series` would make of each date, found out by doing it and taking it all back.

    Stores nothing. Raises :class:`InvalidError` as it does.
    """
    try:
        with atomic():
            raise _Rehearsed(_book_dates(wanted, actor=actor))
    except _Rehearsed as done:
        return done.dates


def series_dates(
    starts_at: dt.datetime, *, every_weeks: int, count: int, timezone: str
) -> Iterator[tuple[dt.date, dt.datetime | None]]:
    """The local dates, each with the instant of the same time by the wall clock; None where the clocks skip it."""
    local = starts_at.astimezone(ZoneInfo(timezone))
    for number in range(count):
        date = local.date() + dt.timedelta(weeks=number * every_weeks)
        instant = clock.at_local(date, local.time(), timezone)
        skipped = instant.astimezone(local.tzinfo).time() != local.time()
        yield date, None if skipped else instant


def _book_dates(wanted: SeriesRequest, *, actor: Actor) -> list[SeriesDate]:
    actor.require_branch(wanted.branch_id)
    if not 1 <= wanted.count <= MOST_VISITS:
        raise InvalidError("count_invalid", N_("A series has 1 to %(most)s visits."), field="count", most=MOST_VISITS)
    if not 1 <= wanted.every_weeks <= MOST_WEEKS_APART:
        raise InvalidError(
            "weeks_invalid", N_("Every 1 to %(most)s weeks."), field="every_weeks", most=MOST_WEEKS_APART
        )
    if wanted.starts_at < clock.now():
        raise InvalidError("series_past", N_("A series begins in the future."), field="starts_at")
    timezone = db.session.get_one(Branch, wanted.branch_id).timezone
    instead = {clock.local_date(instant, timezone): instant for instant in wanted.times}
    dates = [
        replace(_book_date(wanted, date, instead.get(date, instant), actor=actor), is_other=date in instead)
        for date, instant in series_dates(
            wanted.starts_at, every_weeks=wanted.every_weeks, count=wanted.count, timezone=timezone
        )
    ]
    refusals = [one.refusal for one in dates if one.refusal]
    first = refusals[0] if refusals else None
    # What is wrong in the same way with each date, and no other time would mend, is wrong with the form.
    if (
        isinstance(first, InvalidError)
        and not _another_time_helps(first)
        and len([one for one in refusals if one.code == first.code]) == len(dates)
    ):
        raise first
    return dates


def _book_date(wanted: SeriesRequest, date: dt.date, starts_at: dt.datetime | None, *, actor: Actor) -> SeriesDate:
    if starts_at is None:
        skipped = InvalidError(
            "clock_skips",
            N_("The clocks skip this time on that day. Choose an earlier or a later one."),
            field="starts_at",
        )
        return SeriesDate(date, None, refusal=skipped, other_times=_other_times(wanted, date))
    try:
        try:
            return _try(wanted, wanted.item, date, starts_at, actor=actor)
        except InvalidError as error:
            if error.code not in CARD_GIVES_NONE or not wanted.pay_rest:
                raise
        item = ItemRequest(wanted.item.service_id, wanted.item.staff_id, wanted.item.resource_id)
        return _try(wanted, item, date, starts_at, actor=actor)
    except (InvalidError, ConflictError) as error:
        if error.code == "busy":
            raise  # another desk is writing: that says nothing about the date
        offered = _other_times(wanted, date) if _another_time_helps(error) else ()
        return SeriesDate(date, starts_at, refusal=error, other_times=offered)


def _try(
    wanted: SeriesRequest, item: ItemRequest, date: dt.date, starts_at: dt.datetime, *, actor: Actor
) -> SeriesDate:
    with attempt():
        booking_id = book(
            customer_id=wanted.customer_id,
            branch_id=wanted.branch_id,
            starts_at=starts_at,
            items=[item],
            actor=actor,
            note=wanted.note,
        )
    rooms = func.string_agg(Resource.name, aggregate_order_by(literal(", "), Resource.position, Resource.id))
    staff_name, room_names = db.session.execute(
        select(Staff.full_name, rooms)
        .select_from(BookingItem)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .outerjoin(BookingItemResource, BookingItemResource.booking_item_id == BookingItem.id)
        .outerjoin(Resource, Resource.id == BookingItemResource.resource_id)
        .where(BookingItem.booking_id == booking_id)
        .group_by(Staff.id)
    ).one()
    return SeriesDate(date, starts_at, booking_id, item.treatment_id is not None, staff_name, room_names or "")


def _other_times(wanted: SeriesRequest, date: dt.date) -> tuple[Slot, ...]:
    """The free times of ``date`` that are nearest to the time of day of the series, in order."""
    timezone = db.session.get_one(Branch, wanted.branch_id).timezone
    begins_at, ends_at = clock.day_bounds(date, timezone)
    meant = clock.at_local(date, wanted.starts_at.astimezone(ZoneInfo(timezone)).time(), timezone)
    found = find_slots(
        [Wish(wanted.item.service_id, wanted.item.staff_id, wanted.item.resource_id)],
        branch_id=wanted.branch_id,
        since=max(begins_at, clock.now()),
        until=ends_at,
        limit=MOST_TIMES_A_DAY,
        customer_id=wanted.customer_id,
    )
    nearest = sorted(found, key=lambda slot: abs(slot.starts_at - meant))[:OTHER_TIMES]
    return tuple(sorted(nearest, key=lambda slot: slot.starts_at))


def _another_time_helps(error: DomainError) -> bool:
    return any(way.action == "choose_slot" for way in error.ways_out)
