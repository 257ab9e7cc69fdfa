"""Stretches of a day in a form: as many rows of two times as there are, and an empty one to add to."""

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from flask_babel import gettext
from wtforms import Field

from spa_app.errors import N_

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(:00)?", re.ASCII)
MOST_ROWS = 12
LEAST_ROWS = 2

HALF = N_("Give both times, or neither.")
NOT_A_TIME = N_("Not a valid time value.")


class PeriodsField(Field):
    """Periods of a day, posted as ``<name>-from`` and ``<name>-to``, each as often as there are rows.

    ``data`` is a list of (begins, ends); rows left empty are no period.
    """

    data: Any

    def process(self, formdata: Any, data: Any = None, extra_filters: Any = None) -> None:  # noqa: ARG002
        """Read the rows that the form has, else show ``data``."""
        self.process_errors = []
        self.errors: Any = []
        self.data = list(data or ())
        self.typed: list[tuple[str, str]] = []
        if formdata is None or f"{self.name}-from" not in formdata:
            if formdata:
                self.data = []
            return
        begins = formdata.getlist(f"{self.name}-from")[:MOST_ROWS]
        ends = formdata.getlist(f"{self.name}-to")[:MOST_ROWS]
        ends += [""] * (len(begins) - len(ends))
        self.typed = [(one.strip()[:8], other.strip()[:8]) for one, other in zip(begins, ends, strict=False)]
        try:
            self.data = [period for row in self.typed if (period := _read(*row))]
        except ValueError as error:
            self.data = []
            self.process_errors.append(gettext(str(error)))

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What the rows show: as typed, else the periods; and one to fill in."""
        shown = [row for row in self.typed if any(row)]
        shown = shown or [(f"{begins:%H:%M}", f"{ends:%H:%M}") for begins, ends in self.data]
        return shown + [("", "")] * max(1, LEAST_ROWS - len(shown))


def short(periods: Sequence[tuple[dt.time, dt.time]]) -> list[str]:
    """Periods as a roster shows them: ``08–15``, ``08:30–12``."""
    return [f"{_brief(begins)}–{_brief(ends)}" for begins, ends in periods]


def _brief(time: dt.time) -> str:
    return f"{time:%H:%M}" if time.minute else f"{time:%H}"


def _read(begins: str, ends: str) -> tuple[dt.time, dt.time] | None:
    if not begins and not ends:
        return None
    if not begins or not ends:
        raise ValueError(HALF)
    found = _TIME.fullmatch(begins), _TIME.fullmatch(ends)
    if not all(found):
        raise ValueError(NOT_A_TIME)
    first, last = (dt.time(int(one[1]), int(one[2])) for one in found if one)
    return first, last
