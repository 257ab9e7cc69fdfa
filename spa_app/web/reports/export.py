"""Tables as CSV and XLSX files that no spreadsheet takes for formulas."""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Sequence

from flask import Response
from flask_babel import to_user_timezone
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font

FORMATS = ("csv", "xlsx")
Cell = str | int | dt.date | dt.datetime | None
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_COLUMNS = "ABCDEFGHIJKL"
# What makes a spreadsheet read a text as a formula (OWASP, CSV injection).
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n")


def export(kind: str, name: str, rows: Iterable[Sequence[Cell]]) -> Response:
    """A download ``name.<kind>``; ``kind`` is one of :data:`FORMATS`, the first row the header."""
    content = _csv(rows) if kind == "csv" else _xlsx(rows)
    return Response(
        content,
        mimetype="text/csv" if kind == "csv" else _XLSX,
        headers={"Content-Disposition": f'attachment; filename="{name}.{kind}"'},
    )


def _csv(rows: Iterable[Sequence[Cell]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([_plain(cell) for cell in row] for row in rows)
    # Excel reads UTF-8 only where a byte order mark says so.
    return out.getvalue().encode("utf-8-sig")


def _xlsx(rows: Iterable[Sequence[Cell]]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.freeze_panes = "A2"
    for letter in _COLUMNS:
        sheet.column_dimensions[letter].width = 20
    for number, row in enumerate(rows):
        cells = []
        for value in row:
            cell = WriteOnlyCell(sheet)
            if isinstance(value, str):
                # openpyxl would take a leading "=" for a formula; characters that XML cannot hold are left out.
                cell.value = ILLEGAL_CHARACTERS_RE.sub("", _harmless(value))
                cell.data_type = "s"
            else:
                cell.value = _naive(value)
            if number == 0:
                cell.font = Font(bold=True)
            cells.append(cell)
        sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_ACTIVE) else text


def _plain(value: Cell) -> Cell:
    if isinstance(value, dt.datetime):
        return to_user_timezone(value).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, dt.date):
        return value.isoformat()
    return _harmless(value) if isinstance(value, str) else value


def _naive(value: int | dt.date | None) -> int | dt.date | None:
    return to_user_timezone(value).replace(tzinfo=None) if isinstance(value, dt.datetime) else value
