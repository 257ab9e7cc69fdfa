"""Who waits for a time: what for, on which days, between which hours, with whom."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

EVERY_DAY = 0b111_1111  # a bit for each day of the week, Monday's first


class WaitlistEntry(Base):
    """A customer who would come if there were room. ``version`` grows with every change.

    Stored is what somebody decided. That a place is held at this moment follows from the booking that holds it
    (``bookings.waitlist_entry_id``), and that the entry has lapsed from ``last_on``: neither needs a job to come true.
    """

    __tablename__ = "waitlist_entries"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'booked', 'withdrawn')", name="status"),
        CheckConstraint("(status = 'withdrawn') = (withdraw_reason <> '')", name="withdraw_reason"),
        CheckConstraint("first_on <= last_on", name="dates"),
        CheckConstraint("weekdays BETWEEN 1 AND 127", name="weekdays"),
        CheckConstraint("from_time < until_time", name="times"),
        Index("ix_waitlist_entries_waiting", "branch_id", "last_on", postgresql_where=text("status = 'waiting'")),
        Index("ix_waitlist_entries_customer_id", "customer_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))  # None: anyone
    first_on: Mapped[dt.date]
    last_on: Mapped[dt.date]
    weekdays: Mapped[int] = mapped_column(SmallInteger, server_default=text("127"))
    from_time: Mapped[dt.time | None]
    until_time: Mapped[dt.time | None]
    note: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str] = mapped_column(server_default="waiting")
    withdraw_reason: Mapped[str] = mapped_column(server_default="")
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class WaitlistService(Base):
    """One of the services that the visit shall hold, in their order."""

    __tablename__ = "waitlist_services"

    entry_id: Mapped[int] = mapped_column(ForeignKey("waitlist_entries.id"), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
