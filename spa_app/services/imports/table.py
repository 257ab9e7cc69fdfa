"""From the bytes of a file to numbered rows with known columns."""

import csv
import hashlib
import io
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from spa_app.errors import N_, InvalidError
from spa_app.services.imports.values import fold
from spa_app.sheets import original

MOST_BYTES = 50_000_000
HEADER_WITHIN = 10  # rows; exports put the spa's name and a title first
DELIMITERS = (",", ";", "\t")

# column → what it is called in exports, folded. Order matters where a file has two columns for one thing: the first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "full_name": (
        *("ho ten", "ho va ten", "ho ten khach hang", "ten khach hang", "ten khach", "khach hang", "khach", "ten"),
        *("name", "full name", "customer", "customer name", "client", "client name"),
    ),
    "family_name": ("ho", "ho dem", "ho va dem", "ho va ten dem", "ho lot", "last name", "surname", "family name"),
    "phone": (
        *("so dien thoai", "sdt", "so dt", "dien thoai", "dt", "dtdd", "di dong", "so di dong", "so dien thoai khach"),
        *("phone", "phone number", "phone no", "mobile", "mobile phone", "tel", "telephone"),
    ),
    "customer_code": (
        *("ma khach hang", "ma khach", "ma kh", "so khach hang"),
        *("customer id", "customer code", "customer no", "customer number", "client id"),
    ),
    "shares_phone": (
        *("dung chung so", "dung chung sdt", "dung chung so dien thoai", "chung so", "chung sdt"),
        *("shares phone", "shared phone", "shares the phone"),
    ),
    "email": ("email", "e mail", "thu dien tu", "mail", "email address"),
    "birth_date": ("ngay sinh", "sinh nhat", "ngay thang nam sinh", "birthday", "birth date", "date of birth", "dob"),
    "allergies": ("di ung", "allergy", "allergies"),
    "note": ("ghi chu", "luu y", "note", "notes", "remarks", "comment", "comments"),
    "service": (
        *("dich vu", "lieu trinh", "ten dich vu", "ten lieu trinh", "goi dich vu", "goi lieu trinh"),
        *("service", "service name", "treatment"),
    ),
    "card_code": ("ma the", "so the", "ma lieu trinh", "card", "card id", "card no", "card number", "card code"),
    "total": ("tong so buoi", "tong buoi", "so buoi", "total", "total sessions", "sessions"),
    "used": ("da dung", "so buoi da dung", "buoi da dung", "da su dung", "da lam", "used", "used sessions"),
    "left": (
        *("con lai", "so buoi con lai", "buoi con lai", "so buoi con", "con"),
        *("left", "remaining", "sessions left", "remaining sessions"),
    ),
    "value": (
        *("gia tri", "thanh tien", "gia", "gia ban", "gia goi", "tong tien", "so tien", "gia tri the"),
        *("value", "price", "amount", "total price"),
    ),
    "validity_days": ("validity days",),
    "validity_months": ("validity months",),
    "good_in": ("good in", "chi dung tai", "dung tai chi nhanh"),
    "owed": ("owed amount", "owed without vat", "con no chua thue"),
    "net": ("net value", "value without vat", "gia tri chua thue"),
    "expiry": (
        *("han dung", "han su dung", "ngay het han", "het han", "hsd", "han the", "hieu luc den"),
        *("expiry", "expiry date", "expires", "expires on", "valid to", "valid until"),
    ),
}
_COLUMN_OF = {alias: column for column, aliases in COLUMNS.items() for alias in aliases}


@dataclass(frozen=True)
class Row:
    """One row: its number as the spreadsheet shows it, and its cells by column. ``surplus``: cells without a header."""

    number: int
    cells: dict[str, str]
    surplus: int = 0


@dataclass(frozen=True)
class Table:
    """What was read, how, and what was not used. ``headings`` gives each column's name in the file."""

    rows: tuple[Row, ...]
    headings: dict[str, str]
    unused: tuple[str, ...]
    encoding: str
    delimiter: str
    digest: str


def read_table(data: bytes) -> Table:
    """Read a CSV file. Raises :class:`InvalidError` where nothing in it can be read as customers."""
    text, encoding = _decode(data)
    if text.lstrip().startswith("sep=") and "\n" in text:
        # Excel's own mark for the delimiter; the row counts, as it does on Excel's screen.
        text = "\n" + text.split("\n", 1)[1]
    best: tuple[int, list[list[str]], int, str] | None = None
    for delimiter in DELIMITERS:
        records = _records(text, delimiter)
        for index, record in enumerate(records[:HEADER_WITHIN]):
            known = {_COLUMN_OF[name] for name in map(fold, record) if name in _COLUMN_OF}
            if "full_name" in known and (best is None or len(known) > best[0]):
                best = (len(known), records, index, delimiter)
    if best is None:
        raise InvalidError(
            "no_header",
            N_("No column of names was found: one heading must be “Họ tên”, “Khách hàng” or “Name”."),
        )
    _, records, header_index, delimiter = best
    columns, headings, unused = _columns(records[header_index])
    rows = tuple(_rows(records, header_index, columns))
    if not rows:
        raise InvalidError("no_rows", N_("The file has headings but no rows."))
    return Table(rows, headings, unused, encoding, delimiter, hashlib.sha256(data).hexdigest())


def _decode(data: bytes) -> tuple[str, str]:
    if len(data) > MOST_BYTES:
        raise InvalidError("file_large", N_("The file is larger than %(most)d MB."), most=MOST_BYTES // 1_000_000)
    if not data.strip():
        raise InvalidError("file_empty", N_("The file is empty."))
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise InvalidError(
            "file_is_workbook", N_("This is an Excel workbook. Save it as “CSV UTF-8” and import that file.")
        )
    for encoding in _likely_encodings(data):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        # Windows' Vietnamese code page keeps tone marks apart from their letters.
        return unicodedata.normalize("NFC", text), encoding
    raise InvalidError(
        "file_not_text", N_("The file is not text in an encoding that can be read. Save it as “CSV UTF-8”.")
    )


def _likely_encodings(data: bytes) -> tuple[str, ...]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    if b"\x00" in data[1:200:2] and b"\x00" not in data[:200:2]:
        return ("utf-16-le",)
    if b"\x00" in data[:200:2] and b"\x00" not in data[1:200:2]:
        return ("utf-16-be",)
    return ("utf-8-sig", "cp1258")


def _records(text: str, delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InvalidError("csv_broken", N_("The file cannot be split into rows: %(why)s."), why=str(error)) from error


def _columns(header: list[str]) -> tuple[dict[int, str], dict[str, str], tuple[str, ...]]:
    columns: dict[int, str] = {}
    headings: dict[str, str] = {}
    unused = []
    for position, heading in enumerate(header):
        column = _COLUMN_OF.get(fold(heading))
        if column is None or column in headings:
            unused.append(heading.strip())
            continue
        columns[position] = column
        headings[column] = heading.strip()
    return columns, headings, tuple(filter(None, unused))


def _rows(records: list[list[str]], header_index: int, columns: dict[int, str]) -> Iterable[Row]:
    width = len(records[header_index])
    for number, record in enumerate(records[header_index + 1 :], header_index + 2):
        if any(cell.strip() for cell in record):
            cells = {
                column: original(record[position]).strip() if position < len(record) else ""
                for position, column in columns.items()
            }
            yield Row(number, cells, sum(1 for cell in record[width:] if cell.strip()))
