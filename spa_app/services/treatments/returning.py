"""The rest of a card that is refunded, and the way back. What becomes of its value is for the caller to post."""

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, ConflictError
from spa_app.extensions import db
from spa_app.models import CustomerTreatment, TreatmentEntry
from spa_app.services.actor import Actor
from spa_app.services.treatments.cards import label, require_card_status
from spa_app.services.treatments.history import Entry, append_operation, close_entry
from spa_app.services.treatments.validity import require_nothing_reserved


def require_refundable(card: CustomerTreatment) -> None:
    """Raise :class:`WrongStateError` unless active, and :class:`ConflictError` unless its rest is free of visits."""
    require_card_status(card, "active")
    require_nothing_reserved(card)
    if card.free_sessions < 1:
        raise ConflictError("nothing_left", N_("No session of card %(card)s is left to give back."), card=label(card))


def take_back_rest(card: CustomerTreatment, *, actor: Actor, reason: str) -> int:
    """Take the free sessions off a card with all that is owed on them, cancel it, and return the entry's id."""
    card.cancelled_at = clock.now()
    return append_operation(card, Entry("refund", -card.free_sessions, card.owed_amount), actor=actor, reason=reason)


def find_refund(card: CustomerTreatment) -> TreatmentEntry | None:
    """The latest refund of a card that still stands."""
    query = select(TreatmentEntry).where(
        TreatmentEntry.treatment_id == card.id,
        TreatmentEntry.kind == "refund",
        TreatmentEntry.sessions < 0,
        TreatmentEntry.closed_by_id.is_(None),
    )
    return db.session.execute(query.order_by(TreatmentEntry.id.desc()).limit(1)).scalar()


def withdraw_refund_entry(card: CustomerTreatment, refund: TreatmentEntry, *, actor: Actor, reason: str) -> None:
    """Put the sessions of a refund back on the card with their value, and open it again."""
    card.cancelled_at = None
    back = Entry("refund", -refund.sessions, -refund.value_amount)
    close_entry(refund.id, append_operation(card, back, actor=actor, reason=reason))
