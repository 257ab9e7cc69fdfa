"""Credit notes of invoices, whole or in part. What they give back is store credit first, and settles what is due."""

from collections.abc import Mapping

from sqlalchemy import select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch, Customer, CustomerTreatment, Invoice, InvoiceLine, Payment
from spa_app.models.invoice_refund import InvoiceFacts
from spa_app.services import audit, gift_cards, ledger, promotions, stock, treatments
from spa_app.services.actor import Actor
from spa_app.services.billing.issuing import add_lines, credit_lines, lock_customer, next_number
from spa_app.services.ledger import Account, Posting


def write_credit_note(
    invoice: Invoice,
    facts: InvoiceFacts,
    amounts: Mapping[int, int],
    *,
    event: str,
    branch: Branch,
    reason: str,
    actor: Actor,
    reverses_id: int | None = None,
) -> Invoice:
    """Take ``amounts`` (minor units by line, none above what is left of it) of an invoice back, and return the note.

    The caller holds the cards and gift cards that the invoice sold locked, and the invoice, of which ``facts`` were
    read since; locks the customer, the promotion, the stocks by id, then the invoice counter. The credit is the
    customer's, once it has settled what is still to be paid. Cards of a line that comes back are cancelled; products
    return to the stock with the last of their price; those that cost nothing, and the use of a promotion, with the last
    of the invoice.
    """
    customer = lock_customer(invoice.customer_id)
    taken = [(line, one) for line in facts.lines if amounts.get(line.id) for one in line.take(amounts[line.id])]
    credit = sum(one.amount for _, one in taken)
    issued = {line.id: line for line in _list_issued(one.line_id for _, one in taken)}
    is_last = facts.credited_amount + credit == facts.total_amount
    if is_last:
        promotions.release(invoice.id)
    whole = [
        line.id
        for line in facts.lines
        if line.kind == "product"
        and (0 < line.left_amount == amounts.get(line.id) or (is_last and not line.net_amount))
    ]
    stock.give_back(_list_issued(whole), branch_id=branch.id, reason=reason, actor=actor)
    note = Invoice(
        branch_id=branch.id,
        customer_id=invoice.customer_id,
        booking_id=invoice.booking_id,
        kind="credit_note",
        number=next_number(branch),
        status="paid",
        total_amount=-credit,
        vat_amount=-sum(one.vat_amount for _, one in taken),
        paid_amount=0,
        corrects_id=invoice.id,
        reason=reason,
        issued_at=clock.now(),
        created_by_id=actor.user_id,
    )
    db.session.add(note)
    db.session.flush()
    rows = [
        InvoiceLine(
            invoice_id=note.id,
            position=position,
            kind=issued[one.line_id].kind,
            description=issued[one.line_id].description,
            quantity=-issued[one.line_id].quantity if one.amount == issued[one.line_id].amount else -1,
            amount=-one.amount,
            vat_amount=-one.vat_amount,
            vat_rate_bp=issued[one.line_id].vat_rate_bp,
            service_id=issued[one.line_id].service_id,
            plan_id=issued[one.line_id].plan_id,
            booking_item_id=issued[one.line_id].booking_item_id,
            product_id=issued[one.line_id].product_id,
            staff_id=issued[one.line_id].staff_id,
            discount_scope=issued[one.line_id].discount_scope,
            discount_bp=issued[one.line_id].discount_bp,
            corrects_id=one.line_id,
        )
        for position, (_, one) in enumerate(taken, start=1)
    ]
    places = {one.line_id: place for place, (_, one) in enumerate(taken)}
    lowers = {places[one.line_id]: issued[one.line_id].discounts_id for _, one in taken}
    add_lines(rows, {place: places[line_id] for place, line_id in lowers.items() if line_id})
    customer.credit_amount = Customer.credit_amount + credit
    db.session.flush()
    card_ids = [card_id for line, _ in taken if line.kind == "plan" for card_id in line.card_ids]
    ledger.post(
        event,
        branch=branch,
        actor=actor,
        invoice_id=note.id,
        reverses_id=reverses_id,
        postings=[
            *credit_lines(rows),
            *(
                gift_cards.take_back(row.corrects_id, amount=-row.amount, reason=reason, actor=actor)
                for row in rows
                if row.kind == "gift_card" and row.corrects_id
            ),
            *_take_cards_back(card_ids, reason=reason, actor=actor),
            Posting(Account.STORE_CREDIT, -credit, customer_id=customer.id),
        ],
    )
    if due_part := min(credit, facts.due_amount):
        settle_due(invoice, due_part, note=note, branch=branch, actor=actor)
    count_credit(invoice, credit)
    return note


def settle_due(invoice: Invoice, amount: int, *, note: Invoice, branch: Branch, actor: Actor) -> None:
    """Settle ``amount`` of what is still to be paid on a locked invoice from the credit that ``note`` has just given.

    Locks the customer. It is a payment that names the note: no money came in.
    """
    customer = lock_customer(note.customer_id)
    customer.credit_amount = Customer.credit_amount - amount
    payment = Payment(
        invoice_id=invoice.id,
        branch_id=branch.id,
        method="store_credit",
        amount=amount,
        tendered_amount=amount,
        actor_id=actor.user_id,
        credit_note_id=note.id,
    )
    db.session.add(payment)
    invoice.paid_amount += amount
    invoice.status = "paid" if invoice.paid_amount == invoice.total_amount else "partly_paid"
    db.session.flush()
    ledger.post(
        "payment_taken",
        branch=branch,
        actor=actor,
        invoice_id=invoice.id,
        payment_id=payment.id,
        postings=[
            Posting(Account.STORE_CREDIT, amount, customer_id=customer.id),
            Posting(Account.RECEIVABLE, -amount),
        ],
    )
    audit.record(
        "payment_taken",
        entity="invoice",
        entity_id=invoice.id,
        actor=actor,
        after={"method": "store_credit", "amount": amount, "status": invoice.status, "credit_note_id": note.id},
    )


def count_credit(invoice: Invoice, amount: int) -> None:
    """Add what a credit note of a locked invoice comes to; less than nothing where the note is withdrawn.

    By the database's own arithmetic, so that its constraint holds even for one who read the invoice too early.
    """
    invoice.credited_amount = Invoice.credited_amount + amount
    invoice.is_credited = Invoice.credited_amount + amount == Invoice.total_amount
    db.session.flush()
    db.session.refresh(invoice)


def _list_issued(line_ids: object) -> list[InvoiceLine]:
    query = select(InvoiceLine).where(InvoiceLine.id.in_(list(line_ids)))  # type: ignore[call-overload]
    return list(db.session.execute(query).scalars())


def _take_cards_back(card_ids: list[int], *, reason: str, actor: Actor) -> list[Posting]:
    """Cancel cards that nothing was done with; what was owed on them is owed no more."""
    cards = db.session.execute(
        select(CustomerTreatment).where(CustomerTreatment.id.in_(card_ids)).order_by(CustomerTreatment.id)
    ).scalars()
    postings = []
    for card in cards:
        postings.append(Posting(Account.DEFERRED_REVENUE, card.owed_amount, treatment_id=card.id))
        treatments.require_refundable(card)
        treatments.take_back_rest(card, actor=actor, reason=reason)
    return postings
