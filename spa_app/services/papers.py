"""Papers of an invoice that leave the house, printed, as a PDF or by e-mail: each on record, the first the original."""

import re

from sqlalchemy import func, insert, select

from spa_app.config import LOCALES
from spa_app.errors import N_, InvalidError, WrongStateError
from spa_app.extensions import db
from spa_app.models import PAPERS, Invoice, Print
from spa_app.services import audit, billing, outbox
from spa_app.services.actor import Actor
from spa_app.services.customers import EMAIL_LENGTH
from spa_app.services.transaction import atomic

# One plain address and nothing else: no list, no name, no comment, no line break.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


def record_print(invoice_id: int, *, paper: str, way: str, actor: Actor) -> int:
    """Record that a paper of an invoice is printed, or made into a PDF, and return the print's id.

    The first print that says so much is paid is the original, every later one a copy with a number. Locks the invoice.
    Raises :class:`NotFoundError` for none of the actor's branches, :class:`InvalidError` for no such paper, and
    :class:`WrongStateError` for a draft.
    """
    if way not in ("print", "pdf"):
        raise InvalidError("way_unknown", N_("There is no such paper."), field="way")
    return _record(invoice_id, paper=paper, way=way, actor=actor)


def mail_paper(invoice_id: int, *, paper: str, recipient: str, locale: str, actor: Actor) -> int:
    """Have a paper of an invoice sent to ``recipient`` in a language once this is committed; the id of its print.

    Locks the invoice. Raises as :func:`record_print` does, and :class:`InvalidError` at what is no address or language.
    """
    recipient = recipient.strip()
    if not _ADDRESS.fullmatch(recipient) or len(recipient) > EMAIL_LENGTH:
        raise InvalidError("email_invalid", N_("This is not an e-mail address."), field="recipient")
    if locale not in LOCALES:
        raise InvalidError("language_unknown", N_("Choose a language."), field="locale")
    with atomic():
        print_id = _record(invoice_id, paper=paper, way="email", actor=actor)
        outbox.add(
            "paper_mailed",
            {"invoice_id": invoice_id, "print_id": print_id, "recipient": recipient, "locale": locale},
        )
        return print_id


def _record(invoice_id: int, *, paper: str, way: str, actor: Actor) -> int:
    if paper not in PAPERS:
        raise InvalidError("paper_unknown", N_("There is no such paper."), field="paper")
    with atomic() as session:
        invoice = billing.lock_invoice(invoice_id, actor=actor)
        if invoice.status == "draft":
            raise WrongStateError("not_issued", N_("This is not issued yet: there is nothing to print."))
        copies = _count_prints(invoice, paper)
        print_id = session.execute(
            insert(Print).returning(Print.id),
            {
                "invoice_id": invoice.id,
                "paper": paper,
                "way": way,
                "paid_amount": invoice.paid_amount,
                "copy_number": copies,
                "actor_id": actor.user_id,
            },
        ).scalar_one()
        audit.record(
            "paper_printed",
            entity="invoice",
            entity_id=invoice.id,
            actor=actor,
            after={"print_id": print_id, "paper": paper, "way": way, "copy_number": copies},
        )
        return print_id


def _count_prints(invoice: Invoice, paper: str) -> int:
    """How many prints of the paper say that so much is paid. The caller holds the invoice locked."""
    same = (Print.invoice_id == invoice.id, Print.paper == paper, Print.paid_amount == invoice.paid_amount)
    return db.session.execute(select(func.count()).where(*same)).scalar_one()
