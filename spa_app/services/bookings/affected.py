"""Which visits an absence falls upon, and who or which room could take each over at the same time."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sqlalchemy import Select, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, BookingItemResource, Branch, Customer, Resource, Service, Staff
from spa_app.services import availability, blocks, scheduling
from spa_app.services.actor import Actor
from spa_app.services.availability import ZERO, Facts, Span, Stretch, Task
from spa_app.services.bookings.party import find_party_slots
from spa_app.services.bookings.visit import list_items
from spa_app.services.scheduling import Slot
from spa_app.services.scheduling_facts import Absence, Busy, Taken, load_busy, load_hours, load_team, make_facts
from spa_app.services.scheduling_needs import Need
from spa_app.services.substitutes import Job, assign

MOST_LISTED = 100
MOST_SEARCHED = 10  # for so many visits that nobody can take, free times are looked for
NEXT_TIMES = 3


@dataclass(frozen=True)
class AffectedItem:
    """One service of an upcoming visit that the absence falls upon. ``taken`` is the time of the absent one in it.

    ``party_id``: with whose other guests it may share a room.
    """

    item_id: int
    booking_id: int
    version: int
    party_id: int | None
    customer_name: str
    phone: str | None
    preferred_staff_id: int | None
    service_id: int
    service_name: str
    staff_name: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    occupied: Span
    taken: Span

    @property
    def group(self) -> tuple[int | None, int | None]:
        """Who should stay together: the party, or else the visit."""
        return self.party_id, None if self.party_id else self.booking_id

    def task(self, staff: Sequence[int] = ()) -> Task:
        """The service as it stands in the calendar, for some of these therapists."""
        return Task(
            service=Stretch(ZERO, self.ends_at - self.starts_at),
            occupied=Stretch(self.occupied.lower - self.starts_at, self.occupied.upper - self.starts_at),
            staff=tuple(staff),
        )


@dataclass(frozen=True)
class Bench:
    """Who, or which rooms, could take over: names, who does for each service, and what they have to do already.

    ``places``: how many guests who come together a room takes, where it is more than one.
    """

    names: dict[int, str]
    able: dict[int, tuple[int, ...]]
    facts: Facts
    taken: Mapping[int, Sequence[Taken]]
    are_staff: bool
    places: Mapping[int, int] = field(default_factory=dict)

    def free_for(self, item: AffectedItem) -> list[int]:
        """Who of them is free for the whole of it, and on shift."""
        able = self.able[item.service_id]
        if self.are_staff:
            return availability.free_staff(item.task(able), item.starts_at, self.facts)
        return [one for one in able if self.seat(item, one) is not None]

    def seat(self, item: AffectedItem, one: int, beside: Sequence[Taken] = ()) -> int | None:
        """The place it could have with one of them, where only others of its party are; ``beside``: who goes there too.

        None where there is none.
        """
        met = [other for other in (*self.taken.get(one, ()), *beside) if other.span.overlaps(item.taken)]
        if any(item.party_id is None or other.party_id != item.party_id for other in met):
            return None
        return min(set(range(1, self.places.get(one, 1) + 1)) - {other.place for other in met}, default=None)

    def seat_all(self, items: Sequence[AffectedItem], one: int) -> bool:
        """Whether all of these, one after the other, find a place with the same one."""
        beside: list[Taken] = []
        for item in items:
            place = self.seat(item, one, beside)
            if place is None:
                return False
            beside.append(Taken(item.taken, party_id=item.party_id, place=place))
        return True


@dataclass(frozen=True)
class Candidate:
    """Somebody, or a room, that could take over. ``is_preferred``: the therapist whom the customer wishes for."""

    id: int
    name: str
    is_preferred: bool


@dataclass(frozen=True)
class AffectedVisit:
    """An affected service, who could take it over (best first), who is proposed, and else the next free times."""

    item: AffectedItem
    asks_for_absent: bool
    candidates: tuple[Candidate, ...]
    proposed_id: int | None
    next_free: tuple[Slot, ...]


@dataclass(frozen=True)
class AffectedList:
    """What an absence does. ``is_marked``: the calendar knows of it. ``has_more``: more visits than are listed."""

    name: str
    is_marked: bool
    visits: tuple[AffectedVisit, ...]
    has_more: bool

    @cached_property
    def placed(self) -> int:
        """For how many there is a proposal."""
        return sum(visit.proposed_id is not None for visit in self.visits)


def find_affected(absence: Absence, *, actor: Actor) -> AffectedList:
    """The upcoming visits that the absence falls upon, with a proposal for each that somebody can take. Locks nothing.

    Raises :class:`InvalidError` for a stretch that cannot be, :class:`NotFoundError` for another branch's.
    """
    owner = blocks.find_owner(staff_id=absence.staff_id, resource_id=absence.resource_id, actor=actor)
    blocks.check_stretch(absence.span.lower, absence.span.upper)
    name = owner.full_name if isinstance(owner, Staff) else owner.name
    branch = db.session.get_one(Branch, owner.branch_id)
    items = list_affected_items(absence, branch.id, limit=MOST_LISTED + 1)
    has_more, items = len(items) > MOST_LISTED, items[:MOST_LISTED]
    if not items:
        return AffectedList(name, is_marked(absence), (), False)
    bench = load_bench(owner, items, read=load_busy)
    cost = _costs(items, bench, branch)
    jobs = [Job(item.item_id, item.taken, tuple(bench.free_for(item))) for item in items]
    by_id = {item.item_id: item for item in items}
    chosen = assign(
        jobs,
        cost,
        shares=lambda one, job, others: bench.seat_all([by_id[other.id] for other in (*others, job)], one),
    )
    visits = []
    searched = 0
    for item, job in zip(items, jobs, strict=True):
        people = sorted(job.candidates, key=lambda one, job=job: cost(job, one, {}))  # type: ignore[misc]
        times: Sequence[Slot] = ()
        if job.id not in chosen and searched < MOST_SEARCHED:
            searched += 1
            times = _next_free(item, absence, branch)
        visits.append(
            AffectedVisit(
                item=item,
                asks_for_absent=bench.are_staff and item.preferred_staff_id == absence.staff_id,
                candidates=tuple(
                    Candidate(one, bench.names[one], bench.are_staff and one == item.preferred_staff_id)
                    for one in people
                ),
                proposed_id=chosen.get(job.id),
                next_free=tuple(times),
            )
        )
    return AffectedList(name, is_marked(absence), tuple(visits), has_more)


def list_affected_items(
    absence: Absence, branch_id: int, *, limit: int | None = None, only: Collection[int] | None = None
) -> list[AffectedItem]:
    """The services that the absence falls upon, by their begin; ``only``: of these items.

    Those of visits that are tentative or confirmed and not over: what has begun or is completed stays as it is.
    """
    if absence.staff_id is not None:
        taken, theirs = BookingItem.occupied, BookingItem.staff_id == absence.staff_id
        of_theirs: Select[Any] = select(BookingItem)
    else:
        taken, theirs = BookingItemResource.occupied, BookingItemResource.resource_id == absence.resource_id
        of_theirs = (
            select(BookingItemResource)
            .where(BookingItemResource.occupies)
            .join(BookingItem, BookingItem.id == BookingItemResource.booking_item_id)
        )
    # What is theirs comes first among the tables: it is few, and found by the exclusion constraint's index.
    query = (
        of_theirs.join(Booking, Booking.id == BookingItem.booking_id)
        .join(Customer, Customer.id == Booking.customer_id)
        .join(Service, Service.id == BookingItem.service_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .with_only_columns(
            BookingItem.id,
            Booking.id,
            Booking.version,
            Booking.party_id,
            Customer.full_name,
            Customer.phone,
            Customer.preferred_staff_id,
            BookingItem.service_id,
            Service.name,
            Staff.full_name,
            BookingItem.starts_at,
            BookingItem.ends_at,
            BookingItem.occupied,
            taken,
        )
        .where(
            theirs,
            BookingItem.occupies,
            Booking.branch_id == branch_id,
            Booking.status.in_(("pending", "confirmed")),
            BookingItem.ends_at > clock.now(),
            taken.overlaps(absence.span.as_range),
        )
        .order_by(BookingItem.starts_at, BookingItem.id)
        .limit(limit)
    )
    if only is not None:
        query = query.where(BookingItem.id.in_(only))
    rows: Sequence[Any] = db.session.execute(query).all()
    return [
        AffectedItem(*(*shown, Span(occupied.lower, occupied.upper), Span(during.lower, during.upper)))
        for *shown, occupied, during in rows
    ]


def load_bench(owner: Staff | Resource, items: Sequence[AffectedItem], *, read: Callable[..., Busy]) -> Bench:
    """Who, or which rooms of the same type, could take over from the owner; ``read`` finds what is taken."""
    branch = db.session.get_one(Branch, owner.branch_id)
    services = {item.service_id for item in items}
    first, last = (clock.local_date(one.starts_at, branch.timezone) for one in (items[0], items[-1]))
    whole = Span(
        min(clock.day_bounds(first, branch.timezone)[0], *(item.occupied.lower for item in items)),
        max(clock.day_bounds(last, branch.timezone)[1], *(item.occupied.upper for item in items)),
    )
    if isinstance(owner, Staff):
        team = load_team(services, branch.id)
        able = {one: tuple(who for who in team.staff[one] if who != owner.id) for one in services}
        everybody = sorted({who for some in able.values() for who in some})
        hours = load_hours(branch, first, last, everybody)
        busy = read(whole, everybody, ())
        return Bench(team.names, able, make_facts(whole, hours, busy), busy.staff, are_staff=True)
    alike = (
        select(Resource.id, Resource.name, Resource.places)
        .where(
            Resource.branch_id == branch.id,
            Resource.type_id == owner.type_id,
            Resource.is_active,
            Resource.id != owner.id,
        )
        .order_by(Resource.places, Resource.position, Resource.id)
    )
    rooms = db.session.execute(alike).all()
    names = {row.id: row.name for row in rooms}
    busy = read(whole, (), list(names))
    facts = make_facts(whole, load_hours(branch, first, last), busy)
    able = dict.fromkeys(services, tuple(names))
    return Bench(names, able, facts, busy.rooms, are_staff=False, places={row.id: row.places for row in rooms})


def is_marked(absence: Absence) -> bool:
    """Whether the calendar has the whole of the absence blocked already."""
    staff, rooms = ([one] if one else [] for one in (absence.staff_id, absence.resource_id))
    busy = load_busy(absence.span, staff, rooms)
    blocked = [taken.span for some in (*busy.staff.values(), *busy.rooms.values()) for taken in some if taken.kind]
    return availability.is_within(absence.span, availability.union(blocked))


def _costs(items: Sequence[AffectedItem], bench: Bench, branch: Branch) -> Callable[[Job, int, Mapping[int, int]], Any]:
    """How badly a candidate suits: for therapists :func:`availability.score`, with what was given to them counted in.

    Rooms come in their order. Services of one visit, and guests who shared a room, stay together where they can.
    """
    by_id = {item.item_id: item for item in items}
    days = {
        item.item_id: Span(*clock.day_bounds(clock.local_date(item.starts_at, branch.timezone), branch.timezone))
        for item in items
    }
    booked = {day: availability.booked_within(bench.facts, day) for day in set(days.values())}

    def cost(job: Job, one: int, chosen: Mapping[int, int]) -> Any:
        item, day = by_id[job.id], days[job.id]
        if not bench.are_staff:
            mates = [other for other in items if other.group == item.group]
            shared = [chosen[other.item_id] for other in mates if other.item_id in chosen]
            guests = sum(other.taken.overlaps(item.taken) for other in mates)
            return one not in shared, -min(bench.places[one], guests)
        together = [who for other, who in chosen.items() if by_id[other].booking_id == item.booking_id]
        given = availability.union(by_id[other].taken for other, who in chosen.items() if who == one)
        more = sum((span.upper - span.lower for span in availability.intersect(given, [day])), ZERO)
        busy = availability.union([*bench.facts.staff_busy.get(one, ()), *given])
        return availability.score(
            one,
            item.task(),
            item.starts_at,
            replace(bench.facts, staff_busy={one: busy}),
            booked={one: booked[day].get(one, ZERO) + more},
            preferred=() if item.preferred_staff_id is None else (item.preferred_staff_id,),
            before=next(iter(together), None),
        )

    return cost


def _next_free(item: AffectedItem, absence: Absence, branch: Branch) -> list[Slot]:
    """When the whole visit, or party, fits next, with somebody else, or another room, for what is affected."""
    standing = list_items(item.booking_id)
    since = max(clock.now(), standing[0].starts_at)
    if item.party_id is not None:
        return find_party_slots(item.booking_id, since=since, limit=NEXT_TIMES, absence=absence)
    needs = [
        Need(
            db.session.get_one(Service, one.service_id),
            one.starts_at,
            staff_id=None if one.staff_id == absence.staff_id else one.staff_id,
            duration=one.ends_at - one.starts_at,
        )
        for one in standing
    ]
    return scheduling.next_slots(
        needs,
        branch=branch,
        since=since,
        limit=NEXT_TIMES,
        preferred_staff_id=item.preferred_staff_id,
        except_booking_id=item.booking_id,
        absence=absence,
    )
