"""The form that marks an absence and gives its visits to others."""

import re

from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from spa_app.errors import N_, InvalidError
from spa_app.models import RESOURCE_KINDS, STAFF_KINDS
from spa_app.services.blocks import REASON_LENGTH
from spa_app.services.bookings import Substitution
from spa_app.services.bookings.affected import MOST_LISTED
from spa_app.web.blocks.forms import KINDS
from spa_app.web.bookings.forms import HiddenIdField, LocalField, parse_id
from spa_app.web.forms import Form

ILL_FIRST = sorted(STAFF_KINDS, key=lambda one: one != "sick")
_CHOICE = re.compile(r"item-(\d{1,19})", re.ASCII)


class StretchForm(Form):
    """Who is absent, or which room is closed, and from when to when."""

    staff_id = HiddenIdField(id="stretch-staff_id")
    resource_id = HiddenIdField(id="stretch-resource_id")
    starts_at = LocalField(_l("From"), [InputRequired()], name="from")
    ends_at = LocalField(_l("To"), [InputRequired()], name="to")


class AffectedForm(StretchForm):
    """The same, with how it is marked in the calendar. Who takes over what is read by :func:`read_choices`."""

    mark = BooleanField(_l("Also mark it in the calendar"), default=True)
    kind = SelectField(_l("Kind"), choices=[])
    reason = StringField(_l("Reason"), [Length(max=REASON_LENGTH)], render_kw={"autocomplete": "off"})

    def offer_kinds(self, *, is_room: bool) -> None:
        """Set what an absence can be marked as; the usual first."""
        some = RESOURCE_KINDS if is_room else ILL_FIRST
        self.kind.choices = [SelectChoice(one, KINDS[one]) for one in some]
        self.kind.flags.unmarked = True  # there is always one
        self.kind.validate_choice = self.mark.data


def read_choices(values: "MultiDict[str, str]") -> list[Substitution]:
    """Who takes over which item (``item-7``), with the version of its visit (``version-7``); empty is nobody.

    Raises :class:`InvalidError` for what is no id. At most as many are read as a page lists.
    """
    chosen = []
    for name, value in values.items():
        found = _CHOICE.fullmatch(name)
        if found is None or not value.strip():
            continue
        try:
            item_id, substitute_id = parse_id(found[1]), parse_id(value)
            version = parse_id(values.get(f"version-{found[1]}", ""))
        except ValueError:
            item_id = substitute_id = version = None
        if item_id is None or substitute_id is None or version is None:
            raise InvalidError("choice_unreadable", N_("Not a valid choice."))
        chosen.append(Substitution(item_id, version, substitute_id))
    return chosen[:MOST_LISTED]
