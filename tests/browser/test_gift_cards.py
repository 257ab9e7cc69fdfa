"""Gift cards at the desk: sold, shown before they pay, and paid with; the interactions counted."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from spa_app.extensions import db
from spa_app.models import GiftCard
from spa_app.models.gift_card import show_code
from spa_app.services import billing
from spa_app.services.actor import SYSTEM
from tests.books import assert_books_balance
from tests.browser.test_visit import Desk
from tests.factories import Spa, make_gift_card

pytestmark = pytest.mark.browser


@pytest.fixture
def bill(spa: Spa) -> int:
    """An invoice of 1,000,000 to be paid."""
    return billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=SYSTEM)


def test_a_card_is_sold_from_the_customers_page(spa: Spa, page: Page):
    page.goto(f"/customers/{spa.customer}")
    desk = Desk(page)

    desk.click("link", "Sell a gift card")
    desk.click("button", "₫500,000")
    desk.click("button", "Sell and go to payment")
    expect(page.get_by_text("Sold. Now take the payment.")).to_be_visible()
    desk.click("button", "Take the payment")
    expect(page.get_by_text("Paid in full.").first).to_be_visible()
    assert desk.count() <= 5, "sell a gift card from the customer's page, and take the money"
    page.get_by_role("link", name="Voucher").click()
    expect(page.get_by_role("img")).to_have_count(0)  # the drawing says what the words beside it say
    assert page.locator(".voucher img").evaluate("image => image.decode().then(() => image.naturalWidth > 0)")
    assert_books_balance()


def test_a_card_is_sold_from_the_sales(spa: Spa, page: Page):
    page.goto("/sales")
    desk = Desk(page)

    desk.click("link", "Sell a gift card")
    desk.fill("Name or phone", "mai")
    desk.click("link", re.compile("Lê Thị Mai"))
    desk.click("button", "₫1,000,000")
    desk.click("button", "Sell and go to payment")
    expect(page.get_by_text("Sold. Now take the payment.")).to_be_visible()
    assert desk.count() <= 5, "sell a gift card to a customer who is found first"


def test_the_balance_shows_before_it_pays_and_the_rest_is_paid_otherwise(spa: Spa, bill: int, page: Page):
    card = make_gift_card(spa)
    page.goto(f"/invoices/{bill}")
    desk = Desk(page)

    desk.click("radio", "Gift card")
    desk.fill("Code of the gift card", show_code(card.code).lower())
    expect(page.locator("#gift-card-balance")).to_contain_text("₫500,000 is on it")
    desk.click("button", "Take all of it")
    desk.click("button", "Take the payment")
    expect(page.get_by_text("₫500,000 left to pay.").first).to_be_visible()
    assert desk.count() <= 5, "pay part of a bill with a gift card"
    db.session.expire_all()
    assert db.session.get_one(GiftCard, card.id).balance_amount == 0
    assert_books_balance()


def test_without_javascript_the_refusal_tells_the_balance(spa: Spa, bill: int, log_in: Callable[..., Page]):
    card = make_gift_card(spa)
    page = log_in("reception", java_script_enabled=False)
    page.goto(f"/invoices/{bill}")

    page.get_by_role("radio", name="Gift card").check()
    page.get_by_label("Code of the gift card").fill(card.code)
    page.get_by_role("button", name="Take the payment").click()
    expect(page.get_by_text("Only ₫500,000 is on gift card")).to_be_visible()
    page.get_by_role("button", name="Take the payment").click()
    expect(page.get_by_text("₫500,000 left to pay.").first).to_be_visible()
    assert_books_balance()
