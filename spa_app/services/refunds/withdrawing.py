"""Taking a refund back while its credit is still there."""

from collections import Counter

from sqlalchemy import false, func, or_, select

from spa_app import clock
from spa_app.errors import N_, ConflictError, NotFoundError, WayOut
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    Branch,
    Customer,
    Invoice,
    InvoiceLine,
    JournalEntry,
    JournalLine,
    Payment,
    Payout,
    StockMovement,
)
from spa_app.money import Money
from spa_app.services import audit, gift_cards, ledger, promotions, stock, treatments
from spa_app.services.actor import Actor
from spa_app.services.billing import count_credit, lock_customer, lock_invoice
from spa_app.services.texts import required_reason
from spa_app.services.transaction import atomic


def withdraw_invoice_refund(note_id: int, *, reason: str, actor: Actor) -> int:
    """Take the refund that a credit note gave back while its credit is still there, and return the invoice's id.

    A manager's act: the note is void, cards that it took back are open again. Locks the visit, the cards, the
    invoice, the note, the gift cards, the customer, the promotion, then the stocks by id. Raises
    :class:`NotFoundError` for no credit note of this branch, and :class:`ConflictError` where the note is no refund
    (that of a card is taken back on the card, that of an undone visit by completing it anew), it stands no more,
    the visit is no longer the one that was billed, its money was handed out, or its credit was spent.
    """
    with atomic() as session:
        reason = required_reason(reason)
        found = session.get(Invoice, note_id)
        if found is None or found.kind != "credit_note":
            raise NotFoundError("invoice_unknown", N_("There is no such invoice."))
        actor.require_branch(found.branch_id)
        actor.require_manager()
        visit = None
        if found.booking_id is not None:
            visit = session.execute(
                select(Booking).where(Booking.id == found.booking_id).with_for_update(of=Booking)
            ).scalar_one()
        posted = session.execute(
            select(JournalEntry.id).where(JournalEntry.invoice_id == note_id, JournalEntry.event == "invoice_refunded")
        ).scalar()
        if posted is None or found.corrects_id is None:
            raise ConflictError(
                "not_a_refund",
                N_("%(number)s is no refund of an invoice, so it cannot be taken back here."),
                number=found.number,
            )
        taken_back = select(JournalLine.treatment_id).where(
            JournalLine.entry_id == posted, JournalLine.treatment_id.is_not(None)
        )
        cards = treatments.lock_cards(card_id for (card_id,) in session.execute(taken_back) if card_id)
        invoice = lock_invoice(found.corrects_id, actor=actor)
        note = lock_invoice(note_id, actor=actor)
        if note.status == "void":
            raise ConflictError("refund_withdrawn", N_("Refund %(number)s is taken back already."), number=note.number)
        _require_same_visit(visit, invoice, note)
        _fill_gift_cards(note, reason=reason, actor=actor)
        was_whole = invoice.is_credited
        credit = take_credit_back(note, invoice, entry_id=posted, ways_out=(), actor=actor)
        _sell_again(note, invoice, was_whole=was_whole, actor=actor)
        for card in cards.values():
            entry = treatments.find_refund(card)
            if entry is not None:
                treatments.withdraw_refund_entry(card, entry, actor=actor, reason=reason)
        audit.record(
            "refund_withdrawn",
            entity="invoice",
            entity_id=invoice.id,
            actor=actor,
            after={"credit_note_id": note.id, "cards": sorted(cards), "store_credit": -credit},
            reason=reason,
        )
        return invoice.id


def _fill_gift_cards(note: Invoice, *, reason: str, actor: Actor) -> None:
    """Put back onto gift cards what a credit note took off them. Locks them by id."""
    gift_cards.lock_of(note.corrects_id or 0)
    lines = (
        select(InvoiceLine)
        .where(InvoiceLine.invoice_id == note.id, InvoiceLine.kind == "gift_card")
        .order_by(InvoiceLine.id)
    )
    for line in db.session.execute(lines).scalars():
        gift_cards.give_again(line.corrects_id or 0, amount=-line.amount, reason=reason, actor=actor)


def _sell_again(note: Invoice, invoice: Invoice, *, was_whole: bool, actor: Actor) -> None:
    """Take the products that a credit note put back out of the stock again. Locks the stocks by id.

    ``was_whole``: nothing was left of the invoice, so what it gave away for nothing had come back, too.
    """
    of = func.coalesce(InvoiceLine.discounts_id, InvoiceLine.id)
    free = select(of).where(InvoiceLine.invoice_id == invoice.id).group_by(of).having(func.sum(InvoiceLine.amount) == 0)
    returned = (
        select(StockMovement.invoice_line_id)
        .group_by(StockMovement.invoice_line_id)
        .having(func.sum(StockMovement.quantity) == 0)
    )
    lines = (
        db.session.execute(
            select(InvoiceLine).where(
                or_(
                    InvoiceLine.id.in_(select(InvoiceLine.corrects_id).where(InvoiceLine.invoice_id == note.id)),
                    InvoiceLine.id.in_(free) if was_whole else false(),
                ),
                InvoiceLine.id.in_(returned),
            )
        )
        .scalars()
        .all()
    )
    wanted: Counter[int] = Counter()
    for line in lines:
        wanted[line.product_id or 0] += line.quantity
    stocks = stock.lock_stocks(wanted, branch_id=invoice.branch_id)
    stock.require_on_hand(wanted, stocks, branch=db.session.get_one(Branch, invoice.branch_id))
    stock.take_sold(lines, stocks, actor=actor)


def take_credit_back(
    note: Invoice, invoice: Invoice | None, *, entry_id: int, ways_out: tuple[WayOut, ...], actor: Actor
) -> int:
    """Void a locked credit note with what entry ``entry_id`` posted for it, and return how much it had given.

    ``invoice`` is the locked one that it corrects, if any; where nothing was left of it, the use of its promotion
    counts again. Locks the customer, then the promotion. Raises :class:`ConflictError` where its money was handed
    out, its credit was spent, or the uses of the promotion are taken meanwhile.
    """
    customer = lock_customer(note.customer_id)
    if db.session.scalar(select(Payout.id).where(Payout.invoice_id == note.id).limit(1)):
        raise ConflictError(
            "refund_paid_out",
            N_("The money of refund %(number)s was handed out, so it cannot be taken back."),
            ways_out=ways_out,
            number=note.number,
        )
    credit = -note.total_amount
    settled = db.session.scalar(
        select(func.coalesce(func.sum(Payment.amount), 0)).where(Payment.credit_note_id == note.id)
    )
    if spent := max(int(settled or 0), credit - customer.credit_amount):
        raise ConflictError(
            "refund_spent",
            N_("Of the credit of refund %(number)s, %(spent)s is spent, so it cannot be taken back."),
            ways_out=ways_out,
            number=note.number,
            spent=Money(spent),
        )
    customer.credit_amount = Customer.credit_amount - credit
    note.status = "void"
    note.voided_at = clock.now()
    if invoice is not None:
        if invoice.is_credited:
            promotions.retake(invoice.id)
        count_credit(invoice, -credit)
    branch = db.session.get_one(Branch, note.branch_id)
    ledger.reverse("refund_withdrawn", entry_id=entry_id, branch=branch, actor=actor, invoice_id=note.id)
    return credit


def _require_same_visit(visit: Booking | None, invoice: Invoice, note: Invoice) -> None:
    """Raise :class:`ConflictError` where the invoice would come to life for a visit that was undone meanwhile."""
    ended_at = visit and (visit.completed_at if visit.status == "completed" else visit.cancelled_at)
    was_undone = visit is not None and (
        visit.status not in ("completed", "cancelled", "no_show") or (ended_at and ended_at > note.issued_at)
    )
    taken_back = db.session.scalar(
        select(JournalEntry.id)
        .join(Invoice, Invoice.id == JournalEntry.invoice_id)
        .where(Invoice.corrects_id == invoice.id, JournalEntry.event == "invoice_credited")
        .limit(1)
    )
    if was_undone or taken_back:
        raise ConflictError(
            "visit_undone",
            N_("The visit of invoice %(number)s was undone meanwhile, so its refund stands."),
            number=invoice.number,
        )
