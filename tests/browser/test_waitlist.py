"""The waitlist at the desk: a cancelled visit, who waits for its time, the place held for them, and their visit."""

import datetime as dt
import re

import pytest
from playwright.sync_api import expect

from spa_app.services import bookings
from tests.browser.test_visit import Desk
from tests.factories import Spa, make_booking, make_customer, make_entry, tomorrow_at
from tests.services.checks import rows, status_of

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(page) -> Desk:
    return Desk(page)


def test_a_freed_time_is_held_and_booked_for_who_waits(spa: Spa, desk: Desk):
    at = tomorrow_at(spa.branch, "10:00")
    visit = make_booking(spa, starts_at=at)
    make_entry(spa, customer_id=make_customer("Trần An"), days=(1, 1))
    wishes = make_entry(spa, customer_id=make_customer("Vũ Bình"), days=(1, 1), staff_id=spa.therapists[0])
    page = desk.page
    page.goto(f"/calendar?date={_date(spa)}&booking={visit}")
    page.get_by_text("Cancel …").click()
    page.get_by_label("Why is it cancelled?").fill("ill")
    page.get_by_role("button", name="Cancel the visit").click()
    expect(page.get_by_text("2 waiting customers fit this time")).to_be_visible()
    expect(page.locator(".wait-fits li").first).to_contain_text("Vũ Bình")
    expect(page.locator(".wait-count")).to_contain_text("2 fit on this day")

    desk.count()
    desk.click("button", "Hold 10:00")
    expect(page.locator("#panel").get_by_text("by Reception")).to_be_visible()
    held = rows("SELECT id FROM bookings WHERE waitlist_entry_id = :id", id=wishes)[0][0]
    block = page.locator(f"#booking-{held}")
    expect(block).to_have_class(re.compile("cal-visit--held"))
    expect(block.locator("time")).to_have_attribute("data-left", re.compile("^(9|10)$"))
    expect(page).to_have_url(re.compile(rf"booking={held}$"))
    desk.click("button", "Confirm")
    expect(page.locator(f"#visit-{held}[data-status=confirmed]")).to_be_visible()
    assert desk.count() <= 2, "a freed time, held and booked for who waits"

    expect(page.locator(f"#booking-{held}[data-status=confirmed]")).to_be_visible()
    assert rows("SELECT status FROM waitlist_entries WHERE id = :id", id=wishes) == [("booked",)]


def test_no_time_suits_so_the_booking_form_leads_to_the_waitlist(spa: Spa, desk: Desk):
    page = desk.page
    page.goto(f"/calendar?new=1&customer_id={spa.customer}&service_id={spa.massage}&starts_at={_date(spa)}T10:00")
    expect(page.get_by_text("Next free times")).to_be_visible()

    desk.click("button", "Put on the waitlist …")
    expect(page.locator("#panel").get_by_text("On these days")).to_be_visible()
    desk.click("button", re.compile("^Put on the waitlist$"))
    expect(page.locator("#panel").get_by_role("link", name="Open the waitlist")).to_be_visible()
    assert desk.count() <= 2, "from a booking form to the waitlist"

    assert rows("SELECT customer_id, service_id FROM waitlist_entries JOIN waitlist_services ON entry_id = id") == [
        (spa.customer, spa.massage)
    ]


def test_a_free_time_says_who_waits_and_a_colleague_may_release_what_is_held(spa: Spa, desk: Desk):
    make_entry(spa, customer_id=make_customer("Trần An"), days=(1, 1))
    page = desk.page
    page.goto(f"/calendar?date={_date(spa)}&new=1&starts_at={_date(spa)}T10:00&staff_id={spa.therapists[1]}")
    page.get_by_role("link", name="1 waiting customer fits this time").click()
    page.get_by_role("button", name="Hold 10:00").click()
    page.get_by_role("button", name="Release the place").click()
    expect(page.locator("#panel").get_by_text("No longer held")).to_be_visible()
    expect(page.locator(".cal-visit--held")).to_have_count(0)


def test_the_whole_way_without_javascript(log_in, spa: Spa):
    page = log_in("reception", java_script_enabled=False)
    page.goto("/calendar")
    page.get_by_role("link", name="Waitlist").click()
    page.get_by_role("link", name="Put on the waitlist").first.click()
    page.get_by_label("Customer", exact=True).fill("mai")
    page.get_by_role("button", name="Find").click()
    page.get_by_label("Service", exact=True).select_option(str(spa.facial))
    page.get_by_role("button", name="Put on the waitlist").last.click()
    page.locator(".wait-entry__times button").first.click()
    expect(page.get_by_text("by Reception")).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    ((booking,),) = (rows("SELECT id FROM bookings"),)
    assert status_of(booking[0]) == "confirmed"


def test_a_hold_made_elsewhere_shows_on_the_list_with_its_holder(log_in, spa: Spa):
    bookings.hold_place(make_entry(spa), starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.receptionist)
    page = log_in("manager")
    page.goto("/waitlist")
    expect(page.get_by_text(re.compile(r"Held until \d\d:\d\d by Reception"))).to_be_visible()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("The visit is confirmed.")).to_be_visible()


def _date(spa: Spa) -> dt.date:
    return tomorrow_at(spa.branch, "12:00").date()
