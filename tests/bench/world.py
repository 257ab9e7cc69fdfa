"""What is measured: an embedded PostgreSQL as durable as in production, a Redis, the large demo, the web server."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit, urlunsplit

import flask_migrate
import psycopg
from flask import Flask
from psycopg import sql

from spa_app import CONNECTION_OPTIONS, create_app
from spa_app.config import PROJECT_DIR, Settings, load_settings
from spa_app.embedded import EmbeddedPostgres, EmbeddedRedis
from spa_app.embedded.kept import free_port
from spa_app.embedded.process import end, spawn, wait_until
from spa_app.extensions import db
from spa_app.services.demo_large import load_large_demo_data

WEB_WORKERS = 2
GUNICORN_THREADS = 4  # as in `flask serve`


class World:
    """The servers of one run, and the application on them within this process."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, settings: Settings) -> None:
        self.folder = folder
        self.postgres = postgres
        self.settings = settings
        self.app: Flask = create_app(settings)

    @property
    def database_url(self) -> str:
        """The database with the large demo in it."""
        return self.postgres.url

    def connect(self) -> psycopg.Connection:
        """A connection like the application's own, with nothing of the application in it."""
        return psycopg.connect(self.database_url, options=CONNECTION_OPTIONS)

    def load(self, fraction: float) -> float:
        """Make the schema and fill it; returns the seconds for the data."""
        with self.app.app_context():
            flask_migrate.upgrade()
            began = time.perf_counter()
            load_large_demo_data(timezone=self.settings.timezone, fraction=fraction)
            seconds = time.perf_counter() - began
            db.session.remove()
            db.engine.dispose()
        return seconds

    @contextlib.contextmanager
    def copy(self, name: str) -> Iterator[str]:
        """A copy of the database for the block; nobody may be connected to the original when it begins."""
        server = urlunsplit(urlsplit(self.database_url)._replace(path="/postgres"))
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE spa STRATEGY file_copy").format(sql.Identifier(name))
            )
            try:
                yield urlunsplit(urlsplit(self.database_url)._replace(path=f"/{name}"))
            finally:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a process of the application on this world's servers."""
        return {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.settings.redis_url or "",
            "SECRET_KEY": "only for the bench",
            "SPA_DATA_DIR": str(self.folder),
            "WEB_WORKERS": str(WEB_WORKERS),
            "LOG_FORMAT": "json",
            **more,
        }

    @contextlib.contextmanager
    def web_server(self) -> Iterator[int]:
        """The real application under gunicorn, as ``flask serve`` runs it; yields its port."""
        port = free_port()
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "serve"]
        with _running(command, port, self.environment(PORT=str(port)), self.folder / "web.log", "/healthz"):
            yield port

    @contextlib.contextmanager
    def empty_server(self) -> Iterator[int]:
        """A Flask application that does nothing, under the same gunicorn settings; yields its port."""
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "--no-control-socket", "--log-level=warning"]
        command += [f"--bind=127.0.0.1:{port}", f"--workers={WEB_WORKERS}", "--worker-class=gthread"]
        command += [f"--threads={GUNICORN_THREADS}", "tests.bench.empty:app"]
        with _running(command, port, dict(os.environ), self.folder / "empty.log", "/"):
            yield port


@contextlib.contextmanager
def make_world() -> Iterator[World]:
    """Start the servers in a new folder; they are stopped, and the folder removed, at the end."""
    folder = Path(tempfile.mkdtemp(prefix="spa-bench-"))
    folder.chmod(0o711)  # nobody, as whom root runs PostgreSQL, must pass through
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = EmbeddedPostgres(folder)
        postgres.start()
        stack.callback(postgres.stop)
        redis = EmbeddedRedis(folder)
        redis.start()
        stack.callback(redis.stop)
        settings = replace(
            load_settings({"SPA_DATA_DIR": str(folder), "SECRET_KEY": "only for the bench"}),
            database_url=postgres.url,
            redis_url=redis.url,
        )
        yield World(folder, postgres, settings)


@contextlib.contextmanager
def _running(command: list[str], port: int, environment: dict[str, str], log: Path, path: str) -> Iterator[None]:
    child = spawn(command, parent_died=signal.SIGTERM, env=environment, cwd=PROJECT_DIR, output=log)
    try:
        if not wait_until(lambda: child.poll() is not None or _answers(port, path), 30) or child.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} did not start: {log.read_text()[-2000:]}")
        yield
    finally:
        end(child.pid, signal.SIGTERM, seconds=20, child=child)


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
            return True
    except (URLError, OSError):
        return False
