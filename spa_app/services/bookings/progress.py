"""A visit on its way: confirm, arrive, start, complete."""

from collections.abc import Mapping

from spa_app import clock
from spa_app.errors import N_, ConflictError, WrongStateError
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Branch, Service
from spa_app.models.bill import Bill
from spa_app.services import audit, billing, outbox, treatments, waitlist
from spa_app.services.actor import Actor
from spa_app.services.billing import Line
from spa_app.services.bookings.paying import Settlement, payment_field, settle
from spa_app.services.bookings.visit import (
    change_status,
    list_items,
    lock_booking,
    lock_cards_of,
    require_status,
    require_version,
)
from spa_app.services.transaction import atomic


def confirm(booking_id: int, *, actor: Actor) -> int:
    """Make a tentative visit firm; a held place becomes the visit of whoever waited for it.

    Locks the booking, then its entry of the waitlist. Raises :class:`WrongStateError` unless it is pending, and where
    it was only held and the time for that has passed.
    """
    with atomic():
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "pending")
        if booking.waitlist_entry_id:
            waitlist.mark_booked(booking.waitlist_entry_id, booking_id=booking.id, actor=actor)
        booking.held_until = booking.held_by_id = None
        change_status(booking, "confirmed", "booking_confirmed", actor=actor)
        outbox.add("booking_confirmed", {"booking_id": booking.id})
        return booking.id


def arrive(booking_id: int, *, actor: Actor) -> int:
    """Note that the customer is here. Locks the booking; a second arrival changes nothing."""
    with atomic():
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "confirmed")
        _check_day(booking)
        if booking.arrived_at is None:
            booking.arrived_at = clock.now()
            booking.version += 1
            audit.record("booking_arrived", entity="booking", entity_id=booking.id, actor=actor)
        return booking.id


def start(booking_id: int, *, actor: Actor) -> int:
    """Begin the treatment, from the beginning of its local day on. Locks the booking."""
    with atomic():
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "confirmed")
        _check_day(booking)
        booking.started_at = clock.now()
        booking.arrived_at = booking.arrived_at or booking.started_at
        change_status(booking, "in_progress", "booking_started", actor=actor)
        return booking.id


def complete(
    booking_id: int,
    *,
    actor: Actor,
    settlements: Mapping[int, Settlement] | None = None,
    version: int | None = None,
    reason: str = "",
    bill: Bill | None = None,
) -> int:
    """Complete a visit: punch each prepaid item, recognise its revenue, and invoice the rest; all of it or nothing.

    ``settlements``, by item id: how services are paid whose cards can no longer pay, in a visit as the desk saw it in
    ``version``; ``reason`` stands in the history of a card that they extend or unfreeze. ``bill`` is what goes on the
    invoice beside the services: products, a tip, discounts. Locks the booking, then its cards by id, then the stocks of
    products by id, then the invoice counter. Raises :class:`WrongStateError` unless it is in progress,
    :class:`ConflictError` with ways out, at the item's field, for a card that can no longer be punched, and what
    settling and :func:`billing.sell` raise.
    """
    with atomic():
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "in_progress")
        branch = db.session.get_one(Branch, booking.branch_id)
        items = list_items(booking_id)
        if settlements or version is not None:
            require_version(booking, version or 0)
        if settlements:
            settle(booking, items, settlements, branch=branch, reason=reason, actor=actor)
        for item, card in lock_cards_of(items):
            try:
                treatments.check_usable(
                    card,
                    customer_id=booking.customer_id,
                    service_id=item.service_id,
                    branch_id=branch.id,
                    visit_on=clock.local_date(item.starts_at, branch.timezone),
                    field=payment_field(item),
                    kind=ConflictError,
                )
                treatments.punch_session(card, item_id=item.id, branch=branch, actor=actor)
            except ConflictError as error:
                error.field = payment_field(item)  # which of the services is meant
                raise
        lines = [_line(item) for item in items if item.treatment_id is None]
        if lines or bill:
            billing.invoice_visit(
                branch=branch,
                customer_id=booking.customer_id,
                booking_id=booking.id,
                lines=lines,
                bill=bill,
                actor=actor,
            )
        booking.completed_at = clock.now()
        change_status(booking, "completed", "booking_completed", actor=actor)
        return booking.id


def lines_to_pay(booking_id: int) -> list[Line]:
    """The lines of a visit's invoice as things stand: a service each that no card pays."""
    return [_line(item) for item in list_items(booking_id) if item.treatment_id is None]


def _line(item: BookingItem) -> Line:
    service = db.session.get_one(Service, item.service_id)
    return Line(
        "service",
        service.name,
        item.price_amount,
        item.vat_rate_bp,
        service_id=item.service_id,
        booking_item_id=item.id,
    )


def _check_day(booking: Booking) -> None:
    branch = db.session.get_one(Branch, booking.branch_id)
    visit_on = clock.local_date(booking.starts_at, branch.timezone)
    if visit_on > clock.today(branch.timezone):
        raise WrongStateError(
            "not_today",
            N_("This visit is on %(date)s and can be started from that day on. Move it to have it now."),
            date=visit_on,
        )
