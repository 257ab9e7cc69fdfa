"""What the desk and its managers do with gift cards by themselves: sell, issue, adjust, give more time, take back.

Rules: ``gift_cards``. Each locks what it touches (invoice → gift card → customer), is audited, and posts what it moved.
"""

import datetime as dt

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, Word, WrongStateError
from spa_app.extensions import db
from spa_app.models import Branch, Customer, GiftCard
from spa_app.money import Money
from spa_app.services import audit, gift_cards, ledger
from spa_app.services.actor import Actor
from spa_app.services.billing import Line, credit_lines, issue, lock_customer
from spa_app.services.gift_cards.cards import BIGGEST_AMOUNT
from spa_app.services.ledger import Account, Posting
from spa_app.services.texts import required_reason
from spa_app.services.transaction import atomic

GIFT_CARD = N_("Gift card")
STATUS_WORDS = {
    "active": N_("active"),
    "used_up": N_("used up"),
    "expired": N_("expired"),
    "cancelled": N_("cancelled"),
}
LONGEST = dt.timedelta(days=3653)


def sell_gift_card(
    *, customer_id: int, amount: int, branch_id: int, actor: Actor, receiver_name: str = "", greeting: str = ""
) -> int:
    """Sell a gift card on an invoice of its own, and return the invoice's id.

    ``amount`` is in minor units and holds no VAT (see ``gift_cards``). The card can be used once the invoice is paid.
    Raises :class:`NotFoundError` for an unknown customer, :class:`InvalidError` at the field.
    """
    with atomic() as session:
        actor.require_branch(branch_id)
        branch = session.get_one(Branch, branch_id)
        _require_customer(customer_id)
        _check_amount(amount)
        invoice, lines = issue(
            branch=branch, customer_id=customer_id, lines=[Line("gift_card", GIFT_CARD, amount, 0)], actor=actor
        )
        card_id = gift_cards.issue_for(
            lines[0],
            branch=branch,
            customer_id=customer_id,
            receiver_name=receiver_name,
            greeting=greeting,
            actor=actor,
        )
        ledger.post(
            "sale_invoiced",
            branch=branch,
            actor=actor,
            invoice_id=invoice.id,
            postings=[Posting(Account.RECEIVABLE, amount), *credit_lines(lines)],
        )
        audit.record(
            "gift_card_sold",
            entity="invoice",
            entity_id=invoice.id,
            actor=actor,
            after={"gift_card_id": card_id, "amount": amount},
        )
        return invoice.id


def issue_gift_card(
    *,
    amount: int,
    branch_id: int,
    reason: str,
    actor: Actor,
    customer_id: int | None = None,
    receiver_name: str = "",
    greeting: str = "",
) -> int:
    """Give a gift card away without a sale, such as for a complaint, and return its id. A manager's act.

    What it is worth is an expense (goodwill). Raises :class:`NotAllowedError`, :class:`NotFoundError` for an unknown
    customer, :class:`InvalidError` at the field.
    """
    with atomic() as session:
        reason = required_reason(reason)
        actor.require_manager()
        actor.require_branch(branch_id)
        branch = session.get_one(Branch, branch_id)
        if customer_id is not None:
            _require_customer(customer_id)
        card = gift_cards.open_card(
            branch=branch,
            amount=amount,
            customer_id=customer_id,
            receiver_name=receiver_name,
            greeting=greeting,
            actor=actor,
            reason=reason,
        )
        _post(card, amount, Account.GOODWILL, actor=actor)
        _audit("gift_card_issued", card, before=None, amount=amount, actor=actor, reason=reason)
        return card.id


def adjust_gift_card(gift_card_id: int, *, amount: int, reason: str, actor: Actor) -> int:
    """Put ``amount`` minor units onto a card, or with a minus take them off, and return its id. A manager's act.

    What was given or taken is goodwill. Raises :class:`InvalidError` for nothing, :class:`ConflictError` for a card
    that is not paid for, cancelled or expired, or on which less is left than is to be taken off.
    """
    with atomic():
        reason = required_reason(reason)
        card = _lock(gift_card_id, actor, "active", "used_up")
        if amount == 0 or abs(amount) > BIGGEST_AMOUNT:
            raise InvalidError("amount_impossible", N_("This amount is not possible."), field="amount")
        if card.balance_amount + amount < 0:
            raise ConflictError(
                "gift_card_too_small",
                N_("Only %(balance)s is on the card: no more than that can be taken off."),
                field="amount",
                balance=Money(card.balance_amount),
            )
        before = card.balance_amount
        gift_cards.append_entry(card, "adjust", amount, actor=actor, reason=reason)
        _post(card, amount, Account.GOODWILL, actor=actor)
        _audit("gift_card_adjusted", card, before=before, amount=amount, actor=actor, reason=reason)
        return card.id


def extend_gift_card(gift_card_id: int, *, expires_on: dt.date | None, reason: str, actor: Actor) -> int:
    """Let a card be used through ``expires_on``, and return its id. A manager's act.

    What has expired on it comes back, and is owed again. Raises :class:`InvalidError` at ``expires_on`` for no date,
    one in the past, or the one that holds already; :class:`WrongStateError` for a card that is used up or cancelled.
    """
    with atomic():
        reason = required_reason(reason)
        card = _lock(gift_card_id, actor, "active", "expired")
        today = gift_cards.local_today(card)
        if expires_on is None or not today <= expires_on <= today + LONGEST:
            raise InvalidError(
                "date_out_of_range", N_("Choose a date from today on, within ten years."), field="expires_on"
            )
        if expires_on == card.expires_on:
            raise InvalidError("same_date", N_("The card is valid to this date already."), field="expires_on")
        before, expired = card.expires_on, card.expired_amount
        card.expires_on = expires_on
        kind = "reactivate" if expired else "extend"
        gift_cards.append_entry(card, kind, expired, expires_on=expires_on, actor=actor, reason=reason)
        _post(card, expired, Account.BREAKAGE_REVENUE, actor=actor)
        audit.record(
            "gift_card_extended",
            entity="gift_card",
            entity_id=card.id,
            actor=actor,
            before={"expires_on": before.isoformat() if before else None},
            after={"expires_on": expires_on.isoformat(), "reactivated": expired},
            reason=reason,
        )
        return card.id


def cancel_gift_card(gift_card_id: int, *, reason: str, actor: Actor) -> int:
    """Close a card, such as one that was lost, and return its id. A manager's act.

    What is on it becomes store credit of who bought it; of a card that was given away, the expense is taken back.
    Raises :class:`ConflictError` for a card that is not paid for (void its sale), used up, expired or closed.
    """
    with atomic():
        reason = required_reason(reason)
        card = _lock(gift_card_id, actor, "active")
        left = card.balance_amount
        card.cancelled_at = clock.now()
        gift_cards.append_entry(card, "cancel", -left, actor=actor, reason=reason)
        if card.invoice_line_id is not None and card.customer_id is not None:
            customer = lock_customer(card.customer_id)
            customer.credit_amount = Customer.credit_amount + left
            _post(card, -left, Account.STORE_CREDIT, actor=actor, customer_id=customer.id)
        else:
            _post(card, -left, Account.GOODWILL, actor=actor)
        _audit("gift_card_cancelled", card, before=left, amount=-left, actor=actor, reason=reason)
        return card.id


def _lock(gift_card_id: int, actor: Actor, *allowed: str) -> GiftCard:
    actor.require_manager()
    card = gift_cards.lock_card(gift_card_id, actor=actor)
    status = card.status(gift_cards.local_today(card))
    if status not in allowed:
        raise WrongStateError(
            "gift_card_status",
            N_("Gift card %(card)s is %(status)s, so that is not possible. Nothing was changed."),
            card=gift_cards.label(card),
            status=Word(STATUS_WORDS[status]),
        )
    gift_cards.require_paid(card)
    return card


def _require_customer(customer_id: int) -> None:
    if db.session.get(Customer, customer_id) is None:
        raise NotFoundError("customer_unknown", N_("There is no such customer."))


def _check_amount(amount: int) -> None:
    if not 0 < amount <= BIGGEST_AMOUNT:
        raise InvalidError("amount_impossible", N_("This amount is not possible."), field="amount")


def _post(card: GiftCard, amount: int, against: Account, *, actor: Actor, customer_id: int | None = None) -> None:
    """``amount`` is owed on the card from now on (with a minus: no longer), against another account."""
    ledger.post(
        "gift_card_adjusted",
        branch=db.session.get_one(Branch, card.branch_id),
        actor=actor,
        postings=[
            Posting(against, amount, customer_id=customer_id),
            Posting(Account.GIFT_CARDS, -amount, gift_card_id=card.id),
        ],
    )


def _audit(action: str, card: GiftCard, *, before: int | None, amount: int, actor: Actor, reason: str) -> None:
    audit.record(
        action,
        entity="gift_card",
        entity_id=card.id,
        actor=actor,
        before=None if before is None else {"balance_amount": before},
        after={"balance_amount": card.balance_amount, "amount": amount},
        reason=reason,
    )
