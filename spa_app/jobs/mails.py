"""Mails of the outbox: the paper made anew from what is stored, in the language that was asked for."""

from typing import Any

from flask import current_app
from flask_babel import force_locale, gettext

from spa_app.errors import N_, UndeliverableError
from spa_app.integrations import email
from spa_app.papers import Mark, Style, filename, make_pdf, title
from spa_app.queries.billing import get_invoice
from spa_app.queries.papers import find_print


def send_paper(payload: dict[str, Any]) -> None:
    """Mail a print of an invoice's paper. ``payload``: ``invoice_id``, ``print_id``, ``recipient``, ``locale``."""
    settings = current_app.config["SETTINGS"]
    one = find_print(payload["print_id"], invoice_id=payload["invoice_id"])
    if one is None:
        raise UndeliverableError("the print is gone")
    invoice = get_invoice(one.invoice_id)
    with force_locale(payload["locale"]):
        style = Style(payload["locale"], invoice.branch.timezone, settings.currency, gettext)
        named = {
            "paper": title(invoice, one.paper, style),
            "number": invoice.number,
            "branch": invoice.branch.name,
            "customer": invoice.customer_name,
        }
        mail = email.Mail(
            recipient=payload["recipient"],
            sender_name=invoice.branch.name,
            subject=style.say(N_("%(paper)s %(number)s, %(branch)s"), **named),
            text=style.say(
                N_(
                    "Hello %(customer)s,\n\nattached is: %(paper)s %(number)s.\n\n"
                    "Thank you, see you soon!\n%(branch)s\n"
                ),
                **named,
            ),
            filename=filename(invoice, one.paper),
            pdf=make_pdf(invoice, one.paper, Mark(one.copy_number, one.printed_at), style),
            message_id=f"print-{one.id}",
        )
    email.gateway(settings.smtp_url, settings.data_dir).send(mail)
