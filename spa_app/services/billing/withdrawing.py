"""Taking invoices back: void while unpaid, by a credit note once money was taken."""

from collections.abc import Collection

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, ConflictError, WayOut, Word, WrongStateError
from spa_app.extensions import db
from spa_app.models import Branch, Invoice, JournalEntry
from spa_app.queries.invoice_refunds import get_invoice_refund_facts
from spa_app.services import audit, gift_cards, ledger, promotions, treatments
from spa_app.services.actor import Actor
from spa_app.services.billing import wares
from spa_app.services.billing.crediting import write_credit_note
from spa_app.services.billing.issuing import STATUS_WORDS, list_lines, lock_invoice
from spa_app.services.texts import required_reason
from spa_app.services.transaction import atomic

# What posts an invoice when it is issued.
SALE_EVENTS = ("visit_invoiced", "plan_sold", "sale_invoiced", "fee_charged")


def void_sale(invoice_id: int, *, reason: str, actor: Actor) -> int:
    """Void the unpaid invoice of a sale, taking its unused cards and its products back, and return the invoice's id.

    Locks the cards, the invoice, the gift cards, then the stocks. Raises :class:`WrongStateError` when money was taken
    or a visit is billed (undo the visit instead), :class:`ConflictError` when a card is in use, :class:`InvalidError`
    without a reason.
    """
    with atomic() as session:
        reason = required_reason(reason)
        treatments.lock_cards(wares.cards_sold(list_lines(invoice_id)))
        invoice = lock_invoice(invoice_id, actor=actor)
        if invoice.booking_id is not None:
            raise WrongStateError(
                "undo_visit_instead",
                N_("Invoice %(number)s bills a visit: take back there what was done."),
                ways_out=(WayOut("open_booking", N_("Open the visit"), {"booking_id": invoice.booking_id}),),
                number=invoice.number,
            )
        void_invoice(invoice, branch=session.get_one(Branch, invoice.branch_id), reason=reason, actor=actor)
        return invoice.id


def withdraw_visit_invoice(booking_id: int, *, branch: Branch, reason: str, actor: Actor) -> None:
    """Take back the invoice of a visit whose completion or cancellation is undone: void it, credit it once paid on.

    The caller holds the booking and its cards locked; locks the invoice, its gift cards, then the customer. Crediting
    is a manager's act (:class:`NotAllowedError`); what was paid and not refunded becomes the customer's store credit.
    No live invoice, or one that is refunded by now: does nothing.
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
    if invoice.is_credited:
        return
    if invoice.paid_amount == 0 and invoice.total_amount > 0:
        void_invoice(invoice, branch=branch, reason=reason, actor=actor)
    elif invoice.total_amount > 0:
        actor.require_manager()
        _credit(invoice, branch=branch, reason=reason, actor=actor)
    else:
        invoice.is_credited = True
        promotions.release(invoice.id)
        wares.take_back(list_lines(invoice.id), branch=branch, actor=actor, reason=reason)
        audit.record("invoice_credited", entity="invoice", entity_id=invoice.id, actor=actor, reason=reason)


def void_invoice(invoice: Invoice, *, branch: Branch, reason: str, actor: Actor, kept: Collection[int] = ()) -> None:
    """Void a locked invoice on which nothing was paid, and take back what it sold, but for the lines ``kept``.

    The caller holds its cards locked; locks the stocks by id. Raises :class:`WrongStateError` once money was taken, and
    :class:`ConflictError` when a card is in use.
    """
    if invoice.kind != "invoice" or invoice.status in ("void", "draft") or invoice.paid_amount or invoice.is_credited:
        raise WrongStateError(
            "not_voidable",
            N_("Invoice %(number)s is %(status)s and can no longer be voided."),
            number=invoice.number,
            status=Word(STATUS_WORDS[invoice.status]),
        )
    gift_cards.cancel_sold(invoice.id, reason=reason, actor=actor)
    invoice.status = "void"
    invoice.voided_at = clock.now()
    invoice.reason = reason
    db.session.flush()
    for entry_id in _sale_entries(invoice.id):
        ledger.reverse("invoice_voided", entry_id=entry_id, branch=branch, actor=actor, invoice_id=invoice.id)
    promotions.release(invoice.id)
    lines = [line for line in list_lines(invoice.id) if line.id not in kept]
    wares.take_back(lines, branch=branch, actor=actor, reason=reason)
    audit.record("invoice_voided", entity="invoice", entity_id=invoice.id, actor=actor, reason=reason)


def _credit(invoice: Invoice, *, branch: Branch, reason: str, actor: Actor) -> None:
    """Credit all that is left of an invoice. What was paid goes to store credit, the rest is no longer owed."""
    gift_cards.lock_unused(invoice.id)
    facts = get_invoice_refund_facts(invoice)
    if facts.due_amount + facts.paid_amount - facts.credited_amount != sum(facts.everything.values()):
        raise ConflictError(
            "not_creditable",
            N_("Invoice %(number)s holds a package in use: it cannot be taken back as a whole."),
            number=invoice.number,
        )
    note = write_credit_note(
        invoice,
        facts,
        facts.everything,
        event="invoice_credited",
        branch=branch,
        reverses_id=_sale_entries(invoice.id)[0],
        reason=reason,
        actor=actor,
    )
    audit.record(
        "invoice_credited",
        entity="invoice",
        entity_id=invoice.id,
        actor=actor,
        after={"credit_note_id": note.id, "store_credit": -note.total_amount - facts.due_amount},
        reason=reason,
    )


def _sale_entries(invoice_id: int) -> list[int]:
    query = select(JournalEntry.id).where(JournalEntry.invoice_id == invoice_id, JournalEntry.event.in_(SALE_EVENTS))
    return list(db.session.execute(query).scalars())
