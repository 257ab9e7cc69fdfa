"""/setup/branch: what the branch is called, where it is and by which clocks it works."""

from zoneinfo import available_timezones

from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _l
from wtforms import SelectField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length

from spa_app.integrations.vietqr import BANKS
from spa_app.papers import format_phone
from spa_app.queries import setup as queries
from spa_app.queries.seen import stamp
from spa_app.queries.users import BranchRef
from spa_app.services import branches
from spa_app.web.forms import Form
from spa_app.web.navigation import MANAGERS
from spa_app.web.security import asked_branch, current_actor, roles
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit


class AboutForm(Form):
    """The branch itself."""

    name = StringField(
        _l("Name of the branch"), [InputRequired(), Length(max=branches.NAME_LENGTH)], render_kw={"autocomplete": "off"}
    )
    address = StringField(_l("Address"), [Length(max=branches.ADDRESS_LENGTH)], render_kw={"autocomplete": "off"})
    phone = StringField(_l("Phone"), [Length(max=40)], render_kw={"autocomplete": "off", "inputmode": "tel"})
    tax_code = StringField(_l("Tax number"), [Length(max=40)], render_kw={"autocomplete": "off"})
    bank_bin = SelectField(
        _l("Bank for transfers"),
        choices=[SelectChoice("", "–"), *(SelectChoice(number, name) for number, name in BANKS.items())],
        validate_choice=False,
    )
    bank_account = StringField(_l("Account number"), [Length(max=40)], render_kw={"autocomplete": "off"})
    bank_holder = StringField(
        _l("Account holder"), [Length(max=branches.NAME_LENGTH)], render_kw={"autocomplete": "off"}
    )
    timezone = StringField(
        _l("Time zone"), [InputRequired(), Length(max=64)], render_kw={"list": "timezones", "autocomplete": "off"}
    )


@bp.get("/branch")
@roles(*MANAGERS)
def about() -> ResponseReturnValue:
    """The branch's name, address, phone, tax number and time zone."""
    return _page(asked_branch())


@bp.post("/branch")
@roles(*MANAGERS)
def save_about() -> ResponseReturnValue:
    """Set them; 409 for another time zone while visits lie ahead."""
    branch, form = asked_branch(), AboutForm()
    submitted = submit(
        form,
        "setup_branch",
        lambda: branches.set_about(
            branch_id=branch.id,
            name=form.name.data or "",
            timezone=form.timezone.data or "",
            address=form.address.data or "",
            phone=form.phone.data or "",
            tax_code=form.tax_code.data or "",
            bank=(form.bank_bin.data or "", form.bank_account.data or "", form.bank_holder.data or ""),
            seen=seen(),
            actor=current_actor(),
        ),
    )
    return see("setup.about", branch) if submitted.is_done else _page(branch, form, submitted)


def _page(branch: BranchRef, form: AboutForm | None = None, submitted: Submitted = NOT_SENT) -> ResponseReturnValue:
    values = queries.columns_of(queries.get_branch(branch.id), queries.ABOUT_COLUMNS)
    if form is None or submitted.is_stale:
        form = AboutForm(formdata=None, data={**values, "phone": format_phone(values["phone"])})
    return show(
        "setup.about",
        "_about.html",
        submitted,
        form=form,
        stamp=stamp(values),
        timezones=sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")),
    )
