"""Changing a bill that nobody has paid on. Issued means immutable: the old one is void, a new one takes its place."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from spa_app.errors import N_, WayOut, Word, WrongStateError
from spa_app.extensions import db
from spa_app.models import Branch, CustomerTreatment, Invoice, InvoiceLine, JournalEntry, JournalLine
from spa_app.models.bill import Bill
from spa_app.queries.bill import list_visit_therapists
from spa_app.services import promotions, stock, treatments
from spa_app.services.actor import Actor
from spa_app.services.billing import wares
from spa_app.services.billing.composing import Composed, compose, require_grantable
from spa_app.services.billing.issuing import STATUS_WORDS, Line, list_lines, lock_invoice
from spa_app.services.billing.selling import issue_bill, lock_booking_of, record_bill, refuse_plans, require_lines
from spa_app.services.billing.withdrawing import SALE_EVENTS, void_invoice
from spa_app.services.ledger import Account
from spa_app.services.transaction import atomic

# Kinds of lines that the form of a bill knows how to show again. What else is on one is voided and sold anew.
CHANGEABLE = ("service", "plan", "product", "tip", "discount")
CHANGED = "bill changed"


def change_bill(invoice_id: int, *, bill: Bill, actor: Actor) -> int:
    """Void an unpaid invoice and issue another with the same services and ``bill``; returns the new one's id.

    The cards that it sold go on with the new one, sessions, visits and all, where the same package is still on the
    bill; other packages are taken back, unused. Locks the visit, the cards by id, the invoice, the promotion, the
    stocks by id, then the invoice counter. Raises :class:`WrongStateError` once money was taken, and where the invoice
    is void or of a fee; :class:`ConflictError` for a package whose price changes although its sessions are in use, and
    what :func:`sell` raises.
    """
    with atomic() as session:
        booking_id = session.scalar(select(Invoice.booking_id).where(Invoice.id == invoice_id))
        lock_booking_of(booking_id)
        cards = treatments.lock_cards(wares.cards_sold(list_lines(invoice_id)))
        invoice = lock_invoice(invoice_id, actor=actor)
        lines = list_lines(invoice_id)
        require_changeable(invoice, lines)
        branch = session.get_one(Branch, invoice.branch_id)
        if booking_id is not None:
            refuse_plans(bill)
        promotions.release(invoice.id)
        composed = compose(
            bill,
            branch_id=branch.id,
            customer_id=invoice.customer_id,
            claims=True,
            services=service_lines(lines),
            therapists=list_visit_therapists(booking_id),
            former=lines,
        )
        require_grantable(composed, branch_id=branch.id, actor=actor, granted_amount=granted_amount(lines))
        require_lines(composed)
        going_on = _match(composed, lines)
        kept = {place: _sold_for(line, invoice, cards) for place, line in going_on.items()}
        # All stocks at once and by id, before any of them moves.
        products = [line.product_id for line in lines] + [line.product_id for line in composed.lines]
        stock.lock_stocks(filter(None, products), branch_id=branch.id)
        void_invoice(invoice, branch=branch, reason=CHANGED, actor=actor, kept=[one.id for one in going_on.values()])
        changed, opened = issue_bill(
            composed,
            branch=branch,
            customer_id=invoice.customer_id,
            booking_id=booking_id,
            replaces_id=invoice.id,
            kept=kept,
            actor=actor,
        )
        record_bill("bill_changed", changed, composed, actor=actor, cards=opened)
        return changed.id


def require_changeable(invoice: Invoice, lines: Sequence[InvoiceLine]) -> None:
    """Raise :class:`WrongStateError`, with the way out, unless the bill can still be changed."""
    number = invoice.number
    if invoice.kind == "invoice" and invoice.paid_amount and not invoice.is_credited:
        raise WrongStateError(
            "bill_paid_on",
            N_("Money was taken for invoice %(number)s, so it stays as it is. Put what is new on a further bill."),
            ways_out=(WayOut("new_sale", N_("New sale"), {"customer_id": invoice.customer_id}),),
            number=number,
        )
    if invoice.kind != "invoice" or invoice.status in ("void", "draft") or invoice.is_credited:
        later_id = db.session.scalar(select(Invoice.id).where(Invoice.replaces_id == invoice.id))
        way = N_("Open the new bill") if later_id else N_("Open the invoice")
        raise WrongStateError(
            "bill_not_changeable",
            N_("Invoice %(number)s is %(status)s and can no longer be changed."),
            ways_out=(WayOut("pay_due", way, {"invoice_id": later_id or invoice.id}),),
            number=number,
            status=Word(STATUS_WORDS[invoice.status]),
        )
    if not {line.kind for line in lines} <= set(CHANGEABLE):
        raise WrongStateError(
            "bill_of_other_kind",
            N_("What is on invoice %(number)s cannot be changed. Put what is new on a further bill."),
            ways_out=(WayOut("new_sale", N_("New sale"), {"customer_id": invoice.customer_id}),),
            number=number,
        )


def granted_amount(lines: Sequence[InvoiceLine]) -> int:
    """What the desk took off by itself on an invoice, without a promotion."""
    return -sum(line.amount for line in lines if line.kind == "discount" and line.discount_scope != "promotion")


def service_lines(lines: Sequence[InvoiceLine]) -> list[Line]:
    """The services that an invoice bills, as they go on the one that replaces it."""
    return [
        Line(
            "service",
            line.description,
            line.amount,
            line.vat_rate_bp,
            line.quantity,
            service_id=line.service_id,
            booking_item_id=line.booking_item_id,
        )
        for line in lines
        if line.kind == "service"
    ]


def _match(composed: Composed, lines: Sequence[InvoiceLine]) -> dict[int, InvoiceLine]:
    """Which line of the new bill goes on with which one of the old: by place, for the same package as often."""
    left = [line for line in lines if line.kind == "plan"]
    going_on: dict[int, InvoiceLine] = {}
    for place, line in enumerate(composed.lines):
        same = next((one for one in left if (one.plan_id, one.quantity) == (line.plan_id, line.quantity)), None)
        if line.kind == "plan" and same is not None:
            left.remove(same)
            going_on[place] = same
    return going_on


def _sold_for(
    line: InvoiceLine, invoice: Invoice, cards: Mapping[int, CustomerTreatment]
) -> dict[CustomerTreatment, int]:
    """The cards that a line sold, transferred ones too, with what the sale put on each without VAT."""
    posted = dict(
        db.session.execute(
            select(JournalLine.treatment_id, -JournalLine.amount)
            .join(JournalEntry, JournalEntry.id == JournalLine.entry_id)
            .where(
                JournalEntry.invoice_id == invoice.id,
                JournalEntry.event.in_(SALE_EVENTS),
                JournalLine.account_id == Account.DEFERRED_REVENUE,
            )
        ).all()
    )
    return {card: posted.get(card.id, 0) for card in cards.values() if card.invoice_line_id == line.id}
