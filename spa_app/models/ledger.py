"""The double-entry ledger: it only grows, and every entry sums to zero when its transaction commits."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base


class Account(Base):
    """An account of the chart that the migrations lay down."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("kind IN ('asset', 'liability', 'equity', 'revenue', 'expense')", name="kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]


class JournalEntry(Base):
    """One money event, with what it came from."""

    __tablename__ = "journal_entries"
    __table_args__ = (
        CheckConstraint(
            "event IN ('visit_invoiced', 'plan_sold', 'payment_taken', 'session_recognised', 'session_returned',"
            " 'sessions_expired', 'invoice_voided', 'invoice_credited', 'cards_imported', 'fee_charged',"
            " 'sessions_transferred', 'sessions_reactivated', 'card_refunded', 'refund_withdrawn', 'credit_paid_out',"
            " 'credit_moved', 'sale_invoiced', 'invoice_refunded', 'gift_cards_expired', 'gift_card_adjusted',"
            " 'deposit_taken', 'deposit_returned', 'deposit_kept', 'cash_moved', 'drawer_counted')",
            name="event",
        ),
        Index("ix_journal_entries_branch_id_posted_on", "branch_id", "posted_on"),
        Index("ix_journal_entries_invoice_id", "invoice_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    event: Mapped[str]
    posted_on: Mapped[dt.date]
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    treatment_entry_id: Mapped[int | None] = mapped_column(ForeignKey("treatment_entries.id"))
    reverses_id: Mapped[int | None] = mapped_column(ForeignKey("journal_entries.id"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class JournalLine(Base):
    """A debit (positive) or a credit (negative), in minor units.

    Lines on deferred revenue name the card, lines on store credit the customer, lines on gift cards and on deposits the
    gift card and the deposit: that is how the liability is proved.
    """

    __tablename__ = "journal_lines"
    __table_args__ = (
        CheckConstraint("amount <> 0", name="amount"),
        Index("ix_journal_lines_entry_id", "entry_id"),
        Index(
            "ix_journal_lines_account_id_entry_id",
            "account_id",
            "entry_id",
            postgresql_include=["amount", "treatment_id"],
        ),
        Index("ix_journal_lines_treatment_id", "treatment_id"),
        Index("ix_journal_lines_deposit_id", "deposit_id", postgresql_where=text("deposit_id IS NOT NULL")),
        Index("ix_journal_lines_customer_id", "customer_id", postgresql_where=text("customer_id IS NOT NULL")),
        Index("ix_journal_lines_gift_card_id", "gift_card_id", postgresql_where=text("gift_card_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("journal_entries.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    amount: Mapped[int]
    treatment_id: Mapped[int | None] = mapped_column(ForeignKey("customer_treatments.id"))
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"))
    gift_card_id: Mapped[int | None] = mapped_column(ForeignKey("gift_cards.id"))
    deposit_id: Mapped[int | None] = mapped_column(ForeignKey("deposits.id"))
