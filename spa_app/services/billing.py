"""Invoices and credit notes; only the credit notes of refunded cards are written elsewhere, in ``refunds``.

Rules: 1-product, *Money*.

Every function joins the caller's transaction or makes its own, and posts to the ledger what it did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError, WayOut, Word, WrongStateError
from spa_app.extensions import db
from spa_app.models import (
    Branch,
    Customer,
    CustomerTreatment,
    Invoice,
    InvoiceCounter,
    InvoiceLine,
    JournalEntry,
    Plan,
    PlanItem,
    Service,
    valid_through,
)
from spa_app.money import split, vat_within
from spa_app.services import audit, ledger, treatments
from spa_app.services.actor import Actor
from spa_app.services.ledger import Account, Posting
from spa_app.services.texts import required_reason
from spa_app.services.transaction import atomic

STATUS_WORDS = {
    "draft": N_("a draft"),
    "open": N_("still to be paid"),
    "partly_paid": N_("partly paid"),
    "paid": N_("paid"),
    "void": N_("void"),
}


@dataclass(frozen=True)
class Line:
    """A line to be issued. ``amount`` is in minor units, VAT included at ``vat_rate_bp`` basis points."""

    kind: str
    description: str
    amount: int
    vat_rate_bp: int
    quantity: int = 1
    service_id: int | None = None
    plan_id: int | None = None
    booking_item_id: int | None = None


def invoice_visit(*, branch: Branch, customer_id: int, booking_id: int, lines: Sequence[Line], actor: Actor) -> int:
    """Issue the invoice of a completed visit for what its cards do not cover, and return its id.

    The caller holds the booking's lock. Raises :class:`ConflictError` when the visit has a live invoice already.
    """
    invoice = _issue(branch=branch, customer_id=customer_id, booking_id=booking_id, lines=lines, actor=actor)
    ledger.post(
        "visit_invoiced",
        branch=branch,
        actor=actor,
        invoice_id=invoice.id,
        postings=[
            Posting(Account.RECEIVABLE, invoice.total_amount),
            Posting(Account.SERVICE_REVENUE, invoice.vat_amount - invoice.total_amount),
            Posting(Account.VAT, -invoice.vat_amount),
        ],
    )
    return invoice.id


def charge_fee(
    *, branch: Branch, customer_id: int, booking_id: int, description: str, amount: int, actor: Actor
) -> int:
    """Issue the invoice of what a policy takes for a visit that does not take place, and return its id.

    ``amount`` is in minor units and holds no VAT: the fee makes good a loss, nothing is supplied for it.
    ``description`` is a msgid, translated where it is shown. The caller holds the booking's lock. Raises
    :class:`ConflictError` when the visit has a live invoice already.
    """
    invoice = _issue(
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


def sell_plan(*, customer_id: int, plan_id: int, branch_id: int, actor: Actor) -> int:
    """Sell a plan: one invoice, and a card for each service in it, its value shared by list price.

    Returns the invoice's id.
    Raises :class:`NotFoundError` for an unknown customer, :class:`InvalidError` for a plan that is not for sale.
    """
    with atomic() as session:
        actor.require_branch(branch_id)
        branch = session.get_one(Branch, branch_id)
        if session.get(Customer, customer_id) is None:
            raise NotFoundError("customer_unknown", N_("There is no such customer."))
        plan = session.get(Plan, plan_id)
        if plan is None or not plan.is_active:
            raise InvalidError("plan_unknown", N_("This package is not for sale."), field="plan_id")
        items = session.execute(
            select(
                PlanItem.service_id,
                (PlanItem.sessions + PlanItem.bonus_sessions).label("sessions"),
                Service.price_amount,
            )
            .outerjoin(Service, Service.id == PlanItem.service_id)
            .where(PlanItem.plan_id == plan.id)
            .order_by(PlanItem.id)
        ).all()
        if not items:
            raise InvalidError("plan_empty", N_("This package holds no sessions yet."), field="plan_id")
        invoice = _issue(
            branch=branch,
            customer_id=customer_id,
            lines=[Line("plan", plan.name, plan.price_amount, plan.vat_rate_bp, plan_id=plan.id)],
            actor=actor,
        )
        line_id = session.execute(select(InvoiceLine.id).where(InvoiceLine.invoice_id == invoice.id)).scalar_one()
        # A session of "any service" has no list price; it weighs as much as the dearest priced one in the plan.
        dearest = max((item.price_amount or 0 for item in items), default=0) or 1
        shares = split(
            invoice.total_amount - invoice.vat_amount,
            [item.sessions * (dearest if item.price_amount is None else item.price_amount) for item in items],
        )
        today = clock.today(branch.timezone)
        # The card keeps what it was sold with: the plan may change or be retired.
        validity: dict[str, Any] = (
            {"expiry_date": None, "validity_days": plan.validity_days, "validity_months": plan.validity_months}
            if plan.from_first_visit
            else {"expiry_date": valid_through(today, plan.validity_days, plan.validity_months)}
        )
        cards = [
            treatments.open_card(
                customer_id=customer_id,
                branch=branch,
                service_id=item.service_id,
                plan_id=plan.id,
                invoice_line_id=line_id,
                sessions=item.sessions,
                deferred_amount=share,
                actor=actor,
                **validity,
            )
            for item, share in zip(items, shares, strict=True)
        ]
        ledger.post(
            "plan_sold",
            branch=branch,
            actor=actor,
            invoice_id=invoice.id,
            postings=[
                Posting(Account.RECEIVABLE, invoice.total_amount),
                *(
                    Posting(Account.DEFERRED_REVENUE, -share, treatment_id=card_id)
                    for card_id, share in zip(cards, shares, strict=True)
                ),
                Posting(Account.VAT, -invoice.vat_amount),
            ],
        )
        audit.record(
            "plan_sold",
            entity="invoice",
            entity_id=invoice.id,
            actor=actor,
            after={"plan_id": plan.id, "cards": cards, "amount": invoice.total_amount},
        )
        return invoice.id


def void_sale(invoice_id: int, *, reason: str, actor: Actor) -> int:
    """Void the unpaid invoice of a plan, taking its unused cards back, and return the invoice's id.

    Locks the cards, then the invoice. Raises :class:`WrongStateError` when money was taken or a visit is billed (undo
    the visit instead), :class:`ConflictError` when a card is in use, :class:`InvalidError` without a reason.
    """
    with atomic() as session:
        reason = required_reason(reason)
        card_ids = session.execute(
            select(CustomerTreatment.id)
            .join(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
            .where(InvoiceLine.invoice_id == invoice_id)
        ).scalars()
        cards = treatments.lock_cards(card_ids)
        invoice = lock_invoice(invoice_id, actor=actor)
        if invoice.booking_id is not None:
            raise WrongStateError(
                "undo_visit_instead",
                N_("Invoice %(number)s bills a visit: take back there what was done."),
                ways_out=(WayOut("open_booking", N_("Open the visit"), {"booking_id": invoice.booking_id}),),
                number=invoice.number,
            )
        _void(invoice, branch=session.get_one(Branch, invoice.branch_id), reason=reason, actor=actor)
        for card in cards.values():
            treatments.cancel_unused_card(card, actor=actor, reason=reason)
        return invoice.id


def withdraw_visit_invoice(booking_id: int, *, branch: Branch, reason: str, actor: Actor) -> None:
    """Take back the invoice of a visit whose completion or cancellation is undone: void it, credit it once paid on.

    The caller holds the booking and its cards locked; locks the invoice, then the customer. Crediting is a manager's
    act (:class:`NotAllowedError`); what was paid becomes the customer's store credit. No live invoice: does nothing.
    """
    session = db.session
    invoice_id = session.execute(
        select(Invoice.id).where(
            Invoice.booking_id == booking_id,
            Invoice.kind == "invoice",
            Invoice.status != "void",
            Invoice.is_credited.is_(False),
        )
    ).scalar()
    if invoice_id is None:
        return
    invoice = lock_invoice(invoice_id, actor=actor)
    if invoice.paid_amount == 0 and invoice.total_amount > 0:
        _void(invoice, branch=branch, reason=reason, actor=actor)
    elif invoice.total_amount > 0:
        actor.require_manager()
        _credit(invoice, branch=branch, reason=reason, actor=actor)
    else:
        invoice.is_credited = True


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


def _issue(
    *, branch: Branch, customer_id: int, lines: Sequence[Line], actor: Actor, booking_id: int | None = None
) -> Invoice:
    vats = [vat_within(line.amount, line.vat_rate_bp) for line in lines]
    total = sum(line.amount for line in lines)
    invoice = Invoice(
        branch_id=branch.id,
        customer_id=customer_id,
        booking_id=booking_id,
        kind="invoice",
        number=next_number(branch),
        status="open" if total else "paid",
        total_amount=total,
        vat_amount=sum(vats),
        paid_amount=0,
        issued_at=clock.now(),
        created_by_id=actor.user_id,
    )
    db.session.add(invoice)
    db.session.flush()
    db.session.add_all(
        InvoiceLine(
            invoice_id=invoice.id,
            position=position,
            kind=line.kind,
            description=line.description,
            quantity=line.quantity,
            amount=line.amount,
            vat_amount=vat,
            vat_rate_bp=line.vat_rate_bp,
            service_id=line.service_id,
            plan_id=line.plan_id,
            booking_item_id=line.booking_item_id,
        )
        for position, (line, vat) in enumerate(zip(lines, vats, strict=True), start=1)
    )
    db.session.flush()
    return invoice


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


def _void(invoice: Invoice, *, branch: Branch, reason: str, actor: Actor) -> None:
    if invoice.kind != "invoice" or invoice.status != "open":
        raise WrongStateError(
            "not_voidable",
            N_("Invoice %(number)s is %(status)s and can no longer be voided."),
            number=invoice.number,
            status=Word(STATUS_WORDS[invoice.status]),
        )
    invoice.status = "void"
    invoice.voided_at = clock.now()
    invoice.reason = reason
    db.session.flush()
    for entry_id in _sale_entries(invoice.id):
        ledger.reverse("invoice_voided", entry_id=entry_id, branch=branch, actor=actor, invoice_id=invoice.id)
    audit.record("invoice_voided", entity="invoice", entity_id=invoice.id, actor=actor, reason=reason)


def _credit(invoice: Invoice, *, branch: Branch, reason: str, actor: Actor) -> None:
    """Issue the credit note of a whole invoice. What was paid goes to store credit, the rest is no longer owed."""
    lines = db.session.execute(select(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id)).scalars().all()
    customer = lock_customer(invoice.customer_id)
    paid, total, vat = invoice.paid_amount, invoice.total_amount, invoice.vat_amount
    fees = sum(line.amount for line in lines if line.kind == "fee")
    note = Invoice(
        branch_id=branch.id,
        customer_id=invoice.customer_id,
        booking_id=invoice.booking_id,
        kind="credit_note",
        number=next_number(branch),
        status="paid",
        total_amount=-total,
        vat_amount=-vat,
        paid_amount=0,
        corrects_id=invoice.id,
        reason=reason,
        issued_at=clock.now(),
        created_by_id=actor.user_id,
    )
    invoice.is_credited = True
    customer.credit_amount = Customer.credit_amount + paid
    db.session.add(note)
    db.session.flush()
    db.session.add_all(
        InvoiceLine(
            invoice_id=note.id,
            position=line.position,
            kind=line.kind,
            description=line.description,
            quantity=-line.quantity,
            amount=-line.amount,
            vat_amount=-line.vat_amount,
            vat_rate_bp=line.vat_rate_bp,
            service_id=line.service_id,
            booking_item_id=line.booking_item_id,
        )
        for line in lines
    )
    db.session.flush()
    ledger.post(
        "invoice_credited",
        branch=branch,
        actor=actor,
        invoice_id=note.id,
        reverses_id=_sale_entries(invoice.id)[0],
        postings=[
            Posting(Account.SERVICE_REVENUE, total - vat - fees),
            Posting(Account.FEE_REVENUE, fees),
            Posting(Account.VAT, vat),
            Posting(Account.STORE_CREDIT, -paid, customer_id=customer.id),
            Posting(Account.RECEIVABLE, paid - total),
        ],
    )
    audit.record(
        "invoice_credited",
        entity="invoice",
        entity_id=invoice.id,
        actor=actor,
        after={"credit_note_id": note.id, "store_credit": paid},
        reason=reason,
    )


def _sale_entries(invoice_id: int) -> list[int]:
    query = select(JournalEntry.id).where(
        JournalEntry.invoice_id == invoice_id, JournalEntry.event.in_(("visit_invoiced", "plan_sold", "fee_charged"))
    )
    return list(db.session.execute(query).scalars())
