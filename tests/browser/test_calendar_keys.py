"""The calendar by keyboard alone, and what a screen reader and a second desk get to know of it."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from spa_app.services import bookings
from spa_app.services.actor import SYSTEM
from tests.factories import Spa, make_booking, tomorrow_at

pytestmark = pytest.mark.browser


@pytest.fixture
def visits(spa: Spa) -> dict[str, int]:
    """Tomorrow: the first therapist at 08:00 and at 10:00, so that 09:10 to 10:00 is free."""
    return {time: make_booking(spa, starts_at=tomorrow_at(spa.branch, time)) for time in ("08:00", "10:00")}


def _open(page: Page, spa: Spa) -> None:
    page.goto(f"/calendar?date={tomorrow_at(spa.branch, '12:00').date().isoformat()}")
    expect(page.locator(".cal-grid a[tabindex='0']")).to_have_count(1)


def _name(page: Page) -> str:
    """The accessible name of what has the focus."""
    return page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''")


def test_arrow_keys_walk_therapists_and_time(page: Page, spa: Spa, visits: dict[str, int]):
    _open(page, spa)
    page.locator(".cal-grid a[tabindex='0']").focus()

    assert _name(page).startswith("08:00–09:00, Lê Thị Mai, Basic Facial, Hồng, Room 1, Confirmed")
    for key, name in (
        ("ArrowDown", "09:10, Hồng, free"),
        ("ArrowDown", "09:30, Hồng, free"),
        ("ArrowRight", "09:30, Anh, free"),
        ("ArrowRight", "09:30, Anh, free"),
        ("ArrowUp", "09:15, Anh, free"),
        ("PageDown", "10:15, Anh, free"),
        ("ArrowLeft", "10:00–11:00, Lê Thị Mai"),
        ("ArrowRight", "10:15, Anh, free"),
        ("Home", "08:00, Anh, free"),
        ("End", "20:45, Anh, free"),
    ):
        page.keyboard.press(key)
        assert _name(page).startswith(name), key
    expect(page.locator(".cal-grid a[tabindex='0']")).to_have_count(1)


def test_another_desks_booking_shows_and_the_focus_stays(page: Page, spa: Spa, visits: dict[str, int]):
    _open(page, spa)
    page.locator("[aria-label='12:00, Anh, free']").focus()
    bookings.move(visits["08:00"], starts_at=tomorrow_at(spa.branch, "14:00"), actor=SYSTEM)

    page.evaluate("htmx.trigger('#calendar-poll', 'look')")

    expect(page.locator(f"#booking-{visits['08:00']} .cal-visit__time")).to_have_text("14:00")
    assert _name(page) == "12:00, Anh, free"
    expect(page.locator("#announce")).to_have_text("Calendar updated: 2 visits")


def test_the_focus_goes_to_what_took_its_place(page: Page, spa: Spa, visits: dict[str, int]):
    _open(page, spa)
    page.locator("[aria-label='12:00, Hồng, free']").focus()
    bookings.move(visits["08:00"], starts_at=tomorrow_at(spa.branch, "12:00"), actor=SYSTEM)

    page.evaluate("htmx.trigger('#calendar-poll', 'look')")

    expect(page.locator(f"#booking-{visits['08:00']} a")).to_be_focused()


def test_keys_change_the_day(page: Page, spa: Spa, visits: dict[str, int]):
    _open(page, spa)
    page.locator("[aria-label='12:00, Anh, free']").focus()

    page.keyboard.press("]")

    expect(page.get_by_text("No visits yet.")).to_be_visible()
    expect(page.locator("[aria-label='12:00, Anh, free']")).to_be_focused()
    page.keyboard.press("[")
    expect(page.locator(f"#booking-{visits['10:00']}")).to_be_visible()
    page.keyboard.press("t")
    expect(page.locator("[aria-current='date']")).to_have_text("Today")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("query", ["", "&by=room", "&view=list"])
def test_axe_finds_nothing(log_in, spa: Spa, visits: dict[str, int], theme: str, query: str):
    page = log_in("reception", color_scheme=theme)
    page.goto(f"/calendar?date={tomorrow_at(spa.branch, '12:00').date().isoformat()}{query}")
    page.wait_for_load_state()

    results = Axe().run(page)

    assert results.violations_count == 0, results.generate_report()
