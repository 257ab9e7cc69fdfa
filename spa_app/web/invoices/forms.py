"""The payment form and the reason of a void."""

from typing import Any

from flask import current_app
from flask_babel import lazy_gettext as _l
from wtforms import RadioField, StringField
from wtforms.validators import InputRequired, Length

from spa_app.errors import N_
from spa_app.models import PAYMENT_METHODS
from spa_app.money import format_plain, parse_amount
from spa_app.queries.reports import SETTLED
from spa_app.web.forms import Form
from spa_app.web.i18n import current_locale

METHODS = {
    "cash": _l("Cash"),
    "card": _l("Card"),
    "bank_transfer": _l("Bank transfer"),
    "e_wallet": _l("E-wallet"),
    "gift_card": _l("Gift card"),
    "store_credit": _l("Store credit"),
    "deposit": _l("Deposit"),
}
# How what is in a report was paid or handed out.
WAYS = METHODS | {SETTLED: _l("Settled by a credit note")}
METHOD_ICONS = {
    "cash": "banknote",
    "card": "credit-card",
    "bank_transfer": "landmark",
    "e_wallet": "wallet",
    "gift_card": "gift",
    "store_credit": "piggy-bank",
    "deposit": "calendar-clock",
}
_NOT_AN_AMOUNT = N_("This is not an amount. Type it like 450000 or 450.000.")


def suggest_cash(due: int) -> list[int]:
    """What a customer is likely to hand over for ``due``: it rounded up to notes, up to three amounts above it."""
    scale = 10 ** max(0, len(str(due)) - 2)
    rounded = {-(-due // (scale * step)) * scale * step for step in (1, 5, 10, 50)}
    return sorted(amount for amount in rounded if amount > due)[:3]


def plain_amount(amount: int) -> str:
    """Minor units as a field shows them: ``1.500.000``, without the currency."""
    return format_plain(amount, current_app.config["SETTINGS"].currency, current_locale())


class AmountField(StringField):
    """Money as people type it; ``data`` is in minor units, None where nothing was typed."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read the amount; raise ``ValueError`` with a message for the field where it is none."""
        typed = valuelist[0].strip() if valuelist else ""
        self.data = None
        if typed:
            try:
                self.data = parse_amount(typed, current_app.config["SETTINGS"].currency, current_locale())
            except ValueError:
                raise ValueError(self.gettext(_NOT_AN_AMOUNT)) from None

    def _value(self) -> str:
        """What was typed, else the amount with its thousands apart."""
        if self.raw_data is not None:
            return str(self.raw_data[0]) if self.raw_data else ""
        return "" if self.data is None else plain_amount(self.data)


class PaymentForm(Form):
    """How, and how much."""

    method = RadioField(_l("How"), [InputRequired(_l("Choose how the customer pays."))], choices=[])
    amount = AmountField(_l("Amount"), render_kw={"inputmode": "numeric", "autocomplete": "off", "maxlength": 40})
    tendered_amount = AmountField(
        _l("Cash received"), render_kw={"inputmode": "numeric", "autocomplete": "off", "maxlength": 40}
    )
    reference = StringField(
        _l("Reference"),
        [Length(max=100)],
        filters=[lambda text: (text or "").strip()],
        render_kw={"autocomplete": "off", "maxlength": 100},
    )

    gift_card_code = StringField(
        _l("Code of the gift card"),
        [Length(max=100)],
        render_kw={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false", "maxlength": 100},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Empty means what is left to pay, and what needs a reference its help says: "optional" would only puzzle.
        self.amount.flags.unmarked = self.reference.flags.unmarked = self.gift_card_code.flags.unmarked = True
        self.method.choices = [(method, METHODS[method]) for method in PAYMENT_METHODS]

    def set_amount(self, amount: int) -> None:
        """Show another amount than was typed: what is left, where that was refused."""
        self.amount.data, self.amount.raw_data = amount, None


class VoidForm(Form):
    """Why a sale is taken back."""

    reason = StringField(
        _l("Reason"),
        [InputRequired(_l("Say why, in a few words.")), Length(max=500)],
        render_kw={"autocomplete": "off", "maxlength": 500},
    )
