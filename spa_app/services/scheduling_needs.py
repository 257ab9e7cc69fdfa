"""What is to take place, before it is known where: wishes as needs, needs as tasks for the arithmetic."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import select

from spa_app.errors import N_, InvalidError
from spa_app.extensions import db
from spa_app.models import Service
from spa_app.services.availability import RoomNeed, Span, Stretch, Task
from spa_app.services.scheduling_facts import Team


@dataclass(frozen=True)
class Wish:
    """One service that somebody would like. No therapist: anyone; no resource: any that serves."""

    service_id: int
    staff_id: int | None = None
    resource_id: int | None = None


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
        """The time taken, clean-up buffers included."""
        before = dt.timedelta(minutes=self.service.buffer_before_minutes)
        after = dt.timedelta(minutes=self.service.buffer_after_minutes)
        return Span(self.starts_at - before, self.ends_at + after)

    def part(self, from_minutes: int, length_minutes: int | None) -> Span:
        """The time for which a room is needed; the whole where the visit is too short for the part."""
        if length_minutes is None:
            return self.occupied
        begins = self.starts_at + dt.timedelta(minutes=from_minutes)
        ends = min(begins + dt.timedelta(minutes=length_minutes), self.occupied.upper)
        return Span(begins, ends) if begins < ends else self.occupied


def in_sequence(wishes: Sequence[Wish], starts_at: dt.datetime, *, prefix: str = "") -> list[Need]:
    """The services one after the other. Raises :class:`InvalidError` at the field of one that is not on offer.

    ``prefix`` is how the form calls the guest whose services they are, such as ``guests-0-``.
    """
    return in_order(load_services(wish.service_id for wish in wishes), wishes, starts_at, prefix=prefix)


def load_services(service_ids: Iterable[int]) -> dict[int, Service]:
    """Those of the services that are on offer, by id. One statement."""
    query = select(Service).where(Service.id.in_(set(service_ids)), Service.is_active)
    return {service.id: service for service in db.session.execute(query).scalars()}


def in_order(
    services: Mapping[int, Service], wishes: Sequence[Wish], starts_at: dt.datetime, *, prefix: str = ""
) -> list[Need]:
    """:func:`in_sequence` for services that are loaded already; raises what it raises."""
    needs: list[Need] = []
    for position, wish in enumerate(wishes):
        field = f"{prefix}items-{position}-"
        service = services.get(wish.service_id)
        if service is None:
            raise InvalidError("service_unknown", N_("Choose a service."), field=f"{field}service_id")
        if needs:
            # The next service waits until the clean-up of the one before is over.
            starts_at = needs[-1].occupied.upper + dt.timedelta(minutes=service.buffer_before_minutes)
        needs.append(Need(service, starts_at, wish.staff_id, wish.resource_id, field=field))
    return needs


def offsets(span: Span, starts_at: dt.datetime) -> Stretch:
    """Where ``span`` lies, counted from ``starts_at``."""
    return Stretch(span.lower - starts_at, span.upper - starts_at)


def make_task(need: Need, starts_at: dt.datetime, staff: Sequence[int], rooms: Sequence[RoomNeed]) -> Task:
    """One need as offsets from ``starts_at``, with who and what could serve."""
    return Task(
        service=offsets(Span(need.starts_at, need.ends_at), starts_at),
        occupied=offsets(need.occupied, starts_at),
        staff=tuple(staff),
        rooms=tuple(rooms),
    )


def make_tasks(needs: Sequence[Need], team: Team, *, starts_at: dt.datetime | None = None) -> list[Task]:
    """The needs as offsets from ``starts_at`` (the first of them), with who and what could serve."""
    starts_at = starts_at or needs[0].starts_at
    tasks = []
    for need in needs:
        rooms = []
        for _, begins, length, some in team.rooms[need.service.id]:
            first = sorted(some, key=lambda one: one not in need.preferred_resource_ids)
            candidates = (need.resource_id,) if need.resource_id in some else tuple(first)
            rooms.append(RoomNeed(offsets(need.part(begins, length), starts_at), candidates))
        staff = (need.staff_id,) if need.staff_id else team.staff[need.service.id]
        tasks.append(make_task(need, starts_at, staff, rooms))
    return tasks


def list_candidates(tasks: Sequence[Task]) -> tuple[list[int], list[int]]:
    """All therapists and all rooms that could serve for any of the tasks."""
    staff = {one for task in tasks for one in task.staff}
    return sorted(staff), sorted({one for task in tasks for room in task.rooms for one in room.candidates})


def check_choices(needs: Sequence[Need], team: Team) -> None:
    """Raise :class:`InvalidError` at the field of a therapist or room that cannot serve, whatever the time."""
    for need in needs:
        service, staff = need.service.name, team.staff[need.service.id]
        kinds = [some for *_, some in team.rooms[need.service.id]]
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
        if not all(kinds) or (need.resource_id and not any(need.resource_id in some for some in kinds)):
            raise InvalidError(
                "resource_unsuitable",
                N_("This room or equipment does not serve for %(service)s here."),
                field=f"{need.field}resource_id",
                service=service,
            )
