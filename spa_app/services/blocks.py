"""Time that no visit may take: a therapist's leave or break, a closed room, a machine in maintenance."""

import datetime as dt
from typing import Any

from sqlalchemy import Select, func, select

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError, SlotTakenError, WayOut
from spa_app.extensions import db
from spa_app.models import (
    RESOURCE_KINDS,
    STAFF_KINDS,
    BlockedTime,
    Booking,
    BookingItem,
    BookingItemResource,
    Customer,
    Resource,
    Staff,
)
from spa_app.services import audit, holds
from spa_app.services.actor import Actor
from spa_app.services.availability import Span
from spa_app.services.scheduling import lock_rows
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

REASON_LENGTH = 200
LONGEST = dt.timedelta(days=366)


def block_time(
    *,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
    kind: str,
    actor: Actor,
    staff_id: int | None = None,
    resource_id: int | None = None,
    reason: str = "",
    over_visits: bool = False,
) -> int:
    """Block a therapist (``kind`` of :data:`STAFF_KINDS`) or a room (of :data:`RESOURCE_KINDS`); returns its id.

    Locks the therapist's or the room's row, as booking does, and looks for visits under that lock: of a visit and a
    blocked time that race for one stretch, the second is refused. Raises :class:`InvalidError` at the field, and
    :class:`SlotTakenError` naming the first visit in the way, which is to be moved first.

    ``over_visits``: an absence is a fact, whoever is booked. The visits in it stay where they are, and the audit log
    names their services; the calendar shows that they need somebody else. Nothing more can be booked there.
    """
    with atomic() as session:
        owner = find_owner(staff_id=staff_id, resource_id=resource_id, actor=actor)
        if kind not in (STAFF_KINDS if staff_id else RESOURCE_KINDS):
            raise InvalidError("kind_unknown", N_("Choose another kind."), field="kind")
        check_stretch(starts_at, ends_at)
        reason = clean_text(reason, field="reason", limit=REASON_LENGTH, lines=False)
        if not reason and kind == "blocked":
            raise InvalidError("reason_missing", N_("Say why, in a few words."), field="reason")
        lock_rows(type(owner), [owner.id])
        span = Span(starts_at, ends_at)
        is_staff = isinstance(owner, Staff)
        holds.end_lapsed_at(span, [owner.id] if is_staff else [], [] if is_staff else [owner.id])
        if not over_visits:
            _check_free(owner, span)
        block = BlockedTime(
            staff_id=staff_id,
            resource_id=resource_id,
            kind=kind,
            reason=reason,
            starts_at=starts_at,
            ends_at=ends_at,
            created_by_id=actor.user_id,
        )
        session.add(block)
        session.flush()
        after = {**_as_json(block), **({"left": _items_within(owner, span)} if over_visits else {})}
        audit.record("time_blocked", entity="blocked_time", entity_id=block.id, actor=actor, after=after, reason=reason)
        return block.id


def unblock_time(block_id: int, *, actor: Actor) -> int:
    """Take a blocked time away and return its id. Raises :class:`NotFoundError` for one of another branch or none."""
    with atomic() as session:
        block = session.execute(select(BlockedTime).where(BlockedTime.id == block_id).with_for_update()).scalar()
        if block is None:
            raise NotFoundError("block_unknown", N_("This blocked time is no longer there."))
        if block.staff_id is not None:
            actor.require_branch(session.get_one(Staff, block.staff_id).branch_id)
        else:
            actor.require_branch(session.get_one(Resource, block.resource_id).branch_id)
        audit.record("time_unblocked", entity="blocked_time", entity_id=block.id, actor=actor, before=_as_json(block))
        session.delete(block)
        return block_id


def find_owner(*, staff_id: int | None, resource_id: int | None, actor: Actor) -> Staff | Resource:
    """Whose time it is. Raises :class:`InvalidError` unless exactly one is named, :class:`NotFoundError` elsewhere."""
    if (staff_id is None) == (resource_id is None):
        raise InvalidError("nothing_to_block", N_("Choose a therapist or a room."), field="what")
    owner = db.session.get(Staff, staff_id) if staff_id else db.session.get(Resource, resource_id)
    if owner is None:
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    actor.require_branch(owner.branch_id)
    return owner


def check_stretch(starts_at: dt.datetime, ends_at: dt.datetime) -> None:
    """Raise :class:`InvalidError` at ``ends_at`` for a stretch that nobody means."""
    if ends_at <= starts_at:
        raise InvalidError("ends_before", N_("The end must come after the beginning."), field="ends_at")
    if ends_at - starts_at > LONGEST or starts_at > clock.now() + 2 * LONGEST:
        raise InvalidError("too_long", N_("Block a year at most, no further than two years ahead."), field="ends_at")


def _check_free(owner: Staff | Resource, span: Span) -> None:
    found = visits_within(owner, span)
    if found is not None:
        name, lower, upper = found
        raise SlotTakenError(
            "visit_in_the_way",
            N_("%(customer)s is booked there from %(busy_from)s to %(busy_to)s. Move that visit first."),
            field="starts_at",
            ways_out=(WayOut("calendar", N_("Open the calendar")),),
            customer=name,
            busy_from=lower,
            busy_to=upper,
        )


def visits_within(owner: Staff | Resource, span: Span) -> tuple[str, dt.datetime, dt.datetime] | None:
    """The first visit that takes time of a therapist or a room within ``span``: whose it is, from when, to when."""
    query = (
        select(Customer.full_name, func.lower(BookingItem.occupied), func.upper(BookingItem.occupied))
        .join(Booking, Booking.customer_id == Customer.id)
        .join(BookingItem, BookingItem.booking_id == Booking.id)
        .order_by(BookingItem.starts_at)
        .limit(1)
    )
    row = db.session.execute(_within(query, owner, span)).first()
    return (row[0], row[1], row[2]) if row else None


def _items_within(owner: Staff | Resource, span: Span) -> list[int]:
    return list(db.session.execute(_within(select(BookingItem.id).order_by(BookingItem.id), owner, span)).scalars())


def _within(query: Select[Any], owner: Staff | Resource, span: Span) -> Select[Any]:
    if isinstance(owner, Staff):
        return query.where(
            BookingItem.staff_id == owner.id, BookingItem.occupies, BookingItem.occupied.overlaps(span.as_range)
        )
    return query.join(BookingItemResource, BookingItemResource.booking_item_id == BookingItem.id).where(
        BookingItemResource.resource_id == owner.id,
        BookingItemResource.occupies,
        BookingItemResource.occupied.overlaps(span.as_range),
    )


def _as_json(block: BlockedTime) -> dict[str, Any]:
    return {
        "staff_id": block.staff_id,
        "resource_id": block.resource_id,
        "kind": block.kind,
        "starts_at": block.starts_at.isoformat(),
        "ends_at": block.ends_at.isoformat(),
    }
