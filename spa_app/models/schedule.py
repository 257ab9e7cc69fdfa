"""When people and rooms are there: shifts, leave, blocked time, and the dates on which a branch keeps other hours."""

import datetime as dt

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    UniqueConstraint,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

STAFF_KINDS = ("leave", "sick", "break", "blocked")
RESOURCE_KINDS = ("closed", "maintenance", "blocked")


class StaffShift(Base):
    """One published stretch of work of a therapist on a local date of their home branch; a date may have several.

    In a week (Monday to Sunday) whose roster was published these are all the work there is. In any other, who has no
    shift in the whole week works whenever the branch is open: a spa that keeps no rosters need not begin to.
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


class RosterWeek(Base):
    """A branch's week of which a roster was made; no row: none was ever made.

    What counts are the published shifts (:class:`StaffShift`). While ``has_draft`` there is a plan beside them
    (:class:`DraftShift`) that nobody but managers sees, and that takes their place when it is published. The row's lock
    is what two managers who edit one week wait for; it is taken before those of the therapists.
    """

    __tablename__ = "roster_weeks"
    __table_args__ = (
        UniqueConstraint("branch_id", "monday"),
        CheckConstraint("EXTRACT(isodow FROM monday) = 1", name="monday"),
        CheckConstraint("has_draft OR published_at IS NOT NULL", name="something"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    monday: Mapped[dt.date]
    has_draft: Mapped[bool] = mapped_column(server_default=text("true"))
    published_at: Mapped[dt.datetime | None]
    published_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class DraftShift(Base):
    """One stretch of work in the plan of a week. Monday is weekday 0."""

    __tablename__ = "draft_shifts"
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("starts_at < ends_at", name="order"),
        ExcludeConstraint(
            ("week_id", "="),
            ("staff_id", "="),
            ("weekday", "="),
            (literal_column("tsrange('2000-01-03'::date + starts_at, '2000-01-03'::date + ends_at)"), "&&"),
            name="ex_draft_shifts_overlap",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    week_id: Mapped[int] = mapped_column(ForeignKey("roster_weeks.id"))
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    weekday: Mapped[int] = mapped_column(SmallInteger)
    starts_at: Mapped[dt.time]
    ends_at: Mapped[dt.time]


class ShiftTemplate(Base):
    """A usual shift of a branch, such as "Early", to be put into a roster."""

    __tablename__ = "shift_templates"
    __table_args__ = (UniqueConstraint("branch_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    name: Mapped[str]


class ShiftTemplatePeriod(Base):
    """One stretch of a usual shift; a shift that is split has several."""

    __tablename__ = "shift_template_periods"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="order"),
        ExcludeConstraint(
            ("template_id", "="),
            (literal_column("tsrange('2000-01-03'::date + starts_at, '2000-01-03'::date + ends_at)"), "&&"),
            name="ex_shift_template_periods_overlap",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    template_id: Mapped[int] = mapped_column(ForeignKey("shift_templates.id"))
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
