"""How long a card is valid: its begin, more time, a pause, and a second life after its expiry."""

import datetime as dt

from sqlalchemy import func, select

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotAllowedError, WayOut, WrongStateError
from spa_app.extensions import db
from spa_app.models import BookingItem, Branch, CustomerTreatment, TreatmentEntry, valid_through
from spa_app.services import audit, ledger
from spa_app.services.actor import Actor
from spa_app.services.ledger import Account
from spa_app.services.texts import REASON_LENGTH, clean_text, required_reason
from spa_app.services.transaction import atomic
from spa_app.services.treatments.cards import label, local_today, lock_card, require_card_status
from spa_app.services.treatments.history import Entry, append_operation, recognition
from spa_app.services.treatments.ways_out import extend_way

LONGEST = dt.timedelta(days=3650)


def extend_card(treatment_id: int, *, expiry_date: dt.date, reason: str, actor: Actor) -> int:
    """Let a card be valid through ``expiry_date``, and return its id. Locks the card.

    The desk may add ``extend_limit_days`` of the branch in all; more, and less time, is a manager's act
    (:class:`NotAllowedError`). A card whose sessions have expired is reactivated instead (:class:`WrongStateError`).
    """
    with atomic():
        reason = required_reason(reason)
        card = lock_card(treatment_id, actor=actor)
        # Once sessions have expired, more time alone would not bring them back.
        require_card_status(card, "active", *(() if card.expired_sessions else ("expired",)))
        if card.expiry_date is None:
            raise ConflictError(
                "card_not_begun",
                N_("The validity of card %(card)s begins with its first visit: there is nothing to extend yet."),
                card=label(card),
            )
        _check_date(expiry_date, today=local_today(card))
        days = (expiry_date - card.expiry_date).days
        if days == 0:
            raise InvalidError("same_date", N_("The card is valid to this date already."), field="expiry_date")
        if not actor.is_manager:
            _check_limit(card, days)
        before = card.expiry_date
        card.expiry_date = expiry_date
        append_operation(card, Entry("extend", 0, days=days), actor=actor, reason=reason)
        _audit("card_extended", card, before=before, actor=actor, reason=reason)
        return card.id


def freeze_card(treatment_id: int, *, reason: str, actor: Actor) -> int:
    """Stop a card's time from today on, and return its id. Nothing can be booked on it until it is unfrozen.

    Locks the card. Raises :class:`WrongStateError` unless it is active, and :class:`ConflictError` while sessions are
    reserved: a visit on a frozen card could not be completed.
    """
    with atomic():
        reason = required_reason(reason)
        card = lock_card(treatment_id, actor=actor)
        require_card_status(card, "active")
        require_nothing_reserved(card)
        card.frozen_on = local_today(card)
        append_operation(card, Entry("freeze", 0), actor=actor, reason=reason)
        _audit("card_frozen", card, before=card.expiry_date, actor=actor, reason=reason)
        return card.id


def unfreeze_card(treatment_id: int, *, actor: Actor, reason: str = "") -> int:
    """Let a card's time go on, its expiry later by the days that it stood still, and return its id. Locks the card.

    Raises :class:`WrongStateError` unless it is frozen.
    """
    with atomic():
        reason = clean_text(reason, field="reason", limit=REASON_LENGTH)
        card = lock_card(treatment_id, actor=actor)
        require_card_status(card, "frozen")
        before, frozen_on = card.expiry_date, card.frozen_on
        days = max((local_today(card) - frozen_on).days, 0) if frozen_on and before else 0
        card.frozen_on = None
        if before:
            card.expiry_date = before + dt.timedelta(days=days)
        append_operation(card, Entry("unfreeze", 0, days=days), actor=actor, reason=reason)
        _audit("card_unfrozen", card, before=before, actor=actor, reason=reason)
        return card.id


def may_extend(treatment_id: int, *, expiry_date: dt.date, actor: Actor) -> bool:
    """Whether the actor could let a card be valid through ``expiry_date``: more time, or a second life. Only reads."""
    card = db.session.get(CustomerTreatment, treatment_id, populate_existing=True)
    if card is None or card.expiry_date is None or card.expiry_date >= expiry_date:
        return False
    if card.cancelled_at is not None or card.frozen_on is not None or not actor.works_in(card.branch_id):
        return False
    if actor.is_manager:
        return True
    days = (expiry_date - card.expiry_date).days
    limit = db.session.get_one(Branch, card.branch_id).extend_limit_days
    return not card.expired_sessions and _added_days(card, "extend") + days <= limit


def lengthen_card(treatment_id: int, *, visit_on: dt.date, reason: str, actor: Actor) -> int:
    """Give a card just the time that a visit on ``visit_on`` needs, and return its id. Locks the card.

    Sessions that have expired come back with it, which is a manager's act. Raises what :func:`extend_card` and
    :func:`reactivate_card` raise.
    """
    with atomic():
        card = lock_card(treatment_id, actor=actor)
        act = reactivate_card if card.expired_sessions else extend_card
        return act(card.id, expiry_date=max(visit_on, local_today(card)), reason=reason, actor=actor)


def reactivate_card(treatment_id: int, *, expiry_date: dt.date, reason: str, actor: Actor) -> int:
    """Bring the expired sessions of a card back, valid through ``expiry_date``, and return its id. Locks the card.

    A manager's act: what had become breakage revenue is owed again. Raises :class:`WrongStateError` where nothing has
    expired (extend it then), :class:`InvalidError` for a date in the past.
    """
    with atomic():
        reason = required_reason(reason)
        actor.require_manager()
        card = lock_card(treatment_id, actor=actor)
        require_card_status(card, "expired")
        if not card.expired_sessions:
            raise WrongStateError(
                "nothing_expired",
                N_("No session of card %(card)s has expired yet: extend it."),
                ways_out=(extend_way(card),),
                card=label(card),
            )
        _check_date(expiry_date, today=local_today(card))
        before = card.expiry_date
        sessions, value = card.expired_sessions, card.expired_amount
        days = (expiry_date - before).days if before else 0
        card.expiry_date = expiry_date
        entry = Entry("reactivate", sessions, -value, days=days)
        entry_id = append_operation(card, entry, actor=actor, reason=reason)
        ledger.post(
            "sessions_reactivated",
            branch=db.session.get_one(Branch, card.branch_id),
            actor=actor,
            treatment_entry_id=entry_id,
            postings=recognition(card, -value, Account.BREAKAGE_REVENUE),
        )
        _audit("card_reactivated", card, before=before, actor=actor, reason=reason, sessions=sessions)
        return card.id


def begin_validity(card: CustomerTreatment, item_id: int) -> None:
    """Let the validity of a card that waits for its first visit begin on the local day of this one."""
    if card.expiry_date is not None:
        return
    branch = db.session.get_one(Branch, card.branch_id)
    starts_at = db.session.execute(select(BookingItem.starts_at).where(BookingItem.id == item_id)).scalar_one()
    begins_on = clock.local_date(starts_at, branch.timezone)
    more = dt.timedelta(days=_added_days(card, "extend", "unfreeze", "reactivate"))
    card.expiry_date = valid_through(begins_on, card.validity_days, card.validity_months) + more


def await_first_visit(card: CustomerTreatment) -> None:
    """Let a card whose only visit was taken back wait for its first one again; its expired sessions stay expired."""
    waits = card.validity_days is not None or card.validity_months is not None
    if waits and card.used_sessions == 0 and card.expired_sessions == 0:
        card.expiry_date = None
        db.session.flush()


def require_nothing_reserved(card: CustomerTreatment) -> None:
    """Raise :class:`ConflictError` while visits have reserved sessions of the card."""
    if card.held_sessions:
        raise ConflictError(
            "card_reserved",
            N_("Visits have reserved %(held)s sessions of card %(card)s: cancel these, or have them paid otherwise."),
            ways_out=(WayOut("open_customer", N_("See the visits"), {"customer_id": card.customer_id}),),
            held=card.held_sessions,
            card=label(card),
        )


def _check_date(expiry_date: dt.date, *, today: dt.date) -> None:
    if not today <= expiry_date <= today + LONGEST:
        raise InvalidError(
            "date_out_of_range",
            N_("Choose a date from today on, within ten years."),
            field="expiry_date",
        )


def _check_limit(card: CustomerTreatment, days: int) -> None:
    limit = db.session.get_one(Branch, card.branch_id).extend_limit_days
    if days < 0:
        raise NotAllowedError(
            "shorten", N_("Only a manager can make a card end sooner. Nothing was changed."), field="expiry_date"
        )
    added = _added_days(card, "extend")
    if added + days > limit:
        raise NotAllowedError(
            "extend_above_limit",
            N_("The desk can extend a card by %(limit)s days in all, and this one has had %(added)s. Ask a manager."),
            field="expiry_date",
            limit=limit,
            added=added,
        )


def _added_days(card: CustomerTreatment, *kinds: str) -> int:
    query = select(func.coalesce(func.sum(TreatmentEntry.days), 0)).where(
        TreatmentEntry.treatment_id == card.id, TreatmentEntry.kind.in_(kinds)
    )
    return int(db.session.execute(query).scalar_one() or 0)


def _audit(
    action: str, card: CustomerTreatment, *, before: dt.date | None, actor: Actor, reason: str, **facts: int
) -> None:
    audit.record(
        action,
        entity="treatment",
        entity_id=card.id,
        actor=actor,
        before={"expiry_date": before.isoformat() if before else None},
        after={"expiry_date": card.expiry_date.isoformat() if card.expiry_date else None, **facts},
        reason=reason,
    )
