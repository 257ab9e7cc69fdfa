"""Putting a visit into the calendar."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spa_app import clock
from spa_app.errors import N_, InvalidError
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, BookingItemResource, Branch, Customer, CustomerTreatment
from spa_app.services import audit, holds, outbox, scheduling, treatments
from spa_app.services.actor import Actor
from spa_app.services.scheduling import Place, Placement
from spa_app.services.scheduling_needs import Need, Wish, in_sequence
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

LATE_AFTER = dt.timedelta(minutes=15)  # a walk-in typed in a few minutes after it began is not "entered late"
DESK_LOOKS_BACK = dt.timedelta(days=7)
MOST_ITEMS = 10
NOTE_LENGTH = 2000

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
        needs = in_sequence(wishes, starts_at)
        placement = scheduling.take_places(
            needs, branch=branch, preferred_staff_id=customer.preferred_staff_id, override_hours=override_hours
        )
        holds.end_lapsed_of(customer_id)  # what they reserved on a card can be booked again
        cards = treatments.lock_cards(item.treatment_id for item in items if item.treatment_id)
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
        return enter_visit(booking, items, needs, placement, cards=cards, branch=branch, actor=actor)


def enter_visit(
    booking: Booking,
    items: Sequence[ItemRequest],
    needs: Sequence[Need],
    placement: Placement,
    *,
    cards: Mapping[int, CustomerTreatment],
    branch: Branch,
    actor: Actor,
) -> int:
    """Store a visit at the places found for it, with its holds and its audit rows, and return its id.

    The caller holds the therapists, the rooms and ``cards`` locked. Raises :class:`InvalidError` at the card's field.
    """
    visit_on = clock.local_date(booking.starts_at, branch.timezone)
    for item, need in zip(items, needs, strict=True):
        if item.treatment_id:
            treatments.check_usable(
                cards.get(item.treatment_id),
                customer_id=booking.customer_id,
                service_id=item.service_id,
                branch_id=branch.id,
                visit_on=visit_on,
                field=f"{need.field}treatment_id",
            )
    db.session.add(booking)
    db.session.flush()
    rows = _add_items(booking, items, needs, placement.places)
    for row, need in zip(rows, needs, strict=True):
        if row.treatment_id:
            treatments.hold_session(
                cards[row.treatment_id],
                item_id=row.id,
                customer_id=booking.customer_id,
                actor=actor,
                field=f"{need.field}treatment_id",
            )
    audit.record(
        "booking_created",
        entity="booking",
        entity_id=booking.id,
        actor=actor,
        after={
            "customer_id": booking.customer_id,
            "starts_at": booking.starts_at.isoformat(),
            "staff": [place.staff_id for place in placement.places],
            "entered_late": booking.entered_late,
            **({"party_id": booking.party_id} if booking.party_id else {}),
            **({"held_until": booking.held_until.isoformat()} if booking.held_until else {}),
        },
    )
    record_override(booking, placement, actor=actor)
    if booking.status == "confirmed" and not booking.entered_late:
        outbox.add("booking_confirmed", {"booking_id": booking.id})
    return booking.id


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
        add_resources(row.id, place, party_id=booking.party_id)
    return rows


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


def add_resources(item_id: int, place: Place, *, party_id: int | None) -> None:
    """Give an item the rooms and machines of its place; in a party others of it may be in the same room."""
    seats = place.seats or [1] * len(place.rooms)
    rows = [
        {
            "booking_item_id": item_id,
            "resource_id": resource_id,
            "occupied": span.as_range,
            "occupies": True,
            "party_id": party_id,
            "place": seat,
        }
        for (resource_id, span), seat in zip(place.rooms, seats, strict=True)
    ]
    if rows:
        db.session.execute(_TAKE, rows)
