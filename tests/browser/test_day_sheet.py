"""The day sheet in a real browser: axe, both themes, and what comes out of the printer."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.factories import Spa, make_booking, make_card, tomorrow_at

pytestmark = pytest.mark.browser


@pytest.fixture
def visits(spa: Spa) -> str:
    """Tomorrow's date, with a prepaid visit and one to be paid."""
    make_booking(
        spa,
        starts_at=tomorrow_at(spa.branch, "08:00"),
        card=make_card(spa.customer, spa.facial, branch_id=spa.branch),
    )
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    return tomorrow_at(spa.branch, "12:00").date().isoformat()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_the_paper_is_white(log_in: Callable[..., Page], visits: str, theme: str):
    page = log_in("reception", color_scheme=theme)
    page.goto(f"/calendar?date={visits}")
    page.get_by_label("More", exact=True).click()
    page.get_by_role("link", name="Print the day").click()
    expect(page.get_by_role("row", name=re.compile("Lê Thị Mai"))).to_have_count(2)

    results = Axe().run(page)

    assert results.violations_count == 0, results.generate_report()
    colours = page.locator("main").evaluate(
        "one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color]"
    )
    assert colours == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]


def test_on_paper_only_the_sheet_is_there_and_its_head_is_on_each_page(log_in: Callable[..., Page], visits: str):
    page = log_in("reception")
    page.goto(f"/calendar/sheet?date={visits}")
    page.emulate_media(media="print")

    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    assert page.locator("thead").evaluate("one => getComputedStyle(one).display") == "table-header-group"
    paper = page.pdf(prefer_css_page_size=True)
    # A4 landscape in points.
    (width, height) = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper).groups()
    assert (round(float(width)), round(float(height))) == (842, 595)
