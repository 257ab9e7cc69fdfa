"""Reading an export: one state of the database, however long it takes, a thousand rows at a time."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, CursorResult, Select, text

from spa_app.extensions import db
from spa_app.queries.exports.table import Scope, Table
from spa_app.sheets import Cell

AT_ONCE = 1000  # rows in memory


@contextmanager
def snapshot() -> Iterator[Connection]:
    """A connection whose statements all see the same state: REPEATABLE READ, read only, without a time limit.

    It is one of its own: the session's goes on beside it.
    """
    connection = db.engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with connection, connection.begin():
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        # A cursor is planned for its first rows unless it says that it will be read to the end.
        connection.execute(text("SET LOCAL cursor_tuple_fraction = 1"))
        yield connection


def stream(connection: Connection, statement: Select[Any], **values: str) -> CursorResult[Any]:
    """The statement's rows through a cursor of the server: :data:`AT_ONCE` of them are in memory."""
    return connection.execute(statement, values, execution_options={"stream_results": True, "yield_per": AT_ONCE})


def read_rows(
    connection: Connection, table: Table, scope: Scope, *, currency: str, timezone: str
) -> Iterator[Sequence[Cell]]:
    """The table's rows, instants as ISO texts with the offset of the row's own branch, else of ``timezone``."""
    width = len(table.columns)
    with stream(connection, table.select(scope), currency=currency) as rows:
        for row in rows:
            zone = _zone(row[width] if len(row) > width else timezone)
            yield [
                cell.astimezone(zone).isoformat(timespec="seconds") if isinstance(cell, dt.datetime) else cell
                for cell in row[:width]
            ]


_zone = cache(ZoneInfo)
