"""Reports as downloads."""

import datetime as dt
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from flask import Response
from flask_babel import to_user_timezone

from spa_app.sheets import Cell, CsvWriter, Writer, XlsxWriter

FORMATS = ("csv", "xlsx")
IN_MEMORY = 1_000_000  # bytes; a larger file waits on the disk
_PIECE = 65_536  # bytes
MIME_TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ics": "text/calendar",
}


def export(kind: str, name: str, rows: Iterable[Sequence[Cell]]) -> Response:
    """A download ``name.<kind>``; ``kind`` is one of :data:`FORMATS`, the first row the header.

    The rows are read once and never all in memory; what is over a megabyte waits on the disk.
    """
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the response closes it
    try:
        writer: Writer = CsvWriter(file, _minute) if kind == "csv" else XlsxWriter(file, "Sheet")
        for row in rows:
            writer.write([_local(cell) for cell in row])
        writer.close()
    except BaseException:
        file.close()
        raise
    return download(file, f"{name}.{kind}", MIME_TYPES[kind])


def download(file: IO[bytes], name: str, mimetype: str) -> Response:
    """A file that is handed out piece by piece and then closed."""
    file.seek(0)
    answer = Response(
        _pieces(file),
        mimetype=mimetype,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    answer.call_on_close(file.close)
    return answer


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece


def _local(value: Cell) -> Cell:
    return to_user_timezone(value).replace(tzinfo=None) if isinstance(value, dt.datetime) else value


def _minute(instant: dt.datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
