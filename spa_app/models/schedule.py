"""When people and rooms are there: shifts, leave, blocked time, and the dates on which a branch keeps other hours."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, literal_column, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

STAFF_KINDS = ("leave", "sick", "break", "blocked")
RESOURCE_KINDS = ("closed", "maintenance", "blocked")


class StaffShift(Base):
    """One stretch of work of a therapist on a local date of their home branch; a date may have several.

    Who has no shift in a whole week (Monday to Sunday) works whenever the branch is open: a spa that keeps no rosters
    need not begin to.
    """

    __tablename__ = "staff_shifts"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="order"),
        ExcludeConstraint(
            ("staff_id", "="),
            (literal_column("tsrange(works_on + starts_at, works_on + ends_at)"), "&&"),
            name="ex_staff_shifts_overlap",
        ),
        Index("ix_staff_shifts_staff_id", "staff_id", "works_on"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    works_on: Mapped[dt.date]
    starts_at: Mapped[dt.time]
    ends_at: Mapped[dt.time]


class BlockedTime(Base):
    """Time of one therapist, or of one room or machine, that no visit may take: leave, a break, a closed room.

    Nothing is booked into it: who writes either holds the lock of the therapist's or room's row. Visits may lie in it
    that were there when an absence was marked over them; they need somebody else, and show so until they have.
    """

    __tablename__ = "blocked_times"
    __table_args__ = (
        CheckConstraint("num_nonnulls(staff_id, resource_id) = 1", name="one_thing"),
        CheckConstraint(
            "CASE WHEN staff_id IS NULL THEN kind IN ('closed', 'maintenance', 'blocked')"
            " ELSE kind IN ('leave', 'sick', 'break', 'blocked') END",
            name="kind",
        ),
        CheckConstraint("starts_at < ends_at", name="order"),
        Index("ix_blocked_times_staff_id", "staff_id", "ends_at", postgresql_where=text("staff_id IS NOT NULL")),
        Index(
            "ix_blocked_times_resource_id", "resource_id", "ends_at", postgresql_where=text("resource_id IS NOT NULL")
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resources.id"))
    kind: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    starts_at: Mapped[dt.datetime]
    ends_at: Mapped[dt.datetime]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class BranchException(Base):
    """A date on which a branch keeps other hours than its week's: each row one period, or, without times, closed."""

    __tablename__ = "branch_exceptions"
    __table_args__ = (
        Index(
            "uq_branch_exceptions_branch_id_happens_on_opens_at",
            "branch_id",
            "happens_on",
            "opens_at",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("(opens_at IS NULL) = (closes_at IS NULL)", name="both_times"),
        CheckConstraint("opens_at < closes_at", name="order"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    happens_on: Mapped[dt.date]
    opens_at: Mapped[dt.time | None]
    closes_at: Mapped[dt.time | None]
    reason: Mapped[str] = mapped_column(server_default="")
