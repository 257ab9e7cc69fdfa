"""Giving back what is left of a card: every figure here was worked out by hand."""

import datetime as dt

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError
from spa_app.models.refund import BASES, CardFacts, work_out
from spa_app.services import billing, bookings, expiry, payments, reconciliation, refunds, treatments
from tests import factories
from tests.books import assert_books_balance
from tests.factories import cards_of
from tests.services.checks import audited, balances, counters, refused, rows

CASH, BANK, RECEIVABLE, DEFERRED, VAT, CREDIT, REVENUE, FEES = 1110, 1130, 1310, 2110, 2120, 2130, 4110, 4130


@pytest.fixture
def card(spa):
    """10 × facial for 1,000,000, paid in cash; two of them are used: 185,184 of 925,926 without VAT."""
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    for hours in (0, 2):
        at = factories.this_minute() - dt.timedelta(hours=hours)
        factories.make_booking(spa, card=card, status="completed", starts_at=at)
    return card


def refund(spa, card, **changes):
    return refunds.refund_card(
        card,
        **{
            "basis": "pro_rata",
            "fee_amount": 0,
            "pay_by": "cash",
            "shown_amount": None,
            "reason": "moves away",
            "actor": spa.manager,
            **changes,
        },
    )


def credit_of(customer):
    return rows("SELECT credit_amount FROM customers WHERE id = :id", id=customer)[0][0]


def test_pro_rata_in_cash(spa, card):
    refund(spa, card)

    # 740,742 without VAT; of the line's 74,074 VAT 74,074 × 740,742 ÷ 925,926 = 59,259: 800,001 comes back.
    assert balances() == {CASH: 199_999, RECEIVABLE: 0, DEFERRED: 0, VAT: -14_815, CREDIT: 0, REVENUE: -185_184}
    assert counters(card) == (2, 2, 0, 0, "cancelled")
    assert rows("SELECT kind, total_amount, vat_amount, status FROM invoices ORDER BY id DESC LIMIT 1") == [
        ("credit_note", -800_001, -59_259, "paid")
    ]
    assert rows("SELECT method, amount FROM payouts") == [("cash", 800_001)]
    assert audited("treatment") == ["card_refunded"]
    assert audited("invoice")[-1] == "credit_paid_out"
    assert reconciliation.list_faults() == []


def test_used_sessions_at_the_list_price_and_a_fee(spa, card):
    refund(spa, card, basis="list_price", fee_amount=50_000, pay_by="bank_transfer", reference="FT 1")

    # Two facials cost 900,000 by the list and cost 199,998 on the card: 700,002 more is kept, of 800,001.
    used_paid = 185_184 + 74_074 * 185_184 // 925_926
    surcharge = 900_000 - used_paid
    assert (used_paid, surcharge) == (199_998, 700_002)
    assert rows("SELECT amount FROM payouts") == [(800_001 - 700_002 - 50_000,)]
    vat_kept = 51_852  # 700,002 × 8 ÷ 108
    assert balances() == {
        CASH: 1_000_000,
        BANK: -49_999,
        RECEIVABLE: 0,
        DEFERRED: 0,
        VAT: -74_074 + 59_259 - vat_kept,
        CREDIT: 0,
        REVENUE: -185_184,
        FEES: -(700_002 - vat_kept) - 50_000,
    }


def test_what_would_be_negative_comes_to_nothing(spa, card):
    at = factories.this_minute() - dt.timedelta(hours=5)
    factories.make_booking(spa, card=card, status="completed", starts_at=at)

    refund(spa, card, basis="list_price")

    assert rows("SELECT total_amount FROM invoices ORDER BY id DESC LIMIT 1") == [(0,)]
    assert rows("SELECT count(*) FROM payouts") == [(0,)]
    assert counters(card) == (3, 3, 0, 0, "cancelled")
    assert_books_balance()


def test_what_is_still_to_be_paid_is_settled_first(spa):
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)
    payments.take_payment(sale, method="cash", amount=300_000, actor=spa.receptionist)
    card = cards_of(sale)[0]
    factories.make_booking(spa, card=card, status="completed")

    refund(spa, card)

    # 833,334 + 66,666 VAT = 900,000; 700,000 of it was never paid.
    assert rows("SELECT status, paid_amount FROM invoices WHERE id = :id", id=sale) == [("paid", 1_000_000)]
    assert rows("SELECT amount FROM payouts") == [(200_000,)]
    assert balances()[CASH] == 100_000  # one session: 92,592 + 7,408 VAT
    assert reconciliation.list_faults() == []


def test_more_is_owed_than_comes_back(spa):
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)
    card = cards_of(sale)[0]
    factories.make_booking(spa, card=card, status="completed")

    refund(spa, card)

    assert rows("SELECT status, paid_amount FROM invoices WHERE id = :id", id=sale) == [("partly_paid", 900_000)]
    assert rows("SELECT count(*) FROM payouts") == [(0,)]
    assert (credit_of(spa.customer), balances()[RECEIVABLE]) == (0, 100_000)
    with refused("not_voidable"):
        billing.void_sale(sale, reason="x", actor=spa.manager)


def test_every_part_of_a_sale_brings_its_vat_and_all_of_them_bring_it_whole(spa):
    plan = factories.make_plan([(spa.facial, 3), (spa.massage, 7), (None, 1)], price=1_000_003)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.manager)
    payments.take_payment(sale, method="cash", amount=1_000_003, actor=spa.manager)

    for card in cards_of(sale):
        refund(spa, card)

    assert {account: amount for account, amount in balances().items() if amount} == {}


def test_a_transferred_card_is_refunded_to_whom_it_belongs(spa, card):
    mother = factories.make_customer()
    hers = treatments.transfer_sessions(card, customer_id=mother, sessions=5, reason="x", actor=spa.manager)

    refund(spa, hers, pay_by="store_credit")
    refund(spa, card, pay_by="store_credit")

    # 462,960 without VAT is half of the line, rounded down; the two together are 800,001 again.
    assert (credit_of(mother), credit_of(spa.customer)) == (499_996, 300_005)
    assert counters(hers) == (0, 0, 0, 0, "cancelled")
    assert_books_balance()


def test_an_imported_card_brings_its_services_vat(spa):
    card = factories.make_card(
        spa.customer, spa.facial, branch_id=spa.branch, expiry_date=factories.local_at(spa.branch, "12:00").date()
    )

    refund(spa, card)

    # 925,926 × 8 % = 74,074.08
    assert rows("SELECT amount FROM payouts") == [(1_000_000,)]
    assert_books_balance()
    assert reconciliation.list_faults() == []


def test_undoing_a_visit_opens_a_refunded_card_for_what_comes_back(spa, card):
    refund(spa, card)
    visit = rows("SELECT max(id) FROM bookings")[0][0]

    bookings.undo_complete(visit, actor=spa.manager)
    assert counters(card) == (2, 1, 1, 0, "active")
    bookings.cancel(visit, reason="never took place", actor=spa.manager)
    refund(spa, card)

    # 92,592 more, with 7,407 VAT: in all 833,334 + 66,666.
    assert rows("SELECT sum(amount) FROM payouts") == [(900_000,)]
    assert counters(card) == (1, 1, 0, 0, "cancelled")
    assert_books_balance()


def test_a_refund_to_store_credit_is_withdrawn(spa, card):
    refund(spa, card, pay_by="store_credit")
    before = balances()
    assert before[CREDIT] == -800_001

    refunds.withdraw_refund(card, reason="stays after all", actor=spa.manager)

    assert (counters(card), credit_of(spa.customer)) == ((10, 2, 0, 0, "active"), 0)
    assert balances()[DEFERRED] == -740_742
    assert rows("SELECT status FROM invoices WHERE kind = 'credit_note'") == [("void",)]
    assert audited("treatment") == ["card_refunded", "refund_withdrawn"]
    assert reconciliation.list_faults() == []
    refund(spa, card)
    assert rows("SELECT amount FROM payouts") == [(800_001,)]
    assert_books_balance()


def test_what_was_handed_out_or_spent_cannot_be_withdrawn(spa, card):
    with refused("no_refund"):
        refunds.withdraw_refund(card, reason="x", actor=spa.manager)
    refund(spa, card, pay_by="store_credit")
    with refused("manager_only", NotAllowedError):
        refunds.withdraw_refund(card, reason="x", actor=spa.receptionist)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    payments.take_payment(sale, method="store_credit", amount=1, actor=spa.manager)
    with refused("refund_spent", ways_out=("sell_plan",)):
        refunds.withdraw_refund(card, reason="x", actor=spa.manager)
    other = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    refund(spa, other)
    with refused("refund_paid_out", ways_out=("sell_plan",)):
        refunds.withdraw_refund(other, reason="x", actor=spa.manager)


def test_a_card_that_was_given_away_for_nothing_comes_back_and_again(spa):
    plan = factories.make_plan([(spa.facial, 3)], price=0)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.manager)
    card = cards_of(sale)[0]

    refund(spa, card)
    assert counters(card) == (0, 0, 0, 0, "cancelled")
    refunds.withdraw_refund(card, reason="x", actor=spa.manager)

    assert counters(card) == (3, 0, 0, 0, "active")
    assert rows("SELECT count(*) FROM invoices") == [(1,)]
    assert_books_balance()


def test_an_exchange_is_credit_toward_the_new_plan(spa, card):
    dear = factories.make_plan([(spa.massage, 10)], price=5_000_000)

    invoice = refunds.exchange_card(
        card,
        plan_id=dear,
        branch_id=spa.branch,
        fee_amount=0,
        shown_amount=800_001,
        reason="wants more",
        actor=spa.manager,
    )

    assert rows("SELECT status, paid_amount FROM invoices WHERE id = :id", id=invoice) == [("partly_paid", 800_001)]
    assert counters(card)[4] == "cancelled"
    assert counters(cards_of(invoice)[0]) == (10, 0, 0, 0, "active")
    assert credit_of(spa.customer) == 0
    assert_books_balance()


def test_what_an_exchange_leaves_over_is_store_credit_and_a_refused_one_stores_nothing(spa, card):
    cheap = factories.make_plan([(spa.consultation, 2)], price=100_000)

    with refused("plan_unknown", InvalidError, "plan_id"):
        refunds.exchange_card(
            card, plan_id=4711, branch_id=spa.branch, fee_amount=0, shown_amount=None, reason="x", actor=spa.manager
        )
    refunds.exchange_card(
        card, plan_id=cheap, branch_id=spa.branch, fee_amount=10_000, shown_amount=None, reason="x", actor=spa.manager
    )

    assert credit_of(spa.customer) == 690_001
    assert_books_balance()


def test_what_cannot_be_refunded(spa, card):
    for changes, code, kind, field in (
        ({"actor": spa.receptionist}, "manager_only", NotAllowedError, None),
        ({"actor": spa.other_receptionist}, "not_found", NotFoundError, None),
        ({"pay_by": "gold"}, "method_unknown", InvalidError, "pay_by"),
        ({"pay_by": "bank_transfer"}, "reference_missing", InvalidError, "reference"),
        ({"basis": "x"}, "basis_unknown", InvalidError, "basis"),
        ({"fee_amount": 800_002}, "fee_too_high", InvalidError, "fee_amount"),
        ({"shown_amount": 800_000}, "refund_changed", ConflictError, None),
        ({"reason": ""}, "reason_missing", InvalidError, "reason"),
    ):
        with refused(code, kind, field):
            refund(spa, card, **changes)
    anything = factories.make_card(spa.customer, None, branch_id=spa.branch)
    with refused("no_list_price", InvalidError, "basis"):
        refund(spa, anything, basis="list_price")
    visit = factories.make_booking(spa, card=card, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    with refused("card_reserved", ways_out=("open_customer",)):
        refund(spa, card)
    bookings.cancel(visit, reason="x", actor=spa.manager)
    refund(spa, card)
    with refused("card_status"):
        refund(spa, card)


def test_an_expired_card_is_worth_nothing(spa, card):
    with time_machine.travel(clock.now() + dt.timedelta(days=400), tick=True):
        expiry.expire_due()
        with refused("card_status", ways_out=("reactivate_card",)):
            refund(spa, card)


def test_a_card_of_which_nothing_is_left(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=1)
    factories.make_booking(spa, card=card, status="completed")

    with refused("card_status"):
        refund(spa, card)


@given(
    st.builds(
        lambda sold, used, owed_part, due, price: CardFacts(
            free_sessions=sold - used,
            used_sessions=used,
            owed_amount=owed_part,
            used_amount=925_926 - owed_part,
            line_net=925_926,
            line_vat=74_074,
            vat_rate_bp=800,
            list_price=price,
            due_amount=due,
        ),
        st.integers(1, 60),
        st.integers(0, 60),
        st.integers(0, 925_926),
        st.integers(0, 1_000_000),
        st.integers(0, 900_000),
    ),
    st.sampled_from(BASES),
    st.integers(0, 2_000_000),
)
def test_never_more_comes_back_than_was_paid(facts, basis, fee):
    done = work_out(facts, basis=basis, fee_amount=fee)

    paid = 1_000_000 - facts.due_amount
    assert 0 <= done.rest_amount <= max(paid, 0)
    assert 0 <= done.due_part <= facts.due_amount
    assert done.gross_amount == done.surcharge_amount + done.fee_amount + done.credit_amount
    assert min(done.vat_amount, done.surcharge_amount, done.fee_amount, done.credit_amount) >= 0
