"""One of two services of a paid visit goes back in cash, by keyboard alone, with the interactions counted."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from spa_app.services import payments
from spa_app.services.bookings import ItemRequest
from tests.books import assert_books_balance
from tests.browser.test_visit import Desk
from tests.factories import Spa, make_booking
from tests.services.checks import invoice_of, rows

pytestmark = pytest.mark.browser


@pytest.fixture
def invoice(spa: Spa) -> int:
    items = [ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]), ItemRequest(spa.consultation)]
    invoice = invoice_of(make_booking(spa, *items, status="completed"))
    payments.take_payment(invoice, method="cash", amount=550_000, actor=spa.receptionist)
    return invoice


def test_one_of_two_services_by_keyboard(invoice: int, log_in: Callable[..., Page]):
    page = log_in("manager")
    page.goto(f"/invoices/{invoice}")
    desk = Desk(page)

    desk.press("r")
    expect(page.get_by_label("Basic Facial: what comes back")).to_be_focused()
    desk.press("ControlOrMeta+a")
    desk.press("Delete")
    sums = page.locator("#refund-sums")
    expect(sums.locator(".amount__figure")).to_have_text("₫100,000")
    expect(sums).to_contain_text("Cash")
    for _ in range(3):
        desk.press("Tab")
    expect(page.get_by_label("Reason")).to_be_focused()
    desk.type("did not like it")
    desk.press("Enter")

    expect(page.get_by_role("heading", name="Handed out")).to_be_visible()
    assert desk.count() <= 8, "refund one of two services"
    assert rows("SELECT method, amount FROM payouts") == [("cash", 100_000)]
    assert rows("SELECT credited_amount FROM invoices WHERE id = :id", id=invoice) == [(100_000,)]
    assert_books_balance()


def test_the_sums_follow_and_a_card_asks_for_its_number(spa: Spa, log_in: Callable[..., Page]):
    invoice = invoice_of(make_booking(spa, status="completed"))
    payments.take_payment(invoice, method="cash", amount=200_000, actor=spa.receptionist)
    payments.take_payment(invoice, method="card", amount=250_000, reference="A 17", actor=spa.receptionist)
    page = log_in("manager")
    page.goto(f"/invoices/{invoice}/refund")
    sums = page.locator("#refund-sums")

    expect(sums.get_by_label("Reference")).to_be_visible()
    page.get_by_label("Basic Facial: what comes back").fill("500.000")
    expect(sums).to_contain_text("Only ₫450,000 of this can still come back.")
    page.get_by_label("Basic Facial: what comes back").fill("150.000")
    page.get_by_label("Cash", exact=True).check()
    expect(sums.locator(".amount__figure")).to_have_text("₫150,000")
    expect(sums.get_by_label("Reference")).to_be_hidden()
    page.get_by_label("Reason").fill("x")
    page.get_by_role("button", name="Refund it").click()

    expect(page.get_by_role("heading", name="Handed out")).to_be_visible()
    assert rows("SELECT method, amount FROM payouts") == [("cash", 150_000)]
