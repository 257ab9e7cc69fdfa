"""What stands in the calendar, read for :mod:`spa_app.services.availability`: hours, shifts, visits, blocked time."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch
from spa_app.services.availability import Facts, Span, union

_IDS = ARRAY(BigInteger)

# Therapists have no type; of a type that the branch has no room of, there is one row without an id.
_TEAM = text(
    """
    SELECT k.service_id, CAST(NULL AS bigint) AS type_id, CAST(NULL AS integer) AS from_minutes,
           CAST(NULL AS integer) AS length_minutes, s.id, s.full_name, s.position, 1 AS places
    FROM staff_skills k JOIN staff s ON s.id = k.staff_id
    WHERE k.service_id = ANY(:services) AND s.branch_id = :branch AND s.is_active
    UNION ALL
    SELECT n.service_id, n.type_id, n.from_minutes, n.length_minutes, r.id, '', r.position, r.places
    FROM service_resources n
    LEFT JOIN resources r ON r.type_id = n.type_id AND r.branch_id = :branch AND r.is_active
    WHERE n.service_id = ANY(:services)
    ORDER BY 2 NULLS FIRST, 8, 7, 5
    """
).bindparams(bindparam("services", type_=_IDS))

# A place that was only held, and for which the time has passed, is free: who takes it ends the hold.
_BUSY = text(
    """
    WITH free AS MATERIALIZED (
        SELECT ARRAY(SELECT id FROM bookings WHERE status = 'pending' AND held_until <= :now)
               || CAST(:leave_out AS bigint[]) AS ids)
    SELECT 's' AS whose, staff_id AS id, lower(occupied) AS lower, upper(occupied) AS upper, '' AS kind, '' AS reason,
           CAST(NULL AS bigint) AS party_id, 1 AS place
    FROM booking_items
    WHERE staff_id = ANY(:staff) AND occupied && tstzrange(:lower, :upper) AND occupies
      AND (booking_id = ANY(CAST((SELECT ids FROM free) AS bigint[]))) IS NOT TRUE
    UNION ALL
    SELECT 'r', resource_id, lower(occupied), upper(occupied), '', '', party_id, place FROM booking_item_resources
    WHERE resource_id = ANY(:resources) AND occupied && tstzrange(:lower, :upper) AND occupies
      AND booking_item_id NOT IN (SELECT id FROM booking_items
                                  WHERE booking_id = ANY(CAST((SELECT ids FROM free) AS bigint[])))
      AND party_id IS DISTINCT FROM COALESCE(CAST(:party AS bigint), 0)
    UNION ALL
    SELECT 's', staff_id, starts_at, ends_at, kind, reason, NULL, 1 FROM blocked_times
    WHERE staff_id = ANY(:staff) AND starts_at < :upper AND ends_at > :lower
    UNION ALL
    SELECT 'r', resource_id, starts_at, ends_at, kind, reason, NULL, 1 FROM blocked_times
    WHERE resource_id = ANY(:resources) AND starts_at < :upper AND ends_at > :lower
    ORDER BY 3, 2
    """
).bindparams(*(bindparam(name, type_=_IDS) for name in ("staff", "resources", "leave_out")))

_HOURS = text(
    """
    SELECT 'week' AS what, CAST(weekday AS bigint) AS id, CAST(NULL AS date) AS date, opens_at, closes_at, '' AS reason
    FROM branch_hours WHERE branch_id = :branch
    UNION ALL
    SELECT 'exception', NULL, happens_on, opens_at, closes_at, reason FROM branch_exceptions
    WHERE branch_id = :branch AND happens_on BETWEEN :first AND :last
    UNION ALL
    SELECT 'shift', staff_id, works_on, starts_at, ends_at, '' FROM staff_shifts
    WHERE staff_id = ANY(:staff) AND works_on BETWEEN :first AND :last
    UNION ALL
    SELECT 'roster', NULL, monday, NULL, NULL, '' FROM roster_weeks
    WHERE branch_id = :branch AND monday BETWEEN :first AND :last AND published_at IS NOT NULL
    ORDER BY 4
    """
).bindparams(bindparam("staff", type_=_IDS))


@dataclass(frozen=True, slots=True)
class Taken:
    """A stretch that is not free, and why: ``kind`` is empty for a visit, else that of the blocked time.

    ``party_id``: whose guests take the room, if they could share it; this one lies at ``place``.
    """

    span: Span
    kind: str = ""
    reason: str = ""
    party_id: int | None = None
    place: int = 1


@dataclass(frozen=True)
class Hours:
    """When the branch is open and its therapists are at work, from a Monday to a Sunday.

    ``reasons``: why the branch keeps other hours, by date. Therapists without a shift in a week whose roster was never
    published are at work in its opening hours.
    """

    opened: list[Span]
    at_work: dict[int, list[Span]]
    reasons: dict[dt.date, str]


@dataclass(frozen=True)
class Busy:
    """What is taken, by therapist and by room, each by its begin."""

    staff: Mapping[int, Sequence[Taken]]
    rooms: Mapping[int, Sequence[Taken]]


@dataclass(frozen=True)
class Team:
    """Who and what a branch has for some services: in order, the therapists of each and the rooms of each type.

    Rooms with several ``places`` come last: they are for those who come together.
    """

    names: dict[int, str]
    staff: dict[int, list[int]]
    rooms: dict[int, list[tuple[int, int, int | None, list[int]]]]  # (type, from, length, resources) by service
    places: dict[int, int]  # by resource


@dataclass(frozen=True, slots=True)
class Absence:
    """A stretch in which a therapist, or a room or machine, is not there, whether the calendar knows it or not."""

    span: Span
    staff_id: int | None = None
    resource_id: int | None = None


def load_team(service_ids: Collection[int], branch_id: int) -> Team:
    """The therapists and rooms of the branch that serve for each of the services. One statement."""
    names: dict[int, str] = {}
    staff: dict[int, list[int]] = {one: [] for one in service_ids}
    kinds: dict[int, dict[int, tuple[int, int, int | None, list[int]]]] = {one: {} for one in service_ids}
    values = {"services": list(service_ids), "branch": branch_id}
    places: dict[int, int] = {}
    for service_id, type_id, begins, length, one, name, _position, count in db.session.execute(_TEAM, values):
        if type_id is None:
            names[one] = name
            staff[service_id].append(one)
            continue
        of_type = kinds[service_id].setdefault(type_id, (type_id, begins, length, []))
        if one is not None:
            of_type[3].append(one)
            places[one] = count
    return Team(names, staff, {service_id: list(some.values()) for service_id, some in kinds.items()}, places)


def load_hours(branch: Branch, first: dt.date, last: dt.date, staff_ids: Collection[int] = ()) -> Hours:
    """Opening hours and shifts of the whole weeks that hold the two local dates. One statement."""
    monday = first - dt.timedelta(days=first.weekday())
    sunday = last + dt.timedelta(days=6 - last.weekday())
    values = {"branch": branch.id, "first": monday, "last": sunday, "staff": list(staff_ids)}
    week: dict[int, list[tuple[dt.time, dt.time]]] = defaultdict(list)
    exceptions: dict[dt.date, list[tuple[dt.time, dt.time]]] = {}
    reasons: dict[dt.date, str] = {}
    shifts: dict[tuple[int, dt.date], list[Span]] = defaultdict(list)
    published: set[dt.date] = set()

    def span(date: dt.date, begins: dt.time, ends: dt.time) -> Span:
        return Span(clock.at_local(date, begins, branch.timezone), clock.at_local(date, ends, branch.timezone))

    for what, id_, date, begins, ends, reason in db.session.execute(_HOURS, values):
        if what == "week":
            week[id_].append((begins, ends))
        elif what == "roster":
            published.add(date)
        elif what == "shift":
            shifts[id_, date - dt.timedelta(days=date.weekday())].append(span(date, begins, ends))
        else:
            periods = exceptions.setdefault(date, [])
            reasons[date] = reasons.get(date) or reason
            if begins is not None:
                periods.append((begins, ends))
    opened: list[Span] = []
    at_work: dict[int, list[Span]] = {one: [] for one in staff_ids}
    for offset in range(0, (sunday - monday).days, 7):
        begin = monday + dt.timedelta(days=offset)
        days = [begin + dt.timedelta(days=day) for day in range(7)]
        this_week = [span(day, *hours) for day in days for hours in exceptions.get(day, week[day.weekday()])]
        opened += this_week
        for one, spans in at_work.items():
            spans += shifts.get((one, begin), [] if begin in published else this_week)
    return Hours(union(opened), {one: union(spans) for one, spans in at_work.items()}, reasons)


def load_busy(
    whole: Span,
    staff_ids: Iterable[int],
    resource_ids: Iterable[int],
    *,
    except_booking_ids: Collection[int] = (),
    except_party_id: int | None = None,
    absence: Absence | None = None,
) -> Busy:
    """What is taken within ``whole``, but for the visits ``except_booking_ids`` and lapsed holds. One statement.

    ``except_party_id``: nor are the rooms of that party busy, which its guests may share. ``absence`` counts as
    blocked, whether it is recorded or not.
    """
    staff: dict[int, list[Taken]] = defaultdict(list)
    rooms: dict[int, list[Taken]] = defaultdict(list)
    values = {
        "staff": list(staff_ids),
        "resources": list(resource_ids),
        "lower": whole.lower,
        "upper": whole.upper,
        "leave_out": list(except_booking_ids),
        "party": except_party_id,
        "now": clock.now(),
    }
    for whose, one, lower, upper, *what in db.session.execute(_BUSY, values):
        (staff if whose == "s" else rooms)[one].append(Taken(Span(lower, upper), *what))
    if absence is not None and absence.staff_id is not None:
        staff[absence.staff_id].append(Taken(absence.span, "blocked"))
    if absence is not None and absence.resource_id is not None:
        rooms[absence.resource_id].append(Taken(absence.span, "blocked"))
    return Busy(staff, rooms)


def make_facts(whole: Span, hours: Hours, busy: Busy) -> Facts:
    """The same as plain intervals, opening hours and shifts cut to ``whole``."""

    def inside(spans: Sequence[Span]) -> list[Span]:
        return [span for span in spans if span.overlaps(whole)]

    return Facts(
        whole=whole,
        opened=inside(hours.opened),
        at_work={one: inside(spans) for one, spans in hours.at_work.items()},
        staff_busy={one: union(taken.span for taken in some) for one, some in busy.staff.items()},
        room_busy={one: union(taken.span for taken in some) for one, some in busy.rooms.items()},
        booked={one: union(taken.span for taken in some if not taken.kind) for one, some in busy.staff.items()},
    )
