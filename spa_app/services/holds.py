"""A place held for a customer for a few minutes, and how that ends: by time, or by hand.

A hold is a pending booking with ``held_until``, so that the exclusion constraints see it like any visit. Once the time
has passed the place is free: whoever takes it ends the hold first, in the same transaction (:func:`end_lapsed_at`). The
periodic job only tidies up, and nothing depends on it.
"""

import datetime as dt
from collections.abc import Iterable
from functools import partial

from sqlalchemy import ColumnElement, Select, or_, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, BookingItemResource
from spa_app.services import audit, treatments
from spa_app.services.actor import SYSTEM, Actor
from spa_app.services.availability import Span
from spa_app.services.transaction import atomic, in_transaction

# Long enough to ring a customer and let them look into their diary, short enough for the next one on the list.
HOLD_FOR = dt.timedelta(minutes=10)
LAPSED, RELEASED = "hold_lapsed", "hold_released"


def end_hold(booking: Booking, action: str, *, actor: Actor) -> None:
    """Give up a locked hold: its place is free, a reserved session goes back, and no policy has a say.

    ``action`` is how the audit log calls it. Locks its cards by id. ``held_until`` stays on record: it tells the hold
    from a visit that was cancelled.
    """
    query = (
        select(BookingItem)
        .where(
            BookingItem.booking_id == booking.id,
            BookingItem.treatment_id.is_not(None),
            BookingItem.cancelled_at.is_(None),
        )
        .order_by(BookingItem.position)
    )
    items = db.session.execute(query).scalars().all()
    cards = treatments.lock_cards(item.treatment_id for item in items if item.treatment_id)
    for item in items:
        if item.treatment_id:
            treatments.release_hold(cards[item.treatment_id], item_id=item.id, actor=actor, reason=action)
    booking.status = "cancelled"
    booking.cancelled_at = clock.now()
    booking.cancel_reason = action
    booking.version += 1
    db.session.flush()
    audit.record(
        action,
        entity="booking",
        entity_id=booking.id,
        actor=actor,
        before={"status": "pending"},
        after={"status": "cancelled"},
    )


def end_lapsed_at(whole: Span, staff_ids: Iterable[int], room_ids: Iterable[int]) -> None:
    """End the holds whose time has passed and that take any of these therapists or rooms within ``whole``.

    The caller holds the therapists and rooms locked, and looks for places afterwards. Locks the holds by id, then each
    one's cards: a desk that confirmed one at the last moment is waited for, and its visit then stands.
    """
    item = select(BookingItem.booking_id).where(BookingItem.occupies)
    by_staff = item.where(BookingItem.staff_id.in_(set(staff_ids)), BookingItem.occupied.overlaps(whole.as_range))
    by_room = item.join(BookingItemResource, BookingItemResource.booking_item_id == BookingItem.id).where(
        BookingItemResource.resource_id.in_(set(room_ids)), BookingItemResource.occupied.overlaps(whole.as_range)
    )
    _end_lapsed(or_(Booking.id.in_(by_staff), Booking.id.in_(by_room)))


def end_lapsed_of(customer_id: int) -> None:
    """End the holds of one customer whose time has passed, so that a session they reserved can be booked again.

    Locks the holds by id, then each one's cards.
    """
    _end_lapsed(Booking.customer_id == customer_id)


def end_all_lapsed() -> int:
    """End every hold whose time has passed, each in a transaction of its own, and return how many those were.

    Safe to repeat, to run twice at once and to kill at any moment: one that a desk has locked is left to the desk.
    """

    def end(booking_id: int) -> bool:
        query = _lapsed(Booking.id == booking_id).with_for_update(skip_locked=True)
        booking = db.session.execute(query).scalar()
        if booking is not None:
            end_hold(booking, LAPSED, actor=SYSTEM)
        return booking is not None

    with atomic() as session:
        ids = session.execute(_lapsed().with_only_columns(Booking.id)).scalars().all()
    return sum(in_transaction(partial(end, booking_id)) for booking_id in ids)


def _end_lapsed(which: ColumnElement[bool]) -> None:
    for booking in db.session.execute(_lapsed(which).with_for_update()).scalars().all():
        end_hold(booking, LAPSED, actor=SYSTEM)


def _lapsed(*which: ColumnElement[bool]) -> Select[Booking]:
    return (
        select(Booking)
        .where(Booking.status == "pending", Booking.held_until <= clock.now(), *which)
        .order_by(Booking.id)
        .execution_options(populate_existing=True)
    )
