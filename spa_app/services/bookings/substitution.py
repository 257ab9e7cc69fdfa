"""Giving the visits of an absent therapist, or of a closed room, to others: all that was chosen, or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import update

from spa_app.errors import N_, ConflictError, InvalidError
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, BookingItemResource, Resource, Staff
from spa_app.services import audit, blocks, scheduling
from spa_app.services.actor import Actor
from spa_app.services.bookings.affected import AffectedItem, Bench, is_marked, list_affected_items, load_bench
from spa_app.services.bookings.visit import lock_bookings
from spa_app.services.scheduling_facts import Absence, Taken
from spa_app.services.transaction import atomic


@dataclass(frozen=True)
class Substitution:
    """Who, or which room, takes over an item of a visit that stood at ``version`` when it was chosen."""

    item_id: int
    version: int
    substitute_id: int


@dataclass(frozen=True)
class Mark:
    """How the absence is marked in the calendar: ``kind`` and ``reason`` as in :func:`blocks.block_time`."""

    kind: str
    reason: str = ""


def apply_substitutes(
    absence: Absence, chosen: Sequence[Substitution], *, actor: Actor, mark: Mark | None = None
) -> int:
    """Give each chosen visit to its substitute at the same time, and return how many those are.

    ``mark``: block its time too; visits that nobody takes over stay in it, and the calendar shows them. Locks the
    bookings by id, therapists by id, rooms by id, then checks everything anew. Raises :class:`ConflictError` where a
    visit was changed since (``changed_meanwhile``), somebody is no longer free (``substitute_taken``) or the absence is
    marked already, :class:`InvalidError` where nothing is asked for or somebody cannot do it; nothing is stored then.
    """
    with atomic():
        owner = blocks.find_owner(staff_id=absence.staff_id, resource_id=absence.resource_id, actor=actor)
        blocks.check_stretch(absence.span.lower, absence.span.upper)
        if not chosen and mark is None:
            raise InvalidError("nothing_chosen", N_("Nothing is chosen yet: choose who takes over a visit."))
        moves, visits = _lock(absence, owner, {one.item_id: one for one in chosen})
        scheduling.lock_rows(type(owner), {owner.id, *(one for _, one in moves)})
        if moves:
            places = _check(moves, load_bench(owner, [item for item, _ in moves], read=scheduling.busy_now))
            _write(moves, places, visits, owner, actor=actor)
        if mark is not None:
            if is_marked(absence):
                raise ConflictError(
                    "already_marked", N_("This absence has just been marked. Here is how it stands now.")
                )
            blocks.block_time(
                staff_id=absence.staff_id,
                resource_id=absence.resource_id,
                starts_at=absence.span.lower,
                ends_at=absence.span.upper,
                kind=mark.kind,
                reason=mark.reason,
                over_visits=True,
                actor=actor,
            )
        return len(moves)


def _lock(
    absence: Absence, owner: Staff | Resource, chosen: dict[int, Substitution]
) -> tuple[list[tuple[AffectedItem, int]], Sequence[Booking]]:
    """The chosen items, each with who takes over, and their visits, locked by id; all must be as they were shown."""
    seen = list_affected_items(absence, owner.branch_id, only=chosen)
    visits = lock_bookings(item.booking_id for item in seen)
    versions = {visit.id: visit.version for visit in visits}
    items = list_affected_items(absence, owner.branch_id, only=chosen)
    if len(items) < len(chosen) or any(versions.get(item.booking_id) != chosen[item.item_id].version for item in items):
        raise ConflictError(
            "changed_meanwhile",
            N_("Somebody else has just changed one of these visits. Nothing was stored; this is how it stands now."),
        )
    return [(item, chosen[item.item_id].substitute_id) for item in items], visits


def _check(moves: Sequence[tuple[AffectedItem, int]], bench: Bench) -> list[int]:
    """The place in the room of each who takes over: guests who come together may share one."""
    given: dict[int, list[Taken]] = {}
    places = []
    for item, one in moves:
        if one not in bench.able[item.service_id]:
            raise InvalidError(
                "substitute_unsuitable",
                N_("Not everybody chosen can take over %(service)s here."),
                service=item.service_name,
            )
        place = bench.seat(item, one, given.get(one, ())) if one in bench.free_for(item) else None
        if place is None:
            raise ConflictError(
                "substitute_taken",
                N_("%(name)s is no longer free for %(customer)s. Nothing was stored; this is how it stands now."),
                name=bench.names[one],
                customer=item.customer_name,
            )
        given.setdefault(one, []).append(Taken(item.taken, party_id=item.party_id, place=place))
        places.append(place)
    return places


def _write(
    moves: Sequence[tuple[AffectedItem, int]],
    places: Sequence[int],
    visits: Sequence[Booking],
    owner: Staff | Resource,
    *,
    actor: Actor,
) -> None:
    what = "staff_id" if isinstance(owner, Staff) else "resource_id"
    for (item, one), place in zip(moves, places, strict=True):
        if isinstance(owner, Staff):
            change = update(BookingItem).where(BookingItem.id == item.item_id).values(staff_id=one)
        else:
            change = (
                update(BookingItemResource)
                .where(BookingItemResource.booking_item_id == item.item_id, BookingItemResource.resource_id == owner.id)
                .values(resource_id=one, place=place)
            )
        db.session.execute(change)
    for visit in visits:
        visit.version += 1
        changed = {str(item.item_id): one for item, one in moves if item.booking_id == visit.id}
        audit.record(
            "booking_substituted",
            entity="booking",
            entity_id=visit.id,
            actor=actor,
            before={what: dict.fromkeys(changed, owner.id)},
            after={what: changed},
        )
    db.session.flush()
