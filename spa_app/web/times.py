"""Local times of a branch, as forms carry them: ``YYYY-MM-DDTHH:MM`` and ``YYYY-MM-DD``."""

import datetime as dt
import re
from zoneinfo import ZoneInfo

from spa_app.errors import N_

_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
# What lies outside is a slip of the keyboard, and would overflow when days are added or zones changed.
YEARS = range(1970, 2200)
STEP = dt.timedelta(minutes=15)

NOT_A_MOMENT = N_("Not a valid date and time.")
NOT_A_DATE = N_("Not a valid date value.")
SKIPPED = N_("The clocks skip this time on that day. Choose an earlier or a later one.")


def parse_local(text: str, timezone: str) -> dt.datetime:
    """The instant, in UTC, that ``text`` names by the clocks of ``timezone``; the first one where they show it twice.

    Raises ``ValueError`` with a msgid for anything but ``YYYY-MM-DDTHH:MM``, and for a time that the clocks skip.
    """
    found = _MOMENT.fullmatch(text.strip())
    if found is None or int(found[1]) not in YEARS:
        raise ValueError(NOT_A_MOMENT)
    try:
        local = dt.datetime(*(int(part) for part in found.groups()), tzinfo=ZoneInfo(timezone))  # type: ignore[arg-type, misc]
    except ValueError as error:
        raise ValueError(NOT_A_MOMENT) from error
    instant = local.astimezone(dt.UTC)
    if instant.astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise ValueError(SKIPPED)
    return instant


def parse_date(text: str) -> dt.date:
    """The date that ``text`` names. Raises ``ValueError`` with a msgid for anything but ``YYYY-MM-DD``."""
    found = _DATE.fullmatch(text.strip())
    if found is None or int(found[1]) not in YEARS:
        raise ValueError(NOT_A_DATE)
    try:
        return dt.date(*(int(part) for part in found.groups()))
    except ValueError as error:
        raise ValueError(NOT_A_DATE) from error


def format_local(instant: dt.datetime, timezone: str) -> str:
    """``YYYY-MM-DDTHH:MM`` by the clocks of ``timezone``."""
    return instant.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%dT%H:%M")


def next_quarter(now: dt.datetime) -> dt.datetime:
    """The quarter of an hour that begins at ``now`` or next after it (zones differ by whole quarters)."""
    rest = (now - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) % STEP
    return now + (STEP - rest if rest else rest)
