"""Treatment cards on the web: what the squares tell, and selling a plan once."""

import datetime as dt
import re
import uuid

import pytest
import time_machine
from sqlalchemy import event, func, select, update

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, Branch, CustomerTreatment, Invoice
from spa_app.queries.treatments import list_cards
from spa_app.services import billing, bookings, treatments
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, local_at, login, make_booking, make_card, make_customer, make_plan

HTMX = {"HX-Request": "true", "HX-Target": "main"}


def form(**fields):
    return {"idempotency_key": str(uuid.uuid4()), **fields}


def today(spa):
    return clock.today(db.session.get_one(Branch, spa.branch).timezone)


def states(card):
    return [square.state for square in card.squares]


@pytest.fixture
def desk(client, spa):
    login(client, "reception")
    return client


def test_a_card_tells_its_sessions_to_programs_and_people(desk, spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=10)
    used = make_booking(spa, status="completed", card=card)
    make_booking(spa, starts_at=local_at(spa.branch, "10:00", days=1), card=card)

    page = desk.get(f"/customers/{spa.customer}/treatments").text

    tag = re.search(rf'<li[^>]*id="treatment-{card}"[^>]*>', page).group()
    for said in ('data-total="10"', 'data-used="1"', 'data-held="1"', 'data-status="active"'):
        assert said in tag
    assert "<strong>8 left</strong>, 1 reserved, valid to" in page
    square = re.search(r'<a class="session session--used"[^>]*>', page).group()
    assert f'href="/bookings/{used}"' in square
    assert "Basic Facial · Hồng" in square
    assert 'tabindex="0"' in square
    assert page.count("session--free") == 8 + 1  # and one in the legend


def test_the_squares_of_every_state(spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=5)
    db.session.execute(update(Branch).where(Branch.id == spa.branch).values(late_cancel_policy="forfeit"))
    db.session.commit()
    make_booking(spa, status="completed", card=card)
    late = make_booking(spa, starts_at=clock.now().replace(microsecond=0) + dt.timedelta(minutes=75), card=card)
    bookings.cancel(late, reason="ill", actor=spa.receptionist)
    make_booking(spa, starts_at=local_at(spa.branch, "10:00", days=1), card=card)

    (drawn,) = list_cards(spa.customer)

    assert states(drawn) == ["used", "forfeited", "reserved", "free", "free"]
    assert (drawn.total, drawn.used, drawn.held, drawn.left) == (5, 2, 1, 2)


def test_a_card_is_over_at_its_branchs_midnight_before_the_nightly_run(spa):
    last_day = today(spa) + dt.timedelta(days=3)
    make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=3, expiry_date=last_day)
    _, midnight = clock.day_bounds(last_day, TIMEZONE)

    with time_machine.travel(midnight - dt.timedelta(seconds=1), tick=False):
        before = list_cards(spa.customer)[0]
    with time_machine.travel(midnight, tick=False):
        after = list_cards(spa.customer)[0]

    assert (before.status, before.left, states(before)) == ("active", 3, ["free"] * 3)
    assert (after.status, after.left, states(after)) == ("expired", 0, ["expired"] * 3)
    assert db.session.execute(select(CustomerTreatment.status)).scalar() == "active"


def test_what_is_over_is_folded_below(desk, spa):
    over = make_card(
        spa.customer, spa.facial, branch_id=spa.branch, sessions=3, expiry_date=today(spa) - dt.timedelta(days=1)
    )
    active = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=3)

    page = desk.get(f"/customers/{spa.customer}/treatments").text

    assert page.index(f"treatment-{active}") < page.index("1 earlier card") < page.index(f"treatment-{over}")
    assert "3 expired" in page


def test_many_cards_take_three_statements_at_most(app, spa):
    for _ in range(6):
        make_card(spa.customer, spa.facial, branch_id=spa.branch)
    make_booking(spa, status="completed", card=make_card(spa.customer, spa.facial, branch_id=spa.branch))
    statements = []
    db.session.rollback()

    def note(connection, cursor, statement, *rest):
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        cards = list_cards(spa.customer)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)

    assert len(cards) == 7
    assert len(statements) <= 3


def test_the_partial_is_the_page_without_its_frame(desk, spa):
    partial = desk.get(f"/customers/{spa.customer}/treatments", headers=HTMX).text

    assert "<html" not in partial
    assert "No card with sessions left" in partial


def test_selling_a_plan_leads_to_its_invoice(desk, spa):
    answer = desk.post(f"/customers/{spa.customer}/treatments", data=form(plan_id=spa.plan))

    invoice = db.session.execute(select(Invoice)).scalar_one()
    assert (answer.status_code, answer.location) == (303, f"/invoices/{invoice.id}")
    assert invoice.total_amount == 1_000_000
    card = db.session.execute(select(CustomerTreatment)).scalar_one()
    assert (card.customer_id, card.total_sessions) == (spa.customer, 10)
    assert "₫1,000,000 to pay" in desk.get(f"/customers/{spa.customer}/treatments").text
    assert_books_balance()


def test_htmx_is_sent_to_the_invoice(desk, spa):
    answer = desk.post(f"/customers/{spa.customer}/treatments", data=form(plan_id=spa.plan), headers=HTMX)

    assert answer.status_code == 204
    assert '"path": "/invoices/' in answer.headers["HX-Location"]


def test_a_replayed_sale_sells_once(desk, spa):
    data = form(plan_id=spa.plan)
    places = {desk.post(f"/customers/{spa.customer}/treatments", data=data).location for _ in range(3)}

    assert len(places) == 1
    assert db.session.execute(select(func.count()).select_from(CustomerTreatment)).scalar_one() == 1


@pytest.mark.parametrize("plan_id", ["", "x", "-1", "999999", "9" * 30])
def test_a_plan_that_is_not_for_sale_is_refused_at_the_field(desk, spa, plan_id):
    answer = desk.post(f"/customers/{spa.customer}/treatments", data=form(plan_id=plan_id))

    assert answer.status_code == 422
    assert 'id="plan_id-error"' in answer.text
    assert db.session.execute(select(func.count()).select_from(Invoice)).scalar_one() == 0


def test_who_may_not_and_what_is_not_there(client, spa):
    login(client, "reception")
    assert client.get("/customers/999999/treatments").status_code == 404
    assert client.post("/customers/999999/treatments", data=form(plan_id=spa.plan)).status_code == 404
    login(client, "therapist")
    assert client.get(f"/customers/{spa.customer}/treatments").status_code == 403
    assert client.post(f"/customers/{spa.customer}/treatments", data=form(plan_id=spa.plan)).status_code == 403
    assert db.session.execute(select(func.count()).select_from(Invoice)).scalar_one() == 0


def test_a_visit_in_another_branch_is_told_but_not_linked(client, spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = make_booking(spa, status="completed", card=card)
    login(client, "reception7")

    page = client.get(f"/customers/{spa.customer}/treatments").text

    assert db.session.get_one(Booking, booking).branch_id == spa.branch
    assert 'data-tip="Used: ' in page
    assert f'href="/bookings/{booking}"' not in page


def test_a_sale_of_another_branch_that_is_not_paid_is_told_but_not_linked(client, spa):
    billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)
    db.session.remove()

    for username, linked in (("reception", True), ("reception7", False)):
        login(client, username)
        page = client.get(f"/customers/{spa.customer}/treatments").text
        assert "₫1,000,000 to pay" in page
        assert ('href="/invoices/' in page) is linked


def test_a_cancelled_card_has_no_squares(desk, spa):
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    billing.void_sale(sale, reason="wrong", actor=spa.manager)

    (card,) = list_cards(spa.customer)

    assert (card.status, card.squares, card.due_amount) == ("cancelled", (), 0)
    assert "taken back" in desk.get(f"/customers/{spa.customer}/treatments").text


def test_a_refusal_offers_to_sell_a_plan_to_the_customer(spa):
    other = make_customer()
    way = treatments.sell_plan_way(other)

    assert (way.action, way.params) == ("sell_plan", {"customer_id": other})


def test_plans_without_sessions_or_off_sale_are_not_offered(desk, spa):
    make_plan([], name="Empty plan")

    page = desk.get(f"/customers/{spa.customer}/treatments").text

    assert "10 × Basic Facial" in page
    assert "Empty plan" not in page
