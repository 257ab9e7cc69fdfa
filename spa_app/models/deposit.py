"""Deposits: money taken for a visit before it takes place."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

MONEY_METHODS = ("cash", "card", "bank_transfer", "e_wallet")


class Deposit(Base):
    """Money taken for a visit, owed to its customer until it pays a bill or is given back.

    ``balance_amount`` caches the sum of its entries (a trigger holds that).
    """

    __tablename__ = "deposits"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("balance_amount >= 0", name="balance_not_negative"),
        CheckConstraint("method IN ('cash', 'card', 'bank_transfer', 'e_wallet')", name="method"),
        CheckConstraint("method NOT IN ('card', 'bank_transfer') OR reference <> ''", name="reference"),
        Index("ix_deposits_booking_id", "booking_id"),
        Index("ix_deposits_branch_id_taken_at", "branch_id", "taken_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[int] = mapped_column(ForeignKey("bookings.id"))
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    method: Mapped[str]
    amount: Mapped[int]
    balance_amount: Mapped[int]
    reference: Mapped[str] = mapped_column(server_default="")
    taken_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class DepositEntry(Base):
    """What happened to a deposit; append-only.

    It is ``taken``, pays (``used``, with the payment), or is ``returned`` by ``method``: as money or as store credit.
    """

    __tablename__ = "deposit_entries"
    __table_args__ = (
        CheckConstraint("kind IN ('taken', 'used', 'returned')", name="kind"),
        CheckConstraint("CASE kind WHEN 'taken' THEN amount > 0 ELSE amount < 0 END", name="sign"),
        CheckConstraint("kind <> 'used' OR payment_id IS NOT NULL", name="payment"),
        CheckConstraint("(kind = 'returned') = (method IS NOT NULL)", name="returned_by"),
        CheckConstraint("method IN ('cash', 'card', 'bank_transfer', 'e_wallet', 'store_credit')", name="method"),
        CheckConstraint("method NOT IN ('card', 'bank_transfer') OR reference <> ''", name="reference"),
        CheckConstraint("kind <> 'returned' OR reason <> ''", name="reason"),
        Index("ix_deposit_entries_deposit_id", "deposit_id"),
        Index("ix_deposit_entries_returned", "created_at", postgresql_where=text("kind = 'returned'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    deposit_id: Mapped[int] = mapped_column(ForeignKey("deposits.id"))
    kind: Mapped[str]
    amount: Mapped[int]
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    method: Mapped[str | None]
    reference: Mapped[str] = mapped_column(server_default="")
    reason: Mapped[str] = mapped_column(server_default="")
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
