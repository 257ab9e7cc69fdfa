"""What a backup is made of: a tar of the database's dump, the customers' files, and at its end a manifest.

The manifest holds a checksum of each part. It is written last, so that a file that was cut short has none.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from click import ClickException

FORMAT = 1
NEWER = "A newer spa_app made this backup: update this one first. Nothing was restored."
DUMP = "database.dump"
_MANIFEST = "manifest.json"
_FILE = re.compile(r"customer-files/([0-9a-f]{32})")
_BLOCK = 1 << 20


@dataclass
class Manifest:
    """What a backup says about itself. ``parts``: SHA-256 of each by its name."""

    made_at: str
    schema: str  # the migration that the database had come to
    currency: str
    dumped_by: int  # PostgreSQL's major version
    format: int = FORMAT
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> list[uuid.UUID]:
        """The random names of the customers' files in it."""
        return [uuid.UUID(match[1]) for name in self.parts if (match := _FILE.fullmatch(name))]


class BackupWriter:
    """Adds the parts of a backup; the manifest learns of each."""

    def __init__(self, tar: tarfile.TarFile, manifest: Manifest) -> None:
        self._tar = tar
        self._manifest = manifest

    def add_dump(self, path: Path) -> None:
        """Add the database."""
        self._add(DUMP, path)

    def add_file(self, stored_as: uuid.UUID, path: Path) -> None:
        """Add a customer's file. Raises FileNotFoundError where there is none."""
        self._add(name_of(stored_as), path)

    def _add(self, name: str, path: Path) -> None:
        with path.open("rb") as source:
            info = tarfile.TarInfo(name)
            info.size = os.fstat(source.fileno()).st_size
            part = _Summed(source)
            self._tar.addfile(info, part)
        self._manifest.parts[name] = part.digest.hexdigest()


@contextmanager
def new_backup(path: Path, manifest: Manifest) -> Iterator[BackupWriter]:
    """Write a backup into the new file ``path``, for its owner's eyes only; it is whole, and on disk, at the end."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            yield BackupWriter(tar, manifest)
            content = json.dumps(asdict(manifest), indent=1).encode()
            info = tarfile.TarInfo(_MANIFEST)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        file.flush()
        os.fsync(file.fileno())


class BackupReader:
    """A backup that was found whole: every part is there, and as it was written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {member.name: member for member in tar.getmembers()}
        said = json.loads(self._part(_MANIFEST).read())
        if said["format"] > FORMAT:
            raise ClickException(NEWER)
        self.manifest = Manifest(**said)
        for name, digest in self.manifest.parts.items():
            if (name != DUMP and not _FILE.fullmatch(name)) or _digest(self._part(name)) != digest:
                raise ValueError(name)
        if DUMP not in self.manifest.parts:
            raise ValueError(DUMP)

    def copy_dump(self, to: IO[bytes]) -> None:
        """Write the database's dump."""
        shutil.copyfileobj(self._part(DUMP), to)

    def read_file(self, stored_as: uuid.UUID) -> bytes:
        """A customer's file."""
        return self._part(name_of(stored_as)).read()

    def _part(self, name: str) -> IO[bytes]:
        part = self._tar.extractfile(self._members[name])
        if part is None:
            raise ValueError(name)
        return part


@contextmanager
def open_backup(path: Path) -> Iterator[BackupReader]:
    """Read all of a backup and yield it. Raises ClickException with one sentence if it is not whole."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ClickException(f"{path}: {error.strerror}.") from error
    with file, contextlib.ExitStack() as stack:
        try:
            reader = BackupReader(stack.enter_context(tarfile.open(fileobj=file, mode="r:")))
        except (tarfile.TarError, EOFError, KeyError, ValueError, TypeError, OSError) as error:
            raise ClickException(f"{path} is damaged, or no backup of spa_app. Nothing was restored.") from error
        yield reader


def name_of(stored_as: uuid.UUID) -> str:
    """The name of a customer's file within a backup."""
    return f"customer-files/{stored_as.hex}"


class _Summed:
    """A file whose checksum is there once it has been read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def _digest(part: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := part.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
