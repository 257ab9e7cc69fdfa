"""Paying with a gift card, and putting money back onto it."""

from sqlalchemy import func, select

from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut
from spa_app.extensions import db
from spa_app.models import GiftCard, GiftCardEntry, Payment
from spa_app.models.gift_card import read_code
from spa_app.money import Money
from spa_app.services.actor import Actor
from spa_app.services.gift_cards.cards import append_entry, label, local_today, open_way, require_paid
from spa_app.services.ledger import Account, Posting

CODE_FIELD = "gift_card_code"


def lock_for_payment(typed_code: str, amount: int) -> GiftCard:
    """Lock the gift card with this code and return it, if ``amount`` can be taken from it. Good in every branch.

    The caller holds the invoice that it pays locked. Raises at ``gift_card_code`` :class:`InvalidError` for what is no
    card's code, :class:`ConflictError` for a card that is cancelled, expired, used up or not paid for yet; and
    :class:`ConflictError` at ``amount`` (``gift_card_too_small``) where less is on it.
    """
    card = _usable(
        db.session.execute(
            select(GiftCard)
            .where(GiftCard.code == _read(typed_code))
            .with_for_update()
            .execution_options(populate_existing=True)
        ).scalar()
    )
    if card.balance_amount < amount:
        raise ConflictError(
            "gift_card_too_small",
            N_("Only %(balance)s is on gift card %(card)s. Nothing was taken."),
            field="amount",
            ways_out=(
                WayOut(
                    "take_gift_card_balance",
                    N_("The amount is set to the %(balance)s that is on it: take that, and the rest in another way."),
                    {"balance": Money(card.balance_amount)},
                ),
            ),
            card=label(card),
            balance=Money(card.balance_amount),
        )
    return card


def look_at(typed_code: str) -> GiftCard:
    """The gift card with this code as it stands now, if it can be used. Only reads; raises as a payment would."""
    return _usable(
        db.session.execute(
            select(GiftCard).where(GiftCard.code == _read(typed_code)).execution_options(populate_existing=True)
        ).scalar()
    )


def _read(typed_code: str) -> str:
    code = read_code(typed_code)
    if code is None:
        raise InvalidError(
            "gift_card_code_wrong",
            N_("This is not the code of a gift card: look at it again. It has twelve letters and digits."),
            field=CODE_FIELD,
        )
    return code


def _usable(card: GiftCard | None) -> GiftCard:
    if card is None:
        raise InvalidError("gift_card_unknown", N_("There is no gift card with this code."), field=CODE_FIELD)
    match card.status(local_today(card)):
        case "cancelled":
            raise ConflictError(
                "gift_card_cancelled", N_("Gift card %(card)s was taken back."), field=CODE_FIELD, card=label(card)
            )
        case "expired":
            raise ConflictError(
                "gift_card_expired",
                N_("Gift card %(card)s was valid to %(date)s. A manager can give it more time."),
                field=CODE_FIELD,
                ways_out=(open_way(card),),
                card=label(card),
                date=card.expires_on,
            )
        case "used_up":
            raise ConflictError(
                "gift_card_used_up",
                N_("Nothing is left on gift card %(card)s."),
                field=CODE_FIELD,
                ways_out=(open_way(card),),
                card=label(card),
            )
    require_paid(card)
    return card


def redeem(card: GiftCard, *, payment_id: int, amount: int, actor: Actor) -> None:
    """Take ``amount`` from a card that :func:`lock_for_payment` gave, for a payment that is written."""
    append_entry(card, "redeem", -amount, payment_id=payment_id, actor=actor)


def put_back(payment_id: int, *, amount: int, reason: str, actor: Actor) -> Posting:
    """Give ``amount`` of a payment by gift card back onto its card, and return the credit to be posted with it.

    The caller holds the payment's invoice locked and posts where it comes from (such as store credit). Locks the card.
    Raises :class:`ConflictError` for more than was taken from the card and not put back yet, and for a card that was
    taken back or has expired: then it is store credit, or a manager gives the card more time first.
    """
    gift_card_id = db.session.execute(
        select(GiftCardEntry.gift_card_id).where(GiftCardEntry.payment_id == payment_id, GiftCardEntry.kind == "redeem")
    ).scalar()
    if gift_card_id is None:
        raise NotFoundError("gift_card_missing", N_("No gift card paid for this."))
    card = db.session.execute(
        select(GiftCard).where(GiftCard.id == gift_card_id).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()
    if card.status(local_today(card)) in ("cancelled", "expired"):
        raise ConflictError(
            "gift_card_closed",
            N_("Gift card %(card)s has expired or was taken back: nothing can be put onto it."),
            ways_out=(WayOut("refund_to_credit", N_("Give it back as store credit")), open_way(card)),
            card=label(card),
        )
    taken = db.session.execute(select(Payment.amount).where(Payment.id == payment_id)).scalar_one()
    returned = db.session.execute(
        select(func.coalesce(func.sum(GiftCardEntry.amount), 0)).where(
            GiftCardEntry.payment_id == payment_id, GiftCardEntry.kind == "refund"
        )
    ).scalar_one()
    if not 0 < amount <= taken - returned:
        raise ConflictError(
            "gift_card_returned",
            N_("Of what gift card %(card)s paid, %(left)s can still be put back onto it."),
            field="amount",
            card=label(card),
            left=Money(taken - returned),
        )
    append_entry(card, "refund", amount, payment_id=payment_id, actor=actor, reason=reason)
    return Posting(Account.GIFT_CARDS, -amount, gift_card_id=card.id)
