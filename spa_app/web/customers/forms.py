"""The form of a customer's details."""

from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, DateField, EmailField, StringField, TelField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from spa_app.services.customers import EMAIL_LENGTH, NAME_LENGTH, NOTE_LENGTH
from spa_app.web.bookings.forms import IdField
from spa_app.web.forms import Form


class CustomerForm(Form):
    """Who a customer is. ``shares_phone`` answers the question that a taken number leads to."""

    full_name = StringField(
        _l("Name"), [InputRequired(), Length(max=NAME_LENGTH)], render_kw={"autocomplete": "off", "spellcheck": "false"}
    )
    phone = TelField(_l("Phone"), [Length(max=40)], render_kw={"autocomplete": "off", "placeholder": "0912 345 678"})
    shares_phone = BooleanField(_l("They share this phone"))
    email = EmailField(_l("E-mail"), [Length(max=EMAIL_LENGTH)], render_kw={"autocomplete": "off"})
    birth_date = DateField(_l("Date of birth"), [Optional()])
    allergies = TextAreaField(_l("Allergies"), [Length(max=NOTE_LENGTH)], render_kw={"rows": 2})
    preferred_staff_id = IdField(_l("Preferred therapist"), [Optional()])
    note = TextAreaField(_l("Note"), [Length(max=NOTE_LENGTH)], render_kw={"rows": 3})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.phone_taken_by: tuple[int, str] | None = None  # id and name: who has the number, where that is why

    def details(self) -> dict[str, Any]:
        """What was typed, as the services take it."""
        return {
            "full_name": self.full_name.data or "",
            "phone": self.phone.data,
            "shares_phone": self.shares_phone.data,
            "email": self.email.data,
            "birth_date": self.birth_date.data,
            "allergies": self.allergies.data or "",
            "note": self.note.data or "",
            "preferred_staff_id": self.preferred_staff_id.data,
        }
