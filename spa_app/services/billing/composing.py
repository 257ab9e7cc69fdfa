"""A bill before it is issued: its lines with their discounts and tips, and whether the desk may grant them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from spa_app.errors import N_, InvalidError, NotAllowedError, WayOut
from spa_app.extensions import db
from spa_app.models import Branch, InvoiceLine, Staff
from spa_app.models.bill import DISCOUNTABLE, TIP_SPLITS, Bill, Cut, Discount, Price, Tip, cut, split_tip
from spa_app.money import Money, percentage
from spa_app.queries.bill import Therapist
from spa_app.services import promotions
from spa_app.services.actor import Actor
from spa_app.services.billing.issuing import Line
from spa_app.services.billing.wares import line_of
from spa_app.services.catalogue import BIGGEST_PRICE
from spa_app.services.promotions import Claim
from spa_app.services.texts import clean_text

REASON_LENGTH = 120
MOST_WARES = 20


@dataclass(frozen=True)
class Composed:
    """A bill that adds up. ``lines`` are as they are issued: each with its discounts behind it, the tips last.

    ``claim`` is the promotion that is among the discounts.
    """

    lines: tuple[Line, ...]
    claim: Claim | None = None

    @property
    def list_amount(self) -> int:
        """What all that may be discounted costs without any discount."""
        return sum(line.amount for line in self.lines if line.kind in DISCOUNTABLE)

    @property
    def discount_amount(self) -> int:
        """What is taken off."""
        return -sum(line.amount for line in self.lines if line.kind == "discount")

    @property
    def granted_amount(self) -> int:
        """What of it the desk takes off by itself, without a promotion."""
        return self.discount_amount - (self.claim.amount if self.claim else 0)

    @property
    def tip_amount(self) -> int:
        """What is for the therapists."""
        return sum(line.amount for line in self.lines if line.kind == "tip")

    @property
    def total_amount(self) -> int:
        """What is to be paid."""
        return sum(line.amount for line in self.lines)


def compose(
    bill: Bill,
    *,
    branch_id: int,
    customer_id: int,
    claims: bool = False,
    services: Sequence[Line] = (),
    therapists: Sequence[Therapist] = (),
    former: Sequence[InvoiceLine] = (),
) -> Composed:
    """Work a bill out: prices, discounts, VAT and tips. Reads only, unless it ``claims`` a use of its promotion.

    ``services`` are the lines that a visit brings along, ``therapists`` those of the visit. What stands in ``former``,
    the lines of the bill that is being changed, keeps the price that it was sold at. Raises
    :class:`InvalidError` at ``lines-<n>-what``, ``-quantity`` or ``-discount``, ``services-<n>-discount``,
    ``discount``, ``code``, ``tip_amount``, ``tip_split``, ``tip_staff_id`` or ``tips-<n>-amount``.
    """
    if len(bill.wares) > MOST_WARES:
        raise InvalidError(
            "too_many_lines", N_("A bill can hold %(most)s lines at most."), field="lines", most=MOST_WARES
        )
    reason = clean_text(bill.reason, field="reason", limit=REASON_LENGTH, lines=False)
    if not {line.booking_item_id for line in services} >= bill.service_discounts.keys():
        raise InvalidError("item_unknown", N_("This service is no longer part of the visit."), field="discount")
    priced = [
        *(
            (line, bill.service_discounts.get(line.booking_item_id or 0), f"services-{number}-discount")
            for number, line in enumerate(services)
        ),
        *(
            (line_of(ware, number, former), ware.discount, f"lines-{number}-discount")
            for number, ware in enumerate(bill.wares)
        ),
    ]
    lines = [line for line, _, _ in priced]
    for line, discount, field in priced:
        _check_discount(discount, line.amount, field)
    prices = [Price(line.kind, line.amount, line.vat_rate_bp, discount) for line, discount, _ in priced]
    left = sum(one.amount - (one.discount.of(one.amount) if one.discount else 0) for one in prices)
    _check_discount(bill.discount, left, "discount")
    claimed: list[Claim] = []

    def promote(amount: int) -> int:
        about: dict[str, Any] = {
            "branch": db.session.get_one(Branch, branch_id),
            "customer_id": customer_id,
            "total_amount": amount,
        }
        if claims:
            claimed.append(promotions.claim(bill.code, **about))
        else:
            besides = former[0].invoice_id if former else None
            claimed.append(promotions.check(bill.code, **about, besides=besides))
        return claimed[0].amount

    cuts = cut(prices, bill.discount, promote if bill.code.strip() else None)
    claim = claimed[0] if claimed else None
    composed: list[Line] = []
    for line, of_line in zip(lines, cuts, strict=True):
        place = len(composed)
        composed.append(line)
        for one in of_line:
            why = claim.name if claim and one.scope == "promotion" else reason
            composed.append(_cut_line(one, line.vat_rate_bp, place, why))
    return Composed((*composed, *_tip_lines(bill.tip, branch_id, therapists)), claim)


def require_grantable(composed: Composed, *, branch_id: int, actor: Actor, granted_amount: int = 0) -> None:
    """Raise :class:`InvalidError` at ``reason`` for a discount without one, and :class:`NotAllowedError` where a
    receptionist takes more off a bill than the branch lets them.

    ``granted_amount`` was on the bill before: whoever changes something else need not ask again.
    """
    if any(line.kind == "discount" and not line.description for line in composed.lines):
        raise InvalidError("reason_missing", N_("Say why, in a few words."), field="reason")
    branch = db.session.get_one(Branch, branch_id)
    limit = percentage(composed.list_amount, branch.discount_limit_bp)
    if actor.is_manager or composed.granted_amount <= max(limit, granted_amount):
        return
    raise NotAllowedError(
        "discount_above_limit",
        N_("%(amount)s off is more than you may grant on this bill: %(limit)s. Nothing was stored."),
        field="discount",
        ways_out=(WayOut("ask_manager", N_("A manager can grant it: log in as one, or ask them")),),
        amount=Money(composed.granted_amount),
        limit=Money(limit),
    )


def _check_discount(discount: Discount | None, price: int, field: str) -> None:
    if discount is None:
        return
    if discount.share_bp is not None and not 0 < discount.share_bp <= 10_000:
        raise InvalidError("discount_invalid", N_("Give a percentage above 0, up to 100."), field=field)
    if discount.share_bp is None and discount.amount < 1:
        raise InvalidError("amount_not_positive", N_("The amount must be more than zero."), field=field)
    if discount.of(price) > price:
        raise InvalidError(
            "discount_above_price", N_("No more than %(price)s can be taken off here."), field=field, price=Money(price)
        )


def _cut_line(one: Cut, rate: int, place: int, reason: str) -> Line:
    return Line(
        "discount",
        reason,
        one.amount,
        rate,
        lowers=place,
        vat_amount=one.vat_amount,
        discount_scope=one.scope,
        discount_bp=one.share_bp,
    )


def _tip_lines(tip: Tip, branch_id: int, visit: Sequence[Therapist]) -> list[Line]:
    """A line for each therapist; a tip holds no VAT: it is passed on."""
    if tip.split not in TIP_SPLITS:
        raise InvalidError("split_unknown", N_("Choose how the tip is split."), field="tip_split")
    for number, amount in enumerate(tip.typed.values()):
        if not 0 <= amount <= BIGGEST_PRICE:
            raise InvalidError("tip_invalid", N_("This amount is not possible."), field=f"tips-{number}-amount")
    if not 0 <= tip.amount <= BIGGEST_PRICE:
        raise InvalidError("tip_invalid", N_("This amount is not possible."), field="tip_amount")
    shares = split_tip(tip, {one.id: one.amount for one in visit})
    if tip.amount and not shares:
        raise InvalidError("tip_for_nobody", N_("Say whose the tip is."), field="tip_staff_id")
    names = {one.id: one.full_name for one in visit}
    others = [staff_id for staff_id in shares if staff_id not in names]
    if others:
        known = select(Staff.id, Staff.full_name).where(
            Staff.id.in_(others), Staff.branch_id == branch_id, Staff.is_active
        )
        names |= {row[0]: row[1] for row in db.session.execute(known)}
    if not shares.keys() <= names.keys():
        raise InvalidError("staff_unknown", N_("Choose a therapist of this branch."), field="tip_staff_id")
    return [Line("tip", names[staff_id], amount, 0, staff_id=staff_id) for staff_id, amount in shares.items()]
