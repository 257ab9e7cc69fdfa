"""Everything that a spa has stored, as plain tables to take along.

``Scope`` says of which branches and days, ``TABLES`` what there is, :func:`~spa_app.queries.exports.stream.snapshot`
reads it: row by row, and all of it from one state of the database.
"""

from spa_app.queries.exports.calendar import read_events
from spa_app.queries.exports.catalogue import TABLES
from spa_app.queries.exports.stream import read_rows, snapshot
from spa_app.queries.exports.table import Column, Scope, Table

__all__ = ["TABLES", "Column", "Scope", "Table", "read_events", "read_rows", "snapshot"]
