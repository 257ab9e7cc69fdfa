"""A real PostgreSQL and Redis for each test process, and an empty, migrated database for each test.

Tests see committed data, like the users of the application; what a test has left is deleted after it.
"""

import contextvars
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import flask_migrate
import hypothesis
import psycopg
import pytest
import redis
from flask import Flask, has_app_context
from flask.testing import FlaskClient
from psycopg import sql
from werkzeug.test import TestResponse

from spa_app import create_app
from spa_app.config import Settings
from spa_app.embedded import EmbeddedPostgres, EmbeddedRedis
from spa_app.embedded.kept import free_port
from spa_app.extensions import db
from tests import factories
from tests.concurrency.table import pytest_terminal_summary  # noqa: F401 - a hook works from the first conftest only

_TEMPLATE = "spa_template"

# A machine that is busy with something else is no fault of the code under test.
hypothesis.settings.register_profile(
    "spa", deadline=None, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("spa")


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Callable[[], Path]]:
    """Make folders that ``nobody``, as whom root runs PostgreSQL, may pass through; pytest's own are closed."""
    folders: list[Path] = []

    def make() -> Path:
        folder = Path(tempfile.mkdtemp(prefix="spa-test-"))
        folder.chmod(0o711)
        folders.append(folder)
        return folder

    yield make
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(open_folder: Callable[[], Path]) -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL of this test process, without its crash safety."""
    server = EmbeddedPostgres(open_folder(), durable=False, shared_buffers="64MB", max_connections=200)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_url(open_folder: Callable[[], Path]) -> Iterator[str]:
    """The Redis of this test process."""
    server = EmbeddedRedis(open_folder(), durable=False)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def settings(postgres: EmbeddedPostgres, redis_url: str, open_folder: Callable[[], Path]) -> Settings:
    """Settings that point at the servers of this test process, and at a database that the migrations have made."""
    settings = Settings(
        data_dir=open_folder(),
        database_url=_named(postgres.url, _TEMPLATE),
        redis_url=redis_url,
        reports_database_url=None,
        secret_key="only for tests",
        currency="VND",
        locale="en",
        timezone="Asia/Ho_Chi_Minh",
        port=free_port(),
        web_workers=1,
        log_format="json",
        smtp_url=None,
    )
    _create_database(postgres.url, _TEMPLATE, "template0")
    app = create_app(settings)
    with app.app_context():
        flask_migrate.upgrade()
        db.engine.dispose()
    _create_database(postgres.url, "spa_test", _TEMPLATE)
    return replace(settings, database_url=_named(postgres.url, "spa_test"))


@pytest.fixture
def fresh_database(settings: Settings, postgres: EmbeddedPostgres) -> Iterator[Callable[[], str]]:
    """Make further databases with the schema and nothing in them, for tests that start processes of their own."""
    with throw_away_databases(postgres) as make:
        yield make


@contextmanager
def throw_away_databases(postgres: EmbeddedPostgres, template: str = _TEMPLATE) -> Iterator[Callable[[], str]]:
    """What makes a copy of ``template`` and returns its URL; the copies are dropped at the end."""
    names: list[str] = []

    def make() -> str:
        names.append(f"spa_{uuid.uuid4().hex[:12]}")
        _create_database(postgres.url, names[-1], template)
        return _named(postgres.url, names[-1])

    yield make
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def app(settings: Settings) -> Iterator[Flask]:
    """The application on the test database."""
    app = create_app(settings)
    app.testing = True
    app.test_client_class = OutsideClient
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(scope="session")
def cleaner(settings: Settings) -> Iterator["Cleaner"]:
    """What empties the test database between tests."""
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        yield Cleaner(connection)


@pytest.fixture(autouse=True)
def _clean_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave database and Redis as the migrations left them, after each test that could have changed them."""
    uses = {"app", "settings"} & set(request.fixturenames)
    cleaner: Cleaner | None = request.getfixturevalue("cleaner") if uses else None
    yield
    if cleaner is not None:
        if has_app_context():
            db.session.remove()
        cleaner.clean()
        with redis.Redis.from_url(request.getfixturevalue("redis_url")) as client:
            client.flushdb()


@pytest.fixture
def spa(app: Flask, cleaner: "Cleaner") -> factories.Spa:
    """A small spa, committed: see :class:`tests.factories.Spa`. Made once in a process, and brought back after that."""
    if cleaner.spa is None:
        with app.app_context():
            cleaner.keep(factories.make_spa())
    else:
        cleaner.bring_back()
    return cleaner.spa


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser. Unlike pytest-flask's it does not keep the context of its last request open."""
    return app.test_client()


class OutsideClient(FlaskClient):
    """Sends each request from outside the test's own application context.

    Otherwise a request would share the test's database session and logged-in user, and uncommitted rows would show.
    """

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        if self.preserve_context:  # ``with client:`` keeps the request's context for the test to look into
            return super().open(*args, **kwargs)
        return contextvars.Context().run(super().open, *args, **kwargs)


class Cleaner:
    """Deletes every row that is not a reference row of the migrations."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        # Append-only tables refuse changes by triggers; those, and foreign keys, do not act for a replica.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET lock_timeout = '10s'")
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
        ).fetchall()
        self._tables = [sql.Identifier(name) for (name,) in names]
        self._reference = [(table, self._rows(table)) for table in self._tables if self._holds_rows(table)]
        self.spa: factories.Spa | None = None
        self._kept: list[tuple[sql.Identifier, bytes]] = []
        self._which = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(number, table)
            for number, table in enumerate(self._tables)
        )

    def clean(self) -> None:
        """Takes a few milliseconds: only tables that hold rows are touched."""
        with self._connection.transaction():
            if self._tables:
                for (number,) in self._connection.execute(self._which).fetchall():
                    self._connection.execute(sql.SQL("DELETE FROM {}").format(self._tables[number]))
            self._write(self._reference)

    def keep(self, spa: factories.Spa) -> None:
        """Remember every row there is, beside those of the migrations, as what ``spa`` is made of."""
        reference = [table for table, _ in self._reference]
        filled = [table for table in self._tables if table not in reference and self._holds_rows(table)]
        self._kept = [(table, self._rows(table)) for table in filled]
        self.spa = spa

    def bring_back(self) -> None:
        """Write the rows that were kept into the empty database."""
        with self._connection.transaction():
            self._write(self._kept)

    def _write(self, tables: list[tuple[sql.Identifier, bytes]]) -> None:
        for table, rows in tables:
            copy = sql.SQL("COPY {} FROM STDIN").format(table)
            with self._connection.cursor() as cursor, cursor.copy(copy) as into:
                into.write(rows)

    def _holds_rows(self, table: sql.Identifier) -> bool:
        return bool(self._connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(table)).rowcount)

    def _rows(self, table: sql.Identifier) -> bytes:
        with self._connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} TO STDOUT").format(table)) as out:
            return b"".join(bytes(block) for block in out)


def _named(url: str, database: str) -> str:
    """The same server's URL with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def _create_database(url: str, name: str, template: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
