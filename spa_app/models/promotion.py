"""Promotions: what a code takes off a bill, when, and how often."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base


class Promotion(Base):
    """A code that takes ``percent_bp`` basis points, or ``discount_amount``, off a bill of ``minimum_amount`` or more.

    It counts from ``starts_on`` through ``ends_on``, dates of the branch that bills. ``used_count`` is how many bills
    hold it now: at most ``max_uses`` in all, and ``max_uses_per_customer`` of one customer.
    """

    __tablename__ = "promotions"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("code ~ '^[A-Z0-9-]{2,20}$'", name="code"),
        CheckConstraint("num_nonnulls(percent_bp, discount_amount) = 1", name="one_discount"),
        CheckConstraint("percent_bp BETWEEN 1 AND 10000", name="percent"),
        CheckConstraint("discount_amount > 0", name="discount"),
        CheckConstraint("minimum_amount >= 0", name="minimum"),
        CheckConstraint("starts_on <= ends_on", name="window"),
        CheckConstraint("max_uses > 0", name="max_uses"),
        CheckConstraint("max_uses_per_customer > 0", name="max_uses_per_customer"),
        CheckConstraint("used_count >= 0", name="used_not_negative"),
        CheckConstraint("used_count <= max_uses", name="used_within"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    percent_bp: Mapped[int | None] = mapped_column(SmallInteger)
    discount_amount: Mapped[int | None]
    minimum_amount: Mapped[int] = mapped_column(server_default=text("0"))
    starts_on: Mapped[dt.date | None]
    ends_on: Mapped[dt.date | None]
    max_uses: Mapped[int | None]
    max_uses_per_customer: Mapped[int | None]
    used_count: Mapped[int] = mapped_column(server_default=text("0"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))

    def takes(self, total_amount: int) -> int:
        """What it takes off ``total_amount`` (1 or more, VAT in it): half a unit rounded up, but something."""
        if self.percent_bp is not None:
            return max((total_amount * self.percent_bp + 5_000) // 10_000, 1)
        return min(self.discount_amount or 0, total_amount)


class PromotionUse(Base):
    """A promotion on an issued bill; given back (``released_at``) when the bill is void or wholly credited."""

    __tablename__ = "promotion_uses"
    __table_args__ = (
        CheckConstraint("discount_amount > 0", name="discount"),
        Index("uq_promotion_uses_live", "invoice_id", unique=True, postgresql_where=text("released_at IS NULL")),
        Index("ix_promotion_uses_promotion_id", "promotion_id", "customer_id"),
        Index("ix_promotion_uses_customer_id", "customer_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    promotion_id: Mapped[int] = mapped_column(ForeignKey("promotions.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    discount_amount: Mapped[int]
    used_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    released_at: Mapped[dt.datetime | None]
