"""/reports/: the daily report and the rows behind its figures. For managers, each in their own branches."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.extensions import db
from spa_app.models import MONEY_METHODS
from spa_app.queries import reports as queries
from spa_app.web.htmx import render
from spa_app.web.invoices.forms import METHODS, WAYS
from spa_app.web.navigation import MANAGERS
from spa_app.web.reports import tables
from spa_app.web.reports.charts import stack
from spa_app.web.reports.forms import PeriodForm
from spa_app.web.reports.frame import file, page_number, show
from spa_app.web.security import asked_branch, local_today, roles

bp = Blueprint("reports", __name__, url_prefix="/reports")


@bp.before_request
def _read_from_the_replica() -> None:
    # Who is asking is known by now, from the main database.
    db.session().info["reports"] = True


@bp.get("/")
@roles(*MANAGERS)
def index() -> ResponseReturnValue:
    """What reports there are."""
    return render("reports/page.html", "reports/_index.html", view="reports/_index.html", title=_("Reports"))


@bp.get("/daily")
@roles(*MANAGERS)
def daily() -> ResponseReturnValue:
    """Takings per day and method, sessions punched and their revenue, and what is owed now."""
    branch, form, title = asked_branch(), PeriodForm(local_today()), _("Daily takings and sessions")
    if not form.validate():
        return show("daily", title, branch, form, status=422)
    report = queries.get_daily(branch.id, timezone=branch.timezone, first=form.first.data, last=form.last.data)
    return file("daily", branch, form, tables.daily(report)) or show(
        "daily",
        title,
        branch,
        form,
        report=report,
        money_methods=MONEY_METHODS,
        other_methods=[method for method in queries.OTHER_METHODS if any(day.takings[method] for day in report.days)],
        method_names={method: METHODS[method] for method in MONEY_METHODS},
        takings=stack([{method: day.takings[method] for method in MONEY_METHODS} for day in report.days]),
        sessions=stack([{"sessions": day.sessions} for day in report.days]),
    )


@bp.get("/payments")
@roles(*MANAGERS)
def payments() -> ResponseReturnValue:
    """The payments behind the takings, of one ``method`` or all."""
    branch, form, title = asked_branch(), PeriodForm(local_today()), _("Payments")
    method = request.args.get("method", "")
    method = method if method in WAYS else ""
    if not form.validate():
        return show("payments", title, branch, form, status=422, kept={"method": method}, method=method)
    table = queries.list_payments(
        branch.id, first=form.first.data, last=form.last.data, method=method, page=page_number()
    )
    return file("payments", branch, form, tables.payments(table.rows)) or show(
        "payments", title, branch, form, table=table, kept={"method": method}, method=method
    )


@bp.get("/sessions")
@roles(*MANAGERS)
def sessions() -> ResponseReturnValue:
    """The sessions punched, forfeited and given back."""
    branch, form, title = asked_branch(), PeriodForm(local_today()), _("Sessions punched")
    if not form.validate():
        return show("sessions", title, branch, form, status=422)
    table = queries.list_sessions(
        branch.id, timezone=branch.timezone, first=form.first.data, last=form.last.data, page=page_number()
    )
    return file("sessions", branch, form, tables.sessions(table.rows)) or show(
        "sessions", title, branch, form, table=table, session_kind=tables.session_kind
    )


@bp.get("/owed")
@roles(*MANAGERS)
def owed() -> ResponseReturnValue:
    """The cards whose sessions are still owed, as of now."""
    branch = asked_branch()
    table = queries.list_owed(branch.id, timezone=branch.timezone, page=page_number())
    return file("owed", branch, None, tables.owed(table.rows)) or show(
        "owed", _("Unused sessions owed"), branch, None, table=table
    )
