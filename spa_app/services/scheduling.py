"""Who and what is free, and when. What is offered and what is written follow the same rules.

The exclusion constraints on ``booking_items`` and ``booking_item_resources`` have the last word; the locks taken here
only let a refusal name who is in the way, and keep two desks from waiting for each other in a circle.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import Range

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError, SlotTakenError, WayOut
from spa_app.extensions import db
from spa_app.models import (
    BookingItem,
    BookingItemResource,
    Branch,
    BranchHours,
    Resource,
    Service,
    ServiceResource,
    Staff,
    StaffSkill,
)

SLOT_STEP = dt.timedelta(minutes=15)
SLOT_DAYS = 14

BUSY = {
    "staff_busy": (
        N_("The therapist is busy from %(busy_from)s to %(busy_to)s. Next free: %(next)s."),
        N_("Every therapist who could is busy, the first from %(busy_from)s to %(busy_to)s. Next free: %(next)s."),
    ),
    "resource_busy": (
        N_("The room or equipment is busy from %(busy_from)s to %(busy_to)s. Next free: %(next)s."),
        N_("Every room that would do is busy, the first from %(busy_from)s to %(busy_to)s. Next free: %(next)s."),
    ),
}


@dataclass(frozen=True)
class Span:
    """A half-open stretch of time."""

    lower: dt.datetime
    upper: dt.datetime

    def overlaps(self, other: "Span") -> bool:
        """Whether the two have an instant in common."""
        return self.lower < other.upper and other.lower < self.upper

    @property
    def as_range(self) -> Range[dt.datetime]:
        """The same stretch as PostgreSQL keeps it."""
        return Range(self.lower, self.upper)


@dataclass(frozen=True)
class Need:
    """One service that is to take place: from ``starts_at`` on, by one therapist and in one room of several."""

    service: Service
    starts_at: dt.datetime
    staff_id: int | None = None  # None: anyone
    resource_id: int | None = None  # None: any of the type that the service needs
    preferred_resource_ids: tuple[int, ...] = ()  # taken where none is named and they are free
    field: str = ""  # how the form calls this item, such as items-0-
    duration: dt.timedelta | None = None  # None: what the service takes

    @property
    def ends_at(self) -> dt.datetime:
        """When the service itself is over."""
        return self.starts_at + (self.duration or dt.timedelta(minutes=self.service.duration_minutes))

    @cached_property
    def occupied(self) -> Span:
        """The time taken, clean-up buffers included. Kept: a search compares it with hundreds of others."""
        before = dt.timedelta(minutes=self.service.buffer_before_minutes)
        after = dt.timedelta(minutes=self.service.buffer_after_minutes)
        return Span(self.starts_at - before, self.ends_at + after)


@dataclass(frozen=True)
class Place:
    """Who performs a service, and which rooms and machines it takes."""

    staff_id: int
    resource_ids: tuple[int, ...]


@dataclass(frozen=True)
class Slot:
    """A time that can be booked as it stands."""

    starts_at: dt.datetime
    staff_id: int
    staff_name: str


def take_places(needs: Sequence[Need], *, branch: Branch, except_booking_id: int | None = None) -> list[Place]:
    """Find a therapist and the rooms for each need, and lock them: staff by id, then resources by id.

    ``except_booking_id`` is the booking being moved, whose present place does not count.

    "Anyone" becomes the qualified therapist with the fewest visits that day. Raises :class:`InvalidError` at the field
    for a therapist without the skill or of another branch, and :class:`SlotTakenError` naming the busy interval and
    the next free slot.
    """
    qualified = [_qualified_staff(need.service.id, branch.id) for need in needs]
    suitable = [_suitable_resources(need.service.id, branch.id) for need in needs]
    _check_choices(needs, qualified, suitable)
    staff_ids = {need.staff_id or one for need, some in zip(needs, qualified, strict=True) for one in some}
    _lock(Staff, staff_ids)
    _lock(Resource, {one for kinds in suitable for some in kinds.values() for one in some})
    whole = Span(min(need.occupied.lower for need in needs), max(need.occupied.upper for need in needs))
    staff_busy = _staff_busy(staff_ids, whole, except_booking_id=except_booking_id)
    resource_busy = _resources_busy(whole, branch.id, except_booking_id=except_booking_id)
    load = _load(staff_ids, needs[0].starts_at, branch)
    places = []
    for need, staff, kinds in zip(needs, qualified, suitable, strict=True):
        wanted = [need.staff_id] if need.staff_id else sorted(staff, key=lambda one: (load.get(one, 0), staff[one]))
        staff_id = _first_free(need, wanted, staff_busy, branch, code="staff_busy")
        resource_ids = []
        for some in kinds.values():
            preferred = sorted(some, key=lambda one: one not in need.preferred_resource_ids)
            choice = [need.resource_id] if need.resource_id in some else preferred
            resource_ids.append(_first_free(need, choice, resource_busy, branch, code="resource_busy"))
        staff_busy.setdefault(staff_id, []).append(need.occupied)
        for resource_id in resource_ids:
            resource_busy.setdefault(resource_id, []).append(need.occupied)
        places.append(Place(staff_id, tuple(resource_ids)))
    return places


def retake_places(items: Sequence[BookingItem], *, branch: Branch) -> None:
    """Lock the therapists and rooms that the items of one given-up visit had, and see that they are free again.

    Raises :class:`SlotTakenError` naming the busy interval and the next free slot.
    """
    held = db.session.execute(
        select(BookingItemResource.booking_item_id, BookingItemResource.resource_id).where(
            BookingItemResource.booking_item_id.in_([item.id for item in items])
        )
    ).all()
    _lock(Staff, (item.staff_id for item in items))
    _lock(Resource, (row.resource_id for row in held))
    needs = {
        item.id: Need(
            db.session.get_one(Service, item.service_id), item.starts_at, duration=item.ends_at - item.starts_at
        )
        for item in items
    }
    whole = Span(
        min(need.occupied.lower for need in needs.values()), max(need.occupied.upper for need in needs.values())
    )
    staff_busy = _staff_busy((item.staff_id for item in items), whole)
    resource_busy = _resources_busy(whole, branch.id)
    for item in items:
        _first_free(needs[item.id], [item.staff_id], staff_busy, branch, code="staff_busy")
    for item_id, resource_id in held:
        _first_free(needs[item_id], [resource_id], resource_busy, branch, code="resource_busy")


def next_slots(
    *, service: Service, branch: Branch, since: dt.datetime, staff_id: int | None = None, limit: int = 5
) -> list[Slot]:
    """The next times at which the service fits, therapist and room included, within opening hours.

    Looks from ``since`` on, in steps of a quarter of an hour, through the next fourteen days. Locks nothing.
    """
    staff = _qualified_staff(service.id, branch.id)
    if staff_id is not None:
        staff = {one: position for one, position in staff.items() if one == staff_id}
    kinds = _suitable_resources(service.id, branch.id)
    if not staff or not all(kinds.values()):
        return []
    names = dict(db.session.execute(select(Staff.id, Staff.full_name).where(Staff.id.in_(staff))).all())
    slots: list[Slot] = []
    first_day = clock.local_date(since, branch.timezone)
    for offset in range(SLOT_DAYS):
        periods = open_periods(branch, first_day + dt.timedelta(days=offset))
        if not periods:
            continue
        whole = Span(periods[0].lower - dt.timedelta(hours=3), periods[-1].upper + dt.timedelta(hours=3))
        staff_busy = _staff_busy(staff, whole)
        resource_busy = _resources_busy(whole, branch.id)
        for period in periods:
            for starts_at in _steps(max(period.lower, since), period):
                need = Need(service, starts_at)
                if need.ends_at > period.upper:
                    break
                if not all(any(_is_free(one, need, resource_busy) for one in some) for some in kinds.values()):
                    continue
                free = next((one for one in staff if _is_free(one, need, staff_busy)), None)
                if free is not None:
                    slots.append(Slot(starts_at, free, names[free]))
                    if len(slots) == limit:
                        return slots
    return slots


def find_slots(
    *, service_id: int, branch_id: int, since: dt.datetime, staff_id: int | None = None, limit: int = 5
) -> list[Slot]:
    """What :func:`next_slots` finds, asked for by id. Raises :class:`NotFoundError` for a service not on offer."""
    service = db.session.execute(select(Service).where(Service.id == service_id, Service.is_active)).scalar()
    if service is None:
        raise NotFoundError("service_unknown", N_("There is no such service."))
    branch = db.session.get_one(Branch, branch_id)
    return next_slots(service=service, branch=branch, since=since, staff_id=staff_id, limit=limit)


def open_periods(branch: Branch, date: dt.date) -> list[Span]:
    """When the branch is open on a local date, as instants, in order."""
    hours = db.session.execute(
        select(BranchHours.opens_at, BranchHours.closes_at)
        .where(BranchHours.branch_id == branch.id, BranchHours.weekday == date.weekday())
        .order_by(BranchHours.opens_at)
    )
    return [
        Span(clock.at_local(date, opens_at, branch.timezone), clock.at_local(date, closes_at, branch.timezone))
        for opens_at, closes_at in hours
    ]


def check_open(needs: Sequence[Need], *, branch: Branch) -> None:
    """Raise :class:`InvalidError` when a service would begin or end outside the branch's opening hours."""
    periods = open_periods(branch, clock.local_date(needs[0].starts_at, branch.timezone))
    starts_at, ends_at = needs[0].starts_at, needs[-1].ends_at
    if not any(period.lower <= starts_at and ends_at <= period.upper for period in periods):
        raise InvalidError(
            "branch_closed",
            N_("%(branch)s is closed at that time, or closes before the visit is over."),
            field="starts_at",
            ways_out=(WayOut("choose_slot", N_("Choose another time")),),
            branch=branch.name,
        )


def _check_choices(
    needs: Sequence[Need], qualified: Sequence[dict[int, int]], suitable: Sequence[dict[int, list[int]]]
) -> None:
    for need, staff, kinds in zip(needs, qualified, suitable, strict=True):
        service = need.service.name
        if need.staff_id is not None and need.staff_id not in staff:
            raise InvalidError(
                "staff_unqualified",
                N_("This therapist does not perform %(service)s here."),
                field=f"{need.field}staff_id",
                service=service,
            )
        if not staff:
            raise InvalidError(
                "nobody_qualified",
                N_("Nobody here performs %(service)s."),
                field=f"{need.field}service_id",
                service=service,
            )
        if not all(kinds.values()) or (
            need.resource_id and not any(need.resource_id in some for some in kinds.values())
        ):
            raise InvalidError(
                "resource_unsuitable",
                N_("This room or equipment does not serve for %(service)s here."),
                field=f"{need.field}resource_id",
                service=service,
            )


def _first_free(
    need: Need, candidates: Sequence[int], busy: dict[int, list[Span]], branch: Branch, *, code: str
) -> int:
    for one in candidates:
        if _is_free(one, need, busy):
            return one
    spans = [span for span in busy.get(candidates[0], []) if span.overlaps(need.occupied)]
    message = BUSY[code][0 if len(candidates) == 1 else 1]
    staff_id = candidates[0] if code == "staff_busy" and len(candidates) == 1 else need.staff_id
    following = next_slots(service=need.service, branch=branch, since=need.starts_at, staff_id=staff_id, limit=1)
    raise SlotTakenError(
        code,
        message,
        field="starts_at",
        ways_out=(WayOut("choose_slot", N_("Choose another time"), {"service_id": need.service.id}),),
        busy_from=spans[0].lower,
        busy_to=spans[-1].upper,
        next=following[0].starts_at if following else None,
    )


def _is_free(one: int, need: Need, busy: dict[int, list[Span]]) -> bool:
    return not any(span.overlaps(need.occupied) for span in busy.get(one, ()))


def _steps(since: dt.datetime, period: Span) -> Iterable[dt.datetime]:
    missing = (period.lower - since) % SLOT_STEP
    at = since + missing
    while at < period.upper:
        yield at
        at += SLOT_STEP


def _lock(model: type[Staff | Resource], ids: Iterable[int]) -> None:
    # NO KEY UPDATE leaves the foreign key checks of other desks alone.
    db.session.execute(
        select(model.id).where(model.id.in_(set(ids))).order_by(model.id).with_for_update(key_share=True)
    ).all()


def _qualified_staff(service_id: int, branch_id: int) -> dict[int, int]:
    query = (
        select(Staff.id, Staff.position)
        .join(StaffSkill, StaffSkill.staff_id == Staff.id)
        .where(StaffSkill.service_id == service_id, Staff.branch_id == branch_id, Staff.is_active)
        .order_by(Staff.position, Staff.id)
    )
    return dict(db.session.execute(query).all())


def _suitable_resources(service_id: int, branch_id: int) -> dict[int, list[int]]:
    """For each type that the service needs, the branch's resources of that type, in order."""
    query = (
        select(ServiceResource.type_id, Resource.id)
        .outerjoin(
            Resource,
            (Resource.type_id == ServiceResource.type_id) & (Resource.branch_id == branch_id) & Resource.is_active,
        )
        .where(ServiceResource.service_id == service_id)
        .order_by(ServiceResource.type_id, Resource.position, Resource.id)
    )
    kinds: dict[int, list[int]] = {}
    for type_id, resource_id in db.session.execute(query):
        kinds.setdefault(type_id, []).extend([resource_id] if resource_id else [])
    return kinds


def _staff_busy(
    staff_ids: Iterable[int], whole: Span, *, except_booking_id: int | None = None
) -> dict[int, list[Span]]:
    query = (
        select(BookingItem.staff_id, func.lower(BookingItem.occupied), func.upper(BookingItem.occupied))
        .where(
            BookingItem.staff_id.in_(set(staff_ids)),
            BookingItem.occupied.overlaps(whole.as_range),
            BookingItem.occupies,
            BookingItem.booking_id.is_distinct_from(except_booking_id),
        )
        .order_by(BookingItem.starts_at)
    )
    return _grouped(query)


def _resources_busy(whole: Span, branch_id: int, *, except_booking_id: int | None = None) -> dict[int, list[Span]]:
    query = (
        select(
            BookingItemResource.resource_id,
            func.lower(BookingItemResource.occupied),
            func.upper(BookingItemResource.occupied),
        )
        .join(Resource, Resource.id == BookingItemResource.resource_id)
        .join(BookingItem, BookingItem.id == BookingItemResource.booking_item_id)
        .where(
            Resource.branch_id == branch_id,
            BookingItemResource.occupied.overlaps(whole.as_range),
            BookingItemResource.occupies,
            BookingItem.booking_id.is_distinct_from(except_booking_id),
        )
        .order_by(BookingItem.starts_at)
    )
    return _grouped(query)


def _load(staff_ids: Iterable[int], at: dt.datetime, branch: Branch) -> dict[int, int]:
    """How many visits each therapist has on the local day of ``at``."""
    start, end = clock.day_bounds(clock.local_date(at, branch.timezone), branch.timezone)
    query = (
        select(BookingItem.staff_id, func.count())
        .where(
            BookingItem.staff_id.in_(set(staff_ids)),
            BookingItem.starts_at >= start,
            BookingItem.starts_at < end,
            BookingItem.occupies,
        )
        .group_by(BookingItem.staff_id)
    )
    return dict(db.session.execute(query).all())


def _grouped(query: Select[int, dt.datetime, dt.datetime]) -> dict[int, list[Span]]:
    busy: dict[int, list[Span]] = {}
    for one, lower, upper in db.session.execute(query):
        busy.setdefault(one, []).append(Span(lower, upper))
    return busy
