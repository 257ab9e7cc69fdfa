"""PostgreSQL's client programs (pg_dump, pg_restore, psql): the embedded package's, or those on the PATH."""

import re
import shutil
import subprocess
from pathlib import Path

from spa_app.embedded.places import installed_programs
from spa_app.errors import ConfigError


def client_program(name: str, *, version: int, foreign: bool) -> Path:
    """The program ``name``, of PostgreSQL's major ``version`` or newer.

    For a ``foreign`` server the PATH's goes first: ours speaks no TLS. Raises :class:`ConfigError` if there is none.
    """
    found = shutil.which(name) if foreign else None
    for program in (*([Path(found)] if found else []), installed_programs() / name):
        if program_version(program) >= version:
            return program
    raise ConfigError(f"This takes the {name} of PostgreSQL {version} or newer; put it on the PATH.")


def program_version(program: Path) -> int:
    """Its major version; 0 if it does not run."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    number = re.search(r"\) (\d+)", said)
    return int(number[1]) if number else 0
