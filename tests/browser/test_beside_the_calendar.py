"""What the desk does in the panel beside the calendar: pay, and fill in the booking form faster than it answers."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from spa_app.services.bookings import ItemRequest
from tests.factories import Spa, make_booking, make_card

pytestmark = pytest.mark.browser


def test_the_checkout_opens_in_the_panel_and_leads_back(page: Page, spa: Spa):
    booking = make_booking(spa, ItemRequest(spa.consultation, spa.therapists[0]), status="completed")
    page.goto(f"/calendar?booking={booking}")
    block = page.locator(f"#booking-{booking} a")
    expect(block).to_have_accessible_name(re.compile("To pay|Unpaid|unpaid|to pay"))

    page.get_by_role("link", name="Take payment").click()
    expect(page.locator("#panel .amount__figure").first).to_contain_text("100,000")
    assert "/calendar" in page.url
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.get_by_role("button", name="Take the payment").click()
    expect(page.locator("#panel")).to_contain_text("Paid in full")

    expect(block).to_have_accessible_name(re.compile("Paid"))
    page.locator("#panel").get_by_role("link", name="Visit", exact=True).click()
    expect(page.locator(f"#visit-{booking}")).to_be_visible()
    expect(page.locator("#panel").get_by_role("link", name="Receipt")).to_have_attribute(
        "href", re.compile(r"/invoices/\d+/receipt")
    )


def test_a_visit_on_a_card_offers_its_slip(page: Page, spa: Spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = make_booking(spa, status="completed", card=card)
    page.goto(f"/bookings/{booking}")

    page.get_by_role("link", name="Session slip").click()

    expect(page).to_have_url(re.compile(f"/bookings/{booking}/slip"))


def _hold_answers(page: Page) -> list[Route]:
    """Keep the form's requests waiting; the list holds them in their order."""
    held: list[Route] = []
    page.route("**/bookings/form", lambda route: held.append(route))
    return held


def _answer_last(page: Page, held: list[Route], number: int) -> None:
    """Once ``number`` requests are waiting, let the last of them go on."""
    for _ in range(1000):
        if len(held) == number:
            break
        page.wait_for_timeout(10)
    assert len(held) == number
    held[-1].continue_()


def _open_form(page: Page) -> None:
    page.goto("/calendar")
    page.keyboard.press("n")
    page.locator("#customer_q").press_sequentially("mai")
    expect(page.locator("#customer-found")).to_contain_text("Lê Thị Mai")


def test_a_service_chosen_before_the_customer_is_there_keeps_both(page: Page, spa: Spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    _open_form(page)
    held = _hold_answers(page)

    with page.expect_request("**/bookings/form"):
        page.get_by_role("button", name="Lê Thị Mai").click()
    with page.expect_request("**/bookings/form"):
        page.get_by_label("Service", exact=True).select_option(str(spa.facial))
    _answer_last(page, held, 2)

    form = page.locator("#booking-form")
    expect(form.locator(".booking-customer")).to_contain_text("Lê Thị Mai")
    expect(form.get_by_label("Service", exact=True)).to_have_value(str(spa.facial))
    expect(form.get_by_label("Paid by")).to_have_value(str(card))


def test_what_is_typed_before_the_answer_stays(page: Page, spa: Spa):
    _open_form(page)
    page.locator("summary", has_text="Note").click()
    held = _hold_answers(page)

    with page.expect_request("**/bookings/form"):
        page.get_by_role("button", name="Lê Thị Mai").click()
    page.get_by_label("Note").fill("Trà gừng")
    _answer_last(page, held, 1)

    expect(page.locator(".booking-customer")).to_contain_text("Lê Thị Mai")
    expect(page.locator("#booking-form [name=note]")).to_have_value("Trà gừng")


def test_a_visit_booked_by_mistake_is_undone_from_its_toast(page: Page, spa: Spa):
    page.goto(f"/bookings/new?customer_id={spa.customer}&service_id={spa.consultation}")
    page.get_by_role("button", name="Book the visit").click()

    page.locator("#toasts").get_by_role("button", name="Undo").click()

    expect(page.locator("[data-status=cancelled]").first).to_be_visible()
