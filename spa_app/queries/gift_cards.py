"""Gift cards as they are shown: the list with what is owed, one card with its history, what an invoice sold."""

import datetime as dt
import re
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, or_, select

from spa_app.extensions import db
from spa_app.models import (
    Branch,
    Customer,
    GiftCard,
    GiftCardEntry,
    Invoice,
    InvoiceLine,
    JournalLine,
    Payment,
    User,
)
from spa_app.models.gift_card import read_code, show_code

PER_PAGE = 40
STATUSES = ("active", "used_up", "expired", "cancelled")
ACCOUNT = 2140


@dataclass(frozen=True)
class GiftCardRow:
    """A gift card in a list. ``due_amount`` is what is left to pay for it: until then it cannot be used."""

    id: int
    code: str
    status: str
    receiver_name: str
    customer_id: int | None
    customer_name: str | None
    initial_amount: int
    balance_amount: int
    expires_on: dt.date | None
    due_amount: int

    @property
    def shown_code(self) -> str:
        """The code in groups of four."""
        return show_code(self.code)


@dataclass(frozen=True)
class GiftCardList:
    """One page of gift cards. ``owed_amount`` is on all of the branch's, ``ledger_amount`` what the ledger owes."""

    rows: tuple[GiftCardRow, ...]
    total: int
    pages: int
    found_amount: int
    owed_amount: int
    ledger_amount: int


@dataclass(frozen=True)
class GiftCardChange:
    """One entry of a card's history. ``invoice`` is what it paid."""

    at: dt.datetime
    kind: str
    amount: int
    expires_on: dt.date | None
    reason: str
    actor: str | None
    invoice_id: int | None
    invoice_number: str | None
    invoice_branch_id: int | None


@dataclass(frozen=True)
class GiftCardView(GiftCardRow):
    """A gift card with everything that its page and its voucher show."""

    branch_id: int
    branch_name: str
    branch_address: str
    branch_phone: str | None
    customer_phone: str | None
    greeting: str
    expired_amount: int
    created_at: dt.datetime
    invoice_id: int | None
    invoice_number: str | None
    history: tuple[GiftCardChange, ...]


def find_branch_of(gift_card_id: int, *, branch_ids: Collection[int]) -> int | None:
    """The branch of a gift card, if it is one of these."""
    return db.session.execute(
        select(GiftCard.branch_id).where(GiftCard.id == gift_card_id, GiftCard.branch_id.in_(branch_ids))
    ).scalar()


def find_by_code(typed: str, *, branch_ids: Collection[int]) -> tuple[int, str, int] | None:
    """(id, code as shown, balance) of these branches' gift card with this code."""
    code = read_code(typed)
    if code is None:
        return None
    row = db.session.execute(
        select(GiftCard.id, GiftCard.balance_amount).where(GiftCard.code == code, GiftCard.branch_id.in_(branch_ids))
    ).first()
    return (row[0], show_code(code), row[1]) if row else None


def get_gift_card(gift_card_id: int, *, today: dt.date) -> GiftCardView:
    """A gift card that is there (:func:`find_branch_of`), as it stands now. Two statements."""
    row = db.session.execute(
        select(GiftCard, Branch, Customer, Invoice)
        .join(Branch, Branch.id == GiftCard.branch_id)
        .outerjoin(Customer, Customer.id == GiftCard.customer_id)
        .outerjoin(InvoiceLine, InvoiceLine.id == GiftCard.invoice_line_id)
        .outerjoin(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(GiftCard.id == gift_card_id)
        .execution_options(populate_existing=True)
    ).one()
    card, branch, customer, invoice = row
    return GiftCardView(
        id=card.id,
        code=card.code,
        status=card.status(today),
        receiver_name=card.receiver_name,
        customer_id=card.customer_id,
        customer_name=customer.full_name if customer else None,
        initial_amount=card.initial_amount,
        balance_amount=card.balance_amount,
        expires_on=card.expires_on,
        due_amount=invoice.due_amount if invoice else 0,
        branch_id=branch.id,
        branch_name=branch.name,
        branch_address=branch.address,
        branch_phone=branch.phone,
        customer_phone=customer.phone if customer else None,
        greeting=card.greeting,
        expired_amount=card.expired_amount,
        created_at=card.created_at,
        invoice_id=invoice.id if invoice else None,
        invoice_number=invoice.number if invoice else None,
        history=_history(gift_card_id),
    )


def list_gift_cards(
    branch_id: int, *, today: dt.date, search: str = "", status: str = "", page: int = 1
) -> GiftCardList:
    """A branch's gift cards, the newest first. Three statements.

    ``search`` is a code or a part of it, a part of the receiver's or the buyer's name (without accents), or of the
    buyer's phone; ``status`` is empty or one of :data:`STATUSES`.
    """
    conditions = [GiftCard.branch_id == branch_id]
    if status:
        conditions.append(_is(status, today))
    if search:
        conditions.append(_found_by(search))
    total, found = db.session.execute(
        select(func.count(), func.coalesce(func.sum(GiftCard.balance_amount), 0))
        .select_from(GiftCard)
        .outerjoin(Customer, Customer.id == GiftCard.customer_id)
        .where(*conditions)
    ).one()
    ledger = (
        select(func.coalesce(-func.sum(JournalLine.amount), 0))
        .select_from(GiftCard)
        .join(JournalLine, and_(JournalLine.gift_card_id == GiftCard.id, JournalLine.account_id == ACCOUNT))
        .where(GiftCard.branch_id == branch_id)
        .scalar_subquery()
    )
    owed, in_ledger = db.session.execute(
        select(func.coalesce(func.sum(GiftCard.balance_amount), 0), ledger).where(GiftCard.branch_id == branch_id)
    ).one()
    rows = db.session.execute(
        select(GiftCard, Customer.full_name, Invoice)
        .outerjoin(Customer, Customer.id == GiftCard.customer_id)
        .outerjoin(InvoiceLine, InvoiceLine.id == GiftCard.invoice_line_id)
        .outerjoin(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(*conditions)
        .order_by(GiftCard.id.desc())
        .limit(PER_PAGE)
        .offset((page - 1) * PER_PAGE)
    )
    return GiftCardList(
        rows=tuple(_row(card, name, invoice, today) for card, name, invoice in rows),
        total=total,
        pages=max(1, -(-total // PER_PAGE)),
        found_amount=int(found),
        owed_amount=int(owed),
        ledger_amount=int(in_ledger),
    )


def list_sold(invoice_id: int, *, today: dt.date) -> tuple[GiftCardRow, ...]:
    """The gift cards that an invoice sold, in the order of its lines. One statement."""
    rows = db.session.execute(
        select(GiftCard, Customer.full_name, Invoice)
        .join(InvoiceLine, InvoiceLine.id == GiftCard.invoice_line_id)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .outerjoin(Customer, Customer.id == GiftCard.customer_id)
        .where(Invoice.id == invoice_id)
        .order_by(InvoiceLine.position)
    )
    return tuple(_row(card, name, invoice, today) for card, name, invoice in rows)


def _row(card: GiftCard, customer_name: str | None, invoice: Invoice | None, today: dt.date) -> GiftCardRow:
    return GiftCardRow(
        id=card.id,
        code=card.code,
        status=card.status(today),
        receiver_name=card.receiver_name,
        customer_id=card.customer_id,
        customer_name=customer_name,
        initial_amount=card.initial_amount,
        balance_amount=card.balance_amount,
        expires_on=card.expires_on,
        due_amount=invoice.due_amount if invoice else 0,
    )


def _is(status: str, today: dt.date) -> ColumnElement[bool]:
    """:meth:`GiftCard.status` as a condition."""
    live = GiftCard.cancelled_at.is_(None)
    expired = or_(GiftCard.expired_amount > 0, and_(GiftCard.balance_amount > 0, GiftCard.expires_on < today))
    not_expired = and_(GiftCard.expired_amount == 0, or_(GiftCard.expires_on.is_(None), GiftCard.expires_on >= today))
    return {
        "cancelled": GiftCard.cancelled_at.is_not(None),
        "expired": and_(live, expired),
        "used_up": and_(live, GiftCard.expired_amount == 0, GiftCard.balance_amount == 0),
        "active": and_(live, not_expired, GiftCard.balance_amount > 0),
    }[status]


def _found_by(search: str) -> ColumnElement[bool]:
    wanted = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    code = re.sub(r"[\s-]", "", wanted).upper()
    digits = re.sub(r"\D", "", search).lstrip("0")
    ways = [
        func.spa_fold(GiftCard.receiver_name).like(func.concat("%", func.spa_fold(wanted), "%")),
        Customer.search_text.like(func.concat("%", func.spa_fold(wanted), "%")),
    ]
    if len(code) > 2:
        ways.append(GiftCard.code.like(f"%{code}%"))
    if len(digits) > 2 and re.fullmatch(r"[+\d\s().-]+", search):
        ways.append(Customer.phone.like(f"%{digits}%"))
    return or_(*ways)


def _history(gift_card_id: int) -> tuple[GiftCardChange, ...]:
    rows = db.session.execute(
        select(GiftCardEntry, User.full_name, Invoice.id, Invoice.number, Invoice.branch_id)
        .outerjoin(User, User.id == GiftCardEntry.actor_id)
        .outerjoin(Payment, Payment.id == GiftCardEntry.payment_id)
        .outerjoin(Invoice, Invoice.id == Payment.invoice_id)
        .where(GiftCardEntry.gift_card_id == gift_card_id)
        .order_by(GiftCardEntry.id.desc())
    )
    return tuple(
        GiftCardChange(
            entry.created_at,
            entry.kind,
            entry.amount,
            entry.expires_on,
            entry.reason,
            actor,
            invoice_id,
            number,
            branch_id,
        )
        for entry, actor, invoice_id, number, branch_id in rows
    )
