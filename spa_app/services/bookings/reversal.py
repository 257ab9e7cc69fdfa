"""A visit that does not take place, and the way back from a mistake."""

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, WrongStateError
from spa_app.extensions import db
from spa_app.models import BookingItem, Branch, TreatmentEntry
from spa_app.models.policy import Policy
from spa_app.services import billing, outbox, scheduling, treatments, waitlist
from spa_app.services.actor import Actor
from spa_app.services.bookings.policy import LATE_CANCEL_FEE, NO_SHOW_FEE, give_up
from spa_app.services.bookings.visit import (
    change_status,
    list_items,
    lock_booking,
    lock_cards_of,
    require_status,
)
from spa_app.services.scheduling_parties import reseat
from spa_app.services.texts import REASON_LENGTH, clean_text, required_reason
from spa_app.services.transaction import atomic


def cancel(booking_id: int, *, reason: str, actor: Actor, waive_reason: str | None = None) -> int:
    """Cancel a visit: its reserved sessions go back; a late one follows the branch's policy, unless that is waived.

    Locks the booking, its cards, then the invoice counter. Raises :class:`InvalidError` without a reason,
    :class:`WrongStateError` when the visit is over, and what :func:`give_up` raises about a waiver.
    """
    with atomic():
        reason = required_reason(reason)
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "pending", "confirmed", "in_progress")
        if booking.held_until is not None:
            raise WrongStateError(
                "only_held",
                N_("This place is only held. Release it, or confirm it first. Nothing was changed."),
            )
        branch = db.session.get_one(Branch, booking.branch_id)
        is_late = clock.now() > booking.starts_at - dt.timedelta(minutes=branch.late_cancel_minutes)
        give_up(
            booking,
            branch.late_cancel if is_late else Policy("none"),
            branch=branch,
            fee=LATE_CANCEL_FEE,
            reason=reason,
            waive_reason=waive_reason,
            actor=actor,
        )
        booking.cancelled_at = clock.now()
        booking.cancel_reason = reason
        change_status(booking, "cancelled", "booking_cancelled", reason=reason, actor=actor)
        outbox.add("booking_cancelled", {"booking_id": booking.id})
        return booking.id


def mark_no_show(booking_id: int, *, actor: Actor, waive_reason: str | None = None) -> int:
    """Note that the customer did not come, only after the start time; the branch's policy follows, unless waived.

    Locks the booking, its cards, then the invoice counter. Raises what :func:`give_up` raises about a waiver.
    """
    with atomic():
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "confirmed")
        if clock.now() < booking.starts_at:
            raise WrongStateError(
                "not_yet",
                N_("The visit begins at %(starts_at)s: until then the customer can come."),
                starts_at=booking.starts_at,
            )
        branch = db.session.get_one(Branch, booking.branch_id)
        give_up(
            booking,
            branch.no_show,
            branch=branch,
            fee=NO_SHOW_FEE,
            reason="no-show",
            waive_reason=waive_reason,
            actor=actor,
        )
        change_status(booking, "no_show", "booking_no_show", actor=actor)
        return booking.id


def undo_complete(booking_id: int, *, actor: Actor, reason: str = "") -> int:
    """Take a completion back: sessions return to the card they came from, revenue is reversed, the invoice withdrawn.

    Locks the booking, its cards, then the invoice. An invoice with money on it needs a manager
    (:class:`NotAllowedError`) and becomes a credit note.
    """
    with atomic():
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "completed")
        branch = db.session.get_one(Branch, booking.branch_id)
        reason = clean_text(reason, field="reason", limit=REASON_LENGTH) or "completion undone"
        for item, card in lock_cards_of(list_items(booking_id)):
            treatments.return_session(card, item_id=item.id, branch=branch, actor=actor, reason=reason)
        billing.withdraw_visit_invoice(booking.id, branch=branch, reason=reason, actor=actor)
        booking.completed_at = None
        change_status(booking, "in_progress", "booking_completion_undone", reason=reason, actor=actor)
        return booking.id


def undo_cancel(booking_id: int, *, actor: Actor) -> int:
    """Bring a cancelled or missed visit back as confirmed, if its place and its sessions are still free.

    Locks the booking, its entry of the waitlist, therapists, rooms, cards, then the fee's invoice. What the policy took
    comes back: a paid fee needs a manager (:class:`NotAllowedError`) and becomes a credit note. Raises
    :class:`SlotTakenError` and, at the card, what booking it anew would raise.
    """
    with atomic():
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "cancelled", "no_show")
        if booking.waitlist_entry_id:
            waitlist.mark_booked(booking.waitlist_entry_id, booking_id=booking.id, actor=actor)
        branch = db.session.get_one(Branch, booking.branch_id)
        items = list_items(booking_id)
        scheduling.retake_places(items, branch=branch, party_id=booking.party_id)
        if booking.party_id:
            reseat(items, party_id=booking.party_id)
        booking.cancelled_at = None
        booking.cancel_reason = ""
        change_status(booking, "confirmed", "booking_cancellation_undone", actor=actor)
        visit_on = clock.local_date(booking.starts_at, branch.timezone)
        forfeited = _forfeited(items)
        for item, card in lock_cards_of(items):
            if item.id in forfeited:
                treatments.return_session(card, item_id=item.id, branch=branch, actor=actor, reason="undo")
                continue
            field = f"items-{item.position - 1}-treatment_id"
            treatments.check_usable(
                card,
                customer_id=booking.customer_id,
                service_id=item.service_id,
                branch_id=branch.id,
                visit_on=visit_on,
                field=field,
            )
            treatments.hold_session(card, item_id=item.id, customer_id=booking.customer_id, actor=actor, field=field)
        billing.withdraw_visit_invoice(booking.id, branch=branch, reason="undo", actor=actor)
        return booking.id


def _forfeited(items: Sequence[BookingItem]) -> set[int]:
    query = select(TreatmentEntry.booking_item_id).where(
        TreatmentEntry.booking_item_id.in_([item.id for item in items]),
        TreatmentEntry.kind == "forfeit",
        TreatmentEntry.closed_by_id.is_(None),
    )
    return {item_id for item_id in db.session.execute(query).scalars() if item_id is not None}
