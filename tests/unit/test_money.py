"""Integer money: nothing is lost in shares, in VAT, in sessions, or between a person's typing and the page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa_app.money import format_money, parse_amount, session_value, split, vat_within

AMOUNTS = st.integers(-(10**12), 10**12)
RATES = st.integers(0, 10_000)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_shares_add_up_and_only_the_last_takes_the_rounding(amount, weights):
    shares = split(amount, weights)

    assert sum(shares) == amount
    even = weights if any(weights) else [1] * len(weights)
    exact = [amount * weight // sum(even) for weight in even]
    assert shares[:-1] == exact[:-1]
    assert 0 <= shares[-1] - exact[-1] < len(even)


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_shares_want_weights(weights):
    with pytest.raises(ValueError, match="weights"):
        split(10, weights)


@pytest.mark.parametrize(
    ("amount", "weights", "shares"),
    [(100, [1, 1, 1], [33, 33, 34]), (10, [0, 0], [5, 5]), (7, [0, 3], [0, 7])],
)
def test_the_odd_unit_goes_to_the_last(amount, weights, shares):
    assert split(amount, weights) == shares


@given(AMOUNTS, RATES)
def test_vat_is_exact_to_half_a_unit(gross, rate):
    vat = vat_within(gross, rate)

    assert abs(2 * (vat * (10_000 + rate) - gross * rate)) <= 10_000 + rate
    assert vat_within(-gross, rate) == -vat


@pytest.mark.parametrize(
    ("gross", "rate", "vat"),
    [
        (1_000_000, 800, 74_074),
        (108, 800, 8),
        (1_100, 1_000, 100),
        (0, 800, 0),
        (21, 500, 1),
        (450_000, 0, 0),
        (3, 10_000, 2),
    ],
)
def test_vat_by_hand(gross, rate, vat):
    assert vat_within(gross, rate) == vat


@given(st.integers(0, 10**9), st.integers(1, 60), st.data())
def test_a_card_ends_at_exactly_zero_in_whatever_order_it_is_used(whole, total, data):
    """Punches of one, expiries of several, and returns of any earlier take: nothing is lost, nothing is owed twice."""
    taken: list[tuple[int, int]] = []
    while (gone := sum(sessions for sessions, _ in taken)) < total:
        if taken and data.draw(st.integers(0, 3)) == 0:
            taken.pop(data.draw(st.integers(0, len(taken) - 1)))
            continue
        spent = sum(value for _, value in taken)
        sessions = data.draw(st.integers(1, total - gone))
        value = session_value(whole=whole, spent=spent, total_sessions=total, sessions_gone=gone, sessions=sessions)
        assert 0 <= value <= whole - spent
        taken.append((sessions, value))

    assert sum(value for _, value in taken) == whole


@given(st.integers(0, 10**15 - 1), st.sampled_from(["VND", "EUR", "USD"]), st.sampled_from(["vi", "en"]))
def test_what_the_page_shows_can_be_typed_back(amount, currency, locale):
    shown = format_money(amount, currency, locale).replace("€", "").replace("$", "").replace("US", "")

    assert parse_amount(shown.replace("₫", "").strip(), currency, locale) == amount


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("450000", 450_000),
        ("450.000", 450_000),
        ("450,000 ₫", 450_000),
        (" 1.250.000đ ", 1_250_000),
        ("0", 0),
        ("5 VND", 5),
    ],
)
@pytest.mark.parametrize("locale", ["vi", "en"])
def test_what_people_type(typed, amount, locale):
    assert parse_amount(typed, "VND", locale) == amount


@pytest.mark.parametrize(
    "typed", ["", "-5", "1.5", "1,50", "12.34.567", "1e6", "٤٥", "9" * 16, "1.000,000", "abc", "₫"]
)
@pytest.mark.parametrize("locale", ["vi", "en"])
def test_what_is_no_amount(typed, locale):
    with pytest.raises(ValueError, match=r".+"):
        parse_amount(typed, "VND", locale)


@pytest.mark.parametrize(
    ("typed", "locale", "amount"),
    [("12.50", "en", 1_250), ("12,5", "vi", 1_250), ("1,234.56", "en", 123_456), ("7", "en", 700)],
)
def test_decimals_where_the_currency_has_them(typed, locale, amount):
    assert parse_amount(typed, "EUR", locale) == amount


@pytest.mark.parametrize(("typed", "locale"), [("12.345", "en"), ("12.", "en"), ("1,2.5", "en")])
def test_decimals_that_cannot_be(typed, locale):
    with pytest.raises(ValueError, match=r".+"):
        parse_amount(typed, "EUR", locale)
