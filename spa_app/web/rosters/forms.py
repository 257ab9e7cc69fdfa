"""The forms of the roster: a cell, the copy of a week, and leave."""

import datetime as dt
import re
from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, SelectField, StringField, TimeField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, Optional

from spa_app.errors import N_, InvalidError
from spa_app.queries.rosters import LEAVE, Week
from spa_app.services.blocks import REASON_LENGTH
from spa_app.services.rosters import Cell
from spa_app.web.blocks.forms import KINDS
from spa_app.web.bookings.forms import IdField, LocalDateField
from spa_app.web.forms import Form
from spa_app.web.periods import PeriodsField

_CELL = re.compile(r"(\d{1,18}):([0-6]):([0-9a-f]{16})", re.ASCII)


class CellForm(Form):
    """The shifts of one therapist on one day."""

    periods = PeriodsField(_l("Shifts"))


class CopyForm(Form):
    """Which week to copy. Any of its days will do."""

    source = LocalDateField(_l("Copy from the week of"), [InputRequired()])
    only_empty = BooleanField(_l("Keep what already stands here"))


class LeaveForm(Form):
    """Who is away, from when to when: whole days, or from a time on the first to a time on the last."""

    staff_id = IdField(_l("Therapist"), [InputRequired()])
    kind = SelectField(_l("Kind"), choices=[SelectChoice(kind, KINDS[kind]) for kind in LEAVE])
    first = LocalDateField(_l("First day"), [InputRequired()], name="first")
    last = LocalDateField(_l("Last day"), [InputRequired()], name="last")
    begins = TimeField(_l("From"), [Optional()])
    ends = TimeField(_l("To"), [Optional()])
    reason = StringField(_l("Reason"), [Length(max=REASON_LENGTH)], render_kw={"autocomplete": "off"})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind.flags.unmarked = True  # there is always one


def read_cell(text: str) -> Cell:
    """A cell as its checkbox carries it: therapist, weekday, and the stamp of what stood there."""
    found = _CELL.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise InvalidError("no_cells", N_("Choose at least one day of a therapist."), field="cells")
    return Cell(int(found[1]), int(found[2]), found[3])


def cell_value(week: Week, staff_id: int, weekday: int) -> str:
    """What the checkbox of a cell carries."""
    return f"{staff_id}:{weekday}:{week.cell_stamp(staff_id, weekday)}"


def monday_of(date: dt.date) -> dt.date:
    """The Monday of a date's week."""
    return date - dt.timedelta(days=date.weekday())
