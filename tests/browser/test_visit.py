"""A whole visit as the desk does it, from the search box to the receipt, with each task's interactions counted."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import Booking, CustomerTreatment, Invoice, Payment, TreatmentEntry
from tests.books import assert_books_balance
from tests.factories import PASSWORD, Spa, make_card, make_plan

pytestmark = pytest.mark.browser


class Desk:
    """Somebody at the desk, whose every click, key and typed text is counted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.interactions = 0

    def click(self, role: str, name: str | re.Pattern[str]) -> None:
        self.interactions += 1
        self.page.get_by_role(role, name=name).first.click()

    def pick(self, selector: str, text: str) -> None:
        self.interactions += 1
        self.page.locator(selector, has_text=text).first.click()

    def press(self, key: str) -> None:
        self.interactions += 1
        self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.interactions += 1
        self.page.keyboard.type(text)

    def choose(self, label: str, option: str) -> None:
        self.choose_in(self.page, label, option)

    def choose_in(self, place: Page | Locator, label: str, option: str) -> None:
        self.interactions += 1
        field = place.get_by_label(label, exact=True)
        field.select_option(field.locator("option", has_text=option).first.get_attribute("value"))

    def fill(self, label: str, text: str) -> None:
        """Click into the visible field and type: counted as one, like a choice from a list."""
        self.interactions += 1
        self.page.get_by_label(label).filter(visible=True).fill(text)

    def check(self, label: str) -> None:
        self.interactions += 1
        self.page.get_by_label(label).filter(visible=True).check()

    def tab_to(self, text: str) -> None:
        """Press Tab until the element with that text has the focus, as somebody without a mouse does."""
        for _ in range(20):
            self.press("Tab")
            if text in self.page.evaluate("document.activeElement.textContent"):
                return
        raise AssertionError(f"{text} cannot be reached with the Tab key")

    def count(self) -> int:
        """The interactions since the last count."""
        counted, self.interactions = self.interactions, 0
        return counted


@pytest.fixture
def desk(page: Page) -> Desk:
    return Desk(page)


def _stored(model: type, *where: object) -> list:
    db.session.rollback()
    return list(db.session.execute(select(model).where(*where).order_by(model.id)).scalars())


def test_a_prepaid_visit_from_the_search_box_to_its_slip(spa: Spa, desk: Desk):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=10)
    page = desk.page
    page.goto("/calendar")

    desk.press("/")
    desk.type("le thi mai")
    expect(page.locator("#search-results")).to_contain_text("Lê Thị Mai")
    desk.count()
    desk.press("ArrowDown")
    desk.press("Enter")
    expect(page.locator(f"#treatment-{card}")).to_contain_text("10 left")
    assert desk.count() <= 2, "“how many sessions do I have left?”, once the customer is typed"

    desk.click("link", "Book a visit")
    desk.choose("Service", "Basic Facial")
    expect(page.get_by_text("After this visit 9 left").first).to_be_visible()
    desk.click("button", "Book the visit")
    expect(page.get_by_role("button", name="Customer is here")).to_be_visible()
    assert desk.count() <= 5, "book a known customer on their card"

    desk.click("button", "Customer is here")
    desk.click("button", "Start")
    expect(page.get_by_role("button", name="Complete")).to_be_visible()
    desk.count()
    desk.click("button", "Complete")
    expect(page.get_by_role("button", name="Undo completion")).to_be_visible()
    assert desk.count() <= 2, "complete and punch"

    (booking,) = _stored(Booking)
    assert booking.status == "completed"
    assert db.session.get_one(CustomerTreatment, card).used_sessions == 1
    assert [entry.kind for entry in _stored(TreatmentEntry)] == ["purchase", "hold", "release", "punch"]
    page.goto(f"/bookings/{booking.id}/slip")
    expect(page.get_by_text("9 left", exact=False).first).to_be_visible()
    assert_books_balance()


def test_a_visit_that_is_paid_in_cash_from_the_calendar_to_the_receipt(spa: Spa, desk: Desk):
    page = desk.page
    page.goto("/calendar")

    desk.click("link", "New visit")
    expect(page.locator("#customer_q")).to_be_focused()
    desk.type("mai")
    desk.click("button", re.compile("Lê Thị Mai"))
    expect(page.get_by_label("Service", exact=True)).to_be_focused()
    desk.choose("Service", "Consultation")
    desk.click("button", "Book the visit")
    expect(page.get_by_role("button", name="Customer is here")).to_be_visible()
    for name in ("Customer is here", "Start", "Complete"):
        desk.click("button", name)
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    desk.count()

    desk.click("link", "Take payment")
    expect(page.get_by_text("100,000").first).to_be_visible()
    desk.click("button", re.compile("^Take"))
    expect(page.get_by_text("Paid in full").first).to_be_visible()
    assert desk.count() <= 3, "take cash for one invoice"

    (invoice,) = _stored(Invoice)
    (payment,) = _stored(Payment)
    assert (invoice.status, payment.method, payment.amount) == ("paid", "cash", 100_000)
    page.goto(f"/invoices/{invoice.id}/receipt")
    expect(page.get_by_text(invoice.number).first).to_be_visible()
    assert_books_balance()


def test_selling_a_package(spa: Spa, desk: Desk):
    make_plan([(spa.massage, 5)], price=3_000_000, name="5 × Hot Stone")
    page = desk.page
    page.goto(f"/customers/{spa.customer}")

    desk.pick("#treatments summary", "Sell a package")
    desk.pick("label", "5 × Hot Stone")
    desk.click("button", re.compile("^Sell"))
    expect(page.get_by_text("3,000,000").first).to_be_visible()
    desk.click("button", re.compile("^Take"))
    expect(page.get_by_text("Paid in full").first).to_be_visible()
    assert desk.count() <= 5, "sell a plan and take the money"

    (card,) = _stored(CustomerTreatment)
    assert (card.total_sessions, card.status) == (5, "active")
    assert_books_balance()


def test_a_whole_visit_with_the_keyboard_alone(spa: Spa, desk: Desk):
    make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=3)
    page = desk.page
    page.goto("/calendar")

    desk.press("n")
    expect(page.locator("#customer_q")).to_be_focused()
    desk.type("mai")
    expect(page.locator("#customer-found")).to_contain_text("Lê Thị Mai")
    desk.tab_to("Lê Thị Mai")
    desk.press("Enter")
    service = page.get_by_label("Service", exact=True)
    expect(service).to_be_focused()
    desk.press("ArrowDown")
    expect(page.get_by_text("After this visit 2 left").first).to_be_visible()
    desk.press("Control+Enter")
    expect(page.get_by_role("button", name="Customer is here")).to_be_visible()
    for key, gone in (("a", "Customer is here"), ("s", "Start"), ("c", "Complete")):
        desk.press(key)
        expect(page.get_by_role("button", name=gone)).to_have_count(0)

    assert [booking.status for booking in _stored(Booking)] == ["completed"]
    assert_books_balance()


def test_the_login_form_itself(spa: Spa, chromium, site: str):
    context = chromium.new_context(base_url=site)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("User name").fill("reception")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/calendar"))
    context.close()


def test_the_same_visit_without_javascript(spa: Spa, log_in: Callable[..., Page]):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=3)
    page = log_in("reception", java_script_enabled=False)
    page.goto(f"/bookings/new?customer_id={spa.customer}&service_id={spa.facial}")
    page.get_by_role("button", name="Book the visit").click()
    for name in ("Customer is here", "Start", "Complete"):
        page.get_by_role("button", name=name).click()

    assert db.session.get_one(CustomerTreatment, card).used_sessions == 1
    expect(page.get_by_role("button", name="Undo completion")).to_be_visible()
    assert_books_balance()
