"""The role as which the application connects cannot undo what guards the ledger, and can do all that it has to."""

from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis
from psycopg import errors
from sqlalchemy import create_engine

from spa_app import create_app, privileges
from spa_app.config import sqlalchemy_url
from spa_app.extensions import db
from spa_app.privileges import ROLE
from spa_app.services import reconciliation
from spa_app.services.anonymising import anonymise_customer
from spa_app.services.customers import create_customer
from tests.books import assert_books_balance
from tests.constraints.conftest import fill
from tests.factories import make_spa

GROWS = "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%\\_append_only' ORDER BY 1"
REFUSED = {
    "change a line": "UPDATE journal_lines SET amount = amount",
    "delete a line": "DELETE FROM journal_lines",
    "empty the journal": "TRUNCATE journal_lines, journal_entries CASCADE",
    "change an entry": "UPDATE journal_entries SET posted_on = posted_on - 1",
    "change a used session": "UPDATE treatment_entries SET value_amount = 0",
    "forge the chart": "UPDATE accounts SET kind = 'expense'",
    "add to the chart": "INSERT INTO accounts (id, code, name, kind) VALUES (9999, '9999', 'Mine', 'asset')",
    "change the audit log": "UPDATE audit_log SET action = 'x'",
    "switch the triggers off": "ALTER TABLE journal_lines DISABLE TRIGGER ALL",
    "drop a trigger": "DROP TRIGGER tr_journal_lines_append_only ON journal_lines",
    "add a trigger": (
        "CREATE TRIGGER mine BEFORE INSERT ON journal_lines FOR EACH ROW EXECUTE FUNCTION spa_check_balanced()"
    ),
    "replace what a trigger does": (
        "CREATE OR REPLACE FUNCTION spa_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    ),
    "drop a table": "DROP TABLE journal_lines CASCADE",
    "pass for a replica": "SET session_replication_role = replica",
    "become the owner": "SET ROLE spa",
    "have been the owner": "SET SESSION AUTHORIZATION spa",
    "forget a migration": "DELETE FROM alembic_version",
}


@pytest.fixture
def application_url(postgres, fresh_database):
    """A database of its own, as the application connects to it."""
    named = urlsplit(fresh_database())
    return urlunsplit(urlsplit(postgres.application_url)._replace(path=named.path))


@pytest.mark.parametrize("what", REFUSED)
def test_the_application_cannot(application_url, what):
    with psycopg.connect(application_url) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(REFUSED[what])


def test_no_table_that_only_grows_can_be_changed_by_it(application_url):
    with psycopg.connect(application_url) as connection:
        tables = [name for (name,) in connection.execute(GROWS)]
        assert {"journal_entries", "journal_lines", "payments", "invoice_lines", "audit_log"} <= set(tables)
        connection.execute("GRANT ALL ON journal_lines TO spa_app")  # answered with a warning, and nothing granted
        for table in tables:
            for right in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER"):
                query = "SELECT has_table_privilege(%s, %s, %s)"
                assert connection.execute(query, [ROLE, table, right]).fetchone() == (False,), (table, right)
        owned = "SELECT count(*) FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = %s)"
        assert connection.execute(owned, [ROLE]).fetchone() == (0,)
        flags = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = %s"
        assert connection.execute(flags, [ROLE]).fetchone() == (False,) * 4


def test_an_entry_that_does_not_balance_is_refused_to_every_role(application_url, postgres):
    owner = urlunsplit(urlsplit(postgres.url)._replace(path=urlsplit(application_url).path))
    entry = """
        WITH branch AS (SELECT id FROM branches LIMIT 1), entry AS (
            INSERT INTO journal_entries (branch_id, event, posted_on) SELECT id, 'cash_moved', current_date FROM branch
            RETURNING id)
        INSERT INTO journal_lines (entry_id, account_id, amount) SELECT id, 1110, 1 FROM entry"""
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("INSERT INTO branches (code, name, timezone) VALUES ('Q1', 'Q1', 'Asia/Ho_Chi_Minh')")
    for url in (application_url, owner):
        with psycopg.connect(url) as connection:
            connection.execute(entry)
            with pytest.raises(errors.CheckViolation, match="balance"):
                connection.commit()


@pytest.mark.parametrize("command", ["UPDATE journal_lines SET amount = 2", "DELETE FROM journal_entries"])
def test_even_the_owner_is_refused_by_the_triggers(application_url, postgres, command):
    owner = urlunsplit(urlsplit(postgres.url)._replace(path=urlsplit(application_url).path))
    with psycopg.connect(owner) as connection:
        connection.execute("INSERT INTO branches (id, code, name, timezone) VALUES (1, 'Q1', 'Q1', 'UTC')")
        entry = "INSERT INTO journal_entries (id, branch_id, event, posted_on) VALUES (1, 1, 'cash_moved', now())"
        lines = "INSERT INTO journal_lines (entry_id, account_id, amount) VALUES (1, 1110, 1), (1, 1150, -1)"
        connection.execute(entry)
        connection.execute(lines)
        with pytest.raises(errors.CheckViolation, match="only grows"):
            connection.execute(command)


def test_the_application_does_all_its_work_as_that_role(settings, redis_url, application_url):
    app = create_app(replace(settings, database_url=application_url))
    with app.app_context():
        fill()
        assert_books_balance()
        assert reconciliation.list_faults() == []
        db.session.remove()
        db.engine.dispose()
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()


def test_it_can_anonymise_a_customer_but_take_nothing_else_out_of_the_audit_log(settings, application_url, tmp_path):
    app = create_app(replace(settings, database_url=application_url))
    with app.app_context():
        spa = make_spa()
        kept, gone = (create_customer(full_name=name, actor=spa.manager) for name in ("Mai", "Lan"))
        anonymise_customer(gone, reason="asked for it", confirmed_name="Lan", data_dir=tmp_path, actor=spa.manager)
        db.session.remove()
        db.engine.dispose()
    details = "SELECT after -> 'full_name' FROM audit_log WHERE action = 'customer_created' AND entity_id = %s"
    with psycopg.connect(application_url) as connection:
        assert connection.execute(details, [gone]).fetchone() == (None,)
        assert connection.execute(details, [kept]).fetchone() == ("Mai",)
        with pytest.raises(errors.CheckViolation):
            connection.execute("UPDATE audit_log SET after = NULL WHERE entity_id = %s", [kept])


def test_without_such_a_role_nothing_is_granted(postgres, fresh_database, monkeypatch):
    monkeypatch.setattr(privileges, "ROLE", "nobody_of_that_name")
    engine = create_engine(sqlalchemy_url(fresh_database()))
    with engine.connect() as connection:
        assert privileges.grant(connection) is False
    engine.dispose()
