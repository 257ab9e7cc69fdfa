"""/day-close: what a day came to, its close, and the Z-report that is kept of it. For managers."""

import datetime as dt

from flask import Blueprint, Response, abort, make_response, render_template, request, url_for
from flask import redirect as plain_redirect
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import ConflictError, InvalidError
from spa_app.queries import day_close as queries
from spa_app.queries.day_close import ZReport
from spa_app.queries.day_facts import ZFacts, get_facts, list_unfinished
from spa_app.queries.setup import get_branch
from spa_app.queries.users import BranchRef
from spa_app.services import day_close
from spa_app.services.ledger import last_closed_day
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.day_close import words
from spa_app.web.day_close.forms import CloseDayForm, ReasonForm
from spa_app.web.htmx import redirect, render, toast
from spa_app.web.invoices.forms import WAYS
from spa_app.web.navigation import MANAGERS
from spa_app.web.reports.export import FORMATS, export
from spa_app.web.security import asked_branch, current_actor, local_today, roles, signed_in, use_branch
from spa_app.web.times import NOT_A_DATE, parse_date

bp = Blueprint("day_close", __name__)

errors.register_way_out("reopen_day", "day_close.index", "branch", "date", roles=MANAGERS)
errors.register_way_out("close_day", "day_close.index", "branch", "date", roles=MANAGERS)
errors.register_way_out("count_drawer", "day_close.counting", "session_id")
errors.register_way_out("explain_variance", "day_close.session", "session_id")
errors.register_way_out("open_invoices", "invoices.index", "date", status="due")


@bp.get("/day-close")
@roles(*MANAGERS)
def index() -> ResponseReturnValue:
    """What a day (``date``: today unless given) of a ``branch`` came to so far; the report of one that is closed."""
    branch = asked_branch()
    day = _day(request.args.get("date", "")) or local_today()
    report_id = queries.find_report(branch.id, day)
    if report_id is not None:
        kind = request.args.get("format", "")
        return plain_redirect(
            url_for("day_close.report", report_id=report_id, format=kind if kind in FORMATS else None)
        )
    return _page(branch, day)


@bp.post("/day-close")
@roles(*MANAGERS)
def close() -> ResponseReturnValue:
    """Close the books of ``date`` in ``branch``; ``uncounted`` closes open drawers as not counted."""
    branch, form = asked_branch(), CloseDayForm()
    day = _day(request.form.get("date", ""))
    if day is None or not form.validate():
        form.form_errors = [_(NOT_A_DATE)]
        return _page(branch, local_today(), form, 422)
    try:
        report_id = run_once(
            "close_day",
            lambda: day_close.close_day(branch.id, on=day, uncounted=form.uncounted.data, actor=current_actor()),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _page(branch, day, form, errors.status_of(error))
    toast(_("The day is closed."))
    return redirect(url_for("day_close.report", report_id=report_id))


@bp.get("/day-close/<int:report_id>")
@roles(*MANAGERS)
def report(report_id: int) -> ResponseReturnValue:
    """The Z-report of a closed day, or its file."""
    shown = _known(report_id)
    kind = request.args.get("format", "")
    if kind in FORMATS:
        name = f"z_{shown.branch.code}_{shown.z_number}_{shown.closed_on}"
        return export(kind, name, words.sheet(shown.facts))
    return _report(shown)


@bp.get("/day-close/<int:report_id>/paper")
@roles(*MANAGERS)
def paper(report_id: int) -> ResponseReturnValue:
    """The Z-report to print, on 80 mm paper or A4."""
    shown = _known(report_id)
    return make_response(
        render_template("day_close/paper.html", report=shown, facts=shown.facts, **_words(shown.facts))
    )


@bp.post("/day-close/<int:report_id>/reopen")
@roles(*MANAGERS)
def reopen(report_id: int) -> ResponseReturnValue:
    """Open the books of the day again: ``reason``."""
    shown, form = _known(report_id), ReasonForm()
    if not form.validate():
        return _report(shown, form, 422)
    try:
        run_once(
            "reopen_day",
            lambda: day_close.reopen_day(report_id, reason=form.reason.data or "", actor=current_actor()),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _report(_known(report_id), form, errors.status_of(error))
    toast(_("The day is open again. Its report stays as it was; close the day once you are done."))
    return redirect(url_for("day_close.index", date=shown.closed_on, branch=shown.branch.id))


def _page(branch: BranchRef, day: dt.date, form: CloseDayForm | None = None, status: int = 200) -> ResponseReturnValue:
    facts = get_facts(branch.id, day, timezone=branch.timezone, after=last_closed_day(branch.id))
    kind = request.args.get("format", "")
    if kind in FORMATS and request.method == "GET":
        return export(kind, f"day_{branch.code}_{day}", words.sheet(facts))
    latest = queries.find_report(branch.id, day, live_only=False)
    return render(
        "day_close/page.html",
        "day_close/_close.html",
        status,
        view="day_close/_close.html",
        title=_("Day close"),
        branch=branch,
        branches=signed_in().branches,
        day=day,
        today=local_today(),
        form=form or CloseDayForm(formdata=None),
        facts=facts,
        last_closed=last_closed_day(branch.id),
        latest=queries.get_report(latest) if latest else None,
        unfinished=list_unfinished(branch.id, day, timezone=branch.timezone),
        closes=queries.list_closes(branch.id),
        blocks=get_branch(branch.id).close_with_open_invoices == "block",
        **_words(facts),
        **_links(branch.id, day),
    )


def _report(shown: ZReport, form: ReasonForm | None = None, status: int = 200) -> Response:
    return render(
        "day_close/page.html",
        "day_close/_report.html",
        status,
        view="day_close/_report.html",
        title=_("Z-report %(number)s", number=shown.z_number),
        report=shown,
        facts=shown.facts,
        form=form or ReasonForm(formdata=None),
        change_word=words.change,
        **_words(shown.facts),
        **_links(shown.branch.id, shown.closed_on),
    )


def _words(facts: ZFacts) -> dict[str, object]:
    kinds = words.kinds()
    ranks_of_kinds = {kind: rank for rank, kind in enumerate(kinds)}
    ranks_of_ways = {way: rank for rank, way in enumerate(WAYS)}
    return {
        "kinds": kinds,
        # As a day is told: what was sold before what was taken off it, and cash first.
        "sold": sorted(facts.sales, key=lambda row: ranks_of_kinds.get(row.kind, len(kinds))),
        "taken": sorted(facts.payments, key=lambda row: ranks_of_ways.get(row.method, len(WAYS))),
        "methods": WAYS,
        "opened_as": words.opened_as,
        "instant": dt.datetime.fromisoformat,
        "percent": words.percent,
        "has_open_drawer": any(one.closed_at is None for one in facts.drawers),
    }


def _links(branch_id: int, day: dt.date) -> dict[str, object]:
    """Where the rows behind the figures are."""

    def rows(name: str, **more: str) -> str:
        return url_for(f"reports.{name}", branch=branch_id, **{"from": str(day), "to": str(day)}, **more)  # type: ignore[arg-type]

    def sales(**more: str) -> str:
        return url_for("invoices.index", branch=branch_id, date=str(day), **more)  # type: ignore[arg-type]

    return {"rows_url": rows, "sales_url": sales}


def _known(report_id: int) -> ZReport:
    branch_id = queries.find_report_branch(report_id, branch_ids=[one.id for one in signed_in().branches])
    if branch_id is None:
        abort(404)
    use_branch(branch_id)
    return queries.get_report(report_id)


def _day(text: str) -> dt.date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None
