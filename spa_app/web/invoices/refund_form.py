"""The form of a refund: how much of which line comes back, which way, and why."""

from typing import Any

from flask import request
from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict
from wtforms import IntegerField, RadioField, StringField
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import HiddenInput

from spa_app.errors import DomainError
from spa_app.models.invoice_refund import AS_CREDIT, AS_PAID, InvoiceFacts
from spa_app.services.refunds import Wish
from spa_app.web import errors
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import METHODS, AmountField

MOST_LINES = 200
_AMOUNT = {"inputmode": "numeric", "autocomplete": "off", "maxlength": 40}


class RefundLineForm(Form):
    """One line: an amount, or how many of it. Neither: it stays."""

    line_id = IntegerField(widget=HiddenInput())
    amount = AmountField(_l("Comes back"), render_kw=_AMOUNT)
    quantity = IntegerField(
        _l("How many"), [Optional()], render_kw={"inputmode": "numeric", "autocomplete": "off", "maxlength": 6}
    )

    @property
    def wish(self) -> Wish | None:
        """What is asked for, if anything."""
        if self.quantity.data is not None:
            return Wish(quantity=self.quantity.data)
        return None if self.amount.data is None else Wish(self.amount.data)


class InvoiceRefundForm(Form):
    """``lines-<n>-line_id`` with ``-amount`` or ``-quantity``; without any line all that can come back does."""

    to = RadioField(_l("How the money goes back"), choices=[], validate_choice=False)
    reference = StringField(
        _l("Reference"),
        [Length(max=100)],
        filters=[lambda text: (text or "").strip()],
        render_kw={"autocomplete": "off", "maxlength": 100},
    )
    reason = StringField(
        _l("Reason"),
        [InputRequired(_l("Say why, in a few words.")), Length(max=500)],
        render_kw={"autocomplete": "off", "maxlength": 500},
    )
    shown_amount = IntegerField(None, [Optional()], widget=HiddenInput())

    def __init__(self, facts: InvoiceFacts, formdata: MultiDict[str, str] | None) -> None:
        super().__init__(formdata=formdata, to=AS_PAID)
        self.reference.flags.unmarked = True
        ways = [(AS_PAID, _l("The way it was paid")), (AS_CREDIT, METHODS[AS_CREDIT])]
        if len(facts.methods) > 1:
            ways[1:1] = [(method, METHODS[method]) for method in facts.methods]
        self.to.choices = ways
        numbers = [n for n in range(MOST_LINES) if f"lines-{n}-line_id" in formdata] if formdata else []
        self.has_lines = bool(numbers)
        given = [RefundLineForm(formdata=formdata, prefix=f"lines-{n}") for n in numbers]
        # What the invoice holds, in its order: as it was typed, else all that is left.
        self.lines = {}
        typed = {line.line_id.data: line for line in given}
        for n, line in enumerate(facts.lines):
            fresh = {"line_id": line.id, "amount": None if self.has_lines else line.left_amount or None}
            self.lines[line.id] = typed.get(line.id) or RefundLineForm(formdata=None, prefix=f"lines-{n}", data=fresh)
        self.given = given

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Whether all of it can be read."""
        lines = [line.validate() for line in self.given]
        return super().validate(*args, **kwargs) and all(lines)

    @property
    def wishes(self) -> dict[int, Wish] | None:
        """What is asked for, by line; None for all that can come back."""
        if not self.has_lines:
            return None
        return {line.line_id.data or 0: line.wish for line in self.given if line.wish is not None}

    def refuse(self, error: DomainError) -> None:
        """Put a refusal at its field: that of a line, one of the form's, or the form itself."""
        line = next((one for key, one in self.lines.items() if error.field == f"lines-{key}"), None)
        if line is None:
            errors.add_to_form(self, error)
            return
        message = errors.translate(error)
        line.amount.errors = [*line.amount.errors, message]
        self.form_errors = [message]
        self.ways_out = [*self.ways_out, *errors.ways_out(error)]


def asked() -> MultiDict[str, str] | None:
    """What the address asks to be worked out, if anything."""
    return request.args if "to" in request.args or "lines-0-line_id" in request.args else None
