"""Drawers and their cash, and the days that were closed."""

import datetime as dt
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

# What a desk counts, by currency, in minor units, the largest first. One that is not here is counted as one sum.
DENOMINATIONS: dict[str, tuple[int, ...]] = {
    "VND": (500_000, 200_000, 100_000, 50_000, 20_000, 10_000, 5_000, 2_000, 1_000),
    "EUR": (20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 20, 10, 5, 2, 1),
    "USD": (10_000, 5_000, 2_000, 1_000, 500, 100, 25, 10, 5, 1),
}


class Drawer(Base):
    """A drawer for cash. The branch's first active one serves whoever has chosen none."""

    __tablename__ = "drawers"
    __table_args__ = (UniqueConstraint("branch_id", "name"), CheckConstraint("name <> ''", name="name"))

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    name: Mapped[str]
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))


class DrawerChoice(Base):
    """Which drawer a user works at: of a branch's, the one that they chose last."""

    __tablename__ = "drawer_choices"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    drawer_id: Mapped[int] = mapped_column(ForeignKey("drawers.id"), primary_key=True)
    chosen_at: Mapped[dt.datetime]


class DrawerSession(Base):
    """From the opening of a drawer to its close, after which only a reason may be added (a trigger holds that).

    The float at opening was ``counted``, or is what the last close left there (``carried``), or nobody knows it
    (``unknown``). ``opening_variance_amount`` is what was counted less what the last close left, where both are known.
    At the close ``expected_amount`` is the float with all the cash that moved since, NULL while the float is unknown;
    ``counted_amount`` is NULL where nobody counted, and nothing is then invented. ``left_amount`` of what was counted
    stayed as the next float, the rest went to the safe. ``denominations`` has how many there were of each note, and
    what was counted otherwise as ``other``.
    """

    __tablename__ = "drawer_sessions"
    __table_args__ = (
        CheckConstraint("opened_as IN ('counted', 'carried', 'unknown')", name="opened_as"),
        CheckConstraint("(opened_as = 'unknown') = (opening_float_amount IS NULL)", name="opening"),
        CheckConstraint("opening_float_amount >= 0", name="opening_float"),
        CheckConstraint("opening_variance_amount IS NULL OR opened_as = 'counted'", name="opening_variance"),
        CheckConstraint(
            "closed_at IS NOT NULL"
            " OR num_nonnulls(closed_by_id, expected_amount, counted_amount, left_amount, denominations) = 0",
            name="open",
        ),
        CheckConstraint("counted_amount >= 0", name="counted"),
        CheckConstraint("variance_amount IS NOT DISTINCT FROM counted_amount - expected_amount", name="variance"),
        CheckConstraint(
            "CASE WHEN counted_amount IS NULL THEN num_nonnulls(left_amount, denominations) = 0"
            " ELSE left_amount BETWEEN 0 AND counted_amount AND denominations IS NOT NULL END",
            name="left",
        ),
        Index("uq_drawer_sessions_open", "drawer_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        Index("ix_drawer_sessions_drawer_id_opened_at", "drawer_id", "opened_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    drawer_id: Mapped[int] = mapped_column(ForeignKey("drawers.id"))
    opened_at: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())
    opened_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    opened_as: Mapped[str]
    opening_float_amount: Mapped[int | None]
    opening_variance_amount: Mapped[int | None]
    closed_at: Mapped[dt.datetime | None]
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    expected_amount: Mapped[int | None]
    counted_amount: Mapped[int | None]
    variance_amount: Mapped[int | None]
    left_amount: Mapped[int | None]
    denominations: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    reason: Mapped[str] = mapped_column(server_default="")


class CashMovement(Base):
    """Cash that went into a drawer or out of it without an invoice; append-only.

    ``paid_in`` comes from the safe, ``drop`` and ``closing_drop`` (what did not stay as a float) go there, ``expense``
    was spent. ``amount`` is above zero, the kind has the sign.
    """

    __tablename__ = "cash_movements"
    __table_args__ = (
        CheckConstraint("kind IN ('paid_in', 'drop', 'expense', 'closing_drop')", name="kind"),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("reason <> '' OR kind = 'closing_drop'", name="reason"),
        Index("ix_cash_movements_drawer_session_id", "drawer_session_id"),
        Index("ix_cash_movements_branch_id_moved_at", "branch_id", "moved_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    drawer_session_id: Mapped[int] = mapped_column(ForeignKey("drawer_sessions.id"))
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    kind: Mapped[str]
    amount: Mapped[int]
    reason: Mapped[str] = mapped_column(server_default="")
    moved_at: Mapped[dt.datetime] = mapped_column(server_default=func.clock_timestamp())
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class DayClose(Base):
    """A day whose books are closed, with what stood in them then: the Z-report. Only its reopening may be added.

    ``z_number`` runs gaplessly in a branch. A day that was reopened is closed anew by a further row.
    """

    __tablename__ = "day_closes"
    __table_args__ = (
        CheckConstraint("open_invoices >= 0 AND open_amount >= 0", name="open_invoices"),
        CheckConstraint("z_number > 0", name="z_number"),
        CheckConstraint(
            "CASE WHEN reopened_at IS NULL THEN reopened_by_id IS NULL AND reopen_reason = ''"
            " ELSE reopen_reason <> '' END",
            name="reopened",
        ),
        UniqueConstraint("branch_id", "z_number"),
        Index(
            "uq_day_closes_live", "branch_id", "closed_on", unique=True, postgresql_where=text("reopened_at IS NULL")
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    closed_on: Mapped[dt.date]
    z_number: Mapped[int]
    closed_at: Mapped[dt.datetime]
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    totals: Mapped[dict[str, Any]] = mapped_column(JSONB)
    open_invoices: Mapped[int]
    open_amount: Mapped[int]
    reopened_at: Mapped[dt.datetime | None]
    reopened_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    reopen_reason: Mapped[str] = mapped_column(server_default="")
