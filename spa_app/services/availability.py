"""When a visit fits, as arithmetic of intervals. No I/O: the facts come in, the times and the choice come out.

All spans are half-open. A visit is a list of :class:`Task` whose times are offsets from its start, so that one and the
same description serves for looking through a fortnight and for checking one start.
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.dialects.postgresql import Range

ZERO = dt.timedelta()
TICK = dt.timedelta(microseconds=1)
SHORTEST_GAP = dt.timedelta(minutes=30)  # what is shorter cannot be sold
WASTE_WEIGHT = 3


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open stretch of time."""

    lower: dt.datetime
    upper: dt.datetime

    def overlaps(self, other: "Span") -> bool:
        """Whether the two have an instant in common."""
        return self.lower < other.upper and other.lower < self.upper

    def covers(self, other: "Span") -> bool:
        """Whether the other lies wholly within this one."""
        return self.lower <= other.lower and other.upper <= self.upper

    @property
    def as_range(self) -> Range[dt.datetime]:
        """The same stretch as PostgreSQL keeps it."""
        return Range(self.lower, self.upper)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a visit, as offsets from its start."""

    begins: dt.timedelta
    ends: dt.timedelta

    def at(self, starts_at: dt.datetime) -> Span:
        """The same stretch in a visit that starts then."""
        return Span(starts_at + self.begins, starts_at + self.ends)


@dataclass(frozen=True, slots=True)
class RoomNeed:
    """One type of room or machine that a task needs, for a stretch of it; any of ``candidates`` will do, best first."""

    during: Stretch
    candidates: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One service of a visit.

    ``service`` is what opening hours and the shift must cover; ``occupied`` holds the clean-up buffers, which may lie
    outside them, but not in anybody's busy time. ``staff``: who may perform it, in the order of the screen.
    """

    service: Stretch
    occupied: Stretch
    staff: tuple[int, ...]
    rooms: tuple[RoomNeed, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What stands in the calendar. Every list is sorted and disjoint (:func:`union`).

    ``whole`` is the stretch that the facts are complete for. ``at_work``: the shifts of each therapist. Busy is what is
    booked and what is blocked. ``booked`` are the visits of each therapist alone, for the balance of the day.
    """

    whole: Span
    opened: Sequence[Span]
    at_work: Mapping[int, Sequence[Span]]
    staff_busy: Mapping[int, Sequence[Span]]
    room_busy: Mapping[int, Sequence[Span]]
    booked: Mapping[int, Sequence[Span]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Who performs a service, and which rooms and machines it takes, one for each of its needs in order."""

    staff_id: int
    resource_ids: tuple[int, ...]


def union(spans: Iterable[Span]) -> list[Span]:
    """The same instants as sorted spans that neither overlap nor touch."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda one: one.lower):
        if joined and span.lower <= joined[-1].upper:
            if span.upper > joined[-1].upper:
                joined[-1] = Span(joined[-1].lower, span.upper)
        elif span.lower < span.upper:
            joined.append(span)
    return joined


def subtract(spans: Sequence[Span], cuts: Sequence[Span]) -> list[Span]:
    """What of sorted, disjoint ``spans`` is in none of the sorted, disjoint ``cuts``."""
    left: list[Span] = []
    first = 0
    for span in spans:
        lower = span.lower
        while first < len(cuts) and cuts[first].upper <= lower:
            first += 1
        number = first
        while number < len(cuts) and cuts[number].lower < span.upper:
            if cuts[number].lower > lower:
                left.append(Span(lower, cuts[number].lower))
            lower = max(lower, cuts[number].upper)
            number += 1
        if lower < span.upper:
            left.append(Span(lower, span.upper))
    return left


def intersect(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """What two lists of sorted, disjoint spans have in common."""
    common: list[Span] = []
    first = second = 0
    while first < len(one) and second < len(other):
        lower = max(one[first].lower, other[second].lower)
        upper = min(one[first].upper, other[second].upper)
        if lower < upper:
            common.append(Span(lower, upper))
        if one[first].upper <= other[second].upper:
            first += 1
        else:
            second += 1
    return common


def starts_within(free: Iterable[Span], need: Stretch) -> list[Span]:
    """The starts of a visit for which ``need`` lies within one of the sorted, disjoint ``free`` spans.

    The last instant at which it still fits counts; a tick after it ends the half-open span.
    """
    length = need.ends - need.begins
    return [
        Span(span.lower - need.begins, span.upper - need.ends + TICK)
        for span in free
        if span.upper - span.lower >= length
    ]


def possible_starts(tasks: Sequence[Task], facts: Facts) -> list[Span]:
    """All starts at which every task finds an open house, a therapist on shift and free, and its rooms.

    The tasks of a visit follow one another, so that none takes the place of another.
    """
    visit = Stretch(tasks[0].service.begins, tasks[-1].service.ends)
    starts = starts_within(facts.opened, visit)
    for task in tasks:
        if not starts:
            return []
        somebody: list[Span] = []
        for one in task.staff:
            free = starts_within(subtract([facts.whole], facts.staff_busy.get(one, ())), task.occupied)
            somebody += intersect(free, starts_within(facts.at_work.get(one, ()), task.service))
        starts = intersect(starts, union(somebody))
        for need in task.rooms:
            some = [
                span
                for one in need.candidates
                for span in starts_within(subtract([facts.whole], facts.room_busy.get(one, ())), need.during)
            ]
            starts = intersect(starts, union(some))
    return starts


def steps(starts: Iterable[Span], opened: Sequence[Span], step: dt.timedelta) -> Iterator[dt.datetime]:
    """The possible starts that lie a whole number of steps after the opening before them, in order."""
    openings = [span.lower for span in opened]
    for span in starts:
        origin = openings[bisect_right(openings, span.lower) - 1]
        at = span.lower + (origin - span.lower) % step
        while at < span.upper:
            yield at
            at += step


def is_free(span: Span, busy: Sequence[Span]) -> bool:
    """Whether a stretch touches none of the sorted, disjoint busy ones."""
    number = bisect_right(busy, span.lower, key=lambda one: one.upper)
    return number == len(busy) or busy[number].lower >= span.upper


def is_within(span: Span, allowed: Sequence[Span]) -> bool:
    """Whether a stretch lies wholly in one of the sorted, disjoint allowed ones."""
    number = bisect_right(allowed, span.lower, key=lambda one: one.lower) - 1
    return number >= 0 and allowed[number].covers(span)


def free_staff(task: Task, starts_at: dt.datetime, facts: Facts, *, any_hours: bool = False) -> list[int]:
    """Who of the task's therapists is on shift and free; with ``any_hours``, free whatever the shift."""
    service, occupied = task.service.at(starts_at), task.occupied.at(starts_at)
    return [
        one
        for one in task.staff
        if is_free(occupied, facts.staff_busy.get(one, ()))
        and (any_hours or is_within(service, facts.at_work.get(one, ())))
    ]


def free_rooms(need: RoomNeed, starts_at: dt.datetime, facts: Facts) -> list[int]:
    """Which of the rooms are free, best first."""
    during = need.during.at(starts_at)
    return [one for one in need.candidates if is_free(during, facts.room_busy.get(one, ()))]


def booked_within(facts: Facts, day: Span) -> dict[int, dt.timedelta]:
    """How much of a day each therapist has booked already."""
    return {
        one: sum((span.upper - span.lower for span in intersect(spans, [day])), ZERO)
        for one, spans in facts.booked.items()
    }


def gaps(occupied: Span, at_work: Sequence[Span], busy: Sequence[Span]) -> tuple[dt.timedelta, dt.timedelta]:
    """What a visit would leave free before and after it: up to the next visit, or the shift's begin or end."""
    shift = bisect_right(at_work, occupied.lower, key=lambda one: one.lower) - 1
    lower, upper = occupied.lower, occupied.upper
    if shift >= 0 and at_work[shift].upper > lower:
        lower, upper = at_work[shift].lower, max(upper, at_work[shift].upper)
    number = bisect_right(busy, occupied.lower, key=lambda one: one.upper)
    if number:
        lower = max(lower, busy[number - 1].upper)
    if number < len(busy):
        upper = min(upper, busy[number].lower)
    return occupied.lower - lower, upper - occupied.upper


def score(
    one: int,
    task: Task,
    starts_at: dt.datetime,
    facts: Facts,
    *,
    booked: Mapping[int, dt.timedelta],
    preferred: Collection[int] = (),
    before: int | None = None,
) -> tuple[bool, bool, bool, float]:
    """How badly a free therapist suits a task; the lowest is taken, and among equals the first on the screen.

    In this order: who is on shift before who is not (that only arises where a manager overrides hours); the customer's
    preferred therapist; who performs the service before it in the visit (``before``), so that nobody is handed over
    without need; then the cost, in minutes: what the therapist has ``booked`` that day (so that the day stays
    balanced), and three times what would be lost in gaps of under half an hour, before and after, which nobody can
    sell.
    """
    at_work = facts.at_work.get(one, ())
    left = gaps(task.occupied.at(starts_at), at_work, facts.staff_busy.get(one, ()))
    waste = sum((gap for gap in left if gap < SHORTEST_GAP), ZERO)
    return (
        not is_within(task.service.at(starts_at), at_work),
        one not in preferred,
        one != before,
        (booked.get(one, ZERO) + WASTE_WEIGHT * waste) / dt.timedelta(minutes=1),
    )


def choose(
    tasks: Sequence[Task],
    starts_at: dt.datetime,
    facts: Facts,
    *,
    booked: Mapping[int, dt.timedelta],
    preferred: Collection[int] = (),
    any_hours: bool = False,
) -> list[Place] | None:
    """The best place for each task of a visit that starts then (:func:`score`), or None where one has none.

    ``booked`` is :func:`booked_within` the visit's day.
    """
    places: list[Place] = []
    for task in tasks:
        people = free_staff(task, starts_at, facts, any_hours=any_hours)
        rooms = [free_rooms(need, starts_at, facts) for need in task.rooms]
        if not people or not all(rooms):
            return None
        before = places[-1].staff_id if places else None
        best = min(
            people,
            key=lambda one: score(one, task, starts_at, facts, booked=booked, preferred=preferred, before=before),
        )
        places.append(Place(best, tuple(some[0] for some in rooms)))
    return places
