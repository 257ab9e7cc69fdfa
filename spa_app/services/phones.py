"""Telephone numbers as people write them and as exports mangle them, brought to E.164."""

import re
import unicodedata

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat

from spa_app.errors import N_, InvalidError

# Vietnam's change of September 2018: mobile numbers of eleven digits became ten (decree of the Ministry of
# Information and Communications, no. 798/QĐ-BTTTT).
OLD_PREFIXES = {
    **{f"16{digit}": f"3{digit}" for digit in "23456789"},
    "120": "70",
    "121": "79",
    "122": "77",
    "126": "76",
    "128": "78",
    "123": "83",
    "124": "84",
    "125": "85",
    "127": "81",
    "129": "82",
    "186": "56",
    "188": "58",
    "199": "59",
}

_OLD_MOBILE = re.compile(r"^\+?(?:00)?(?:84)?0?(1(?:2[0-9]|6[2-9]|8[68]|99))(\d{7})$")
# A mobile number by its shape. New ranges are given out faster than any table of them is updated.
_MOBILE = re.compile(r"^[35789]\d{8}$")


def normalise(raw: str | None, country: str = "VN") -> str | None:
    """The number in E.164 (``+84912345678``), or ``None`` where nothing was written.

    Takes a national number with or without its leading zero (Excel drops it), the country's code with or without ``+``,
    any grouping, full-width digits, a number that a spreadsheet has made a float (``912345678.0``), and the eleven
    digits that Vietnamese mobile numbers had before 2018. Other countries' numbers need ``+`` or ``00``. Raises
    :class:`InvalidError` at ``phone``.
    """
    text = _clean(raw or "")
    if not text:
        return None
    if re.fullmatch(r"\d(?:[.,]\d+)?[eE]\+?\d+", text):
        raise InvalidError(
            "phone_rounded",
            N_("“%(phone)s” is a number that a spreadsheet has rounded: its last digits are lost."),
            field="phone",
            phone=text,
        )
    text = re.sub(r"^(\d{7,15})[.,]0$", r"\1", text)
    if len(text) > 30 or not re.fullmatch(r"\+?[\d .()-]+", text):
        raise _invalid(text)
    digits = ("+" if text.startswith("+") else "") + re.sub(r"\D", "", text)
    if country == "VN" and (old := _OLD_MOBILE.match(digits)):
        digits = f"+84{OLD_PREFIXES[old[1]]}{old[2]}"
    number = _parse(digits, country)
    if number is None:
        raise _invalid(text)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _clean(raw: str) -> str:
    """Plain digits and marks: full-width forms narrowed, every dash ``-``, every space one space, the unseen gone."""
    kept = []
    for char in unicodedata.normalize("NFKC", raw):
        kind = unicodedata.category(char)
        if kind == "Cf":
            continue
        kept.append("-" if kind == "Pd" else " " if char.isspace() else char)
    return "".join(kept).strip(" '\"")


def _parse(digits: str, country: str) -> PhoneNumber | None:
    for candidate in (digits, "+" + digits[2:] if digits.startswith("00") else None):
        if candidate is None:
            continue
        try:
            number = phonenumbers.parse(candidate, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return number
        if country == "VN" and number.country_code == 84 and _MOBILE.match(str(number.national_number)):
            return number
    return None


def _invalid(text: str) -> InvalidError:
    shown = "".join(char for char in text[:30] if char.isprintable())
    return InvalidError("phone_invalid", N_("“%(phone)s” is not a phone number."), field="phone", phone=shown)
