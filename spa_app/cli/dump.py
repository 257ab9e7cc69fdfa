"""A database as one file, and back: pg_dump, pg_restore and psql, which are told passwords by their environment."""

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

import psycopg
from click import ClickException
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from spa_app.embedded import client_program, program_version
from spa_app.embedded.process import wait_until

# pg_restore's script begins with what it sets; this one only servers from 17 on know.
_UNKNOWN_BEFORE_17 = b"SET transaction_timeout = 0;\n"
_PREAMBLE_LINES = 40
_CLEAR = b"""\
BEGIN;
SET LOCAL lock_timeout = '10s';
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


class Database:
    """The database at ``url``; ``foreign`` unless it is the embedded server's."""

    def __init__(self, url: str, *, foreign: bool) -> None:
        parts = conninfo_to_dict(url)
        password = parts.pop("password", None)
        self._url = url
        self._foreign = foreign
        self._target = f"--dbname={make_conninfo('', **parts)}"
        self._environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}

    def dump(self, path: Path, *, state: str) -> int:
        """Write it into ``path`` as it is in the exported snapshot ``state``; the major version of the writer."""
        program = client_program("pg_dump", version=self._version(), foreign=self._foreign)
        command: list[str | Path] = [
            program,
            "--format=custom",
            "--no-owner",
            "--no-privileges",
            "--lock-wait-timeout=10s",
        ]
        done = subprocess.run(  # noqa: S603
            [*command, f"--snapshot={state}", f"--file={path}", self._target],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise ClickException(f"The database cannot be backed up: {_first_line(done.stderr)}")
        return program_version(program)

    def require_alone(self) -> None:
        """Raise ClickException while anybody else is connected."""
        with psycopg.connect(self._url, autocommit=True) as connection:

            def alone() -> bool:
                query = (
                    "SELECT FROM pg_stat_activity WHERE datname = current_database()"
                    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )
                return connection.execute(query).fetchone() is None

            # Who has just hung up is seen for a moment longer.
            if not wait_until(alone, 3):
                raise ClickException("The database is in use: stop spa_app first. Nothing was restored.")

    def is_empty(self) -> bool:
        """Whether nothing is in it but, at most, what migrations put there."""
        with psycopg.connect(self._url) as connection:

            def asked(query: str) -> bool:
                return connection.execute(query).fetchone() is not None

            if not asked("SELECT FROM pg_tables WHERE schemaname = 'public'"):
                return True
            ours = asked("SELECT FROM pg_tables WHERE schemaname = 'public' AND tablename = 'branches'")
            return ours and not asked("SELECT FROM branches") and not asked("SELECT FROM users")

    def put_back(self, dump: Path, *, written_by: int) -> None:
        """Replace all of it by what ``dump`` holds, or nothing. Raises ClickException."""
        psql = client_program("psql", version=self._version(), foreign=self._foreign)
        pg_restore = client_program("pg_restore", version=written_by, foreign=self._foreign)
        read = [str(pg_restore), "--format=custom", "--no-owner", "--no-privileges", "--file=-", str(dump)]
        write = [str(psql), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-", self._target]
        with tempfile.TemporaryFile() as said:
            with (
                _started(read, stdout=subprocess.PIPE, stderr=said) as reader,
                _started(
                    write, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
                ) as writer,
                contextlib.suppress(BrokenPipeError),  # psql has stopped, and says why
            ):
                script, to = cast(IO[bytes], reader.stdout), cast(IO[bytes], writer.stdin)
                _copy_script(script, to)
                # Whatever happens before this, the transaction ends with psql and is rolled back.
                if reader.wait() == 0:
                    to.write(b"COMMIT;\nANALYZE;\n")
                to.close()
                if writer.wait() == reader.returncode == 0:
                    return
            said.seek(0)
            raise ClickException(f"Nothing was restored: {_first_line(said.read())}")

    def _version(self) -> int:
        with psycopg.connect(self._url) as connection:
            return connection.info.server_version // 10_000


@contextlib.contextmanager
def _started(command: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is there for the block."""
    process = subprocess.Popen(command, **options)  # noqa: S603
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _copy_script(script: IO[bytes], to: IO[bytes]) -> None:
    to.write(_CLEAR)
    for line in itertools.islice(script, _PREAMBLE_LINES):
        if line != _UNKNOWN_BEFORE_17:
            to.write(line)
    shutil.copyfileobj(script, to)


def _first_line(said: bytes) -> str:
    return next(iter(said.decode(errors="replace").strip().splitlines()), "no reason was given")
