"""The arithmetic of free time, against a twin that looks at every minute by itself."""

import datetime as dt
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spa_app.services.availability import (
    Facts,
    RoomNeed,
    Span,
    Stretch,
    Task,
    booked_within,
    choose,
    gaps,
    intersect,
    is_free,
    is_within,
    possible_starts,
    starts_within,
    steps,
    subtract,
    union,
)

ZERO = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
LONG = 120  # minutes: the world of the twin
MINUTE = dt.timedelta(minutes=1)


def span(lower: int, upper: int) -> Span:
    """A stretch in minutes of the small world."""
    return Span(ZERO + lower * MINUTE, ZERO + upper * MINUTE)


def stretch(begins: int, ends: int) -> Stretch:
    """Offsets in minutes."""
    return Stretch(begins * MINUTE, ends * MINUTE)


def minutes(spans) -> set[int]:
    """The minutes that begin within the spans."""
    return {minute for minute in range(-LONG, 2 * LONG) for one in spans if _holds(one, minute)}


def _holds(one: Span, minute: int) -> bool:
    return one.lower <= ZERO + minute * MINUTE < one.upper


a_span = st.tuples(st.integers(0, LONG - 1), st.integers(1, 40)).map(lambda two: span(two[0], min(LONG, sum(two))))
spans = st.lists(a_span, max_size=6)
WHOLE = span(0, LONG)


@given(spans)
def test_union_keeps_every_minute_and_leaves_gaps_between(some):
    joined = union(some)

    assert minutes(joined) == minutes(some)
    assert all(one.upper < other.lower for one, other in itertools.pairwise(joined))


@given(spans, spans)
def test_subtract_and_intersect_are_those_of_sets(one, other):
    one, other = union(one), union(other)

    assert minutes(subtract(one, other)) == minutes(one) - minutes(other)
    assert minutes(intersect(one, other)) == minutes(one) & minutes(other)


@given(spans, a_span)
def test_free_and_within_look_at_every_minute(some, asked):
    some = union(some)

    assert is_free(asked, some) == (not minutes([asked]) & minutes(some))
    assert is_within(asked, some) == any(minutes([asked]) <= minutes([one]) for one in some)


@given(spans, st.integers(-10, 20), st.integers(1, 30))
def test_starts_within_are_those_that_fit(free, begins, length):
    free = union(free)
    need = stretch(begins, begins + length)

    found = minutes(starts_within(free, need))

    assert found == {
        minute
        for minute in range(-LONG, 2 * LONG)
        if any(
            span(minute + begins, minute + begins + length).lower >= one.lower
            and span(minute + begins, minute + begins + length).upper <= one.upper
            for one in free
        )
    }


@st.composite
def worlds(draw) -> tuple[list[Task], Facts]:
    """Up to three services one after the other, four therapists, four rooms of up to two types, and what is taken."""
    tasks, at = [], 0
    for _ in range(draw(st.integers(1, 3))):
        before, length, after = draw(st.integers(0, 4)), draw(st.integers(5, 20)), draw(st.integers(0, 4))
        begins = at + before if tasks else 0
        at = begins + length + after
        rooms = []
        for kind in draw(st.sets(st.integers(0, 1), max_size=2)):
            first = draw(st.integers(0, length - 1))
            part = stretch(begins + first, begins + draw(st.integers(first + 1, length)))
            whole = stretch(begins - before, at)
            candidates = draw(st.lists(st.sampled_from([2 * kind, 2 * kind + 1]), min_size=1, max_size=2, unique=True))
            rooms.append(RoomNeed(draw(st.sampled_from([part, whole])), tuple(candidates)))
        people = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True))
        tasks.append(Task(stretch(begins, begins + length), stretch(begins - before, at), tuple(people), tuple(rooms)))
    some = st.dictionaries(st.integers(0, 3), spans.map(union), max_size=4)
    facts = Facts(
        whole=WHOLE,
        opened=union(draw(spans)),
        at_work={one: draw(st.one_of(st.just([WHOLE]), spans.map(union))) for one in range(4)},
        staff_busy=draw(some),
        room_busy=draw(some),
    )
    return tasks, facts


def fits(tasks: list[Task], facts: Facts, minute: int) -> bool:
    """The twin: minute by minute, therapist by therapist, room by room."""

    def at(part: Stretch) -> set[int]:
        return {minute + number for number in range(part.begins // MINUTE, part.ends // MINUTE)}

    def in_one(wanted: set[int], some) -> bool:
        return any(wanted <= minutes([one]) for one in some)

    inside = set(range(LONG))
    whole_visit = at(Stretch(tasks[0].service.begins, tasks[-1].service.ends))
    return in_one(whole_visit, facts.opened) and all(
        any(
            at(task.occupied) <= inside - minutes(facts.staff_busy.get(one, ()))
            and in_one(at(task.service), facts.at_work[one])
            for one in task.staff
        )
        and all(
            any(at(room.during) <= inside - minutes(facts.room_busy.get(one, ())) for one in room.candidates)
            for room in task.rooms
        )
        for task in tasks
    )


@given(worlds())
def test_possible_starts_are_those_of_the_twin(world):
    tasks, facts = world

    found = minutes(possible_starts(tasks, facts))

    assert found == {minute for minute in range(-LONG, 2 * LONG) if fits(tasks, facts, minute)}


@settings(max_examples=30)  # each looks at a whole day
@given(worlds())
def test_a_place_is_chosen_exactly_where_there_is_one(world):
    tasks, facts = world
    offered = list(steps(possible_starts(tasks, facts), facts.opened, 5 * MINUTE))

    for minute in range(0, LONG, 5):
        starts_at = ZERO + minute * MINUTE
        places = choose(tasks, starts_at, facts, booked={})
        visit = Span(starts_at, starts_at + tasks[-1].service.ends)
        if fits(tasks, facts, minute):
            assert places is not None
        elif is_within(visit, facts.opened):
            # choose() is not asked about opening hours, nor about what lies outside the whole.
            inside = all(WHOLE.covers(task.occupied.at(starts_at)) for task in tasks)
            assert (
                places is None
                or not inside
                or any(not WHOLE.covers(room.during.at(starts_at)) for task in tasks for room in task.rooms)
            )
    for starts_at in offered:
        places = choose(tasks, starts_at, facts, booked={})
        assert places is not None
        for task, place in zip(tasks, places, strict=True):
            assert place.staff_id in task.staff
            assert is_free(task.occupied.at(starts_at), facts.staff_busy.get(place.staff_id, ()))
            assert is_within(task.service.at(starts_at), facts.at_work[place.staff_id])
            for one, room in zip(place.resource_ids, task.rooms, strict=True):
                assert one in room.candidates
                assert is_free(room.during.at(starts_at), facts.room_busy.get(one, ()))


def test_steps_count_from_the_opening():
    opened = [span(7, 60), span(70, 120)]

    found = list(steps([span(10, 24), span(71, 90)], opened, 5 * MINUTE))

    assert [(one - ZERO) // MINUTE for one in found] == [12, 17, 22, 75, 80, 85]


# Ten therapists are at work from 8 to 20 o'clock unless a case says otherwise; a service takes an hour from 12 on.
HOUR = dt.timedelta(hours=1)
DAY = Span(ZERO, ZERO + 24 * HOUR)


def hours(*some: tuple[float, float]) -> list[Span]:
    """Stretches in hours of the day."""
    return union(Span(ZERO + first * HOUR, ZERO + last * HOUR) for first, last in some)


def chosen(booked: dict[int, list[Span]], *, at_work=None, tasks=1, any_hours=False, **extra) -> list[int]:
    """Who performs each of so many services of an hour at 12 o'clock, of therapists 1, 2 and 3."""
    task = [
        Task(Stretch(number * HOUR, (number + 1) * HOUR), Stretch(number * HOUR, (number + 1) * HOUR), (1, 2, 3))
        for number in range(tasks)
    ]
    work = {one: hours((8, 20)) for one in (1, 2, 3)} | (at_work or {})
    facts = Facts(DAY, hours((8, 20)), work, booked, {}, booked)
    places = choose(task, ZERO + 12 * HOUR, facts, booked=booked_within(facts, DAY), any_hours=any_hours, **extra)
    assert places is not None
    return [place.staff_id for place in places]


@pytest.mark.parametrize(
    ("booked", "options", "expected"),
    [
        ({}, {}, [1]),  # nobody has anything: the first on the screen
        ({1: hours((8, 10))}, {}, [2]),  # the day stays balanced
        ({1: hours((8, 9)), 2: hours((8, 10)), 3: hours((14, 16))}, {}, [1]),
        ({1: hours((8, 11.75)), 2: hours((8, 12))}, {"at_work": {3: []}}, [2]),  # 15 minutes are lost, thrice 15 count
        ({1: hours((8, 11.5)), 2: hours((8, 12))}, {"at_work": {3: []}}, [1]),  # half an hour can be sold
        ({1: hours((9, 10)), 2: hours((13.25, 14.25)), 3: hours((17, 19))}, {}, [1]),  # also after it
        ({}, {"at_work": {1: hours((8, 13.25))}}, [2]),  # a shift's end makes a gap too
        ({}, {"preferred": (3,)}, [3]),
        ({3: hours((8, 12))}, {"preferred": (3,)}, [3]),  # however much that one has
        ({3: hours((11, 13))}, {"preferred": (3,)}, [1]),  # but not what that one cannot
        ({}, {"tasks": 2}, [1, 1]),  # nobody is handed over without need
        ({1: hours((13, 14))}, {"tasks": 2}, [2, 2]),
        ({1: hours((13, 14)), 2: hours((8, 12)), 3: hours((8, 12))}, {"tasks": 2}, [1, 2]),
        ({}, {"at_work": {1: []}, "any_hours": True}, [2]),  # whoever is on shift anyway
        ({2: hours((8, 20)), 3: hours((8, 20))}, {"at_work": {1: []}, "any_hours": True}, [1]),
    ],
)
def test_anyone_is_who_suits_best(booked, options, expected):
    assert chosen(booked, **options) == expected


@given(a_span, spans, spans)
def test_gaps_reach_as_far_as_the_twin_walks(occupied, at_work, busy):
    at_work, busy = union([*at_work, occupied]), subtract(union(busy), [occupied])
    free = minutes(at_work) - minutes(busy)
    first, last = min(minutes([occupied])), max(minutes([occupied]))
    before = after = 0
    while first - before - 1 in free:
        before += 1
    while last + after + 1 in free:
        after += 1

    assert gaps(occupied, at_work, busy) == (before * MINUTE, after * MINUTE)
