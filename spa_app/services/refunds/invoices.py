"""Giving back what was paid for an invoice, whole or in part, the way it was paid or as store credit.

Locks: the cards that it sold → the invoice → gift cards that it sold or that paid for it → the customer → the promotion
→ the stocks of products → the invoice counter → the drawer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from spa_app.errors import N_, ConflictError, InvalidError, NotAllowedError, WayOut, Word, WrongStateError
from spa_app.models import Branch, CustomerTreatment, Invoice, InvoiceLine
from spa_app.models.invoice_refund import (
    AS_CREDIT,
    AS_PAID,
    WAYS_BACK,
    WITHOUT_REFERENCE,
    InvoiceFacts,
    InvoiceRefund,
    LineFacts,
    work_out,
)
from spa_app.money import Money
from spa_app.queries.billing import InvoiceView
from spa_app.queries.invoice_refunds import get_invoice_refund_facts
from spa_app.services import audit, gift_cards, treatments
from spa_app.services.actor import Actor
from spa_app.services.billing import STATUS_WORDS, lock_invoice, write_credit_note
from spa_app.services.payments import REFERENCE_LENGTH
from spa_app.services.refunds.paying_out import pay_out
from spa_app.services.texts import clean_text, required_reason
from spa_app.services.transaction import atomic


@dataclass(frozen=True)
class Wish:
    """What is to come back of a line: an ``amount`` in minor units, or what ``quantity`` of it cost."""

    amount: int | None = None
    quantity: int | None = None


def refund_invoice(
    invoice_id: int,
    *,
    reason: str,
    actor: Actor,
    lines: Mapping[int, Wish] | None = None,
    to: str = AS_PAID,
    reference: str = "",
    shown_amount: int | None = None,
) -> int:
    """Give back what was paid for an invoice, and return the credit note's id.

    ``lines`` says how much of which line; without it all that can come back does. What is still to be paid is settled
    first, the rest goes back ``to``: :data:`AS_PAID`, :data:`AS_CREDIT`, or one of :data:`WAYS_BACK` that it was paid
    by. ``reference`` is the number of what goes back otherwise than in cash. ``shown_amount`` is what the customer was
    told that they get: another sum is refused (:class:`ConflictError`). A receptionist may refund up to the branch's
    ``refund_limit_amount`` of an invoice in all (:class:`NotAllowedError`). Raises :class:`WrongStateError` where
    nothing was paid or all of it came back, and :class:`InvalidError` or :class:`ConflictError` at the field; the field
    of a line is ``lines-<its id>``.
    """
    with atomic() as session:
        reason = required_reason(reason)
        reference = clean_text(reference, field="reference", limit=REFERENCE_LENGTH, lines=False)
        if to not in (AS_PAID, AS_CREDIT, *WAYS_BACK):
            raise InvalidError("method_unknown", N_("Choose how the money goes back."), field="to")
        sold = (
            select(CustomerTreatment.id)
            .join(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
            .where(InvoiceLine.invoice_id == invoice_id)
        )
        treatments.lock_cards(session.execute(sold).scalars())
        invoice = lock_invoice(invoice_id, actor=actor)
        require_refundable(invoice)
        gift_cards.lock_of(invoice.id)
        facts = get_invoice_refund_facts(invoice)
        amounts = choose_amounts(facts, lines)
        refund = work_out(facts, amounts, to=to)
        branch = session.get_one(Branch, invoice.branch_id)
        require_within_limit(facts, refund, limit=branch.refund_limit_amount, actor=actor)
        if shown_amount is not None and shown_amount != refund.rest_amount:
            raise ConflictError(
                "refund_changed",
                N_("The sums have changed meanwhile: %(rest)s comes back now. Look at them again."),
                rest=Money(refund.rest_amount),
            )
        if refund.missing_amount:
            raise ConflictError(
                "not_paid_so",
                N_("Of what goes back, %(missing)s was not paid this way: choose how it was paid, or store credit."),
                field="to",
                missing=Money(refund.missing_amount),
            )
        if refund.needs_reference and not reference:
            raise InvalidError(
                "reference_missing",
                N_("What goes back to a card, an account or an e-wallet needs a reference."),
                field="reference",
            )
        note = write_credit_note(
            invoice, facts, amounts, event="invoice_refunded", branch=branch, reason=reason, actor=actor
        )
        for way in refund.ways:
            if way.payment is not None:
                number = "" if way.method in WITHOUT_REFERENCE else reference
                pay_out(note, way.amount, way.method, reference=number, payment_id=way.payment.id, actor=actor)
        audit.record(
            "invoice_refunded",
            entity="invoice",
            entity_id=invoice.id,
            actor=actor,
            after={
                "credit_note_id": note.id,
                "lines": {str(line_id): amount for line_id, amount in amounts.items()},
                "settles": refund.due_part,
                "comes_back": refund.rest_amount,
                "by": [{"method": way.method, "amount": way.amount} for way in refund.ways],
            },
            reason=reason,
        )
        return note.id


def require_refundable(invoice: Invoice | InvoiceView) -> None:
    """Raise :class:`WrongStateError` unless money was paid for an invoice, and some of it has not come back."""
    if invoice.kind != "invoice" or invoice.status in ("draft", "void"):
        raise WrongStateError(
            "not_refundable",
            N_("%(number)s is %(status)s: there is nothing to give back."),
            number=invoice.number,
            status=Word(STATUS_WORDS[invoice.status] if invoice.kind == "invoice" else N_("a credit note")),
        )
    if invoice.is_credited:
        raise WrongStateError(
            "already_refunded", N_("Invoice %(number)s has come back whole already."), number=invoice.number
        )
    if not invoice.paid_amount:
        way = (
            WayOut("open_booking", N_("Open the visit"), {"booking_id": invoice.booking_id})
            if invoice.booking_id
            else WayOut("pay_due", N_("Open the invoice"), {"invoice_id": invoice.id})
        )
        raise WrongStateError(
            "nothing_paid",
            N_("Nothing was paid for invoice %(number)s: take back what it bills instead."),
            ways_out=(way,),
            number=invoice.number,
        )


def choose_amounts(facts: InvoiceFacts, lines: Mapping[int, Wish] | None) -> dict[int, int]:
    """How much of which line comes back. Raises :class:`InvalidError` or :class:`ConflictError` at the line's field."""
    if lines is None:
        amounts = facts.everything
        blocked = next((line for line in facts.lines if line.is_blocked), None)
        if not amounts and blocked:
            raise _blocked(blocked, field=None)
    else:
        known = {line.id: line for line in facts.lines}
        amounts = {line_id: _amount(known.get(line_id), wish, line_id) for line_id, wish in lines.items()}
    if not any(amounts.values()):
        raise InvalidError("nothing_chosen", N_("Choose what comes back."), field="lines")
    return amounts


def require_within_limit(facts: InvoiceFacts, refund: InvoiceRefund, *, limit: int, actor: Actor) -> None:
    """Raise :class:`NotAllowedError` where more of the invoice would have come back than the desk may refund."""
    if actor.is_manager or facts.credited_amount + refund.credit_amount <= limit:
        return
    raise NotAllowedError(
        "refund_above_limit",
        N_("More than %(limit)s of an invoice only a manager can refund. Nothing was changed."),
        ways_out=(WayOut("ask_manager", N_("Have a manager log in and refund it")),),
        limit=Money(limit),
    )


def _amount(line: LineFacts | None, wish: Wish, line_id: int) -> int:
    field = f"lines-{line_id}"
    if line is None:
        raise InvalidError("line_unknown", N_("There is no such line on this invoice."), field="lines")
    if line.is_blocked:
        raise _blocked(line, field=field)
    amount = wish.amount if wish.quantity is None else line.amount_of(wish.quantity)
    if amount is None or amount < 1 or (wish.quantity is not None and wish.quantity > line.quantity):
        raise InvalidError("amount_not_positive", N_("The amount must be more than zero."), field=field)
    if line.is_whole and amount != line.net_amount:
        raise InvalidError("whole_only", N_("A package comes back whole here, or in part on its card."), field=field)
    if amount > line.left_amount:
        kind = InvalidError if amount > line.net_amount else ConflictError
        raise kind(
            "more_than_left",
            N_("Only %(left)s of this can still come back."),
            field=field,
            left=Money(line.left_amount),
        )
    return amount


def _blocked(line: LineFacts, *, field: str | None) -> ConflictError:
    ways = tuple(
        WayOut("refund_card", N_("Refund card #%(card)s"), {"treatment_id": card_id, "card": card_id})
        for card_id in line.card_ids
    )
    return ConflictError(
        "card_in_use",
        N_("Of this package something is used, reserved, shared out or refunded: refund what is left on its card."),
        field=field,
        ways_out=ways,
    )
