"""A walk-in, from the calendar to the visit, by mouse, by keyboard and without JavaScript."""

import re

import pytest
import time_machine
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import Booking, Customer
from spa_app.services.bookings import ItemRequest
from tests.browser.test_visit import Desk
from tests.factories import Spa, local_at, make_booking, make_card

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _during_the_day(spa: Spa):
    """The branch is open, whatever time it is where the test runs."""
    with time_machine.travel(local_at(spa.branch, "10:07"), tick=True):
        yield


@pytest.fixture
def desk(_during_the_day: None, page: Page) -> Desk:
    return Desk(page)


def _visits() -> list[Booking]:
    db.session.rollback()
    return list(db.session.execute(select(Booking).order_by(Booking.id)).scalars())


def test_somebody_new_by_mouse(desk: Desk):
    page = desk.page
    page.goto("/calendar")
    desk.click("link", "Walk-in")
    expect(page.get_by_label("Phone")).to_be_focused()
    desk.type("0987 654 321")
    desk.press("Tab")
    desk.type("Trần An")
    desk.count()

    desk.choose("Service", "Basic Facial")
    desk.click("button", "Check in now")
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    assert desk.count() <= 6, "a walk-in, once the customer is typed"

    (visit,) = _visits()
    assert (visit.status, visit.arrived_at is not None) == ("confirmed", True)
    expect(page.locator(f"#booking-{visit.id}")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"/calendar\?.*booking={visit.id}$"))


def test_a_known_customer_by_keyboard_alone(spa: Spa, desk: Desk):
    make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=3)
    phone = db.session.get_one(Customer, spa.customer).phone
    page = desk.page
    page.goto("/calendar")
    desk.press("w")
    expect(page.get_by_label("Phone")).to_be_focused()
    desk.type(phone)
    desk.count()

    desk.press("Tab")
    expect(page.locator("#walk-in-known")).to_contain_text("3 sessions left")
    desk.press("Tab")
    expect(page.get_by_label("Service", exact=True)).to_be_focused()
    desk.press("ArrowDown")
    expect(page.get_by_text("After this visit 2 left")).to_be_visible()
    expect(page.get_by_label("Service", exact=True)).to_be_focused()
    desk.tab_to("Check in now")
    desk.press("Enter")
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    assert desk.count() <= 6, "a walk-in, once the customer is typed"

    assert [visit.customer_id for visit in _visits()] == [spa.customer]
    expect(page.get_by_text("One reserved for this visit, 2 left after it")).to_be_visible()


def test_the_key_is_on_the_list_and_a_reload_keeps_the_form(desk: Desk):
    page = desk.page
    page.goto("/calendar")
    desk.press("?")
    expect(page.locator("#keys dl")).to_contain_text("Walk-in")
    desk.press("Escape")
    desk.press("w")
    expect(page.get_by_label("Phone")).to_be_focused()
    page.reload()
    expect(page.get_by_role("button", name="Check in now").last).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_full_house_by_a_free_time_and_axe_finds_nothing(log_in, spa: Spa, theme: str):
    for therapist in spa.therapists:
        make_booking(spa, ItemRequest(spa.facial, therapist))
    page = log_in("reception", color_scheme=theme)
    page.goto("/calendar?new=walk-in")
    page.get_by_label("Name", exact=True).fill("Trần An")
    page.get_by_label("Service", exact=True).select_option(str(spa.facial))
    page.get_by_role("button", name="Check in now").last.click()
    expect(page.get_by_text("Next free times")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_focused()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()

    page.get_by_role("group", name="Next free times").get_by_role("button").first.click()

    expect(page.get_by_role("button", name="Start")).to_be_visible()
    assert _visits()[-1].starts_at == local_at(spa.branch, "11:30")


def test_without_javascript(log_in, spa: Spa):
    page = log_in("reception", java_script_enabled=False)
    page.goto("/calendar")
    page.get_by_role("link", name="Walk-in").click()
    page.get_by_label("Name", exact=True).fill("Trần An")
    page.get_by_label("Service", exact=True).select_option(str(spa.facial))
    page.get_by_role("button", name="Check in now").last.click()
    expect(page.get_by_text("Here since 10:0")).to_be_visible()
    assert len(_visits()) == 1
