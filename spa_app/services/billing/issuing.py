"""Issued invoices: their lines, numbers and locks, and the account that each kind of line is earned on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from spa_app import clock
from spa_app.errors import N_, NotFoundError
from spa_app.extensions import db
from spa_app.models import Branch, Customer, GiftCard, Invoice, InvoiceCounter, InvoiceLine
from spa_app.money import vat_within
from spa_app.services.actor import Actor
from spa_app.services.ledger import Account, Posting

STATUS_WORDS = {
    "draft": N_("a draft"),
    "open": N_("still to be paid"),
    "partly_paid": N_("partly paid"),
    "paid": N_("paid"),
    "void": N_("void"),
}

# Where what a line earns is credited; a discount lowers what the line earns that it is on. A plan is owed in sessions,
# card by card: what delivers it posts it.
LINE_ACCOUNTS = {
    "service": Account.SERVICE_REVENUE,
    "product": Account.PRODUCT_REVENUE,
    "fee": Account.FEE_REVENUE,
    "tip": Account.TIPS_PAYABLE,
    "gift_card": Account.GIFT_CARDS,
}


@dataclass(frozen=True)
class Line:
    """A line to be issued. ``amount`` is in minor units, VAT included at ``vat_rate_bp`` basis points.

    A discount lowers the line at the place ``lowers`` among those that are issued with it, and brings its VAT along
    (:func:`spa_app.models.bill.cut`); of others it is what is within the amount.
    """

    kind: str
    description: str
    amount: int
    vat_rate_bp: int
    quantity: int = 1
    service_id: int | None = None
    plan_id: int | None = None
    booking_item_id: int | None = None
    product_id: int | None = None
    staff_id: int | None = None
    lowers: int | None = None
    vat_amount: int | None = None
    discount_scope: str | None = None
    discount_bp: int | None = None

    @property
    def vat(self) -> int:
        """The VAT in it."""
        return vat_within(self.amount, self.vat_rate_bp) if self.vat_amount is None else self.vat_amount


def issue(
    *,
    branch: Branch,
    customer_id: int,
    lines: Sequence[Line],
    actor: Actor,
    booking_id: int | None = None,
    replaces_id: int | None = None,
) -> tuple[Invoice, list[InvoiceLine]]:
    """Write an invoice, and return it with its lines; the caller posts it (:func:`credit_lines`).

    Takes the branch's next number, whose row lock lasts to the commit. Raises :class:`ConflictError` when the visit has
    a live invoice already, or another invoice replaces that one.
    """
    total = sum(line.amount for line in lines)
    invoice = Invoice(
        branch_id=branch.id,
        customer_id=customer_id,
        booking_id=booking_id,
        kind="invoice",
        number=next_number(branch),
        status="open" if total else "paid",
        total_amount=total,
        vat_amount=sum(line.vat for line in lines),
        paid_amount=0,
        replaces_id=replaces_id,
        issued_at=clock.now(),
        created_by_id=actor.user_id,
    )
    db.session.add(invoice)
    db.session.flush()
    rows = [
        InvoiceLine(
            invoice_id=invoice.id,
            position=position,
            kind=line.kind,
            description=line.description,
            quantity=line.quantity,
            amount=line.amount,
            vat_amount=line.vat,
            vat_rate_bp=line.vat_rate_bp,
            service_id=line.service_id,
            plan_id=line.plan_id,
            booking_item_id=line.booking_item_id,
            product_id=line.product_id,
            staff_id=line.staff_id,
            discount_scope=line.discount_scope,
            discount_bp=line.discount_bp,
        )
        for position, line in enumerate(lines, start=1)
    ]
    add_lines(rows, {place: line.lowers for place, line in enumerate(lines) if line.lowers is not None})
    return invoice, rows


def add_lines(rows: Sequence[InvoiceLine], lowered: Mapping[int, int]) -> None:
    """Add lines; those at the keys of ``lowered`` are discounts on the ones at its values, whose ids they need."""
    db.session.add_all(row for place, row in enumerate(rows) if place not in lowered)
    db.session.flush()
    if lowered:
        for place, other in lowered.items():
            rows[place].discounts_id = rows[other].id
            db.session.add(rows[place])
        db.session.flush()


def credit_lines(lines: Iterable[InvoiceLine]) -> list[Posting]:
    """The credits of an invoice's lines: what each earned or is owed, less its discounts, and the VAT.

    Of plans only the VAT: what is owed on their cards is posted card by card. What sells a gift card names it: the card
    is made before (``gift_cards.issue_for``).
    """
    sold = list(lines)
    kinds = {line.id: line.kind for line in sold}
    sums: dict[Account, int] = {}
    for line in sold:
        kind = kinds[line.discounts_id] if line.discounts_id else line.kind
        if kind == "gift_card":
            continue
        if kind != "plan":
            account = LINE_ACCOUNTS[kind]
            sums[account] = sums.get(account, 0) - (line.amount - line.vat_amount)
        sums[Account.VAT] = sums.get(Account.VAT, 0) - line.vat_amount
    return [*(Posting(account, amount) for account, amount in sorted(sums.items())), *_gift_cards(sold)]


def _gift_cards(lines: Sequence[InvoiceLine]) -> list[Posting]:
    amounts = {line.id: line.amount for line in lines if line.kind == "gift_card"}
    if not amounts:
        return []
    cards = db.session.execute(
        select(GiftCard.invoice_line_id, GiftCard.id)
        .where(GiftCard.invoice_line_id.in_(amounts))
        .order_by(GiftCard.invoice_line_id)
    )
    return [
        Posting(LINE_ACCOUNTS["gift_card"], -amounts[line_id], gift_card_id=card_id)
        for line_id, card_id in cards
        if line_id is not None
    ]


def net_amounts(lines: Iterable[InvoiceLine]) -> dict[int, int]:
    """What each line earns without VAT, less its discounts, by the line's id."""
    nets: dict[int, int] = {}
    for line in lines:
        of = line.discounts_id or line.id
        nets[of] = nets.get(of, 0) + line.amount - line.vat_amount
    return nets


def list_lines(invoice_id: int) -> Sequence[InvoiceLine]:
    """The lines of an invoice in their order."""
    query = select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id).order_by(InvoiceLine.position)
    return db.session.execute(query).scalars().all()


def next_number(branch: Branch) -> str:
    """The next number of the branch and year. The counter's row lock lasts to the commit, so no number is lost."""
    year = clock.today(branch.timezone).year
    number = db.session.execute(
        insert(InvoiceCounter)
        .values(branch_id=branch.id, year=year, last_number=1)
        .on_conflict_do_update(
            index_elements=["branch_id", "year"], set_={"last_number": InvoiceCounter.last_number + 1}
        )
        .returning(InvoiceCounter.last_number)
    ).scalar_one()
    return f"{branch.code}-{year}-{number:06d}"


def lock_invoice(invoice_id: int, *, actor: Actor) -> Invoice:
    """Lock an invoice and return it fresh. Raises :class:`NotFoundError` for one of another branch or none."""
    invoice = db.session.execute(
        select(Invoice).where(Invoice.id == invoice_id).with_for_update().execution_options(populate_existing=True)
    ).scalar()
    if invoice is None:
        raise NotFoundError("invoice_unknown", N_("There is no such invoice."))
    actor.require_branch(invoice.branch_id)
    return invoice


def lock_customer(customer_id: int) -> Customer:
    """Lock a customer's store credit and return the customer fresh.

    The lock leaves foreign key checks alone: another desk that books or sells for the customer holds the invoice
    counter, which crediting wants next, and would wait here for this one in a circle.
    """
    return db.session.execute(
        select(Customer)
        .where(Customer.id == customer_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).scalar_one()
