"""The period of a report."""

import datetime as dt
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import DateField
from wtforms.validators import InputRequired

from spa_app.web.forms import Form

DEFAULT_DAYS = 14
LONGEST_DAYS = 366
EARLIEST, LATEST = dt.date(2000, 1, 1), dt.date(2199, 12, 31)


class PeriodForm(Form):
    """``from`` and ``to``, both part of the report; the last two weeks, or since ``first``, where neither is given."""

    first = DateField(_l("From"), [InputRequired()], name="from")
    last = DateField(_l("To"), [InputRequired()], name="to")

    def __init__(self, today: dt.date, first: dt.date | None = None) -> None:
        given = request.args if request.args.get("from") or request.args.get("to") else None
        first = first or today - dt.timedelta(days=DEFAULT_DAYS - 1)
        super().__init__(formdata=given, first=first, last=today)
        self.is_given = given is not None

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Whether the period is one that can be reported; the fields say what is wrong."""
        if not self.is_given:
            return True
        if not super().validate(*args, **kwargs):
            return False
        first, last = self.first.data, self.last.data
        if first < EARLIEST:
            self.first.errors = [_("Choose a date from %(year)s on.", year=EARLIEST.year)]
        elif last > LATEST:
            self.last.errors = [_("Choose a date before %(year)s.", year=LATEST.year + 1)]
        elif last < first:
            self.last.errors = [_("The end lies before the beginning.")]
        elif (last - first).days >= LONGEST_DAYS:
            self.last.errors = [_("A report covers up to %(days)s days.", days=LONGEST_DAYS)]
        return not (self.first.errors or self.last.errors)
