"""/reports/export: the spa's data as files. For managers of their own branches; an owner may take all of it at once."""

import tempfile
from typing import Any

from flask import Response, current_app, send_file
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import DateField, RadioField, SelectField
from wtforms.validators import InputRequired, Optional

from spa_app import clock
from spa_app.errors import InvalidError
from spa_app.queries.exports import TABLES, Scope
from spa_app.services.exports import export_one
from spa_app.web.errors import add_to_form
from spa_app.web.forms import Form
from spa_app.web.htmx import render
from spa_app.web.navigation import MANAGERS
from spa_app.web.reports.export import IN_MEMORY, MIME_TYPES
from spa_app.web.reports.forms import EARLIEST, LATEST
from spa_app.web.reports.routes import bp
from spa_app.web.security import current_actor, local_timezone, roles, signed_in

ALL = "all"


class ExportForm(Form):
    """What, of which branch and days, and as what. No day means no bound."""

    what = SelectField(_l("What"), [InputRequired()])
    branch = SelectField(_l("Branch"), [InputRequired()])
    first = DateField(_l("From"), [Optional()], name="from")
    last = DateField(_l("To"), [Optional()], name="to")
    format = RadioField(_l("As"), [InputRequired()], default="xlsx")

    def __init__(self) -> None:
        super().__init__()
        self.what.choices = [(table.name, _(table.title)) for table in TABLES.values()]
        branches = signed_in().branches
        choices = [(str(branch.id), branch.name) for branch in branches]
        everything = _("All branches") if signed_in().role == "owner" else _("All my branches")
        self.branch.choices = [(ALL, everything), *choices] if len(choices) > 1 else choices
        self.format.choices = [("xlsx", _("Excel")), ("csv", _("CSV")), ("ics", _("Calendar (visits only)"))]

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Whether there is such an export; the fields say what is wrong."""
        if not super().validate(*args, **kwargs):
            return False
        first, last = self.first.data, self.last.data
        if first and first < EARLIEST:
            self.first.errors = [_("Choose a date from %(year)s on.", year=EARLIEST.year)]
        elif last and last > LATEST:
            self.last.errors = [_("Choose a date before %(year)s.", year=LATEST.year + 1)]
        elif (first and first > LATEST) or (last and last < EARLIEST) or (first and last and last < first):
            self.last.errors = [_("The end lies before the beginning.")]
        return not (self.first.errors or self.last.errors)

    @property
    def scope(self) -> Scope:
        """What the form asks for. All branches of an owner are everything there is, former branches too."""
        bounds = (self.first.data, self.last.data) if TABLES[self.what.data].has_days else (None, None)
        branches = signed_in().branches
        if self.branch.data == ALL and signed_in().role == "owner" and bounds == (None, None):
            return Scope()
        chosen = [branch for branch in branches if self.branch.data in (ALL, str(branch.id))]
        return Scope(tuple((branch.id, branch.timezone) for branch in chosen), *bounds)


@bp.get("/export")
@roles(*MANAGERS)
def export_page() -> ResponseReturnValue:
    """What can be taken along, and what each column of it is."""
    return _show(ExportForm(), 200)


@bp.post("/export")
@roles(*MANAGERS)
def take_export() -> ResponseReturnValue:
    """The file, once it is whole, and who took it in the audit log."""
    form = ExportForm()
    if not form.validate():
        return _show(form, 422)
    settings = current_app.config["SETTINGS"]
    what, kind = form.what.data, form.format.data
    # Flask closes it, and it is gone then.
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
    try:
        export_one(
            file,
            what=what,
            kind=kind,
            scope=form.scope,
            actor=current_actor(),
            currency=settings.currency,
            timezone=settings.timezone,
        )
    except InvalidError as error:
        file.close()
        add_to_form(form, error)
        return _show(form, 422)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    name = f"{what}_{_branch_name(form)}_{clock.today(local_timezone())}.{kind}"
    return send_file(file, mimetype=MIME_TYPES[kind], as_attachment=True, download_name=name)


def _branch_name(form: ExportForm) -> str:
    return next((branch.code for branch in signed_in().branches if str(branch.id) == form.branch.data), ALL)


def _show(form: ExportForm, status: int) -> Response:
    return render(
        "reports/page.html",
        "reports/_export.html",
        status,
        view="reports/_export.html",
        title=_("Export"),
        form=form,
        tables=TABLES.values(),
    )
