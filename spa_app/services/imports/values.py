"""The values of one cell, as spas and their spreadsheets write them. Each parser raises InvalidError at its column."""

import datetime as dt
import re
import unicodedata

from spa_app.errors import N_, InvalidError
from spa_app.money import parse_amount

MOST_SESSIONS = 1000  # as a plan may have (ck_plan_items_sessions)
MOST_AMOUNT = 10**12
_EXCEL_DAY_ZERO = dt.date(1899, 12, 30)
_HONORIFICS = {"chi", "anh", "co", "chu", "bac", "em", "ba", "ong", "c", "a", "ms", "mr", "mrs", "miss"}


def fold(text: str) -> str:
    """Lower case without accents, marks as single spaces, without brackets and what is in them."""
    plain = unicodedata.normalize("NFKD", re.sub(r"\([^)]*\)", " ", text).lower().replace("đ", "d"))
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    return " ".join(re.sub(r"[^\w]+|_", " ", letters).split())


def parse_count(text: str, column: str) -> int | None:
    """A number of sessions: ``10``, ``10.0``, ``10 buổi``; ``None`` where nothing was written."""
    cleaned = re.sub(r"(buổi|lần|sessions?)$", "", text.strip().lower()).strip()
    if not cleaned:
        return None
    number = re.fullmatch(r"([-−]?\d{1,9})(?:[.,]0+)?", cleaned)
    if number is None:
        raise InvalidError("count_invalid", N_("“%(text)s” is not a number of sessions."), field=column, text=text)
    count = int(number[1].replace("−", "-"))
    if count < 0:
        raise InvalidError("count_negative", N_("%(text)s sessions: less than none."), field=column, text=text)
    if count > MOST_SESSIONS:
        raise InvalidError(
            "count_large",
            N_("%(text)s sessions: more than the %(most)d that a card can have."),
            field=column,
            text=text,
            most=MOST_SESSIONS,
        )
    return count


def parse_money(text: str, column: str, currency: str, locale: str) -> int | None:
    """Minor units: ``1.500.000``, ``1,500,000đ``, ``1500000.0``; ``None`` where nothing was written."""
    cleaned = re.sub(r"(vnđ|vnd|đồng|đ|₫)$", "", text.strip().lower()).strip().replace("\u2212", "-")
    if not cleaned:
        return None
    if cleaned.startswith("-") or re.fullmatch(r"\(.*\)", cleaned):
        raise InvalidError("amount_negative", N_("“%(text)s”: an amount below zero."), field=column, text=text)
    cleaned = re.sub(r"^(\d+)[.,]0{1,2}$", r"\1", cleaned)
    try:
        amount = parse_amount(cleaned, currency, locale)
    except ValueError:
        amount = MOST_AMOUNT + 1
    if amount > MOST_AMOUNT:
        raise InvalidError("amount_invalid", N_("“%(text)s” is not an amount."), field=column, text=text)
    return amount


def parse_minor(text: str, column: str) -> int | None:
    """An amount in minor units, as our own exports write them; ``None`` where nothing was written."""
    cleaned = text.strip()
    if not cleaned:
        return None
    if not (cleaned.isascii() and cleaned.isdigit()) or len(cleaned) > len(str(MOST_AMOUNT)):
        raise InvalidError(
            "amount_not_whole",
            N_("“%(text)s” is not a whole number of the smallest unit."),
            field=column,
            text=text[:30],
        )
    return int(cleaned)


def parse_validity(text: str, column: str, most: str) -> int | None:
    """So many days or months of validity, ``most`` at most; ``None`` where nothing was written."""
    cleaned = text.strip()
    if not cleaned:
        return None
    if not (cleaned.isascii() and cleaned.isdigit()) or len(cleaned) > 4 or not 1 <= int(cleaned) <= int(most):
        raise InvalidError(
            "validity_invalid",
            N_("“%(text)s” is not a whole number from 1 to %(most)s."),
            field=column,
            text=text[:30],
            most=most,
        )
    return int(cleaned)


def parse_date(text: str, column: str) -> dt.date | None:
    """A date: day/month/year, year-month-day or the serial number of a spreadsheet; ``None`` where nothing was written.

    A clock time behind it is left off. The month never comes first: what could only be read so is refused.
    """
    cleaned = re.sub(r"[ T]\d{1,2}:\d{2}(:\d{2})?(\.0+)?( ?[AaPp][Mm])?$", "", text.strip())
    if not cleaned:
        return None
    if serial := re.fullmatch(r"(\d{5})(?:\.\d+)?", cleaned):
        return _EXCEL_DAY_ZERO + dt.timedelta(days=int(serial[1]))
    if found := re.fullmatch(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})", cleaned):
        day, month, year = int(found[1]), int(found[3]), int(found[4])
    elif found := re.fullmatch(r"(\d{4})([/.-])(\d{1,2})\2(\d{1,2})", cleaned):
        year, month, day = int(found[1]), int(found[3]), int(found[4])
    else:
        raise _not_a_date(text, column)
    try:
        return dt.date(year, month, day)
    except ValueError as error:
        raise _not_a_date(text, column) from error


def parse_yes(text: str, column: str) -> bool:
    """Whether a box is ticked: ``x``, ``có``, ``yes``, ``1``. Empty, ``không``, ``no`` and ``0`` say that it is not."""
    answer = fold(text)
    if answer in ("x", "co", "yes", "y", "1", "true", "dung", "v") or text.strip() in ("✓", "✔"):
        return True
    if answer in ("", "khong", "k", "no", "n", "0", "false", "sai"):
        return False
    raise InvalidError("answer_invalid", N_("“%(text)s” is neither yes nor no."), field=column, text=text)


def is_same_person(one: str, other: str) -> bool:
    """Whether two names on one phone number are one person's, however they were typed.

    Both must have the same given name, which stands last: ``Nguyễn Văn An`` and ``Nguyễn Văn Anh`` are brothers. The
    words before it may be left out or abbreviated (``Hoa``, ``N. T. Hoa``), and titles do not count. The same words in
    another order are the same name as well.
    """
    words, others = _name_words(one), _name_words(other)
    if sorted(words) == sorted(others):
        return True
    if not words or not others or words[-1] != others[-1]:
        return False
    shorter, longer = sorted((words[:-1], others[:-1]), key=len)
    rest = iter(longer)
    return all(any(_abbreviates(word, candidate) for candidate in rest) for word in shorter)


def _abbreviates(word: str, other: str) -> bool:
    return word == other or (len(word) == 1 and other.startswith(word)) or (len(other) == 1 and word.startswith(other))


def _name_words(name: str) -> list[str]:
    words = fold(name).split()
    while len(words) > 1 and words[0] in _HONORIFICS:
        words = words[1:]
    return words


def _not_a_date(text: str, column: str) -> InvalidError:
    return InvalidError(
        "date_invalid", N_("“%(text)s” is not a date; write day/month/year."), field=column, text=text[:30]
    )
