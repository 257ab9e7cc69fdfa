"""What comes back when the rest of a card is refunded: one arithmetic for what is shown first and what is done."""

from dataclasses import dataclass

from spa_app.money import vat_within

BASES = ("pro_rata", "list_price")


@dataclass(frozen=True)
class CardFacts:
    """What a refund starts from. Amounts are minor units.

    ``owed_amount`` is what the free sessions are worth without VAT, ``used_amount`` what the used ones were recognised
    at. Of the line that sold them (with its other cards, and transferred sessions): ``line_net`` and ``line_vat``, and
    what earlier refunds gave back of both. ``list_price`` with VAT is what a session costs today, None where the card
    is good for any service. ``due_amount`` is still to be paid on the sale.
    """

    free_sessions: int
    used_sessions: int
    owed_amount: int
    used_amount: int
    line_net: int
    line_vat: int
    vat_rate_bp: int
    back_net: int = 0
    back_vat: int = 0
    list_price: int | None = None
    due_amount: int = 0


@dataclass(frozen=True)
class Refund:
    """``gross_amount`` (of it ``vat_amount`` VAT) is what the free sessions cost; the used ones may be charged anew at

    the list price, which adds ``surcharge_amount`` (VAT in it: ``surcharge_vat``), and a fee without VAT may be kept.
    Of ``credit_amount``, what is left, ``due_part`` settles what is still to be paid, and ``rest_amount`` comes back.
    """

    owed_amount: int
    vat_amount: int
    used_list_amount: int
    used_paid_amount: int
    surcharge_amount: int
    surcharge_vat: int
    fee_amount: int
    due_part: int

    @property
    def gross_amount(self) -> int:
        """What the free sessions cost, VAT in it."""
        return self.owed_amount + self.vat_amount

    @property
    def credit_amount(self) -> int:
        """What the credit note comes to."""
        return self.gross_amount - self.surcharge_amount - self.fee_amount

    @property
    def rest_amount(self) -> int:
        """What the customer gets."""
        return self.credit_amount - self.due_part


def work_out(card: CardFacts, *, basis: str, fee_amount: int) -> Refund:
    """The arithmetic of a refund; ``basis`` is one of :data:`BASES`. Surcharge and fee never exceed what is left.

    VAT is shared by what comes back of the line so far, rounded down: a line that comes back whole brings all of its
    VAT, in however many parts. Used sessions at the list price cost at least what they were bought for.
    """
    vat = _vat_share(card, card.back_net + card.owed_amount) - card.back_vat
    gross = card.owed_amount + vat
    paid = card.used_amount + _vat_share(card, card.used_amount)
    listed = card.used_sessions * (card.list_price or 0) if basis == "list_price" else 0
    surcharge = min(max(listed - paid, 0), gross) if listed else 0
    fee = min(fee_amount, gross - surcharge)
    credit = gross - surcharge - fee
    return Refund(
        owed_amount=card.owed_amount,
        vat_amount=vat,
        used_list_amount=listed,
        used_paid_amount=paid,
        surcharge_amount=surcharge,
        surcharge_vat=vat_within(surcharge, card.vat_rate_bp),
        fee_amount=fee,
        due_part=min(credit, card.due_amount),
    )


def _vat_share(card: CardFacts, net: int) -> int:
    return card.line_vat * net // card.line_net if card.line_net else 0
