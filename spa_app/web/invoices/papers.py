"""/invoices/<id>/receipt and /a4, on screen and as a PDF; what prints or mails them is a POST: it goes on record."""

from functools import partial

from flask import Response, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app import papers
from spa_app.errors import ConflictError, InvalidError
from spa_app.papers import PREVIEW, Mark
from spa_app.queries.billing import InvoiceView, get_invoice
from spa_app.queries.papers import find_print, is_current
from spa_app.services import papers as services
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.htmx import redirect, toast
from spa_app.web.invoices.paper_forms import FILES, PAGES, MailForm, mail_context, page_style, papers_of
from spa_app.web.invoices.routes import bp, enter
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, roles


@bp.get("/invoices/<int:invoice_id>/receipt")
@roles(*DESK)
def receipt(invoice_id: int) -> ResponseReturnValue:
    """The receipt for a roll of 80 mm: the print that ``print`` names, just after it was made, else a preview."""
    return _page(invoice_id, "receipt")


@bp.get("/invoices/<int:invoice_id>/a4")
@roles(*DESK)
def a4(invoice_id: int) -> ResponseReturnValue:
    """The invoice for A4, likewise."""
    return _page(invoice_id, "a4")


@bp.get("/invoices/<int:invoice_id>/receipt.pdf")
@roles(*DESK)
def receipt_pdf(invoice_id: int) -> ResponseReturnValue:
    """The receipt as a PDF, likewise."""
    return _file(invoice_id, "receipt")


@bp.get("/invoices/<int:invoice_id>/invoice.pdf")
@roles(*DESK)
def a4_pdf(invoice_id: int) -> ResponseReturnValue:
    """The invoice as a PDF, likewise."""
    return _file(invoice_id, "a4")


@bp.post("/invoices/<int:invoice_id>/prints")
@roles(*DESK)
def print_paper(invoice_id: int) -> ResponseReturnValue:
    """Print a paper: ``paper`` receipt or a4, ``way`` print or pdf. Leads to it, marked as the original or a copy."""
    enter(invoice_id)
    paper, way = request.form.get("paper", ""), request.form.get("way", "")
    print_id = run_once(
        "print_paper", lambda: services.record_print(invoice_id, paper=paper, way=way, actor=current_actor())
    )
    invoice = get_invoice(invoice_id)
    if _mark(invoice, paper, print_id) is PREVIEW:  # a page that was left open, whose form has been used before
        toast(_("This page was no longer fresh, and nothing was printed. Choose again."))
        return redirect(url_for("invoices.show", invoice_id=invoice_id))
    endpoint = FILES[paper] if way == "pdf" else PAGES[paper]
    return redirect(url_for(endpoint, invoice_id=invoice_id, print=print_id))


@bp.post("/invoices/<int:invoice_id>/mails")
@roles(*DESK)
def mail_paper(invoice_id: int) -> ResponseReturnValue:
    """Mail a ``paper`` to the ``recipient`` in a language (``locale``); 422 at the field that cannot be right."""
    enter(invoice_id)
    invoice = get_invoice(invoice_id)
    form = MailForm(invoice)
    if not form.validate():
        return _mail_page(invoice, form, 422)
    recipient = form.recipient.data or ""
    try:
        run_once(
            "mail_paper",
            lambda: services.mail_paper(
                invoice_id, paper=form.paper.data, recipient=recipient, locale=form.locale.data, actor=current_actor()
            ),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _mail_page(invoice, form, errors.status_of(error))
    toast(_("On its way to %(recipient)s.", recipient=recipient.strip()))
    return redirect(url_for("invoices.show", invoice_id=invoice_id))


def _page(invoice_id: int, paper: str) -> ResponseReturnValue:
    invoice, mark = _asked(invoice_id, paper)
    style = page_style(invoice)
    return make_response(
        render_template(
            f"invoices/{paper}.html",
            invoice=invoice,
            paper=paper,
            papers=papers_of(invoice),
            title=f"{papers.title(invoice, paper, style)} {invoice.number}",
            heading=papers.title(invoice, paper, style),
            lines=papers.paper_lines(invoice.lines),
            words=partial(papers.line_words, style=style),
            rates=papers.vat_sums(invoice.lines),
            percent=style.percent,
            payment_words=partial(papers.payment_words, style=style),
            is_preview=mark is PREVIEW,
            mark=papers.mark_words(mark, style),
        )
    )


def _file(invoice_id: int, paper: str) -> ResponseReturnValue:
    invoice, mark = _asked(invoice_id, paper)
    return Response(
        papers.make_pdf(invoice, paper, mark, page_style(invoice)),
        mimetype="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{papers.filename(invoice, paper)}"'},
    )


def _mail_page(invoice: InvoiceView, form: MailForm, status: int) -> ResponseReturnValue:
    """The form by itself, with what is wrong with it."""
    context = {"title": _("Send by e-mail"), "invoice": invoice, **mail_context(form)}
    return make_response(render_template("invoices/mail.html", **context), status)


def _asked(invoice_id: int, paper: str) -> tuple[InvoiceView, Mark]:
    enter(invoice_id)
    invoice = get_invoice(invoice_id)
    number = request.args.get("print", "")
    return invoice, _mark(invoice, paper, int(number) if number.isascii() and number.isdigit() else 0)


def _mark(invoice: InvoiceView, paper: str, print_id: int) -> Mark:
    one = find_print(print_id, invoice_id=invoice.id)
    if one is None or not is_current(one, paper=paper, paid_amount=invoice.paid_amount):
        return PREVIEW
    return Mark(one.copy_number, one.printed_at)
