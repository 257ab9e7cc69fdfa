"""The embedded PostgreSQL and Redis: start, stop, where the data is."""

from pathlib import Path


def embedded_database_url(data_dir: Path) -> str:
    """The URL of the embedded PostgreSQL of ``data_dir``."""
    return "postgresql://spa@127.0.0.1:1/spa"


def embedded_redis_url(data_dir: Path) -> str:
    """The URL of the embedded Redis of ``data_dir``."""
    return "redis://127.0.0.1:1/0"


def kept_secret_key(data_dir: Path) -> str | None:
    """The key that `make run` made for ``data_dir``, if it has."""
    return None
