"""/setup/promotions: codes that take something off a bill, and the bills that hold them."""

from typing import Any

from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, DateField, DecimalField, IntegerField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from spa_app.errors import N_, NotFoundError
from spa_app.queries import promotions as queries
from spa_app.queries.promotions import PromotionSetup
from spa_app.services import promotions as services
from spa_app.services import team
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import AmountField
from spa_app.web.navigation import MANAGERS
from spa_app.web.security import asked_branch, current_actor, roles, signed_in
from spa_app.web.setup.fields import percent
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit

KINDS = [SelectChoice("percent", _l("Percent of the bill")), SelectChoice("amount", _l("An amount"))]
AMOUNT = {"inputmode": "numeric", "autocomplete": "off", "maxlength": 40}


class PromotionForm(Form):
    """A promotion: its code, what it takes off, and when and how often."""

    code = StringField(
        _l("Code"),
        [InputRequired(), Length(max=40)],
        render_kw={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"},
    )
    name = StringField(
        _l("Name of the promotion"), [InputRequired(), Length(max=team.NAME_LENGTH)], render_kw={"autocomplete": "off"}
    )
    kind = RadioField(_l("What it takes off"), choices=KINDS, default="percent")
    percent = DecimalField(_l("Percent"), [Optional(), NumberRange(0, 100)], places=None)
    discount_amount = AmountField(_l("Amount, VAT included"), render_kw=AMOUNT)
    minimum_amount = AmountField(_l("For bills of at least"), render_kw=AMOUNT)
    starts_on = DateField(_l("First day"), [Optional()])
    ends_on = DateField(_l("Last day"), [Optional()])
    max_uses = IntegerField(_l("Uses in all"), [Optional(), NumberRange(1, services.MOST_USES)])
    max_uses_per_customer = IntegerField(_l("Uses per customer"), [Optional(), NumberRange(1, services.MOST_USES)])
    is_active = BooleanField(_l("Offered"), default=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Which of the two is needed follows from the choice above them.
        self.percent.flags.unmarked = self.discount_amount.flags.unmarked = True

    def values(self) -> dict[str, Any]:
        """The promotion's columns."""
        is_percent = self.kind.data == "percent"
        share = self.percent.data
        return {
            "code": self.code.data or "",
            "name": self.name.data,
            "percent_bp": int((share or 0) * 100) if is_percent else None,
            "discount_amount": None if is_percent else self.discount_amount.data or 0,
            "minimum_amount": self.minimum_amount.data or 0,
            **{name: self[name].data for name in ("starts_on", "ends_on", "max_uses", "max_uses_per_customer")},
            "is_active": self.is_active.data,
        }


@bp.get("/promotions")
@roles(*MANAGERS)
def promotions() -> ResponseReturnValue:
    """All promotions."""
    return show("setup.promotions", "_promotions.html", promotions=queries.list_promotions())


@bp.get("/promotions/new")
@roles(*MANAGERS)
def new_promotion() -> ResponseReturnValue:
    """The form for a new one."""
    return _page(None)


@bp.get("/promotions/<int:promotion_id>")
@roles(*MANAGERS)
def promotion(promotion_id: int) -> ResponseReturnValue:
    """One of them, to be changed, with the bills that hold it."""
    return _page(_known(promotion_id))


@bp.post("/promotions")
@roles(*MANAGERS)
def add_promotion() -> ResponseReturnValue:
    """Add one."""
    return _save(None)


@bp.post("/promotions/<int:promotion_id>")
@roles(*MANAGERS)
def save_promotion(promotion_id: int) -> ResponseReturnValue:
    """Change one, or end it; bills that hold it stay as they are."""
    return _save(_known(promotion_id))


def _save(chosen: PromotionSetup | None) -> ResponseReturnValue:
    form = PromotionForm()
    submitted = submit(
        form,
        "setup_promotion",
        lambda: services.save_promotion(
            promotion_id=chosen.id if chosen else None,
            values=form.values(),
            seen=seen() if chosen else None,
            actor=current_actor(),
        ),
        {"percent_bp": "percent"},
    )
    return see("setup.promotions", asked_branch()) if submitted.is_done else _page(chosen, form, submitted)


def _known(promotion_id: int) -> PromotionSetup:
    for one in queries.list_promotions(promotion_id):
        return one
    raise NotFoundError("not_found", N_("There is no such thing in your branches."))


def _page(
    chosen: PromotionSetup | None, form: PromotionForm | None = None, submitted: Submitted = NOT_SENT
) -> ResponseReturnValue:
    if chosen and submitted.is_stale:
        chosen = _known(chosen.id)
    if form is None or submitted.is_stale:
        form = PromotionForm(formdata=None, data=_data(chosen) if chosen else {})
    branches = [branch.id for branch in signed_in().branches]
    return show(
        "setup.promotions",
        "_promotion.html",
        submitted,
        title=chosen.name if chosen else _("New promotion"),
        form=form,
        chosen=chosen,
        stamp=chosen.stamp if chosen else None,
        bills=queries.list_bills(chosen.id, branch_ids=branches) if chosen else [],
    )


def _data(chosen: PromotionSetup) -> dict[str, Any]:
    values = chosen.values
    return {
        **values,
        "percent": percent(values["percent_bp"]),
        "kind": "amount" if values["percent_bp"] is None else "percent",
        "minimum_amount": values["minimum_amount"] or None,
    }
