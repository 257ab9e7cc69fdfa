"""Reports as downloads."""

import datetime as dt
import tempfile
from collections.abc import Iterable, Sequence

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
    # The response closes it once it is sent, and it is gone then.
    file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
    try:
        writer: Writer = CsvWriter(file, _minute) if kind == "csv" else XlsxWriter(file, "Sheet")
        for row in rows:
            writer.write([_local(cell) for cell in row])
        writer.close()
    except BaseException:
        file.close()
        raise
    file.seek(0)
    answer = Response(
        iter(lambda: file.read(_PIECE), b""),
        mimetype=MIME_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}.{kind}"'},
    )
    answer.call_on_close(file.close)
    return answer


def _local(value: Cell) -> Cell:
    return to_user_timezone(value).replace(tzinfo=None) if isinstance(value, dt.datetime) else value


def _minute(instant: dt.datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
