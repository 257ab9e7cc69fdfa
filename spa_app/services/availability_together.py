"""When several visits fit at once, as arithmetic: each guest a therapist of their own, and a place in a room.

No I/O, like :mod:`~spa_app.services.availability`, on whose intervals it stands. Therapists and rooms are two questions
that do not touch each other; each is answered by trying the choices in order, those with the fewest candidates first.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from spa_app.services.availability import (
    Facts,
    Span,
    Task,
    free_rooms,
    free_staff,
    intersect,
    possible_starts,
    score,
)

Choice = TypeVar("Choice")
MOST_TRIES = 2_000  # a handful of guests needs a few dozen; who asks for a puzzle is told that it does not fit


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in a room; the first is 1."""

    resource_id: int
    place: int = 1


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """Who performs a service, and which rooms and machines it takes, one for each of its needs in order."""

    staff_id: int
    seats: tuple[Seat, ...]


@dataclass(frozen=True)
class Rooms:
    """``places``: how many guests a room takes (one, where it says nothing). ``seated``: who of the party is there."""

    places: Mapping[int, int] = field(default_factory=dict)
    seated: Mapping[int, Sequence[tuple[Span, int]]] = field(default_factory=dict)

    def seats(self, resource_id: int, during: Span) -> list[Seat]:
        """The places that nobody of the party has in that time."""
        taken = {place for span, place in self.seated.get(resource_id, ()) if span.overlaps(during)}
        count = self.places.get(resource_id, 1)
        return [Seat(resource_id, place) for place in range(1, count + 1) if place not in taken]


def possible_starts_together(guests: Sequence[Sequence[Task]], facts: Facts) -> list[Span]:
    """The starts at which each guest alone would find a place; whether all do at once says :func:`choose_together`."""
    starts = possible_starts(guests[0], facts)
    for tasks in guests[1:]:
        starts = intersect(starts, possible_starts(tasks, facts))
    return starts


def choose_together(
    guests: Sequence[Sequence[Task]],
    starts_at: dt.datetime,
    facts: Facts,
    *,
    rooms: Rooms,
    booked: Mapping[int, dt.timedelta],
    preferred: Sequence[Collection[int]],
    any_hours: bool = False,
) -> list[list[SharedPlace]] | None:
    """A place for each task of each guest, the offsets of all of them from one start; None where there is none.

    ``facts.room_busy`` is what others than the party take; its own are ``rooms.seated``. No therapist serves two guests
    at a time. A room that can take all who could be in it comes first, otherwise each guest's rooms in their order.
    """
    staff = _choose_staff(guests, starts_at, facts, booked=booked, preferred=preferred, any_hours=any_hours)
    seats = _choose_seats(guests, starts_at, facts, rooms) if staff is not None else None
    if staff is None or seats is None:
        return None
    return [
        [
            SharedPlace(staff[guest, number], tuple(seats[guest, number, one] for one in range(len(task.rooms))))
            for number, task in enumerate(tasks)
        ]
        for guest, tasks in enumerate(guests)
    ]


def _choose_staff(
    guests: Sequence[Sequence[Task]],
    starts_at: dt.datetime,
    facts: Facts,
    *,
    booked: Mapping[int, dt.timedelta],
    preferred: Sequence[Collection[int]],
    any_hours: bool,
) -> dict[tuple[int, int], int] | None:
    tasks = {(guest, number): task for guest, some in enumerate(guests) for number, task in enumerate(some)}
    people = {key: free_staff(task, starts_at, facts, any_hours=any_hours) for key, task in tasks.items()}
    spans = {key: task.occupied.at(starts_at) for key, task in tasks.items()}
    order = sorted(tasks, key=lambda key: (len(people[key]), spans[key].lower, key))

    def candidates(key: tuple[int, int], chosen: Mapping[tuple[int, int], int]) -> Sequence[int]:
        taken = {staff_id for other, staff_id in chosen.items() if spans[other].overlaps(spans[key])}
        before = chosen.get((key[0], key[1] - 1))
        return sorted(
            (one for one in people[key] if one not in taken),
            key=lambda one: score(
                one, tasks[key], starts_at, facts, booked=booked, preferred=preferred[key[0]], before=before
            ),
        )

    return _assign(order, candidates)


def _choose_seats(
    guests: Sequence[Sequence[Task]], starts_at: dt.datetime, facts: Facts, rooms: Rooms
) -> dict[tuple[int, int, int], Seat] | None:
    needs = {
        (guest, number, one): need
        for guest, tasks in enumerate(guests)
        for number, task in enumerate(tasks)
        for one, need in enumerate(task.rooms)
    }
    spans = {key: need.during.at(starts_at) for key, need in needs.items()}
    free = {key: free_rooms(need, starts_at, facts) for key, need in needs.items()}
    order = sorted(needs, key=lambda key: (len(free[key]), spans[key].lower, key))

    def assign(only: int | None) -> dict[tuple[int, int, int], Seat] | None:
        def candidates(key: tuple[int, int, int], chosen: Mapping[tuple[int, int, int], Seat]) -> Sequence[Seat]:
            taken = {seat for other, seat in chosen.items() if spans[other].overlaps(spans[key])}
            some = [only] if only is not None and only in needs[key].candidates else free[key]
            return [
                seat for one in some if one in free[key] for seat in rooms.seats(one, spans[key]) if seat not in taken
            ]

        return _assign(order, candidates)

    for one in _common_rooms(needs.keys(), lambda key: free[key], rooms):
        together = assign(one)
        if together is not None:
            return together
    return assign(None)


def _common_rooms(
    keys: Collection[tuple[int, int, int]], free: Callable[[tuple[int, int, int]], Sequence[int]], rooms: Rooms
) -> Iterator[int]:
    """The rooms with several places in which several guests could be, in the order in which they are offered."""
    could: dict[int, set[int]] = {}
    for key in keys:
        for one in free(key):
            could.setdefault(one, set()).add(key[0])
    return (one for one, who in could.items() if len(who) > 1 and rooms.places.get(one, 1) > 1)


Key = TypeVar("Key")


def _assign(
    order: Sequence[Key], candidates: Callable[[Key, Mapping[Key, Choice]], Sequence[Choice]]
) -> dict[Key, Choice] | None:
    """Something for each key, by trying: what suits best first, and back where there is nothing left to choose from."""
    chosen: dict[Key, Choice] = {}
    waiting: list[Iterator[Choice]] = []
    for _ in range(MOST_TRIES):
        if len(chosen) == len(order):
            return chosen
        if len(waiting) == len(chosen):
            waiting.append(iter(candidates(order[len(chosen)], chosen)))
        one = next(waiting[-1], None)
        if one is not None:
            chosen[order[len(chosen)]] = one
            continue
        waiting.pop()
        if not waiting:
            return None
        chosen.popitem()
    return None
