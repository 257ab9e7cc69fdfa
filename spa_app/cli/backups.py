"""Backup and restore: all that is stored, as one file."""

import datetime as dt
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import flask_migrate
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy import text

from spa_app import clock
from spa_app.cli.backup_file import NEWER, BackupReader, Manifest, new_backup, open_backup
from spa_app.cli.dump import Database
from spa_app.cli.servers import with_servers
from spa_app.config import Settings
from spa_app.extensions import db
from spa_app.queries.exports.stream import snapshot
from spa_app.services import backups, reconciliation
from spa_app.services.actor import SYSTEM
from spa_app.services.customer_files import list_stored, path_of, put_file, remove_others


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_appcontext
def backup(file: Path) -> None:
    """Write all that is stored into the one FILE: the database and the customers' photos and forms.

    It shows one moment, while the spa works on. FILE appears when it is whole, readable by you only; one that is there
    already is never replaced. The secret key and the servers' passwords are not in it.
    """
    with with_servers() as app:
        manifest, missing = _back_up(app, file)
    click.echo(f"{file} holds the database and {len(manifest.files)} files of customers.")
    if missing:
        click.echo(f"{missing} more files that the database names are not there.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace what is stored now; a backup of it is made first.")
@click.option("--yes", is_flag=True, help="Do not ask. Where no terminal can answer, nobody is asked either.")
@with_appcontext
def restore(file: Path, replace: bool, yes: bool) -> None:
    """Put back what `backup` has written into FILE, into an empty database, and prove the books.

    FILE is read to its end before anything is changed, and the database is replaced as a whole or not at all. Stop
    spa_app first.
    """
    with open_backup(file) as reader, with_servers(schema=False) as app:
        manifest = reader.manifest
        settings: Settings = app.config["SETTINGS"]
        if manifest.schema not in _known_schemas():
            raise click.ClickException(NEWER)
        if manifest.currency != settings.currency:
            raise click.ClickException(
                f"The amounts in {file} are in {manifest.currency}, and SPA_CURRENCY is {settings.currency}."
            )
        database = _database(app)
        database.require_alone()
        if not database.is_empty():
            if not replace:
                raise click.ClickException(
                    "The database is not empty: nothing was restored. With --replace the backup takes its place."
                )
            if not yes and sys.stdin.isatty():
                click.confirm(f"Replace all that is stored now by what was at {manifest.made_at}?", abort=True)
            before = settings.data_dir / f"replaced-{clock.now().astimezone(dt.UTC):%Y%m%dT%H%M%SZ}.spa"
            _back_up(app, before)
            db.session.remove()
            db.engine.dispose()
            click.echo(f"What was stored until now is in {before}.")
        _put_back(database, reader, settings.data_dir)
        (settings.data_dir / "demo-data").unlink(missing_ok=True)  # `up` would name its logins
        flask_migrate.upgrade()
        backups.record_restore(made_at=manifest.made_at, files=len(manifest.files), actor=SYSTEM)
        faults = reconciliation.list_faults()
    click.echo(f"Restored what was stored at {manifest.made_at}, with {len(manifest.files)} files of customers.")
    for fault in faults:
        click.echo(fault.text)
    if faults:
        raise SystemExit(1)
    click.echo("Everything stored agrees with its history.")


commands = [backup, restore]


def _back_up(app: Flask, file: Path) -> tuple[Manifest, int]:
    """Write a backup; what it says about itself, and how many files of customers were not there."""
    settings: Settings = app.config["SETTINGS"]
    with _new_file(file) as workshop:
        # The files that the dumped rows name, and no others.
        with snapshot() as connection:
            manifest = Manifest(
                made_at=clock.now().astimezone(dt.UTC).isoformat(timespec="seconds"),
                schema=str(connection.scalar(text("SELECT version_num FROM alembic_version"))),
                currency=settings.currency,
                dumped_by=_database(app).dump(
                    workshop / "dump", state=str(connection.scalar(text("SELECT pg_export_snapshot()")))
                ),
            )
            named = list_stored(connection)
        missing = _write(workshop / "whole", workshop / "dump", manifest, named, settings.data_dir)
    backups.record_backup(made_at=manifest.made_at, files=len(manifest.files), actor=SYSTEM)
    return manifest, missing


@contextmanager
def _new_file(file: Path) -> Iterator[Path]:
    """A folder beside ``file`` in which the block makes ``whole``, which becomes ``file`` at its end."""
    try:
        _refuse_to_replace(file)
        workshop = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=file.parent))
        try:
            yield workshop
            _refuse_to_replace(file)
            (workshop / "whole").rename(file)
            folder = os.open(file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # the name must outlive a power cut as well as the bytes
            finally:
                os.close(folder)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}. Nothing was backed up.") from error


def _refuse_to_replace(file: Path) -> None:
    if file.exists():
        raise click.ClickException(f"{file} is there already: name another file. Nothing was backed up.")


def _write(whole: Path, dump: Path, manifest: Manifest, named: list[uuid.UUID], data_dir: Path) -> int:
    missing = 0
    with new_backup(whole, manifest) as writer:
        writer.add_dump(dump)
        for stored_as in named:
            try:
                writer.add_file(stored_as, path_of(data_dir, stored_as))
            except FileNotFoundError:  # deleted since, or lost before
                missing += 1
    return missing


def _put_back(database: Database, reader: BackupReader, data_dir: Path) -> None:
    """Files first: until the database is there they are in nobody's way, and then none is missing."""
    try:
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=data_dir) as workshop:
            dump = Path(workshop) / "dump"
            with dump.open("wb") as to:
                reader.copy_dump(to)
            for stored_as in reader.manifest.files:
                put_file(data_dir, stored_as, reader.read_file(stored_as))
            database.put_back(dump, written_by=reader.manifest.dumped_by)
        remove_others(data_dir, reader.manifest.files)
    except OSError as error:
        raise click.ClickException(f"{data_dir} cannot be written: {error.strerror}.") from error


def _known_schemas() -> set[str]:
    scripts = ScriptDirectory(current_app.extensions["migrate"].directory)
    return {script.revision for script in scripts.walk_revisions()}


def _database(app: Flask) -> Database:
    url = app.config["SQLALCHEMY_DATABASE_URI"].replace("+psycopg", "", 1)
    return Database(url, foreign=app.config["SETTINGS"].database_url is not None)
