"""A spa's branches: where visits happen, whose clocks count, and when the doors are open."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base


class Branch(Base):
    """One spa. Dates on its cards and reports are dates of its ``timezone``."""

    __tablename__ = "branches"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("code ~ '^[A-Z0-9]{1,8}$'", name="code"),
        CheckConstraint("late_cancel_policy IN ('none', 'forfeit')", name="late_cancel_policy"),
        CheckConstraint("no_show_policy IN ('none', 'forfeit')", name="no_show_policy"),
        CheckConstraint("late_cancel_minutes >= 0", name="late_cancel_minutes"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    timezone: Mapped[str]
    address: Mapped[str] = mapped_column(server_default="")
    phone: Mapped[str | None]
    late_cancel_minutes: Mapped[int] = mapped_column(SmallInteger, server_default=text("120"))
    late_cancel_policy: Mapped[str] = mapped_column(server_default="none")
    no_show_policy: Mapped[str] = mapped_column(server_default="none")
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))


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
