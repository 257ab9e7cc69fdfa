"""/setup/plans: the packages for sale, with their sessions, price and validity from now on."""

from typing import Any

from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, DecimalField, FieldList, FormField, IntegerField, RadioField, SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from spa_app.errors import N_, NotFoundError
from spa_app.queries import setup as queries
from spa_app.queries.branches import list_branches
from spa_app.queries.setup import PlanSetup
from spa_app.services import plans as services
from spa_app.services import team
from spa_app.web.bookings.forms import parse_id
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import AmountField
from spa_app.web.navigation import MANAGERS
from spa_app.web.security import asked_branch, current_actor, roles
from spa_app.web.setup.fields import checks, percent
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit

ANY = "any"
SPARE = 2  # empty lines below those that are filled in
UNITS = [SelectChoice("days", _l("Days")), SelectChoice("months", _l("Months"))]
BEGINS = [SelectChoice("purchase", _l("From the purchase")), SelectChoice("visit", _l("From the first visit"))]


class LineForm(Form):
    """So many sessions of a service, and how many of it are free on top. A line without a service is none."""

    service = SelectField(_l("Service"), choices=[], validate_choice=False)
    sessions = IntegerField(_l("Sessions"), [Optional(), NumberRange(1, services.MOST_SESSIONS)])
    bonus_sessions = IntegerField(_l("Free on top"), [Optional(), NumberRange(0, services.MOST_SESSIONS)])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self:
            field.flags.unmarked = True


class PlanForm(Form):
    """A plan: what it holds, its price with VAT, how long its cards are valid."""

    name = StringField(
        _l("Name of the package"), [InputRequired(), Length(max=team.NAME_LENGTH)], render_kw={"autocomplete": "off"}
    )
    lines = FieldList(FormField(LineForm), max_entries=services.MOST_ITEMS)
    price_amount = AmountField(
        _l("Price, VAT included"),
        [InputRequired()],
        render_kw={"inputmode": "numeric", "autocomplete": "off", "maxlength": 40},
    )
    vat_percent = DecimalField(_l("VAT in percent"), [InputRequired(), NumberRange(0, 100)], places=None, default=8)
    validity = IntegerField(_l("Valid for"), [InputRequired(), NumberRange(1, 3650)], default=12)
    unit = RadioField(_l("Days or months"), choices=UNITS, default="months")
    begins = RadioField(_l("Valid from"), choices=BEGINS, default="purchase")
    branch_ids = checks(_l("Sold and good in"))
    is_active = BooleanField(_l("For sale"), default=True)

    def values(self) -> dict[str, Any]:
        """The plan's columns."""
        vat, is_months = self.vat_percent.data, self.unit.data == "months"
        return {
            "name": self.name.data,
            "price_amount": self.price_amount.data if self.price_amount.data is not None else -1,
            "vat_rate_bp": int(vat * 100) if vat is not None else -1,
            "validity_days": None if is_months else self.validity.data,
            "validity_months": self.validity.data if is_months else None,
            "from_first_visit": self.begins.data == "visit",
            "is_active": self.is_active.data,
        }

    def items(self) -> list[tuple[int | None, int, int]]:
        """What it holds, as services take it."""
        lines = [entry.form for entry in self.lines if entry.form.service.data]
        return [
            (_service_id(line.service.data), line.sessions.data or 0, line.bonus_sessions.data or 0) for line in lines
        ]


@bp.get("/plans")
@roles(*MANAGERS)
def plans() -> ResponseReturnValue:
    """All plans."""
    names = {one.id: one.name for one in queries.list_services()}
    plans = queries.list_plans()
    called = {one.id: one.name for one in list_branches()}
    limits = {one.id: ", ".join(called.get(branch_id, "–") for branch_id in one.branch_ids) for one in plans}
    return show("setup.plans", "_plans.html", plans=plans, names=names, limits=limits)


@bp.get("/plans/new")
@roles(*MANAGERS)
def new_plan() -> ResponseReturnValue:
    """The form for a new one."""
    return _page(None)


@bp.get("/plans/<int:plan_id>")
@roles(*MANAGERS)
def plan(plan_id: int) -> ResponseReturnValue:
    """One of them, to be changed."""
    return _page(_known(plan_id))


@bp.post("/plans")
@roles(*MANAGERS)
def add_plan() -> ResponseReturnValue:
    """Add one."""
    return _save(None)


@bp.post("/plans/<int:plan_id>")
@roles(*MANAGERS)
def save_plan(plan_id: int) -> ResponseReturnValue:
    """Change one, or take it off sale; what was sold stays as it was sold."""
    return _save(_known(plan_id))


def _save(chosen: PlanSetup | None) -> ResponseReturnValue:
    form = PlanForm()
    submitted = submit(
        form,
        "setup_plan",
        lambda: services.save_plan(
            plan_id=chosen.id if chosen else None,
            values=form.values(),
            items=form.items(),
            branch_ids=form.branch_ids.data or (),
            seen=seen() if chosen else None,
            actor=current_actor(),
        ),
        {
            "vat_rate_bp": "vat_percent",
            "validity_days": "validity",
            "validity_months": "validity",
            "items": "lines",
        },
    )
    return see("setup.plans", asked_branch()) if submitted.is_done else _page(chosen, form, submitted)


def _known(plan_id: int) -> PlanSetup:
    for one in queries.list_plans(plan_id):
        return one
    raise NotFoundError("not_found", N_("There is no such thing in your branches."))


def _page(
    chosen: PlanSetup | None, form: PlanForm | None = None, submitted: Submitted = NOT_SENT
) -> ResponseReturnValue:
    if chosen and submitted.is_stale:
        chosen = _known(chosen.id)
    if form is None or submitted.is_stale:
        form = PlanForm(formdata=None, data=_data(chosen) if chosen else {})
        wanted = min(len(form.lines) + SPARE, services.MOST_ITEMS)
        while len(form.lines) < wanted:
            form.lines.append_entry()
    kept = {item[0] for item in chosen.contents} if chosen else set()
    offered = [
        SelectChoice(str(one.id), one.name)
        for one in queries.list_services()
        if one.values["is_active"] or one.id in kept
    ]
    for entry in form.lines:
        entry.form.service.choices = [SelectChoice("", "–"), *offered, SelectChoice(ANY, _("Any service"))]
    form.branch_ids.choices = [SelectChoice(one.id, one.name) for one in list_branches()]
    return show(
        "setup.plans",
        "_plan.html",
        submitted,
        title=chosen.name if chosen else _("New package"),
        form=form,
        chosen=chosen,
        stamp=chosen.stamp if chosen else None,
    )


def _data(chosen: PlanSetup) -> dict[str, Any]:
    values = chosen.values
    return {
        **values,
        "vat_percent": percent(values["vat_rate_bp"]),
        "validity": values["validity_months"] or values["validity_days"],
        "unit": "months" if values["validity_months"] else "days",
        "branch_ids": chosen.branch_ids,
        "begins": "visit" if values["from_first_visit"] else "purchase",
        "lines": [
            {"service": str(service_id or ANY), "sessions": sessions, "bonus_sessions": bonus}
            for service_id, sessions, bonus in chosen.contents
        ],
    }


def _service_id(text: str) -> int | None:
    if text == ANY:
        return None
    try:
        return parse_id(text) or 0
    except ValueError:
        return 0  # no service has it
