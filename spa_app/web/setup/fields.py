"""Fields that several pages of the set-up share."""

from decimal import Decimal
from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, SelectMultipleField
from wtforms.widgets import CheckboxInput, ListWidget

from spa_app.web.bookings.forms import parse_id

DESPITE_LABEL = _l("Yes, although visits are booked: they stay, and I see to them")


def checks(label: Any) -> Any:
    """A choice of several by id, as checkboxes."""
    return SelectMultipleField(
        label,
        coerce=_id,
        choices=[],
        validate_choice=False,
        option_widget=CheckboxInput(),
        widget=ListWidget(prefix_label=False),
    )


def despite() -> Any:
    """The checkbox that appears when visits are in the way."""
    return BooleanField(DESPITE_LABEL)


def percent(basis_points: int | None) -> Decimal | None:
    """A share as its field shows it: 850 as 8.5."""
    return None if basis_points is None else Decimal(basis_points) / 100


def _id(value: Any) -> int:
    return value if isinstance(value, int) else parse_id(str(value)) or 0
