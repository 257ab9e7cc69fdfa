"""/setup/services: what the spa offers, how long it takes and what it costs from now on."""

from typing import Any

from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, DecimalField, IntegerField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange

from spa_app.errors import N_, NotFoundError
from spa_app.queries import setup as queries
from spa_app.queries.setup import ServiceSetup
from spa_app.services import catalogue, team
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import AmountField
from spa_app.web.navigation import MANAGERS
from spa_app.web.security import asked_branch, current_actor, roles
from spa_app.web.setup.fields import checks, despite, percent
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit


class ServiceForm(Form):
    """A service, its times in minutes, its price with VAT."""

    name = StringField(
        _l("Name of the service"), [InputRequired(), Length(max=team.NAME_LENGTH)], render_kw={"autocomplete": "off"}
    )
    duration_minutes = IntegerField(_l("Minutes"), [InputRequired(), NumberRange(5, 720)])
    buffer_before_minutes = IntegerField(
        _l("Minutes to prepare before"), [InputRequired(), NumberRange(0, 120)], default=0
    )
    buffer_after_minutes = IntegerField(
        _l("Minutes to clean up after"), [InputRequired(), NumberRange(0, 120)], default=0
    )
    price_amount = AmountField(
        _l("Price, VAT included"),
        [InputRequired()],
        render_kw={"inputmode": "numeric", "autocomplete": "off", "maxlength": 40},
    )
    vat_percent = DecimalField(_l("VAT in percent"), [InputRequired(), NumberRange(0, 100)], places=None, default=8)
    types = checks(_l("Needs"))
    is_active = BooleanField(_l("On offer"), default=True)
    despite = despite()

    def values(self) -> dict[str, Any]:
        """The service's columns."""
        names = [name for name in queries.SERVICE_COLUMNS if name != "vat_rate_bp"]
        vat = self.vat_percent.data
        return {
            **{name: self[name].data for name in names},
            "price_amount": self.price_amount.data if self.price_amount.data is not None else -1,
            "vat_rate_bp": int(vat * 100) if vat is not None else -1,
        }


@bp.get("/services")
@roles(*MANAGERS)
def services() -> ResponseReturnValue:
    """All services."""
    return show(
        "setup.services",
        "_services.html",
        services=queries.list_services(),
        type_names=dict(queries.list_room_types()),
    )


@bp.get("/services/new")
@roles(*MANAGERS)
def new_service() -> ResponseReturnValue:
    """The form for a new one."""
    return _page(None)


@bp.get("/services/<int:service_id>")
@roles(*MANAGERS)
def service(service_id: int) -> ResponseReturnValue:
    """One of them, to be changed."""
    return _page(_known(service_id))


@bp.post("/services")
@roles(*MANAGERS)
def add_service() -> ResponseReturnValue:
    """Add one."""
    return _save(None)


@bp.post("/services/<int:service_id>")
@roles(*MANAGERS)
def save_service(service_id: int) -> ResponseReturnValue:
    """Change one; 409 with the visits of one that is to be offered no longer, until ``despite`` is given."""
    return _save(_known(service_id))


def _save(chosen: ServiceSetup | None) -> ResponseReturnValue:
    form = ServiceForm()
    submitted = submit(
        form,
        "setup_service",
        lambda: catalogue.save_service(
            service_id=chosen.id if chosen else None,
            values=form.values(),
            types=form.types.data,
            despite_visits=form.despite.data,
            seen=seen() if chosen else None,
            actor=current_actor(),
        ),
        {"vat_rate_bp": "vat_percent"},
    )
    return see("setup.services", asked_branch()) if submitted.is_done else _page(chosen, form, submitted)


def _known(service_id: int) -> ServiceSetup:
    for one in queries.list_services(service_id):
        return one
    raise NotFoundError("not_found", N_("There is no such thing in your branches."))


def _page(
    chosen: ServiceSetup | None, form: ServiceForm | None = None, submitted: Submitted = NOT_SENT
) -> ResponseReturnValue:
    if chosen and submitted.is_stale:
        chosen = _known(chosen.id)
    if form is None or submitted.is_stale:
        vat = {"vat_percent": percent(chosen.values["vat_rate_bp"])} if chosen else {}
        form = ServiceForm(formdata=None, data={**(chosen.state if chosen else {}), **vat})
    form.types.choices = [SelectChoice(*one) for one in queries.list_room_types()]
    branch_id = asked_branch().id
    return show(
        "setup.services",
        "_service.html",
        submitted,
        title=chosen.name if chosen else _("New service"),
        form=form,
        chosen=chosen,
        stamp=chosen.stamp if chosen else None,
        visits=queries.visits_for_service(chosen.id, branch_id) if chosen else [],
    )
