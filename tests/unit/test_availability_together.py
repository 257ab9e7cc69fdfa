"""Several visits at once, against a twin that tries every therapist and every place for everybody."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from spa_app.services.availability import Facts, RoomNeed, Task, choose, intersect, possible_starts, union
from spa_app.services.availability_together import Rooms, Seat, choose_together, possible_starts_together
from tests.unit.test_availability import LONG, MINUTE, WHOLE, ZERO, a_span, minutes, span, spans, stretch

PEOPLE = (1, 2, 3)
ROOMS = (7, 8)

some_rooms = st.lists(st.sampled_from(ROOMS), min_size=1, max_size=2, unique=True).map(tuple)


@st.composite
def visits(draw):
    """The services of one guest, one after the other, each with clean-up and perhaps a room for a part of it."""
    tasks, at = [], draw(st.integers(0, 10))
    for _ in range(draw(st.integers(1, 2))):
        length, after = draw(st.integers(5, 30)), draw(st.integers(0, 5))
        staff = draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=3, unique=True))
        rooms = draw(st.lists(some_rooms, max_size=1))
        begins = draw(st.integers(0, 4))
        during = stretch(at + begins, at + length) if draw(st.booleans()) else stretch(at, at + length + after)
        tasks.append(
            Task(
                service=stretch(at, at + length),
                occupied=stretch(at, at + length + after),
                staff=tuple(staff),
                rooms=tuple(RoomNeed(during, some) for some in rooms),
            )
        )
        at += length + after
    return tasks


guests = st.lists(visits(), min_size=1, max_size=3)
busy = st.dictionaries(st.sampled_from(PEOPLE), spans.map(union))
room_busy = st.dictionaries(st.sampled_from(ROOMS), spans.map(union))
room_places = st.fixed_dictionaries({room: st.integers(1, 3) for room in ROOMS})
seated = st.dictionaries(st.sampled_from(ROOMS), st.lists(st.tuples(a_span, st.integers(1, 3)), max_size=2))


def facts_of(staff_busy, rooms_busy):
    return Facts(WHOLE, [WHOLE], {who: [WHOLE] for who in PEOPLE}, staff_busy, rooms_busy)


def together(some, at, facts, rooms):
    return choose_together(some, at, facts, rooms=rooms, booked={}, preferred=[()] * len(some))


def is_sound(some, chosen, at, facts, rooms):
    """Nobody is in two places, nothing is taken twice, nothing that is busy or that is not there."""
    tasks = [
        (task, place)
        for tasks, places in zip(some, chosen, strict=True)
        for task, place in zip(tasks, places, strict=True)
    ]
    staff = [(place.staff_id, task.occupied.at(at)) for task, place in tasks]
    seats = [
        (seat, need.during.at(at)) for task, place in tasks for need, seat in zip(task.rooms, place.seats, strict=True)
    ]
    return (
        all(place.staff_id in task.staff for task, place in tasks)
        and not any(one.overlaps(other) for who, one in staff for other in facts.staff_busy.get(who, ()))
        and not any(a == b and one.overlaps(other) for (a, one), (b, other) in itertools.combinations(staff, 2))
        and not any(one.overlaps(other) for seat, one in seats for other in facts.room_busy.get(seat.resource_id, ()))
        and not any(a == b and one.overlaps(other) for (a, one), (b, other) in itertools.combinations(seats, 2))
        and not any(
            place == seat.place and one.overlaps(other)
            for seat, one in seats
            for other, place in rooms.seated.get(seat.resource_id, ())
        )
        and all(1 <= seat.place <= rooms.places[seat.resource_id] for seat, _ in seats)
    )


def twin(some, at, facts, rooms):
    """Whether there is a way at all: every therapist for every service, then every place for every need."""
    tasks = [task for visit in some for task in visit]
    needs = [need for task in tasks for need in task.rooms]

    def clash(mine, spans_):
        return any(
            a == b and one.overlaps(other)
            for (a, one), (b, other) in itertools.combinations(list(zip(mine, spans_, strict=True)), 2)
        )

    staffed = any(
        not clash(way, [task.occupied.at(at) for task in tasks])
        and not any(
            task.occupied.at(at).overlaps(other)
            for who, task in zip(way, tasks, strict=True)
            for other in facts.staff_busy.get(who, ())
        )
        for way in itertools.product(*(task.staff for task in tasks))
    )
    seats = [
        [
            Seat(room, place)
            for room in need.candidates
            if not any(need.during.at(at).overlaps(other) for other in facts.room_busy.get(room, ()))
            for place in range(1, rooms.places[room] + 1)
            if not any(
                place == taken and need.during.at(at).overlaps(other) for other, taken in rooms.seated.get(room, ())
            )
        ]
        for need in needs
    ]
    return staffed and any(not clash(way, [need.during.at(at) for need in needs]) for way in itertools.product(*seats))


@settings(deadline=None)
@given(guests, st.integers(0, LONG // 3), busy, room_busy, room_places, seated)
def test_all_fit_just_where_some_way_is_found_by_trying_all(some, minute, staff_busy, rooms_busy, places, there):
    facts, rooms, at = facts_of(staff_busy, rooms_busy), Rooms(places, there), ZERO + minute * MINUTE
    # What ends after the world is shut out by its opening hours, which the twin does not know.
    fits = all(task.service.at(at).upper <= WHOLE.upper for visit in some for task in visit)

    chosen = together(some, at, facts, rooms)

    assert (chosen is not None) == (fits and twin(some, at, facts, rooms))
    if chosen is not None:
        assert is_sound(some, chosen, at, facts, rooms)


@given(guests, busy, room_busy)
def test_starts_of_all_are_those_that_each_has(some, staff_busy, rooms_busy):
    facts = facts_of(staff_busy, rooms_busy)

    assert minutes(possible_starts_together(some, facts)) == set.intersection(
        *(minutes(possible_starts(tasks, facts)) for tasks in some)
    )


@given(visits(), st.integers(0, LONG // 3), busy, room_busy)
def test_one_guest_alone_fits_just_where_a_visit_does(tasks, minute, staff_busy, rooms_busy):
    facts, at = facts_of(staff_busy, rooms_busy), ZERO + minute * MINUTE

    alone = choose(tasks, at, facts, booked={})
    chosen = together([tasks], at, facts, Rooms())

    assert (alone is None) == (chosen is None)


def _task(*staff: int, rooms=(), length=30):
    return Task(
        stretch(0, length), stretch(0, length), staff, tuple(RoomNeed(stretch(0, length), one) for one in rooms)
    )


def test_guests_lie_in_one_room_where_it_has_places_for_all():
    some = [[_task(1, 2, rooms=[(7, 8)])], [_task(1, 2, rooms=[(7, 8)])]]

    chosen = together(some, ZERO, facts_of({}, {}), Rooms({7: 1, 8: 2}))

    assert [place.seats for (place,) in chosen] == [(Seat(8, 1),), (Seat(8, 2),)]


def test_a_room_that_is_free_for_one_of_them_is_no_common_one():
    some = [[_task(1, 2, rooms=[(7, 8, 9)])], [_task(1, 2, rooms=[(7, 8, 9)], length=60)]]

    chosen = together(some, ZERO, facts_of({}, {7: [span(40, 60)]}), Rooms({7: 2, 9: 2}))

    assert {seat.resource_id for (place,) in chosen for seat in place.seats} == {9}


def test_each_has_whom_they_would_rather_have():
    some = [[_task(1, 2, 3)], [_task(1, 2, 3)]]

    chosen = choose_together(some, ZERO, facts_of({}, {}), rooms=Rooms(), booked={}, preferred=[(3,), (2,)])

    assert [place.staff_id for (place,) in chosen] == [3, 2]


def test_a_puzzle_is_given_up_instead_of_holding_up_the_desk():
    everybody = tuple(range(1, 9))
    facts = Facts(WHOLE, [WHOLE], {who: [WHOLE] for who in everybody}, {}, {})
    some = [[_task(*everybody)] for _ in range(9)]

    assert together(some, ZERO, facts, Rooms()) is None
    assert intersect(possible_starts_together(some, facts), [WHOLE])
