"""Tables as files: what spreadsheets read of them, and what they must not take for formulas."""

import csv
import datetime as dt
import io

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa_app import sheets
from spa_app.sheets import CsvWriter, XlsxWriter, harmless, original

ROWS = [
    ("name", "number", "day", "said"),
    ("Nguyễn Thị Ánh", 1_500_000, dt.date(2026, 3, 9), True),
    ("a, \"b\"; 'c'\nd <&> ]]>", -7, dt.date(1899, 1, 2), False),
    ("=1+1", 10**18, None, ""),
    ("bell \x07 and \x0b", None, dt.date(1900, 3, 1), None),
]


def written(writer_of, rows):
    file = io.BytesIO()
    writer = writer_of(file)
    for row in rows:
        writer.write(row)
    writer.close()
    return file


def test_csv_begins_with_the_mark_that_excel_needs_and_reads_back():
    data = written(CsvWriter, ROWS).getvalue()

    assert data.startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert read[1] == ["Nguyễn Thị Ánh", "1500000", "2026-03-09", "True"]
    assert read[2][0] == ROWS[2][0]
    assert read[3][:3] == ["'=1+1", "1000000000000000000", ""]


def test_xlsx_reads_back_with_numbers_dates_and_no_formula():
    book = openpyxl.load_workbook(written(lambda file: XlsxWriter(file, "cards"), ROWS))

    assert book.sheetnames == ["cards"]
    sheet = book.active
    assert sheet.freeze_panes == "A2"
    assert sheet["A1"].font.bold
    assert [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)] == [
        ["Nguyễn Thị Ánh", 1_500_000, dt.datetime.fromisoformat("2026-03-09"), True],
        ["a, \"b\"; 'c'\nd <&> ]]>", -7, "1899-01-02", False],
        ["'=1+1", "1000000000000000000", None, None],
        ["bell  and ", None, dt.datetime.fromisoformat("1900-03-01"), None],
    ]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n", "d", "b", "inlineStr"}


def test_a_sheet_that_is_full_is_followed_by_another_with_the_same_heading(monkeypatch):
    monkeypatch.setattr(sheets, "MOST_ROWS", 4)
    book = openpyxl.load_workbook(
        written(lambda file: XlsxWriter(file, "journal"), [("n",), *((n,) for n in range(7))])
    )

    assert book.sheetnames == ["journal", "journal 2", "journal 3"]
    assert [[cell.value for (cell,) in sheet.iter_rows()] for sheet in book] == [
        ["n", 0, 1, 2],
        ["n", 3, 4, 5],
        ["n", 6],
    ]


def test_columns_beyond_z_have_two_letters():
    row = [f"c{n}" for n in range(54)]

    sheet = openpyxl.load_workbook(written(lambda file: XlsxWriter(file, "wide"), [row])).active

    assert [cell.value for cell in sheet[1]] == row
    assert sheet["BB1"].value == "c53"


@given(st.text(alphabet="'=+-@\t\r\na0", max_size=6))
def test_what_is_made_harmless_can_be_taken_back_exactly(text):
    cell = harmless(text)

    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert original(cell) == text


@pytest.mark.parametrize("cell", ["'0912345678", "'", "", "it's", "0912"])
def test_an_apostrophe_of_somebody_else_stays(cell):
    assert original(cell) == cell
