"""Phone numbers as people write them and as exports mangle them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa_app.errors import InvalidError
from spa_app.services.phones import OLD_PREFIXES, normalise

MOBILE = st.from_regex(r"9[0-4678][0-9]{7}", fullmatch=True)
MARKS = st.sampled_from(["", " ", ".", "-", "\u00a0", "\u200b", "–"])


@pytest.mark.parametrize(
    "written",
    [
        "0912 345 678",
        "+84 912 345 678",
        "84912345678",
        "0084912345678",
        "0912.345.678",
        '"0912-345-678"',
        "'0912345678",
        "912345678",
        "912345678.0",
        "+84 (0)912 345 678",
        "０９１２３４５６７８",
        "0912\u00a0345\u200b678",
        "0912–345–678",
    ],
)
def test_one_number_in_many_clothes(written):
    assert normalise(written) == "+84912345678"


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0168 123 4567", "+84381234567"),
        ("1681234567", "+84381234567"),
        ("+84 120 123 4567", "+84701234567"),
        ("0199 123 4567", "+84591234567"),
        ("024 3825 1234", "+842438251234"),
        ("2438251234", "+842438251234"),
        ("0992 123 456", "+84992123456"),
        ("842345678", "+84842345678"),
        ("+1 202 555 0123", "+12025550123"),
        ("", None),
        (" \u200b", None),
        (None, None),
    ],
)
def test_other_numbers(written, stored):
    assert normalise(written) == stored


@pytest.mark.parametrize(
    "garbage",
    [
        "không có",
        "123",
        "0912 345",
        "0912345678/0987654321",
        "0912345678 ext 3",
        "\x000912345678",
        "+",
        "²" * 9,
        "9" * 99,
    ],
)
def test_garbage_is_refused_at_its_field(garbage):
    with pytest.raises(InvalidError) as refused:
        normalise(garbage)

    assert (refused.value.code, refused.value.field) == ("phone_invalid", "phone")


@pytest.mark.parametrize("rounded", ["9.12E+08", "9,12E+08", "8e10"])
def test_a_number_that_a_spreadsheet_rounded_is_lost(rounded):
    with pytest.raises(InvalidError) as refused:
        normalise(rounded)

    assert refused.value.code == "phone_rounded"


@given(MOBILE, MARKS, MARKS, st.sampled_from(["0", "+84", "84", "0084", "+84 0", ""]))
def test_format_does_not_matter(number, one, two, start):
    assert normalise(f"{start}{number[:3]}{one}{number[3:6]}{two}{number[6:]}") == f"+84{number}"


@given(MOBILE)
def test_what_is_stored_stays_as_it_is(number):
    assert normalise(normalise(number)) == f"+84{number}"


@given(st.text(max_size=60))
def test_anything_else_is_e164_or_refused(text):
    try:
        number = normalise(text)
    except InvalidError:
        return
    assert number is None or (number.startswith("+") and 8 <= len(number) <= 16 and number[1:].isascii())


@given(st.sampled_from(sorted(OLD_PREFIXES)), st.from_regex(r"[0-9]{7}", fullmatch=True))
def test_old_mobile_numbers_are_what_they_became(prefix, rest):
    assert normalise(f"0{prefix}{rest}") == f"+84{OLD_PREFIXES[prefix]}{rest}"
