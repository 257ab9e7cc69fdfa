"""The form of a customer's details."""

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_wtf.file import FileField, FileRequired
from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    HiddenField,
    RadioField,
    SelectField,
    StringField,
    TelField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, Optional

from spa_app.queries.duplicates import Side
from spa_app.services.customer_files import CAPTION_LENGTH
from spa_app.services.customer_merging import BOTH, FACTS, default_choice
from spa_app.services.customers import EMAIL_LENGTH, NAME_LENGTH, NOTE_LENGTH
from spa_app.services.texts import REASON_LENGTH
from spa_app.web.bookings.forms import IdField
from spa_app.web.forms import Form

# Why two customers are held to be alike.
REASONS = {
    "name_phone": _l("Same name and phone"),
    "name_birthday": _l("Same name and date of birth"),
    "zero": _l("The phone differs by a lost zero"),
    "name_zero": _l("Same name, the phone differs by zeros"),
    "name_digit": _l("Same name, the phone differs in a few digits"),
}
FILE_KINDS = {"photo": _l("Photo"), "consent": _l("Consent form")}
RELATIONS = {
    "parent": _l("mother or father"),
    "child": _l("child"),
    "spouse": _l("husband or wife"),
    "sibling": _l("sister or brother"),
    "other": _l("relative or friend"),
}
FACT_LABELS = {
    "full_name": _l("Name"),
    "phone": _l("Phone"),
    "email": _l("E-mail"),
    "birth_date": _l("Date of birth"),
    "preferred_staff_id": _l("Preferred therapist"),
    "allergies": _l("Allergies"),
    "medical_note": _l("Medical note"),
    "note": _l("Note"),
    "tags": _l("Tags"),
}


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


class HealthForm(Form):
    """What is known of a customer's health."""

    allergies = TextAreaField(_l("Allergies"), [Length(max=NOTE_LENGTH)], render_kw={"rows": 2})
    medical_note = TextAreaField(_l("Medical note"), [Length(max=NOTE_LENGTH)], render_kw={"rows": 4})


class TagsForm(Form):
    """A customer's tags, with commas between them."""

    tags = StringField(_l("Tags"), [Length(max=500)], render_kw={"autocomplete": "off"})


class NoteForm(Form):
    """A treatment note."""

    body = TextAreaField(_l("Treatment note"), [InputRequired(), Length(max=NOTE_LENGTH)], render_kw={"rows": 4})


class FileForm(Form):
    """A photo or a signed consent form. What it is, its bytes say; what it shows, the desk."""

    file = FileField(
        _l("Photo or PDF"),
        [FileRequired(_l("Choose a file."))],
        render_kw={"accept": "image/jpeg,image/png,image/webp,application/pdf"},
    )
    kind = RadioField(_l("What it is"), [InputRequired()], choices=[SelectChoice(*one) for one in FILE_KINDS.items()])
    caption = StringField(_l("Caption"), [Length(max=CAPTION_LENGTH)], render_kw={"autocomplete": "off"})


class DeleteFileForm(Form):
    """Why a file is taken away."""

    reason = StringField(_l("Reason"), [InputRequired(), Length(max=REASON_LENGTH)], render_kw={"autocomplete": "off"})


class LinkForm(Form):
    """How another customer belongs to this one."""

    relative_id = HiddenField(validators=[InputRequired()])
    relation = SelectField(
        _l("They are the customer's"),
        [InputRequired()],
        choices=[SelectChoice(*one) for one in RELATIONS.items()],
    )


class AnonymiseForm(Form):
    """Why a customer is forgotten, and their name once more."""

    reason = StringField(_l("Reason"), [InputRequired(), Length(max=REASON_LENGTH)], render_kw={"autocomplete": "off"})
    confirmed_name = StringField(
        _l("Type the name to confirm"),
        [InputRequired(), Length(max=NAME_LENGTH)],
        render_kw={"autocomplete": "off", "spellcheck": "false"},
    )


class MergeForm(Form):
    """Which of two customers each fact is kept of; ``reason`` goes into the record of the merge."""

    reason = StringField(_l("Reason"), [Length(max=REASON_LENGTH)], render_kw={"autocomplete": "off"})

    @classmethod
    def facts(cls) -> tuple[str, ...]:
        """The facts to choose of, in the order of the page."""
        return FACTS

    def choices(self) -> dict[str, str]:
        """The choice of each fact, as the service takes it."""
        return {fact: self[fact].data for fact in FACTS if self[fact].data}

    def suggest(self, mine: Side, theirs: Side) -> None:
        """Set what a merge would keep by itself."""
        for fact in FACTS:
            self[fact].data = default_choice(fact, getattr(mine, fact), getattr(theirs, fact))


for _fact in FACTS:
    _words = {"this": _l("this one"), "other": _l("the other"), **({"both": _l("both")} if _fact in BOTH else {})}
    _field = RadioField(FACT_LABELS[_fact], [Optional()], choices=[SelectChoice(*one) for one in _words.items()])
    setattr(MergeForm, _fact, _field)
