"""Invoices on the web: what they show, who may, and that a payment is taken once or not at all."""

import uuid

import pytest
from sqlalchemy import func, select

from spa_app.extensions import db
from spa_app.models import Customer, IdempotencyKey, Invoice, JournalEntry, Payment
from spa_app.services import billing, bookings, payments
from tests.books import assert_books_balance
from tests.factories import local_at, login, make_booking, make_card, make_customer, make_plan

HTMX = {"HX-Request": "true"}
PANEL = {**HTMX, "HX-Target": "panel"}


def form(**fields):
    return {"idempotency_key": str(uuid.uuid4()), **fields}


def count(model):
    db.session.rollback()
    return db.session.execute(select(func.count()).select_from(model)).scalar_one()


def stored(invoice_id):
    db.session.rollback()
    return db.session.get_one(Invoice, invoice_id, populate_existing=True)


@pytest.fixture
def sale(spa):
    """The unpaid invoice of a plan for 1,000,000."""
    return billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)


@pytest.fixture
def visit(spa):
    """The unpaid invoice of a facial for 450,000."""
    booking = make_booking(spa, status="completed")
    return db.session.execute(select(Invoice.id).where(Invoice.booking_id == booking)).scalar_one()


@pytest.fixture
def desk(client, spa):
    login(client, "reception")
    return client


def test_the_page_shows_lines_vat_and_what_is_left(desk, sale):
    page = desk.get(f"/invoices/{sale}")

    assert page.status_code == 200
    assert "10 × Basic Facial" in page.text
    assert "₫74,074" in page.text
    assert '<output class="amount__figure">₫1,000,000</output>' in page.text


def test_a_plain_payment_leads_back_to_the_invoice(desk, sale):
    answer = desk.post(f"/invoices/{sale}/payments", data=form(method="card", amount="400.000 ₫", reference="A 17"))

    assert answer.status_code == 303
    assert answer.location == f"/invoices/{sale}"
    assert (stored(sale).status, stored(sale).paid_amount) == ("partly_paid", 400_000)
    assert '<output class="amount__figure">₫600,000</output>' in desk.get(answer.location).text
    assert_books_balance()


def test_an_empty_amount_pays_what_is_left(desk, sale):
    desk.post(f"/invoices/{sale}/payments", data=form(method="cash", amount="250,000"))
    desk.post(f"/invoices/{sale}/payments", data=form(method="e_wallet"))

    assert stored(sale).status == "paid"
    assert db.session.execute(select(Payment.amount).order_by(Payment.id)).scalars().all() == [250_000, 750_000]


def test_cash_gives_change(desk, sale):
    answer = desk.post(
        f"/invoices/{sale}/payments",
        data=form(method="cash", amount="1000000", tendered_amount="1.500.000"),
        headers=PANEL,
    )

    assert "Give ₫500,000 change." in answer.text
    payment = db.session.execute(select(Payment)).scalar_one()
    assert (payment.amount, payment.tendered_amount) == (1_000_000, 1_500_000)


def test_in_the_panel_the_fresh_invoice_comes_back_and_the_page_is_told(desk, visit):
    answer = desk.post(f"/invoices/{visit}/payments", data=form(method="cash"), headers=PANEL)

    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert "Paid in full" in answer.text
    assert 'hx-swap-oob="beforeend:#toasts"' in answer.text
    assert '<div hx-swap-oob="innerHTML:#announce">₫450,000 taken: Cash. Paid in full.</div>' in answer.text
    assert "bookings-changed" in answer.headers["HX-Trigger"]


def test_the_partial_knows_its_place(desk, sale):
    assert 'hx-target="#panel"' in desk.get(f"/invoices/{sale}", headers=PANEL).text
    assert 'hx-target="#main"' in desk.get(f"/invoices/{sale}", headers={**HTMX, "HX-Target": "main"}).text


def test_closing_the_panel_goes_to_the_calendar_as_it_was(desk, sale):
    where = {"HX-Current-URL": "http://localhost/calendar?date=2026-11-23&by=room&booking=4"}

    panel = desk.get(f"/invoices/{sale}", headers=PANEL | where)

    assert 'href="/calendar?date=2026-11-23&amp;by=room"' in panel.text


def test_a_replayed_form_takes_one_payment(desk, sale):
    data = form(method="cash", amount="300000")
    answers = [desk.post(f"/invoices/{sale}/payments", data=data) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [303, 303, 303]
    assert stored(sale).paid_amount == 300_000
    assert count(Payment) == 1


def test_the_same_key_for_another_amount_is_refused(desk, sale):
    data = form(method="cash", amount="300000")
    desk.post(f"/invoices/{sale}/payments", data=data)

    answer = desk.post(f"/invoices/{sale}/payments", data=data | {"amount": "400000"})

    assert answer.status_code == 409
    assert stored(sale).paid_amount == 300_000


@pytest.mark.parametrize(
    ("fields", "status", "at"),
    [
        ({"method": "cash", "amount": "1.000.001"}, 409, 'id="amount-error"'),
        ({"method": "cash", "amount": "99999999999999999999"}, 422, 'id="amount-error"'),
        ({"method": "cash", "amount": "-5"}, 422, 'id="amount-error"'),
        ({"method": "cash", "amount": "0"}, 422, 'id="amount-error"'),
        ({"method": "cash", "amount": "12.5"}, 422, 'id="amount-error"'),
        ({"method": "cash", "amount": "=1+1"}, 422, 'id="amount-error"'),
        ({"method": "cheque", "amount": "1000"}, 422, 'id="method-error"'),
        ({"amount": "1000"}, 422, 'id="method-error"'),
        ({"method": "card", "amount": "1000"}, 422, 'id="reference-error"'),
        ({"method": "bank_transfer", "amount": "1000", "reference": "  "}, 422, 'id="reference-error"'),
        ({"method": "cash", "amount": "1000", "tendered_amount": "900"}, 422, 'id="tendered_amount-error"'),
        ({"method": "cash", "amount": "1000", "tendered_amount": "x"}, 422, 'id="tendered_amount-error"'),
        ({"method": "store_credit", "amount": "1000"}, 409, 'id="amount-error"'),
        ({"method": "e_wallet", "amount": "1000", "reference": "r" * 101}, 422, 'id="reference-error"'),
    ],
)
@pytest.mark.parametrize("headers", [{}, PANEL])
def test_a_refused_payment_says_where_and_stores_nothing(desk, sale, fields, status, at, headers):
    keys = count(IdempotencyKey)

    answer = desk.post(f"/invoices/{sale}/payments", data=form(**fields), headers=headers)

    assert answer.status_code == status
    assert at in answer.text
    assert ("<html" in answer.text) is not headers
    assert stored(sale).status == "open"
    assert (count(Payment), count(IdempotencyKey)) == (0, keys)


def test_overpaying_shows_the_truth_of_now(desk, sale, spa):
    payments.take_payment(sale, method="cash", amount=900_000, actor=spa.manager)

    answer = desk.post(f"/invoices/{sale}/payments", data=form(method="cash", amount="1000000"))

    assert answer.status_code == 409
    assert "Only ₫100,000 is left to pay." in answer.text
    assert '<output class="amount__figure">₫100,000</output>' in answer.text
    assert f'href="/invoices/{sale}"' in answer.text


def test_store_credit_pays_up_to_what_there_is(desk, spa, visit):
    desk.post(f"/invoices/{visit}/payments", data=form(method="cash"))
    bookings.undo_complete(stored(visit).booking_id, reason="wrong service", actor=spa.manager)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)

    assert "Store credit of this customer: ₫450,000" in desk.get(f"/invoices/{sale}").text
    refused = desk.post(f"/invoices/{sale}/payments", data=form(method="store_credit"))
    taken = desk.post(f"/invoices/{sale}/payments", data=form(method="store_credit", amount="450000"))

    assert (refused.status_code, taken.status_code) == (409, 303)
    assert "The store credit is ₫450,000" in refused.text
    assert db.session.execute(select(Customer.credit_amount).where(Customer.id == spa.customer)).scalar() == 0
    assert_books_balance()


def test_a_credited_invoice_and_its_note_point_at_each_other(desk, spa, visit):
    payments.take_payment(visit, method="cash", amount=450_000, actor=spa.manager)
    bookings.undo_complete(stored(visit).booking_id, reason="wrong service", actor=spa.manager)
    note = db.session.execute(select(Invoice.id).where(Invoice.corrects_id == visit)).scalar_one()

    assert f'href="/invoices/{note}"' in desk.get(f"/invoices/{visit}").text
    assert f'href="/invoices/{visit}"' in desk.get(f"/invoices/{note}").text
    assert desk.post(f"/invoices/{note}/payments", data=form(method="cash", amount="1")).status_code == 409


def test_a_wrong_sale_is_voided_with_its_card(desk, sale):
    answer = desk.post(f"/invoices/{sale}/void", data=form(reason="wrong customer"))

    assert (answer.status_code, answer.location) == (303, f"/invoices/{sale}")
    assert stored(sale).status == "void"
    page = desk.get(f"/invoices/{sale}").text
    assert "wrong customer" in page
    assert f'action="/invoices/{sale}/payments"' not in page
    assert_books_balance()


def test_a_void_wants_a_reason_and_an_unpaid_sale(desk, spa, sale, visit):
    assert desk.post(f"/invoices/{sale}/void", data=form(reason=" ")).status_code == 422
    assert desk.post(f"/invoices/{visit}/void", data=form(reason="oops")).status_code == 409
    payments.take_payment(sale, method="cash", amount=1, actor=spa.manager)
    refused = desk.post(f"/invoices/{sale}/void", data=form(reason="oops"))

    assert refused.status_code == 409
    assert "partly paid" in refused.text
    assert (stored(sale).status, stored(visit).status) == ("partly_paid", "open")


@pytest.mark.parametrize("path", ["", "/receipt"])
def test_other_branches_invoices_are_not_there(client, sale, path):
    login(client, "reception7")

    assert client.get(f"/invoices/{sale}{path}").status_code == 404
    assert client.get(f"/invoices/{sale + 1000}{path}").status_code == 404
    assert client.post(f"/invoices/{sale}/payments", data=form(method="cash")).status_code == 404
    assert client.post(f"/invoices/{sale}/void", data=form(reason="mine")).status_code == 404
    assert count(Payment) == 0


def test_a_therapist_takes_no_money(client, sale):
    login(client, "therapist")

    for path in (f"/invoices/{sale}", f"/invoices/{sale}/receipt", "/sales"):
        assert client.get(path).status_code == 403
    assert client.post(f"/invoices/{sale}/payments", data=form(method="cash")).status_code == 403
    assert client.post(f"/invoices/{sale}/void", data=form(reason="mine")).status_code == 403
    assert (count(Payment), stored(sale).status) == (0, "open")


def test_the_receipt_has_money_and_sessions(desk, spa, sale):
    payments.take_payment(sale, method="cash", amount=400_000, tendered_amount=500_000, actor=spa.receptionist)

    paper = desk.get(f"/invoices/{sale}/receipt").text

    for said in (
        "Spa Q1",
        "Lê Thị Mai",
        "₫1,000,000",
        "₫74,074",
        "₫100,000",
        "₫600,000",
        "10 × Basic Facial",
        "10 left",
    ):
        assert said in paper


def test_a_visit_on_a_card_has_a_slip_instead_of_an_invoice(desk, client, spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=8)
    booking = make_booking(spa, status="completed", card=card)
    make_booking(spa, starts_at=local_at(spa.branch, "10:00", days=1), card=card)

    slip = desk.get(f"/bookings/{booking}/slip")

    assert "Punched 1 of Basic Facial" in slip.text
    assert "6 left, 1 reserved" in slip.text
    assert desk.get("/bookings/999999/slip").status_code == 404
    login(client, "reception7")
    assert client.get(f"/bookings/{booking}/slip").status_code == 404


def test_sales_lists_the_day_with_those_to_pay_first(desk, spa, sale, visit):
    paid = billing.sell_plan(
        customer_id=make_customer("Đặng Bích Ngọc"), plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager
    )
    payments.take_payment(paid, method="cash", amount=None, actor=spa.manager)

    page = desk.get("/sales").text
    places = [page.index(stored(number).number) for number in (visit, sale, paid)]

    assert places == sorted(places)
    assert "₫1,450,000 to pay" in page
    assert stored(paid).number not in desk.get("/sales?status=due").text
    assert stored(sale).number not in desk.get("/sales?status=paid").text
    assert "No invoice here" in desk.get("/sales?date=2020-02-02").text
    assert "2 invoices are still to be paid, over all days: ₫1,450,000." in desk.get("/sales?date=2020-02-02").text


def test_sales_are_found_by_number_and_by_name_without_accents(desk, spa, sale):
    other = billing.sell_plan(
        customer_id=make_customer("Đặng Bích Ngọc"), plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager
    )

    assert stored(sale).number in desk.get(f"/sales?q={stored(sale).number[-6:]}").text
    by_name = desk.get("/sales?q=dang bich").text
    assert stored(other).number in by_name
    assert stored(sale).number not in by_name
    assert "No invoice found" in desk.get("/sales?q=100%25").text


def test_sales_show_one_branch_and_one_page(client, spa, monkeypatch):
    plan = make_plan([(spa.facial, 1)], price=100_000)
    monkeypatch.setattr("spa_app.queries.invoice_lists.PER_PAGE", 2)
    numbers = [
        stored(
            billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.manager)
        ).number
        for _ in range(3)
    ]
    login(client, "reception")
    first, second = client.get("/sales").text, client.get("/sales?page=2").text

    assert [number in first for number in numbers] == [False, True, True]
    assert [number in second for number in numbers] == [True, False, False]
    login(client, "reception7")
    assert "No invoice here" in client.get("/sales").text


def test_every_payment_is_in_the_ledger(desk, sale):
    desk.post(f"/invoices/{sale}/payments", data=form(method="cash", amount="1"))
    desk.post(f"/invoices/{sale}/payments", data=form(method="cash", amount="2000000"))

    taken = select(func.count()).select_from(JournalEntry).where(JournalEntry.event == "payment_taken")
    assert db.session.execute(taken).scalar_one() == 1
    assert_books_balance()
