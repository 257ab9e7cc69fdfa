"""The week of one therapist as its template wants it: seven days of the day grid beside one another."""

import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

from flask_babel import format_date
from flask_babel import gettext as _

from spa_app import clock
from spa_app.queries.calendar import Day
from spa_app.queries.week import Week
from spa_app.web.calendar.layout import ROW
from spa_app.web.calendar.present import GridView, Heading, column_view, hours_of, spans_of, viewer
from spa_app.web.calendar.week_layout import WHOLE_DAY, week_frames

HOUR = dt.timedelta(hours=1)


def week_view(
    week: Week, *, now: dt.datetime, can_book: bool, extra: dict[str, str], day_url: Callable[[dt.date], str]
) -> GridView | None:
    """Lay the week out, as ``grid_view`` does a day; None where there is nobody whose week it is.

    ``day_url`` is the address of a day.
    """
    if not week.days:
        return None
    zone = ZoneInfo(week.days[0].timezone)
    today = clock.local_date(now, zone.key)
    bounds = [(day.begins_at, day.ends_at) for day in week.days]
    frames = week_frames(bounds, [spans_of(day) for day in week.days], zone)
    columns = []
    for day, reason, frame in zip(week.days, week.reasons, frames, strict=True):
        heading = _heading(day, reason, url=day_url(day.date), is_today=day.date == today)
        view_of = viewer(day, frame, zone, date=heading.name)
        columns.append(
            column_view(day, day.columns[0], heading, frame, view_of, now=now, can_book=can_book, extra=extra)
        )
    # The hours of the day that misses none of them.
    axis = min(frames, key=lambda frame: len(frame.missing))
    now_row = next((column.now_row for column in columns if column.now_row is not None), None)
    return GridView(
        label=_("Visits of the week"),
        starts_at=axis.starts_at if now_row is None else now - now_row * ROW,
        rows=axis.rows,
        hours=hours_of(axis, zone),
        columns=tuple(columns),
        now_row=now_row,
    )


def _heading(day: Day, reason: str, *, url: str, is_today: bool) -> Heading:
    hours = day.ends_at - day.begins_at
    notes = [_("Closed")] if not day.open_periods else []
    notes += [reason] if reason else []
    notes += [_("%(num)s hours: the clocks change", num=hours // HOUR)] if hours != WHOLE_DAY else []
    date = format_date(day.date, "EEEE d MMMM")
    return Heading(
        key=day.date.isoformat(),
        name=format_date(day.date, "EEE d MMM"),
        lead=" · ".join([format_date(day.date, "EEE"), *notes]),
        tail=format_date(day.date, "d MMM"),
        title=": ".join([date, ", ".join(notes)]) if notes else date,
        url=url,
        is_today=is_today,
    )
