"""The forms of gift cards: selling and giving one, and what a manager does to it."""

from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import DateField, HiddenField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from spa_app.services.gift_cards.cards import GREETING_LENGTH, NAME_LENGTH
from spa_app.services.texts import REASON_LENGTH
from spa_app.web.bookings.forms import parse_id
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import AmountField

_AMOUNT = {"inputmode": "numeric", "autocomplete": "off", "maxlength": 40}
_REASON = {"autocomplete": "off", "maxlength": REASON_LENGTH}


class SellGiftCardForm(Form):
    """For how much, for whom, and what stands on it."""

    customer_id = HiddenField(validators=[Optional()])
    amount = AmountField(_l("Amount"), [InputRequired(_l("Type the amount."))], render_kw=_AMOUNT)
    receiver_name = StringField(
        _l("For whom"), [Length(max=NAME_LENGTH)], render_kw={"autocomplete": "off", "maxlength": NAME_LENGTH}
    )
    greeting = TextAreaField(
        _l("Greeting"), [Length(max=GREETING_LENGTH)], render_kw={"rows": 2, "maxlength": GREETING_LENGTH}
    )

    def chosen(self) -> int | None:
        """The customer's id, if one was chosen."""
        try:
            return parse_id(self.customer_id.data or "")
        except ValueError:
            return None


class IssueGiftCardForm(SellGiftCardForm):
    """The same without a sale, and why."""

    reason = StringField(
        _l("Reason"), [InputRequired(_l("Say why, in a few words.")), Length(max=REASON_LENGTH)], render_kw=_REASON
    )


class _ReasonForm(Form):
    reason = StringField(
        _l("Reason"), [InputRequired(_l("Say why, in a few words.")), Length(max=REASON_LENGTH)], render_kw=_REASON
    )


class AdjustForm(_ReasonForm):
    """Put onto the card, or taken off."""

    take_off = HiddenField(validators=[Optional()])
    amount = AmountField(_l("Amount"), [InputRequired(_l("Type the amount."))], render_kw=_AMOUNT)

    def signed(self) -> int:
        """The amount in minor units, negative where it is taken off."""
        amount: int = self.amount.data or 0
        return -amount if self.take_off.data == "1" else amount


class ExtendForm(_ReasonForm):
    """Until when it can be used from now on."""

    expires_on = DateField(_l("Valid to"), [InputRequired(_l("Choose a date."))])


class CancelForm(_ReasonForm):
    """Why it is closed."""


FORMS: dict[str, Any] = {"extend": ExtendForm, "adjust": AdjustForm, "cancel": CancelForm}
