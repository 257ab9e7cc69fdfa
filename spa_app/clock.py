"""The only place that reads the clock. Instants are aware and in UTC; dates belong to a branch's time zone."""

import calendar
import datetime as dt
from zoneinfo import ZoneInfo


def now() -> dt.datetime:
    """The present instant, in UTC."""
    return dt.datetime.now(dt.UTC)


def today(timezone: str) -> dt.date:
    """The present date in a time zone such as ``Asia/Ho_Chi_Minh``."""
    return local_date(now(), timezone)


def local_date(instant: dt.datetime, timezone: str) -> dt.date:
    """The date that the wall calendar of ``timezone`` shows at ``instant``."""
    return instant.astimezone(ZoneInfo(timezone)).date()


def at_local(date: dt.date, time: dt.time, timezone: str) -> dt.datetime:
    """The instant, in UTC, at which the clocks of ``timezone`` show ``date`` and ``time``."""
    return dt.datetime.combine(date, time, ZoneInfo(timezone)).astimezone(dt.UTC)


def add_months(date: dt.date, months: int) -> dt.date:
    """The same day of a later month, or its last day where that month is too short (31 January + 1 month)."""
    year, month = divmod(date.year * 12 + date.month - 1 + months, 12)
    return date.replace(year=year, month=month + 1, day=min(date.day, calendar.monthrange(year, month + 1)[1]))


def day_bounds(date: dt.date, timezone: str) -> tuple[dt.datetime, dt.datetime]:
    """The instants at which a local day begins and ends (23, 24 or 25 hours apart)."""
    start = at_local(date, dt.time(), timezone)
    return start, at_local(date + dt.timedelta(days=1), dt.time(), timezone)
