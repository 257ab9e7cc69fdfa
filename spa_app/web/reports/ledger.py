"""/reports/ledger: the trial balance, and from any of its figures down to the entry and the document behind it."""

import datetime as dt
import re
from typing import Any

from flask import abort, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.queries.ledger import balances, entries
from spa_app.queries.ledger.chart import EVENTS, KINDS, account_name
from spa_app.queries.ledger.entries import Place
from spa_app.queries.ledger.journal import read_journal
from spa_app.web.navigation import MANAGERS
from spa_app.web.reports import ledger_tables as tables
from spa_app.web.reports.charts import stack
from spa_app.web.reports.forms import PeriodForm
from spa_app.web.reports.frame import file, parts_of, show, wants_file
from spa_app.web.reports.routes import bp
from spa_app.web.security import asked_branch, local_today, roles, signed_in, use_branch

_PLACE = re.compile(r"(\d{4}-\d{2}-\d{2})\.(\d{1,18})\.(\d{1,18})", re.ASCII)


@bp.get("/ledger")
@roles(*MANAGERS)
def ledger() -> ResponseReturnValue:
    """The trial balance."""
    branch, form, title = asked_branch(), month_form(), _("Trial balance")
    if not form.validate():
        return show("ledger", title, branch, form, status=422)
    balance = balances.get_trial_balance(branch.id, first=form.first.data, last=form.last.data)
    return file("trial-balance", branch, form, tables.trial_balance(balance)) or show(
        "ledger", title, branch, form, balance=balance, kinds=KINDS
    )


@bp.get("/ledger/accounts/<int:account_id>")
@roles(*MANAGERS)
def account(account_id: int) -> ResponseReturnValue:
    """The lines of an account, with the balance after each; of one ``event`` if it is named."""
    found = entries.get_account(account_id)
    if found is None:
        abort(404)
    branch, form = asked_branch(), month_form()
    title = f"{found.code} {_(account_name(found.code, found.name))}"
    place = {"account_id": account_id}
    event = _event()
    if not form.validate():
        return show("account", title, branch, form, status=422, place=place, kept={"event": event})
    period: dict[str, Any] = {"first": form.first.data, "last": form.last.data}
    balance = balances.get_account_balance(branch.id, account_id, **period, event=event)
    page = entries.list_account_lines(
        branch.id,
        account_id,
        **period,
        opening=None if event else balance.opening,
        event=event,
        after=_after(),
        per_page=None if wants_file() else entries.PER_PAGE,
    )
    return file(f"account-{found.code}", branch, form, tables.account(page.rows)) or show(
        "account",
        title,
        branch,
        form,
        place=place,
        kept={"event": event},
        account=found,
        balance=balance,
        lines=page,
        is_continued=_after() is not None,
        event=event,
        events=entries.list_events(branch.id, **period, account_id=account_id),
    )


@bp.get("/ledger/journal")
@roles(*MANAGERS)
def journal() -> ResponseReturnValue:
    """The entries of a period, of one ``event`` if it is named; as a file every line of them, for accountants."""
    branch, form, title = asked_branch(), month_form(), _("Journal")
    event = _event()
    if not form.validate():
        return show("journal", title, branch, form, status=422, kept={"event": event})
    period: dict[str, Any] = {"first": form.first.data, "last": form.last.data}
    return file("journal", branch, form, tables.journal(read_journal(branch.id, **period))) or show(
        "journal",
        title,
        branch,
        form,
        kept={"event": event},
        found=entries.list_entries(branch.id, **period, event=event, after=_after()),
        is_continued=_after() is not None,
        event=event,
        events=EVENTS,
    )


@bp.get("/ledger/entries/<int:entry_id>")
@roles(*MANAGERS)
def entry(entry_id: int) -> ResponseReturnValue:
    """An entry: its lines, and what it came from."""
    branch_id = entries.find_entry_branch(entry_id, branch_ids=[branch.id for branch in signed_in().branches])
    if branch_id is None:
        abort(404)
    branch = use_branch(branch_id)
    found = entries.get_entry(entry_id)
    return file(f"entry-{entry_id}", branch, None, tables.entry(found)) or show(
        "entry",
        _("Journal entry %(number)s", number=entry_id),
        branch,
        None,
        place={"entry_id": entry_id},
        entry=found,
    )


@bp.get("/revenue")
@roles(*MANAGERS)
def revenue() -> ResponseReturnValue:
    """What was earned, by day or month and by account."""
    branch, form, title = asked_branch(), month_form(), _("Revenue")
    if not form.validate():
        return show("revenue", title, branch, form, status=422)
    report = balances.get_revenue(branch.id, first=form.first.data, last=form.last.data)
    return file("revenue", branch, form, tables.revenue(report)) or show(
        "revenue",
        title,
        branch,
        form,
        report=report,
        chart=stack([{code: part.amounts[code] for _id, code, _name in report.accounts} for part in report.parts]),
        part_period=parts_of(form, by_month=report.is_by_month),
        names={code: _(account_name(code, name)) for _id, code, name in report.accounts},
    )


def month_form() -> PeriodForm:
    """The period asked for; this month unless one is given."""
    today = local_today()
    return PeriodForm(today, today.replace(day=1))


def _event() -> str:
    """What entries were asked for; empty for all."""
    event = request.args.get("event", "")
    return event if event in EVENTS else ""


def _after() -> Place | None:
    """Where the page before this one ended; the beginning for what is no such place, and for a file."""
    found = _PLACE.fullmatch(request.args.get("after", ""))
    if found is None or wants_file():
        return None
    try:
        return Place(dt.date.fromisoformat(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None
