"""Template filters: money, dates and phone numbers in the reader's language and the branch's time zone."""

import datetime as dt

from babel import Locale
from flask import Flask, current_app
from flask_babel import format_date, format_time, gettext, to_user_timezone

from spa_app import money as amounts
from spa_app.errors import Word
from spa_app.papers import format_phone
from spa_app.web.i18n import current_locale


def init_app(app: Flask) -> None:
    """Register the filters."""
    app.jinja_env.filters.update(
        money=money,
        date=date,
        time=time,
        datetime=datetime,
        phone=format_phone,
        local_input=local_input,
        minutes=minutes,
        valid_to=valid_to,
        weekday=weekday,
    )


def money(amount: int) -> str:
    """Minor units as ``1.500.000 ₫``."""
    return amounts.format_money(amount, current_app.config["SETTINGS"].currency, current_locale())


def date(value: dt.date | None, pattern: str = "medium") -> str:
    """A date, or an instant's local date. ``pattern``: short, medium, long, full, or CLDR letters. None is empty.

    Letters that are a CLDR skeleton (``MMMEd``, ``yMMMEd``, ``MMMd``, ``yMMM``) are put into the language's own order.
    """
    if value is None:
        return ""
    locale = Locale.parse(current_locale())
    if pattern in locale.datetime_skeletons:
        pattern = locale.datetime_skeletons[pattern].pattern
    return format_date(value, pattern, rebase=isinstance(value, dt.datetime))


def time(value: dt.datetime | dt.time | None) -> str:
    """An instant, or a time of day, as the clocks of the branch show it: ``14:30``."""
    return "" if value is None else format_time(value, "HH:mm", rebase=isinstance(value, dt.datetime))


def datetime(value: dt.datetime | None, pattern: str = "medium") -> str:
    """An instant as local date and time (24 hours, no seconds)."""
    return "" if value is None else f"{date(value, pattern)}, {time(value)}"


def local_input(value: dt.datetime | None) -> str:
    """An instant as ``YYYY-MM-DDTHH:MM`` of the branch, the value of a ``datetime-local`` field."""
    return "" if value is None else to_user_timezone(value).strftime("%Y-%m-%dT%H:%M")


def valid_to(expiry_date: dt.date | None) -> str:
    """Until when a card is valid; None: its validity has not begun yet."""
    if expiry_date is None:
        return gettext("valid from the first visit on")
    return gettext("valid to %(date)s", date=date(expiry_date))


def weekday(day: int) -> str:
    """The short name of a day of the week, Monday being 0."""
    return str(Locale.parse(current_locale()).days["stand-alone"]["abbreviated"][day])


def minutes(count: int) -> str:
    """A length of time, as a price list has it: ``90`` as ``90 min``."""
    return gettext("%(num)s min", num=count)


def say(value: object) -> object:
    """A parameter of a message as its reader wants it: dates, instants, money and words; the rest stays as it is."""
    if isinstance(value, amounts.Money):
        return money(value.amount)
    if isinstance(value, dt.datetime):
        return datetime(value)
    if isinstance(value, dt.date):
        return date(value)
    if isinstance(value, dt.time):
        return time(value)
    if isinstance(value, Word):
        return gettext(value.msgid)
    return "–" if value is None else value
