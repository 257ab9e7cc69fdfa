"""The forms of the waitlist."""

import datetime as dt
from typing import Any

from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, Field, FieldList, IntegerField, SelectMultipleField, StringField, TextAreaField
from wtforms import TimeField as PlainTimeField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import CheckboxInput, HiddenInput, ListWidget

from spa_app.queries.booking_form import Choices
from spa_app.queries.waitlist import Entry
from spa_app.services.texts import REASON_LENGTH
from spa_app.services.waitlist import MOST_SERVICES, NOTE_LENGTH
from spa_app.web import filters
from spa_app.web.bookings.forms import (
    CHOOSE_CUSTOMER,
    HiddenIdField,
    IdField,
    LocalDateField,
    LocalField,
    UnmarkedField,
)
from spa_app.web.forms import Form

USUAL_WAIT = dt.timedelta(days=14)


class _Filled(Form):
    """A form in which a required field of nothing but blanks is missing, too."""

    def validate(self, extra_validators: Any = None) -> bool:
        """Whether everything is there and can be read."""
        valid = bool(super().validate(extra_validators))
        for field in self:
            if field.flags.required and field.data is None and not field.errors:
                field.errors = [*field.errors, _("This field is required.")]
                valid = False
        return valid


class DaysField(SelectMultipleField):
    """Days of the week; ``bits`` is how they are stored, Monday's first."""

    widget = ListWidget(prefix_label=False)
    option_widget = CheckboxInput()

    def __init__(self, label: Any = None, **kwargs: Any) -> None:
        super().__init__(label, coerce=int, choices=[SelectChoice(day, str(day)) for day in range(7)], **kwargs)

    def name_days(self) -> None:
        """Give the choices their names in the reader's language."""
        names = get_locale().days["stand-alone"]["abbreviated"]
        self.choices = [SelectChoice(day, names[day]) for day in range(7)]

    @property
    def bits(self) -> int:
        """What is chosen, a bit for each day."""
        return sum(1 << day for day in set(self.data or ()) if day in range(7))


class WishForm(_Filled):
    """What somebody waits for."""

    services = FieldList(IdField(_l("Service"), [Optional()]), min_entries=MOST_SERVICES, max_entries=MOST_SERVICES)
    staff_id = IdField(_l("Therapist"), [Optional()])
    first_on = LocalDateField(_l("From"), [InputRequired()])
    last_on = LocalDateField(_l("To"), [InputRequired()])
    weekdays = DaysField(_l("On these days"))
    from_time = PlainTimeField(_l("Not before"), [Optional()])
    until_time = PlainTimeField(_l("Over by"), [Optional()])
    note = TextAreaField(_l("Note"), [Length(max=NOTE_LENGTH)])

    @property
    def service_ids(self) -> list[int]:
        """The chosen services, in order."""
        return [entry.data for entry in self.services if entry.data is not None]

    def wish(self) -> dict[str, Any]:
        """The same as the service takes it."""
        return {
            "service_ids": self.service_ids,
            "staff_id": self.staff_id.data,
            "first_on": self.first_on.data,
            "last_on": self.last_on.data,
            "weekdays": self.weekdays.bits,
            "from_time": self.from_time.data,
            "until_time": self.until_time.data,
            "note": self.note.data or "",
        }

    def begin(self, today: dt.date) -> None:
        """Fill in what is usual where nothing is said."""
        self.first_on.data = self.first_on.data or today
        self.last_on.data = self.last_on.data or self.first_on.data + USUAL_WAIT
        if not self.weekdays.data:
            self.weekdays.data = list(range(7))

    def show(self, entry: Entry) -> None:
        """Fill in an entry as it is stored."""
        for field, service_id in zip(self.services, entry.service_ids, strict=False):
            field.data = service_id
        for name in ("staff_id", "first_on", "last_on", "from_time", "until_time", "note"):
            self._fields[name].data = getattr(entry, name)
        self.weekdays.data = list(entry.days)

    def offer(self, choices: Choices) -> None:
        """Set what can be chosen."""
        services = [(one.id, f"{one.name} · {filters.minutes(one.minutes)}") for one in choices.services]
        self.services[1].label.text, self.services[2].label.text = _("Second service"), _("Third service")
        for number, field in enumerate(self.services):
            field.offer(services, none=_("Choose a service") if number == 0 else _("No further service"))
        self.staff_id.offer(
            [(one.id, one.full_name) for one in choices.staff_for(self.services[0].data)], none=_("Anyone")
        )
        self.weekdays.name_days()

    def field_named(self, name: str | None) -> Field | None:
        """The field that a service calls so; None where there is none."""
        return self.services[0] if name == "service_id" else self._fields.get(name or "")


class EntryForm(WishForm):
    """A customer, known or added with it, who is put on the waitlist."""

    branch_id = HiddenIdField()
    customer_id = HiddenIdField()
    customer_q = StringField(_l("Find the customer"), [Length(max=100)])
    full_name = UnmarkedField(_l("Name"), [Length(max=200)])
    phone = UnmarkedField(_l("Phone"), [Length(max=40)])
    shares_phone = BooleanField(_l("They share this phone with somebody"))

    @property
    def seeks_customer(self) -> bool:
        """Whether the first thing to be typed is who waits."""
        return self.customer_id.data is None

    def validate(self, extra_validators: Any = None) -> bool:
        """Whether everything can be read, and a customer is named."""
        valid = bool(super().validate(extra_validators))
        named = self.customer_id.data or (self.full_name.data or "").strip() or (self.phone.data or "").strip()
        if not named:
            self.customer_id.errors = [*self.customer_id.errors, _(CHOOSE_CUSTOMER)]
        return valid and bool(named)


class ChangeForm(WishForm):
    """Another wish, unless somebody else has changed it since ``version``."""

    version = IntegerField(widget=HiddenInput(), validators=[InputRequired()])


class WithdrawForm(Form):
    """Why somebody no longer waits."""

    reason = StringField(
        _l("Why do they no longer wait?"),
        [InputRequired(_l("Say why, in a few words.")), Length(max=REASON_LENGTH)],
        id="withdraw-reason",
        render_kw={"list": "withdraw-reasons", "autocomplete": "off"},
    )


class HoldForm(_Filled):
    """Which place is to be held."""

    starts_at = LocalField(_l("Begins"), [InputRequired()])
    staff_id = IdField(_l("Therapist"), [Optional()])


class PlaceForm(_Filled):
    """Which free time is meant: from ``starts_at`` to ``ends_at``, of a therapist or of whoever will do."""

    starts_at = LocalField(_l("From"), [InputRequired()])
    ends_at = LocalField(_l("To"), [InputRequired()])
    staff_id = IdField(_l("Therapist"), [Optional()])
