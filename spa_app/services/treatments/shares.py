"""Cards that a family shares: who else may book on one, and how many of its sessions."""

from sqlalchemy import func, select

from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Customer, TreatmentEntry, TreatmentShare
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.texts import REASON_LENGTH, clean_text
from spa_app.services.transaction import atomic
from spa_app.services.treatments.cards import find_share, lock_card, require_card_status
from spa_app.services.treatments.history import Entry, append_operation

MOST_SESSIONS = 1000


def share_card(
    treatment_id: int, *, customer_id: int, session_limit: int | None, actor: Actor, reason: str = ""
) -> int:
    """Let another customer book on a card: ``session_limit`` sessions in all, or any that is free; the card's id.

    Sharing it with them again changes the limit, which counts what they have used before. Locks the card. Raises
    :class:`InvalidError` at the field, :class:`WrongStateError` unless the card is active.
    """
    with atomic() as session:
        reason = clean_text(reason, field="reason", limit=REASON_LENGTH)
        card = lock_card(treatment_id, actor=actor)
        require_card_status(card, "active")
        if session.get(Customer, customer_id) is None:
            raise InvalidError("customer_unknown", N_("Choose a customer."), field="customer_id")
        if customer_id == card.customer_id:
            raise InvalidError("own_card", N_("This is the card's own customer."), field="customer_id")
        used = count_shared_use(card.id, customer_id)
        if session_limit is not None and not max(used, 1) <= session_limit <= MOST_SESSIONS:
            raise InvalidError(
                "limit_out_of_range",
                N_("Choose between %(least)s (so many are used or reserved) and %(most)s sessions."),
                field="session_limit",
                least=max(used, 1),
                most=MOST_SESSIONS,
            )
        former = find_share(card, customer_id)
        if former is not None:
            former.ended_by_id = append_operation(card, Entry("unshare", 0), actor=actor, reason=reason)
            session.flush()
        entry_id = append_operation(card, Entry("share", 0), actor=actor, reason=reason)
        session.add(
            TreatmentShare(
                treatment_id=card.id, customer_id=customer_id, session_limit=session_limit, entry_id=entry_id
            )
        )
        audit.record(
            "card_shared",
            entity="treatment",
            entity_id=card.id,
            actor=actor,
            before={"session_limit": former.session_limit} if former else None,
            after={"customer_id": customer_id, "session_limit": session_limit},
            reason=reason,
        )
        return card.id


def unshare_card(treatment_id: int, *, customer_id: int, actor: Actor, reason: str = "") -> int:
    """Let a customer book on another's card no longer, and return its id.

    Visits that are booked stay booked, and completing one asks how it is paid then. Locks the card. Raises
    :class:`NotFoundError` where it is not shared with them.
    """
    with atomic():
        reason = clean_text(reason, field="reason", limit=REASON_LENGTH)
        card = lock_card(treatment_id, actor=actor)
        share = find_share(card, customer_id)
        if share is None:
            raise NotFoundError("share_unknown", N_("The card is not shared with this customer any more."))
        share.ended_by_id = append_operation(card, Entry("unshare", 0), actor=actor, reason=reason)
        audit.record(
            "card_unshared",
            entity="treatment",
            entity_id=card.id,
            actor=actor,
            before={"customer_id": customer_id, "session_limit": share.session_limit},
            reason=reason,
        )
        return card.id


def count_shared_use(treatment_id: int, customer_id: int) -> int:
    """How many sessions of a card a customer's visits have used or reserved."""
    query = (
        select(func.count())
        .select_from(TreatmentEntry)
        .join(BookingItem, BookingItem.id == TreatmentEntry.booking_item_id)
        .join(Booking, Booking.id == BookingItem.booking_id)
        .where(
            TreatmentEntry.treatment_id == treatment_id,
            TreatmentEntry.kind.in_(("hold", "punch", "forfeit")),
            TreatmentEntry.closed_by_id.is_(None),
            Booking.customer_id == customer_id,
        )
    )
    return int(db.session.execute(query).scalar_one())
