"""Bringing customers over from another system."""

import sys
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext
from flask_babel import force_locale, gettext

from spa_app import clock
from spa_app.cli.servers import with_servers
from spa_app.config import Settings
from spa_app.errors import DomainError
from spa_app.money import format_money
from spa_app.queries.branches import BranchChoice, list_branches
from spa_app.services.actor import SYSTEM
from spa_app.services.imports import ImportPlan, RowReport, Table, import_table, plan_import, read_table

_PREVIEWED = 10  # bad rows; the report after the import names all


@click.command("import-customers")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--branch", "code", help="Code of the branch that the cards belong to (default: the first branch).")
@click.option(
    "--dry-run", is_flag=True, help="Show what would be imported, and every row that would not; store nothing."
)
@click.option("--yes", is_flag=True, help="Do not ask. Where no terminal can answer, nobody is asked either.")
@with_appcontext
def import_customers(file: Path, code: str | None, dry_run: bool, yes: bool) -> None:
    """Import customers and their cards from the CSV FILE of another system.

    Good rows are stored in one transaction; bad ones are named with the reason and stay out. To correct them, mend the
    file and import all of it again: what is there already is not imported twice.
    """
    settings: Settings = current_app.config["SETTINGS"]
    with with_servers(), force_locale(settings.locale):
        try:
            _import(file, code, settings, dry_run=dry_run, ask=not yes and sys.stdin.isatty())
        except DomainError as error:
            raise click.ClickException(f"{file.name}: {_say(error)}") from error


commands = [import_customers]


def _import(file: Path, code: str | None, settings: Settings, *, dry_run: bool, ask: bool) -> None:
    try:
        table = read_table(file.read_bytes())
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}.") from error
    branch = _branch(code)
    about = {"currency": settings.currency, "locale": settings.locale}
    plan = plan_import(table, today=clock.today(branch.timezone), **about)
    _show_preview(table, plan, branch, settings, every_row=dry_run)
    if dry_run:
        click.echo("Nothing was stored (--dry-run).")
        return
    if len(plan.bad) == plan.rows:
        raise click.ClickException(f"{file.name}: none of its {plan.rows} rows can be imported. Nothing was stored.")
    if ask:
        click.confirm("Import?", abort=True, default=True)
    plan = import_table(table, branch_id=branch.id, actor=SYSTEM, progress=_show_progress, **about)
    _show_result(table, plan)


def _branch(code: str | None) -> BranchChoice:
    branches = list_branches()
    for branch in branches:
        if code is None or branch.code == code.upper():
            return branch
    known = ", ".join(branch.code for branch in branches)
    raise click.ClickException(
        f"There is no branch {code}; there are: {known}." if known else "There is no branch yet to import into."
    )


def _show_preview(table: Table, plan: ImportPlan, branch: BranchChoice, settings: Settings, *, every_row: bool) -> None:
    delimiter = {"\t": "tab"}.get(table.delimiter, table.delimiter)
    click.echo(
        f"Read {plan.rows} rows ({table.encoding}, delimiter {delimiter}) for branch {branch.code}, {branch.name}."
    )
    click.echo("Columns: " + ", ".join(f"{heading} → {column}" for column, heading in table.headings.items()))
    if table.unused:
        click.echo("Not read: " + ", ".join(table.unused))
    if table.encoding == "cp1258":
        names = ", ".join(person.full_name for person in plan.new_people[:3])
        click.echo(f"The file is not UTF-8 and was read as Windows-1258 (Vietnamese). Are these names right? {names}")
    owed = format_money(plan.owed_amount, settings.currency, settings.locale)
    click.echo(f"  {len(plan.new_people):6} new customers")
    click.echo(f"  {len(plan.known_people):6} customers who are there already")
    click.echo(f"  {len(plan.cards):6} cards with sessions left, {owed} owed for them without VAT")
    click.echo(f"  {plan.cards_known:6} cards that were imported before")
    if plan.cards_without_value:
        click.echo(f"  {plan.cards_without_value:6} of the cards have no value in the file: nothing is owed for them")
    click.echo(f"  {len(plan.left_out):6} used up or expired cards that are left out (their customers are not)")
    click.echo(f"  {len(plan.bad):6} bad rows that are left out")
    if every_row:
        _show_rows(table, plan.left_out)
        _show_rows(table, plan.bad)
    else:
        _show_rows(table, plan.bad[:_PREVIEWED])
        if len(plan.bad) > _PREVIEWED:
            click.echo(f"  … and {len(plan.bad) - _PREVIEWED} more, named after the import or by --dry-run.")


def _show_progress(done: int, total: int) -> None:
    click.echo(f"Storing: {done} of {total}")


def _show_result(table: Table, plan: ImportPlan) -> None:
    _show_rows(table, plan.left_out)
    _show_rows(table, plan.bad[_PREVIEWED:])
    click.echo(
        f"Imported {len(plan.new_people)} customers and {len(plan.cards)} cards;"
        f" {len(plan.known_people)} customers and {plan.cards_known} cards were there already;"
        f" {len(plan.left_out)} cards and {len(plan.bad)} bad rows were left out."
    )


def _show_rows(table: Table, reports: list[RowReport]) -> None:
    for report in reports:
        for reason in report.reasons:
            heading = table.headings.get(reason.field or "")
            click.echo(f"Row {report.number}: {f'{heading}: ' if heading else ''}{_say(reason)}")


def _say(error: DomainError) -> str:
    return gettext(error.message, **error.params) if error.params else gettext(error.message)
