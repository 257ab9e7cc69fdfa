"""Discounts and tips: every figure checked by hand first, then the rules for any bill there can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa_app.models.bill import DISCOUNTABLE, Cut, Discount, Price, Tip, cut, split_tip
from spa_app.money import percentage, share_out, vat_within

AMOUNTS = st.integers(0, 10**12)


def test_what_is_left_over_goes_to_the_largest_remainders():
    # 100 over 1:1:1 is 33.3 each: one is left, and all remainders are equal.
    assert share_out(100, [1, 1, 1]) == [34, 33, 33]
    # 10 over 3:3:1 is 4.29, 4.29, 1.43: the last has the largest remainder.
    assert share_out(10, [3, 3, 1]) == [4, 4, 2]
    assert share_out(7, [0, 0]) == [4, 3]
    assert share_out(0, [5, 7]) == [0, 0]


@pytest.mark.parametrize(("amount", "weights"), [(1, []), (1, [-1, 2]), (-1, [1])])
def test_nothing_is_shared_out_among_nobody_or_below_zero(amount, weights):
    with pytest.raises(ValueError, match="weights"):
        share_out(amount, weights)


@given(AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=12))
def test_shares_add_up_and_are_within_one_of_exact(amount, weights):
    shares = share_out(amount, weights)

    assert sum(shares) == amount
    whole = sum(weights) or len(weights)
    exact = [(weight if any(weights) else 1) * amount for weight in weights]
    assert all(abs(share * whole - one) < whole for share, one in zip(shares, exact, strict=True))
    if amount <= sum(weights):
        assert all(share <= weight for share, weight in zip(shares, weights, strict=True))


def test_ten_percent_off_one_line_and_fifty_thousand_off_the_bill():
    # A facial of 450,000 with 10 % off: 405,000 are left. Cream of 200,000 at 10 % VAT. 50,000 off the 605,000:
    # 405 ÷ 605 of it are 33,471.07, 200 ÷ 605 are 16,528.93, so 33,471 and 16,529.
    prices = [
        Price("service", 450_000, 800, Discount(share_bp=1_000)),
        Price("product", 200_000, 1_000),
        Price("tip", 70_000, 0),
    ]

    assert cut(prices, Discount(amount=50_000)) == [
        # VAT: within 450,000 33,333; within 405,000 30,000; within 371,529 27,521 (27,520.67).
        [Cut("line", 1_000, -45_000, -3_333), Cut("bill", None, -33_471, -2_479)],
        # VAT: within 200,000 18,182 (18,181.8); within 183,471 16,679 (16,679.18).
        [Cut("bill", None, -16_529, -1_503)],
        [],
    ]


def test_all_of_it_off_leaves_no_vat():
    assert cut([Price("product", 99_999, 800)], Discount(share_bp=10_000)) == [
        [Cut("bill", 10_000, -99_999, -vat_within(99_999, 800))]
    ]
    assert cut([Price("tip", 5, 0)], Discount(amount=5)) == [[]]


discounts = st.one_of(st.none(), st.integers(1, 10_000).map(lambda bp: Discount(share_bp=bp)))
prices = st.builds(
    Price,
    kind=st.sampled_from((*DISCOUNTABLE, "tip", "gift_card", "fee")),
    amount=AMOUNTS,
    vat_rate_bp=st.sampled_from((0, 500, 800, 1_000, 10_000)),
)


@given(st.data(), st.lists(prices, min_size=1, max_size=8))
def test_any_bill_keeps_its_totals_and_its_vat(data, lines):
    lines = [
        Price(one.kind, one.amount, one.vat_rate_bp, data.draw(discounts) if one.kind in DISCOUNTABLE else None)
        for one in lines
    ]
    bare = cut(lines, None)
    left = sum(
        line.amount + sum(one.amount for one in cuts)
        for line, cuts in zip(lines, bare, strict=True)
        if line.kind in DISCOUNTABLE
    )
    wanted = data.draw(st.one_of(discounts, st.integers(0, left).map(lambda amount: Discount(amount=amount))))

    cuts = cut(lines, wanted)

    for line, of_line in zip(lines, cuts, strict=True):
        net = line.amount + sum(one.amount for one in of_line)
        assert 0 <= net <= line.amount
        assert vat_within(line.amount, line.vat_rate_bp) + sum(one.vat_amount for one in of_line) == vat_within(
            net, line.vat_rate_bp
        )
        assert not of_line or line.kind in DISCOUNTABLE
    on_bill = -sum(one.amount for of_line in cuts for one in of_line if one.scope == "bill")
    assert on_bill == (wanted.of(left) if wanted else 0)


def test_a_tip_is_split_as_the_customer_says():
    worked = {7: 450_000, 9: 800_000, 4: 100_000}

    assert split_tip(Tip(100_000), worked) == {7: 33_334, 9: 33_333, 4: 33_333}
    # 450 ÷ 1350, 800 ÷ 1350 and 100 ÷ 1350 of 100,000: 33,333.3, 59,259.3 and 7,407.4, whose remainder is the largest.
    assert split_tip(Tip(100_000, "services"), worked) == {7: 33_333, 9: 59_259, 4: 7_408}
    assert split_tip(Tip(split="typed", typed={7: 20_000, 9: 0, 4: 5_000}), worked) == {7: 20_000, 4: 5_000}
    assert split_tip(Tip(90_000, staff_ids=(9,)), worked) == {9: 90_000}
    assert split_tip(Tip(90_000), {}) == {}


@given(st.integers(0, 10**9), st.sampled_from(("equally", "services")), st.lists(AMOUNTS, min_size=1, max_size=6))
def test_no_part_of_a_tip_is_lost(amount, split, worked):
    assert sum(split_tip(Tip(amount, split), dict(enumerate(worked))).values()) == amount


def test_half_a_unit_of_a_percentage_rounds_up():
    assert percentage(450_001, 1_000) == 45_000
    assert percentage(450_005, 1_000) == 45_001
