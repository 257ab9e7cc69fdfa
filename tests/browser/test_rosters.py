"""Next week's roster in a real browser: copied from this one, one day changed, published; each interaction counted."""

import datetime as dt
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from spa_app import clock
from spa_app.extensions import db
from spa_app.queries import rosters as queries
from spa_app.services import rosters, shift_templates
from spa_app.services.rosters import Cell
from tests.factories import TIMEZONE, Spa

pytestmark = pytest.mark.browser
EARLY, LATE = (dt.time(8), dt.time(15)), (dt.time(12), dt.time(20))
MOST = 7  # next week, copy, the day, its shift, look and publish, publish


@pytest.fixture
def monday(spa: Spa) -> dt.date:
    """This week's Monday: both therapists work early in it, and it is published."""
    today = clock.today(TIMEZONE)
    monday = today - dt.timedelta(days=today.weekday())
    for name, period in (("Early", EARLY), ("Late", LATE)):
        shift_templates.save_template(branch_id=spa.branch, name=name, periods=[period], actor=spa.manager)
    cells = [Cell(one, weekday) for one in spa.therapists for weekday in range(6)]
    rosters.plan_cells(branch_id=spa.branch, monday=monday, cells=cells, periods=[EARLY], actor=spa.manager)
    rosters.publish_week(branch_id=spa.branch, monday=monday, actor=spa.manager)
    return monday


def test_next_week_is_made_by_copying_changed_and_published(spa: Spa, log_in: Callable[..., Page], monday: dt.date):
    page = log_in("manager")
    page.goto("/roster")
    count = 0

    def click(role: str, name: str) -> None:
        nonlocal count
        page.get_by_role(role, name=name, exact=True).click()  # type: ignore[arg-type]
        count += 1

    click("link", "Next week")
    expect(page.get_by_text("No roster")).to_be_visible()
    click("button", "Copy that week")
    expect(page.get_by_text("12 shifts copied.")).to_be_visible()
    wednesday = monday + dt.timedelta(days=9)
    page.get_by_role("link", name=f"Hồng, {wednesday:%a, %b} {wednesday.day}: 08–15").click()
    count += 1
    page.locator("#panel").get_by_role("button", name="Late 12–20").click()
    count += 1
    expect(page.locator("#panel")).to_be_empty()
    expect(page.get_by_role("link", name=f"Hồng, {wednesday:%a, %b} {wednesday.day}: 12–20")).to_be_visible()
    click("link", "Look and publish")
    expect(page.get_by_text("The draft has 12 shifts.")).to_be_visible()
    click("button", "Publish now")
    expect(page.get_by_text("Published. The desk books by this roster from now on.")).to_be_visible()

    assert count <= MOST
    db.session.rollback()
    week = queries.get_week(spa.branch, monday + queries.WEEK)
    assert week.is_published
    assert week.published[spa.therapists[0], 2] == (LATE,)
    assert sum(map(len, week.published.values())) == 12


def test_a_column_is_chosen_by_its_head_and_set_off_at_once(spa: Spa, log_in: Callable[..., Page], monday: dt.date):
    page = log_in("manager")
    page.goto(f"/roster?week={monday}")
    page.get_by_role("checkbox", name=f"Choose all of {monday:%a, %b} {monday.day}").check()
    page.get_by_role("button", name="Off", exact=True).click()
    expect(page.get_by_text("2 days planned.")).to_be_visible()
    expect(page.get_by_text("2 days differ from what counts.")).to_be_visible()
    # What was swapped in has its heads too.
    expect(page.get_by_role("checkbox", name="Choose all days of Hồng")).to_be_visible()


def test_a_policy_is_said_in_words_while_it_is_typed(spa: Spa, log_in: Callable[..., Page]):
    page = log_in("manager")
    page.goto("/setup/policies")
    page.get_by_role("group", name="For a no-show").get_by_label("A fee is charged").check()
    expect(page.get_by_text("Not complete yet")).to_be_visible()
    page.locator("#no_show_percent").fill("50")
    expect(page.get_by_text("Customer does not come: a fee of ₫250,000 is charged")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
