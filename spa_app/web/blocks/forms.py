"""The short form that blocks time."""

import re
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from spa_app.services.blocks import REASON_LENGTH
from spa_app.web.bookings.forms import LocalField, parse_id
from spa_app.web.forms import Form

KINDS = {
    "blocked": _l("Blocked"),
    "break": _l("Break"),
    "leave": _l("Leave"),
    "sick": _l("Sick"),
    "closed": _l("Closed"),
    "maintenance": _l("Maintenance"),
}
_WHAT = re.compile(r"(staff|room)-(\d{1,19})", re.ASCII)


class BlockForm(Form):
    """Whose time, from when to when, and why. ``what`` is ``staff-3`` or ``room-5``."""

    what = SelectField(_l("Therapist or room"), [InputRequired()], validate_choice=False, choices=[])
    kind = SelectField(_l("Kind"), default="blocked", choices=[SelectChoice(*one) for one in KINDS.items()])
    starts_at = LocalField(_l("From"), [InputRequired()])
    ends_at = LocalField(_l("To"), [InputRequired()])
    reason = StringField(_l("Reason"), [Length(max=REASON_LENGTH)], render_kw={"autocomplete": "off"})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind.flags.unmarked = True  # there is always one

    def offer(self, staff: Any, rooms: Any) -> None:
        """Set what can be blocked, therapists first."""
        self.what.choices = [
            SelectChoice(f"{kind}-{one}", name, optgroup=group)
            for kind, group, some in (("staff", _("Therapists"), staff), ("room", _("Rooms and equipment"), rooms))
            for one, name in some
        ]

    def thing(self) -> dict[str, int | None]:
        """What is to be blocked, as the service takes it; nothing for what cannot be read."""
        found = _WHAT.fullmatch(self.what.data or "")
        try:
            one = parse_id(found[2]) if found else None
        except ValueError:
            one = None
        if found is None or one is None:
            return {}
        return {"staff_id" if found[1] == "staff" else "resource_id": one}
