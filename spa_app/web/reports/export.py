"""Reports as downloads."""

import datetime as dt
import io
from collections.abc import Iterable, Sequence

from flask import Response
from flask_babel import to_user_timezone

from spa_app.sheets import Cell, CsvWriter, Writer, XlsxWriter

FORMATS = ("csv", "xlsx")
MIME_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ics": "text/calendar",
}


def export(kind: str, name: str, rows: Iterable[Sequence[Cell]]) -> Response:
    """A download ``name.<kind>``; ``kind`` is one of :data:`FORMATS`, the first row the header."""
    file = io.BytesIO()
    writer: Writer = CsvWriter(file, _minute) if kind == "csv" else XlsxWriter(file, "Sheet")
    for row in rows:
        writer.write([_local(cell) for cell in row])
    writer.close()
    return Response(
        file.getvalue(),
        mimetype=MIME_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}.{kind}"'},
    )


def _local(value: Cell) -> Cell:
    return to_user_timezone(value).replace(tzinfo=None) if isinstance(value, dt.datetime) else value


def _minute(instant: dt.datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
