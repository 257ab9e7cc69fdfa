"""The nightly work by hand: expire and reconcile."""

import datetime as dt
import sys

import click
from flask import current_app
from flask.cli import with_appcontext

from spa_app import clock
from spa_app.cli.servers import with_servers
from spa_app.errors import ConfigError, DomainError
from spa_app.money import format_money
from spa_app.services import expiry, reconciliation
from spa_app.services.actor import SYSTEM


@click.command("expire-treatments")
@click.option("--on", "on", metavar="DATE", help="The local date as of which to look (YYYY-MM-DD); by default today.")
@with_appcontext
def expire_treatments(on: str | None) -> None:
    """Expire the treatment cards whose last day is over; safe to run again, or in two places at once."""
    date = _asked_date(on, "valid cards would lose their sessions")
    with with_servers():
        for run in expiry.expire_due(date):
            click.echo(
                f"{run.branch_name}, {run.on}: {run.cards} cards, {run.sessions} sessions, {_money(run)} expired."
            )


@click.command("expire-gift-cards")
@click.option("--on", "on", metavar="DATE", help="The local date as of which to look (YYYY-MM-DD); by default today.")
@with_appcontext
def expire_gift_cards(on: str | None) -> None:
    """Expire the gift cards whose last day is over; safe to run again, or in two places at once."""
    date = _asked_date(on, "valid gift cards would lose what is on them")
    with with_servers():
        for run in expiry.expire_due_gift_cards(date):
            click.echo(f"{run.branch_name}, {run.on}: {run.cards} gift cards, {_money(run)} expired.")


@click.command()
@click.option("--fix-caches", is_flag=True, help="Write counters, amounts and statuses anew from their history.")
@with_appcontext
def reconcile(fix_caches: bool) -> None:
    """Compute every counter and balance anew from its history; exit 1 with a line per fault if one disagrees."""
    with with_servers():
        faults = reconciliation.list_faults()
        for fault in faults:
            click.echo(fault.text)
        if faults and fix_caches:
            try:
                reconciliation.fix_caches(faults, actor=SYSTEM)
            except DomainError as error:
                raise click.ClickException(str(error)) from error
            faults = reconciliation.list_faults()
            click.echo(f"Caches were written anew; {len(faults)} faults are left.")
            for fault in faults:
                click.echo(fault.text)
    if faults:
        raise SystemExit(1)
    click.echo("Everything stored agrees with its history.")


def _asked_date(on: str | None, harm: str) -> dt.date | None:
    date = _date(on) if on else None
    # A script means what it says; a person may have mistyped the year.
    tomorrow = clock.today(current_app.config["SETTINGS"].timezone) + dt.timedelta(days=1)
    if date and date > tomorrow and sys.stdin.isatty():
        click.confirm(f"{date} lies in the future: {harm}. Go on?", abort=True)
    return date


def _money(run: expiry.Expired) -> str:
    return format_money(run.amount, current_app.config["SETTINGS"].currency, "en")


def _date(value: str) -> dt.date:
    try:
        return dt.date.fromisoformat(value)
    except ValueError as error:
        raise ConfigError(f"--on {value} is not a date like 2026-03-31.") from error


commands = [expire_treatments, expire_gift_cards, reconcile]
