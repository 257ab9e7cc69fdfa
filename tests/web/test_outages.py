"""The database away, restarted, or answering reports from a replica; and a reverse proxy in front."""

import os
import signal
import uuid
from dataclasses import replace
from urllib.parse import urlsplit

import flask_migrate
import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import InternalError, OperationalError

from spa_app import create_app
from spa_app.embedded import EmbeddedPostgres
from spa_app.embedded.process import is_alive, wait_until
from spa_app.extensions import db
from spa_app.models import AuditLog
from spa_app.services import billing, payments
from spa_app.services.transaction import atomic
from spa_app.web.errors import PAGES
from tests import factories
from tests.conftest import throw_away_databases


@pytest.fixture(scope="module")
def server(open_folder):
    """A PostgreSQL that may be stopped and killed."""
    server = EmbeddedPostgres(open_folder(), shared_buffers="16MB", max_connections=20)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def desk(server, settings):
    """Somebody logged in at an application on that server; the connections of its pool are open."""
    server.start()
    app = create_app(replace(settings, database_url=server.url))
    app.config.update(WTF_CSRF_ENABLED=False)
    with app.app_context():
        flask_migrate.upgrade()
        with psycopg.connect(server.url) as connection:
            is_empty = connection.execute("SELECT NOT EXISTS (SELECT FROM users)").fetchone()[0]
        if is_empty:
            factories.make_spa()
        db.session.remove()
    client = app.test_client()
    factories.login(client, "manager")
    assert client.get("/calendar").status_code == 200
    yield client
    with app.app_context():
        db.engine.dispose()


def _stop(server):
    server.stop()


def _kill(server):
    # Its children go by themselves, once they see that it is gone; a start waits for them.
    pid = server.pid
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(pid), 10)


@pytest.mark.parametrize("end", [_stop, _kill])
def test_the_first_request_after_a_restart_is_answered(server, desk, end):
    end(server)
    server.start()

    assert desk.get("/calendar").status_code == 200


def test_the_first_form_after_a_restart_is_stored(server, desk):
    server.stop()
    server.start()

    key = str(uuid.uuid4())
    answer = desk.post("/customers", data={"idempotency_key": key, "full_name": "Trần An", "phone": "0912 345 678"})

    assert answer.status_code == 303


def test_while_the_database_is_away_a_page_says_so(server, desk):
    server.stop()

    whole, partial = desk.get("/calendar"), desk.get("/calendar", headers={"HX-Request": "true"})

    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in (whole, partial)] == [(503, "5")] * 2
    assert all(PAGES[503][0] in answer.text for answer in (whole, partial))


def test_a_fault_that_the_database_names_is_no_outage(app, monkeypatch):
    with app.test_request_context("/"):
        monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
        try:
            db.session.execute(text("SET LOCAL statement_timeout = 1"))
            db.session.execute(text("SELECT pg_sleep(1)"))
        except OperationalError as error:
            answer = app.handle_exception(error)

        assert answer.status_code == 500


@pytest.fixture
def replicated(settings, postgres, fresh_database):
    """A manager at an application whose replica can be told from its main database by a customer's name."""
    main = fresh_database()
    app = create_app(replace(settings, database_url=main))
    with app.app_context():
        spa = factories.make_spa()
        sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
        payments.take_payment(sale, method="cash", amount=300_000, actor=spa.manager)
        db.session.remove()
        db.engine.dispose()
    with throw_away_databases(postgres, urlsplit(main).path[1:]) as make:
        replica = make()
        with psycopg.connect(replica) as connection:
            connection.execute("UPDATE customers SET full_name = 'As the replica has it'")
        app = create_app(replace(settings, database_url=main, reports_database_url=replica))
        client = app.test_client()
        factories.login(client, "manager")
        yield client
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


def test_reports_are_read_from_the_replica_and_all_else_is_not(replicated):
    assert "As the replica has it" in replicated.get("/reports/payments").text
    assert "As the replica has it" in replicated.get("/reports/payments?format=csv").text
    assert "Lê Thị Mai" in replicated.get("/customers?q=mai").text


def test_the_replica_is_only_read(replicated):
    with replicated.application.app_context():
        db.session().info.update(reads=True, reports=True)
        with pytest.raises(InternalError, match="read-only transaction"):
            db.session.execute(text("UPDATE customers SET full_name = 'x'"))
        with atomic() as session:
            session.execute(text("UPDATE customers SET full_name = 'Written to main'"))
        db.session.rollback()
        assert db.session.scalar(text("SELECT min(full_name) FROM customers")) == "As the replica has it"
        db.session.remove()
        assert db.session.scalar(text("SELECT min(full_name) FROM customers")) == "Written to main"


def test_without_a_replica_reports_are_read_from_the_database(app, client, spa):
    factories.login(client, "manager")
    with app.app_context():
        sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
        payments.take_payment(sale, method="cash", amount=300_000, actor=spa.manager)

    assert "Lê Thị Mai" in client.get("/reports/payments").text


@pytest.mark.parametrize(
    ("peer", "said", "believed"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        # What the client itself has put before the proxy's word counts for nothing.
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "<script>", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9:4711", "127.0.0.1"),
        ("203.0.113.66", "198.51.100.1", "203.0.113.66"),
        ("127.0.0.1", None, "127.0.0.1"),
    ],
)
def test_the_audit_log_names_the_client_behind_a_proxy(app, client, user, peer, said, believed):
    headers = {"X-Forwarded-For": said} if said else {}
    client.post("/login", data=user.credentials, headers=headers, environ_base={"REMOTE_ADDR": peer})

    with app.app_context():
        assert db.session.scalars(select(AuditLog.ip).where(AuditLog.action == "login")).all() == [believed]


def test_the_limit_on_logins_counts_clients_not_the_proxy(app, client, user, monkeypatch):
    monkeypatch.setitem(app.config, "LOGIN_RATE_LIMIT", "1 per minute")
    wrong = user.credentials | {"password": "something else"}

    def answers(address):
        return [client.post("/login", data=wrong, headers={"X-Forwarded-For": address}).status_code for _ in range(2)]

    assert [answers("203.0.113.9"), answers("203.0.113.10")] == [[422, 429]] * 2
