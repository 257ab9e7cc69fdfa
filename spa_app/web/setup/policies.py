"""/setup/policies: what a late cancellation and a no-show cost and what the desk may do, with that in plain words."""

from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import DecimalField, IntegerField, RadioField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, NumberRange, Optional

from spa_app.errors import InvalidError
from spa_app.models.policy import Policy, Taking
from spa_app.queries import setup as queries
from spa_app.queries.seen import stamp
from spa_app.queries.users import BranchRef
from spa_app.services import branches
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import AmountField
from spa_app.web.navigation import MANAGERS
from spa_app.web.security import asked_branch, current_actor, roles
from spa_app.web.setup.fields import percent
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit

TAKEN = [
    SelectChoice("none", _l("Nothing is taken")),
    SelectChoice("forfeit", _l("Reserved sessions are forfeited")),
    SelectChoice("fee", _l("A fee is charged")),
]
EXAMPLE_PRICE = 500_000
MOST_MINUTES = 14 * 24 * 60
_AMOUNT = {"inputmode": "numeric", "autocomplete": "off", "maxlength": 40}


class PoliciesForm(Form):
    """Each policy with its fee: a percentage of the visit's price, or an amount."""

    late_cancel_minutes = IntegerField(
        _l("A cancellation is late from so many minutes before the start"),
        [InputRequired(), NumberRange(0, MOST_MINUTES)],
    )
    late_cancel_policy = RadioField(_l("For a late cancellation"), choices=TAKEN)
    late_cancel_percent = DecimalField(
        _l("Fee in percent of the visit's price"), [Optional(), NumberRange(0, 100)], places=None
    )
    late_cancel_fee_amount = AmountField(_l("or fee as an amount"), render_kw=_AMOUNT)
    no_show_policy = RadioField(_l("For a no-show"), choices=TAKEN)
    no_show_percent = DecimalField(
        _l("Fee in percent of the visit's price"), [Optional(), NumberRange(0, 100)], places=None
    )
    no_show_fee_amount = AmountField(_l("or fee as an amount"), render_kw=_AMOUNT)
    waiver_limit_amount = AmountField(_l("The desk may waive up to"), render_kw=_AMOUNT)
    extend_limit_days = IntegerField(
        _l("The desk may extend a card by so many days in all"),
        [InputRequired(), NumberRange(0, branches.LONGEST_EXTENSION)],
    )
    refund_limit_amount = AmountField(_l("The desk may refund of one invoice up to"), render_kw=_AMOUNT)

    close_with_open_invoices = RadioField(
        _l("Closing a day with unpaid invoices of that day"),
        choices=[SelectChoice("warn", _l("Is possible, with a warning")), SelectChoice("block", _l("Is refused"))],
        default="warn",
    )
    discount_limit_percent = DecimalField(
        _l("The desk may take off a bill, in percent"), [Optional(), NumberRange(0, 100)], places=None
    )
    gift_card_months = IntegerField(
        _l("Gift cards can be used for so many months"),
        [Optional(), NumberRange(1, branches.MOST_GIFT_CARD_MONTHS)],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for which in ("late_cancel", "no_show"):
            self[f"{which}_percent"].flags.unmarked = self[f"{which}_fee_amount"].flags.unmarked = True
        self.discount_limit_percent.flags.unmarked = True

    def values(self) -> dict[str, Any]:
        """The branch's columns. A fee that is not charged is not kept."""
        values: dict[str, Any] = {
            "late_cancel_minutes": self.late_cancel_minutes.data,
            "waiver_limit_amount": self.waiver_limit_amount.data or 0,
            "extend_limit_days": self.extend_limit_days.data,
            "close_with_open_invoices": self.close_with_open_invoices.data,
            "discount_limit_bp": int((self.discount_limit_percent.data or 0) * 100),
            "gift_card_months": self.gift_card_months.data,
            "refund_limit_amount": self.refund_limit_amount.data or 0,
        }
        for which in ("late_cancel", "no_show"):
            policy, percent = self[f"{which}_policy"].data, self[f"{which}_percent"].data
            is_fee = policy == "fee"
            values[f"{which}_policy"] = policy
            values[f"{which}_fee_bp"] = int(percent * 100) if is_fee and percent is not None else None
            values[f"{which}_fee_amount"] = self[f"{which}_fee_amount"].data if is_fee else None
        return values


@bp.get("/policies")
@roles(*MANAGERS)
def policies() -> ResponseReturnValue:
    """The branch's policies."""
    return _page(asked_branch())


@bp.post("/policies")
@roles(*MANAGERS)
def save_policies() -> ResponseReturnValue:
    """Set them."""
    branch, form = asked_branch(), PoliciesForm()
    submitted = submit(
        form,
        "setup_policies",
        lambda: branches.set_policies(branch_id=branch.id, values=form.values(), seen=seen(), actor=current_actor()),
        {
            "late_cancel_fee_bp": "late_cancel_percent",
            "no_show_fee_bp": "no_show_percent",
            "discount_limit_bp": "discount_limit_percent",
        },
    )
    return see("setup.policies", branch) if submitted.is_done else _page(branch, form, submitted)


@bp.get("/policies/preview")
@roles(*MANAGERS)
def preview_policies() -> ResponseReturnValue:
    """In plain words, what the policies that are being typed would do."""
    form = PoliciesForm(formdata=request.args)
    return render_template("setup/_policy_words.html", words=_words(form))


def _page(branch: BranchRef, form: PoliciesForm | None = None, submitted: Submitted = NOT_SENT) -> ResponseReturnValue:
    values = queries.columns_of(queries.get_branch(branch.id), queries.POLICY_COLUMNS)
    if form is None or submitted.is_stale:
        shares = {f"{which}_percent": percent(values[f"{which}_fee_bp"]) for which in ("late_cancel", "no_show")}
        shares["discount_limit_percent"] = percent(values["discount_limit_bp"])
        form = PoliciesForm(formdata=None, data={**values, **shares})
    return show("setup.policies", "_policies.html", submitted, form=form, stamp=stamp(values), words=_words(form))


def _words(form: PoliciesForm) -> dict[str, Any] | None:
    """What the policies take for an example visit; None while what was typed cannot be."""
    values = form.values()
    try:
        branches.check_policies(values)
    except InvalidError:
        return None
    if form.late_cancel_minutes.data is None:
        return None

    def taken(which: str) -> Taking:
        fee = values[f"{which}_fee_bp"], values[f"{which}_fee_amount"]
        return Policy(values[f"{which}_policy"], *fee).takes([(EXAMPLE_PRICE, True)])

    return {
        "minutes": values["late_cancel_minutes"],
        "late_cancel": taken("late_cancel"),
        "no_show": taken("no_show"),
        "price": EXAMPLE_PRICE,
        "waiver_limit": values["waiver_limit_amount"],
        "extend_limit": values["extend_limit_days"] or 0,
        "refund_limit": values["refund_limit_amount"],
        "discount_limit": percent(values["discount_limit_bp"]),
    }
