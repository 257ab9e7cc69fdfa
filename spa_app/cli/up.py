"""`up`: everything in the foreground, until Ctrl-C. What `make run` runs."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click
import flask_migrate
import structlog
from flask import current_app
from flask.cli import with_appcontext

from spa_app.cli.servers import with_servers
from spa_app.config import PROJECT_DIR, Settings
from spa_app.embedded import EmbeddedPostgres, EmbeddedRedis, make_secret_key
from spa_app.embedded.kept import make_data_dir, port_is_free
from spa_app.embedded.process import die_with_parent, spawn, wait_until
from spa_app.errors import ConfigError
from spa_app.log import configure_logging
from spa_app.services.demo import load_demo_data

log = structlog.stdlib.get_logger("spa_app.up")

_CHILDREN = ("serve", "worker", "scheduler")
_LONGEST_PAUSE = 30.0
_SETTLED_SECONDS = 30.0
_DEMO_LOGINS = ", ".join(f"{role} / {role}-demo" for role in ("reception", "therapist", "manager", "owner"))


@click.command()
@click.option("--stop-with-parent", is_flag=True, help="Stop when the process that started this one ends (Linux).")
@with_appcontext
def up(stop_with_parent: bool) -> None:
    """Start all of it in the foreground: embedded servers, migrations, demo data once, web, worker, scheduler."""
    settings: Settings = current_app.config["SETTINGS"]
    configure_logging(settings.log_format)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    if stop_with_parent:
        die_with_parent(signal.SIGTERM)
    with _alone(settings) as (state, crashed):
        # After a crash the children of the last run may still be on their way out.
        if not wait_until(lambda: port_is_free(settings.port), 10 if crashed else 0):
            raise ConfigError(f"Port {settings.port} of 127.0.0.1 is taken by another program; set PORT to a free one.")
        if settings.secret_key is None:
            make_secret_key(settings.data_dir)
        supervisor = _Supervisor(settings)
        try:
            supervisor.start_servers()
            _prepare(settings)
            supervisor.run()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            state.write_text("stopping\n")
            supervisor.stop()


commands = [up]


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[tuple[Path, bool]]:
    """Hold the data folder for this run, waiting for an earlier one that is about to stop.

    Yields the file that tells the state of the run (empty after a clean end), and whether the run before crashed.
    Raises ConfigError while another run goes on.
    """
    make_data_dir(settings.data_dir)
    path = settings.data_dir / "up.lock"

    with path.open("a") as file:

        def held() -> bool:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            return False

        # One second, because a run whose parent was killed hears of it only now.
        if not wait_until(held, 1) and not (path.read_text() == "stopping\n" and wait_until(held, 40)):
            raise ConfigError(f"spa_app runs already on the data folder {settings.data_dir}.")
        crashed = path.read_text() != ""
        path.write_text("running\n")
        try:
            yield path, crashed
        finally:
            path.write_text("")


def _prepare(settings: Settings) -> None:
    """Bring the schema up to date, and load the demo data if the database is empty."""
    with with_servers():
        flask_migrate.upgrade()
        if load_demo_data(timezone=settings.timezone):
            (settings.data_dir / "demo-data").touch()


class _Child:
    """One of the three processes, started again when it dies, after ever longer pauses."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.deaths = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._next_start = 0.0

    def keep_running(self, env: dict[str, str]) -> None:
        now = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                if now - self._began > _SETTLED_SECONDS:
                    self.deaths = 0
                return
            self._kill_rest()
            pause = min(_LONGEST_PAUSE, 0.5 * 2**self.deaths)
            self.deaths += 1
            self._process, self._next_start = None, now + pause
            log.warning("child died", child=self.name, code=code, restart_in_seconds=pause)
        if now >= self._next_start:
            command = [sys.executable, "-m", "flask", "--app", "wsgi", self.name]
            self._process = spawn(command, parent_died=signal.SIGTERM, env=env, cwd=PROJECT_DIR)
            self._began = now

    def terminate(self) -> None:
        """Ask it to end what it is doing and stop."""
        if self._process is not None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for it to end; kill it, and all that it started, after ``seconds``."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(seconds, 0))
            self._kill_rest()
            self._process.wait()
            self._process = None

    def _kill_rest(self) -> None:
        """Nothing of a child's session outlives it."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


class _Supervisor:
    """Starts the embedded servers and the children, and keeps them running."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._postgres = None if settings.database_url else EmbeddedPostgres(settings.data_dir)
        self._redis = None if settings.redis_url else EmbeddedRedis(settings.data_dir)
        self._children = [_Child(name) for name in _CHILDREN]
        self._env: dict[str, str] = {}
        self._announced = False

    def start_servers(self) -> None:
        """Start what does not run. The children are given the addresses, so that they start no server themselves."""
        env = dict(os.environ, SPA_DATA_DIR=str(self._settings.data_dir), PORT=str(self._settings.port))
        for server in (self._postgres, self._redis):
            if server is not None and server.pid is None:
                server.start()
        if self._postgres is not None:
            # Not as the tables' owner, who could switch off what guards the ledger.
            env["DATABASE_URL"] = self._postgres.application_url
        if self._redis is not None:
            env["REDIS_URL"] = self._redis.url
        if self._env and env != self._env:
            self._stop_children()
        self._env = env

    def run(self) -> None:
        """Keep everything running until a signal says stop."""
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        while not stopping.wait(0.2):
            try:
                self.start_servers()
            except ConfigError as error:
                log.warning("server died", reason=str(error))
                continue
            for child in self._children:
                child.keep_running(self._env)
            if not self._announced:
                self._announce()

    def stop(self) -> None:
        """Stop the children, then the servers, also those that an earlier run has left over."""
        self._stop_children()
        for server in (self._redis, self._postgres):
            if server is not None:
                server.stop()

    def _stop_children(self) -> None:
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + 15
        for child in self._children:
            child.wait(deadline - time.monotonic())

    def _announce(self) -> None:
        address = f"http://127.0.0.1:{self._settings.port}"
        if self._children[0].deaths >= 3:
            raise ConfigError(f"The web server does not start on {address}; the lines above say why.")
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=2) as response:  # noqa: S310
                self._announced = response.status == 200
        except (urllib.error.URLError, OSError):
            return
        logins = f" — log in as {_DEMO_LOGINS}" if _has_demo_data(self._settings.data_dir) else ""
        click.echo(f"spa_app is ready on {address}{logins} (Ctrl-C stops it)")


def _has_demo_data(data_dir: Path) -> bool:
    return (data_dir / "demo-data").exists()
