"""The waitlist as the desk reads it."""

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    Branch,
    Customer,
    Service,
    Staff,
    User,
    WaitlistEntry,
    WaitlistService,
)

MOST = 200


@dataclass(frozen=True)
class Entry:
    """A customer who waits, or waited. The last five are about the place that it led to, if there is one."""

    id: int
    branch_id: int
    branch_name: str
    timezone: str
    customer_id: int
    customer_name: str
    phone: str | None
    allergies: str
    staff_id: int | None
    staff_name: str | None  # None: anyone
    first_on: dt.date
    last_on: dt.date
    weekdays: int
    from_time: dt.time | None
    until_time: dt.time | None
    note: str
    status: str
    withdraw_reason: str
    version: int
    created_at: dt.datetime
    created_by: str | None
    service_ids: list[int]
    service_names: list[str]
    booking_id: int | None
    booking_status: str | None
    booking_starts_at: dt.datetime | None
    held_until: dt.datetime | None
    held_by: str | None

    @property
    def days(self) -> tuple[int, ...]:
        """The days of the week that suit, Monday being 0."""
        return tuple(day for day in range(7) if self.weekdays >> day & 1)

    @property
    def state(self) -> str:
        """``waiting``, ``held``, ``booked``, ``withdrawn``, or ``lapsed`` when its last date has passed."""
        if self.status != "waiting":
            return self.status
        if self.held_until is not None:
            return "held"
        return "lapsed" if self.last_on < clock.today(self.timezone) else "waiting"

    @property
    def can_put_back(self) -> bool:
        """Whether it can wait again: it was withdrawn, or its visit did not take place."""
        return self.status == "withdrawn" or (self.status == "booked" and self.booking_id is None)


def list_open(branch_id: int, *, ids: Collection[int] | None = None) -> list[Entry]:
    """Who waits in a branch, or has a place held at this moment, the longest first; of them those of ``ids`` if given.

    Who waits for dates that are over is not among them. One statement.
    """
    today = clock.today(db.session.get_one(Branch, branch_id).timezone)
    which = [WaitlistEntry.status == "waiting", or_(WaitlistEntry.last_on >= today, Booking.id.is_not(None))]
    if ids is not None:
        which.append(WaitlistEntry.id.in_(ids))
    return _list(WaitlistEntry.branch_id == branch_id, *which, newest_first=False)


def list_closed(branch_id: int, *, limit: int = 30) -> list[Entry]:
    """Those who were booked or withdrawn, or whose dates are over, the newest first. One statement."""
    today = clock.today(db.session.get_one(Branch, branch_id).timezone)
    over = and_(WaitlistEntry.last_on < today, Booking.id.is_(None))
    which = or_(WaitlistEntry.status != "waiting", over)
    return _list(WaitlistEntry.branch_id == branch_id, which, newest_first=True, limit=limit)


def list_of_customer(customer_id: int, *, branch_ids: Iterable[int]) -> list[Entry]:
    """What a customer waits for in these branches, the longest first. One statement."""
    which = (WaitlistEntry.customer_id == customer_id, WaitlistEntry.branch_id.in_(list(branch_ids)))
    return _list(*which, WaitlistEntry.status == "waiting", newest_first=False)


def get_entry(entry_id: int, *, branch_ids: Iterable[int]) -> Entry | None:
    """One entry, or None where there is none in ``branch_ids``. One statement."""
    found = _list(
        WaitlistEntry.id == entry_id, WaitlistEntry.branch_id.in_(list(branch_ids)), newest_first=False, limit=1
    )
    return found[0] if found else None


def _list(*which: ColumnElement[bool], newest_first: bool, limit: int = MOST) -> list[Entry]:
    holder, maker = aliased(User), aliased(User)
    own = (WaitlistService.entry_id == WaitlistEntry.id,)
    services: list[Any] = [
        select(func.array_agg(aggregate_order_by(column, WaitlistService.position)))
        .select_from(WaitlistService)
        .join(Service, Service.id == WaitlistService.service_id)
        .where(*own)
        .correlate(WaitlistEntry)
        .scalar_subquery()
        for column in (WaitlistService.service_id, Service.name)
    ]
    # The place that is held, or the visit that stands: uq_bookings_live_waitlist_entry allows one.
    place = and_(
        Booking.waitlist_entry_id == WaitlistEntry.id,
        Booking.status.not_in(("cancelled", "no_show")),
        Booking.is_shown(clock.now()),
    )
    order = WaitlistEntry.created_at.desc() if newest_first else WaitlistEntry.created_at.asc()
    columns: tuple[Any, ...] = (
        WaitlistEntry.id,
        WaitlistEntry.branch_id,
        Branch.name,
        Branch.timezone,
        WaitlistEntry.customer_id,
        Customer.full_name,
        Customer.phone,
        Customer.allergies,
        WaitlistEntry.staff_id,
        Staff.full_name,
        WaitlistEntry.first_on,
        WaitlistEntry.last_on,
        WaitlistEntry.weekdays,
        WaitlistEntry.from_time,
        WaitlistEntry.until_time,
        WaitlistEntry.note,
        WaitlistEntry.status,
        WaitlistEntry.withdraw_reason,
        WaitlistEntry.version,
        WaitlistEntry.created_at,
        maker.full_name,
        *services,
        Booking.id,
        Booking.status,
        Booking.starts_at,
        Booking.held_until,
        holder.full_name,
    )
    rows = db.session.execute(
        select(*columns)
        .select_from(WaitlistEntry)
        .join(Branch, Branch.id == WaitlistEntry.branch_id)
        .join(Customer, Customer.id == WaitlistEntry.customer_id)
        .outerjoin(Staff, Staff.id == WaitlistEntry.staff_id)
        .outerjoin(maker, maker.id == WaitlistEntry.created_by_id)
        .outerjoin(Booking, place)
        .outerjoin(holder, holder.id == Booking.held_by_id)
        .where(*which)
        .order_by(order, WaitlistEntry.id)
        .limit(limit)
    )
    return [Entry(*row) for row in rows]
