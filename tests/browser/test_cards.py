"""What a desk does to a card, from the customer's page, with the interactions of each task counted."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import CustomerTreatment, Payout
from tests.books import assert_books_balance
from tests.browser.test_visit import Desk
from tests.factories import Spa, make_booking, make_card, make_customer

pytestmark = pytest.mark.browser


def _card(card: int) -> CustomerTreatment:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(CustomerTreatment, card)


def test_the_desk_extends_freezes_and_unfreezes_a_card(spa: Spa, page: Page):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    to = _card(card).expiry_date + dt.timedelta(days=20)
    desk = Desk(page)
    page.goto(f"/customers/{spa.customer}")

    desk.click("link", re.compile("^History and more"))
    desk.click("link", "Extend")
    desk.fill("Valid to", to.isoformat())
    desk.fill("Reason", "was ill")
    desk.click("button", "Extend the card")
    expect(page.get_by_text("The card is extended.")).to_be_visible()
    assert desk.count() <= 5, "extend a card"
    assert _card(card).expiry_date == to

    desk.click("link", "Freeze")
    desk.fill("Reason", "abroad")
    desk.click("button", "Freeze the card")
    expect(page.locator(f"#treatment-{card}")).to_have_attribute("data-status", "frozen")
    desk.click("link", "Unfreeze")
    desk.click("button", "Unfreeze the card")
    expect(page.locator(f"#treatment-{card}")).to_have_attribute("data-status", "active")
    assert desk.count() <= 5, "freeze a card, and unfreeze it"
    assert_books_balance()


def test_the_desk_gives_sessions_to_another_customer(spa: Spa, page: Page):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    make_customer("Trần Thị Hoa")
    desk = Desk(page)
    page.goto(f"/treatments/{card}")

    desk.click("link", "Transfer")
    desk.fill("For whom", "hoa")
    desk.click("button", "Find")
    expect(page.get_by_role("radio", name="Trần Thị Hoa")).to_be_checked()  # nobody else was found
    desk.fill("How many sessions", "4")
    desk.fill("Reason", "a present")
    desk.click("button", "Transfer the sessions")
    expect(page.get_by_text("Transferred from")).to_be_visible()
    assert desk.count() <= 6, "transfer sessions"
    assert _card(card).total_sessions == 6
    assert_books_balance()


def test_a_manager_sees_what_comes_back_before_refunding(spa: Spa, log_in: Callable[..., Page]):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    make_booking(spa, card=card, status="completed")
    page = log_in("manager")
    desk = Desk(page)
    page.goto(f"/treatments/{card}")

    desk.click("link", "Refund")
    desk.fill("Fee that the spa keeps", "50000")
    desk.click("button", "Work it out")
    expect(page.get_by_role("button", name="Refund ₫850,000")).to_be_visible()
    desk.check("Cash")
    desk.fill("Reason", "moves away")
    desk.click("button", re.compile("^Refund"))
    expect(page.locator(f"#treatment-{card}")).to_have_attribute("data-status", "cancelled")
    assert desk.count() <= 6, "refund a card with a fee, in cash"
    assert db.session.execute(select(Payout.amount)).scalar_one() == 850_000
    assert_books_balance()
