"""From the calendar into the side panel and on, by keyboard."""

import pytest
from playwright.sync_api import Page, expect

from tests.factories import Spa, make_booking, tomorrow_at

pytestmark = pytest.mark.browser


def test_enter_opens_the_visit_beside_the_calendar(page: Page, spa: Spa):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    page.goto(f"/calendar?date={tomorrow_at(spa.branch, '12:00').date().isoformat()}")
    page.locator(f"#booking-{booking} a").focus()

    page.keyboard.press("Enter")

    expect(page.locator(f"#panel #visit-{booking}")).to_be_visible()
    assert f"booking={booking}" in page.url
    expect(page.locator(f"#booking-{booking}")).to_have_attribute("data-open", "")
    page.reload()
    expect(page.locator(f"#panel #visit-{booking}")).to_be_visible()
    page.keyboard.press("]")
    expect(page.locator(f"#booking-{booking}")).to_have_count(0)
    expect(page.locator(f"#panel #visit-{booking}")).to_be_visible()
    assert f"booking={booking}" in page.url


def test_a_key_on_a_free_time_opens_the_form_for_it(page: Page, spa: Spa):
    tomorrow = tomorrow_at(spa.branch, "12:00").date().isoformat()
    page.goto(f"/calendar?date={tomorrow}")
    page.locator("[aria-label='12:15, Anh, free']").focus()

    page.keyboard.press("n")

    form = page.locator("#panel form[action='/bookings']")
    expect(form.locator("[name=starts_at]")).to_have_value(
        f"{tomorrow_at(spa.branch, '12:00').date().isoformat()}T12:15"
    )
    expect(form.locator("[name=items-0-staff_id]")).to_have_value(str(spa.therapists[1]))


def test_s_and_c_start_and_complete_the_visit_in_focus(page: Page, spa: Spa):
    booking = make_booking(spa)
    page.goto("/calendar")
    block = page.locator(f"#booking-{booking}")
    block.locator("a").focus()

    page.keyboard.press("s")
    expect(block).to_have_attribute("data-status", "in_progress")
    block.locator("a").focus()
    page.keyboard.press("c")

    expect(block).to_have_attribute("data-status", "completed")


def test_m_leads_to_the_form_that_moves_the_visit(page: Page, spa: Spa):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    page.goto(f"/calendar?date={tomorrow_at(spa.branch, '12:00').date().isoformat()}")
    page.locator(f"#booking-{booking} a").focus()

    page.keyboard.press("m")

    expect(page.locator("#panel [name=starts_at]")).to_be_focused()
