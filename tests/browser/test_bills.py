"""The desk's bills, with the interactions counted: a tip or a discount at checkout, a sale, completing with more."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from spa_app.services.bookings import ItemRequest
from tests.books import assert_books_balance
from tests.browser.test_visit import Desk
from tests.factories import Spa, make_booking, make_product, set_policy
from tests.services.checks import invoice_of, rows

pytestmark = pytest.mark.browser


@pytest.fixture
def open_bill(spa: Spa) -> int:
    """The unpaid bill of a facial; the desk may take 10 % off."""
    set_policy(spa.branch, discount_limit_bp=1_000)
    return invoice_of(make_booking(spa, status="completed"))


def _type_tip(desk: Desk, amount: str) -> None:
    desk.interactions += 1
    desk.page.get_by_role("textbox", name="Tip", exact=True).fill(amount)


def _newest() -> tuple:
    return rows("SELECT status, total_amount FROM invoices ORDER BY id DESC LIMIT 1")[0]


def test_a_tip_is_added_at_checkout(open_bill: int, page: Page):
    page.goto(f"/invoices/{open_bill}")
    desk = Desk(page)

    desk.click("link", "Tip, discount or products")
    _type_tip(desk, "50000")
    expect(page.locator("#bill-sums")).to_contain_text("₫500,000")
    desk.click("button", "Issue the changed bill")
    expect(page.locator(".till .amount__figure")).to_have_text("₫500,000")
    assert desk.count() <= 3, "add a tip to an open bill"
    assert _newest() == ("open", 500_000)
    assert_books_balance()


def test_a_discount_is_granted_at_checkout_in_the_panel(open_bill: int, page: Page):
    visit = rows("SELECT booking_id FROM invoices")[0][0]
    page.goto(f"/calendar?booking={visit}")
    page.get_by_role("link", name="Take payment").click()
    desk = Desk(page)

    desk.click("link", "Tip, discount or products")
    expect(page.locator("#panel #bill-sums")).to_be_visible()
    assert not Axe().run(page).response["violations"]
    desk.fill("Discount on the whole bill", "10%")
    desk.fill("Reason of the discount", "Regular customer")
    desk.click("button", "Issue the changed bill")
    expect(page.locator("#panel .till .amount__figure")).to_have_text("₫405,000")
    assert desk.count() <= 4, "grant a discount on an open bill"
    assert "/calendar" in page.url
    assert_books_balance()


def test_above_the_limit_the_desk_is_told_at_the_field(open_bill: int, page: Page):
    page.goto(f"/invoices/{open_bill}/change")
    page.get_by_label("Discount on the whole bill").fill("20 %")
    expect(page.locator("#bill-sums .field__error")).to_be_visible()
    page.get_by_label("Reason of the discount").fill("x")

    page.get_by_role("button", name="Issue the changed bill").click()

    expect(page.locator("#discount-error")).to_contain_text("more than you may grant")
    expect(page.get_by_label("Discount on the whole bill")).to_have_value("20 %")
    assert not Axe().run(page).response["violations"]
    assert _newest() == ("open", 450_000)


def test_a_visit_of_two_therapists_is_completed_with_a_tip(spa: Spa, page: Page):
    items = (ItemRequest(spa.facial, spa.therapists[0]), ItemRequest(spa.consultation, spa.therapists[1]))
    visit = make_booking(spa, *items, status="in_progress")
    page.goto(f"/calendar?booking={visit}")
    desk = Desk(page)

    desk.click("link", "Tip, discount or products")
    _type_tip(desk, "100000")
    expect(page.locator("#bill-sums")).to_contain_text("Tip for Anh")
    desk.click("button", "Complete and issue the bill")
    expect(page.locator("#panel .till .amount__figure")).to_have_text("₫650,000")
    assert desk.count() <= 3, "complete a visit with a tip"
    assert rows("SELECT count(*), count(*) FILTER (WHERE status = 'void') FROM invoices") == [(1, 0)]
    assert rows("SELECT amount FROM invoice_lines WHERE kind = 'tip'") == [(50_000,), (50_000,)]


def test_a_sale_by_keyboard(spa: Spa, page: Page):
    product = make_product(spa.branch, name="Cream")
    page.goto(f"/customers/{spa.customer}")
    desk = Desk(page)

    desk.press("n")
    expect(page.get_by_role("heading", name="New sale")).to_be_visible()
    desk.choose("Product or package", re.compile("^Cream"))
    expect(page.locator("#bill-sums")).to_contain_text("₫200,000")
    page.get_by_label("Product or package").focus()  # where somebody who chose by keyboard still is
    desk.press("Control+Enter")
    expect(page.locator(".till .amount__figure")).to_have_text("₫200,000")
    assert desk.count() <= 4, "sell a product"
    assert rows("SELECT on_hand FROM product_stocks WHERE product_id = :id", id=product) == [(9,)]


def test_without_javascript_a_sale_of_two_lines(spa: Spa, log_in: Callable[..., Page]):
    make_product(spa.branch, name="Cream")
    page = log_in("reception", java_script_enabled=False)
    page.goto("/sales/new")

    page.get_by_placeholder("Name or phone").fill("mai")
    page.get_by_role("button", name="Find").click()
    page.get_by_label("Product or package").select_option(index=1)
    page.get_by_role("button", name="Add a product or package").click()
    page.get_by_label("Product or package").nth(1).select_option(f"plan-{spa.plan}")
    page.get_by_role("button", name="Issue the bill").click()
    expect(page.locator(".till .amount__figure")).to_have_text("₫1,200,000")
    assert_books_balance()
