"""Which prints of an invoice's papers there are, and what became of those that were mailed."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import BigInteger, cast, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import OutboxMessage, Print, User

# How long the page of a print is that print: whoever comes back to it later sees a preview, not another original.
PRINT_LASTS = dt.timedelta(minutes=10)


@dataclass(frozen=True)
class Mailing:
    """What became of a paper that was to be mailed: ``queued``, ``retrying``, ``sent`` or ``failed``, and why."""

    recipient: str
    locale: str
    status: str
    error: str
    sent_at: dt.datetime | None
    due_at: dt.datetime | None


@dataclass(frozen=True)
class PrintView:
    """A print; ``copy_number`` 0 is the original. ``mailing`` is None for one on paper, or where it is forgotten."""

    id: int
    invoice_id: int
    paper: str
    way: str
    paid_amount: int
    copy_number: int
    printed_at: dt.datetime
    printed_by: str | None
    mailing: Mailing | None


def list_prints(invoice_id: int) -> tuple[PrintView, ...]:
    """The prints of an invoice, the newest first. One statement."""
    print_id = cast(OutboxMessage.payload["print_id"].astext, BigInteger)
    of_invoice = cast(OutboxMessage.payload["invoice_id"].astext, BigInteger)
    mail = (
        select(OutboxMessage, print_id.label("print_id"))
        .where(OutboxMessage.kind == "paper_mailed", of_invoice == invoice_id)
        .subquery()
    )
    message = db.aliased(OutboxMessage, mail)
    rows = db.session.execute(
        select(Print, User.full_name, message)
        .outerjoin(User, User.id == Print.actor_id)
        .outerjoin(mail, mail.c.print_id == Print.id)
        .where(Print.invoice_id == invoice_id)
        .order_by(Print.id.desc())
        .execution_options(populate_existing=True)
    )
    return tuple(_view(one, printed_by, sent) for one, printed_by, sent in rows)


def find_print(print_id: int, *, invoice_id: int) -> PrintView | None:
    """A print of one of the invoice's papers, if there is one by that id."""
    return next((one for one in list_prints(invoice_id) if one.id == print_id), None)


def is_current(one: PrintView, *, paper: str, paid_amount: int) -> bool:
    """Whether what is shown now is still that print: made just now, of this paper, and no more is paid than then."""
    return one.paper == paper and one.paid_amount == paid_amount and clock.now() - one.printed_at < PRINT_LASTS


def _view(one: Print, printed_by: str | None, message: OutboxMessage | None) -> PrintView:
    return PrintView(
        id=one.id,
        invoice_id=one.invoice_id,
        paper=one.paper,
        way=one.way,
        paid_amount=one.paid_amount,
        copy_number=one.copy_number,
        printed_at=one.printed_at,
        printed_by=printed_by,
        mailing=_mailing(message) if message else None,
    )


def _mailing(message: OutboxMessage) -> Mailing:
    if message.done_at:
        status = "sent"
    elif message.failed_at:
        status = "failed"
    else:
        status = "retrying" if message.error else "queued"
    return Mailing(
        recipient=message.payload["recipient"],
        locale=message.payload["locale"],
        status=status,
        error=message.error,
        sent_at=message.done_at,
        due_at=message.due_at,
    )
