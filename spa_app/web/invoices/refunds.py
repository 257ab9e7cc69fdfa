"""/invoices/<id>/refund: the arithmetic first, then the credit note; and the way back while its credit is there."""

from flask import request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import ConflictError, DomainError, InvalidError, NotAllowedError
from spa_app.models.invoice_refund import AS_PAID, InvoiceFacts, InvoiceRefund, work_out
from spa_app.queries import billing as queries
from spa_app.queries.invoice_refunds import find_invoice_refund
from spa_app.services import refunds
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.filters import money
from spa_app.web.htmx import redirect, render, toast
from spa_app.web.invoices.forms import METHOD_ICONS, METHODS, VoidForm
from spa_app.web.invoices.refund_form import InvoiceRefundForm, asked
from spa_app.web.invoices.routes import bp, enter, show_invoice
from spa_app.web.navigation import DESK, MANAGERS
from spa_app.web.security import current_actor, roles


@bp.get("/invoices/<int:invoice_id>/refund")
@roles(*DESK)
def refund_form(invoice_id: int) -> ResponseReturnValue:
    """What can come back of which line, and where it goes. With fields of the form in the address: worked out anew."""
    enter(invoice_id)
    return _page(invoice_id)


@bp.post("/invoices/<int:invoice_id>/refund")
@roles(*DESK)
def refund(invoice_id: int) -> ResponseReturnValue:
    """Give it back and go on to the credit note: ``reason``; ``lines-<n>-line_id`` with ``-amount`` or ``-quantity``

    (none: all that can come back), ``to``, ``reference`` and ``shown_amount``, the sum that was shown.
    """
    enter(invoice_id)
    facts, _limit = find_invoice_refund(invoice_id)
    form = InvoiceRefundForm(facts, request.form)
    if not form.validate():
        return _page(invoice_id, 422, form)
    try:
        note_id = run_once(
            "refund_invoice",
            lambda: refunds.refund_invoice(
                invoice_id,
                lines=form.wishes,
                to=form.to.data or AS_PAID,
                reference=form.reference.data or "",
                shown_amount=form.shown_amount.data,
                reason=form.reason.data or "",
                actor=current_actor(),
            ),
        )
    except (InvalidError, ConflictError, NotAllowedError) as error:
        # As it stands now: somebody may have taken or given back money since the form was read.
        form = InvoiceRefundForm(find_invoice_refund(invoice_id)[0], request.form)
        form.validate()
        form.refuse(error)
        return _page(invoice_id, errors.status_of(error), form)
    note = queries.get_invoice(note_id)
    toast(_("Credit note %(number)s over %(amount)s is issued.", number=note.number, amount=money(-note.total_amount)))
    return redirect(url_for("invoices.show", invoice_id=note_id))


@bp.post("/invoices/<int:invoice_id>/withdraw-refund")
@roles(*MANAGERS)
def withdraw_refund(invoice_id: int) -> ResponseReturnValue:
    """Take the refund of a credit note back, while its credit is still there: ``reason``."""
    enter(invoice_id)
    form = VoidForm()
    if not form.validate():
        return show_invoice(invoice_id, 422, withdrawing=form)
    try:
        corrected_id = run_once(
            "withdraw_invoice_refund",
            lambda: refunds.withdraw_invoice_refund(invoice_id, reason=form.reason.data or "", actor=current_actor()),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return show_invoice(invoice_id, errors.status_of(error), withdrawing=form)
    toast(_("The refund is taken back, and the invoice stands as it was."))
    return redirect(url_for("invoices.show", invoice_id=corrected_id))


def _page(invoice_id: int, status: int = 200, form: InvoiceRefundForm | None = None) -> ResponseReturnValue:
    facts, limit = find_invoice_refund(invoice_id)
    form = form or InvoiceRefundForm(facts, asked())
    invoice = queries.get_invoice(invoice_id)
    worked_out, refusal = _work_out(invoice, facts, form, limit)
    return render(
        "invoices/refund.html",
        "invoices/_refund_sums.html",
        status,
        title=_("Refund of %(number)s", number=invoice.number),
        invoice=invoice,
        facts=facts,
        form=form,
        refund=worked_out,
        refusal=refusal,
        methods=METHODS,
        method_icons=METHOD_ICONS,
    )


def _work_out(
    invoice: queries.InvoiceView, facts: InvoiceFacts, form: InvoiceRefundForm, limit: int
) -> tuple[InvoiceRefund | None, tuple[str, list[errors.Way]] | None]:
    """What the form would give back as things stand, and why it would not."""
    try:
        refunds.require_refundable(invoice)
        amounts = refunds.choose_amounts(facts, form.wishes)
        found = work_out(facts, amounts, to=form.to.data or AS_PAID)
        refunds.require_within_limit(facts, found, limit=limit, actor=current_actor())
    except DomainError as error:
        return None, (errors.translate(error), errors.ways_out(error))
    return found, None
