"""A couple, from the booking form to the second checkout, by mouse and without JavaScript."""

from collections.abc import Callable

import pytest
import time_machine
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import Booking, Invoice
from tests.browser.test_visit import Desk
from tests.factories import Spa, local_at, make_customer, make_party, make_room

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def _during_the_day(spa: Spa):
    """The branch is open, whatever time it is where the test runs."""
    with time_machine.travel(local_at(spa.branch, "10:07"), tick=True):
        yield


def _stored(model: type) -> list:
    db.session.rollback()
    return list(db.session.execute(select(model).order_by(model.id)).scalars())


def test_a_couple_is_booked_treated_and_pays(spa: Spa, page: Page):
    make_customer("Vũ Lan")
    make_room(spa.branch, spa.room_type, "Suite", places=2)
    desk = Desk(page)
    page.goto("/calendar")
    desk.click("link", "New visit")
    page.get_by_label("Customer", exact=True).fill("le thi")
    expect(page.locator("#customer-found")).to_contain_text("Lê Thị Mai")
    desk.count()
    desk.pick(".booking-pick", "Lê Thị Mai")
    expect(page.get_by_role("button", name="Change", exact=True)).to_be_visible()
    desk.choose("Service", "Basic Facial")
    desk.click("button", "Add another guest")
    expect(page.locator("#guests-0-customer_q")).to_be_focused()
    desk.type("lan")
    desk.pick("#guests-0-customer-found .booking-pick", "Vũ Lan")
    expect(page.get_by_role("button", name="Change", exact=True)).to_have_count(2)
    axe = Axe().run(page)
    assert axe.violations_count == 0, axe.generate_report()
    desk.click("button", "Book the visits")
    expect(page.get_by_role("button", name="All are here")).to_be_visible()
    assert desk.count() <= 6, "book two who come together, once the first is typed"

    first, second = _stored(Booking)
    assert first.party_id == second.party_id is not None
    expect(page.locator(".panel, #panel").first).to_contain_text("Vũ Lan")
    expect(page.locator(f"#booking-{second.id} .cal-flag--party")).to_be_visible()
    axe = Axe().run(page)
    assert axe.violations_count == 0, axe.generate_report()

    for button in ("All are here", "Start all", "Complete all"):
        desk.click("button", button)
    expect(page.get_by_role("link", name="Take payment")).to_be_visible()
    assert desk.count() <= 3, "arrive, start and complete two at once"
    assert [visit.status for visit in _stored(Booking)] == ["completed"] * 2

    desk.click("link", "Take payment")
    desk.click("button", "Take the payment")
    paid = page.get_by_role("button", name="Print the receipt")
    expect(paid).to_be_visible()
    expect(page.get_by_text("Came together, and still to pay")).to_be_visible()
    desk.pick(".list__item", "Vũ Lan")
    expect(page.get_by_role("button", name="Take the payment")).to_be_visible()
    expect(paid).to_have_count(0)
    desk.click("button", "Take the payment")
    expect(paid).to_be_visible()
    assert desk.count() <= 5, "both pay"
    assert [invoice.status for invoice in _stored(Invoice)] == ["paid"] * 2


def test_moving_takes_the_other_along_or_not(spa: Spa, page: Page):
    first, second = make_party(spa, starts_at=local_at(spa.branch, "14:00"), actor=spa.receptionist)
    desk = Desk(page)
    page.goto(f"/calendar?booking={first}")
    page.locator("summary", has_text="Move").click()
    page.get_by_label("Begins").fill(local_at(spa.branch, "15:00").strftime("%Y-%m-%dT") + "15:00")
    desk.click("button", "Move the visit")
    expect(page.get_by_text("The visit is moved.")).to_be_visible()
    assert [visit.starts_at for visit in _stored(Booking)] == [local_at(spa.branch, "15:00")] * 2

    desk.click("button", "Undo")
    expect(page.locator(f"#booking-{second}")).to_contain_text("14:00")
    assert [visit.starts_at for visit in _stored(Booking)] == [local_at(spa.branch, "14:00")] * 2


def test_without_javascript(spa: Spa, log_in: Callable[..., Page]):
    make_customer("Vũ Lan")
    page = log_in("reception", java_script_enabled=False)
    page.goto(f"/bookings/new?customer_id={spa.customer}&service_id={spa.facial}")
    page.get_by_role("button", name="Add another guest").click()
    page.locator("#guests-0-customer_q").fill("lan")
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("button", name="Book the visits").click()
    page.get_by_role("button", name="All are here").click()
    page.get_by_role("link", name="Vũ Lan").click()
    expect(page.get_by_role("heading", name="Vũ Lan")).to_be_visible()

    assert len({visit.party_id for visit in _stored(Booking)}) == 1
