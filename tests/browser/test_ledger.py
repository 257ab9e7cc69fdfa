"""From the trial balance to the document by keyboard, and the ledger's pages on small screens."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from spa_app.services import billing, payments
from tests.factories import Spa, make_booking, make_card

pytestmark = pytest.mark.browser


@pytest.fixture
def trade(spa: Spa) -> Spa:
    """A card that was used once, and a sale that was paid in cash."""
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    make_booking(spa, status="completed", card=card)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    payments.take_payment(sale, method="cash", amount=None, actor=spa.manager)
    return spa


def _follow(page: Page, link: str) -> None:
    """Tab to the first link of the page's main part with that text, and press Enter."""
    target = page.locator("main").get_by_role("link", name=link).first
    for _ in range(80):
        if target.evaluate("node => node === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(target).to_be_focused()
    page.keyboard.press("Enter")


def test_from_the_trial_balance_to_the_invoice_by_keyboard(trade: Spa, log_in: Callable[..., Page]):
    page = log_in("manager")
    page.goto("/reports/ledger")
    expect(page.get_by_text("Debits equal credits: before, during and after the period.")).to_be_visible()

    _follow(page, "1110 Cash")
    expect(page.get_by_role("heading", level=1)).to_have_text("1110 Cash")
    _follow(page, "Payment taken")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Journal entry")
    _follow(page, "Q1-")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Invoice Q1-")


def test_from_the_liability_to_the_card(trade: Spa, log_in: Callable[..., Page]):
    page = log_in("manager")
    page.goto("/reports/liability")
    expect(page.get_by_text("The ledger and the cards agree, altogether and for each package.")).to_be_visible()

    page.locator("tbody").first.get_by_role("link", name="-").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cards behind the liability")
    page.locator("tbody th a").first.click()
    expect(page.locator("[data-used]").first).to_be_visible()


@pytest.mark.parametrize(
    "path", ["ledger", "ledger/journal", "ledger/accounts/1310", "liability", "liability/cards", "revenue"]
)
def test_a_tablet_scrolls_tables_and_never_the_page(trade: Spa, log_in: Callable[..., Page], path: str):
    page = log_in("manager", viewport={"width": 820, "height": 1180})
    page.goto(f"/reports/{path}")

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
