"""An invoice as it is shown, and the session slip of a visit. Lists of invoices stand in ``invoice_lists``."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, fields

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased

from spa_app.extensions import db
from spa_app.models import (
    Booking,
    BookingItem,
    Branch,
    Customer,
    CustomerTreatment,
    Invoice,
    InvoiceLine,
    JournalEntry,
    Payment,
    Payout,
    Service,
    TreatmentEntry,
    User,
)
from spa_app.queries.deposits import usable_amount


@dataclass(frozen=True)
class LineView:
    """One line. ``amount`` includes VAT.

    A discount names in ``discounts_id`` the line that it lowers, ``discount_bp`` is its percentage if it was granted as
    one, and ``description`` its reason. The ``description`` of a tip is whose it is.
    """

    kind: str
    description: str
    quantity: int
    amount: int
    vat_amount: int
    vat_rate_bp: int
    id: int
    discounts_id: int | None
    discount_scope: str | None
    discount_bp: int | None
    service_id: int | None
    plan_id: int | None
    product_id: int | None
    staff_id: int | None
    booking_item_id: int | None


@dataclass(frozen=True)
class PaymentView:
    """One payment. ``change_amount`` is what went back to the customer in cash."""

    id: int
    method: str
    amount: int
    tendered_amount: int
    reference: str
    taken_at: dt.datetime
    taken_by: str | None
    is_settlement: bool  # no money: a credit note settled what was still to be paid

    @property
    def change_amount(self) -> int:
        """What was given back, in minor units."""
        return self.tendered_amount - self.amount


@dataclass(frozen=True)
class NoteView:
    """A credit note that gives back an invoice, or a part of it."""

    id: int
    number: str
    status: str
    total_amount: int
    reason: str
    issued_at: dt.datetime


@dataclass(frozen=True)
class PayoutView:
    """What was handed out for a credit note."""

    method: str
    amount: int
    reference: str
    given_at: dt.datetime
    given_by: str | None


@dataclass(frozen=True)
class SlipLine:
    """What a visit punched on a card, or what a sale put on it, and what is on the card now."""

    card_id: int
    service: str | None
    sessions: int
    left: int
    held: int
    expiry_date: dt.date | None  # None: begins with the first visit
    is_forfeited: bool = False


@dataclass(frozen=True)
class BranchHead:
    """The head of a receipt, and where transfers go: ``bank`` is (the bank's number, account, holder) if anywhere."""

    id: int
    name: str
    address: str
    phone: str | None
    tax_code: str
    timezone: str
    bank: tuple[str, str, str] | None


@dataclass(frozen=True)
class InvoiceView:
    """An invoice or credit note with everything that its page shows. Amounts are minor units, VAT included."""

    id: int
    number: str
    kind: str
    status: str
    branch: BranchHead
    customer_id: int
    customer_name: str
    customer_phone: str | None
    customer_email: str | None
    credit_amount: int
    deposit_amount: int
    booking_id: int | None
    visit_at: dt.datetime | None
    total_amount: int
    vat_amount: int
    paid_amount: int
    due_amount: int
    credited_amount: int
    is_credited: bool
    is_refund: bool  # of an invoice; a card's is taken back on the card
    corrects: tuple[int, str] | None
    notes: tuple[NoteView, ...]
    replaces: tuple[int, str] | None
    replaced_by: tuple[int, str] | None
    reason: str
    issued_at: dt.datetime
    issued_by: str | None
    lines: tuple[LineView, ...]
    payments: tuple[PaymentView, ...]
    payouts: tuple[PayoutView, ...]
    slip: tuple[SlipLine, ...]

    @property
    def sells_gift_cards(self) -> bool:
        """Whether a line of it does."""
        return any(line.kind == "gift_card" for line in self.lines)

    @property
    def is_voidable(self) -> bool:
        """Whether it is an unpaid sale; a visit's invoice goes with the visit's completion instead."""
        return self._is_unpaid and self.booking_id is None

    @property
    def is_changeable(self) -> bool:
        """Whether lines can still be added and taken off: by another invoice that takes this one's place."""
        return self._is_unpaid and all(line.kind not in ("fee", "gift_card") for line in self.lines)

    @property
    def _is_unpaid(self) -> bool:
        return (
            self.kind == "invoice" and self.status in ("open", "paid") and not self.paid_amount and not self.is_credited
        )

    @property
    def discount_amount(self) -> int:
        """What was taken off."""
        return -sum(line.amount for line in self.lines if line.kind == "discount")

    @property
    def is_refundable(self) -> bool:
        """Whether money was paid for it that has not come back."""
        live = self.kind == "invoice" and self.status != "void" and not self.is_credited
        return live and self.paid_amount > 0

    @property
    def is_withdrawable(self) -> bool:
        """Whether it is a refund that still stands, and of which nothing was handed out."""
        return self.is_refund and self.status != "void" and not self.payouts


@dataclass(frozen=True)
class VisitSlip:
    """What a visit took from the customer's cards."""

    booking_id: int
    branch: BranchHead
    customer_id: int
    customer_name: str
    starts_at: dt.datetime
    status: str
    lines: tuple[SlipLine, ...]


def find_invoice_branch(invoice_id: int, *, branch_ids: Collection[int]) -> int | None:
    """The branch of an invoice, if it is one of these."""
    return db.session.execute(
        select(Invoice.branch_id).where(Invoice.id == invoice_id, Invoice.branch_id.in_(branch_ids))
    ).scalar()


def get_invoice(invoice_id: int) -> InvoiceView:
    """An invoice that is there (:func:`find_invoice_branch`), as it stands now. Six statements at most."""
    corrects, former, later = (aliased(Invoice) for _ in range(3))
    refunded = select(JournalEntry.id).where(
        JournalEntry.invoice_id == Invoice.id, JournalEntry.event == "invoice_refunded"
    )
    row = db.session.execute(
        select(
            Invoice,
            Customer,
            Branch,
            Booking.starts_at,
            User.full_name,
            corrects.number,
            exists(refunded),
            former.number,
            later.id,
            later.number,
        )
        .join(Customer, Customer.id == Invoice.customer_id)
        .join(Branch, Branch.id == Invoice.branch_id)
        .outerjoin(Booking, Booking.id == Invoice.booking_id)
        .outerjoin(User, User.id == Invoice.created_by_id)
        .outerjoin(corrects, corrects.id == Invoice.corrects_id)
        .outerjoin(former, former.id == Invoice.replaces_id)
        .outerjoin(later, later.replaces_id == Invoice.id)
        .where(Invoice.id == invoice_id)
        .execution_options(populate_existing=True)
    ).one()
    invoice, customer, branch, visit_at, issued_by, corrects_number, is_refund, *changed = row
    former_number, later_id, later_number = changed
    is_note = invoice.kind == "credit_note"
    return InvoiceView(
        id=invoice.id,
        number=invoice.number,
        kind=invoice.kind,
        status=invoice.status,
        branch=_head(branch),
        customer_id=customer.id,
        customer_name=customer.full_name,
        customer_phone=customer.phone,
        customer_email=customer.email,
        credit_amount=customer.credit_amount,
        deposit_amount=usable_amount(invoice.booking_id, customer.id) if invoice.due_amount else 0,
        booking_id=invoice.booking_id,
        visit_at=visit_at,
        total_amount=invoice.total_amount,
        vat_amount=invoice.vat_amount,
        paid_amount=invoice.paid_amount,
        due_amount=invoice.due_amount,
        credited_amount=invoice.credited_amount,
        is_credited=invoice.is_credited,
        is_refund=is_refund,
        corrects=(invoice.corrects_id, corrects_number) if invoice.corrects_id else None,
        notes=() if is_note else _notes(invoice_id),
        replaces=(invoice.replaces_id, former_number) if invoice.replaces_id else None,
        replaced_by=(later_id, later_number) if later_id else None,
        reason=invoice.reason,
        issued_at=invoice.issued_at,
        issued_by=issued_by,
        lines=_lines(invoice_id),
        payments=_payments(invoice_id),
        payouts=_payouts(invoice_id) if is_note else (),
        slip=_punched(invoice.booking_id) if invoice.booking_id else _sold(invoice_id),
    )


def get_slip(booking_id: int, *, branch_ids: Collection[int]) -> VisitSlip | None:
    """What a visit in one of these branches punched, and what its cards have left. Two statements."""
    row = db.session.execute(
        select(Booking, Customer.full_name, Branch)
        .join(Customer, Customer.id == Booking.customer_id)
        .join(Branch, Branch.id == Booking.branch_id)
        .where(Booking.id == booking_id, Booking.branch_id.in_(branch_ids))
    ).first()
    if row is None:
        return None
    booking, customer_name, branch = row
    return VisitSlip(
        booking_id=booking.id,
        branch=_head(branch),
        customer_id=booking.customer_id,
        customer_name=customer_name,
        starts_at=booking.starts_at,
        status=booking.status,
        lines=_punched(booking_id),
    )


def _head(branch: Branch) -> BranchHead:
    bank = (
        (branch.bank_bin, branch.bank_account, branch.bank_holder) if branch.bank_bin and branch.bank_account else None
    )
    return BranchHead(branch.id, branch.name, branch.address, branch.phone, branch.tax_code, branch.timezone, bank)


def _lines(invoice_id: int) -> tuple[LineView, ...]:
    rows = db.session.execute(
        select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id).order_by(InvoiceLine.position)
    ).scalars()
    return tuple(LineView(**{field.name: getattr(line, field.name) for field in fields(LineView)}) for line in rows)


def _payments(invoice_id: int) -> tuple[PaymentView, ...]:
    rows = db.session.execute(
        select(Payment, User.full_name)
        .outerjoin(User, User.id == Payment.actor_id)
        .where(Payment.invoice_id == invoice_id)
        .order_by(Payment.id)
    )
    return tuple(
        PaymentView(
            payment.id,
            payment.method,
            payment.amount,
            payment.tendered_amount,
            payment.reference,
            payment.taken_at,
            taken_by,
            payment.credit_note_id is not None,
        )
        for payment, taken_by in rows
    )


def _notes(invoice_id: int) -> tuple[NoteView, ...]:
    query = select(
        Invoice.id, Invoice.number, Invoice.status, Invoice.total_amount, Invoice.reason, Invoice.issued_at
    ).where(Invoice.corrects_id == invoice_id)
    return tuple(NoteView(*row) for row in db.session.execute(query.order_by(Invoice.id)))


def _payouts(note_id: int) -> tuple[PayoutView, ...]:
    rows = db.session.execute(
        select(Payout.method, Payout.amount, Payout.reference, Payout.given_at, User.full_name)
        .outerjoin(User, User.id == Payout.actor_id)
        .where(Payout.invoice_id == note_id)
        .order_by(Payout.id)
    )
    return tuple(PayoutView(*row) for row in rows)


def _punched(booking_id: int) -> tuple[SlipLine, ...]:
    rows = db.session.execute(
        select(CustomerTreatment, Service.name, TreatmentEntry.kind)
        .join(TreatmentEntry, TreatmentEntry.treatment_id == CustomerTreatment.id)
        .join(BookingItem, BookingItem.id == TreatmentEntry.booking_item_id)
        .join(Service, Service.id == BookingItem.service_id)
        .where(
            BookingItem.booking_id == booking_id,
            TreatmentEntry.kind.in_(("punch", "forfeit")),
            TreatmentEntry.closed_by_id.is_(None),
        )
        .order_by(BookingItem.position)
    )
    return tuple(_slip_line(card, service, 1, is_forfeited=kind == "forfeit") for card, service, kind in rows)


def _sold(invoice_id: int) -> tuple[SlipLine, ...]:
    rows = db.session.execute(
        select(CustomerTreatment, Service.name)
        .join(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
        .outerjoin(Service, Service.id == CustomerTreatment.service_id)
        .where(
            InvoiceLine.invoice_id == invoice_id,
            CustomerTreatment.cancelled_at.is_(None),
            CustomerTreatment.origin_id.is_(None),
        )
        .order_by(CustomerTreatment.id)
    )
    return tuple(_slip_line(card, service, card.total_sessions) for card, service in rows)


def _slip_line(card: CustomerTreatment, service: str | None, sessions: int, *, is_forfeited: bool = False) -> SlipLine:
    return SlipLine(card.id, service, sessions, card.free_sessions, card.held_sessions, card.expiry_date, is_forfeited)
