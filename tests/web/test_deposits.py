"""/bookings/<id>/deposits and the checkout: taken, used, given back; and the VietQR code for what is left to pay."""

import re
import uuid

import pytest

from tests import factories
from tests.factories import login
from tests.services.checks import rows


@pytest.fixture
def visit(spa):
    return factories.make_booking(spa)


@pytest.fixture
def desk(client, spa):
    login(client, "reception")
    return client


@pytest.fixture
def deposit(desk, visit):
    take(desk, visit)
    return rows("SELECT max(id) FROM deposits")[0][0]


def post(client, address, **fields):
    return client.post(address, data={"idempotency_key": uuid.uuid4(), **fields})


def take(client, visit, **fields):
    return post(client, f"/bookings/{visit}/deposits", **{"amount": "200.000", "method": "cash", **fields})


def complete(client, visit):
    post(client, f"/bookings/{visit}/start")
    post(client, f"/bookings/{visit}/complete")
    return rows("SELECT id FROM invoices WHERE booking_id = :id", id=visit)[0][0]


def give_bank(spa):
    factories.set_policy(spa.branch, bank_bin="970436", bank_account="0881000458086", bank_holder="SPA Q1")


def test_taken_at_the_desk_and_seen_in_the_visit(desk, visit):
    answer = take(desk, visit)
    assert answer.status_code == 303
    html = desk.get(answer.location).text
    assert "₫200,000 taken as a deposit: Cash." in html
    assert "Deposit: ₫200,000" in desk.get(f"/bookings/{visit}").text


def test_sent_twice_it_is_taken_once(desk, visit):
    key = uuid.uuid4()
    for _ in range(2):
        answer = desk.post(
            f"/bookings/{visit}/deposits", data={"idempotency_key": key, "amount": "200000", "method": "cash"}
        )
        assert answer.status_code == 303
    assert rows("SELECT count(*) FROM deposits") == [(1,)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"amount": ""}, "This field is required."),
        ({"amount": "some"}, "This is not an amount."),
        ({"amount": "0"}, "The amount must be more than zero."),
        ({"method": "card"}, "Card and transfer need a reference."),
        ({"method": "gold"}, "Not a valid choice."),
    ],
)
def test_what_cannot_be_is_said_at_its_field(desk, visit, fields, said):
    answer = take(desk, visit, **fields)
    assert answer.status_code == 422
    assert said in answer.text
    assert rows("SELECT count(*) FROM deposits") == [(0,)]


def test_the_checkout_offers_it_first_and_then_the_rest(desk, visit, deposit):
    invoice = complete(desk, visit)
    html = desk.get(f"/invoices/{invoice}").text
    assert re.search(r'value="deposit" required checked', html)
    assert 'value="200,000"' in html
    assert post(desk, f"/invoices/{invoice}/payments", method="deposit", amount="200.000").status_code == 303
    html = desk.get(f"/invoices/{invoice}").text
    assert 'value="deposit"' not in html
    assert "₫250,000" in html


def test_nothing_is_asked_of_a_visit_that_is_over(desk, visit):
    complete(desk, visit)
    html = desk.get(f"/bookings/{visit}/deposits").text
    assert "No deposit was taken for this visit." in html
    assert "Take the deposit" not in html
    assert take(desk, visit).status_code == 409


def test_the_desk_makes_store_credit_of_it_and_a_manager_money(desk, visit, deposit):
    answer = post(desk, f"/deposits/{deposit}/return", method="cash", reason="ill")
    assert answer.status_code == 403
    html = desk.get(f"/bookings/{visit}/deposits").text
    assert 'value="store_credit"' in html
    answer = post(desk, f"/deposits/{deposit}/return", method="store_credit", amount="50.000", reason="ill")
    assert answer.status_code == 303
    login(desk, "manager")
    assert post(desk, f"/deposits/{deposit}/return", method="cash", reason="").status_code == 422
    assert post(desk, f"/deposits/{deposit}/return", method="cash", amount="160.000", reason="ill").status_code == 409
    assert post(desk, f"/deposits/{deposit}/return", method="cash", reason="ill").status_code == 303
    answer = post(desk, f"/deposits/{deposit}/return", method="cash", reason="ill")
    assert answer.status_code == 409
    assert "Nothing is left of this deposit." in answer.text


def test_a_slip_says_what_was_taken(desk, deposit):
    html = desk.get(f"/deposits/{deposit}/slip").text
    assert "₫200,000" in html
    assert "Lê Thị Mai" in html


def test_other_branches_do_not_see_it(client, visit, deposit):
    login(client, "reception7")
    assert client.get(f"/deposits/{deposit}/slip").status_code == 404
    assert post(client, f"/deposits/{deposit}/return", method="store_credit", reason="x").status_code == 404
    assert client.get(f"/bookings/{visit}/deposits").status_code == 404


def test_what_a_customer_owes_follows_them(desk, spa, visit):
    invoice = complete(desk, visit)
    post(desk, f"/invoices/{invoice}/payments", method="cash", amount="100.000")
    assert "Still to pay: ₫350,000" in desk.get(f"/customers/{spa.customer}").text
    assert "Owes ₫350,000" in desk.get(f"/bookings/new?customer_id={spa.customer}").text
    at = factories.tomorrow_at(spa.branch, "10:00")
    later = factories.make_booking(spa, starts_at=at)
    assert "Owes ₫350,000" in desk.get(f"/bookings/{later}").text
    assert "Owes" not in desk.get(f"/bookings/{visit}").text
    post(desk, f"/customers/{spa.customer}/treatments", plan_id=spa.plan)
    sale = rows("SELECT max(id) FROM invoices")[0][0]
    assert "Also still to pay: ₫350,000" in desk.get(f"/invoices/{sale}").text


def test_a_transfer_shows_its_code(desk, spa, visit):
    invoice = complete(desk, visit)
    assert desk.get(f"/invoices/{invoice}/transfer").status_code == 404
    give_bank(spa)
    assert f'src="/invoices/{invoice}/transfer.svg"' in desk.get(f"/invoices/{invoice}").text
    page = desk.get(f"/invoices/{invoice}/transfer").text
    assert "Vietcombank" in page
    assert "₫450,000" in page
    picture = desk.get(f"/invoices/{invoice}/transfer.svg")
    assert picture.mimetype == "image/svg+xml"
    assert picture.text.startswith("<svg")
    post(desk, f"/invoices/{invoice}/payments", method="cash", amount="450.000")
    assert desk.get(f"/invoices/{invoice}/transfer.svg").status_code == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"bank_bin": "970436", "bank_account": "12"}, "An account number has 4 to 19"),
        ({"bank_account": "0881000458086"}, "Choose the bank of this account."),
        ({"bank_bin": "111111", "bank_account": "0881000458086"}, "Choose a bank of the list."),
    ],
)
def test_the_account_of_a_branch_is_whole_or_not_there(client, spa, fields, said):
    login(client, "manager")
    found = re.search(r'name="seen" value="([0-9a-f]{16})"', client.get("/setup/branch").text)
    about = {"name": "Q1", "timezone": factories.TIMEZONE, "seen": found[1]}
    answer = post(client, "/setup/branch", **about, **fields)
    assert answer.status_code == 422
    assert said in answer.text


def test_a_manager_names_the_account(client, spa):
    login(client, "manager")
    found = re.search(r'name="seen" value="([0-9a-f]{16})"', client.get("/setup/branch").text)
    about = {"name": "Q1", "timezone": factories.TIMEZONE, "seen": found[1]}
    fields = {"bank_bin": "970436", "bank_account": "0881 0004 58086", "bank_holder": "Công ty Spa"}
    assert post(client, "/setup/branch", **about, **fields).status_code == 303
    assert rows("SELECT bank_bin, bank_account FROM branches WHERE id = :id", id=spa.branch) == [
        ("970436", "0881000458086")
    ]


def test_the_history_of_store_credit_says_that_it_was_a_deposit(desk, spa, deposit):
    post(desk, f"/deposits/{deposit}/return", method="store_credit", reason="rain")

    assert "Deposit turned into store credit" in desk.get(f"/customers/{spa.customer}/credit").text
