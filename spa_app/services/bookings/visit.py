"""What every act on a visit begins with: the locked booking, its items and their cards."""

from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, bindparam, select
from sqlalchemy.orm import contains_eager

from spa_app import clock
from spa_app.errors import N_, ConflictError, NotFoundError, WayOut, Word, WrongStateError
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, BookingItemResource, CustomerTreatment
from spa_app.services import audit, treatments
from spa_app.services.actor import Actor

STATUS_WORDS = {
    "pending": N_("tentative"),
    "confirmed": N_("confirmed"),
    "in_progress": N_("in progress"),
    "completed": N_("completed"),
    "cancelled": N_("cancelled"),
    "no_show": N_("no-show"),
}

# Built once: every act on a visit begins with these.
_BOOKING_ID = bindparam("booking_id", type_=BigInteger)
_BOOKING = (
    select(Booking)
    .join(Booking.branch)
    .options(contains_eager(Booking.branch))
    .where(Booking.id == _BOOKING_ID)
    .execution_options(populate_existing=True)
)
_ITEMS = (
    select(BookingItem)
    .where(BookingItem.booking_id == _BOOKING_ID, BookingItem.cancelled_at.is_(None))
    .order_by(BookingItem.position)
    .execution_options(populate_existing=True)
)


def lock_booking(booking_id: int, *, actor: Actor) -> Booking:
    """Lock a booking and return it fresh; its branch, which most acts ask for next, comes along.

    Raises :class:`NotFoundError` for one of another branch or none.
    """
    booking: Booking | None = db.session.execute(
        _BOOKING.with_for_update(of=Booking), {"booking_id": booking_id}
    ).scalar()
    if booking is None:
        raise NotFoundError("booking_unknown", N_("There is no such visit."))
    actor.require_branch(booking.branch_id)
    return booking


def lock_bookings(booking_ids: Iterable[int]) -> Sequence[Booking]:
    """Lock several bookings, by id, and return them fresh. The caller has seen that they are the actor's to change."""
    query = (
        select(Booking)
        .where(Booking.id.in_(set(booking_ids)))
        .order_by(Booking.id)
        .execution_options(populate_existing=True)
    )
    return db.session.execute(query.with_for_update()).scalars().all()


def require_status(booking: Booking, *allowed: str) -> None:
    """Raise :class:`WrongStateError`, naming the present status, unless it is one of ``allowed``.

    A hold whose time has passed has no status that leads anywhere, whether or not it has been ended yet.
    """
    if booking.is_lapsed_hold(clock.now()) or (booking.status == "cancelled" and booking.held_until is not None):
        raise WrongStateError(
            "hold_over",
            N_("The place was held until %(until)s and is free again. Nothing was changed."),
            ways_out=(WayOut("waitlist", N_("Open the waitlist")),),
            until=booking.held_until,
        )
    if booking.status not in allowed:
        raise WrongStateError(
            "wrong_status",
            N_("This visit is %(status)s, so that is not possible. Nothing was changed."),
            status=Word(STATUS_WORDS[booking.status]),
            present=booking.status,
        )


def require_version(booking: Booking, version: int) -> None:
    """Raise :class:`ConflictError` unless the visit still is what the caller's screen showed."""
    if version != booking.version:
        raise ConflictError(
            "changed_meanwhile", N_("Somebody else has just changed this visit. Here is how it stands now.")
        )


def list_items(booking_id: int) -> Sequence[BookingItem]:
    """The visit's items in order, fresh; without those that were cancelled alone."""
    return db.session.execute(_ITEMS, {"booking_id": booking_id}).scalars().all()


def lock_cards_of(items: Sequence[BookingItem]) -> list[tuple[BookingItem, CustomerTreatment]]:
    """The prepaid items, each with its card, locked by id."""
    cards = treatments.lock_cards(item.treatment_id for item in items if item.treatment_id)
    return [(item, cards[item.treatment_id]) for item in items if item.treatment_id]


def list_resource_ids(item: BookingItem) -> Sequence[int]:
    """The rooms and machines that an item takes."""
    query = select(BookingItemResource.resource_id).where(BookingItemResource.booking_item_id == item.id)
    return db.session.execute(query).scalars().all()


def change_status(booking: Booking, status: str, action: str, *, actor: Actor, reason: str = "") -> None:
    """Bring a locked booking to another status, one version further, with its audit row.

    The foreign key carries the status to the items, whose exclusion constraints then have their say.
    """
    before = booking.status
    booking.status = status
    booking.version += 1
    db.session.flush()
    audit.record(
        action,
        entity="booking",
        entity_id=booking.id,
        actor=actor,
        before={"status": before},
        after={"status": status},
        reason=reason,
    )
