"""The week of a therapist: there and back, by keyboard and by mouse, beside its panel, and kept fresh."""

import datetime as dt
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from spa_app import clock
from spa_app.models import BlockedTime, Customer, Staff
from spa_app.queries.week import monday_of
from spa_app.services import blocks, bookings
from spa_app.services.actor import SYSTEM
from spa_app.services.transaction import atomic
from tests.browser.test_visit import Desk
from tests.factories import TIMEZONE, Spa, make_booking

pytestmark = pytest.mark.browser
TABLET = {"width": 820, "height": 1180}


def monday() -> dt.date:
    """Of next week."""
    return monday_of(clock.today(TIMEZONE)) + dt.timedelta(weeks=1)


def at(day: int, time: str) -> dt.datetime:
    return clock.at_local(monday() + dt.timedelta(days=day), dt.time.fromisoformat(time), TIMEZONE)


def words(day: int) -> str:
    return (monday() + dt.timedelta(days=day)).strftime("%a %-d %b")


def name(page: Page) -> str:
    """The accessible name of what has the focus, or what it says."""
    return page.evaluate("(e => e.getAttribute('aria-label') ?? e.textContent)(document.activeElement)").strip()


@pytest.fixture
def visit(spa: Spa) -> int:
    """On Tuesday at ten, by the first therapist."""
    return make_booking(spa, starts_at=at(1, "10:00"))


@pytest.fixture
def week(page: Page, spa: Spa, visit: int) -> Page:
    page.goto(f"/calendar?view=week&date={monday()}&staff_id={spa.therapists[0]}")
    expect(page.locator(f"#booking-{visit}")).to_be_visible()
    return page


def test_the_keyboard_walks_days_times_and_weeks(week: Page, visit: int):
    expect(week.locator(".cal-grid a[tabindex='0']")).to_have_count(1)
    week.locator(f"#booking-{visit} a").focus()

    for key, expected in (
        ("ArrowRight", f"10:00, {words(2)}, free"),
        ("ArrowDown", f"10:15, {words(2)}, free"),
        ("ArrowLeft", f"{words(1)}, 10:00–11:00, Lê Thị Mai"),
        ("Home", f"08:00, {words(1)}, free"),
        ("ArrowUp", words(1).replace(" ", "\n", 1).split("\n")[0]),
        ("ArrowRight", words(2).split(" ")[0]),
        ("ArrowDown", f"08:00, {words(2)}, free"),
        ("End", f"20:45, {words(2)}, free"),
    ):
        week.keyboard.press(key)
        assert name(week).startswith(expected), key
    week.keyboard.press("]")
    expect(week.locator(f"#booking-{visit}")).to_have_count(0)
    assert f"date={monday() + dt.timedelta(weeks=1)}" in week.url
    week.keyboard.press("[")
    expect(week.locator(f"#booking-{visit}")).to_be_visible()
    week.keyboard.press("t")
    expect(week.locator(".cal-bar [aria-current='date']")).to_have_text("Today")
    assert "view=week" in week.url


def test_from_the_day_to_the_week_and_back_in_one_step_each(page: Page, spa: Spa, visit: int):
    desk = Desk(page)
    page.goto(f"/calendar?date={monday()}")
    desk.click("link", "Hồng")
    expect(page.locator(f"#booking-{visit}")).to_be_visible()
    assert desk.count() == 1

    desk.press("Tab")  # any key may have been pressed meanwhile
    desk.count()
    page.locator(".cal-head__name").nth(1).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text((monday() + dt.timedelta(days=1)).strftime("%A"))
    expect(page.locator(f"#booking-{visit}")).to_be_visible()
    expect(page.get_by_role("row", name="Anh")).to_be_visible()


def test_another_therapist_is_chosen_while_the_panel_stays(week: Page, spa: Spa, visit: int):
    week.locator(f"#booking-{visit} a").click()
    expect(week.locator(f"#panel #visit-{visit}")).to_be_visible()

    week.get_by_label("Therapist", exact=True).first.select_option(label="Anh")

    expect(week.locator(f"#booking-{visit}")).to_have_count(0)
    expect(week.locator(f"#panel #visit-{visit}")).to_be_visible()
    assert f"staff_id={spa.therapists[1]}" in week.url
    assert f"staff_id={spa.therapists[0]}" not in week.url
    week.reload()
    expect(week.locator(f"#panel #visit-{visit}")).to_be_visible()
    expect(week.locator("#calendar-staff")).to_have_value(str(spa.therapists[1]))


def test_a_visit_is_booked_from_a_free_time_of_the_week(week: Page, spa: Spa):
    desk = Desk(week)
    week.locator(f"[aria-label='14:00, {words(3)}, free']").focus()
    desk.press("Enter")
    expect(week.locator("#panel #customer_q")).to_be_focused()
    desk.type("mai")
    desk.click("button", "Lê Thị Mai")
    desk.choose("Service", "Consultation")
    desk.click("button", "Book the visit")

    block = week.locator(f"[aria-label^='{words(3)}, 14:00–14:30, Lê Thị Mai, Consultation, Hồng']")
    expect(block).to_be_visible()
    assert desk.count() <= 6
    assert "view=week" in week.url
    assert f"staff_id={spa.therapists[0]}" in week.url
    week.reload()
    expect(block).to_be_visible()


def test_another_desks_change_shows_and_the_focus_stays(week: Page, visit: int):
    week.locator(f"[aria-label='12:00, {words(4)}, free']").focus()
    bookings.move(visit, starts_at=at(3, "14:00"), actor=SYSTEM)

    week.evaluate("htmx.trigger('#calendar-poll', 'look')")

    expect(week.locator(f"[aria-label^='{words(3)}, 14:00–15:00, Lê Thị Mai']")).to_be_visible()
    assert name(week) == f"12:00, {words(4)}, free"


def test_the_line_of_the_present_crosses_today_only(page: Page, spa: Spa):
    page.goto("/calendar?view=week")
    today = clock.today(TIMEZONE).strftime("%a %-d %b")

    expect(page.get_by_role("row", name=today).locator(".cal-now")).to_have_count(1)
    expect(page.locator(".cal-now")).to_have_count(2)  # and beside the hours
    page.evaluate("document.getElementById('calendar-now').scrollIntoView()")
    heights = [page.locator(f"{where} .cal-now").bounding_box()["y"] for where in (".cal-col", ".cal-axis")]
    assert abs(heights[0] - heights[1]) < 1


def test_a_week_that_begins_with_blocked_time_keeps_its_tab_stop(spa: Spa, visit: int, log_in: Callable[..., Page]):
    blocks.block_time(
        staff_id=spa.therapists[0],
        starts_at=at(0, "00:00"),
        ends_at=at(1, "00:00"),
        kind="leave",
        reason="",
        actor=SYSTEM,
    )
    page = log_in("therapist")
    page.goto(f"/calendar?view=week&date={monday()}")
    # Blocked time is no link for a therapist; that the page logs no error is what log_in looks for.
    expect(page.locator(".cal-grid a[tabindex='0']")).to_have_count(1)


def test_a_therapist_looks_at_their_own_week(spa: Spa, visit: int, log_in: Callable[..., Page]):
    page = log_in("therapist")
    page.goto(f"/calendar?date={monday()}")
    page.get_by_role("link", name="Week", exact=True).click()

    expect(page.locator(f"#booking-{visit}")).to_be_visible()
    expect(page.get_by_text("Hồng · 1 visit")).to_be_visible()
    expect(page.locator("#calendar-staff")).to_have_count(0)


def test_without_javascript(spa: Spa, visit: int, log_in: Callable[..., Page]):
    page = log_in("reception", java_script_enabled=False)
    page.goto(f"/calendar?date={monday()}")
    page.get_by_role("link", name="Hồng", exact=True).click()
    expect(page.locator(f"#booking-{visit}")).to_be_visible()
    page.get_by_label("Therapist", exact=True).select_option(label="Anh")
    page.get_by_role("button", name="Go to date").focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"#booking-{visit}")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [None, TABLET])
def test_axe_finds_nothing_and_nothing_sticks_out(
    spa: Spa, visit: int, log_in: Callable[..., Page], theme: str, size: dict[str, int] | None
):
    with atomic() as session:
        session.get_one(Staff, spa.therapists[0]).full_name = "Nguyễn Trần Thị Kim Hoàng Oanh Phương Hồng"
        session.get_one(Customer, spa.customer).full_name = "Công Tằng Tôn Nữ Hoàng Kim Phương Nguyên Ngọc"
        session.add(
            BlockedTime(
                staff_id=spa.therapists[0],
                kind="leave",
                reason="wedding",
                starts_at=at(3, "00:00"),
                ends_at=at(5, "00:00"),
            )
        )
    page = log_in("reception", color_scheme=theme, **({"viewport": size} if size else {}))
    for address in (f"/calendar?view=week&date={monday()}", "/calendar?view=week"):
        page.goto(address)
        page.wait_for_load_state()
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
