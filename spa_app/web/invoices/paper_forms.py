"""What an invoice's page shows of its papers: what there is, the form that mails one, and what became of each."""

from dataclasses import dataclass
from typing import Any

from flask import current_app
from flask_babel import gettext
from flask_babel import lazy_gettext as _l
from wtforms import EmailField, SelectField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from spa_app.errors import N_
from spa_app.papers import Style
from spa_app.queries.billing import InvoiceView
from spa_app.queries.papers import list_prints
from spa_app.services.customers import EMAIL_LENGTH
from spa_app.web.forms import Form
from spa_app.web.i18n import current_locale

# paper → its name, and the endpoints that show it and make it a PDF
NAMES = {"receipt": N_("Receipt 80 mm"), "a4": N_("Invoice A4")}
CREDIT_NAMES = {"receipt": N_("Credit note 80 mm"), "a4": N_("Credit note A4")}
PAGES = {"receipt": "invoices.receipt", "a4": "invoices.a4"}
FILES = {"receipt": "invoices.receipt_pdf", "a4": "invoices.a4_pdf"}


@dataclass(frozen=True)
class Paper:
    """One of an invoice's papers: its name, and where it is to be seen and to be had as a PDF."""

    kind: str
    name: str
    page: str
    file: str


class MailForm(Form):
    """Which paper goes to whom, in which language."""

    paper = SelectField(_l("Paper"), [InputRequired()])
    recipient = EmailField(
        _l("E-mail"),
        [InputRequired(_l("Give an e-mail address.")), Length(max=EMAIL_LENGTH)],
        render_kw={"autocomplete": "off"},
    )
    locale = SelectField(
        _l("Language"), [InputRequired()], choices=[SelectChoice("vi", "Tiếng Việt"), SelectChoice("en", "English")]
    )

    def __init__(self, invoice: InvoiceView, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.paper.choices = [SelectChoice(paper.kind, paper.name) for paper in papers_of(invoice)]


def papers_of(invoice: InvoiceView) -> list[Paper]:
    """The papers that an invoice, or a credit note, is printed on."""
    names = CREDIT_NAMES if invoice.kind == "credit_note" else NAMES
    return [Paper(kind, gettext(name), PAGES[kind], FILES[kind]) for kind, name in names.items()]


def papers_context(invoice: InvoiceView) -> dict[str, Any]:
    """What the invoice's page needs for its papers."""
    form = MailForm(
        invoice, formdata=None, paper="receipt", recipient=invoice.customer_email or "", locale=current_locale()
    )
    return {"papers": papers_of(invoice), "prints": list_prints(invoice.id), **mail_context(form)}


def mail_context(form: MailForm) -> dict[str, Any]:
    """What the form that mails a paper needs."""
    return {"mail_form": form, "has_mail_server": current_app.config["SETTINGS"].smtp_url is not None}


def page_style(invoice: InvoiceView) -> Style:
    """How a paper speaks to who looks at it now."""
    return Style(
        locale=current_locale(),
        timezone=invoice.branch.timezone,
        currency=current_app.config["SETTINGS"].currency,
        translate=gettext,
    )
