"""Who and what is free, and when: facts are read, :mod:`~spa_app.services.availability` does the arithmetic.

What is offered (:func:`next_slots`) and what is written (:func:`take_places`) follow the same rules. The exclusion
constraints on ``booking_items`` and ``booking_item_resources`` have the last word on overlaps; the locks on the rows of
therapists and rooms are what keeps a visit and a blocked time from meeting, and let a refusal name who is in the way.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from sqlalchemy import ARRAY, BigInteger, bindparam, func, select

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import BookingItem, BookingItemResource, Branch, Customer, Resource, Service, Staff
from spa_app.services import availability, holds
from spa_app.services.availability import Facts, RoomNeed, Span, Task
from spa_app.services.scheduling_facts import (
    Absence,
    Busy,
    Taken,
    Team,
    load_busy,
    load_hours,
    load_team,
    make_facts,
)
from spa_app.services.scheduling_needs import (
    Need,
    Wish,
    check_choices,
    in_sequence,
    list_candidates,
    make_task,
    make_tasks,
    offsets,
)
from spa_app.services.scheduling_refusals import Asked, closed_error, refusal

SLOT_STEP = dt.timedelta(minutes=15)
SLOT_DAYS = (1, 3, 10)  # how many days are looked through at a time: mostly the first has room
MARGIN = dt.timedelta(hours=3)  # more than any clean-up: what may reach over midnight

# Built once: whatever takes time in the calendar locks these rows. Of the tables, since nobody wants the objects.
_ROWS = {
    model: select(table.c.id).where(table.c.id == func.any(bindparam("ids", type_=ARRAY(BigInteger)))).order_by("id")
    for model, table in ((Staff, Staff.__table__), (Resource, Resource.__table__))
}


@dataclass(frozen=True)
class Place:
    """Who performs a service, and which rooms and machines it takes, each for its stretch.

    ``seats`` are the places in those rooms, where several guests come together; otherwise the first.
    """

    staff_id: int
    rooms: tuple[tuple[int, Span], ...]
    seats: tuple[int, ...] = ()


@dataclass(frozen=True)
class Placement:
    """A place for each need. ``overridden``: what a manager's choice set aside, as the audit log keeps it."""

    places: list[Place]
    overridden: dict[str, list[int]]


@dataclass(frozen=True)
class Outlook:
    """Some days of a branch's calendar, read once for all that is asked about them."""

    branch: Branch
    team: Team
    days: Span
    facts: Facts

    def slots(
        self, needs: Sequence[Need], wanted: Sequence[Span], *, preferred_staff_id: int | None = None
    ) -> "Iterator[Slot]":
        """The times at which a visit fits that begins within the sorted, disjoint spans ``wanted``, in order.

        ``needs`` follow one another from any start. Steps of a quarter of an hour from opening time on.
        """
        tasks = make_tasks(needs, self.team)
        if not all(task.staff and all(room.candidates for room in task.rooms) for task in tasks):
            return
        if any(need.staff_id and need.staff_id not in self.team.staff[need.service.id] for need in needs):
            return
        preferred = (preferred_staff_id,) if preferred_staff_id else ()
        starts = availability.intersect(availability.possible_starts(tasks, self.facts), [self.days])
        booked: dict[dt.date, dict[int, dt.timedelta]] = {}
        for starts_at in availability.steps(availability.intersect(starts, wanted), self.facts.opened, SLOT_STEP):
            date = clock.local_date(starts_at, self.branch.timezone)
            if date not in booked:
                day = Span(*clock.day_bounds(date, self.branch.timezone))
                booked[date] = availability.booked_within(self.facts, day)
            places = availability.choose(tasks, starts_at, self.facts, booked=booked[date], preferred=preferred)
            if places is None:
                raise AssertionError("a possible start without a place")
            yield Slot(starts_at, tuple((one.staff_id, self.team.names[one.staff_id]) for one in places))


@dataclass(frozen=True)
class Slot:
    """A time that can be booked as it stands, with (id, name) of the therapist of each service."""

    starts_at: dt.datetime
    staff: tuple[tuple[int, str], ...]

    @property
    def staff_id(self) -> int:
        """Who begins."""
        return self.staff[0][0]

    @property
    def staff_name(self) -> str:
        """All who take part, each once."""
        return ", ".join(dict.fromkeys(name for _, name in self.staff))


def take_places(
    needs: Sequence[Need],
    *,
    branch: Branch,
    except_booking_id: int | None = None,
    preferred_staff_id: int | None = None,
    override_hours: bool = False,
) -> Placement:
    """Find a therapist and the rooms for each need, and lock those chosen: staff by id, then resources by id.

    ``except_booking_id`` is the booking being moved, whose present place does not count. "Anyone" is whom
    :func:`availability.score` finds best, ``preferred_staff_id`` (the customer's own wish) first. ``override_hours``
    sets opening hours and shifts aside, nothing else: the caller sees to it that a manager asks.

    What was chosen, and the hours it was chosen by, are read again under the lock, and chosen anew where another desk
    was faster or a manager has just published other shifts. A hold that stood there and whose time has passed is ended
    (:mod:`~spa_app.services.holds`). Raises
    :class:`InvalidError` for a choice that cannot be, outside opening hours and off shift, and
    :class:`SlotTakenError` naming the busy or blocked interval, its reason and the next free slot.
    """
    team = load_team({need.service.id for need in needs}, branch.id)
    check_choices(needs, team)
    tasks = make_tasks(needs, team)
    starts_at = needs[0].starts_at
    staff_ids, room_ids = list_candidates(tasks)
    first, last = (clock.local_date(one.starts_at, branch.timezone) for one in (needs[0], needs[-1]))
    day = Span(*clock.day_bounds(first, branch.timezone))
    whole = Span(
        min(day.lower, *(need.occupied.lower for need in needs)),
        max(day.upper, *(need.occupied.upper for need in needs)),
    )
    hours = load_hours(branch, first, last, staff_ids)
    visit = Span(starts_at, needs[-1].ends_at)
    asked = Asked(needs, tasks, team, branch, override_hours)
    while True:
        is_open = availability.is_within(visit, hours.opened)
        if not is_open and not override_hours:
            raise closed_error(branch, first, hours)
        busy = load_busy(whole, staff_ids, room_ids, except_booking_ids=_ids(except_booking_id))
        facts = make_facts(whole, hours, busy)
        preferred = (preferred_staff_id,) if preferred_staff_id else ()
        chosen = availability.choose(
            tasks,
            starts_at,
            facts,
            booked=availability.booked_within(facts, day),
            preferred=preferred,
            any_hours=override_hours,
        )
        if chosen is None:
            following = next_slots(needs, branch=branch, since=starts_at, limit=1, except_booking_id=except_booking_id)
            raise refusal(asked, facts, busy, following[0].starts_at if following else None)
        lock_rows(Staff, (place.staff_id for place in chosen))
        lock_rows(Resource, (one for place in chosen for one in place.resource_ids))
        visit_takes = Span(needs[0].occupied.lower, needs[-1].occupied.upper)
        holds.end_lapsed_at(
            visit_takes,
            [place.staff_id for place in chosen],
            [one for place in chosen for one in place.resource_ids],
        )
        chosen_by, hours = hours, load_hours(branch, first, last, staff_ids)
        if hours == chosen_by and _are_free(tasks, chosen, needs, except_booking_id):
            break
    off_shift = [
        place.staff_id
        for task, place in zip(tasks, chosen, strict=True)
        if not availability.is_within(task.service.at(starts_at), hours.at_work[place.staff_id])
    ]
    overridden = {"branch_closed": [branch.id]} if not is_open else {}
    places = [
        Place(
            place.staff_id,
            tuple((one, need.during.at(starts_at)) for one, need in zip(place.resource_ids, task.rooms, strict=True)),
        )
        for task, place in zip(tasks, chosen, strict=True)
    ]
    return Placement(places, {**overridden, **({"off_shift": off_shift} if off_shift else {})})


def retake_places(items: Sequence[BookingItem], *, branch: Branch, party_id: int | None = None) -> None:
    """Lock the therapists and rooms that the items of one given-up visit had, and see that they are free again.

    Hours and shifts are as they were when it was booked. ``party_id``: whose guests may be in the same rooms. Raises
    what :func:`take_places` raises for what is taken.
    """
    held: dict[int, list[tuple[int, Span]]] = {item.id: [] for item in items}
    query = select(
        BookingItemResource.booking_item_id,
        BookingItemResource.resource_id,
        func.lower(BookingItemResource.occupied),
        func.upper(BookingItemResource.occupied),
    ).where(BookingItemResource.booking_item_id.in_(held))
    for item_id, resource_id, lower, upper in db.session.execute(query):
        held[item_id].append((resource_id, Span(lower, upper)))
    starts_at = items[0].starts_at
    needs = [
        Need(
            db.session.get_one(Service, item.service_id),
            item.starts_at,
            item.staff_id,
            duration=item.ends_at - item.starts_at,
        )
        for item in items
    ]
    tasks = [
        replace(
            make_task(need, starts_at, (item.staff_id,), ()),
            rooms=tuple(RoomNeed(offsets(span, starts_at), (one,)) for one, span in held[item.id]),
        )
        for item, need in zip(items, needs, strict=True)
    ]
    staff_ids, room_ids = list_candidates(tasks)
    lock_rows(Staff, staff_ids)
    lock_rows(Resource, room_ids)
    whole = Span(needs[0].occupied.lower, needs[-1].occupied.upper)
    holds.end_lapsed_at(whole, staff_ids, room_ids)
    busy = busy_now(whole, staff_ids, room_ids, except_party_id=party_id)
    first = clock.local_date(starts_at, branch.timezone)
    facts = make_facts(whole, load_hours(branch, first, first, staff_ids), busy)
    if availability.choose(tasks, starts_at, facts, booked={}, any_hours=True) is None:
        following = next_slots(needs, branch=branch, since=starts_at, limit=1)
        names = load_team({need.service.id for need in needs}, branch.id)
        asked = Asked(needs, tasks, names, branch, override_hours=True)
        raise refusal(asked, facts, busy, following[0].starts_at if following else None)


def next_slots(
    needs: Sequence[Need],
    *,
    branch: Branch,
    since: dt.datetime,
    until: dt.datetime | None = None,
    limit: int = 5,
    preferred_staff_id: int | None = None,
    except_booking_id: int | None = None,
    absence: Absence | None = None,
) -> list[Slot]:
    """The next times from ``since`` on at which a visit fits, with the therapists whom booking it would choose.

    ``needs`` follow one another from any start. Steps of a quarter of an hour from opening time on, through fourteen
    days, or to ``until``. ``absence``: who or what is not there, though the calendar may not know it yet. Locks
    nothing.
    """
    team = load_team({need.service.id for need in needs}, branch.id)
    staff_ids, room_ids = list_candidates(make_tasks(needs, team))
    slots: list[Slot] = []
    first = clock.local_date(since, branch.timezone)
    for count in SLOT_DAYS:
        last = first + dt.timedelta(days=count - 1)
        outlook = _look(branch, team, first, last, staff_ids, room_ids, except_booking_id, absence)
        days = outlook.days
        wanted = [Span(max(days.lower, since), min(days.upper, until or days.upper))]
        slots += islice(outlook.slots(needs, wanted, preferred_staff_id=preferred_staff_id), limit - len(slots))
        if len(slots) == limit or (until is not None and until <= days.upper):
            break
        first = last + dt.timedelta(days=1)
    return slots


def look_ahead(service_ids: Collection[int], *, branch: Branch, first: dt.date, last: dt.date) -> Outlook:
    """The calendar of a branch from one local date to another, for all that some services need. Four statements."""
    team = load_team(service_ids, branch.id)
    staff_ids = sorted(team.names)
    room_ids = sorted({one for kinds in team.rooms.values() for *_, some in kinds for one in some})
    return _look(branch, team, first, last, staff_ids, room_ids)


def _look(
    branch: Branch,
    team: Team,
    first: dt.date,
    last: dt.date,
    staff_ids: Sequence[int],
    room_ids: Sequence[int],
    except_booking_id: int | None = None,
    absence: Absence | None = None,
) -> Outlook:
    days = Span(clock.day_bounds(first, branch.timezone)[0], clock.day_bounds(last, branch.timezone)[1])
    whole = Span(days.lower - MARGIN, days.upper + MARGIN)
    busy = load_busy(whole, staff_ids, room_ids, except_booking_ids=_ids(except_booking_id), absence=absence)
    return Outlook(branch, team, days, make_facts(whole, load_hours(branch, first, last, staff_ids), busy))


def find_slots(
    wishes: Sequence[Wish],
    *,
    branch_id: int,
    since: dt.datetime,
    until: dt.datetime | None = None,
    limit: int = 5,
    customer_id: int | None = None,
    except_booking_id: int | None = None,
) -> list[Slot]:
    """What :func:`next_slots` finds, asked for by id. Raises :class:`NotFoundError` for a service not on offer.

    ``customer_id``: whose preferred therapist comes first.
    """
    try:
        needs = in_sequence(wishes, since)
    except InvalidError as error:
        raise NotFoundError("service_unknown", N_("There is no such service.")) from error
    return next_slots(
        needs,
        branch=db.session.get_one(Branch, branch_id),
        since=since,
        until=until,
        limit=limit,
        preferred_staff_id=preferred_staff(customer_id),
        except_booking_id=except_booking_id,
    )


def preferred_staff(customer_id: int | None) -> int | None:
    """The therapist whom a customer would rather have."""
    if customer_id is None:
        return None
    return db.session.scalar(select(Customer.preferred_staff_id).where(Customer.id == customer_id))


def lock_rows(model: type[Staff | Resource], ids: Iterable[int]) -> None:
    """Lock therapists or rooms by id: staff first, then resources, whoever writes what takes their time."""
    # NO KEY UPDATE leaves the foreign key checks of other desks alone.
    db.session.execute(_ROWS[model].with_for_update(key_share=True), {"ids": list(set(ids))}).all()


def busy_now(
    whole: Span,
    staff_ids: Collection[int],
    room_ids: Collection[int],
    *,
    except_booking_ids: Collection[int] = (),
    except_party_id: int | None = None,
) -> Busy:
    """What is taken, read under the locks that the caller holds; otherwise as :func:`load_busy`."""
    return load_busy(whole, staff_ids, room_ids, except_booking_ids=except_booking_ids, except_party_id=except_party_id)


def _ids(booking_id: int | None) -> tuple[int, ...]:
    return () if booking_id is None else (booking_id,)


def _are_free(
    tasks: Sequence[Task],
    chosen: Sequence[availability.Place],
    needs: Sequence[Need],
    except_booking_id: int | None,
) -> bool:
    whole = Span(needs[0].occupied.lower, needs[-1].occupied.upper)
    staff_ids = {place.staff_id for place in chosen}
    room_ids = {one for place in chosen for one in place.resource_ids}
    busy = busy_now(whole, staff_ids, room_ids, except_booking_ids=_ids(except_booking_id))

    def free(one: int, span: Span, taken: Mapping[int, Sequence[Taken]]) -> bool:
        return not any(other.span.overlaps(span) for other in taken.get(one, ()))

    at = needs[0].starts_at
    return all(
        free(place.staff_id, task.occupied.at(at), busy.staff)
        and all(
            free(one, need.during.at(at), busy.rooms) for one, need in zip(place.resource_ids, task.rooms, strict=True)
        )
        for task, place in zip(tasks, chosen, strict=True)
    )
