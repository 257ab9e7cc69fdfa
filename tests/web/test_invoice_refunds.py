"""Refunds on the web: what the form shows first, who may, where the money goes, and that it goes back once."""

import re
import uuid

import pytest
from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import Invoice, InvoiceLine
from spa_app.services import payments
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.factories import login, make_booking, set_policy
from tests.services.checks import invoice_of, rows

SUMS = {"HX-Request": "true", "HX-Target": "refund-sums"}


def form(**fields):
    return {"idempotency_key": str(uuid.uuid4()), "reason": "did not like it", **fields}


@pytest.fixture
def invoice(spa):
    """A facial of 450,000 and a consultation of 100,000, paid in cash."""
    items = [ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]), ItemRequest(spa.consultation)]
    invoice = invoice_of(make_booking(spa, *items, status="completed"))
    payments.take_payment(invoice, method="cash", amount=550_000, actor=spa.receptionist)
    return invoice


@pytest.fixture
def lines(invoice):
    query = select(InvoiceLine.id).where(InvoiceLine.invoice_id == invoice).order_by(InvoiceLine.position)
    return db.session.execute(query).scalars().all()


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


def credited(invoice_id):
    db.session.rollback()
    return db.session.get_one(Invoice, invoice_id, populate_existing=True).credited_amount


def shown(page):
    return re.search(r'name="shown_amount" value="(\d+)"', page.text)[1]


def test_the_form_shows_the_arithmetic_before_anything_is_done(manager, invoice):
    page = manager.get(f"/invoices/{invoice}/refund")

    assert page.status_code == 200
    assert '<output class="amount__figure">₫550,000</output>' in page.text
    assert "₫40,740" in page.text  # VAT in it
    assert 'value="450,000"' in page.text
    assert 'value="100,000"' in page.text
    assert shown(page) == "550000"
    assert credited(invoice) == 0
    assert f'href="/invoices/{invoice}/refund"' in manager.get(f"/invoices/{invoice}").text


def test_a_plain_post_gives_all_of_it_back_the_way_it_was_paid(manager, invoice):
    answer = manager.post(f"/invoices/{invoice}/refund", data=form())

    assert answer.status_code == 303
    note = manager.get(answer.location)
    assert "Credit note" in note.text
    assert "Handed out" in note.text
    assert rows("SELECT method, amount FROM payouts") == [("cash", 550_000)]
    page = manager.get(f"/invoices/{invoice}").text
    assert answer.location in page
    assert f"/invoices/{invoice}/refund" not in page
    assert_books_balance()


def test_the_sums_follow_what_is_typed(manager, invoice, lines):
    typed = {"lines-0-line_id": lines[0], "lines-0-amount": "", "lines-1-line_id": lines[1], "lines-1-amount": "30.000"}

    sums = manager.get(f"/invoices/{invoice}/refund", query_string={**typed, "to": "as_paid"}, headers=SUMS)
    assert "<html" not in sums.text
    assert '<output class="amount__figure">₫30,000</output>' in sums.text
    assert shown(sums) == "30000"
    too_much = manager.get(
        f"/invoices/{invoice}/refund", query_string={**typed, "lines-1-amount": "100001"}, headers=SUMS
    )
    assert "Only ₫100,000 of this can still come back." in too_much.text
    nothing = manager.get(f"/invoices/{invoice}/refund", query_string={**typed, "lines-1-amount": ""}, headers=SUMS)
    assert "Choose what comes back." in nothing.text
    plain = manager.get(f"/invoices/{invoice}/refund", query_string={**typed, "to": "store_credit"})
    assert shown(plain) == "30000"
    assert 'value="30.000"' in plain.text


def test_a_part_as_store_credit_and_back_again(manager, invoice, lines):
    data = form(
        **{"lines-0-line_id": lines[1], "lines-0-amount": "100000", "to": "store_credit", "shown_amount": "100000"}
    )
    note = manager.post(f"/invoices/{invoice}/refund", data=data).location
    assert rows("SELECT credit_amount FROM customers WHERE credit_amount > 0") == [(100_000,)]
    assert "Refunded by mistake?" in manager.get(note).text
    assert manager.post(f"{note}/withdraw-refund", data=form(reason="")).status_code == 422

    answer = manager.post(f"{note}/withdraw-refund", data=form())

    assert (answer.status_code, answer.location) == (303, f"/invoices/{invoice}")
    assert credited(invoice) == 0
    again = manager.post(f"{note}/withdraw-refund", data=form())
    assert again.status_code == 409
    assert "is taken back already" in again.text


def test_a_replayed_form_gives_back_once(manager, invoice, lines):
    data = form(**{"lines-0-line_id": lines[1], "lines-0-amount": "10000"})
    answers = [manager.post(f"/invoices/{invoice}/refund", data=data) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.location for answer in answers}) == 1
    assert credited(invoice) == 10_000


def test_sums_that_changed_meanwhile_are_shown_anew(manager, invoice, lines, spa):
    whole = form(shown_amount="550000")
    manager.post(f"/invoices/{invoice}/refund", data=form(**{"lines-0-line_id": lines[1], "lines-0-amount": "40000"}))

    answer = manager.post(f"/invoices/{invoice}/refund", data=whole)
    assert answer.status_code == 409
    assert "₫510,000 comes back now" in answer.text
    assert shown(answer) == "510000"
    part = form(**{"lines-0-line_id": lines[1], "lines-0-amount": "100000", "shown_amount": "100000"})
    answer = manager.post(f"/invoices/{invoice}/refund", data=part)
    assert answer.status_code == 409
    assert re.search(r'id="lines-0-amount-error".{0,200}Only ₫60,000 of this', answer.text, re.DOTALL)
    manager.post(f"/invoices/{invoice}/refund", data=form(shown_amount="510000"))
    assert credited(invoice) == 550_000


@pytest.mark.parametrize(
    ("fields", "status", "at"),
    [
        ({"reason": ""}, 422, 'id="reason-error"'),
        ({"reason": "x" * 501}, 422, 'id="reason-error"'),
        ({"lines-0-amount": "x"}, 422, 'id="lines-0-amount-error"'),
        ({"lines-0-amount": "-5"}, 422, 'id="lines-0-amount-error"'),
        ({"lines-0-amount": "0"}, 422, 'id="lines-0-amount-error"'),
        ({"lines-0-amount": "550001"}, 422, 'id="lines-0-amount-error"'),
        ({"lines-0-amount": ""}, 422, "Choose what comes back."),
        ({"lines-0-line_id": "99999999999999999999"}, 422, "There is no such line on this invoice."),
        ({"lines-0-quantity": "2"}, 422, 'id="lines-0-amount-error"'),
        ({"to": "gold"}, 422, 'id="to-error"'),
        ({"to": "card"}, 409, 'id="to-error"'),
        ({"shown_amount": "1"}, 409, "comes back now"),
        ({"reference": "x" * 101}, 422, 'id="reference-error"'),
    ],
)
def test_what_is_wrong_is_said_at_its_field(manager, invoice, lines, fields, status, at):
    data = form(**{"lines-0-line_id": lines[0], "lines-0-amount": "5000", **fields})
    answer = manager.post(f"/invoices/{invoice}/refund", data=data)

    assert answer.status_code == status
    assert at in answer.text
    assert credited(invoice) == 0


def test_a_card_payment_asks_for_the_number_of_what_goes_back(manager, spa):
    invoice = invoice_of(make_booking(spa, status="completed"))
    payments.take_payment(invoice, method="card", amount=450_000, reference="A 17", actor=spa.receptionist)

    answer = manager.post(f"/invoices/{invoice}/refund", data=form())
    assert answer.status_code == 422
    assert 'id="reference-error"' in answer.text
    assert manager.post(f"/invoices/{invoice}/refund", data=form(reference="R 17")).status_code == 303
    assert rows("SELECT method, amount, reference FROM payouts") == [("card", 450_000, "R 17")]


def test_who_may(client, spa, invoice, lines):
    part = {"lines-0-line_id": lines[1], "lines-0-amount": "50000"}
    for username, seen, done in (("reception", 200, 403), ("therapist", 403, 403), ("reception7", 404, 404)):
        login(client, username)
        assert client.get(f"/invoices/{invoice}/refund").status_code == seen
        assert client.post(f"/invoices/{invoice}/refund", data=form(**part)).status_code == done
    login(client, "reception")
    assert "only a manager can refund" in client.get(f"/invoices/{invoice}/refund").text
    set_policy(spa.branch, refund_limit_amount=60_000)
    assert client.post(f"/invoices/{invoice}/refund", data=form(**part)).status_code == 303
    refused = client.post(f"/invoices/{invoice}/refund", data=form(**part))
    assert refused.status_code == 403
    assert "More than ₫60,000 of an invoice only a manager can refund." in refused.text
    assert client.post(f"/invoices/{invoice}/withdraw-refund", data=form()).status_code == 403
    assert credited(invoice) == 50_000


def test_an_invoice_of_which_nothing_can_come_back_says_so(manager, spa, invoice):
    unpaid = invoice_of(make_booking(spa, ItemRequest(spa.consultation, spa.therapists[1]), status="completed"))
    page = manager.get(f"/invoices/{unpaid}/refund")
    assert "take back what it bills instead" in page.text
    assert manager.post(f"/invoices/{unpaid}/refund", data=form()).status_code == 409
    manager.post(f"/invoices/{invoice}/refund", data=form())
    assert "has come back whole already" in manager.get(f"/invoices/{invoice}/refund").text
    note = rows("SELECT max(id) FROM invoices WHERE kind = 'credit_note'")[0][0]
    assert manager.get(f"/invoices/{note}/refund").status_code == 200
    assert manager.post(f"/invoices/{note}/refund", data=form()).status_code == 409


def test_a_package_in_use_leads_to_its_card(manager, spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    ((sale,),) = rows("SELECT invoice_id FROM invoice_lines WHERE kind = 'plan'")
    make_booking(spa, card=card, status="completed")

    page = manager.get(f"/invoices/{sale}/refund")
    assert f'href="/treatments/{card}?do=refund#act"' in page.text
    answer = manager.post(f"/invoices/{sale}/refund", data=form())
    assert answer.status_code == 409
    assert "refund what is left on its card" in answer.text


def test_takings_are_less_by_what_went_back(manager, invoice, lines):
    manager.post(f"/invoices/{invoice}/refund", data=form(**{"lines-0-line_id": lines[1], "lines-0-amount": "100000"}))

    assert "₫450,000" in manager.get("/reports/daily").text
    table = manager.get("/reports/payments").text
    assert "-₫100,000" in table
    assert "Money together: ₫450,000" in table
    assert "Together ₫450,000" in manager.get("/reports/payments?method=cash").text
    csv = manager.get("/reports/payments?format=csv").text
    assert ",-100000," in csv
