"""Sales, invoices, payments and their undoing, with every figure worked out by hand."""

import pytest

from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError, WrongStateError
from spa_app.services import billing, bookings, payments
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.factories import cards_of
from tests.services.checks import audited, balances, counters, execute, invoice_of, refused, rows

CASH, CARD, BANK, WALLET, RECEIVABLE, DEFERRED, VAT, CREDIT, REVENUE = (
    1110, 1120, 1130, 1140, 1310, 2110, 2120, 2130, 4110,
)  # fmt: skip


@pytest.fixture
def visit(spa):
    """A completed facial of 450,000: 33,333 VAT (450,000 × 8 ÷ 108 = 33,333.3), 416,667 revenue."""
    return factories.make_booking(spa, status="completed", actor=spa.receptionist)


def pay(visit, amount, method="cash", *, actor, **extra):
    return payments.take_payment(invoice_of(visit), method=method, amount=amount, actor=actor, **extra)


def invoices():
    return rows("SELECT kind, status, total_amount, vat_amount, paid_amount, is_credited FROM invoices ORDER BY id")


def test_a_visit_is_invoiced_when_it_is_completed(visit):
    assert invoices() == [("invoice", "open", 450_000, 33_333, 0, False)]
    assert balances() == {RECEIVABLE: 450_000, VAT: -33_333, REVENUE: -416_667}
    assert rows("SELECT kind, description, amount, vat_amount FROM invoice_lines") == [
        ("service", "Basic Facial", 450_000, 33_333)
    ]


def test_only_what_no_card_covers_is_invoiced(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = factories.make_booking(
        spa, ItemRequest(spa.facial, None, None, card), ItemRequest(spa.consultation), status="completed"
    )

    assert rows("SELECT total_amount, vat_amount FROM invoices WHERE booking_id = :id", id=booking) == [
        (100_000, 7_407)
    ]
    assert counters(card) == (10, 1, 0, 0, "active")


def test_the_price_is_that_of_the_booking(spa):
    booking = factories.make_booking(spa, status="in_progress")
    execute("UPDATE services SET price_amount = 999999, vat_rate_bp = 1000")

    bookings.complete(booking, actor=spa.receptionist)

    assert invoices() == [("invoice", "open", 450_000, 33_333, 0, False)]


def test_a_free_visit_is_paid_at_once_and_can_be_undone(spa):
    gift = factories.make_service(price=0)
    factories.make_staff(spa.branch, [gift])
    booking = factories.make_booking(spa, ItemRequest(gift), status="completed")

    assert invoices() == [("invoice", "paid", 0, 0, 0, False)]
    bookings.undo_complete(booking, actor=spa.receptionist)
    bookings.complete(booking, actor=spa.receptionist)
    assert_books_balance()


def test_undoing_an_unpaid_visit_voids_its_invoice(spa, visit):
    bookings.undo_complete(visit, actor=spa.receptionist, reason="wrong button")

    assert invoices() == [("invoice", "void", 450_000, 33_333, 0, False)]
    assert balances() == {RECEIVABLE: 0, VAT: 0, REVENUE: 0}
    assert rows("SELECT reason FROM invoices") == [("wrong button",)]
    with refused("not_payable", WrongStateError):
        pay(visit, 1, actor=spa.receptionist)
    bookings.complete(visit, actor=spa.receptionist)
    assert [status for _, status, *_ in invoices()] == ["void", "open"]
    assert balances() == {RECEIVABLE: 450_000, VAT: -33_333, REVENUE: -416_667}


@pytest.mark.parametrize("paid", [450_000, 200_000])
def test_undoing_a_paid_visit_is_a_managers_credit_note(spa, visit, paid):
    pay(visit, paid, actor=spa.receptionist)
    with refused("manager_only", NotAllowedError):
        bookings.undo_complete(visit, actor=spa.receptionist)

    bookings.undo_complete(visit, actor=spa.manager, reason="wrong visit")

    # What was never paid is settled by the credit.
    assert invoices() == [
        ("invoice", "paid", 450_000, 33_333, 450_000, True),
        ("credit_note", "paid", -450_000, -33_333, 0, False),
    ]
    # What was paid is now owed to the customer, what was not is no longer owed by them.
    assert balances() == {CASH: paid, RECEIVABLE: 0, VAT: 0, CREDIT: -paid, REVENUE: 0}
    assert rows("SELECT credit_amount FROM customers WHERE id = :id", id=spa.customer) == [(paid,)]
    settled = [] if paid == 450_000 else ["payment_taken"]
    assert audited("invoice") == ["payment_taken", *settled, "invoice_credited"]
    with refused("not_payable", WrongStateError):
        payments.take_payment(
            rows("SELECT min(id) FROM invoices")[0][0], method="cash", amount=1, actor=spa.receptionist
        )

    bookings.complete(visit, actor=spa.receptionist)
    pay(visit, paid, "store_credit", actor=spa.receptionist)
    assert rows("SELECT credit_amount FROM customers WHERE id = :id", id=spa.customer) == [(0,)]
    assert balances()[CREDIT] == 0
    assert balances()[RECEIVABLE] == 450_000 - paid


def test_a_credit_note_cannot_be_paid_or_voided(spa, visit):
    pay(visit, 450_000, actor=spa.receptionist)
    bookings.undo_complete(visit, actor=spa.manager)
    ((note,),) = rows("SELECT id FROM invoices WHERE kind = 'credit_note'")

    with refused("not_payable", WrongStateError):
        payments.take_payment(note, method="cash", amount=1, actor=spa.manager)
    with refused("undo_visit_instead", WrongStateError, ways_out=("open_booking",)):
        billing.void_sale(note, reason="x", actor=spa.manager)


def test_an_invoice_is_paid_in_parts(spa, visit):
    parts = [("cash", 100_000, "", CASH), ("card", 150_000, "A1", CARD), ("bank_transfer", 50_000, "B2", BANK)]
    for method, amount, reference, _ in [*parts, ("e_wallet", 150_000, "", WALLET)]:
        pay(visit, amount, method, actor=spa.receptionist, reference=reference)
        if method != "e_wallet":
            assert invoices()[0][1] == "partly_paid"

    assert invoices() == [("invoice", "paid", 450_000, 33_333, 450_000, False)]
    money = {CASH: 100_000, CARD: 150_000, BANK: 50_000, WALLET: 150_000}
    assert balances() == {**money, RECEIVABLE: 0, VAT: -33_333, REVENUE: -416_667}
    with refused("not_payable", WrongStateError):
        pay(visit, 1, actor=spa.receptionist)


def test_more_than_is_due_is_refused_and_cash_gives_change(spa, visit):
    with refused("overpaid", ConflictError, "amount", ("pay_due",)) as caught:
        pay(visit, 450_001, actor=spa.receptionist)
    assert caught.value.params["due"].amount == 450_000

    pay(visit, 450_000, actor=spa.receptionist, tendered_amount=500_000)

    assert rows("SELECT amount, tendered_amount FROM payments") == [(450_000, 500_000)]
    assert balances()[CASH] == 450_000


@pytest.mark.parametrize(
    ("code", "field", "wrong"),
    [
        ("method_unknown", "method", {"method": "barter"}),
        ("amount_not_positive", "amount", {"amount": 0}),
        ("amount_not_positive", "amount", {"amount": -5}),
        ("reference_missing", "reference", {"method": "card"}),
        ("reference_missing", "reference", {"method": "bank_transfer", "reference": "   "}),
        ("tendered_too_small", "tendered_amount", {"tendered_amount": 99}),
        ("tendered_too_small", "tendered_amount", {"method": "e_wallet", "tendered_amount": 100}),
    ],
)
def test_a_payment_that_cannot_be_right_is_refused_at_its_field(spa, visit, code, field, wrong):
    with refused(code, InvalidError, field):
        pay(visit, **{"amount": 100, "actor": spa.receptionist, **wrong})


def test_store_credit_pays_no_more_than_there_is(spa, visit):
    with refused("no_credit", ConflictError, "amount"):
        pay(visit, 1, "store_credit", actor=spa.receptionist)


def test_another_branchs_invoice_does_not_exist(spa, visit):
    with refused("not_found", NotFoundError):
        pay(visit, 1, actor=spa.other_receptionist)
    with refused("invoice_unknown", NotFoundError):
        payments.take_payment(4711, method="cash", amount=1, actor=spa.receptionist)


def test_a_plan_of_several_services_is_shared_by_list_price(spa):
    plan = factories.make_plan([(spa.facial, 10), (spa.massage, 5)], price=2_000_000)

    sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist)

    # VAT 148,148; 1,851,852 × 4,500,000 ÷ 8,500,000 = 980,392.2 and × 4,000,000 ÷ 8,500,000 = 871,459.8.
    assert rows("SELECT service_id, total_sessions, deferred_amount FROM customer_treatments ORDER BY id") == [
        (spa.facial, 10, 980_392),
        (spa.massage, 5, 871_460),
    ]
    assert balances() == {RECEIVABLE: 2_000_000, DEFERRED: -1_851_852, VAT: -148_148}
    assert rows("SELECT number FROM invoices WHERE id = :id", id=sale)[0][0].endswith("-000001")


def test_sessions_of_any_service_weigh_like_the_dearest(spa):
    plan = factories.make_plan([(spa.facial, 2), (None, 1)], price=1_350_000, vat_rate_bp=0)

    billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist)

    assert rows("SELECT service_id, deferred_amount FROM customer_treatments ORDER BY id") == [
        (spa.facial, 900_000),
        (None, 450_000),
    ]


def test_what_cannot_be_sold(spa):
    empty = factories.make_plan([])
    sell = {"customer_id": spa.customer, "plan_id": spa.plan, "branch_id": spa.branch, "actor": spa.receptionist}
    with refused("customer_unknown", NotFoundError):
        billing.sell_plan(**{**sell, "customer_id": 4711})
    with refused("not_found", NotFoundError):
        billing.sell_plan(**{**sell, "branch_id": spa.other_branch})
    with refused("plan_unknown", InvalidError, "plan_id"):
        billing.sell_plan(**{**sell, "plan_id": 4711})
    with refused("plan_empty", InvalidError, "plan_id"):
        billing.sell_plan(**{**sell, "plan_id": empty})
    execute("UPDATE plans SET is_active = false")
    with refused("plan_unknown", InvalidError, "plan_id"):
        billing.sell_plan(**sell)


def test_an_unpaid_sale_is_voided_with_its_cards(spa):
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)

    billing.void_sale(sale, reason="typed twice", actor=spa.receptionist)

    assert counters(cards_of(sale)[0]) == (0, 0, 0, 0, "cancelled")
    assert balances() == {RECEIVABLE: 0, DEFERRED: 0, VAT: 0}
    with refused("not_voidable", WrongStateError):
        billing.void_sale(sale, reason="again", actor=spa.receptionist)


def test_a_sale_that_was_paid_or_used_is_not_voided(spa, visit):
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)
    with refused("reason_missing", InvalidError, "reason"):
        billing.void_sale(sale, reason=" ", actor=spa.receptionist)
    with refused("invoice_unknown", NotFoundError):
        billing.void_sale(4711, reason="x", actor=spa.receptionist)
    with refused("not_found", NotFoundError):
        billing.void_sale(sale, reason="x", actor=spa.other_receptionist)
    with refused("undo_visit_instead", WrongStateError, ways_out=("open_booking",)):
        billing.void_sale(invoice_of(visit), reason="x", actor=spa.receptionist)
    factories.make_booking(spa, card=cards_of(sale)[0], starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    with refused("card_in_use", ConflictError):
        billing.void_sale(sale, reason="x", actor=spa.receptionist)
    payments.take_payment(sale, method="cash", amount=1, actor=spa.receptionist)
    with refused("not_voidable", WrongStateError):
        billing.void_sale(sale, reason="x", actor=spa.receptionist)
