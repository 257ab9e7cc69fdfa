"""Taking a deposit, and giving it back."""

from flask_babel import lazy_gettext as _l
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from spa_app.models import MONEY_METHODS
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import METHODS, AmountField

AMOUNT = {"inputmode": "numeric", "autocomplete": "off", "maxlength": 40}
REFERENCE = {"autocomplete": "off", "maxlength": 100}


class DepositForm(Form):
    """How much is taken, and how."""

    amount = AmountField(_l("Amount"), [InputRequired()], render_kw=AMOUNT)
    method = SelectField(
        _l("How"), choices=[SelectChoice(method, METHODS[method]) for method in MONEY_METHODS], default="cash"
    )
    reference = StringField(_l("Reference"), [Length(max=100)], render_kw=REFERENCE)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.method.flags.unmarked = self.reference.flags.unmarked = True


class ReturnForm(Form):
    """How it goes back, and why."""

    method = SelectField(_l("How it goes back"), choices=[], validate_choice=False)
    amount = AmountField(_l("Amount"), render_kw=AMOUNT)
    reference = StringField(_l("Reference"), [Length(max=100)], render_kw=REFERENCE)
    reason = StringField(
        _l("Reason"),
        [InputRequired(_l("Say why, in a few words.")), Length(max=500)],
        render_kw={"autocomplete": "off", "maxlength": 500},
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        for field in (self.method, self.amount, self.reference):
            field.flags.unmarked = True
