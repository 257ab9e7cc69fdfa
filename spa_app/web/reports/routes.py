"""/reports/: the daily report and the rows behind its figures. For managers, each in their own branches."""

import datetime as dt
from typing import Any

from babel.numbers import format_compact_decimal
from flask import Blueprint, Response, abort, current_app, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.extensions import db
from spa_app.models import PAYMENT_METHODS
from spa_app.money import to_major
from spa_app.queries import reports as queries
from spa_app.queries.users import BranchRef
from spa_app.web.htmx import render
from spa_app.web.i18n import current_locale
from spa_app.web.invoices.forms import METHODS
from spa_app.web.navigation import MANAGERS
from spa_app.web.reports import tables
from spa_app.web.reports.charts import stack
from spa_app.web.reports.export import FORMATS, export
from spa_app.web.reports.forms import DEFAULT_DAYS, PeriodForm
from spa_app.web.security import current_branch, local_today, roles, signed_in, use_branch

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
    branch, form, title = _branch(), _period(), _("Daily takings and sessions")
    if not form.validate():
        return _show("daily", title, branch, form, status=422)
    report = queries.get_daily(branch.id, timezone=branch.timezone, first=form.first.data, last=form.last.data)
    return _file("daily", branch, form, tables.daily(report)) or _show(
        "daily",
        title,
        branch,
        form,
        report=report,
        money_methods=queries.MONEY_METHODS,
        method_names={method: METHODS[method] for method in queries.MONEY_METHODS},
        takings=stack([{method: day.takings[method] for method in queries.MONEY_METHODS} for day in report.days]),
        sessions=stack([{"sessions": day.sessions} for day in report.days]),
    )


@bp.get("/payments")
@roles(*MANAGERS)
def payments() -> ResponseReturnValue:
    """The payments behind the takings, of one ``method`` or all."""
    branch, form, title = _branch(), _period(), _("Payments")
    method = request.args.get("method", "")
    method = method if method in PAYMENT_METHODS else ""
    if not form.validate():
        return _show("payments", title, branch, form, status=422, method=method)
    table = queries.list_payments(
        branch.id, first=form.first.data, last=form.last.data, method=method, page=_page_number()
    )
    return _file("payments", branch, form, tables.payments(table.rows)) or _show(
        "payments", title, branch, form, table=table, method=method
    )


@bp.get("/sessions")
@roles(*MANAGERS)
def sessions() -> ResponseReturnValue:
    """The sessions punched, forfeited and given back."""
    branch, form, title = _branch(), _period(), _("Sessions punched")
    if not form.validate():
        return _show("sessions", title, branch, form, status=422)
    table = queries.list_sessions(
        branch.id, timezone=branch.timezone, first=form.first.data, last=form.last.data, page=_page_number()
    )
    return _file("sessions", branch, form, tables.sessions(table.rows)) or _show(
        "sessions", title, branch, form, table=table, session_kind=tables.session_kind
    )


@bp.get("/owed")
@roles(*MANAGERS)
def owed() -> ResponseReturnValue:
    """The cards whose sessions are still owed, as of now."""
    branch = _branch()
    table = queries.list_owed(branch.id, timezone=branch.timezone, page=_page_number())
    return _file("owed", branch, None, tables.owed(table.rows)) or _show(
        "owed", _("Unused sessions owed"), branch, None, table=table
    )


def _branch() -> BranchRef:
    """The branch in the address, else the chosen one. 404 for one that is not the user's."""
    wanted = request.args.get("branch", "")
    if wanted:
        return use_branch(int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 20 else -1)
    branch = current_branch()
    if branch is None:
        abort(404)
    return branch


def _period() -> PeriodForm:
    return PeriodForm(local_today())


def _page_number() -> int | None:
    """The page asked for; None, which is all of it, for a file."""
    if request.args.get("format") in FORMATS:
        return None
    page = request.args.get("page", "")
    return max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 6 else 1


def _file(name: str, branch: BranchRef, form: PeriodForm | None, sheet: tables.Sheet) -> Response | None:
    """The report as a file, where the address asks for one."""
    kind = request.args.get("format", "")
    if kind not in FORMATS:
        return None
    period = f"{form.first.data}_{form.last.data}" if form else str(local_today())
    return export(kind, f"{name}_{branch.code}_{period}", sheet)


def _show(
    name: str, title: str, branch: BranchRef, form: PeriodForm | None, *, status: int = 200, **context: Any
) -> Response:
    kept: dict[str, object] = {"branch": branch.id, "method": context.get("method", "")}
    if form is not None and form.first.data and form.last.data:
        kept |= {"from": form.first.data.isoformat(), "to": form.last.data.isoformat()}

    def link(report: str, **changes: object) -> str:
        """The address of a report for the same branch and period, but for ``changes``."""
        values = {key: value for key, value in (kept | changes).items() if value}
        return url_for(f"reports.{report}", **values)  # type: ignore[arg-type]

    return render(
        "reports/page.html",
        f"reports/_{name}.html",
        status,
        view=f"reports/_{name}.html",
        title=title,
        branch=branch,
        branches=signed_in().branches,
        form=form,
        methods=METHODS,
        link=link,
        page_link=lambda number: link(name, page=number),
        quick_periods=_quick_periods,
        page_number=_page_number(),
        compact=_compact,
        **context,
    )


def _quick_periods() -> list[tuple[str, str, str]]:
    """Periods that are often wanted, as (label, first day, last day)."""
    today = local_today()
    month = today.replace(day=1)
    month_before = month - dt.timedelta(days=1)
    periods = [
        (_("Today"), today, today),
        (_("7 days"), today - dt.timedelta(days=6), today),
        (_("14 days"), today - dt.timedelta(days=DEFAULT_DAYS - 1), today),
        (_("This month"), month, today),
        (_("Last month"), month_before.replace(day=1), month_before),
    ]
    return [(label, first.isoformat(), last.isoformat()) for label, first, last in periods]


def _compact(amount: int) -> str:
    """Minor units for the scale of a chart: ``5M``, ``5 Tr``."""
    return format_compact_decimal(to_major(amount, current_app.config["SETTINGS"].currency), locale=current_locale())
