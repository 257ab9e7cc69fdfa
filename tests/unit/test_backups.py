"""Backup and restore: a round trip, and every file that must not be put back."""

import io
import json
import os
import stat
import tarfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from flask import Flask

from spa_app import create_app
from spa_app.cli.backup_file import FORMAT, Manifest, new_backup
from spa_app.extensions import db
from spa_app.services import customer_files
from tests import factories
from tests.conftest import throw_away_databases

FORM = b"%PDF-1.7 what Mai signed"


@dataclass(frozen=True)
class Installation:
    """An application with a data folder and a database of its own on the tests' server."""

    app: Flask
    folder: Path
    database_url: str

    def run(self, *arguments):
        return self.app.test_cli_runner().invoke(args=[str(argument) for argument in arguments])

    def ask(self, query):
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query).fetchall()

    def rows(self):
        """Every row of every table but the audit log, to which each backup adds."""
        tables = self.ask(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'audit_log' ORDER BY 1"
        )
        return {name: self.ask(f"SELECT t::text FROM {name} t ORDER BY 1") for (name,) in tables}

    def files(self):
        return {path.name: path.read_bytes() for path in (self.folder / "customer-files").glob("*/*")}


@pytest.fixture
def install(open_folder, fresh_database, settings):
    def make():
        folder, url = open_folder(), fresh_database()
        app = create_app(replace(settings, database_url=url, data_dir=folder))
        return Installation(app, folder, url)

    return make


@pytest.fixture
def spa_at_work(install):
    """An installation with a card, a completed visit, a signed form, and a form that was deleted."""
    home = install()
    with home.app.app_context():
        spa = factories.make_spa()
        card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
        factories.make_booking(spa, status="completed", card=card)
        for content in (FORM, FORM + b" 2"):
            form = customer_files.add_file(
                spa.customer, kind="consent", content=content, data_dir=home.folder, actor=spa.receptionist
            )
        customer_files.delete_file(spa.customer, form, reason="signed twice", data_dir=home.folder, actor=spa.manager)
        db.session.remove()
        db.engine.dispose()
    return home


@pytest.fixture
def whole(spa_at_work):
    """A backup of it."""
    file = spa_at_work.folder / "whole.spa"
    done = spa_at_work.run("backup", file)
    assert (done.exit_code, done.stderr) == (0, "")
    return file


def test_what_was_backed_up_comes_back_and_the_books_are_proved(spa_at_work, whole, install):
    other = install()

    done = other.run("restore", whole)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == ["Everything stored agrees with its history."]
    assert other.rows() == spa_at_work.rows()
    assert list(other.files().values()) == [FORM]
    assert other.ask("SELECT action FROM audit_log ORDER BY id DESC LIMIT 1") == [("backup_restored",)]
    # What was restored can be backed up and restored as well.
    again = other.folder / "again.spa"
    assert other.run("backup", again).exit_code == 0
    third = install()
    assert third.run("restore", again).exit_code == 0
    assert third.rows() == spa_at_work.rows()


def test_a_restored_database_refuses_what_the_first_did(whole, install):
    other = install()
    other.run("restore", whole)

    assert other.run("db", "check").exit_code == 0
    with pytest.raises(psycopg.Error, match="only grows"):
        other.ask("UPDATE journal_lines SET amount = 0")
    assert other.ask("SELECT count(*) FROM pg_constraint WHERE NOT convalidated") == [(0,)]


def test_a_backup_is_the_owners_alone_and_replaces_nothing(spa_at_work, whole):
    content = whole.read_bytes()

    done = spa_at_work.run("backup", whole)

    assert done.exit_code == 1
    assert done.stderr == f"Error: {whole} is there already: name another file. Nothing was backed up.\n"
    assert (whole.read_bytes(), stat.S_IMODE(whole.stat().st_mode)) == (content, 0o600)
    assert [path.name for path in whole.parent.iterdir() if path.name.startswith(".unfinished")] == []


def test_a_database_in_use_is_not_replaced(spa_at_work, whole):
    with psycopg.connect(spa_at_work.database_url):
        done = spa_at_work.run("restore", whole, "--replace")

    assert done.exit_code == 1
    assert done.stderr == "Error: The database is in use: stop spa_app first. Nothing was restored.\n"


def test_what_is_stored_is_replaced_only_when_told_and_kept_beside(spa_at_work, whole, settings):
    with psycopg.connect(spa_at_work.database_url) as connection:
        connection.execute("UPDATE customers SET full_name = 'Written since'")
    (spa_at_work.folder / "customer-files" / "ab").mkdir(exist_ok=True)
    (spa_at_work.folder / "customer-files" / "ab" / "ab00").write_bytes(b"of a customer who came since")
    before = spa_at_work.rows()

    refused = spa_at_work.run("restore", whole)

    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: The database is not empty: nothing was restored.")
    assert spa_at_work.rows() == before

    done = spa_at_work.run("restore", whole, "--replace")

    assert (done.exit_code, done.stderr) == (0, "")
    assert spa_at_work.ask("SELECT count(*) FROM customers WHERE full_name = 'Written since'") == [(0,)]
    assert list(spa_at_work.files().values()) == [FORM]
    (kept,) = spa_at_work.folder.glob("replaced-*.spa")
    assert spa_at_work.run("restore", kept, "--replace", "--yes").exit_code == 0
    assert spa_at_work.rows() == before


def _cut_short(file):
    # Within the first part: what follows the last one is only padding.
    os.truncate(file, 1500)


def _with_a_flipped_bit(file):
    content = bytearray(file.read_bytes())
    content[content.index(FORM)] ^= 1
    file.write_bytes(content)


def _without_its_end(file):
    # The manifest is the last part.
    content = file.read_bytes()
    file.write_bytes(content[: content.index(b"manifest.json")])


def _empty(file):
    file.write_bytes(b"")


def _with_another_part(file):
    with tarfile.open(file, "a") as tar:
        content = json.dumps({**_said(file), "parts": {"../../etc/passwd": ""}}).encode()
        info = tarfile.TarInfo("manifest.json")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


def _said(file):
    with tarfile.open(file) as tar:
        return json.loads(tar.extractfile("manifest.json").read())


@pytest.fixture
def written(tmp_path):
    """Write a backup of a form, and of something that pg_dump has not written, which says about itself ``about``."""

    def write(**about):
        (tmp_path / "dump").write_bytes(b"not what pg_dump writes" * 100)
        (tmp_path / "form").write_bytes(FORM)
        said = {"made_at": "2026-01-01T00:00:00+00:00", "schema": "0001", "currency": "VND", "dumped_by": 18}
        with new_backup(tmp_path / "written.spa", Manifest(**said | about)) as writer:
            writer.add_dump(tmp_path / "dump")
            writer.add_file(uuid.uuid4(), tmp_path / "form")
        return tmp_path / "written.spa"

    return write


@pytest.mark.parametrize("damage", [_cut_short, _with_a_flipped_bit, _without_its_end, _empty, _with_another_part])
def test_a_damaged_file_changes_nothing(written, install, damage):
    other, file = install(), written()
    damage(file)
    before = other.rows()

    done = other.run("restore", file)

    assert done.exit_code == 1
    assert done.stderr == f"Error: {file} is damaged, or no backup of spa_app. Nothing was restored.\n"
    assert (other.rows(), other.files()) == (before, {})


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({"schema": "9999"}, "Error: A newer spa_app made this backup: update this one first. Nothing was restored.\n"),
        (
            {"format": FORMAT + 1},
            "Error: A newer spa_app made this backup: update this one first. Nothing was restored.\n",
        ),
        ({"currency": "EUR"}, "Error: The amounts in {file} are in EUR, and SPA_CURRENCY is VND.\n"),
        ({}, "Error: Nothing was restored: pg_restore: error: did not find magic string in file header\n"),
    ],
)
def test_what_cannot_be_read_changes_nothing(install, written, about, sentence):
    other, file = install(), written(**about)
    before = other.rows()

    done = other.run("restore", file)

    assert (done.exit_code, done.stderr) == (1, sentence.format(file=file))
    assert other.rows() == before


def test_a_folder_that_is_not_there_is_one_sentence(spa_at_work, tmp_path):
    done = spa_at_work.run("backup", tmp_path / "missing" / "file.spa")

    assert done.exit_code == 1
    assert done.stderr.endswith("cannot be written: No such file or directory. Nothing was backed up.\n")


def test_an_empty_server_is_enough_to_restore_and_too_little_for_the_rest(install, whole, postgres):
    with throw_away_databases(postgres, "template0") as make:
        url = make()
        settings = replace(install().app.config["SETTINGS"], database_url=url)
        bare = Installation(create_app(settings), settings.data_dir, url)

        for command in (["reconcile"], ["backup", settings.data_dir / "file.spa"], ["worker"]):
            done = bare.run(*command)
            assert done.exit_code == 1
            assert done.stderr == ("Error: The database has no tables yet: run `flask --app wsgi db upgrade` first.\n")

        assert bare.run("restore", whole).exit_code == 0
        assert bare.run("reconcile").exit_code == 0


def test_books_that_are_wrong_are_said_to_be(spa_at_work, install):
    with psycopg.connect(spa_at_work.database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE customer_treatments SET used_sessions = used_sessions + 1")
    file = spa_at_work.folder / "wrong.spa"
    spa_at_work.run("backup", file)

    done = install().run("restore", file)

    assert done.exit_code == 1
    assert "history says" in done.stdout
