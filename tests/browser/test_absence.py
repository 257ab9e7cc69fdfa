"""A therapist calls in sick: from the calendar to a day that is handed over, by mouse, by keyboard, and plainly."""

import pytest
import time_machine
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from spa_app import clock
from spa_app.services.bookings import ItemRequest
from tests.browser.test_visit import Desk
from tests.factories import TIMEZONE, Spa, local_at, make_booking, make_customer
from tests.services.checks import rows

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _in_the_morning(spa: Spa):
    """Before the first visit, whatever time it is where the test runs."""
    with time_machine.travel(local_at(spa.branch, "08:10"), tick=True):
        yield


@pytest.fixture
def desk(_in_the_morning: None, page: Page) -> Desk:
    return Desk(page)


@pytest.fixture
def day(_in_the_morning: None, spa: Spa) -> list[int]:
    """Four visits of Hồng; the last is at a time at which Anh has one too."""
    visits = [make_booking(spa, starts_at=local_at(spa.branch, time)) for time in ("09:00", "11:00", "13:00")]
    long_name = make_customer("Nguyễn Phước Thiên Hương Công Tằng Tôn Nữ Bảo Khánh Quỳnh Anh")
    last = make_booking(spa, starts_at=local_at(spa.branch, "15:00"), customer_id=long_name)
    make_booking(spa, ItemRequest(spa.facial, spa.therapists[1], spa.rooms[1]), starts_at=local_at(spa.branch, "15:30"))
    return [*visits, last]


def _staff(visits: list[int]) -> list[int]:
    return [rows("SELECT staff_id FROM booking_items WHERE booking_id = :id", id=one)[0][0] for one in visits]


def test_a_sick_therapists_day_is_handed_over(spa: Spa, desk: Desk, day: list[int]):
    first, second = spa.therapists
    page = desk.page
    page.goto("/calendar")

    desk.click("link", "Absent: Hồng")
    expect(page.get_by_text("3 of 4 visits can be taken over")).to_be_visible()
    desk.click("button", "Mark absent and hand over")
    expect(page.get_by_text("3 visits have been taken over.")).to_be_visible()
    assert desk.count() <= 5, "from the calendar to everything reassigned"

    assert _staff(day) == [second] * 3 + [first]
    left = page.locator(f"#booking-{day[3]}")
    expect(left.locator(".cal-flag--away")).to_be_visible()
    expect(page.locator(".cal-flag--away:visible")).to_have_count(1)
    # The last one is called and moved to a time at which somebody is free.
    page.get_by_role("group", name="Next free times").get_by_role("link").first.click()
    page.get_by_role("button", name="Move the visit").click()
    expect(page.get_by_text("The visit is moved.")).to_be_visible()
    expect(page.locator(".cal-flag--away:visible")).to_have_count(0)
    assert _staff(day) == [second] * 4


def test_by_keyboard_alone(spa: Spa, desk: Desk, day: list[int]):
    page = desk.page
    page.goto("/calendar")
    page.get_by_role("link", name="Absent: Hồng").focus()
    desk.press("Enter")
    expect(page.get_by_role("heading", name="Hồng is absent")).to_be_focused()
    page.get_by_label("Who takes over: Lê Thị Mai, 09:00").select_option("")
    page.get_by_label("Who takes over: Lê Thị Mai, 11:00").focus()
    desk.tab_to("Mark absent and hand over")
    desk.press("Enter")

    expect(page.get_by_text("2 visits have been taken over.")).to_be_visible()
    assert _staff(day) == [spa.therapists[0], spa.therapists[1], spa.therapists[1], spa.therapists[0]]


def test_a_reload_keeps_the_panel(spa: Spa, desk: Desk, day: list[int]):
    page = desk.page
    page.goto("/calendar")
    desk.click("link", "Absent: Hồng")
    expect(page.get_by_text("3 of 4 visits can be taken over")).to_be_visible()
    page.reload()
    expect(page.get_by_text("3 of 4 visits can be taken over")).to_be_visible()
    page.get_by_label("To", exact=True).fill(f"{clock.today(TIMEZONE)}T00:00")
    page.get_by_role("button", name="Show the visits").click()
    expect(page.get_by_text("The end must come after the beginning.")).to_be_visible()


def test_without_javascript(log_in, spa: Spa, day: list[int]):
    page = log_in("reception", java_script_enabled=False)
    page.goto("/calendar")
    page.get_by_role("link", name="Absent: Hồng").click()
    page.get_by_role("button", name="Mark absent and hand over").click()
    expect(page.get_by_text("3 visits have been taken over.")).to_be_visible()
    assert _staff(day) == [spa.therapists[1]] * 3 + [spa.therapists[0]]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_beside_the_calendar(log_in, spa: Spa, day: list[int], theme: str):
    page = log_in("reception", color_scheme=theme)
    page.goto("/calendar")
    page.get_by_role("link", name="Absent: Hồng").click()
    page.get_by_role("button", name="Mark absent and hand over").click()
    expect(page.get_by_text("0 of 1 visits can be taken over")).to_be_visible()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
