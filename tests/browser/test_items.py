"""One service of a visit changed, added and cancelled at the desk, with the interactions counted."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from spa_app.extensions import db
from spa_app.models import CustomerTreatment
from spa_app.services import bookings
from spa_app.services.actor import SYSTEM
from spa_app.services.bookings import ItemRequest
from tests.books import assert_books_balance
from tests.browser.test_visit import Desk
from tests.factories import Spa, make_booking, make_card, tomorrow_at
from tests.services.checks import rows

pytestmark = pytest.mark.browser


@pytest.fixture
def card(spa: Spa) -> int:
    return make_card(spa.customer, spa.facial, branch_id=spa.branch)


@pytest.fixture
def visit(spa: Spa, card: int) -> int:
    """Tomorrow at ten: a facial on the card and a consultation, both by the first therapist."""
    items = [
        ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0], card),
        ItemRequest(spa.consultation, spa.therapists[0]),
    ]
    return make_booking(spa, *items, starts_at=tomorrow_at(spa.branch, "10:00"))


@pytest.fixture
def desk(page: Page, spa: Spa, visit: int) -> Desk:
    """The visit open beside the calendar."""
    page.goto(f"/calendar?date={tomorrow_at(spa.branch, '10:00').date()}&booking={visit}")
    expect(page.locator(f"#panel #visit-{visit}")).to_be_visible()
    return Desk(page)


def _stored(visit: int) -> list[tuple]:
    return rows(
        "SELECT service_id, staff_id, treatment_id, cancelled_at IS NOT NULL FROM booking_items"
        " WHERE booking_id = :id ORDER BY position",
        id=visit,
    )


def _held(card: int) -> int:
    db.session.rollback()
    return db.session.get_one(CustomerTreatment, card).held_sessions


def test_one_service_goes_to_another_therapist(desk: Desk, spa: Spa, visit: int, card: int):
    page = desk.page
    desk.click("link", "Change …")
    form = page.get_by_role("form", name="Change the service")
    expect(form.get_by_label("Service", exact=True)).to_be_focused()
    desk.choose_in(form, "Therapist", "Anh")
    desk.click("button", "Save the change")

    expect(page.get_by_text("The service is changed.")).to_be_visible()
    assert desk.count() <= 3, "one service to another therapist"
    assert _stored(visit)[0] == (spa.facial, spa.therapists[1], card, False)
    # Its block has gone over to the other column, beside the panel.
    expect(page.get_by_role("row", name="Anh").locator(f"[href='/bookings/{visit}']")).to_have_count(1)
    assert_books_balance()


def test_a_service_is_added_and_paid_by_the_card(desk: Desk, spa: Spa, visit: int, card: int):
    page = desk.page
    desk.click("link", "Add a service …")
    form = page.get_by_role("form", name="Add a service")
    desk.choose_in(form, "Service", "Basic Facial")
    expect(form.get_by_label("Paid by")).to_have_value(str(card))
    expect(form.get_by_text("After this visit 8 left")).to_be_visible()
    expect(form.get_by_label("Service", exact=True)).to_be_focused()
    desk.click("button", "Add the service")

    expect(page.get_by_text("The service is added.")).to_be_visible()
    assert desk.count() <= 3, "one more service, on the card that fits"
    assert [row[0] for row in _stored(visit)] == [spa.facial, spa.consultation, spa.facial]
    assert _held(card) == 2
    expect(page.locator(f"#calendar [href='/bookings/{visit}']")).to_have_count(3)
    assert_books_balance()


def test_a_service_is_cancelled_and_its_session_goes_back(desk: Desk, spa: Spa, visit: int, card: int):
    page = desk.page
    desk.click("button", "Cancel this service")

    expect(page.get_by_text("The service is cancelled. The rest of the visit stands.")).to_be_visible()
    assert desk.count() <= 1, "one service less"
    assert [row[3] for row in _stored(visit)] == [True, False]
    assert _held(card) == 0
    expect(page.locator("#panel s")).to_contain_text("Basic Facial")
    expect(page.get_by_role("button", name="Cancel this service")).to_have_count(0)
    expect(page.locator(f"#calendar [href='/bookings/{visit}']")).to_have_count(1)
    assert_books_balance()


def test_what_another_desk_changed_meanwhile_is_shown_instead(desk: Desk, spa: Spa, visit: int):
    page = desk.page
    desk.click("link", "Change …")
    form = page.get_by_role("form", name="Change the service")
    desk.choose_in(form, "Therapist", "Anh")
    bookings.move(visit, starts_at=tomorrow_at(spa.branch, "14:00"), actor=SYSTEM)
    desk.click("button", "Save the change")

    expect(page.get_by_role("alert")).to_contain_text("Somebody else has just changed this visit")
    expect(page.locator("#panel")).to_contain_text("14:00")
    assert [row[1] for row in _stored(visit)] == [spa.therapists[0]] * 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_open_form(log_in: Callable[..., Page], spa: Spa, visit: int, theme: str):
    page = log_in("manager", color_scheme=theme)
    page.goto(f"/bookings/{visit}")
    page.get_by_role("link", name="Change …").first.click()
    expect(page.get_by_role("form", name="Change the service")).to_be_visible()

    results = Axe().run(page)

    assert results.violations_count == 0, results.generate_report()


def test_all_of_it_without_javascript(log_in: Callable[..., Page], spa: Spa, visit: int, card: int):
    page = log_in("reception", java_script_enabled=False)
    page.goto(f"/bookings/{visit}")
    page.get_by_role("link", name="Change …").first.click()
    form = page.get_by_role("form", name="Change the service")
    form.get_by_label("Therapist").select_option(str(spa.therapists[1]))
    page.get_by_role("button", name="Save the change").click()
    page.get_by_role("link", name=re.compile("Add a service")).click()
    page.get_by_role("form", name="Add a service").get_by_label("Service", exact=True).select_option(
        str(spa.consultation)
    )
    page.get_by_role("button", name="Add the service").click()
    page.get_by_role("button", name="Cancel this service").nth(1).click()
    expect(page.get_by_text("The service is cancelled.")).to_be_visible()

    assert [(row[0], row[3]) for row in _stored(visit)] == [
        (spa.facial, False),
        (spa.consultation, True),
        (spa.consultation, False),
    ]
    assert _stored(visit)[0][1] == spa.therapists[1]
