"""A visit whose card can no longer pay is completed in place, with the interactions counted."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, CustomerTreatment, Plan
from spa_app.services import bookings, treatments
from tests.books import assert_books_balance
from tests.browser.test_visit import Desk
from tests.factories import TIMEZONE, Spa, make_booking, make_card

pytestmark = pytest.mark.browser


def _status(visit: int) -> str:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(Booking, visit).status


def _over(card: int) -> None:
    """A manager has let the card end before the visit that it was to pay."""
    db.session.get_one(CustomerTreatment, card).expiry_date = clock.today(TIMEZONE) - dt.timedelta(days=1)
    db.session.commit()


@pytest.fixture
def card(spa: Spa) -> int:
    return make_card(spa.customer, spa.facial, branch_id=spa.branch)


@pytest.fixture
def visit(spa: Spa, card: int) -> int:
    return make_booking(spa, card=card, status="in_progress")


def test_an_expired_card_is_extended_and_the_visit_completed_in_place(card: int, visit: int, page: Page):
    _over(card)
    page.goto(f"/calendar?booking={visit}")
    expect(page.locator(f"#visit-{visit}")).to_be_visible()
    desk = Desk(page)

    desk.click("button", "Complete")
    expect(page.get_by_text("Each of these completes the visit")).to_be_visible()
    assert not Axe().run(page).response["violations"]
    desk.click("button", re.compile("^Extend the card to"))
    expect(page.get_by_text("The visit is completed.")).to_be_visible()
    assert desk.count() <= 2, "complete a visit whose card has expired: extend it in place"
    assert "booking=" in page.url
    assert _status(visit) == "completed"


def test_by_keyboard_the_customer_pays_instead(card: int, visit: int, page: Page):
    _over(card)
    page.goto(f"/bookings/{visit}")
    desk = Desk(page)
    expect(page.get_by_role("button", name="Complete")).to_be_visible()

    desk.press("c")
    expect(page.get_by_role("alert").filter(has_text="Each of these completes")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=re.compile("^Extend the card to"))).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=re.compile("^Let the customer pay"))).to_be_focused()
    desk.press("Enter")
    expect(page.get_by_text("The visit is completed.")).to_be_visible()
    assert desk.count() <= 2, "complete a visit whose card has expired: the customer pays, by keyboard"
    assert _status(visit) == "completed"


def test_a_package_is_sold_and_used_in_place(spa: Spa, card: int, visit: int, page: Page):
    bookings.complete(visit, actor=spa.receptionist)
    treatments.freeze_card(card, reason="abroad", actor=spa.receptionist)
    bookings.undo_complete(visit, actor=spa.receptionist)
    plan = db.session.get_one(Plan, spa.plan).name
    page.goto(f"/calendar?booking={visit}")
    desk = Desk(page)

    desk.click("button", "Complete")
    desk.click("button", re.compile(f"^Sell {re.escape(plan)} for"))
    expect(page.get_by_text("Still to pay for the package")).to_be_visible()
    assert desk.count() <= 2, "complete a visit whose card is frozen: sell a package and use it"
    assert _status(visit) == "completed"
    assert_books_balance()


def test_without_javascript_the_visit_is_completed_in_place(card: int, visit: int, log_in: Callable[..., Page]):
    _over(card)
    page = log_in("reception", java_script_enabled=False)
    page.goto(f"/bookings/{visit}")

    page.get_by_role("button", name="Complete").click()
    page.get_by_role("button", name=re.compile("^Let the customer pay")).click()
    expect(page.get_by_role("link", name="Take payment")).to_be_visible()
    assert _status(visit) == "completed"


def test_a_manager_puts_a_package_on_sale(spa: Spa, log_in: Callable[..., Page]):
    page = log_in("manager")
    desk = Desk(page)
    page.goto("/setup/plans")

    desk.click("link", "New package")
    desk.fill("Name", "Ten and two")
    desk.choose_in(page.locator(".form__grid").first, "Service", "Basic Facial")
    page.locator("#lines-0-sessions").fill("10")
    page.locator("#lines-0-bonus_sessions").fill("2")
    desk.fill("Price, VAT included", "4500000")
    desk.click("button", "Save")
    expect(page.get_by_role("link", name="Ten and two")).to_be_visible()
    expect(page.get_by_text("and 2 free")).to_be_visible()
