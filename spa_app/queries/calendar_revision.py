"""A digest of what a day or a week of the calendar shows: the same digest, the same page."""

import datetime as dt
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    Select,
    SmallInteger,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    BlockedTime,
    Booking,
    BookingItem,
    BranchException,
    BranchHours,
    Customer,
    CustomerTreatment,
    Invoice,
    Resource,
    RosterWeek,
    Staff,
    StaffShift,
)
from spa_app.queries.roster import week_of
from spa_app.queries.snapshot import SNAPSHOT


def get_revision(
    branch_id: int,
    date: dt.date,
    *,
    timezone: str,
    days: int = 1,
    only_staff_id: int | None = None,
    snapshot: str | None = None,
) -> str:
    """A digest of all that the day shows, in one statement at most: the price of a poll that finds nothing new.

    ``days``: of so many days from ``date`` on, which lie in one week; ``only_staff_id``: of that therapist's visits.

    ``snapshot`` is what the caller could see of the database just now (:attr:`SignedIn.snapshot`). If this process has
    computed the digest in that very state, nothing was committed since and it still holds, without asking, until the
    first place that the day shows as held is free again: that takes no more than time.

    ``bookings.version`` stands for the visit, its items and their places. Whether a visit is the customer's first is
    not in it: that can only change through another day.
    """
    key = (branch_id, date, timezone, days, only_staff_id)
    now = clock.now()
    known = _revisions.get(key)
    if snapshot is not None and known is not None and known[0] == snapshot and now < known[2]:
        return known[1]
    last = date + dt.timedelta(days=days - 1)
    values = {
        "branch_id": branch_id,
        "begins_at": clock.day_bounds(date, timezone)[0],
        "ends_at": clock.day_bounds(last, timezone)[1],
        "weekday": date.weekday(),
        "last_weekday": last.weekday(),
        "date": date,
        "last_date": last,
        "staff_id": only_staff_id,
        "now": now,
        **week_of(date),
    }
    revision, seen, holds_until = db.session.execute(_revision_query(only_staff_id is not None), values).one()
    if len(_revisions) >= MOST_REVISIONS:
        _revisions.clear()
    _revisions[key] = (seen, revision, holds_until or NEVER)
    return str(revision)


def changes_by_time(
    branch_id: int, date: dt.date, *, timezone: str, days: int = 1, only_staff_id: int | None = None
) -> bool:
    """Whether that whose revision was just asked for shows a held place, which is free again without any commit."""
    known = _revisions.get((branch_id, date, timezone, days, only_staff_id))
    return known is not None and known[2] != NEVER


# What it is of → (snapshot in which it was computed, revision, when time alone makes another of it)
_revisions: dict[tuple[int, dt.date, str, int, int | None], tuple[str, str, dt.datetime]] = {}
NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)
MOST_REVISIONS = 500

# The queries are built once: on a page of a few milliseconds, building them anew would be a third of it.
BRANCH = bindparam("branch_id", type_=BigInteger)
WEEKDAY, LAST_WEEKDAY = (bindparam(name, type_=SmallInteger) for name in ("weekday", "last_weekday"))
STAFF = bindparam("staff_id", type_=BigInteger)
_BEGINS_AT, _ENDS_AT, NOW = (bindparam(name, type_=DateTime(timezone=True)) for name in ("begins_at", "ends_at", "now"))


def starts_between() -> ColumnElement[bool]:
    """Whether a visit of ``branch_id`` begins from ``begins_at`` on and before ``ends_at``."""
    return and_(Booking.branch_id == BRANCH, Booking.starts_at >= _BEGINS_AT, Booking.starts_at < _ENDS_AT)


def live_invoice() -> Any:
    # The condition of uq_invoices_live_booking: at most one, and found by that index.
    return and_(
        Invoice.booking_id == Booking.id,
        Invoice.kind == "invoice",
        Invoice.status != "void",
        not_(Invoice.is_credited),
    )


@cache
def _revision_query(only_one: bool) -> Select[Any]:
    shown = (
        select(
            func.concat_ws(
                " ",
                Booking.id,
                Booking.version,
                Booking.status,
                Invoice.status,
                func.hashtext(Customer.full_name + "|" + Customer.allergies),
                CustomerTreatment.used_sessions,
                CustomerTreatment.held_sessions,
                CustomerTreatment.expired_sessions,
                CustomerTreatment.total_sessions,
                Booking.held_until > NOW,
            ).label("said"),
            BookingItem.id,
            case((Booking.held_until > NOW, Booking.held_until)).label("held_until"),
        )
        .select_from(Booking)
        .join(BookingItem, and_(BookingItem.booking_id == Booking.id, BookingItem.cancelled_at.is_(None)))
        .join(Customer, Customer.id == Booking.customer_id)
        .outerjoin(CustomerTreatment, CustomerTreatment.id == BookingItem.treatment_id)
        .outerjoin(Invoice, live_invoice())
        .where(starts_between())
    )
    day = (shown.where(BookingItem.staff_id == STAFF) if only_one else shown).subquery()
    frame = [
        select(func.sum(func.hashtext(func.concat_ws(" ", *columns)))).where(condition).scalar_subquery()
        for columns, condition in (
            ((Staff.id, Staff.full_name, Staff.position, Staff.is_active), Staff.branch_id == BRANCH),
            ((Resource.id, Resource.name, Resource.position, Resource.is_active), Resource.branch_id == BRANCH),
            (
                (BranchHours.weekday, BranchHours.opens_at, BranchHours.closes_at),
                and_(BranchHours.branch_id == BRANCH, BranchHours.weekday.between(WEEKDAY, LAST_WEEKDAY)),
            ),
            (
                (
                    BranchException.happens_on,
                    BranchException.opens_at,
                    BranchException.closes_at,
                    BranchException.reason,
                ),
                and_(
                    BranchException.branch_id == BRANCH,
                    BranchException.happens_on.between(
                        bindparam("date", type_=Date), bindparam("last_date", type_=Date)
                    ),
                ),
            ),
            (
                (StaffShift.staff_id, StaffShift.works_on, StaffShift.starts_at, StaffShift.ends_at),
                and_(
                    StaffShift.staff_id.in_(select(Staff.id).where(Staff.branch_id == BRANCH)),
                    StaffShift.works_on.between(bindparam("monday", type_=Date), bindparam("sunday", type_=Date)),
                ),
            ),
            (
                (RosterWeek.published_at,),
                and_(RosterWeek.branch_id == BRANCH, RosterWeek.monday == bindparam("monday", type_=Date)),
            ),
            (
                # A blocked time never changes: it is there, or it is not.
                (BlockedTime.id,),
                and_(
                    or_(
                        BlockedTime.staff_id.in_(select(Staff.id).where(Staff.branch_id == BRANCH)),
                        BlockedTime.resource_id.in_(select(Resource.id).where(Resource.branch_id == BRANCH)),
                    ),
                    BlockedTime.starts_at < _ENDS_AT,
                    BlockedTime.ends_at > _BEGINS_AT,
                ),
            ),
        )
    ]
    visits = select(func.string_agg(day.c.said, aggregate_order_by(literal(";"), day.c.id))).scalar_subquery()
    return select(
        func.md5(func.concat_ws("|", *frame, visits)),
        literal_column(SNAPSHOT),
        select(func.min(day.c.held_until)).scalar_subquery(),
    )
