"""Cells of exports."""

import datetime as dt

import pytest

from spa_app.errors import InvalidError
from spa_app.services.imports.table import read_table
from spa_app.services.imports.values import is_same_person, parse_count, parse_date, parse_money, parse_yes


@pytest.mark.parametrize(
    "written",
    ["05/03/2027", "5/3/2027", "05-03-2027", "5.3.2027", "2027-03-05", "2027/03/05", "46451", "05/03/2027 00:00:00"],
)
def test_dates(written):
    assert parse_date(written, "expiry") == dt.date(2027, 3, 5)


@pytest.mark.parametrize("written", ["12/25/1988", "31/02/1990", "1990", "15/03/27", "cuối năm", "2027-13-01"])
def test_what_is_not_a_date(written):
    with pytest.raises(InvalidError) as refused:
        parse_date(written, "expiry")

    assert (refused.value.code, refused.value.field) == ("date_invalid", "expiry")


@pytest.mark.parametrize(
    "written", ["1500000", "1.500.000", "1,500,000đ", "1.500.000 ₫", "1500000.0", "1 500 000", "1.500.000 VNĐ"]
)
def test_amounts(written):
    assert parse_money(written, "value", "VND", "vi") == 1_500_000


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("-500.000", "amount_negative"),
        ("(500)", "amount_negative"),
        ("1,5tr", "amount_invalid"),
        ("9" * 15, "amount_invalid"),
    ],
)
def test_what_is_not_an_amount(written, code):
    with pytest.raises(InvalidError) as refused:
        parse_money(written, "value", "VND", "vi")

    assert refused.value.code == code


@pytest.mark.parametrize(("written", "count"), [("10", 10), ("10.0", 10), ("10 buổi", 10), ("0", 0), ("", None)])
def test_counts(written, count):
    assert parse_count(written, "total") == count


@pytest.mark.parametrize(
    ("written", "code"),
    [("-1", "count_negative"), ("mười", "count_invalid"), ("1.5", "count_invalid"), ("1001", "count_large")],
)
def test_what_is_not_a_count(written, code):
    with pytest.raises(InvalidError) as refused:
        parse_count(written, "total")

    assert refused.value.code == code


def test_yes_and_no():
    assert [parse_yes(text, "shares_phone") for text in ("x", "Có", "YES", "1", "✓")] == [True] * 5
    assert [parse_yes(text, "shares_phone") for text in ("", "không", "no", "0")] == [False] * 4


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Nguyễn Thị Hoa", "nguyen thi hoa", True),
        ("Nguyễn Thị Hoa", "Chị Hoa", True),
        ("Nguyễn Thị Hoa", "N. T. Hoa", True),
        ("Nguyễn Thị Hoa", "Hoa Nguyễn Thị", True),
        ("Nguyễn Văn An", "Nguyễn Văn Anh", False),
        ("Nguyễn Thị Hoa", "Trần Thị Hoa", False),
        ("Nguyễn Thị Hoa", "Nguyễn Thị Lan", False),
    ],
)
def test_who_is_the_same_person(one, other, same):
    assert is_same_person(one, other) is same
    assert is_same_person(other, one) is same


TEXT = "Danh sách khách hàng\n\nHọ tên{0}SĐT{0}Ghi chú\nLê Thị Đào{0}0912345678{0}Quý\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_and_delimiters(encoding, delimiter):
    table = read_table(TEXT.format(delimiter).encode(encoding))

    assert table.delimiter == delimiter
    assert [(row.number, row.cells["full_name"], row.cells["phone"]) for row in table.rows] == [
        (4, "Lê Thị Đào", "0912345678")
    ]


def test_the_old_vietnamese_code_page_is_read_and_named():
    data = "Ho ten;SDT\nTrâ\u0300n Thi\u0323 Đa\u0300o;0912345678\n".encode("cp1258")

    table = read_table(data)

    assert table.encoding == "cp1258"
    assert table.rows[0].cells["full_name"] == "Trần Thị Đào"


def test_excels_delimiter_line_counts_as_a_row():
    table = read_table(b"sep=;\nName;Phone\nMai;0912345678\n")

    assert [row.number for row in table.rows] == [3]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file_empty"),
        (b"PK\x03\x04rest", "file_is_workbook"),
        (b"a,b\n1,2\n", "no_header"),
        ("Họ tên,SĐT\n\n , \n".encode(), "no_rows"),
        (b"Name,Phone\n\x81\x8d\x90\x9d\xff\x8f\n", "file_not_text"),
    ],
)
def test_files_that_cannot_be_read_say_why(data, code):
    with pytest.raises(InvalidError) as refused:
        read_table(data)

    assert refused.value.code == code
