"""Who logs in, and in which branches."""

import datetime as dt

from flask_login import UserMixin
from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

ROLES = ("receptionist", "therapist", "manager", "owner")


class User(Base, UserMixin):
    """A login. A therapist's login points at the member of staff whose day it shows."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('receptionist', 'therapist', 'manager', 'owner')", name="role"),
        CheckConstraint("locale IN ('en', 'vi')", name="locale"),
        CheckConstraint("theme IN ('system', 'light', 'dark')", name="theme"),
        Index("uq_users_username", text("lower(username)"), unique=True),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    password_hash: Mapped[str]
    full_name: Mapped[str]
    role: Mapped[str]
    locale: Mapped[str | None]
    theme: Mapped[str] = mapped_column(server_default="system")
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class UserBranch(Base):
    """A branch in which a user works. An owner works in all of them without a row here."""

    __tablename__ = "user_branches"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"), primary_key=True)
