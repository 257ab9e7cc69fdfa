"""What a refund of an invoice starts from."""

from collections import defaultdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from spa_app.extensions import db
from spa_app.models import Branch, CustomerTreatment, GiftCard, Invoice, InvoiceLine, Payment, Payout
from spa_app.models.invoice_refund import InvoiceFacts, LineFacts, Part, PaymentFacts


def find_invoice_refund(invoice_id: int) -> tuple[InvoiceFacts, int]:
    """What a refund of an invoice that is there would start from as it stands now, and what the desk may refund of it.

    Five statements.
    """
    invoice, limit = db.session.execute(
        select(Invoice, Branch.refund_limit_amount)
        .join(Branch, Branch.id == Invoice.branch_id)
        .where(Invoice.id == invoice_id)
        .execution_options(populate_existing=True)
    ).one()
    return get_invoice_refund_facts(invoice), limit


def get_invoice_refund_facts(invoice: Invoice) -> InvoiceFacts:
    """The facts behind :func:`spa_app.models.invoice_refund.work_out`. Four statements.

    Who acts on them holds the cards that the invoice sold locked, and the invoice. What credits settled before payments
    named them (refunds of cards) counts as paid in store credit.
    """
    payments = db.session.execute(
        select(Payment, func.coalesce(func.sum(Payout.amount), 0))
        .outerjoin(Payout, Payout.payment_id == Payment.id)
        .where(Payment.invoice_id == invoice.id)
        .group_by(Payment.id)
        .order_by(Payment.id.desc())
    ).all()
    return InvoiceFacts(
        total_amount=invoice.total_amount,
        paid_amount=invoice.paid_amount,
        credited_amount=invoice.credited_amount,
        settled_amount=sum(one.amount for one, _ in payments if one.credit_note_id),
        lines=_list_lines(invoice.id),
        payments=tuple(
            PaymentFacts(one.id, one.method, one.amount, one.reference, one.taken_at, int(back))
            for one, back in payments
            if one.credit_note_id is None
        ),
    )


def _list_lines(invoice_id: int) -> tuple[LineFacts, ...]:
    note, back = aliased(Invoice), aliased(InvoiceLine)
    taken = (
        select(
            back.corrects_id,
            (-func.sum(back.amount)).label("amount"),
            (-func.sum(back.vat_amount)).label("vat_amount"),
        )
        .join(note, note.id == back.invoice_id)
        .where(note.corrects_id == invoice_id, note.status != "void")
        .group_by(back.corrects_id)
        .subquery()
    )
    rows = db.session.execute(
        select(InvoiceLine, func.coalesce(taken.c.amount, 0), func.coalesce(taken.c.vat_amount, 0))
        .outerjoin(taken, taken.c.corrects_id == InvoiceLine.id)
        .where(InvoiceLine.invoice_id == invoice_id)
        .order_by(InvoiceLine.position)
    )
    cards, on_gift_cards = _cards_of(invoice_id), _on_gift_cards(invoice_id)
    sold, discounts = [], defaultdict(list)
    for line, amount, vat in rows:
        part = Part(line.id, line.amount, line.vat_amount, int(amount), int(vat))
        if line.discounts_id:
            discounts[line.discounts_id].append(part)
        else:
            sold.append((line, part))
    lines = []
    for line, part in sold:
        card_ids, worth, is_untouched = cards.get(line.id, ((), 0, False))
        net = sum(one.amount - one.vat_amount for one in (part, *discounts[line.id]))
        untouched = is_untouched and worth == net
        lines.append(
            LineFacts(
                line=part,
                discounts=tuple(discounts[line.id]),
                kind=line.kind,
                description=line.description,
                quantity=line.quantity,
                card_ids=card_ids,
                is_blocked=line.kind == "plan" and not untouched,
                limit_amount=on_gift_cards.get(line.id, 0) if line.kind == "gift_card" else None,
            )
        )
    return tuple(lines)


def _cards_of(invoice_id: int) -> dict[int, Any]:
    """By line: its cards, what is owed on them, and whether all are as they were sold."""
    card = CustomerTreatment
    untouched = (
        (card.status == "active")
        & card.origin_id.is_(None)
        & (card.used_sessions + card.held_sessions + card.expired_sessions == 0)
    )  # fmt: skip
    rows = db.session.execute(
        select(
            card.invoice_line_id,
            func.array_agg(card.id).label("ids"),
            func.sum(card.deferred_amount),
            func.bool_and(untouched),
        )
        .join(InvoiceLine, InvoiceLine.id == card.invoice_line_id)
        .where(InvoiceLine.invoice_id == invoice_id)
        .group_by(card.invoice_line_id)
    )
    return {line_id: (tuple(sorted(ids)), int(worth), is_untouched) for line_id, ids, worth, is_untouched in rows}


def _on_gift_cards(invoice_id: int) -> dict[int, int]:
    """By line: what is left on the gift card that it sold."""
    rows = db.session.execute(
        select(GiftCard.invoice_line_id, GiftCard.balance_amount)
        .join(InvoiceLine, InvoiceLine.id == GiftCard.invoice_line_id)
        .where(InvoiceLine.invoice_id == invoice_id)
    )
    return {line_id: balance for line_id, balance in rows if line_id is not None}
