"""Counting a drawer, moving its cash, closing and reopening a day."""

from functools import cache
from typing import Any

from flask import current_app
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, IntegerField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional
from wtforms.widgets import TextInput

from spa_app.models import DENOMINATIONS
from spa_app.services.drawers import MOST_NOTES, Count
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import AmountField

_AMOUNT = {"inputmode": "numeric", "autocomplete": "off", "maxlength": 40}
_NOTE = {"inputmode": "numeric", "autocomplete": "off", "maxlength": 6, "data-note": ""}
_REASON = {"autocomplete": "off", "maxlength": 500}
MOVES = {
    "paid_in": _l("Into the drawer, from the safe"),
    "drop": _l("Out of the drawer, into the safe"),
    "expense": _l("Out of the drawer, for a small expense"),
}


class CountFields(Form):
    """What lies in a drawer: so many of each note, and what is counted otherwise; or that nobody counted."""

    other_amount = AmountField(_l("Coins and the rest, as a sum"), render_kw={**_AMOUNT, "data-other": ""})
    uncounted = BooleanField(_l("Nobody has counted"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.other_amount.flags.unmarked = True

    @property
    def notes(self) -> list[tuple[int, Any]]:
        """Each note's worth in minor units, with its field, the largest first."""
        return [(worth, self[f"note_{worth}"]) for worth in _worths()]

    @property
    def typed(self) -> Count:
        """What was typed so far."""
        notes = {worth: field.data for worth, field in self.notes if field.data and not field.errors}
        return Count(notes, self.other_amount.data or 0)

    @property
    def count(self) -> Count | None:
        """What was counted; None where nobody did."""
        return None if self.uncounted.data else self.typed

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Whether it can be. An empty drawer is counted, too: a zero somewhere says so."""
        if not super().validate(*args, **kwargs):
            return False
        fields = [self.other_amount, *(field for _, field in self.notes)]
        if not self.uncounted.data and all(field.data is None for field in fields):
            self.form_errors = [_("Count the drawer, or say that nobody has counted. An empty drawer is a zero.")]
            return False
        return True


class CloseFields(CountFields):
    """The count at the close, and what of it stays."""

    left_amount = AmountField(_l("Stays in the drawer as the next float"), render_kw=_AMOUNT)
    reason = StringField(_l("Note"), [Length(max=500)], render_kw=_REASON)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left_amount.flags.unmarked = True


class MoveForm(Form):
    """Cash paid in or out."""

    kind = RadioField(_l("Where to"), [InputRequired()], choices=[SelectChoice(*one) for one in MOVES.items()])
    amount = AmountField(_l("Amount"), [InputRequired()], render_kw=_AMOUNT)
    reason = StringField(
        _l("Reason"), [InputRequired(_l("Say why, in a few words.")), Length(max=500)], render_kw=_REASON
    )


class ReasonForm(Form):
    """Why a count differs, or why a day is reopened."""

    reason = StringField(
        _l("Reason"), [InputRequired(_l("Say why, in a few words.")), Length(max=500)], render_kw=_REASON
    )


class CloseDayForm(Form):
    """Closing a day; the date and the branch stand beside it."""

    uncounted = BooleanField(_l("Close the drawers that are still open as not counted"))


def opening_form(**kwargs: Any) -> Any:
    """The form of the float at the opening, with a field for each note of the installation's currency."""
    return _with_notes(CountFields, _worths())(**kwargs)


def closing_form(**kwargs: Any) -> Any:
    """The form of the count at the close."""
    return _with_notes(CloseFields, _worths())(**kwargs)


def _worths() -> tuple[int, ...]:
    return DENOMINATIONS.get(current_app.config["SETTINGS"].currency, ())


@cache
def _with_notes(form: type[CountFields], worths: tuple[int, ...]) -> type[CountFields]:
    fields = {
        # Plain text: a wheel that turns over the field must not change what was counted.
        f"note_{worth}": IntegerField("", [Optional(), NumberRange(0, MOST_NOTES)], widget=TextInput(), render_kw=_NOTE)
        for worth in worths
    }
    return type(form.__name__, (form,), fields)
