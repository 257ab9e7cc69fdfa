"""Places for guests who come together: all of them or none, each with a therapist, in one room where it has places.

What :mod:`~spa_app.services.scheduling` does for one visit, done for several at once, by the same facts and locks.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from sqlalchemy import func, select

from spa_app import clock
from spa_app.errors import N_, DomainError, InvalidError, NotFoundError, SlotTakenError, WayOut
from spa_app.extensions import db
from spa_app.models import BookingItem, BookingItemResource, Branch, Resource, Staff
from spa_app.services import availability, holds, scheduling
from spa_app.services.availability import Facts, Span, Task
from spa_app.services.availability_together import Rooms, SharedPlace, choose_together, possible_starts_together
from spa_app.services.scheduling import MARGIN, SLOT_DAYS, SLOT_STEP, Place, Placement, Slot, lock_rows, preferred_staff
from spa_app.services.scheduling_facts import Absence, Busy, Hours, Team, load_busy, load_hours, load_team, make_facts
from spa_app.services.scheduling_needs import Need, Wish, check_choices, in_sequence, list_candidates, make_tasks
from spa_app.services.scheduling_refusals import Asked, closed_error, refusal


@dataclass(frozen=True)
class GuestNeeds:
    """The services of one of the guests, one after the other, and whom they would rather have."""

    needs: Sequence[Need]
    preferred_staff_id: int | None = None


@dataclass(frozen=True)
class _Plan:
    """What is looked for, as arithmetic; ``leave_out`` are the visits whose present places do not count."""

    guests: Sequence[GuestNeeds]
    tasks: list[list[Task]]
    team: Team
    branch: Branch
    starts_at: dt.datetime
    party_id: int | None
    leave_out: Collection[int]
    override_hours: bool

    @property
    def needs(self) -> list[Need]:
        return [need for guest in self.guests for need in guest.needs]

    @property
    def preferred(self) -> list[tuple[int, ...]]:
        return [(one.preferred_staff_id,) if one.preferred_staff_id else () for one in self.guests]

    def candidates(self) -> tuple[list[int], list[int]]:
        return list_candidates([task for some in self.tasks for task in some])

    def rooms(self, whole: Span) -> Rooms:
        """The places of the rooms, and where the others of the party lie."""
        return Rooms(self.team.places, _load_seated(self.party_id, whole, self.leave_out))


def take_places_together(
    guests: Sequence[GuestNeeds],
    *,
    branch: Branch,
    party_id: int | None = None,
    except_booking_ids: Collection[int] = (),
    override_hours: bool = False,
) -> list[Placement]:
    """Places for all guests at once, and the locks of those chosen: staff by id, then resources by id.

    ``party_id``: the party that exists already, whose other guests may be in the same room; ``except_booking_ids`` are
    those of its visits that are looked for. Raises what :func:`scheduling.take_places` raises for the first guest who
    would find no place even alone, and :class:`SlotTakenError` where each would but not all together.
    """
    plan = _plan(guests, branch, party_id, except_booking_ids, override_hours)
    for guest in guests:
        check_choices(guest.needs, plan.team)
    staff_ids, room_ids = plan.candidates()
    starts, ends = plan.starts_at, max(need.ends_at for need in plan.needs)
    first, last = (clock.local_date(one, branch.timezone) for one in (starts, ends))
    day = Span(*clock.day_bounds(first, branch.timezone))
    takes = Span(min(need.occupied.lower for need in plan.needs), max(need.occupied.upper for need in plan.needs))
    whole = Span(min(day.lower, takes.lower), max(day.upper, takes.upper))
    hours = load_hours(branch, first, last, staff_ids)
    while True:
        is_open = availability.is_within(Span(starts, ends), hours.opened)
        if not is_open and not override_hours:
            raise closed_error(branch, first, hours)
        busy = load_busy(whole, staff_ids, room_ids, except_booking_ids=except_booking_ids, except_party_id=party_id)
        facts = make_facts(whole, hours, busy)
        chosen = _choose(plan, facts, starts, plan.rooms(whole), availability.booked_within(facts, day))
        if chosen is None:
            raise _refusal(plan, facts, busy)
        staff = {place.staff_id for some in chosen for place in some}
        rooms = {seat.resource_id for some in chosen for place in some for seat in place.seats}
        lock_rows(Staff, staff)
        lock_rows(Resource, rooms)
        holds.end_lapsed_at(takes, staff, rooms)
        chosen_by, hours = hours, load_hours(branch, first, last, staff_ids)
        if hours == chosen_by and _is_still_free(plan, chosen, whole, hours):
            return [
                _placement(plan, tasks, places, hours, is_open=is_open)
                for tasks, places in zip(plan.tasks, chosen, strict=True)
            ]


def next_slots_together(
    guests: Sequence[GuestNeeds],
    *,
    branch: Branch,
    since: dt.datetime,
    limit: int = 5,
    party_id: int | None = None,
    except_booking_ids: Collection[int] = (),
    absence: Absence | None = None,
) -> list[Slot]:
    """The next times at which all guests fit at once, as :func:`scheduling.next_slots` finds them for one. No locks."""
    plan = _plan(guests, branch, party_id, except_booking_ids, override_hours=False)
    tasks = [task for some in plan.tasks for task in some]
    if not all(task.staff and all(room.candidates for room in task.rooms) for task in tasks):
        return []
    if any(need.staff_id and need.staff_id not in plan.team.staff[need.service.id] for need in plan.needs):
        return []
    staff_ids, room_ids = plan.candidates()
    slots: list[Slot] = []
    first = clock.local_date(since, branch.timezone)
    for count in SLOT_DAYS:
        last = first + dt.timedelta(days=count - 1)
        days = Span(clock.day_bounds(first, branch.timezone)[0], clock.day_bounds(last, branch.timezone)[1])
        whole = Span(days.lower - MARGIN, days.upper + MARGIN)
        busy = load_busy(
            whole,
            staff_ids,
            room_ids,
            except_booking_ids=except_booking_ids,
            except_party_id=party_id,
            absence=absence,
        )
        facts = make_facts(whole, load_hours(branch, first, last, staff_ids), busy)
        rooms = plan.rooms(whole)
        possible = possible_starts_together(plan.tasks, facts)
        starts = availability.intersect(possible, [Span(max(days.lower, since), days.upper)])
        for starts_at in availability.steps(starts, facts.opened, SLOT_STEP):
            day = Span(*clock.day_bounds(clock.local_date(starts_at, branch.timezone), branch.timezone))
            chosen = _choose(plan, facts, starts_at, rooms, availability.booked_within(facts, day))
            if chosen is None:
                continue
            people = (place.staff_id for some in chosen for place in some)
            slots.append(Slot(starts_at, tuple((one, plan.team.names[one]) for one in people)))
            if len(slots) == limit:
                return slots
        first = last + dt.timedelta(days=1)
    return slots


def find_slots_together(
    guests: Sequence[tuple[Sequence[Wish], int | None]], *, branch_id: int, since: dt.datetime, limit: int = 5
) -> list[Slot]:
    """What :func:`next_slots_together` finds, asked for by id: what each guest would like, and who it is, if known.

    Raises :class:`NotFoundError` for a service not on offer.
    """
    try:
        wanted = [
            GuestNeeds(in_sequence(wishes, since), preferred_staff(customer_id)) for wishes, customer_id in guests
        ]
    except InvalidError as error:
        raise NotFoundError("service_unknown", N_("There is no such service.")) from error
    return next_slots_together(wanted, branch=db.session.get_one(Branch, branch_id), since=since, limit=limit)


def reseat(items: Sequence[BookingItem], *, party_id: int) -> None:
    """Give the given-up items of a party's visit a place again in the rooms they had, which the caller holds locked.

    Raises :class:`SlotTakenError` where the others of the party fill the room by now.
    """
    rows = list(
        db.session.execute(
            select(BookingItemResource, Resource.places)
            .join(Resource, Resource.id == BookingItemResource.resource_id)
            .where(BookingItemResource.booking_item_id.in_([item.id for item in items]))
        )
    )
    for row, places in rows:
        during = Span(cast(dt.datetime, row.occupied.lower), cast(dt.datetime, row.occupied.upper))
        rooms = Rooms({row.resource_id: places}, _load_seated(party_id, during, [items[0].booking_id]))
        free = rooms.seats(row.resource_id, during)
        if not free:
            raise SlotTakenError(
                "room_full",
                N_("The others of the party fill the room by now."),
                field="starts_at",
                ways_out=(WayOut("choose_slot", N_("Choose another time")),),
            )
        row.place = free[0].place
    db.session.flush()


def _plan(
    guests: Sequence[GuestNeeds],
    branch: Branch,
    party_id: int | None,
    leave_out: Collection[int],
    override_hours: bool,
) -> _Plan:
    needs = [need for guest in guests for need in guest.needs]
    team = load_team({need.service.id for need in needs}, branch.id)
    starts_at = min(need.starts_at for need in needs)
    tasks = [make_tasks(guest.needs, team, starts_at=starts_at) for guest in guests]
    wanted = Counter(
        one for some in tasks for one in {one for task in some for room in task.rooms for one in room.candidates}
    )
    kept = {one for need in needs for one in need.preferred_resource_ids}

    def together_first(task: Task) -> Task:
        """The rooms of a task, those that take most of the guests first; where they are already, before that."""
        rooms = [
            replace(
                room,
                candidates=tuple(
                    sorted(room.candidates, key=lambda one: (one not in kept, -min(team.places[one], wanted[one])))
                ),
            )
            for room in task.rooms
        ]
        return replace(task, rooms=tuple(rooms))

    tasks = [[together_first(task) for task in some] for some in tasks]
    return _Plan(guests, tasks, team, branch, starts_at, party_id, leave_out, override_hours)


def _choose(
    plan: _Plan, facts: Facts, starts_at: dt.datetime, rooms: Rooms, booked: Mapping[int, dt.timedelta]
) -> list[list[SharedPlace]] | None:
    return choose_together(
        plan.tasks,
        starts_at,
        facts,
        rooms=rooms,
        booked=booked,
        preferred=plan.preferred,
        any_hours=plan.override_hours,
    )


def _is_still_free(plan: _Plan, chosen: Sequence[Sequence[SharedPlace]], whole: Span, hours: Hours) -> bool:
    """Whether what was chosen is still free, now that its therapists and rooms are locked."""
    staff_ids = {place.staff_id for some in chosen for place in some}
    room_ids = {seat.resource_id for some in chosen for place in some for seat in place.seats}
    busy = scheduling.busy_now(
        whole, staff_ids, room_ids, except_booking_ids=plan.leave_out, except_party_id=plan.party_id
    )
    rooms = plan.rooms(whole)
    facts = make_facts(whole, hours, busy)
    return all(
        availability.is_free(task.occupied.at(plan.starts_at), facts.staff_busy.get(place.staff_id, ()))
        and all(
            availability.is_free(need.during.at(plan.starts_at), facts.room_busy.get(seat.resource_id, ()))
            and seat in rooms.seats(seat.resource_id, need.during.at(plan.starts_at))
            for need, seat in zip(task.rooms, place.seats, strict=True)
        )
        for tasks, places in zip(plan.tasks, chosen, strict=True)
        for task, place in zip(tasks, places, strict=True)
    )


def _placement(
    plan: _Plan, tasks: Sequence[Task], places: Sequence[SharedPlace], hours: Hours, *, is_open: bool
) -> Placement:
    at = plan.starts_at
    overridden = {} if is_open else {"branch_closed": [plan.branch.id]}
    off_shift = [
        place.staff_id
        for task, place in zip(tasks, places, strict=True)
        if not availability.is_within(task.service.at(at), hours.at_work[place.staff_id])
    ]
    return Placement(
        [
            Place(
                place.staff_id,
                tuple(
                    (seat.resource_id, need.during.at(at)) for seat, need in zip(place.seats, task.rooms, strict=True)
                ),
                tuple(seat.place for seat in place.seats),
            )
            for task, place in zip(tasks, places, strict=True)
        ],
        {**overridden, **({"off_shift": off_shift} if off_shift else {})},
    )


def _refusal(plan: _Plan, facts: Facts, busy: Busy) -> DomainError:
    found = next_slots_together(
        plan.guests,
        branch=plan.branch,
        since=plan.starts_at,
        limit=1,
        party_id=plan.party_id,
        except_booking_ids=plan.leave_out,
    )
    following = found[0].starts_at if found else None
    for guest in plan.guests:
        asked = Asked(guest.needs, make_tasks(guest.needs, plan.team), plan.team, plan.branch, plan.override_hours)
        starts_at = guest.needs[0].starts_at
        if availability.choose(asked.tasks, starts_at, facts, booked={}, any_hours=plan.override_hours) is None:
            return refusal(asked, facts, busy, following)
    return SlotTakenError(
        "party_too_big",
        N_("Not enough therapists or rooms are free for everybody at that time. All together next: %(next)s."),
        field="starts_at",
        ways_out=(WayOut("choose_slot", N_("Choose another time")),),
        next=following,
    )


def _load_seated(party_id: int | None, whole: Span, leave_out: Collection[int]) -> dict[int, list[tuple[Span, int]]]:
    """Who of the party lies where, by room. One statement; none without a party."""
    if party_id is None:
        return {}
    row = BookingItemResource
    query = (
        select(row.resource_id, row.place, func.lower(row.occupied), func.upper(row.occupied))
        .join(BookingItem, BookingItem.id == row.booking_item_id)
        .where(
            row.party_id == party_id,
            row.occupies,
            row.occupied.op("&&")(whole.as_range),
            BookingItem.booking_id.not_in(leave_out),
        )
    )
    seated: dict[int, list[tuple[Span, int]]] = {}
    for resource_id, place, lower, upper in db.session.execute(query):
        seated.setdefault(resource_id, []).append((Span(lower, upper), place))
    return seated
