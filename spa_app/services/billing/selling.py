"""What brings an invoice about: a completed visit, a sale over the counter, a fee by policy."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import Booking, Branch, Customer, CustomerTreatment, Invoice, ProductStock
from spa_app.models.bill import Bill, Ware
from spa_app.queries.bill import list_visit_therapists
from spa_app.services import audit, ledger, promotions, stock
from spa_app.services.actor import Actor
from spa_app.services.billing import wares
from spa_app.services.billing.composing import Composed, compose, require_grantable
from spa_app.services.billing.issuing import Line, credit_lines, issue, net_amounts
from spa_app.services.ledger import Account, Posting
from spa_app.services.transaction import atomic


def invoice_visit(
    *,
    branch: Branch,
    customer_id: int,
    booking_id: int,
    lines: Sequence[Line],
    actor: Actor,
    bill: Bill | None = None,
) -> int:
    """Issue the invoice of a completed visit for what its cards do not cover, with what the desk adds; return its id.

    The caller holds the booking's lock. Raises :class:`ConflictError` when the visit has a live invoice already, and
    what :func:`sell` raises about the ``bill``.
    """
    if bill:
        refuse_plans(bill)
        composed = compose(
            bill,
            branch_id=branch.id,
            customer_id=customer_id,
            claims=True,
            services=lines,
            therapists=list_visit_therapists(booking_id),
        )
        require_grantable(composed, branch_id=branch.id, actor=actor)
        require_lines(composed)
    else:
        composed = Composed(tuple(lines))
    invoice, _ = issue_bill(composed, branch=branch, customer_id=customer_id, booking_id=booking_id, actor=actor)
    if bill:
        record_bill("bill_issued", invoice, composed, actor=actor)
    return invoice.id


def charge_fee(
    *, branch: Branch, customer_id: int, booking_id: int, description: str, amount: int, actor: Actor
) -> int:
    """Issue the invoice of what a policy takes for a visit that does not take place, and return its id.

    ``amount`` is in minor units and holds no VAT: the fee makes good a loss, nothing is supplied for it.
    ``description`` is a msgid, translated where it is shown. The caller holds the booking's lock. Raises
    :class:`ConflictError` when the visit has a live invoice already.
    """
    invoice, _ = issue(
        branch=branch,
        customer_id=customer_id,
        booking_id=booking_id,
        lines=[Line("fee", description, amount, 0)],
        actor=actor,
    )
    ledger.post(
        "fee_charged",
        branch=branch,
        actor=actor,
        invoice_id=invoice.id,
        postings=[Posting(Account.RECEIVABLE, amount), Posting(Account.FEE_REVENUE, -amount)],
    )
    audit.record(
        "fee_charged",
        entity="invoice",
        entity_id=invoice.id,
        actor=actor,
        after={"booking_id": booking_id, "amount": amount},
    )
    return invoice.id


def sell(*, customer_id: int, branch_id: int, bill: Bill, actor: Actor, booking_id: int | None = None) -> int:
    """Sell packages and products, with tips and discounts, on one invoice, and return its id.

    ``booking_id``: the completed visit of that customer which it belongs to, one that has no bill yet. Locks that
    visit, the promotion, the stocks of products by id, then the invoice counter. Raises :class:`NotFoundError` for an
    unknown customer or visit, :class:`InvalidError` at the fields that :func:`compose` names and for an empty bill,
    :class:`NotAllowedError` above the branch's limit for discounts, :class:`ConflictError` for too little stock.
    """
    with atomic() as session:
        actor.require_branch(branch_id)
        branch = session.get_one(Branch, branch_id)
        if session.get(Customer, customer_id) is None:
            raise NotFoundError("customer_unknown", N_("There is no such customer."))
        if booking_id is not None:
            _lock_visit(booking_id, branch_id=branch_id, customer_id=customer_id)
            refuse_plans(bill)
        composed = compose(
            bill,
            branch_id=branch.id,
            customer_id=customer_id,
            claims=True,
            therapists=list_visit_therapists(booking_id),
        )
        require_grantable(composed, branch_id=branch.id, actor=actor)
        require_lines(composed)
        invoice, cards = issue_bill(
            composed, branch=branch, customer_id=customer_id, booking_id=booking_id, actor=actor
        )
        record_bill(_event(composed, booking_id), invoice, composed, actor=actor, cards=cards)
        return invoice.id


def sell_plan(*, customer_id: int, plan_id: int, branch_id: int, actor: Actor) -> int:
    """Sell a plan: one invoice, and a card for each service in it, its value shared by list price.

    Returns the invoice's id. Raises :class:`NotFoundError` for an unknown customer, :class:`InvalidError` at
    ``plan_id`` for a plan that is not for sale.
    """
    try:
        bill = Bill(wares=(Ware("plan", plan_id),))
        return sell(customer_id=customer_id, branch_id=branch_id, bill=bill, actor=actor)
    except InvalidError as error:
        error.field = "plan_id"
        raise


def issue_bill(
    composed: Composed,
    *,
    branch: Branch,
    customer_id: int,
    actor: Actor,
    booking_id: int | None = None,
    replaces_id: int | None = None,
    kept: Mapping[int, Mapping[CustomerTreatment, int]] | None = None,
) -> tuple[Invoice, list[int]]:
    """Issue a bill that adds up, hand out what it sells, and post it; returns the invoice and its cards.

    ``kept``: by the place of a line, the cards of the invoice ``replaces_id`` that the line goes on with, and what each
    was sold for. The caller holds visit and cards locked; locks the stocks by id, then the invoice counter.
    """
    stocks = _require_stock(composed, branch)
    invoice, rows = issue(
        branch=branch,
        customer_id=customer_id,
        booking_id=booking_id,
        lines=composed.lines,
        replaces_id=replaces_id,
        actor=actor,
    )
    if composed.claim:
        promotions.record_use(composed.claim, invoice_id=invoice.id, customer_id=customer_id)
    moved = {place + 1: cards for place, cards in (kept or {}).items()}
    delivery = wares.Delivery(invoice, branch, actor, net_amounts(rows), stocks, moved)
    delivered = wares.deliver(rows, delivery)
    ledger.post(
        _event(composed, booking_id),
        branch=branch,
        actor=actor,
        invoice_id=invoice.id,
        postings=[Posting(Account.RECEIVABLE, invoice.total_amount), *delivered, *credit_lines(rows)],
    )
    return invoice, [one.treatment_id for one in delivered if one.treatment_id]


def record_bill(
    action: str, invoice: Invoice, composed: Composed, *, actor: Actor, cards: Sequence[int] = (), reason: str = ""
) -> None:
    """Write into the audit log what is on a bill."""
    audit.record(
        action,
        entity="invoice",
        entity_id=invoice.id,
        actor=actor,
        before={"replaces_id": invoice.replaces_id} if invoice.replaces_id else None,
        after={
            "lines": [[line.kind, line.description, line.quantity, line.amount] for line in composed.lines],
            "cards": list(cards),
            "amount": invoice.total_amount,
        },
        reason=reason,
    )


def refuse_plans(bill: Bill) -> None:
    """Raise :class:`InvalidError` for a package on a visit's bill: it would go with the visit when that is undone."""
    for number, ware in enumerate(bill.wares):
        if ware.kind == "plan":
            raise InvalidError(
                "plan_with_visit",
                N_("A package goes on a bill of its own, so that the visit can still be undone."),
                field=f"lines-{number}-what",
            )


def lock_booking_of(booking_id: int | None) -> Booking | None:
    """Lock the visit that a bill belongs to, if any, and return it fresh."""
    if booking_id is None:
        return None
    return db.session.execute(
        select(Booking).where(Booking.id == booking_id).with_for_update().execution_options(populate_existing=True)
    ).scalar()


def _lock_visit(booking_id: int, *, branch_id: int, customer_id: int) -> None:
    booking = lock_booking_of(booking_id)
    if booking is None or (booking.branch_id, booking.customer_id) != (branch_id, customer_id):
        raise NotFoundError("booking_unknown", N_("There is no such visit."))
    if booking.status != "completed":
        raise ConflictError("visit_not_completed", N_("The visit is not completed, so it has no bill yet."))


def require_lines(composed: Composed) -> None:
    """Raise :class:`InvalidError` for a bill of nothing."""
    if not composed.lines:
        raise InvalidError("bill_empty", N_("There is nothing on the bill yet."), field="lines")


def _require_stock(composed: Composed, branch: Branch) -> Mapping[int, ProductStock]:
    wanted: dict[int, int] = {}
    for line in composed.lines:
        if line.product_id:
            wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    stocks = stock.lock_stocks(wanted, branch_id=branch.id)
    stock.require_on_hand(wanted, stocks, branch=branch)
    return stocks


def _event(composed: Composed, booking_id: int | None) -> str:
    """What the ledger calls it."""
    if booking_id is not None:
        return "visit_invoiced"
    return "plan_sold" if {line.kind for line in composed.lines} <= {"plan", "discount"} else "sale_invoiced"
