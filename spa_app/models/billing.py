"""Invoices, their lines, and the payments for them."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

PAYMENT_METHODS = ("cash", "card", "bank_transfer", "e_wallet", "gift_card", "store_credit", "deposit")


class InvoiceCounter(Base):
    """The last number given out in a branch and year. Its row lock makes the numbers gapless."""

    __tablename__ = "invoice_counters"

    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"), primary_key=True)
    year: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    last_number: Mapped[int]


class Invoice(Base):
    """An issued invoice or credit note. Once issued only its payments and its status change (a trigger holds that).

    A credit note (``kind``) has a negative total and names the invoice that it corrects, which stays as it was but for
    its ``credited_amount``: what all its notes come to, never more than was paid, since what was not paid is settled
    first. ``is_credited``: nothing of it is left. A note with a ``treatment_id`` gives back what is left of that card,
    which alone may be without an invoice (an imported one). An invoice that was changed is
    void, and the one that takes its place names it in ``replaces_id``.
    """

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("number"),
        CheckConstraint("kind IN ('invoice', 'credit_note')", name="kind"),
        CheckConstraint("status IN ('draft', 'open', 'partly_paid', 'paid', 'void')", name="status"),
        CheckConstraint("kind = 'credit_note' OR (paid_amount >= 0 AND paid_amount <= total_amount)", name="paid"),
        CheckConstraint(
            "kind = 'credit_note' OR CASE status"
            " WHEN 'paid' THEN paid_amount = total_amount"
            " WHEN 'partly_paid' THEN paid_amount > 0 AND paid_amount < total_amount"
            " ELSE paid_amount = 0 END",
            name="status_follows_payments",
        ),
        CheckConstraint(
            "CASE kind WHEN 'credit_note' THEN num_nonnulls(corrects_id, treatment_id) > 0"
            " ELSE corrects_id IS NULL END",
            name="credit_note_corrects",
        ),
        CheckConstraint("kind = 'invoice' OR total_amount <= 0", name="credit_note_negative"),
        CheckConstraint("treatment_id IS NULL OR kind = 'credit_note'", name="card_refund"),
        CheckConstraint("(status = 'void') = (voided_at IS NOT NULL)", name="void"),
        CheckConstraint(
            "kind = 'credit_note' OR (credited_amount >= 0 AND credited_amount <= paid_amount)", name="credited"
        ),
        CheckConstraint(
            "kind = 'credit_note' OR CASE WHEN is_credited"
            " THEN credited_amount = paid_amount AND (credited_amount > 0 OR total_amount = 0)"
            " ELSE credited_amount < total_amount OR total_amount = 0 END",
            name="wholly_credited",
        ),
        CheckConstraint("replaces_id IS NULL OR kind = 'invoice'", name="replaces"),
        Index(
            "uq_invoices_live_booking",
            "booking_id",
            unique=True,
            postgresql_where=text("kind = 'invoice' AND status <> 'void' AND NOT is_credited"),
        ),
        Index("ix_invoices_corrects_id", "corrects_id", postgresql_where=text("corrects_id IS NOT NULL")),
        Index("uq_invoices_replaces_id", "replaces_id", unique=True, postgresql_where=text("replaces_id IS NOT NULL")),
        Index("ix_invoices_refunded", "treatment_id", postgresql_where=text("treatment_id IS NOT NULL")),
        Index("ix_invoices_booking_id", "booking_id"),
        Index("ix_invoices_customer_id", "customer_id", "issued_at"),
        Index("ix_invoices_branch_id_issued_at", "branch_id", "issued_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("bookings.id"))
    kind: Mapped[str] = mapped_column(server_default="invoice")
    number: Mapped[str]
    status: Mapped[str]
    total_amount: Mapped[int]
    vat_amount: Mapped[int]
    paid_amount: Mapped[int] = mapped_column(server_default=text("0"))
    credited_amount: Mapped[int] = mapped_column(server_default=text("0"))
    is_credited: Mapped[bool] = mapped_column(server_default=text("false"))
    corrects_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))
    # use_alter: cards point at the line that sold them, and lines at their invoice
    treatment_id: Mapped[int | None] = mapped_column(ForeignKey("customer_treatments.id", use_alter=True))
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))
    reason: Mapped[str] = mapped_column(server_default="")
    issued_at: Mapped[dt.datetime]
    voided_at: Mapped[dt.datetime | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    @property
    def due_amount(self) -> int:
        """What is left to pay."""
        settled = self.status == "void" or self.kind == "credit_note" or self.is_credited
        return 0 if settled else self.total_amount - self.paid_amount


class InvoiceLine(Base):
    """One line of an issued invoice; append-only. Amounts include VAT.

    A credit note's line names the line of the invoice that it takes back, or a part of it (``corrects_id``); what
    gives back the rest of a card names none, since it follows the card's sessions.

    A discount lowers the line ``discounts_id`` of the same invoice (``amount`` is negative there), and holds the VAT
    that makes the two of them come to what is within their sum. ``discount_scope`` is ``line`` for one that was granted
    on that line, ``bill`` or ``promotion`` for the line's share of one on the whole bill; ``discount_bp`` is the
    percentage that was granted, in basis points, if it was one. A tip names in ``staff_id`` whose it is.
    """

    __tablename__ = "invoice_lines"
    __table_args__ = (
        CheckConstraint("kind IN ('service', 'plan', 'product', 'tip', 'fee', 'discount', 'gift_card')", name="kind"),
        CheckConstraint("quantity <> 0", name="quantity"),
        CheckConstraint("product_id IS NULL OR kind = 'product'", name="product"),
        CheckConstraint("staff_id IS NULL OR kind = 'tip'", name="tip"),
        CheckConstraint(
            "num_nonnulls(discounts_id, discount_scope, discount_bp) = 0 OR kind = 'discount'", name="discount"
        ),
        CheckConstraint("discount_scope IN ('line', 'bill', 'promotion')", name="discount_scope"),
        CheckConstraint("discount_bp BETWEEN 1 AND 10000", name="discount_bp"),
        UniqueConstraint("invoice_id", "position"),
        Index("ix_invoice_lines_corrects_id", "corrects_id", postgresql_where=text("corrects_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    position: Mapped[int] = mapped_column(SmallInteger)
    kind: Mapped[str]
    description: Mapped[str]
    quantity: Mapped[int] = mapped_column(SmallInteger)
    amount: Mapped[int]
    vat_amount: Mapped[int]
    vat_rate_bp: Mapped[int] = mapped_column(SmallInteger)
    service_id: Mapped[int | None] = mapped_column(ForeignKey("services.id"))
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("plans.id"))
    # use_alter: items point at cards, cards at the line that sold them, lines at the item that they bill
    booking_item_id: Mapped[int | None] = mapped_column(ForeignKey("booking_items.id", use_alter=True))
    corrects_id: Mapped[int | None] = mapped_column(ForeignKey("invoice_lines.id"))
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"))
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    discounts_id: Mapped[int | None] = mapped_column(ForeignKey("invoice_lines.id"))
    discount_scope: Mapped[str | None]
    discount_bp: Mapped[int | None] = mapped_column(SmallInteger)


class Payment(Base):
    """Money taken for an invoice; append-only. Cash may be tendered above ``amount``; the difference is the change.

    One with a ``credit_note_id`` brought no money: that note's credit settled what was still to be paid.
    """

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint(
            "method IN ('cash', 'card', 'bank_transfer', 'e_wallet', 'store_credit', 'gift_card', 'deposit')",
            name="method",
        ),
        CheckConstraint("method NOT IN ('card', 'bank_transfer') OR reference <> ''", name="reference"),
        CheckConstraint("tendered_amount >= amount", name="tendered"),
        CheckConstraint("credit_note_id IS NULL OR method = 'store_credit'", name="settlement"),
        CheckConstraint("drawer_session_id IS NULL OR method IS NOT DISTINCT FROM 'cash'", name="drawer"),
        Index(
            "ix_payments_drawer_session_id",
            "drawer_session_id",
            postgresql_where=text("drawer_session_id IS NOT NULL"),
        ),
        Index("ix_payments_invoice_id", "invoice_id"),
        Index("ix_payments_branch_id_taken_at", "branch_id", "taken_at"),
        Index("ix_payments_credit_note_id", "credit_note_id", postgresql_where=text("credit_note_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    method: Mapped[str]
    amount: Mapped[int]
    tendered_amount: Mapped[int]
    reference: Mapped[str] = mapped_column(server_default="")
    taken_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    drawer_session_id: Mapped[int | None] = mapped_column(ForeignKey("drawer_sessions.id"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    credit_note_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))


class Payout(Base):
    """Store credit of a credit note, handed out as money; append-only.

    ``payment_id`` is the payment that went back by it, which never returns more than it brought (a trigger holds that);
    ``entry_id`` is what was posted for it.
    """

    __tablename__ = "payouts"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("method IN ('cash', 'card', 'bank_transfer', 'e_wallet', 'gift_card')", name="method"),
        CheckConstraint("method IN ('cash', 'gift_card') OR reference <> ''", name="reference"),
        Index("ix_payouts_invoice_id", "invoice_id"),
        Index("ix_payouts_payment_id", "payment_id", postgresql_where=text("payment_id IS NOT NULL")),
        Index("ix_payouts_entry_id", "entry_id"),
        CheckConstraint("drawer_session_id IS NULL OR method IS NOT DISTINCT FROM 'cash'", name="drawer"),
        Index(
            "ix_payouts_drawer_session_id",
            "drawer_session_id",
            postgresql_where=text("drawer_session_id IS NOT NULL"),
        ),
        Index("ix_payouts_branch_id_given_at", "branch_id", "given_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    method: Mapped[str]
    amount: Mapped[int]
    reference: Mapped[str] = mapped_column(server_default="")
    given_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    drawer_session_id: Mapped[int | None] = mapped_column(ForeignKey("drawer_sessions.id"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    # use_alter: entries point at payments and invoices
    entry_id: Mapped[int] = mapped_column(ForeignKey("journal_entries.id", use_alter=True))
