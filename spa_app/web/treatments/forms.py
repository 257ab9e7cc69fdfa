"""The forms of cards: selling a plan, and what a desk does to a card that is sold."""

from collections.abc import Iterable, Sequence
from typing import Any

from flask_babel import lazy_gettext as _l
from wtforms import DateField, IntegerField, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, Optional

from spa_app.queries.card_page import Person
from spa_app.queries.treatments import PlanOption
from spa_app.services.texts import REASON_LENGTH
from spa_app.web.bookings.forms import parse_id
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import AmountField

BASES = {
    "pro_rata": _l("At what they cost on this card"),
    "list_price": _l("At the list price of the service"),
}
PAY_BY = {"store_credit": _l("Store credit"), "cash": _l("Cash"), "bank_transfer": _l("Bank transfer")}
_TYPED = {"autocomplete": "off", "maxlength": REASON_LENGTH}


class SellForm(Form):
    """Which plan."""

    plan_id = RadioField(_l("Package"), [InputRequired(_l("Choose a package."))], choices=[], coerce=int)

    def __init__(self, plans: Sequence[PlanOption], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plan_id.choices = [SelectChoice(plan.id, plan.name) for plan in plans]


class ReasonForm(Form):
    """Why a card is frozen, or a refund taken back."""

    reason = StringField(
        _l("Reason"), [InputRequired(_l("Say why, in a few words.")), Length(max=REASON_LENGTH)], render_kw=_TYPED
    )


class UnfreezeForm(Form):
    """Nothing has to be said."""

    reason = StringField(_l("Reason"), [Length(max=REASON_LENGTH)], render_kw=_TYPED)


class DateForm(ReasonForm):
    """Until when a card is valid from now on: extended, or reactivated."""

    expiry_date = DateField(_l("Valid to"), [InputRequired(_l("Choose a date."))])


class AdjustForm(ReasonForm):
    """How many sessions more, or (with a minus) less."""

    sessions = IntegerField(
        _l("How many sessions"),
        [InputRequired(_l("Choose at least one session."))],
        render_kw={"autocomplete": "off", "step": 1},
    )


class _PersonForm(Form):
    customer_id = RadioField(
        _l("Customer"), [InputRequired(_l("Choose a customer."))], choices=[], coerce=parse_id, validate_choice=False
    )

    def offer(self, people: Iterable[Person]) -> None:
        """Set who can be chosen; somebody else who was posted is left to the service."""
        self.customer_id.choices = [SelectChoice(person.id, person.full_name) for person in people]


class TransferForm(_PersonForm, ReasonForm):
    """To whom, how many (empty: all that are free), and why."""

    sessions = IntegerField(_l("How many sessions"), [Optional()], render_kw={"autocomplete": "off", "min": 1})


class ShareForm(_PersonForm):
    """With whom, and how many at most (empty: any that is free)."""

    session_limit = IntegerField(_l("At most"), [Optional()], render_kw={"autocomplete": "off", "min": 1})
    reason = StringField(_l("Reason"), [Length(max=REASON_LENGTH)], render_kw=_TYPED)


class TermsForm(Form):
    """On what terms a card would be refunded: asked by a GET form, and carried along by the form that does it."""

    basis = RadioField(
        _l("Used sessions count"), choices=[SelectChoice(*one) for one in BASES.items()], default="pro_rata"
    )
    fee_amount = AmountField(_l("Fee"), render_kw={"inputmode": "numeric", "autocomplete": "off", "maxlength": 40})

    @property
    def fee(self) -> int:
        """The fee in minor units; none where none was typed."""
        return self.fee_amount.data or 0


class RefundForm(TermsForm, ReasonForm):
    """How the money goes back; ``shown_amount`` is what the customer was told."""

    pay_by = RadioField(
        _l("How it goes back"), choices=[SelectChoice(*one) for one in PAY_BY.items()], default="store_credit"
    )
    reference = StringField(_l("Reference"), [Length(max=100)], render_kw={"autocomplete": "off", "maxlength": 100})
    shown_amount = IntegerField(validators=[Optional()])


class ExchangeForm(TermsForm, ReasonForm):
    """For which plan; ``shown_amount`` is what the old card was said to be worth."""

    plan_id = SelectField(_l("Package"), [InputRequired(_l("Choose a package."))], choices=[], coerce=int)
    shown_amount = IntegerField(validators=[Optional()])

    def __init__(self, plans: Sequence[PlanOption], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plan_id.choices = [SelectChoice(plan.id, plan.name) for plan in plans]
