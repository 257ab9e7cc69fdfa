"""The evening at the desk: pay out, count by keyboard, close the day, the Z-report; with the interactions counted."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import DayClose, DrawerSession
from spa_app.services import payments
from tests.books import assert_books_balance
from tests.browser.test_visit import Desk
from tests.factories import Spa, make_drawer, make_sale, open_session_of

pytestmark = pytest.mark.browser


@pytest.fixture
def till(spa: Spa) -> int:
    """An open drawer with 1,000,000 of float and 700,000 of cash."""
    drawer = make_drawer(spa.branch, "Till", opening=1_000_000)
    sale = make_sale(spa, price=700_000)
    payments.take_payment(sale, method="cash", amount=700_000, actor=spa.receptionist)
    return open_session_of(drawer)


def _session(session_id: int) -> DrawerSession:
    db.session.rollback()
    return db.session.get_one(DrawerSession, session_id, populate_existing=True)


def test_the_desk_counts_by_keyboard_and_the_manager_closes_the_day(
    spa: Spa, till: int, page: Page, log_in: Callable[..., Page]
):
    page.goto("/sales")
    desk = Desk(page)
    desk.click("link", "Drawers")
    expect(page.get_by_role("link", name="Count and close")).to_be_visible()
    desk.press("c")
    expect(page.get_by_role("heading", name="Count Till")).to_be_visible()
    expect(page.locator("#note_500000")).to_be_focused()
    for number in ("2", "3", "1"):
        desk.type(number)
        desk.press("Enter")
    expect(page.locator("[data-sum]")).to_have_text("₫1,700,000")
    expect(page.locator("#note_50000")).to_be_focused()
    assert "1,000,000" not in page.locator("main").inner_text().replace("₫1,000,000", "", 1)
    desk.press("Control+Enter")
    expect(page.get_by_text("The count is exact.")).to_be_visible()
    assert desk.count() <= 9, "count a drawer of three kinds of notes by keyboard"
    assert (_session(till).counted_amount, _session(till).variance_amount) == (1_700_000, 0)

    manager = log_in("manager")
    manager.goto("/sales")
    desk = Desk(manager)
    desk.click("link", "Day close")
    expect(manager.get_by_role("button", name="Close the day")).to_be_visible()
    desk.click("button", "Close the day")
    expect(manager.get_by_role("heading", name="Z-report 1")).to_be_visible()
    assert desk.count() <= 2, "close the day"
    assert not Axe().run(manager).response["violations"]
    desk.click("link", "Cash")
    expect(manager.get_by_text("Together ₫700,000")).to_be_visible()
    assert_books_balance()


def test_a_count_that_is_short_asks_why_and_the_day_waits_for_it(spa: Spa, till: int, log_in: Callable[..., Page]):
    manager = log_in("manager")
    manager.goto(f"/drawers/sessions/{till}/count")
    manager.locator("#note_500000").fill("3")
    manager.get_by_role("button", name="Close the drawer").click()
    expect(manager.get_by_text("₫200,000 short").first).to_be_visible()

    manager.goto("/day-close")
    manager.get_by_role("button", name="Close the day").click()
    expect(manager.get_by_role("alert").filter(has_text="nobody has said why")).to_be_visible()
    manager.get_by_role("link", name="Say why").click()
    manager.get_by_label("Reason").fill("wrong change")
    manager.get_by_role("button", name="Save").click()
    expect(manager.get_by_text("wrong change")).to_be_visible()
    manager.goto("/day-close")
    manager.get_by_role("button", name="Close the day").click()
    expect(manager.get_by_role("heading", name="Z-report 1")).to_be_visible()
    manager.get_by_text("Reopen the day").first.click()
    manager.get_by_label("Reason").fill("a late customer")
    manager.get_by_role("button", name="Reopen the day").click()
    expect(manager.get_by_text("was closed as Z-report 1 and reopened")).to_be_visible()


def test_the_evening_without_javascript(till: int, log_in: Callable[..., Page]):
    page = log_in("manager", java_script_enabled=False)
    page.goto("/drawers")
    page.get_by_role("link", name="Pay in or out").click()
    page.get_by_label("Amount").fill("100.000")
    page.get_by_label("Reason").fill("to the safe")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Count and close").click()
    page.locator("#note_200000").fill("8")
    page.get_by_role("button", name="Add up").click()
    expect(page.locator("[data-sum]")).to_have_text("₫1,600,000")
    page.get_by_role("button", name="Close the drawer").click()
    expect(page.get_by_text("The count is exact.")).to_be_visible()
    page.goto("/day-close")
    page.get_by_role("button", name="Close the day").click()
    expect(page.get_by_role("heading", name="Z-report 1")).to_be_visible()
    page.get_by_role("link", name="Print on 80 mm paper").click()
    expect(page.get_by_text("Till", exact=True)).to_be_visible()
    db.session.rollback()
    assert db.session.scalar(select(DayClose.z_number)) == 1
