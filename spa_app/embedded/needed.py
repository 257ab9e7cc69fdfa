"""A command's view: the servers that it needs, for as long as it runs."""

import contextlib
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import redis

from spa_app.config import Settings
from spa_app.embedded.postgres import EmbeddedPostgres
from spa_app.embedded.redis import EmbeddedRedis
from spa_app.errors import ConfigError


@contextlib.contextmanager
def database_server(settings: Settings) -> Iterator[str]:
    """Yield the URL of a database that answers: DATABASE_URL's, or the embedded one, started for this block if need be.

    Raises :class:`ConfigError` if it cannot be reached or started.
    """
    if settings.database_url is None:
        with _started(EmbeddedPostgres(settings.data_dir)) as url:
            yield url
        return
    try:
        psycopg.connect(settings.database_url.replace("+psycopg", "", 1), connect_timeout=5).close()
    except psycopg.Error as error:
        raise ConfigError(_unreachable("database", settings.database_url, error)) from error
    yield settings.database_url


@contextlib.contextmanager
def redis_server(settings: Settings) -> Iterator[str]:
    """Yield the URL of a Redis that answers: REDIS_URL's, or the embedded one. Raises :class:`ConfigError`."""
    if settings.redis_url is None:
        with _started(EmbeddedRedis(settings.data_dir)) as url:
            yield url
        return
    try:
        with redis.Redis.from_url(settings.redis_url, socket_connect_timeout=5, socket_timeout=5) as client:
            client.ping()
    except (redis.exceptions.RedisError, OSError) as error:
        raise ConfigError(_unreachable("Redis", settings.redis_url, error)) from error
    yield settings.redis_url


@contextlib.contextmanager
def _started(server: EmbeddedPostgres | EmbeddedRedis) -> Iterator[str]:
    owner = os.getpid()
    started = server.start()
    try:
        yield server.url
    finally:
        # Workers that were forked inside the block leave it too, and must not take the server with them.
        if started and os.getpid() == owner:
            server.stop()


def _unreachable(what: str, url: str, error: Exception) -> str:
    """One sentence without the password that the URL may hold."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2] + parts.path
    # PostgreSQL's client adds a question to what it says; of several attempts the last one counts.
    said = [line.strip() for line in str(error).strip().splitlines() if not line.strip().endswith("?")]
    reason = (said or ["no reason was given"])[-1].rstrip(".")
    return f"The {what} at {where} cannot be reached: {reason}."
