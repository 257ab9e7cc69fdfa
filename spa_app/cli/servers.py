"""What a command puts around its work: the servers that it needs, and the application that is connected to them."""

import contextlib
from collections.abc import Iterator

from flask import Flask, current_app
from sqlalchemy import text

from spa_app.config import Settings, sqlalchemy_url
from spa_app.embedded import database_server, redis_server
from spa_app.errors import ConfigError
from spa_app.extensions import db


@contextlib.contextmanager
def with_servers(*, redis: bool = False, schema: bool = True) -> Iterator[Flask]:
    """Yield the application, in its context, with a database (and ``redis``) that answers.

    The embedded servers are started for this block if they are needed and not running. Raises ConfigError, which ends
    the command with its one sentence, if a server cannot be reached or started, or if the block needs the ``schema``
    and no migration has run yet.
    """
    settings: Settings = current_app.config["SETTINGS"]
    with contextlib.ExitStack() as stack:
        database_url = sqlalchemy_url(stack.enter_context(database_server(settings)))
        redis_url = stack.enter_context(redis_server(settings)) if redis else current_app.config["REDIS_URL"]
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        if (database_url, redis_url) != (app.config["SQLALCHEMY_DATABASE_URI"], app.config["REDIS_URL"]):
            # A kept port was taken by another program, and the server moved to another one when it started.
            from spa_app import create_app

            app = create_app(settings)
            stack.enter_context(app.app_context())
        try:
            if schema and not _has_schema():
                raise ConfigError("The database has no tables yet: run `flask --app wsgi db upgrade` first.")
            yield app
        finally:
            # The session would otherwise end with the command, after its server has stopped.
            db.session.remove()
            db.engine.dispose()


def _has_schema() -> bool:
    with db.engine.connect() as connection:
        found = bool(connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")))
    db.engine.dispose()  # what forks later must not find a connection
    return found
