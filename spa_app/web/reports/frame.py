"""What every report has around it: its address, which holds branch, period and what is chosen, its files, its page."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from babel.numbers import format_compact_decimal
from flask import Response, current_app, request, url_for
from flask_babel import gettext as _

from spa_app import clock
from spa_app.money import to_major
from spa_app.queries.ledger.chart import account_name, event_name, vas_code
from spa_app.queries.users import BranchRef
from spa_app.web.htmx import render
from spa_app.web.i18n import current_locale
from spa_app.web.invoices.forms import WAYS, plain_amount
from spa_app.web.reports.export import FORMATS, export
from spa_app.web.reports.forms import DEFAULT_DAYS, PeriodForm
from spa_app.web.reports.tables import Sheet
from spa_app.web.security import local_today, signed_in


def wants_file() -> bool:
    """Whether the address asks for a file, which holds all of the report."""
    return request.args.get("format") in FORMATS


def page_number() -> int | None:
    """The page asked for; None, which is all of it, for a file."""
    if wants_file():
        return None
    page = request.args.get("page", "")
    return max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 6 else 1


def file(name: str, branch: BranchRef, form: PeriodForm | None, sheet: Sheet) -> Response | None:
    """The report as a file, where the address asks for one."""
    if not wants_file():
        return None
    return export(request.args["format"], file_name(name, branch, form), sheet)


def file_name(name: str, branch: BranchRef, form: PeriodForm | None) -> str:
    """What a report's file is called, without its ending."""
    period = f"{form.first.data}_{form.last.data}" if form else str(local_today())
    return f"{name}_{branch.code}_{period}"


def parts_of(form: PeriodForm, *, by_month: bool) -> Callable[[dt.date], dict[str, str]]:
    """What narrows the address of a report to a day of the period, or to what the period holds of a month."""

    def part(on: dt.date) -> dict[str, str]:
        last = clock.add_months(on.replace(day=1), 1) - dt.timedelta(days=1) if by_month else on
        return {"from": max(on, form.first.data).isoformat(), "to": min(last, form.last.data).isoformat()}

    return part


def show(
    name: str,
    title: str,
    branch: BranchRef,
    form: PeriodForm | None,
    *,
    status: int = 200,
    place: Mapping[str, object] | None = None,
    kept: Mapping[str, object] | None = None,
    **context: Any,
) -> Response:
    """The page of the report ``name``. Its links keep branch, period and ``kept``; ``place`` is part of its path."""
    chosen = {key: value for key, value in (kept or {}).items() if value}
    period = {}
    if form is not None and form.first.data and form.last.data:
        period = {"from": form.first.data.isoformat(), "to": form.last.data.isoformat()}

    def link(report: str, **changes: object) -> str:
        """The address of a report for the same branch and period, but for ``changes``."""
        path = place or {} if report == name else {}
        values = {"branch": branch.id, **path, **chosen, **changes}
        values |= {key: value for key, value in period.items() if key not in changes}
        return url_for(f"reports.{report}", **{key: value for key, value in values.items() if value})  # type: ignore[arg-type]

    return render(
        "reports/page.html",
        f"reports/_{name}.html",
        status,
        view=f"reports/_{name}.html",
        title=title,
        branch=branch,
        branches=signed_in().branches,
        form=form,
        methods=WAYS,
        action=url_for(f"reports.{name}", **(place or {})),  # type: ignore[arg-type]
        kept=chosen,
        link=link,
        page_link=lambda number: link(name, page=number),
        quick_periods=_quick_periods,
        page_number=page_number(),
        compact=_compact,
        plain=plain_amount,
        currency=current_app.config["SETTINGS"].currency,
        account_name=account_name,
        event_name=event_name,
        vas_code=vas_code,
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
        (_("This year"), today.replace(month=1, day=1), today),
    ]
    return [(label, first.isoformat(), last.isoformat()) for label, first, last in periods]


def _compact(amount: int) -> str:
    """Minor units for the scale of a chart: ``5M``, ``5 Tr``."""
    return format_compact_decimal(to_major(amount, current_app.config["SETTINGS"].currency), locale=current_locale())
