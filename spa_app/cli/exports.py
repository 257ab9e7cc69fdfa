"""Taking a spa's data along."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext
from flask_babel import force_locale, gettext

from spa_app.cli.servers import with_servers
from spa_app.config import Settings
from spa_app.services.actor import SYSTEM
from spa_app.services.exports import export_everything


@click.command("export")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@with_appcontext
def export(folder: Path) -> None:
    """Write everything that is stored into the folder DIR: tables as CSV and XLSX, visits as a calendar, a README.

    All files show one moment. They appear when all of them are whole, and replace those of an earlier export.
    """
    settings: Settings = current_app.config["SETTINGS"]
    with with_servers(), force_locale(settings.locale):
        try:
            export_everything(
                folder,
                actor=SYSTEM,
                currency=settings.currency,
                timezone=settings.timezone,
                translate=gettext,
                progress=lambda name, rows: click.echo(f"{name}: {rows} rows"),
            )
        except OSError as error:
            raise click.ClickException(
                f"{folder} cannot be written: {error.strerror}. Nothing was exported."
            ) from error
    click.echo(f"Everything is in {folder}; README.txt there says what is what.")


commands = [export]
