"""A course of visits in a real browser, with a date that does not fit on the way."""

import datetime as dt
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from sqlalchemy import func, select

from spa_app.extensions import db
from spa_app.models import Booking
from spa_app.web.times import format_local
from tests.factories import TIMEZONE, Spa, make_booking, make_card, make_customer, tomorrow_at

pytestmark = pytest.mark.browser


@pytest.fixture
def first(spa: Spa) -> str:
    """Tomorrow 10:00; a week later the first therapist is taken then. The customer's card has four sessions."""
    starts_at = tomorrow_at(spa.branch, "10:00")
    make_booking(spa, starts_at=starts_at + dt.timedelta(weeks=1), customer_id=make_customer())
    make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=4)
    return format_local(starts_at, TIMEZONE)


def _fill(page: Page, spa: Spa, first: str) -> None:
    page.goto(f"/customers/{spa.customer}")
    page.get_by_role("link", name="Book a series").click()
    page.get_by_label("Service", exact=True).select_option(str(spa.facial))
    page.get_by_label("Therapist").select_option(str(spa.therapists[0]))
    page.get_by_label("First visit begins").fill(first)
    page.get_by_label("Number of visits").fill("4")
    page.get_by_role("button", name="Look at the dates").last.click()
    expect(page.get_by_role("heading", name="3 of 4 dates fit")).to_be_visible()


def _booked(spa: Spa) -> int:
    db.session.rollback()
    return db.session.execute(select(func.count()).where(Booking.customer_id == spa.customer)).scalar_one()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_dates_are_looked_at_and_those_that_fit_are_booked(
    log_in: Callable[..., Page], spa: Spa, first: str, theme: str
):
    page = log_in("reception", color_scheme=theme)
    _fill(page, spa, first)
    expect(page.get_by_role("button", name="11:15, Hồng")).to_be_visible()
    assert _booked(spa) == 0
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()

    page.get_by_role("button", name="Book only the 3 that fit").click()

    expect(page.get_by_text("3 visits are booked.")).to_be_visible()
    expect(page.get_by_role("heading", name="Lê Thị Mai")).to_be_visible()
    assert _booked(spa) == 3


def _take_another_time(page: Page, spa: Spa, first: str) -> None:
    _fill(page, spa, first)
    page.get_by_role("button", name="11:15, Hồng").click()
    expect(page.get_by_role("heading", name="4 of 4 dates fit")).to_be_visible()
    page.get_by_role("button", name="Back to 10:00").click()
    expect(page.get_by_role("heading", name="3 of 4 dates fit")).to_be_visible()
    page.get_by_role("button", name="11:30, Hồng").click()
    expect(page.get_by_role("heading", name="4 of 4 dates fit")).to_be_visible()
    page.get_by_role("button", name="Look at the dates").last.click()
    expect(page.get_by_role("heading", name="4 of 4 dates fit")).to_be_visible()
    page.get_by_role("button", name="Book all 4 visits").click()
    expect(page.get_by_role("heading", name="Lê Thị Mai")).to_be_visible()
    starts = db.session.execute(
        select(Booking.starts_at).where(Booking.customer_id == spa.customer).order_by(Booking.starts_at)
    ).scalars()
    assert [format_local(one, TIMEZONE)[11:] for one in starts] == ["10:00", "11:30", "10:00", "10:00"]


@pytest.mark.parametrize("javascript", [True, False])
def test_another_time_is_taken_for_the_date_that_does_not_fit(
    log_in: Callable[..., Page], spa: Spa, first: str, javascript: bool
):
    _take_another_time(log_in("reception", java_script_enabled=javascript), spa, first)


def test_without_javascript(log_in: Callable[..., Page], spa: Spa, first: str):
    page = log_in("reception", java_script_enabled=False)
    _fill(page, spa, first)
    page.get_by_role("button", name="Book only the 3 that fit").click()
    expect(page.get_by_role("heading", name="Lê Thị Mai")).to_be_visible()
    assert _booked(spa) == 3
