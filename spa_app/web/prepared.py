"""What is derived from files in the repository (compressed assets, compiled catalogues), made once per content."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def digest(root: Path, pattern: str = "**/*") -> str:
    """Ten hex digits that stand for the names and contents of the files under ``root``."""
    total = hashlib.sha256()
    for path in sorted(path for path in root.glob(pattern) if path.is_file()):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:10]


def prepared(data_dir: Path, name: str, build: Callable[[Path], None]) -> Path:
    """The folder ``<data_dir>/cache/<name>``, built on first use.

    ``name`` carries the digest of what it is built from, so it is never stale. Several processes may build at once:
    each does so aside, and the first rename wins.
    """
    wanted = data_dir / "cache" / name
    if wanted.is_dir():
        return wanted
    wanted.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=wanted.parent, prefix=f"{name}."))
    try:
        build(aside)
        aside.chmod(0o755)
        aside.rename(wanted)
    except OSError:
        if not wanted.is_dir():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return wanted
