"""Sessions that visits reserve, use and give back."""

from sqlalchemy import select

from spa_app.errors import N_, ConflictError, InvalidError
from spa_app.extensions import db
from spa_app.models import Branch, CustomerTreatment, TreatmentEntry
from spa_app.services import ledger
from spa_app.services.actor import Actor
from spa_app.services.ledger import Account
from spa_app.services.treatments.cards import find_share, label
from spa_app.services.treatments.history import Entry, append_entries, close_entry, recognition, worth
from spa_app.services.treatments.shares import count_shared_use
from spa_app.services.treatments.validity import await_first_visit, begin_validity
from spa_app.services.treatments.ways_out import OTHER_CARD, PAY_VISIT, sell_plan_way


def hold_session(card: CustomerTreatment, *, item_id: int, customer_id: int, actor: Actor, field: str) -> None:
    """Reserve one session for an item of that customer's visit.

    Raises :class:`InvalidError` at ``field`` when none is free, or none of those that are shared with the customer.
    """
    if card.customer_id != customer_id:
        _check_limit(card, customer_id, field=field)
    if card.free_sessions < 1 and card.expired_sessions:
        raise InvalidError(
            "card_lapsed",
            N_("Card %(card)s has no session left: %(expired)s of %(total)s expired after %(date)s."),
            field=field,
            ways_out=(OTHER_CARD, PAY_VISIT, sell_plan_way(card.customer_id)),
            card=label(card),
            expired=card.expired_sessions,
            total=card.total_sessions,
            date=card.expiry_date,
        )
    if card.free_sessions < 1:
        raise InvalidError(
            "card_used_up",
            N_("Card %(card)s has no session left: of %(total)s, %(used)s used and %(held)s reserved."),
            field=field,
            ways_out=(OTHER_CARD, PAY_VISIT, sell_plan_way(card.customer_id)),
            card=label(card),
            total=card.total_sessions,
            used=card.used_sessions,
            held=card.held_sessions,
        )
    append_entries(card, [Entry("hold", -1)], item_id=item_id, actor=actor)


def release_hold(card: CustomerTreatment, *, item_id: int, actor: Actor, reason: str = "") -> None:
    """Give a reserved session back. Raises :class:`ConflictError` when none is reserved for the item."""
    append_entries(card, [Entry("release", 1)], item_id=item_id, actor=actor, reason=reason, closes_hold=True)


def punch_session(card: CustomerTreatment, *, item_id: int, branch: Branch, actor: Actor) -> None:
    """Turn the session reserved for an item into a used one, and recognise its revenue in the visit's branch.

    The caller has seen that the card is usable. The first visit begins the validity of a card that waits for it. Raises
    :class:`ConflictError` when it holds nothing for the item.
    """
    _use_held(card, "punch", item_id=item_id, branch=branch, actor=actor)


def forfeit_session(card: CustomerTreatment, *, item_id: int, branch: Branch, actor: Actor, reason: str) -> None:
    """Take the session reserved for an item without a visit, as the branch's policy says, and recognise its revenue."""
    _use_held(card, "forfeit", item_id=item_id, branch=branch, actor=actor, reason=reason)


def return_session(card: CustomerTreatment, *, item_id: int, branch: Branch, actor: Actor, reason: str) -> None:
    """Take a punch or forfeit back and reserve the session for the item again; its revenue is reversed to the đồng.

    A card that was refunded meanwhile is open again for what comes back: the refund was for the rest.
    """
    used = find_live(item_id, "punch", "forfeit")
    if used is None:
        raise ConflictError("no_punch", N_("No session was taken for this visit, so none can come back."))
    card.cancelled_at = None
    unpunch_id, _ = append_entries(
        card,
        [Entry("unpunch", 1, -used.value_amount), Entry("hold", -1)],
        item_id=item_id,
        actor=actor,
        reason=reason,
    )
    close_entry(used.id, unpunch_id)
    await_first_visit(card)
    ledger.post(
        "session_returned",
        branch=branch,
        actor=actor,
        treatment_entry_id=unpunch_id,
        postings=recognition(card, -used.value_amount, Account.SERVICE_REVENUE),
    )


def _use_held(
    card: CustomerTreatment, kind: str, *, item_id: int, branch: Branch, actor: Actor, reason: str = ""
) -> None:
    value = worth(card, 1)
    entries = [Entry("release", 1), Entry(kind, -1, value)]
    begin_validity(card, item_id)
    _, used_id = append_entries(card, entries, item_id=item_id, actor=actor, reason=reason, closes_hold=True)
    ledger.post(
        "session_recognised",
        branch=branch,
        actor=actor,
        treatment_entry_id=used_id,
        postings=recognition(card, value, Account.SERVICE_REVENUE),
    )


def _check_limit(card: CustomerTreatment, customer_id: int, *, field: str) -> None:
    share = find_share(card, customer_id)
    if share is None or share.session_limit is None:
        return  # one that has ended is the business of check_usable()
    if count_shared_use(card.id, customer_id) >= share.session_limit:
        raise InvalidError(
            "share_used_up",
            N_("%(limit)s sessions of card %(card)s are shared with this customer, and all are used or reserved."),
            field=field,
            ways_out=(OTHER_CARD, PAY_VISIT, sell_plan_way(customer_id)),
            limit=share.session_limit,
            card=label(card),
        )


def is_held(item_id: int) -> bool:
    """Whether a session is reserved for an item."""
    return find_live(item_id, "hold") is not None


def find_live(item_id: int, *kinds: str) -> TreatmentEntry | None:
    """The entry of these kinds that stands for an item and was not closed by another."""
    query = select(TreatmentEntry).where(
        TreatmentEntry.booking_item_id == item_id,
        TreatmentEntry.kind.in_(kinds),
        TreatmentEntry.closed_by_id.is_(None),
    )
    return db.session.execute(query).scalar()
