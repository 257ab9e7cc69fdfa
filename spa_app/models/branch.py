"""A spa's branches: where visits happen, whose clocks count, and when the doors are open."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base
from spa_app.models.policy import Policy


class Branch(Base):
    """One spa. Dates on its cards and reports are dates of its ``timezone``. ``tax_code`` stands on its invoices.

    A fee is a share of the visit's price in basis points, or an amount in minor units. A receptionist may waive what a
    policy takes up to ``waiver_limit_amount``, extend a card by ``extend_limit_days`` in all, take
    ``discount_limit_bp`` basis points off a bill, and refund up to ``refund_limit_amount`` of one invoice; above it a
    manager decides. Gift cards sold here are good for ``gift_card_months``, without a number for ever. Closing a day
    with unpaid invoices of that day is possible with a warning, or not at all (``close_with_open_invoices``: ``warn``,
    ``block``).
    """

    __tablename__ = "branches"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("code ~ '^[A-Z0-9]{1,8}$'", name="code"),
        CheckConstraint("tax_code ~ '^[0-9A-Z-]{0,20}$'", name="tax_code"),
        CheckConstraint("late_cancel_policy IN ('none', 'forfeit', 'fee')", name="late_cancel_policy"),
        CheckConstraint("no_show_policy IN ('none', 'forfeit', 'fee')", name="no_show_policy"),
        CheckConstraint(
            "late_cancel_policy <> 'fee' OR num_nonnulls(late_cancel_fee_bp, late_cancel_fee_amount) = 1",
            name="late_cancel_fee",
        ),
        CheckConstraint(
            "no_show_policy <> 'fee' OR num_nonnulls(no_show_fee_bp, no_show_fee_amount) = 1", name="no_show_fee"
        ),
        CheckConstraint("late_cancel_fee_bp BETWEEN 1 AND 10000", name="late_cancel_fee_bp"),
        CheckConstraint("no_show_fee_bp BETWEEN 1 AND 10000", name="no_show_fee_bp"),
        CheckConstraint("late_cancel_fee_amount > 0", name="late_cancel_fee_amount"),
        CheckConstraint("no_show_fee_amount > 0", name="no_show_fee_amount"),
        CheckConstraint("bank_bin ~ '^[0-9]{6}$'", name="bank_bin"),
        CheckConstraint("bank_account ~ '^[0-9A-Z]{4,19}$'", name="bank_account"),
        CheckConstraint("num_nonnulls(bank_bin, bank_account) <> 1", name="bank"),
        CheckConstraint("waiver_limit_amount >= 0", name="waiver_limit"),
        CheckConstraint("late_cancel_minutes >= 0", name="late_cancel_minutes"),
        CheckConstraint("extend_limit_days >= 0", name="extend_limit"),
        CheckConstraint("close_with_open_invoices IN ('warn', 'block')", name="close_with_open_invoices"),
        CheckConstraint("discount_limit_bp BETWEEN 0 AND 10000", name="discount_limit"),
        CheckConstraint("gift_card_months BETWEEN 1 AND 120", name="gift_card_months"),
        CheckConstraint("refund_limit_amount >= 0", name="refund_limit"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    timezone: Mapped[str]
    address: Mapped[str] = mapped_column(server_default="")
    phone: Mapped[str | None]
    tax_code: Mapped[str] = mapped_column(server_default="")
    # Where transfers go: both, or neither
    bank_bin: Mapped[str | None]
    bank_account: Mapped[str | None]
    bank_holder: Mapped[str] = mapped_column(server_default="")
    late_cancel_minutes: Mapped[int] = mapped_column(SmallInteger, server_default=text("120"))
    late_cancel_policy: Mapped[str] = mapped_column(server_default="none")
    late_cancel_fee_bp: Mapped[int | None] = mapped_column(SmallInteger)
    late_cancel_fee_amount: Mapped[int | None]
    no_show_policy: Mapped[str] = mapped_column(server_default="none")
    no_show_fee_bp: Mapped[int | None] = mapped_column(SmallInteger)
    no_show_fee_amount: Mapped[int | None]
    waiver_limit_amount: Mapped[int] = mapped_column(server_default=text("0"))
    extend_limit_days: Mapped[int] = mapped_column(SmallInteger, server_default=text("30"))
    close_with_open_invoices: Mapped[str] = mapped_column(server_default="warn")
    discount_limit_bp: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    gift_card_months: Mapped[int | None] = mapped_column(SmallInteger)
    refund_limit_amount: Mapped[int] = mapped_column(server_default=text("0"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))

    @property
    def late_cancel(self) -> Policy:
        """What is taken for a visit cancelled less than ``late_cancel_minutes`` before its start."""
        return Policy(self.late_cancel_policy, self.late_cancel_fee_bp, self.late_cancel_fee_amount)

    @property
    def no_show(self) -> Policy:
        """What is taken for a visit to which the customer did not come."""
        return Policy(self.no_show_policy, self.no_show_fee_bp, self.no_show_fee_amount)


class BranchHours(Base):
    """One period in which a branch is open, every week. Monday is weekday 0; a day may have several periods."""

    __tablename__ = "branch_hours"
    __table_args__ = (
        UniqueConstraint("branch_id", "weekday", "opens_at"),
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("opens_at < closes_at", name="order"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    weekday: Mapped[int] = mapped_column(SmallInteger)
    opens_at: Mapped[dt.time]
    closes_at: Mapped[dt.time]
