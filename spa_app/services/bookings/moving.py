"""Moving a visit in the calendar, and changing how long it takes."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError, SlotTakenError, WrongStateError
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, BookingItemResource, Branch, Service
from spa_app.services import audit, scheduling, treatments
from spa_app.services.actor import Actor
from spa_app.services.bookings.booking import add_resources, check_start, record_override
from spa_app.services.bookings.visit import (
    list_items,
    list_resource_ids,
    lock_booking,
    lock_cards_of,
    require_status,
    require_version,
)
from spa_app.services.scheduling import Place, Placement, Slot
from spa_app.services.scheduling_needs import Need
from spa_app.services.scheduling_parties import GuestNeeds, take_places_together
from spa_app.services.transaction import atomic

LEAST_MINUTES, MOST_MINUTES = 5, 720  # as long as a service of the catalogue may take


def move(
    booking_id: int,
    *,
    starts_at: dt.datetime,
    actor: Actor,
    staff_id: int | None = None,
    resource_id: int | None = None,
    item_id: int | None = None,
    minutes: int | None = None,
    version: int | None = None,
    override_hours: bool = False,
) -> int:
    """Move a visit to another time, therapist or room, and return its id. Everything is checked anew.

    The services keep their order and what lies between them. ``item_id`` names the one service that ``staff_id``,
    ``resource_id`` and ``minutes`` (how long it takes; its price and its buffers stay) are about: the services after it
    follow where it now ends earlier or later. Without it ``staff_id`` takes over from the therapist of the first
    service, and ``resource_id`` from its room; empty keeps the therapists, and the rooms where they are free.
    ``override_hours`` is as in :func:`book`; ``version`` is what the caller's screen showed. Locks the booking,
    therapists, rooms, then cards. Raises what :func:`book` raises, :class:`ConflictError` when somebody else changed
    the visit meanwhile, and :class:`WrongStateError` for a visit that is over (a manager may still correct it).
    """
    with atomic() as session:
        if override_hours:
            actor.require_manager()
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "pending", "confirmed")
        if version is not None:
            require_version(booking, version)
        branch = session.get_one(Branch, booking.branch_id)
        items = list_items(booking_id)
        require_not_over(items, actor=actor)
        is_late = check_start(starts_at, actor=actor)
        needs = moved_needs(
            items, starts_at, staff_id=staff_id, resource_id=resource_id, item_id=item_id, minutes=minutes
        )
        placement = take_places_anew(booking, needs, branch=branch, override_hours=override_hours)
        before = times_and_staff(items)
        replace_places(items, needs, placement.places, party_id=booking.party_id)
        return settle_move(
            booking, items, placement, starts_at, before=before, is_late=is_late, branch=branch, actor=actor
        )


def take_places_anew(booking: Booking, needs: Sequence[Need], *, branch: Branch, override_hours: bool) -> Placement:
    """Places for a visit that stands already, its present ones not counted; in a party it may go on sharing rooms.

    Locks and raises as :func:`scheduling.take_places`.
    """
    if booking.party_id is None:
        return scheduling.take_places(needs, branch=branch, except_booking_id=booking.id, override_hours=override_hours)
    (placement,) = take_places_together(
        [GuestNeeds(needs)],
        branch=branch,
        party_id=booking.party_id,
        except_booking_ids=[booking.id],
        override_hours=override_hours,
    )
    return placement


def settle_move(
    booking: Booking,
    items: Sequence[BookingItem],
    placement: Placement,
    starts_at: dt.datetime,
    *,
    before: dict[str, Any],
    is_late: bool,
    branch: Branch,
    actor: Actor,
) -> int:
    """Note that a locked visit stands at new places since, check its cards for the new date, and return its id.

    ``before``: its :func:`times_and_staff` until then.
    """
    if starts_at != booking.starts_at:
        booking.starts_at = starts_at
        booking.entered_late = is_late
    booking.version += 1
    visit_on = clock.local_date(starts_at, branch.timezone)
    for item, card in lock_cards_of(items):
        treatments.check_usable(
            card,
            customer_id=booking.customer_id,
            service_id=item.service_id,
            branch_id=branch.id,
            visit_on=visit_on,
            field="starts_at",
        )
    audit.record(
        "booking_moved",
        entity="booking",
        entity_id=booking.id,
        actor=actor,
        before=before,
        after=times_and_staff(items),
    )
    record_override(booking, placement, actor=actor)
    return booking.id


def find_moves(
    booking_id: int,
    *,
    since: dt.datetime,
    staff_id: int | None = None,
    resource_id: int | None = None,
    item_id: int | None = None,
    minutes: int | None = None,
    limit: int = 5,
) -> list[Slot]:
    """The next starts of the whole visit from ``since`` on at which :func:`move`, asked the same, would find a place.

    Locks nothing. Raises what :func:`move` raises for an ``item_id`` or ``minutes`` that cannot be.
    """
    items = list_items(booking_id)
    branch = db.session.get_one(Branch, db.session.get_one(Booking, booking_id).branch_id)
    needs = moved_needs(items, since, staff_id=staff_id, resource_id=resource_id, item_id=item_id, minutes=minutes)
    return scheduling.next_slots(needs, branch=branch, since=since, limit=limit, except_booking_id=booking_id)


def check_minutes(minutes: int) -> dt.timedelta:
    """How long a service is to take. Raises :class:`InvalidError` for what no service takes."""
    if not LEAST_MINUTES <= minutes <= MOST_MINUTES:
        raise InvalidError(
            "minutes_out_of_range",
            N_("A service takes from %(least)s to %(most)s minutes."),
            field="minutes",
            least=LEAST_MINUTES,
            most=MOST_MINUTES,
        )
    return dt.timedelta(minutes=minutes)


def require_not_over(items: Sequence[BookingItem], *, actor: Actor) -> None:
    """Raise :class:`WrongStateError` when the time of a visit has passed, unless a manager corrects it.

    What became of it is noted instead: a move would lead around the policy for those who do not come (1-product,
    *Bookings*: past items are locked).
    """
    ends_at = max(item.ends_at for item in items)
    if ends_at <= clock.now() and not actor.is_manager:
        raise WrongStateError(
            "visit_over",
            N_(
                "The time of this visit was over at %(ends_at)s, so it stays where it is: "
                "complete it, or note a no-show. A manager can still move it."
            ),
            ends_at=ends_at,
        )


def moved_needs(
    items: Sequence[BookingItem],
    starts_at: dt.datetime,
    *,
    staff_id: int | None = None,
    resource_id: int | None = None,
    item_id: int | None = None,
    minutes: int | None = None,
) -> list[Need]:
    """What a visit needs from ``starts_at`` on; all else as in :func:`move`.

    Raises :class:`NotFoundError` for an ``item_id`` that is not in it, and :class:`InvalidError` for ``minutes`` that
    no service takes.
    """
    first = items[0]
    meant = first if item_id is None else next((item for item in items if item.id == item_id), None)
    if meant is None:
        raise NotFoundError("item_unknown", N_("This service is no longer part of the visit."))
    if minutes is not None and item_id is None and len(items) > 1:
        raise InvalidError("item_missing", N_("Choose the service that takes so long."), field="item_id")
    rooms = {item.id: tuple(list_resource_ids(item)) for item in items}
    shift = starts_at - first.starts_at
    needs = []
    for item in items:
        duration = item.ends_at - item.starts_at
        wanted = check_minutes(minutes) if minutes is not None and item is meant else duration
        goes_along = item_id is None and item.staff_id == first.staff_id
        moves_along = item_id is None and not set(rooms[item.id]).isdisjoint(rooms[first.id])
        needs.append(
            Need(
                service=db.session.get_one(Service, item.service_id),
                starts_at=item.starts_at + shift,
                duration=wanted,
                staff_id=staff_id if staff_id and (item is meant or goes_along) else item.staff_id,
                resource_id=resource_id if item is meant or moves_along else None,
                preferred_resource_ids=rooms[item.id],
            )
        )
        shift += wanted - duration
    return needs


def times_and_staff(items: Sequence[BookingItem]) -> dict[str, Any]:
    """What the audit log keeps of a visit's place."""
    return {
        "starts_at": items[0].starts_at.isoformat(),
        "staff": [item.staff_id for item in items],
        "minutes": [(item.ends_at - item.starts_at) // dt.timedelta(minutes=1) for item in items],
    }


def replace_places(
    items: Sequence[BookingItem], needs: Sequence[Need], places: Sequence[Place], *, party_id: int | None
) -> None:
    """Bring the items of a visit, or of several of a party, to the times and places found for them.

    Raises :class:`SlotTakenError` where one could only be where another is, and that one only where the first is.
    """
    ids = [item.id for item in items]
    db.session.execute(delete(BookingItemResource).where(BookingItemResource.booking_item_id.in_(ids)))
    waiting = list(zip(items, needs, places, strict=True))
    while waiting:
        # They must not run into each other on the way. The order of one visit's services stays, and so does that of
        # visits moved by the same time, so there is always one whose new time is clear of what the others still have.
        # Only a visit that gets shorter while its party moves later could have to pass another one's.
        step = next((one for one in waiting if _is_clear(one, [item for item, *_ in waiting])), None)
        if step is None:
            raise SlotTakenError(
                "guests_cross",
                N_("A therapist would then have the guests in another order. Move them first, then change the length."),
                field="minutes",
            )
        waiting.remove(step)
        item, need, place = step
        item.staff_id = place.staff_id
        item.starts_at = need.starts_at
        item.ends_at = need.ends_at
        item.occupied = need.occupied.as_range
        db.session.flush()
    for item, place in zip(items, places, strict=True):
        add_resources(item.id, place, party_id=party_id)


def _is_clear(step: tuple[BookingItem, Need, Place], items: Sequence[BookingItem]) -> bool:
    moved, need, place = step
    return not any(
        place.staff_id == item.staff_id and item.occupied.overlaps(need.occupied.as_range)
        for item in items
        if item is not moved
    )
