"""Whose birthday it is: this week, or in a month."""

import calendar
import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Integer, cast, extract, func, select

from spa_app.extensions import db
from spa_app.models import Customer

SOON = 7  # days
MOST = 100
LEAP_DAY = 229
# As ix_customers_birthday has it: 305 is the fifth of March.
_DAY = cast(extract("month", Customer.birth_date) * 100 + extract("day", Customer.birth_date), Integer)


@dataclass(frozen=True)
class Birthday:
    """A customer and when their birthday is, in the year that is looked at."""

    customer_id: int
    full_name: str
    phone: str | None
    falls_on: dt.date


def days_to_birthday(birth_date: dt.date | None, today: dt.date) -> int | None:
    """Days to the next birthday if they are few. Who was born on 29 February has theirs on 1 March in other years."""
    if birth_date is None:
        return None
    for year in (today.year, today.year + 1):
        days = (_birthday(birth_date.month, birth_date.day, year) - today).days
        if 0 <= days <= SOON:
            return days
    return None


def list_birthdays_soon(today: dt.date) -> list[Birthday]:
    """Who has their birthday today or in the days after it, in this order; :data:`MOST` at most."""
    return _list([today + dt.timedelta(days=day) for day in range(SOON)])


def list_birthdays_in(month: int, year: int) -> list[Birthday]:
    """Whose birthday falls in a month, in the order of the days; :data:`MOST` at most."""
    return _list([dt.date(year, month, day + 1) for day in range(calendar.monthrange(year, month)[1])])


def _list(dates: list[dt.date]) -> list[Birthday]:
    falls_on = {date.month * 100 + date.day: date for date in dates}
    for date in dates:
        if (date.month, date.day) == (3, 1) and not calendar.isleap(date.year):
            falls_on[LEAP_DAY] = date
    order = sorted(falls_on, key=lambda day: (falls_on[day], day))
    rows = db.session.execute(
        select(Customer.id, Customer.full_name, Customer.phone, _DAY.label("day"))
        .where(
            Customer.birth_date.is_not(None),
            _DAY.in_(order),
            Customer.merged_into_id.is_(None),
            Customer.anonymised_at.is_(None),
        )
        .order_by(func.array_position(order, _DAY), Customer.full_name, Customer.id)
        .limit(MOST)
    )
    return [Birthday(row.id, row.full_name, row.phone, falls_on[row.day]) for row in rows]


def _birthday(month: int, day: int, year: int) -> dt.date:
    is_leap_day = month * 100 + day == LEAP_DAY
    return dt.date(year, 3, 1) if is_leap_day and not calendar.isleap(year) else dt.date(year, month, day)
