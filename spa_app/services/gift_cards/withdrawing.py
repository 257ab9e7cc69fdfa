"""Gift cards whose sale is taken back: void while unpaid, by a credit note once money was taken."""

from collections.abc import Sequence

from sqlalchemy import or_, select

from spa_app import clock
from spa_app.errors import N_, ConflictError, NotFoundError
from spa_app.extensions import db
from spa_app.models import GiftCard, GiftCardEntry, InvoiceLine, Payment
from spa_app.money import Money
from spa_app.services.actor import Actor
from spa_app.services.gift_cards.cards import append_entry, label, open_way, require_paid
from spa_app.services.ledger import Account, Posting


def cancel_sold(invoice_id: int, *, reason: str, actor: Actor) -> None:
    """Cancel the cards that an invoice sold, which is being voided; the caller posts that.

    Locks and raises as :func:`lock_unused` does.
    """
    for card in lock_unused(invoice_id):
        _cancel(card, reason=reason, actor=actor)


def lock_unused(invoice_id: int) -> Sequence[GiftCard]:
    """Lock the cards that an invoice sold, by id, and return them.

    The caller holds the invoice locked. Raises :class:`ConflictError` where one was used, has expired or was changed
    since it was sold.
    """
    cards = (
        db.session.execute(
            select(GiftCard)
            .where(GiftCard.invoice_line_id.in_(select(InvoiceLine.id).where(InvoiceLine.invoice_id == invoice_id)))
            .order_by(GiftCard.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        .scalars()
        .all()
    )
    for card in cards:
        require_unused(card)
    return cards


def lock_of(invoice_id: int) -> None:
    """Lock the cards that an invoice sold and those that paid it, by id, before its customer is locked.

    The caller holds the invoice locked. Who closes a card locks it and then the buyer, whom a refund locks early.
    """
    sold = select(InvoiceLine.id).where(InvoiceLine.invoice_id == invoice_id)
    paid = (
        select(GiftCardEntry.gift_card_id)
        .join(Payment, Payment.id == GiftCardEntry.payment_id)
        .where(Payment.invoice_id == invoice_id)
    )
    db.session.execute(
        select(GiftCard.id)
        .where(or_(GiftCard.invoice_line_id.in_(sold), GiftCard.id.in_(paid)))
        .order_by(GiftCard.id)
        .with_for_update()
    )


def take_back(line_id: int, *, amount: int, reason: str, actor: Actor) -> Posting:
    """Take ``amount`` off the card that an invoice line sold, and return the debit to be posted for it.

    For a credit note over (part of) a paid sale: the caller holds the invoice locked, and posts what the buyer gets.
    Where nothing is left on the card it is cancelled. Raises :class:`ConflictError` for more than is on the card.
    """
    card = db.session.execute(
        select(GiftCard)
        .where(GiftCard.invoice_line_id == line_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar()
    if card is None:
        raise NotFoundError("gift_card_missing", N_("There is no such gift card."))
    if amount != card.balance_amount:  # whole, it may go back with a sale that was never wholly paid
        require_paid(card)
    if not 0 < amount <= card.balance_amount:
        raise ConflictError(
            "gift_card_spent",
            N_("Only %(balance)s is left on gift card %(card)s: no more than that can be given back."),
            field="amount",
            ways_out=(open_way(card),),
            card=label(card),
            balance=Money(card.balance_amount),
        )
    if amount == card.balance_amount:
        _cancel(card, reason=reason, actor=actor)
    else:
        append_entry(card, "adjust", -amount, reason=reason, actor=actor)
    return Posting(Account.GIFT_CARDS, amount, gift_card_id=card.id)


def give_again(line_id: int, *, amount: int, reason: str, actor: Actor) -> None:
    """Put ``amount`` that :func:`take_back` took off the card of an invoice line onto it again, and open it.

    For a credit note that is withdrawn: the caller holds the invoice locked and reverses the ledger. Locks the card.
    """
    card = db.session.execute(
        select(GiftCard)
        .where(GiftCard.invoice_line_id == line_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one()
    card.cancelled_at = None
    append_entry(card, "adjust", amount, reason=reason, actor=actor)


def require_unused(card: GiftCard) -> None:
    """Raise :class:`ConflictError` unless a locked card is as it was sold."""
    if card.balance_amount != card.initial_amount or card.cancelled_at is not None:
        raise ConflictError(
            "gift_card_in_use",
            N_("Gift card %(card)s was used or changed since it was sold: its sale can no longer be taken back whole."),
            ways_out=(open_way(card),),
            card=label(card),
        )


def _cancel(card: GiftCard, *, reason: str, actor: Actor) -> None:
    left = card.balance_amount
    card.cancelled_at = clock.now()
    append_entry(card, "cancel", -left, reason=reason, actor=actor)
