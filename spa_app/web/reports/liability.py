"""/reports/liability: what prepaid sessions are owed for, how it came about, and the cards behind it."""

import re

from flask import request
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app import clock
from spa_app.queries.ledger import liability as queries
from spa_app.queries.ledger.liability import MOVES, Lot
from spa_app.web.navigation import MANAGERS
from spa_app.web.reports import ledger_tables as tables
from spa_app.web.reports.charts import stack
from spa_app.web.reports.forms import PeriodForm
from spa_app.web.reports.frame import file, parts_of, show, wants_file
from spa_app.web.reports.routes import bp
from spa_app.web.security import asked_branch, local_today, roles

_LOT = re.compile(r"(\d{0,18})-(\d{0,18})", re.ASCII)
_MONTHS = 12


@bp.get("/liability")
@roles(*MANAGERS)
def liability() -> ResponseReturnValue:
    """The roll-forward by month and by package, and whether the ledger and the cards agree."""
    branch, form, title = asked_branch(), _form(), _("Package liability")
    lot = _lot()
    kept = {"lot": lot_text(lot)}
    if not form.validate():
        return show("liability", title, branch, form, status=422, kept=kept)
    report = queries.get_liability(branch.id, first=form.first.data, last=form.last.data, lot=lot)
    return file("package-liability", branch, form, tables.liability_by_month(report)) or show(
        "liability",
        title,
        branch,
        form,
        kept=kept,
        report=report,
        chart=stack([{"owed": month.roll.closing} for month in report.months]),
        moves={move: name for move, name in tables.move_names().items() if report.total.moves[move]},
        part_period=parts_of(form, by_month=True),
        lot=lot,
        lot_text=lot_text,
    )


@bp.get("/liability/cards")
@roles(*MANAGERS)
def liability_cards() -> ResponseReturnValue:
    """The cards behind the roll-forward: of one package (``lot``), or those that one ``move`` changed."""
    branch, form, title = asked_branch(), _form(), _("Cards behind the liability")
    lot, move, after = _lot(), request.args.get("move", ""), request.args.get("after", "")
    move = move if move in MOVES else ""
    kept = {"lot": lot_text(lot), "move": move}
    if not form.validate():
        return show("liability_cards", title, branch, form, status=422, kept=kept)
    rows = queries.list_cards(
        branch.id,
        first=form.first.data,
        last=form.last.data,
        lot=lot,
        move=move,
        after=int(after) if after.isascii() and after.isdigit() and len(after) < 19 and not wants_file() else 0,
        per_page=None if wants_file() else queries.PER_PAGE,
    )
    shown = rows if wants_file() else rows[: queries.PER_PAGE]
    names = tables.move_names()
    return file("liability-cards", branch, form, tables.cards(shown)) or show(
        "liability_cards",
        title,
        branch,
        form,
        kept=kept,
        rows=shown,
        following=shown[-1].card_id if len(rows) > len(shown) else None,
        is_continued=bool(after),
        moves=names,
        shown={one: name for one, name in names.items() if any(row.roll.moves[one] for row in shown)},
        move=move,
        lot=lot,
    )


def lot_text(lot: Lot | None) -> str:
    """A package and service as the address has them: ``3-5``, ``-5`` for imported cards; empty for all."""
    return "" if lot is None else "-".join("" if part is None else str(part) for part in lot)


def _form() -> PeriodForm:
    """The period asked for; this month and the eleven before it unless one is given."""
    today = local_today()
    return PeriodForm(today, clock.add_months(today.replace(day=1), 1 - _MONTHS))


def _lot() -> Lot | None:
    found = _LOT.fullmatch(request.args.get("lot", ""))
    if found is None:
        return None
    plan_id, service_id = (int(part) if part else None for part in found.groups())
    return plan_id, service_id
