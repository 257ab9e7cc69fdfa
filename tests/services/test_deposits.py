"""Deposits: taken for a visit, used at its checkout, given back otherwise; owed in between."""

import datetime as dt

import pytest

from spa_app.errors import InvalidError, NotAllowedError, NotFoundError, WrongStateError
from spa_app.queries.deposits import usable_amount
from spa_app.services import bookings, deposits, payments, reconciliation
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, balances, execute, refused, rows

CASH, BANK, RECEIVABLE, STORE_CREDIT, DEPOSITS = 1110, 1130, 1310, 2130, 2160


@pytest.fixture
def visit(spa):
    return factories.make_booking(spa)


@pytest.fixture
def deposit(spa, visit):
    return take(spa, visit)


def take(spa, visit, amount=200_000, method="cash", **more):
    return deposits.take_deposit(visit, method=method, amount=amount, actor=spa.receptionist, **more)


def give_back(spa, deposit, method="cash", **more):
    return deposits.return_deposit(deposit, **{"method": method, "reason": "cannot come", "actor": spa.manager, **more})


def complete(spa, visit):
    bookings.start(visit, actor=spa.receptionist)
    bookings.complete(visit, actor=spa.receptionist)
    return rows("SELECT id FROM invoices WHERE booking_id = :id", id=visit)[0][0]


def pay(spa, invoice, amount=None):
    return payments.take_payment(invoice, method="deposit", amount=amount, actor=spa.receptionist)


def balance(deposit):
    return rows("SELECT balance_amount FROM deposits WHERE id = :id", id=deposit)[0][0]


def test_it_is_owed_until_it_is_used(spa, deposit):
    assert balances() == {CASH: 200_000, DEPOSITS: -200_000}
    assert audited("deposit") == ["deposit_taken"]
    assert reconciliation.list_faults() == []


def test_at_the_checkout_it_pays_and_cash_pays_the_rest(spa, visit, deposit):
    invoice = complete(spa, visit)
    pay(spa, invoice, 200_000)
    payments.take_payment(invoice, method="cash", amount=None, actor=spa.receptionist)
    assert rows("SELECT status FROM invoices") == [("paid",)]
    assert balances()[CASH] == 450_000
    assert balances()[DEPOSITS] == 0
    assert balance(deposit) == 0
    assert_books_balance()


def test_several_deposits_are_used_the_oldest_first(spa, visit, deposit):
    second = take(spa, visit, 300_000, "bank_transfer", reference="FT 9")
    pay(spa, complete(spa, visit), 450_000)
    assert (balance(deposit), balance(second)) == (0, 50_000)
    entries = "SELECT deposit_id, kind, amount FROM deposit_entries ORDER BY id"
    assert rows(entries)[2:] == [(deposit, "used", -200_000), (second, "used", -250_000)]
    assert_books_balance()


def test_what_is_left_pays_the_customers_next_bill(spa, visit):
    first = take(spa, visit, 500_000)
    pay(spa, complete(spa, visit), 450_000)
    later = factories.make_booking(spa, starts_at=factories.this_minute() - dt.timedelta(hours=3))
    pay(spa, complete(spa, later), 50_000)
    assert balance(first) == 0
    assert_books_balance()


def test_a_deposit_pays_for_those_who_come_together(spa):
    mine, mates = factories.make_party(spa, status="in_progress")
    take(spa, mine, 900_000)
    for visit in (mine, mates):
        bookings.complete(visit, actor=spa.receptionist)
        [(invoice,)] = rows("SELECT id FROM invoices WHERE booking_id = :id", id=visit)
        pay(spa, invoice)
    assert_books_balance()


def test_nobody_elses_deposit_pays(spa, visit, deposit):
    other = factories.make_booking(
        spa,
        starts_at=factories.this_minute() - dt.timedelta(hours=3),
        customer_id=factories.make_customer(),
        status="completed",
    )
    [(invoice, customer)] = rows("SELECT id, customer_id FROM invoices WHERE booking_id = :id", id=other)
    assert usable_amount(other, customer) == 0
    with refused("no_deposit", field="amount"):
        pay(spa, invoice, 1)


def test_a_visit_that_lies_ahead_keeps_its_deposit(spa, visit):
    ahead = factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    take(spa, ahead)
    invoice = complete(spa, visit)
    with refused("no_deposit", field="amount"):
        pay(spa, invoice, 1)


def test_more_than_there_is_is_refused_with_what_there_is(spa, visit, deposit):
    invoice = complete(spa, visit)
    with refused("no_deposit", field="amount") as caught:
        pay(spa, invoice)
    assert "200" in str(caught.value)


def test_a_cancelled_visits_deposit_goes_back_as_it_came(spa, visit, deposit):
    bookings.cancel(visit, reason="ill", actor=spa.receptionist)
    give_back(spa, deposit)
    assert balances() == {CASH: 0, DEPOSITS: 0}
    assert audited("deposit")[-1] == "deposit_returned"
    with refused("deposit_used"):
        give_back(spa, deposit)


def test_a_part_goes_back_as_store_credit_at_the_desk(spa, deposit):
    give_back(spa, deposit, "store_credit", amount=50_000, actor=spa.receptionist)
    assert balances() == {CASH: 200_000, STORE_CREDIT: -50_000, DEPOSITS: -150_000}
    assert rows("SELECT credit_amount FROM customers WHERE id = :id", id=spa.customer) == [(50_000,)]
    assert reconciliation.list_faults() == []


def test_the_fee_of_a_no_show_is_paid_out_of_it(spa):
    factories.set_policy(spa.branch, no_show_policy="fee", no_show_fee_amount=150_000)
    visit = factories.make_booking(spa, starts_at=factories.this_minute() - dt.timedelta(hours=1))
    deposit = take(spa, visit)
    bookings.mark_no_show(visit, actor=spa.receptionist)
    pay(spa, rows("SELECT id FROM invoices WHERE booking_id = :id", id=visit)[0][0], 150_000)
    give_back(spa, deposit, amount=50_000)
    assert balances()[CASH] == 150_000
    assert_books_balance()


def test_money_goes_back_by_a_managers_hand(spa, deposit):
    with pytest.raises(NotAllowedError):
        give_back(spa, deposit, actor=spa.receptionist)


@pytest.mark.parametrize(
    ("code", "field", "said"),
    [
        ("method_unknown", "method", {"method": "store_credit"}),
        ("reference_missing", "reference", {"method": "card"}),
        ("amount_not_positive", "amount", {"amount": 0}),
        ("too_long", "reference", {"method": "card", "reference": "x" * 101}),
    ],
)
def test_what_cannot_be_taken_is_refused_at_its_field(spa, visit, code, field, said):
    with refused(code, InvalidError, field):
        take(spa, visit, **said)


def test_none_is_taken_for_a_visit_that_is_over(spa):
    visit = factories.make_booking(spa, status="completed")
    with refused("visit_over", WrongStateError):
        take(spa, visit)


def test_no_more_goes_back_than_is_left(spa, deposit):
    with refused("deposit_too_small", field="amount", ways_out=("open_booking",)):
        give_back(spa, deposit, amount=200_001)
    with refused("reference_missing", InvalidError, "reference"):
        give_back(spa, deposit, "bank_transfer")
    with refused("reason_missing", InvalidError, "reason"):
        give_back(spa, deposit, reason=" ")


def test_another_branchs_deposit_does_not_show(spa, deposit):
    with refused("not_found", NotFoundError):
        give_back(spa, deposit, "store_credit", actor=spa.other_receptionist)
    with refused("deposit_unknown", NotFoundError):
        give_back(spa, 4711)


def test_an_undone_completion_leaves_what_the_deposit_paid_as_store_credit(spa, visit, deposit):
    pay(spa, complete(spa, visit), 200_000)
    bookings.undo_complete(visit, actor=spa.manager)
    assert rows("SELECT credit_amount FROM customers WHERE id = :id", id=spa.customer) == [(200_000,)]
    assert balance(deposit) == 0
    assert_books_balance()


def test_reconcile_finds_a_balance_that_is_not_its_history(spa, deposit):
    execute("ALTER TABLE deposits DISABLE TRIGGER tr_deposits_balance")
    execute("UPDATE deposits SET balance_amount = 5")
    execute("ALTER TABLE deposits ENABLE TRIGGER tr_deposits_balance")
    assert [fault.code for fault in reconciliation.list_faults()] == ["deposits"]
