"""What goes on a bill and what is taken off it: one arithmetic for what is shown first and what is issued.

Prices include VAT. Discounts lower services, packages and products; never tips, gift cards or a policy's fee, which is
waived instead. VAT is that of what is left after the discount.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from spa_app.money import percentage, share_out, vat_within

DISCOUNTABLE = ("service", "plan", "product")
TIP_SPLITS = ("equally", "services", "typed")


@dataclass(frozen=True)
class Discount:
    """``share_bp`` basis points off, or ``amount`` minor units."""

    share_bp: int | None = None
    amount: int = 0

    def of(self, price: int) -> int:
        """What it takes off a price, half a unit rounded up; an amount above the price is for the caller to refuse."""
        return self.amount if self.share_bp is None else percentage(price, self.share_bp)


@dataclass(frozen=True)
class Ware:
    """Something to be sold: ``quantity`` of the plan or product ``id``."""

    kind: str
    id: int
    quantity: int = 1
    discount: Discount | None = None


@dataclass(frozen=True)
class Tip:
    """A tip of ``amount`` minor units, split among therapists as one of :data:`TIP_SPLITS` says.

    ``staff_ids`` are whose it is; where none is named, those of the visit. ``typed``: what each gets, by their id.
    """

    amount: int = 0
    split: str = "equally"
    staff_ids: tuple[int, ...] = ()
    typed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Bill:
    """What a desk puts on a bill, besides the services of a visit.

    ``service_discounts`` are by the id of the visit's item, ``discount`` is on all that may be discounted. ``reason``
    says why, and stands on the bill as the discounts' name. ``code`` is that of a promotion.
    """

    wares: tuple[Ware, ...] = ()
    service_discounts: Mapping[int, Discount] = field(default_factory=dict)
    discount: Discount | None = None
    reason: str = ""
    code: str = ""
    tip: Tip = field(default_factory=Tip)

    def __bool__(self) -> bool:
        discounted = self.service_discounts or self.discount or self.code.strip()
        return bool(self.wares or discounted or self.tip.amount or any(self.tip.typed.values()))


@dataclass(frozen=True)
class Price:
    """The price of a line, and what is granted on it alone."""

    kind: str
    amount: int
    vat_rate_bp: int
    discount: Discount | None = None


@dataclass(frozen=True)
class Cut:
    """What a discount takes off a line: ``amount`` and, of it, ``vat_amount``, both negative.

    ``scope`` and ``share_bp`` are as in :class:`InvoiceLine`.
    """

    scope: str
    share_bp: int | None
    amount: int
    vat_amount: int


def cut(
    prices: Sequence[Price], discount: Discount | None, promote: Callable[[int], int] | None = None
) -> list[list[Cut]]:
    """The discounts of each line: its own, then its share of the one on the whole bill, then of a promotion.

    Those are taken off what is left after the ones before, and spread over it by largest remainder; ``promote`` tells
    what a promotion takes off so much. Each line's VAT and that of its discounts are together what is within what is
    left. The caller has seen that nothing falls below zero.
    """
    nets = [price.amount for price in prices]
    cuts: list[list[Cut]] = [[] for _ in prices]

    def lower(place: int, scope: str, share_bp: int | None, by: int) -> None:
        if not by:
            return
        rate, before = prices[place].vat_rate_bp, nets[place]
        nets[place] -= by
        vat = vat_within(nets[place], rate) - vat_within(before, rate)
        cuts[place].append(Cut(scope, share_bp, -by, vat))

    for place, price in enumerate(prices):
        if price.discount is not None:
            lower(place, "line", price.discount.share_bp, price.discount.of(price.amount))

    def spread(scope: str, share_bp: int | None, taken: Callable[[int], int]) -> None:
        places = [place for place, price in enumerate(prices) if price.kind in DISCOUNTABLE]
        weights = [nets[place] for place in places]
        amount = taken(sum(weights))  # even off nothing: a promotion says then why it does not count
        if any(weights):
            for place, share in zip(places, share_out(amount, weights), strict=True):
                lower(place, scope, share_bp, share)

    if discount is not None:
        spread("bill", discount.share_bp, discount.of)
    if promote is not None:
        spread("promotion", None, promote)
    return cuts


def split_tip(tip: Tip, therapists: Mapping[int, int]) -> dict[int, int]:
    """What each therapist gets of a tip, by id, whoever gets nothing left out.

    ``therapists``: what the services of each cost, by id, in the order in which they work.
    """
    if tip.split == "typed":
        return {staff_id: amount for staff_id, amount in tip.typed.items() if amount}
    ids = list(tip.staff_ids or therapists)
    if not ids:
        return {}
    weights = [therapists.get(staff_id, 0) if tip.split == "services" else 1 for staff_id in ids]
    return {staff_id: share for staff_id, share in zip(ids, share_out(tip.amount, weights), strict=True) if share}
