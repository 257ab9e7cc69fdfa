"""Therapists and rooms as managers set them up. Nobody and nothing is deleted: visits of the past stand on them."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, func, select

from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError
from spa_app.models import Resource, ResourceType, Service, Staff, StaffSkill
from spa_app.queries import setup
from spa_app.queries.rosters import OffShift
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.scheduling import lock_rows
from spa_app.services.seen import require_unchanged
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

NAME_LENGTH = 120


def save_therapist(
    *,
    branch_id: int,
    full_name: str,
    skills: Collection[int],
    actor: Actor,
    is_active: bool = True,
    staff_id: int | None = None,
    seen: str | None = None,
    despite_visits: bool = False,
) -> int:
    """Add a therapist, or change one, and return their id. ``skills``: ids of the services that they perform.

    Locks the therapist. Raises :class:`InvalidError` at ``full_name`` or ``skills``, :class:`NotFoundError` for one of
    another branch, and :class:`ConflictError` where they are no longer as ``seen``, or are to leave with visits ahead
    (has_visits) unless ``despite_visits``: those stay booked.
    """
    actor.require_manager()
    actor.require_branch(branch_id)
    full_name = clean_name(full_name, field="full_name")
    with atomic() as session:
        known = set(session.execute(select(Service.id).where(Service.id.in_(skills))).scalars())
        if known != set(skills):
            raise InvalidError("service_unknown", N_("Choose a service."), field="skills")
        if staff_id is None:
            last = session.scalar(select(func.max(Staff.position)).where(Staff.branch_id == branch_id))
            row = Staff(branch_id=branch_id, full_name=full_name, position=min((last or 0) + 1, 32_000))
            session.add(row)
            session.flush()
            before = None
        else:
            lock_rows(Staff, [staff_id])
            before = _only(setup.list_therapists(branch_id, staff_id)).state
            require_unchanged(before, seen)
            if before["is_active"] and not is_active and not despite_visits:
                refuse_with_visits(setup.visits_of_staff(staff_id))
            row = session.get_one(Staff, staff_id, populate_existing=True)
            row.full_name, row.is_active = full_name, is_active
            session.execute(delete(StaffSkill).where(StaffSkill.staff_id == staff_id))
        session.add_all(StaffSkill(staff_id=row.id, service_id=service_id) for service_id in sorted(known))
        session.flush()
        after = _only(setup.list_therapists(branch_id, row.id)).state
        audit.record("therapist_saved", entity="staff", entity_id=row.id, actor=actor, before=before, after=after)
        return row.id


def save_room(
    *,
    branch_id: int,
    name: str,
    type_id: int,
    actor: Actor,
    is_active: bool = True,
    resource_id: int | None = None,
    seen: str | None = None,
    despite_visits: bool = False,
) -> int:
    """Add a room or a machine, or change one, and return its id. Locks it.

    Raises as :func:`save_therapist` does, at ``name`` and ``type_id``, and ConflictError for a name in use.
    """
    actor.require_manager()
    actor.require_branch(branch_id)
    name = clean_name(name, field="name")
    with atomic() as session:
        if session.get(ResourceType, type_id) is None:
            raise InvalidError("type_unknown", N_("Choose a kind of room."), field="type_id")
        if resource_id is None:
            last = session.scalar(select(func.max(Resource.position)).where(Resource.branch_id == branch_id))
            row = Resource(branch_id=branch_id, type_id=type_id, name=name, position=min((last or 0) + 1, 32_000))
            session.add(row)
            session.flush()
            before = None
        else:
            lock_rows(Resource, [resource_id])
            before = _only(setup.list_rooms(branch_id, resource_id)).state
            require_unchanged(before, seen)
            gives_way = (before["is_active"] and not is_active) or before["type_id"] != type_id
            if gives_way and not despite_visits:
                refuse_with_visits(setup.visits_in_room(resource_id))
            row = session.get_one(Resource, resource_id, populate_existing=True)
            row.name, row.type_id, row.is_active = name, type_id, is_active
        session.flush()
        after = _only(setup.list_rooms(branch_id, row.id)).state
        audit.record("room_saved", entity="resource", entity_id=row.id, actor=actor, before=before, after=after)
        return row.id


def clean_name(name: str, *, field: str) -> str:
    """A name as it is stored. Raises :class:`InvalidError` for none, and for what no text may hold."""
    name = clean_text(name, field=field, limit=NAME_LENGTH, lines=False)
    if not name:
        raise InvalidError("name_missing", N_("Give a name."), field=field)
    return name


def refuse_with_visits(visits: Sequence[OffShift]) -> None:
    """Raise :class:`ConflictError` where anything is booked there from now on."""
    if visits:
        raise ConflictError(
            "has_visits",
            N_("Visits are booked there from now on; they are listed below. Nothing was changed yet."),
            field="is_active",
        )


def _only(rows: Sequence[Any]) -> Any:
    if not rows:
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    return rows[0]
