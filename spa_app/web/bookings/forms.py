"""The forms of a visit, with the field names of 3-contract, *Pages and actions*."""

import re
from collections.abc import Mapping
from typing import Any

from flask_babel import gettext
from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict
from wtforms import (
    BooleanField,
    DateField,
    Field,
    FieldList,
    FormField,
    HiddenField,
    IntegerField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import Choice
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import DateTimeLocalInput, HiddenInput

from spa_app.errors import N_
from spa_app.services.bookings.booking import MOST_ITEMS, NOTE_LENGTH
from spa_app.services.bookings.moving import LEAST_MINUTES, MOST_MINUTES
from spa_app.services.bookings.party import MOST_GUESTS
from spa_app.services.texts import REASON_LENGTH
from spa_app.web.filters import local_input
from spa_app.web.forms import Form
from spa_app.web.security import BIGGEST_ID, local_timezone
from spa_app.web.times import parse_date, parse_local

OVERRIDE_LABEL = _l("Outside opening hours or off shift (this is logged)")
MOST_SERVICES = N_("A visit can hold no more services.")
CHOOSE_CUSTOMER = N_("Choose a customer.")
_ITEM = re.compile(r"items-(\d{1,3})-([a-z_]+)", re.ASCII)
_GUEST = re.compile(r"guests-(\d{1,3})-([a-z_0-9-]+)", re.ASCII)
_SEEN = re.compile(r"(\d{1,18})\.(\d{1,9})", re.ASCII)
_ID = re.compile(r"\d{1,19}", re.ASCII)


def parse_id(text: str) -> int | None:
    """An id as an address or a form carries it; None when empty. Raises ``ValueError`` for anything that is none."""
    text = text.strip()
    if not text:
        return None
    if not _ID.fullmatch(text) or not 0 < int(text) <= BIGGEST_ID:
        raise ValueError("not an id")
    return int(text)


def numbered_anew(values: "MultiDict[str, str]") -> "MultiDict[str, str]":
    """The same values with guests and items numbered 0, 1, 2 in their order: services name a field by its place.

    At most one guest more than can come together, and one item more than a visit may have, are kept, so that the
    refusal is the service's.
    """
    guests: dict[int, MultiDict[str, str]] = {}
    rest: MultiDict[str, str] = MultiDict()
    for name, value in values.items(multi=True):
        found = _GUEST.fullmatch(name)
        if found:
            guests.setdefault(int(found[1]), MultiDict()).add(found[2], value)
        elif not name.startswith("guests-"):
            rest.add(name, value)
    kept = _items_numbered_anew(rest)
    for place, number in enumerate(sorted(guests)[:MOST_GUESTS]):
        for name, value in _items_numbered_anew(guests[number]).items(multi=True):
            kept.add(f"guests-{place}-{name}", value)
    return kept


def _items_numbered_anew(values: "MultiDict[str, str]") -> "MultiDict[str, str]":
    numbers = {int(found[1]) for name in values if (found := _ITEM.fullmatch(name))}
    places = {number: place for place, number in enumerate(sorted(numbers)[: MOST_ITEMS + 1])}
    kept: MultiDict[str, str] = MultiDict()
    for name, value in values.items(multi=True):
        found = _ITEM.fullmatch(name)
        if found and int(found[1]) in places:
            kept.add(f"items-{places[int(found[1])]}-{found[2]}", value)
        elif not name.startswith("items-"):
            kept.add(name, value)
    return kept


class IdField(SelectField):
    """A choice by id. What is not on the list is left to the service to refuse; what is no id is refused here."""

    data: Any

    def __init__(self, label: Any = None, validators: Any = None, **kwargs: Any) -> None:
        super().__init__(label, validators, coerce=parse_id, choices=[], validate_choice=False, **kwargs)
        # The empty choice says in words what it stands for.
        self.flags.unmarked = True

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the id; empty is None."""
        if not valuelist:
            return
        try:
            self.data = parse_id(valuelist[0])
        except ValueError as error:
            self.data = None
            raise ValueError(gettext("Not a valid choice.")) from error

    def offer(self, choices: list[tuple[int, str]], none: str | None = None) -> None:
        """Set what can be chosen; ``none`` is the wording of the empty choice. What is chosen stays on the list."""
        offered: list[tuple[Any, str]] = [("", none)] if none is not None else []
        offered += choices
        if self.data is not None and self.data not in dict(choices):
            offered.append((self.data, f"#{self.data}"))
        self.choices = offered

    def iter_choices(self) -> Any:
        """Yield the choices, the present one marked."""
        for value, label in self.choices:
            yield Choice(value, label, value == ("" if self.data is None else self.data), {})


class HiddenIdField(IdField):
    """An id that the page carries along."""

    widget = HiddenInput()

    def _value(self) -> str:
        return "" if self.data is None else str(self.data)


class LocalField(Field):
    """A time by the branch's clocks; ``data`` is the instant."""

    data: Any
    widget = DateTimeLocalInput()

    def _value(self) -> str:
        return self.raw_data[0][:40] if self.raw_data else local_input(self.data)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read ``YYYY-MM-DDTHH:MM``."""
        self.data = None
        if valuelist and valuelist[0].strip():
            try:
                self.data = parse_local(valuelist[0], local_timezone())
            except ValueError as error:
                raise ValueError(gettext(str(error))) from error

    def change(self, instant: Any) -> None:
        """Put another time into the field."""
        self.data, self.raw_data = instant, None


class LocalTimesField(Field):
    """Several such times, which the page carries along; ``data`` are the instants."""

    data: Any

    def process_data(self, value: Any) -> None:
        """None to begin with."""
        self.data = list(value or ())

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read them all, or none."""
        self.data = []
        try:
            read = [parse_local(text, local_timezone()) for text in valuelist]
        except ValueError as error:
            raise ValueError(gettext(str(error))) from error
        self.data = read


class LocalDateField(DateField):
    """``YYYY-MM-DD``, in years that a calendar shows."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the date."""
        self.data = None
        if valuelist and valuelist[0].strip():
            try:
                self.data = parse_date(valuelist[0])
            except ValueError as error:
                raise ValueError(gettext(str(error))) from error


class UnmarkedField(StringField):
    """A text of which the screen says elsewhere when it is needed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.flags.unmarked = True


class SeenField(HiddenField):
    """What a screen showed of several visits, as ``12.1 13.4``: ids with their versions."""

    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read it; empty is nothing seen."""
        pairs = [_SEEN.fullmatch(one) for one in (valuelist[0].split()[:MOST_GUESTS] if valuelist else [])]
        if not all(pairs):
            self.data = {}
            raise ValueError(gettext("Not a valid choice."))
        self.data = {int(pair[1]): int(pair[2]) for pair in pairs if pair}

    def _value(self) -> str:
        return say_seen(self.data or {})


def say_seen(versions: Mapping[int, int]) -> str:
    """Versions by visit, as :class:`SeenField` reads them."""
    return " ".join(f"{one}.{version}" for one, version in versions.items())


class SeenForm(Form):
    """What the sender of a form that is a button has seen of the visits of a party."""

    seen = SeenField()


class ItemForm(Form):
    """One service of a visit. ``card_for`` tells for which customer and service the card was chosen on the screen."""

    service_id = IdField(_l("Service"), [InputRequired(_l("Choose a service."))])
    staff_id = IdField(_l("Therapist"), [Optional()])
    resource_id = IdField(_l("Room"), [Optional()])
    treatment_id = IdField(_l("Paid by"), [Optional()])
    card_for = HiddenField()


class GuestForm(Form):
    """Who comes, known or added with the visit, and for which services."""

    customer_id = HiddenIdField()
    customer_q = StringField(_l("Find the customer"), [Length(max=100)])
    full_name = UnmarkedField(_l("Name"), [Length(max=200)])
    phone = UnmarkedField(_l("Phone"), [Length(max=40)])
    shares_phone = BooleanField(_l("They share this phone with somebody"))
    items = FieldList(FormField(ItemForm), min_entries=1)

    @property
    def adds_customer(self) -> bool:
        """Whether a customer is to be added with the visit."""
        return self.customer_id.data is None and bool(
            (self.full_name.data or "").strip() or (self.phone.data or "").strip()
        )

    def validate(self, extra_validators: Any = None) -> bool:
        """Whether everything can be read, and a customer is named."""
        valid = super().validate(extra_validators)
        if self.customer_id.data is None and not self.adds_customer and not self.customer_id.errors:
            self.customer_id.errors = [*self.customer_id.errors, gettext(CHOOSE_CUSTOMER)]
            return False
        return bool(valid)


class BookingForm(GuestForm):
    """A visit to be booked, and one for each of the ``guests`` who come along."""

    branch_id = HiddenIdField()
    guests = FieldList(FormField(GuestForm))
    starts_at = LocalField(_l("Begins"), [InputRequired()])
    note = TextAreaField(_l("Note"), [Length(max=NOTE_LENGTH)])
    tentative = BooleanField(_l("Tentative: the customer still has to confirm"))
    override_hours = BooleanField(OVERRIDE_LABEL)

    @property
    def everybody(self) -> list[tuple[str, GuestForm]]:
        """The forms of all who come, each with the prefix of its fields; the first one's have none."""
        return [("", self), *((f"{entry.name}-", entry.form) for entry in self.guests)]

    def show_unreadable(self) -> bool:
        """Mark what cannot be read, in a form that is not being posted yet; what is only missing is no matter."""
        leaves = [
            one
            for _, guest in self.everybody
            for one in (
                *guest._fields.values(),
                *(leaf for entry in guest.items for leaf in entry.form._fields.values()),
            )
        ]
        for one in leaves:
            if not isinstance(one, FieldList):
                one.errors = list(one.process_errors)
        return any(one.process_errors for one in leaves)

    def field_named(self, name: str | None) -> Field | None:
        """The field that a service calls so, such as ``items-0-staff_id``; None where there is none."""
        guest: GuestForm = self
        rest = name or ""
        found = _GUEST.fullmatch(rest)
        if found and int(found[1]) < len(self.guests.entries):
            guest, rest = self.guests.entries[int(found[1])].form, found[2]
        found = _ITEM.fullmatch(rest)
        if found and int(found[1]) < len(guest.items.entries):
            return guest.items.entries[int(found[1])].form._fields.get(found[2])
        return guest._fields.get(rest)


class MinutesField(IntegerField):
    """How long a service takes; empty: as it is, which the field shows."""

    def __init__(self, label: Any = None, validators: Any = None, **kwargs: Any) -> None:
        super().__init__(label, validators, **kwargs)
        self.flags.unmarked = True
        self.render_kw = {"min": LEAST_MINUTES, "max": MOST_MINUTES, "inputmode": "numeric"}


class MoveForm(Form):
    """Another time, therapist, room or length for a visit; ``item_id``: the service that the last three are for."""

    starts_at = LocalField(_l("Begins"), [InputRequired()], id="move-starts_at")
    item_id = IdField(_l("Applies to"), [Optional()], id="move-item_id")
    staff_id = IdField(_l("Therapist"), [Optional()], id="move-staff_id")
    resource_id = IdField(_l("Room"), [Optional()], id="move-resource_id")
    minutes = MinutesField(_l("Minutes"), [Optional()], id="move-minutes")
    override_hours = BooleanField(OVERRIDE_LABEL, id="move-override_hours")
    only_this = BooleanField(_l("Only this visit; the others stay where they are"), id="move-only_this")
    seen = SeenField(id="move-seen")
    version = IntegerField(widget=HiddenInput(), validators=[Optional()], id="move-version")

    @property
    def place(self) -> dict[str, Any]:
        """All that it asks for but the time."""
        asked = (self.item_id, self.staff_id, self.resource_id, self.minutes)
        return {field.name: field.data for field in asked if field.data is not None}


class CancelForm(Form):
    """Why a visit is cancelled, and why the branch's policy is waived if it is."""

    reason = StringField(
        _l("Why is it cancelled?"),
        [InputRequired(_l("Say why, in a few words.")), Length(max=REASON_LENGTH)],
        id="cancel-reason",
        render_kw={"list": "cancel-reasons", "autocomplete": "off"},
    )
    together = BooleanField(_l("Cancel the visits of the others too"), id="cancel-together")
    waive = BooleanField(_l("Waive it this time"), id="cancel-waive")
    waive_reason = UnmarkedField(_l("Why is it waived?"), [Length(max=REASON_LENGTH)], id="cancel-waive_reason")


class NoShowForm(Form):
    """Whether the branch's policy for a customer who did not come is waived, and why."""

    waive = BooleanField(_l("Waive it this time"), id="no-show-waive")
    waive_reason = UnmarkedField(_l("Why is it waived?"), [Length(max=REASON_LENGTH)], id="no-show-waive_reason")


class VersionForm(Form):
    """What the user has seen of a visit when they acted on one of its services."""

    version = IntegerField(widget=HiddenInput(), validators=[InputRequired()], id="item-version")


class PaymentForm(VersionForm):
    """How one service of a visit is paid: by a card, or (empty) by the customer."""

    treatment_id = IdField(_l("Paid by"), [Optional()], id="item-treatment_id")


class ItemEditForm(PaymentForm):
    """One service of a visit, changed or added. ``card_for`` tells for which service the screen chose the card."""

    card_for = HiddenField(id="item-card_for")
    service_id = IdField(_l("Service"), [InputRequired(_l("Choose a service."))], id="item-service_id")
    staff_id = IdField(_l("Therapist"), [Optional()], id="item-staff_id")
    resource_id = IdField(_l("Room"), [Optional()], id="item-resource_id")
    minutes = MinutesField(_l("Minutes"), [Optional()], id="item-minutes")
    override_hours = BooleanField(OVERRIDE_LABEL, id="item-override_hours")


class WishForm(Form):
    """One service that free time is looked for."""

    service_id = IdField(_l("Service"), [InputRequired(_l("Choose a service."))])
    staff_id = IdField(_l("Therapist"), [Optional()])
    resource_id = HiddenIdField()


class SlotsForm(Form):
    """For what services, one after the other, free time is looked for; for whom, their preferred therapist first."""

    items = FieldList(
        FormField(WishForm), validators=[Length(max=MOST_ITEMS, message=_l(MOST_SERVICES))], min_entries=1
    )
    date = LocalDateField(_l("Date"), [Optional()])
    customer_id = HiddenIdField()
