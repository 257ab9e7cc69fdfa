"""Tables as CSV and XLSX files, written row by row, whose cells no spreadsheet takes for formulas."""

import csv
import datetime as dt
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Protocol
from xml.sax.saxutils import escape, quoteattr

Cell = str | int | bool | dt.date | dt.datetime | None
# What makes a spreadsheet read a text as a formula (OWASP, CSV injection).
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n")
MOST_ROWS = 1_048_576  # of a sheet, the header included
_MOST_CHARACTERS = 32_767  # of a cell
_EXACT = 10**15  # a spreadsheet rounds greater numbers
_AT_ONCE = 500  # rows
_DAY_ZERO = dt.datetime(1899, 12, 30)  # noqa: DTZ001 - a spreadsheet's days have no time zone
_FIRST_DAY = dt.date(1900, 3, 1)  # spreadsheets disagree about the days before it
_NOT_XML = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_CONTENT = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_SHEET_BEGIN = (
    f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
    '<cols><col min="1" max="{columns}" width="20" customWidth="1"/></cols><sheetData>'
)
# Styles: 0 plain, 1 a date, 2 an instant, 3 a heading.
_STYLES = (
    f'{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/>'
    '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '</fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


class Writer(Protocol):
    """A file that takes rows, the header first, and is whole once it is closed."""

    def write(self, row: Sequence[Cell]) -> None:
        """Add a row."""

    def close(self) -> None:
        """Finish the file; what it was opened on stays open."""


class CsvWriter:
    """UTF-8 with a byte order mark, without which Excel would not read it as such. Instants are written as text."""

    def __init__(self, file: IO[bytes], instant: Callable[[dt.datetime], str] = dt.datetime.isoformat) -> None:
        self._file = file
        self._instant = instant
        self._rows = csv.writer(_Utf8(file))
        file.write(b"\xef\xbb\xbf")

    def write(self, row: Sequence[Cell]) -> None:
        """Add a row."""
        self._rows.writerow([self._plain(cell) for cell in row])

    def close(self) -> None:
        """Hand on what is still buffered."""
        self._file.flush()

    def _plain(self, value: Cell) -> Cell:
        if isinstance(value, str):
            return harmless(value)
        if isinstance(value, dt.datetime):
            return self._instant(value)
        return value.isoformat() if isinstance(value, dt.date) else value


class XlsxWriter:
    """A workbook of one sheet, and of a further one for each million rows, packed while the rows come.

    Written by hand: openpyxl takes ten times as long, which for a million rows is minutes. Naive instants only.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._name = name
        self._letters: list[str] = []
        self._header = ""
        self._sheets = 0
        self._number = 0  # of the row
        self._waiting: list[str] = []

    def write(self, row: Sequence[Cell]) -> None:
        """Add a row."""
        if not self._header:
            self._letters = [_letters(index) for index in range(len(row))]
            self._header = self._row(row, 1, style=' s="3"')
            self._begin_sheet()
            return
        if self._number == MOST_ROWS:
            self._end_sheet()
            self._begin_sheet()
        self._number += 1
        self._waiting.append(self._row(row, self._number))
        if len(self._waiting) == _AT_ONCE:
            self._hand_on()

    def close(self) -> None:
        """Pack what describes the sheets."""
        with self._zip:
            self._end_sheet()
            numbers = range(1, self._sheets + 1)
            names = [self._name if number == 1 else f"{self._name} {number}" for number in numbers]
            for path, text in _parts(names):
                self._zip.writestr(path, text)

    def _row(self, row: Sequence[Cell], number: int, style: str = "") -> str:
        cells = [
            _cell(f"{letters}{number}", value, style)
            for letters, value in zip(self._letters, row, strict=True)
            if value is not None and value != ""
        ]
        return f'<row r="{number}">{"".join(cells)}</row>'

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._number = 1
        self._sheet = self._zip.open(f"xl/worksheets/sheet{self._sheets}.xml", "w", force_zip64=True)
        self._waiting.append(_SHEET_BEGIN.format(columns=len(self._letters)) + self._header)

    def _hand_on(self) -> None:
        self._sheet.write("".join(self._waiting).encode())
        self._waiting.clear()

    def _end_sheet(self) -> None:
        self._waiting.append("</sheetData></worksheet>")
        self._hand_on()
        self._sheet.close()


def harmless(text: str) -> str:
    """The text, behind an apostrophe if it would be read as a formula; :func:`original` takes that away again."""
    return f"'{text}" if text.lstrip("'").startswith(_ACTIVE) else text


def original(cell: str) -> str:
    """The text that :func:`harmless` made this cell of."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_ACTIVE) else cell


def _cell(place: str, value: Cell, style: str) -> str:
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"{style}><v>{value:d}</v></c>'
    if isinstance(value, int) and abs(value) < _EXACT:
        return f'<c r="{place}"{style}><v>{value}</v></c>'
    if isinstance(value, dt.datetime):
        days = (value - _DAY_ZERO) / dt.timedelta(days=1)
        return f'<c r="{place}" s="2"><v>{days:.10f}</v></c>'
    if isinstance(value, dt.date) and value >= _FIRST_DAY:
        return f'<c r="{place}" s="1"><v>{(value - _DAY_ZERO.date()).days}</v></c>'
    text = escape(_NOT_XML.sub("", harmless(str(value)))[:_MOST_CHARACTERS])
    return f'<c r="{place}" t="inlineStr"{style}><is><t xml:space="preserve">{text}</t></is></c>'


def _letters(index: int) -> str:
    """The name of a column: 0 is A, 26 is AA."""
    head, tail = divmod(index, 26)
    return (_letters(head - 1) if head else "") + chr(ord("A") + tail)


def _parts(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a workbook of these sheets holds beside them, as (path, text)."""
    sheets = list(enumerate(names, 1))
    yield (
        "[Content_Types].xml",
        f'{_XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_CONTENT}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_CONTENT}.styles+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_CONTENT}.worksheet+xml"/>'
            for number, _ in sheets
        )
        + "</Types>",
    )
    yield (
        "_rels/.rels",
        f'{_XML}<Relationships xmlns="{_RELATIONS}">'
        f'<Relationship Id="rId1" Type="{_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    )
    yield (
        "xl/workbook.xml",
        f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}"><sheets>'
        + "".join(f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"/>' for number, name in sheets)
        + "</sheets></workbook>",
    )
    yield (
        "xl/_rels/workbook.xml.rels",
        f'{_XML}<Relationships xmlns="{_RELATIONS}">'
        + "".join(
            f'<Relationship Id="rId{number}" Type="{_DOCUMENT}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number, _ in sheets
        )
        + f'<Relationship Id="rId{len(names) + 1}" Type="{_DOCUMENT}/styles" Target="styles.xml"/></Relationships>',
    )
    yield "xl/styles.xml", _STYLES


class _Utf8:
    """The text file that ``csv`` writes to. (``io.TextIOWrapper`` would close what it wraps.)"""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())
