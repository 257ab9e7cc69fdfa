"""The form of a bill: packages and products, discounts and a tip."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import current_app
from flask_babel import gettext
from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, Field, FieldList, FormField, IntegerField, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Length, NumberRange, Optional
from wtforms.widgets import HiddenInput

from spa_app.errors import N_
from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.money import parse_amount
from spa_app.queries.bill import Therapist, WareChoice
from spa_app.services.billing import Line
from spa_app.services.billing.composing import MOST_WARES, REASON_LENGTH
from spa_app.web import filters
from spa_app.web.bookings.forms import CHOOSE_CUSTOMER, HiddenIdField, IdField, UnmarkedField
from spa_app.web.forms import Form
from spa_app.web.i18n import current_locale
from spa_app.web.invoices.forms import AmountField, plain_amount

SPLITS = {
    "equally": _l("Equally"),
    "services": _l("By the price of their services"),
    "typed": _l("As typed here"),
}
_NOT_A_DISCOUNT = N_("Type a percentage such as %(share)s, or an amount such as 50000.")
_LINE = re.compile(r"lines-(\d{1,3})-(what|quantity|discount)", re.ASCII)
_ROW = re.compile(r"(services|tips)-\d{1,3}-[a-z_]+", re.ASCII)
_WHAT = re.compile(r"([a-z_]{1,20})-(\d{1,18})", re.ASCII)
_SHARE = re.compile(r"\d{1,3}(?:[.,]\d{1,2})?", re.ASCII)
_AMOUNT = {"inputmode": "numeric", "autocomplete": "off", "maxlength": 40}


def numbered_anew(values: "MultiDict[str, str]") -> "MultiDict[str, str]":
    """The same values with the lines numbered 0, 1, 2 in their order, one more at most than a bill may have.

    Without what looks like a row and has no number: WTForms takes every digit that Unicode knows for one.
    """
    numbers = sorted({int(found[1]) for name in values if (found := _LINE.fullmatch(name))})
    places = {number: place for place, number in enumerate(numbers[: MOST_WARES + 1])}
    kept: MultiDict[str, str] = MultiDict()
    for name, value in values.items(multi=True):
        found = _LINE.fullmatch(name)
        if found and int(found[1]) in places:
            kept.add(f"lines-{places[int(found[1])]}-{found[2]}", value)
        elif _ROW.fullmatch(name) or not name.startswith(("lines-", "services-", "tips-")):
            kept.add(name, value)
    return kept


class DiscountField(StringField):
    """A discount as people type it: ``10 %``, or an amount. ``data`` is a :class:`Discount`, None for nothing."""

    data: Any

    def __init__(self, label: Any = None, **kwargs: Any) -> None:
        super().__init__(label, **kwargs)
        self.render_kw = {"autocomplete": "off", "maxlength": 20}
        self.flags.unmarked = True

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read it; raise ``ValueError`` with a message for the field where it is neither."""
        typed = valuelist[0].strip() if valuelist else ""
        self.data = None
        if not typed:
            return
        try:
            if typed.endswith("%"):
                share = typed.removesuffix("%").strip()
                if not _SHARE.fullmatch(share):
                    raise ValueError
                self.data = Discount(share_bp=int(Decimal(share.replace(",", ".")) * 100))
            else:
                self.data = Discount(
                    amount=parse_amount(typed, current_app.config["SETTINGS"].currency, current_locale())
                )
        except (ValueError, InvalidOperation):
            raise ValueError(gettext(_NOT_A_DISCOUNT, share="10 %")) from None

    def _value(self) -> str:
        if self.raw_data is not None:
            return str(self.raw_data[0]) if self.raw_data else ""
        if self.data is None:
            return ""
        if self.data.share_bp is None:
            return plain_amount(self.data.amount)
        return f"{(Decimal(self.data.share_bp) / 100).normalize():f} %"


class ServiceForm(Form):
    """A service of the visit, which brings its price along."""

    item_id = HiddenIdField()
    discount = DiscountField(_l("Discount"))


class WareForm(Form):
    """Something that is sold."""

    what = SelectField(_l("Product or package"), choices=[], validate_choice=False)
    quantity = IntegerField(
        _l("Quantity"), [Optional(), NumberRange(1, 1_000)], default=1, render_kw={"min": 1, "autocomplete": "off"}
    )
    discount = DiscountField(_l("Discount"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.what.flags.unmarked = self.quantity.flags.unmarked = True

    @property
    def ware(self) -> Ware | None:
        """What was chosen, if anything."""
        chosen = self.what.data or ""
        if not chosen:
            return None
        found = _WHAT.fullmatch(chosen)
        quantity = 1 if self.quantity.data is None else self.quantity.data
        return Ware(found[1] if found else "", int(found[2]) if found else 0, quantity, self.discount.data)


class TipForm(Form):
    """What one of several therapists gets of a tip."""

    staff_id = HiddenIdField()
    amount = AmountField(_l("Amount"), render_kw=_AMOUNT)


class BillForm(Form):
    """A bill, with its customer where that is not settled by a visit or an invoice."""

    branch_id = HiddenIdField()
    booking_id = HiddenIdField()
    version = IntegerField(widget=HiddenInput(), validators=[Optional()])
    customer_id = HiddenIdField()
    customer_q = StringField(_l("Find the customer"), [Length(max=100)])
    full_name = UnmarkedField(_l("Name"), [Length(max=200)])
    phone = UnmarkedField(_l("Phone"), [Length(max=40)])
    shares_phone = BooleanField(_l("They share this phone with somebody"))
    services = FieldList(FormField(ServiceForm), max_entries=50)
    lines = FieldList(FormField(WareForm), max_entries=MOST_WARES + 1)
    discount = DiscountField(_l("Discount on the whole bill"))
    reason = UnmarkedField(
        _l("Reason of the discount"),
        [Length(max=REASON_LENGTH)],
        render_kw={"autocomplete": "off", "maxlength": REASON_LENGTH, "list": "discount-reasons"},
    )
    code = UnmarkedField(
        _l("Promotion code"),
        [Length(max=40)],
        render_kw={"autocomplete": "off", "maxlength": 40, "spellcheck": "false"},
    )
    tip_amount = AmountField(_l("Tip"), render_kw=_AMOUNT)
    tip_split = RadioField(
        _l("Split among them"), choices=[SelectChoice(*one) for one in SPLITS.items()], default="equally"
    )
    tip_staff_id = IdField(_l("For"))
    tips = FieldList(FormField(TipForm), max_entries=20)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tip_amount.flags.unmarked = True
        for entry in self.tips:
            entry.form.amount.flags.unmarked = True

    @property
    def seeks_customer(self) -> bool:
        """Whether the first thing to be typed is who buys."""
        return self.customer_id.data is None

    @property
    def adds_customer(self) -> bool:
        """Whether a customer is to be added with the sale."""
        typed = (self.full_name.data or "").strip() or (self.phone.data or "").strip()
        return self.seeks_customer and bool(typed)

    def require_customer(self) -> bool:
        """Whether one is named; says so at the field where not."""
        if self.customer_id.data is None and not self.adds_customer:
            self.customer_id.errors = [*self.customer_id.errors, gettext(CHOOSE_CUSTOMER)]
            return False
        return True

    def bill(self) -> Bill:
        """What is on it, as services take it."""
        return Bill(
            wares=tuple(entry.form.ware for entry in self.lines if entry.form.ware),
            service_discounts={
                entry.form.item_id.data: entry.form.discount.data
                for entry in self.services
                if entry.form.item_id.data and entry.form.discount.data
            },
            discount=self.discount.data,
            reason=self.reason.data or "",
            code=self.code.data or "",
            tip=self._tip(),
        )

    def _tip(self) -> Tip:
        split = self.tip_split.data or "equally"
        if split == "typed":
            typed = {entry.form.staff_id.data: entry.form.amount.data or 0 for entry in self.tips}
            return Tip(split=split, typed={staff_id: amount for staff_id, amount in typed.items() if staff_id})
        chosen = (self.tip_staff_id.data,) if self.tip_staff_id.data else ()
        return Tip(self.tip_amount.data or 0, split, chosen)

    def show(self, bill: Bill) -> None:
        """Fill in what is on a bill."""
        for ware in bill.wares:
            self.lines.append_entry(
                {"what": f"{ware.kind}-{ware.id}", "quantity": ware.quantity, "discount": ware.discount}
            )
        self.discount.data, self.reason.data, self.code.data = bill.discount, bill.reason, bill.code
        self.tip_split.data = bill.tip.split
        self.tip_amount.data = bill.tip.amount or None
        self.tip_staff_id.data = next(iter(bill.tip.staff_ids), None)

    def lay_out(self, services: Sequence[Line], therapists: Sequence[Therapist], bill: Bill | None = None) -> None:
        """Have a row for each service and, where there are several, for each therapist; ``bill`` fills them in."""
        for line in services:
            service = self.services.append_entry().form
            service.item_id.data = line.booking_item_id
            service.discount.data = bill.service_discounts.get(line.booking_item_id or 0) if bill else None
        for one in therapists if len(therapists) > 1 else ():
            tip = self.tips.append_entry().form
            tip.staff_id.data, tip.amount.flags.unmarked = one.id, True
            tip.amount.data = bill.tip.typed.get(one.id) if bill else None

    def offer(self, wares: Sequence[WareChoice], staff: Sequence[Therapist]) -> None:
        """Set what can be chosen. What was chosen and is not on the list is left to the service."""
        names = {"product": gettext("Products"), "plan": gettext("Packages")}
        groups = {
            name: [(f"{one.kind}-{one.id}", _ware_words(one)) for one in wares if one.kind == kind]
            for kind, name in names.items()
        }
        known = {value for group in groups.values() for value, _ in group}
        for entry in self.lines:
            chosen = entry.form.what.data
            choices: dict[str, Any] = {gettext("Choose"): [("", gettext("Choose what is sold"))]}
            choices |= {name: group for name, group in groups.items() if group}
            if chosen and chosen not in known:
                choices[gettext("On this bill")] = [(chosen, f"#{chosen[:40]}")]
            entry.form.what.choices = choices
        self.tip_staff_id.offer([(one.id, one.full_name) for one in staff], none=gettext("Choose a therapist"))

    def field_named(self, name: str | None) -> Field | None:
        """The field that a service calls so; None where there is none to show it at.

        A service counts the lines that say something.
        """
        kind, _, rest = (name or "").partition("-")
        number, _, which = rest.partition("-")
        rows: list[Any] = (
            [entry for entry in getattr(self, kind, ()) if kind != "lines" or entry.form.ware is not None]
            if kind in ("lines", "services", "tips") and rest
            else []
        )
        if rows and number.isdigit() and int(number) < len(rows):
            return rows[int(number)].form._fields.get(which)
        field = self._fields.get(name or "")
        return (
            None if isinstance(field, FieldList) or (field is not None and field.type.startswith("Hidden")) else field
        )


def _ware_words(one: WareChoice) -> str:
    words = f"{one.name} · {filters.money(one.price_amount)}"
    return words if one.on_hand is None else f"{words} · {gettext('%(count)s on hand', count=one.on_hand)}"
