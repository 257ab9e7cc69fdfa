"""Putting a visit into the calendar, and moving it there."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError, WrongStateError
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, BookingItemResource, Branch, Customer, Service
from spa_app.services import audit, holds, outbox, scheduling, treatments
from spa_app.services.actor import Actor
from spa_app.services.bookings.visit import (
    list_items,
    list_resource_ids,
    lock_booking,
    lock_cards_of,
    require_status,
    require_version,
)
from spa_app.services.scheduling import Need, Place, Placement, Slot, Wish
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

LATE_AFTER = dt.timedelta(minutes=15)  # a walk-in typed in a few minutes after it began is not "entered late"
DESK_LOOKS_BACK = dt.timedelta(days=7)
MOST_ITEMS = 10
NOTE_LENGTH = 2000
LEAST_MINUTES, MOST_MINUTES = 5, 720  # as long as a service of the catalogue may take

# Into the table: nobody asks for the objects.
_TAKE = BookingItemResource.__table__.insert()  # type: ignore[attr-defined]


@dataclass(frozen=True)
class ItemRequest:
    """One service that a visit shall hold. No therapist: anyone; no resource: any that serves; a card if prepaid."""

    service_id: int
    staff_id: int | None = None
    resource_id: int | None = None
    treatment_id: int | None = None


def book(
    *,
    customer_id: int,
    branch_id: int,
    starts_at: dt.datetime,
    items: Sequence[ItemRequest],
    actor: Actor,
    note: str = "",
    tentative: bool = False,
    override_hours: bool = False,
    held_until: dt.datetime | None = None,
    waitlist_entry_id: int | None = None,
) -> int:
    """Book a visit whose services follow one another from ``starts_at`` on, and return its id.

    Holds one session per prepaid item. ``override_hours``: a manager books outside opening hours or off shift, which is
    audited; never over another visit or blocked time. With ``held_until`` the place is only held, for an entry of the
    waitlist, until then. Locks therapists, rooms, lapsed holds, then cards. Raises
    :class:`InvalidError` at the field, :class:`SlotTakenError` naming the busy interval and the next free slot
    (1-product, *Bookings*).
    """
    with atomic() as session:
        actor.require_branch(branch_id)
        if override_hours:
            actor.require_manager()
        branch = session.get_one(Branch, branch_id)
        customer = session.get(Customer, customer_id)
        if customer is None:
            raise InvalidError("customer_unknown", N_("Choose a customer."), field="customer_id")
        if not 1 <= len(items) <= MOST_ITEMS:
            raise InvalidError("items_missing", N_("Choose at least one service."), field="items-0-service_id")
        note = clean_text(note, field="note", limit=NOTE_LENGTH)
        is_late = check_start(starts_at, actor=actor)
        wishes = [Wish(item.service_id, item.staff_id, item.resource_id) for item in items]
        needs = scheduling.in_sequence(wishes, starts_at)
        placement = scheduling.take_places(
            needs, branch=branch, preferred_staff_id=customer.preferred_staff_id, override_hours=override_hours
        )
        places = placement.places
        booking = Booking(
            branch_id=branch.id,
            customer_id=customer_id,
            status="pending" if tentative or held_until else "confirmed",
            starts_at=starts_at,
            note=note,
            entered_late=is_late,
            created_by_id=actor.user_id,
            held_until=held_until,
            held_by_id=actor.user_id if held_until else None,
            waitlist_entry_id=waitlist_entry_id,
        )
        visit_on = clock.local_date(starts_at, branch.timezone)
        holds.end_lapsed_of(customer_id)  # what they reserved on a card can be booked again
        cards = treatments.lock_cards(item.treatment_id for item in items if item.treatment_id)
        for item, need in zip(items, needs, strict=True):
            if item.treatment_id:
                treatments.check_usable(
                    cards.get(item.treatment_id),
                    customer_id=customer_id,
                    service_id=item.service_id,
                    visit_on=visit_on,
                    field=f"{need.field}treatment_id",
                )
        session.add(booking)
        session.flush()
        rows = _add_items(booking, items, needs, places)
        for row, need in zip(rows, needs, strict=True):
            if row.treatment_id:
                treatments.hold_session(
                    cards[row.treatment_id], item_id=row.id, actor=actor, field=f"{need.field}treatment_id"
                )
        audit.record(
            "booking_created",
            entity="booking",
            entity_id=booking.id,
            actor=actor,
            after={
                "customer_id": customer_id,
                "starts_at": starts_at.isoformat(),
                "staff": [place.staff_id for place in places],
                "entered_late": is_late,
                **({"held_until": held_until.isoformat()} if held_until else {}),
            },
        )
        record_override(booking, placement, actor=actor)
        if booking.status == "confirmed" and not is_late:
            outbox.add("booking_confirmed", {"booking_id": booking.id})
        return booking.id


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
        shift = starts_at - items[0].starts_at
        needs = _moved(items, starts_at, staff_id=staff_id, resource_id=resource_id, item_id=item_id, minutes=minutes)
        placement = scheduling.take_places(
            needs, branch=branch, except_booking_id=booking.id, override_hours=override_hours
        )
        before = _times_and_staff(items)
        replace_places(items, needs, placement.places)
        booking.starts_at = starts_at
        if shift:
            booking.entered_late = is_late
        booking.version += 1
        visit_on = clock.local_date(starts_at, branch.timezone)
        for item, card in lock_cards_of(items):
            treatments.check_usable(
                card,
                customer_id=booking.customer_id,
                service_id=item.service_id,
                visit_on=visit_on,
                field="starts_at",
            )
        audit.record(
            "booking_moved",
            entity="booking",
            entity_id=booking.id,
            actor=actor,
            before=before,
            after=_times_and_staff(items),
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
    needs = _moved(items, since, staff_id=staff_id, resource_id=resource_id, item_id=item_id, minutes=minutes)
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


def check_start(starts_at: dt.datetime, *, actor: Actor) -> bool:
    """Whether a visit that starts then is entered late. Raises :class:`InvalidError` where the actor may not do so."""
    now = clock.now()
    if starts_at < now - DESK_LOOKS_BACK and not actor.is_manager:
        raise InvalidError(
            "too_late",
            N_("The desk can enter visits of the last %(days)s days; a manager can go further back."),
            field="starts_at",
            days=DESK_LOOKS_BACK.days,
        )
    if starts_at > now + dt.timedelta(days=730):
        raise InvalidError("too_far", N_("That is more than two years ahead."), field="starts_at")
    return starts_at < now - LATE_AFTER


def _add_items(
    booking: Booking, items: Sequence[ItemRequest], needs: Sequence[Need], places: Sequence[Place]
) -> list[BookingItem]:
    rows = [
        BookingItem(
            booking_id=booking.id,
            booking_status=booking.status,
            position=position,
            service_id=item.service_id,
            staff_id=place.staff_id,
            treatment_id=item.treatment_id,
            starts_at=need.starts_at,
            ends_at=need.ends_at,
            occupied=need.occupied.as_range,
            price_amount=need.service.price_amount,
            vat_rate_bp=need.service.vat_rate_bp,
        )
        for position, (item, need, place) in enumerate(zip(items, needs, places, strict=True), start=1)
    ]
    db.session.add_all(rows)
    db.session.flush()
    for row, place in zip(rows, places, strict=True):
        add_resources(row.id, place)
    return rows


def _moved(
    items: Sequence[BookingItem],
    starts_at: dt.datetime,
    *,
    staff_id: int | None,
    resource_id: int | None,
    item_id: int | None,
    minutes: int | None,
) -> list[Need]:
    """The services of a visit as :func:`move` is to have them."""
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


def _times_and_staff(items: Sequence[BookingItem]) -> dict[str, Any]:
    return {
        "starts_at": items[0].starts_at.isoformat(),
        "staff": [item.staff_id for item in items],
        "minutes": [(item.ends_at - item.starts_at) // dt.timedelta(minutes=1) for item in items],
    }


def replace_places(items: Sequence[BookingItem], needs: Sequence[Need], places: Sequence[Place]) -> None:
    """Bring a visit's items to the times and places found for them."""
    ids = [item.id for item in items]
    db.session.execute(delete(BookingItemResource).where(BookingItemResource.booking_item_id.in_(ids)))
    waiting = list(zip(items, needs, places, strict=True))
    while waiting:
        # The services of one visit must not run into each other on the way. Their order stays, so there is always one
        # whose new time is clear of what the others still have.
        step = next(one for one in waiting if _is_clear(one, [item for item, *_ in waiting]))
        waiting.remove(step)
        item, need, place = step
        item.staff_id = place.staff_id
        item.starts_at = need.starts_at
        item.ends_at = need.ends_at
        item.occupied = need.occupied.as_range
        db.session.flush()
    for item, place in zip(items, places, strict=True):
        add_resources(item.id, place)


def _is_clear(step: tuple[BookingItem, Need, Place], items: Sequence[BookingItem]) -> bool:
    moved, need, place = step
    return not any(
        place.staff_id == item.staff_id and item.occupied.overlaps(need.occupied.as_range)
        for item in items
        if item is not moved
    )


def record_override(booking: Booking, placement: Placement, *, actor: Actor) -> None:
    """Note in the audit log what a manager's choice set aside, if it did."""
    if placement.overridden:
        audit.record(
            "booking_hours_overridden",
            entity="booking",
            entity_id=booking.id,
            actor=actor,
            after={"starts_at": booking.starts_at.isoformat(), **placement.overridden},
        )


def add_resources(item_id: int, place: Place) -> None:
    """Give an item the rooms and machines of its place."""
    rows = [
        {"booking_item_id": item_id, "resource_id": resource_id, "occupied": span.as_range, "occupies": True}
        for resource_id, span in place.rooms
    ]
    if rows:
        db.session.execute(_TAKE, rows)
