"""What selling does beyond the money, by kind of line: cards are opened, products leave the stock; and the way back.

A further kind of ware hooks in here alone: an entry of :data:`KINDS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, InvalidError
from spa_app.extensions import db
from spa_app.models import (
    Branch,
    CustomerTreatment,
    Invoice,
    InvoiceLine,
    Plan,
    PlanItem,
    Product,
    ProductStock,
    Service,
    valid_through,
)
from spa_app.models.bill import Ware
from spa_app.money import split
from spa_app.services import stock, treatments
from spa_app.services.actor import Actor
from spa_app.services.billing.issuing import Line
from spa_app.services.ledger import Account, Posting


@dataclass(frozen=True)
class Delivery:
    """A bill that was just issued: its wares go to the customer. ``nets`` are what lines earn without VAT, by id.

    ``moved``: by the line's position, the cards that an invoice sold which this one replaces, each with what it was
    sold for.
    """

    invoice: Invoice
    branch: Branch
    actor: Actor
    nets: Mapping[int, int]
    stocks: Mapping[int, ProductStock]
    moved: Mapping[int, Mapping[CustomerTreatment, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A kind of ware: its line and price, what delivering one posts to the ledger, and what takes it back."""

    most: int
    line: Callable[[Ware, str], Line]
    deliver: Callable[[InvoiceLine, Delivery], list[Posting]]
    take_back: Callable[[Sequence[InvoiceLine], Branch, Actor, str], None]


def line_of(ware: Ware, number: int, former: Sequence[InvoiceLine]) -> Line:
    """The line that a ware will be, at its price, or at the one it has among the ``former`` lines of its bill.

    Raises :class:`InvalidError` at the fields of row ``number``.
    """
    kind = KINDS.get(ware.kind)
    if kind is None:
        raise InvalidError("ware_unknown", N_("Choose what is sold."), field=f"lines-{number}-what")
    if not 1 <= ware.quantity <= kind.most:
        raise InvalidError(
            "out_of_range",
            N_("Give a number from %(least)s to %(most)s."),
            field=f"lines-{number}-quantity",
            least=1,
            most=kind.most,
        )
    for line in former:
        if (line.kind, line.plan_id or line.product_id) == (ware.kind, ware.id):
            return Line(
                line.kind,
                line.description,
                line.amount // line.quantity * ware.quantity,
                line.vat_rate_bp,
                ware.quantity,
                plan_id=line.plan_id,
                product_id=line.product_id,
            )
    return kind.line(ware, f"lines-{number}-what")


def deliver(lines: Sequence[InvoiceLine], delivery: Delivery) -> list[Posting]:
    """Hand out what the lines of an issued bill sold, and return what that posts beside :func:`credit_lines`."""
    postings: list[Posting] = []
    for line in lines:
        if line.kind in KINDS:
            postings += KINDS[line.kind].deliver(line, delivery)
    return postings


def take_back(lines: Sequence[InvoiceLine], *, branch: Branch, actor: Actor, reason: str) -> None:
    """Take back what the lines of an invoice sold, which is void or credited.

    Locks cards that are not locked yet, then stocks; the caller reverses the ledger.
    """
    for name, kind in KINDS.items():
        if of_kind := [line for line in lines if line.kind == name]:
            kind.take_back(of_kind, branch, actor, reason)


def cards_sold(lines: Sequence[InvoiceLine]) -> list[int]:
    """The cards that lines sold, wherever their sessions are now."""
    query = select(CustomerTreatment.id).where(CustomerTreatment.invoice_line_id.in_([line.id for line in lines]))
    return list(db.session.execute(query).scalars())


def _plan_line(ware: Ware, where: str) -> Line:
    plan = db.session.get(Plan, ware.id)
    if plan is None or not plan.is_active:
        raise InvalidError("plan_unknown", N_("This package is not for sale."), field=where)
    if db.session.scalar(select(PlanItem.id).where(PlanItem.plan_id == plan.id).limit(1)) is None:
        raise InvalidError("plan_empty", N_("This package holds no sessions yet."), field=where)
    amount = plan.price_amount * ware.quantity
    return Line("plan", plan.name, amount, plan.vat_rate_bp, ware.quantity, plan_id=plan.id)


def _product_line(ware: Ware, where: str) -> Line:
    product = db.session.get(Product, ware.id)
    if product is None or not product.is_active:
        raise InvalidError("product_unknown", N_("This product is not for sale."), field=where)
    amount = product.price_amount * ware.quantity
    return Line("product", product.name, amount, product.vat_rate_bp, ware.quantity, product_id=product.id)


def _deliver_plan(line: InvoiceLine, delivery: Delivery) -> list[Posting]:
    sell = _move_cards if line.position in delivery.moved else _open_cards
    shares = sell(line, delivery)
    return [Posting(Account.DEFERRED_REVENUE, -share, treatment_id=card_id) for card_id, share in shares.items()]


def _open_cards(line: InvoiceLine, delivery: Delivery) -> dict[int, int]:
    """Open a card for each service of a plan, as often as it was sold; what each is worth, by its id."""
    plan = db.session.get_one(Plan, line.plan_id)
    items = db.session.execute(
        select(
            PlanItem.service_id,
            (PlanItem.sessions + PlanItem.bonus_sessions).label("sessions"),
            Service.price_amount,
        )
        .outerjoin(Service, Service.id == PlanItem.service_id)
        .where(PlanItem.plan_id == plan.id)
        .order_by(PlanItem.id)
    ).all()
    # A session of "any service" has no list price; it weighs as much as the dearest priced one in the plan.
    dearest = max((item.price_amount or 0 for item in items), default=0) or 1
    weights = [item.sessions * (dearest if item.price_amount is None else item.price_amount) for item in items]
    shares = split(delivery.nets[line.id], weights * line.quantity)
    today = clock.today(delivery.branch.timezone)
    # The card keeps what it was sold with: the plan may change or be retired.
    validity: dict[str, Any] = (
        {"expiry_date": None, "validity_days": plan.validity_days, "validity_months": plan.validity_months}
        if plan.from_first_visit
        else {"expiry_date": valid_through(today, plan.validity_days, plan.validity_months)}
    )
    return {
        treatments.open_card(
            customer_id=delivery.invoice.customer_id,
            branch=delivery.branch,
            service_id=item.service_id,
            plan_id=plan.id,
            invoice_line_id=line.id,
            sessions=item.sessions,
            deferred_amount=share,
            actor=delivery.actor,
            **validity,
        ): share
        for item, share in zip(list(items) * line.quantity, shares, strict=True)
    }


def _move_cards(line: InvoiceLine, delivery: Delivery) -> dict[int, int]:
    """Have a line that takes another's place go on with the other's cards; what each is sold for now, by its id."""
    former = delivery.moved[line.position]
    net = delivery.nets[line.id]
    was = list(former.values())
    shares = was if sum(was) == net else split(net, was)
    for card, then, now in zip(former, was, shares, strict=True):
        treatments.resell_card(card, invoice_line_id=line.id, sold_for=then, sells_for=now, actor=delivery.actor)
    return {card.id: share for card, share in zip(former, shares, strict=True)}


def _cancel_cards(lines: Sequence[InvoiceLine], _branch: Branch, actor: Actor, reason: str) -> None:
    for card in treatments.lock_cards(cards_sold(lines)).values():
        treatments.cancel_unused_card(card, actor=actor, reason=reason)


def _hand_out(line: InvoiceLine, delivery: Delivery) -> list[Posting]:
    stock.take_sold([line], delivery.stocks, actor=delivery.actor)
    return []


def _put_back(lines: Sequence[InvoiceLine], branch: Branch, actor: Actor, reason: str) -> None:
    stock.give_back(lines, branch_id=branch.id, reason=reason, actor=actor)


KINDS = {
    "plan": Kind(20, _plan_line, _deliver_plan, _cancel_cards),
    "product": Kind(1_000, _product_line, _hand_out, _put_back),
}
