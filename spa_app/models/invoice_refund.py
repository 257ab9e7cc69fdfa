"""What comes back of an invoice, and which way: one arithmetic for what is shown first and what is done."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# How money that came in by a method goes back. What is not here stays with the customer as store credit.
WAYS_BACK = {method: method for method in ("cash", "card", "bank_transfer", "e_wallet", "gift_card")}
# Ways that leave no number of their own.
WITHOUT_REFERENCE = ("cash", "gift_card")
AS_PAID, AS_CREDIT = "as_paid", "store_credit"


@dataclass(frozen=True)
class Part:
    """A line as it was issued, and what credit notes took back of it so far. A discount's amounts are negative."""

    line_id: int
    amount: int
    vat_amount: int
    back_amount: int = 0
    back_vat: int = 0

    def vat_up_to(self, amount: int) -> int:
        """The VAT in ``amount`` of it, counted from its first đồng, rounded toward zero."""
        share = abs(self.vat_amount) * abs(amount) // abs(self.amount)
        return -share if self.vat_amount < 0 else share


@dataclass(frozen=True)
class Taken:
    """What a credit note takes back of one line; VAT in it."""

    line_id: int
    amount: int
    vat_amount: int


@dataclass(frozen=True)
class LineFacts:
    """A line with the discounts that lower it. ``card_ids`` are those that it sold.

    ``is_blocked``: it cannot come back here. A package is refunded on its card, unless nothing at all was done with it:
    then it comes back whole or not at all. No more than ``limit_amount`` comes back: what is still on a gift card.
    """

    line: Part
    kind: str
    description: str
    quantity: int
    discounts: tuple[Part, ...] = ()
    card_ids: tuple[int, ...] = ()
    is_blocked: bool = False
    limit_amount: int | None = None

    @property
    def id(self) -> int:
        """The line's id."""
        return self.line.line_id

    @property
    def is_whole(self) -> bool:
        """Whether it comes back whole or not at all."""
        return self.kind == "plan"

    @property
    def net_amount(self) -> int:
        """What the customer owed for it, its discounts taken off."""
        return sum(part.amount for part in (self.line, *self.discounts))

    @property
    def back_amount(self) -> int:
        """How much of that came back so far."""
        return sum(part.back_amount for part in (self.line, *self.discounts))

    @property
    def left_amount(self) -> int:
        """How much of that can still come back."""
        if self.is_blocked:
            return 0
        left = self.net_amount - self.back_amount
        return left if self.limit_amount is None else min(left, self.limit_amount)

    def amount_of(self, quantity: int) -> int:
        """What so many of it cost: all of what is left for the whole quantity."""
        return self.left_amount if quantity >= self.quantity else self.net_amount * quantity // self.quantity

    def take(self, amount: int) -> list[Taken]:
        """``amount`` of what is left, from the line and from its discounts.

        Shares and VAT follow what came back so far, so that all parts of a line together are the line to the đồng, in
        however many notes it comes back.
        """
        done = self.back_amount + amount
        lowered = [
            -(-part.amount * done // self.net_amount) - part.back_amount if self.net_amount else 0
            for part in self.discounts
        ]
        return [
            Taken(part.line_id, piece, part.vat_up_to(part.back_amount + piece) - part.back_vat)
            for part, piece in zip((self.line, *self.discounts), (amount - sum(lowered), *lowered), strict=True)
            if piece
        ]


@dataclass(frozen=True)
class PaymentFacts:
    """A payment that brought something, and what was handed out of it so far."""

    id: int
    method: str
    amount: int
    reference: str
    taken_at: dt.datetime
    back_amount: int = 0

    @property
    def left_amount(self) -> int:
        """How much of it can still go back."""
        return self.amount - self.back_amount


@dataclass(frozen=True)
class WayBack:
    """A sum that goes back by ``method``, out of a payment; without one it becomes store credit."""

    method: str
    amount: int
    payment: PaymentFacts | None = None


@dataclass(frozen=True)
class InvoiceFacts:
    """What a refund starts from, in minor units. ``payments`` are the newest first; ``credited_amount`` came back so

    far, of which ``settled_amount`` was never paid but settled by it.
    """

    total_amount: int
    paid_amount: int
    credited_amount: int
    settled_amount: int
    lines: tuple[LineFacts, ...]
    payments: tuple[PaymentFacts, ...]

    @property
    def due_amount(self) -> int:
        """What is still to be paid."""
        return self.total_amount - self.paid_amount

    @property
    def everything(self) -> dict[int, int]:
        """All that can still come back, by line."""
        return {line.id: line.left_amount for line in self.lines if line.left_amount > 0}

    @property
    def methods(self) -> tuple[str, ...]:
        """The ways by which money can still go back, those of the newest payment first."""
        return tuple(dict.fromkeys(one.method for one in self.payments if one.method in WAYS_BACK and one.left_amount))


@dataclass(frozen=True)
class InvoiceRefund:
    """Of ``credit_amount`` (VAT in it: ``vat_amount``), ``due_part`` settles what is still to be paid, the rest comes

    back by ``ways``. What these fall short of it, the payments of the chosen method did not bring.
    """

    credit_amount: int
    vat_amount: int
    due_part: int
    ways: tuple[WayBack, ...]

    @property
    def rest_amount(self) -> int:
        """What the customer gets."""
        return self.credit_amount - self.due_part

    @property
    def missing_amount(self) -> int:
        """What cannot go back by the chosen method."""
        return self.rest_amount - sum(way.amount for way in self.ways)

    @property
    def needs_reference(self) -> bool:
        """Whether a part goes back by a way that leaves a number."""
        return any(way.payment and way.method not in WITHOUT_REFERENCE for way in self.ways)


def work_out(invoice: InvoiceFacts, amounts: Mapping[int, int], *, to: str) -> InvoiceRefund:
    """The arithmetic of a refund of ``amounts`` by line, none of them above what is left of it.

    ``to`` is :data:`AS_PAID` (each payment returns what it brought, the newest first), :data:`AS_CREDIT`, or one of
    :data:`WAYS_BACK`, which takes from the payments by that method alone.
    """
    credit = sum(amounts.values())
    taken = [one for line in invoice.lines if amounts.get(line.id) for one in line.take(amounts[line.id])]
    due_part = min(credit, invoice.due_amount)
    rest = credit - due_part
    ways = (WayBack(AS_CREDIT, rest),) if to == AS_CREDIT and rest else _spread(invoice, rest, to)
    return InvoiceRefund(credit, sum(one.vat_amount for one in taken), due_part, tuple(ways))


def _spread(invoice: InvoiceFacts, rest: int, to: str) -> Sequence[WayBack]:
    # What came back but was not handed out of a payment is store credit, and was taken from what came in as such first.
    kept = invoice.credited_amount - invoice.settled_amount - sum(one.back_amount for one in invoice.payments)
    ways = []
    for payment in invoice.payments:
        left = payment.left_amount
        if payment.method not in WAYS_BACK:
            was_kept = min(kept, left)
            kept -= was_kept
            left -= was_kept
        amount = min(left, rest) if to in (AS_PAID, payment.method) else 0
        if amount:
            is_money = payment.method in WAYS_BACK
            ways.append(WayBack(WAYS_BACK.get(payment.method, AS_CREDIT), amount, payment if is_money else None))
            rest -= amount
    return ways
