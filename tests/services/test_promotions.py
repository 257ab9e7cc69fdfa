"""Promotions: what a code takes off, each reason why it does not, and uses that come back."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa_app import clock
from spa_app.errors import InvalidError, NotAllowedError
from spa_app.extensions import db
from spa_app.models import Branch, Promotion
from spa_app.queries.promotions import COLUMNS, list_promotions
from spa_app.services import billing, ledger, promotions, reconciliation
from spa_app.services.billing import Line
from spa_app.services.ledger import Account, Posting
from spa_app.services.transaction import atomic
from tests import factories
from tests.factories import TIMEZONE, make_promotion
from tests.services.checks import audited, execute, refused, rows

TODAY = clock.today(TIMEZONE)
DAY = dt.timedelta(days=1)


def bill(spa, code, total=450_000, customer=None):
    """A bill on which the code's discount stands as one line, as small as it may be."""
    customer = customer or spa.customer
    with atomic() as session:
        branch = session.get_one(Branch, spa.branch)
        claimed = promotions.claim(code, branch=branch, customer_id=customer, total_amount=total)
        lines = [Line("fee", "A fee", total - claimed.amount, 0)]
        invoice, written = billing.issue(branch=branch, customer_id=customer, lines=lines, actor=spa.receptionist)
        ledger.post(
            "sale_invoiced",
            branch=branch,
            actor=spa.receptionist,
            invoice_id=invoice.id,
            postings=[Posting(Account.RECEIVABLE, invoice.total_amount), *billing.credit_lines(written)],
        )
        promotions.record_use(claimed, invoice_id=invoice.id, customer_id=customer)
        return invoice.id, claimed.amount


def uses(code):
    return rows("SELECT used_count FROM promotions WHERE code = :code", code=code)[0][0]


@given(st.integers(1, 10**12), st.integers(1, 10_000))
def test_a_percentage_takes_something_and_never_more_than_there_is(total, percent_bp):
    taken = Promotion(percent_bp=percent_bp).takes(total)
    assert 1 <= taken <= total
    assert abs(taken * 10_000 - total * percent_bp) <= max(5_000, 10_000 - total * percent_bp)


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_an_amount_takes_itself_or_all_there_is(total, amount):
    assert Promotion(discount_amount=amount).takes(total) == min(total, amount)


def test_a_code_in_any_spelling_is_counted(spa):
    make_promotion("TET-2027", percent_bp=1_250)
    assert bill(spa, " tet-2027 ")[1] == 56_250
    assert uses("TET-2027") == 1
    assert reconciliation.list_faults() == []


def test_a_bill_takes_one_promotion(spa):
    make_promotion("ONE")
    make_promotion("TWO")
    invoice, _ = bill(spa, "ONE")
    branch = db.session.get_one(Branch, spa.branch)
    db.session.rollback()
    with pytest.raises(Exception, match="uq_promotion_uses_live"), atomic():
        claimed = promotions.claim("TWO", branch=branch, customer_id=spa.customer, total_amount=5)
        promotions.record_use(claimed, invoice_id=invoice, customer_id=spa.customer)
    assert uses("TWO") == 0


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("promotion_over", {"is_active": False}),
        ("promotion_not_yet", {"starts_on": TODAY + DAY}),
        ("promotion_ended", {"ends_on": TODAY - DAY}),
        ("promotion_minimum", {"minimum_amount": 450_001}),
    ],
)
def test_each_reason_is_named(spa, code, values):
    make_promotion("TET", **values)
    with refused(code, InvalidError, "code") as caught:
        bill(spa, "TET")
    assert "Ten off" in str(caught.value)


def test_on_its_first_and_last_day_and_from_just_its_minimum(spa):
    make_promotion("TET", starts_on=TODAY, ends_on=TODAY, minimum_amount=450_000)
    assert bill(spa, "TET")[1] == 45_000


def test_nothing_is_taken_off_nothing(spa):
    make_promotion("TET")
    with refused("promotion_minimum", InvalidError, "code"):
        bill(spa, "TET", total=0)


def test_a_code_that_nobody_has_made(spa):
    with refused("promotion_unknown", InvalidError, "code") as caught:
        bill(spa, "nope")
    assert "NOPE" in str(caught.value)


def test_its_uses_run_out_in_all_and_for_a_customer(spa):
    make_promotion("TET", max_uses=3, max_uses_per_customer=2)
    second, third = factories.make_customer(), factories.make_customer()
    bill(spa, "TET")
    bill(spa, "TET")
    with refused("promotion_used_by_customer", field="code"):
        bill(spa, "TET")
    bill(spa, "TET", customer=second)
    with refused("promotion_used_up", field="code"):
        bill(spa, "TET", customer=third)


def test_a_use_that_is_given_back_can_be_taken_again_once(spa):
    make_promotion("TET", max_uses=1, max_uses_per_customer=1)
    invoice, _ = bill(spa, "TET")
    for _ in range(2):  # a second release finds nothing
        with atomic():
            promotions.release(invoice)
        assert uses("TET") == 0
    bill(spa, "TET")
    assert uses("TET") == 1


def test_looking_at_a_code_counts_nothing(spa):
    make_promotion("TET", max_uses=1)
    branch = db.session.get_one(Branch, spa.branch)
    looked = promotions.check("tet", branch=branch, customer_id=spa.customer, total_amount=450_000)
    assert (looked.name, looked.amount) == ("Ten off", 45_000)
    assert uses("TET") == 0


def test_reconcile_finds_a_wrong_count_and_a_use_on_a_void_bill(spa):
    make_promotion("TET")
    invoice, _ = bill(spa, "TET")
    execute("UPDATE promotions SET used_count = 4")
    execute("UPDATE invoices SET status = 'void', voided_at = now() WHERE id = :id", id=invoice)
    assert {"promotion_uses", "promotion_bills"} <= {fault.code for fault in reconciliation.list_faults()}


def values(**changes):
    return {
        **dict.fromkeys(COLUMNS),
        "code": "HE 27",
        "name": "Summer",
        "percent_bp": 1_000,
        "minimum_amount": 0,
        "is_active": True,
        **changes,
    }


def test_saving_keeps_before_and_after(spa):
    promotion = promotions.save_promotion(values=values(), actor=spa.manager)
    [made] = list_promotions(promotion)
    assert made.values["code"] == "HE27"
    promotions.save_promotion(
        promotion_id=promotion, values=values(percent_bp=None, discount_amount=5), seen=made.stamp, actor=spa.manager
    )
    assert audited("promotion") == ["promotion_saved"] * 2
    with refused("changed_meanwhile"):
        promotions.save_promotion(promotion_id=promotion, values=values(), seen=made.stamp, actor=spa.manager)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("code", {"code": "TẾT"}),
        ("code", {"code": "X"}),
        ("name", {"name": " "}),
        ("percent_bp", {"percent_bp": 10_001}),
        ("percent_bp", {"percent_bp": None}),
        ("percent_bp", {"discount_amount": 5}),
        ("discount_amount", {"percent_bp": None, "discount_amount": 0}),
        ("minimum_amount", {"minimum_amount": -1}),
        ("max_uses", {"max_uses": 0}),
        ("max_uses_per_customer", {"max_uses_per_customer": 0}),
        ("ends_on", {"starts_on": TODAY, "ends_on": TODAY - DAY}),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(spa, field, changes):
    with pytest.raises(InvalidError) as caught:
        promotions.save_promotion(values=values(**changes), actor=spa.manager)
    assert caught.value.field == field
    assert list_promotions() == []


def test_no_fewer_uses_than_there_are_and_no_code_twice(spa):
    make_promotion("TET")
    promotion = make_promotion("HE", max_uses=5)
    bill(spa, "HE")
    bill(spa, "HE")
    with refused("used_more_often", field="max_uses"):
        promotions.save_promotion(promotion_id=promotion, values=values(code="HE", max_uses=1), actor=spa.manager)
    with refused("code_taken", field="code"):
        promotions.save_promotion(promotion_id=promotion, values=values(code="tet"), actor=spa.manager)


def test_the_desk_makes_no_promotions(spa):
    with pytest.raises(NotAllowedError):
        promotions.save_promotion(values=values(), actor=spa.receptionist)
