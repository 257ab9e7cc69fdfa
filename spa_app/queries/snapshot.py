"""A name for the state in which a statement sees the database: what was read in it may be kept until it ends."""

from typing import Any

import psycopg
from sqlalchemy.exc import DBAPIError

from spa_app.extensions import db

# Equal values mean that nothing was committed in between: PostgreSQL's snapshot lists which transactions can be seen.
SNAPSHOT = "concat_ws(' ', current_database(), pg_postmaster_start_time(), pg_current_snapshot())"


def get_snapshot() -> str | None:
    """The state that the database is in now, past the session: a tenth of what a statement through it costs.

    None when the database does not answer: who asks it next will find out more.
    """
    try:
        connection = db.engine.raw_connection()
    except DBAPIError:
        return None
    raw: Any = connection.driver_connection
    try:
        raw.autocommit = True
        try:
            return str(raw.execute(f"SELECT {SNAPSHOT}").fetchone()[0])
        finally:
            raw.autocommit = False
    except psycopg.Error:
        connection.invalidate()
        return None
    finally:
        connection.close()
