"""Closing a day and its Z-report: managers', for their branches, with every refusal and its way out."""

import csv
import datetime as dt
import io
import re
import uuid

import openpyxl
import pytest
from sqlalchemy import event

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import DayClose, Invoice
from spa_app.services import bookings, day_close, deposits, drawers, payments
from spa_app.services.drawers import Count
from tests.books import assert_books_balance
from tests.factories import (
    TIMEZONE,
    login,
    make_booking,
    make_card,
    make_drawer,
    make_sale,
    open_session_of,
    set_policy,
)


@pytest.fixture(autouse=True)
def _books(spa):
    yield
    assert_books_balance()


@pytest.fixture
def today():
    return clock.today(TIMEZONE)


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


@pytest.fixture
def trade(spa):
    """A day with sales, a card, payments, a void, an open invoice and a drawer counted 5,000 short."""
    drawer = make_drawer(spa.branch, "Till", opening=1_000_000)
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, actor=spa.receptionist)
    make_booking(spa, status="completed", card=card)
    sale = make_sale(spa, price=700_000)
    payments.take_payment(sale, method="card", amount=200_000, reference="7", actor=spa.receptionist)
    drawers.close_drawer(
        open_session_of(drawer),
        count=Count({500_000: 3}, 495_000),
        left_amount=1_000_000,
        reason="wrong change",
        actor=spa.receptionist,
    )
    return spa


def post(client, path, **data):
    return client.post(path, data={"idempotency_key": uuid.uuid4(), **data})


def close(client, today, **data):
    return post(client, "/day-close", date=str(today), **data)


def rows_of(answer):
    return list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))


def test_the_page_shows_the_day_as_it_stands_with_links_to_its_rows(manager, trade, today):
    page = manager.get("/day-close").text

    for said in ("₫1,700,000", "₫1,200,000", "1 invoice of this day is still to be paid: ₫500,000", "₫5,000 short"):
        assert said in page, said
    for address in re.findall(r'href="(/(?:reports|sales|invoices|drawers)[^"]*)"', page):
        assert manager.get(address.replace("&amp;", "&")).status_code == 200, address
    assert f"from={today}" in page
    assert manager.get(f"/day-close?date={today + dt.timedelta(days=1)}").status_code == 200


def test_a_day_is_closed_and_its_report_is_kept(manager, trade, today):
    answer = close(manager, today)

    assert answer.status_code == 303
    report = manager.get(answer.location)
    assert "Z-report 1" in report.text
    assert "wrong change" in report.text
    again = manager.get(f"/day-close?date={today}")
    assert (again.status_code, again.location) == (302, answer.location)
    paper = manager.get(f"{answer.location}/paper").text
    for said in ("Z-report 1", "Q1-", "₫1,995,000", "Till"):
        assert said in paper, said


def test_the_report_goes_out_as_files(manager, trade, today):
    before = rows_of(manager.get("/day-close?format=csv"))
    location = close(manager, today).location
    after = rows_of(manager.get(f"{location}?format=csv"))
    assert manager.get(f"/day-close?date={today}&format=csv").location == f"{location}?format=csv"

    assert before == after
    assert ["Taken", "Cash", "1", "1000000"] in after
    assert ["Sold", "Packages", "2", "1700000"] in after
    assert next(row for row in after if row[1] == "Over or short")[3] == "-5000"
    answer = manager.get(f"{location}?format=xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.data)).active
    assert [cell.value for cell in sheet[1]] == ["Part", "What", "Number", "Amount"]
    assert f"z_Q1_1_{today}.xlsx" in answer.headers["Content-Disposition"]


def test_an_open_drawer_is_refused_with_the_way_to_its_count(manager, spa, today):
    session = open_session_of(make_drawer(spa.branch, "Till", opening=0))

    refused = close(manager, today)

    assert refused.status_code == 409
    assert f"/drawers/sessions/{session}/count" in refused.text
    assert 'name="uncounted"' in refused.text
    done = close(manager, today, uncounted="y")
    assert done.status_code == 303
    assert "Not counted" in manager.get(done.location).text


def test_a_branch_may_refuse_to_close_with_open_invoices(manager, trade, today):
    set_policy(trade.branch, close_with_open_invoices="block")

    refused = close(manager, today)

    assert refused.status_code == 409
    assert f"/sales?date={today}&amp;status=due" in refused.text or f"status=due&amp;date={today}" in refused.text
    assert "The branch does not close a day with them." in refused.text


def test_visits_that_are_not_over_are_listed(manager, spa, today):
    visit = make_booking(spa, status="in_progress")

    page = manager.get("/day-close").text

    assert "1 visit of this day is not over yet" in page
    assert f"/bookings/{visit}" in page


@pytest.mark.parametrize("day", ["", "tomorrow", "2026-02-30", "9999-12-31"])
def test_a_day_that_is_none_is_422(manager, spa, day):
    assert post(manager, "/day-close", date=day).status_code == 422
    assert db.session.scalar(db.select(db.func.count()).select_from(DayClose)) == 0


def test_a_day_ahead_is_422_and_one_that_is_closed_409(manager, spa, today):
    assert close(manager, today + dt.timedelta(days=1)).status_code == 422
    assert close(manager, today).status_code == 303
    assert close(manager, today).status_code == 409
    assert close(manager, today - dt.timedelta(days=1)).status_code == 409
    assert "there is no report of this day" in manager.get(f"/day-close?date={today - dt.timedelta(days=3)}").text


def test_reopening_wants_a_reason_and_a_second_report_names_what_changed(manager, trade, today):
    first = close(manager, today).location
    assert post(manager, f"{first}/reopen", reason="").status_code == 422
    answer = post(manager, f"{first}/reopen", reason="a late customer")
    assert (answer.status_code, answer.location.split("?")[0]) == (303, "/day-close")
    page = manager.get(answer.location).text
    assert "was closed as Z-report 1 and reopened: a late customer" in page
    assert post(manager, f"{first}/reopen", reason="again").status_code == 409
    open_invoice = db.session.scalar(db.select(Invoice.id).where(Invoice.status == "partly_paid"))
    payments.take_payment(open_invoice, method="card", amount=None, reference="8", actor=trade.manager)

    second = close(manager, today).location
    report = manager.get(second).text

    assert "It replaces Z-report 1" in report
    assert "Taken: Card: ₫200,000 → ₫700,000" in report
    assert "This report stays as it was." in manager.get(first).text


def test_what_would_be_posted_on_a_closed_day_is_409_with_the_managers_way_out(client, spa, today):
    drawer = make_drawer(spa.branch, opening=0)
    sale = make_sale(spa)
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    running = make_booking(spa, status="in_progress")
    done = make_booking(spa, starts_at=clock.now() - dt.timedelta(hours=3), status="completed")
    drawers.close_drawer(open_session_of(drawer), count=None, left_amount=None, actor=spa.manager)
    day_close.close_day(spa.branch, on=today, uncounted=True, actor=spa.manager)
    invoice = db.session.scalar(db.select(Invoice.id).where(Invoice.booking_id == done))
    posts = {
        f"/bookings/{running}/complete": {},
        f"/bookings/{done}/undo-complete": {},
        f"/invoices/{sale}/payments": {"method": "cash", "amount": "500000"},
        f"/invoices/{invoice}/payments": {"method": "card", "amount": "450000", "reference": "1"},
        f"/invoices/{sale}/void": {"reason": "x"},
        f"/customers/{spa.customer}/treatments": {"plan_id": spa.plan},
        f"/drawers/{drawer}/open": {"note_500000": "1"},
    }
    for role in ("reception", "manager"):
        login(client, role)
        for path, data in posts.items():
            answer = post(client, path, **data)
            assert answer.status_code == 409, (path, answer.status_code)
            assert "are closed" in answer.text, path
            assert (f"/day-close?branch={spa.branch}&amp;date={today}" in answer.text) == (role == "manager"), path
            assert ("Ask a manager" in answer.text) == (role == "reception"), path
    back = {"basis": "pro_rata", "fee_amount": "0", "pay_by": "cash", "reason": "x"}
    answer = post(client, f"/treatments/{card}/refund", **back)
    assert (answer.status_code, "are closed" in answer.text) == (409, True)


def test_the_desk_closes_no_day(desk, spa, today):
    report = day_close.close_day(spa.branch, on=today, uncounted=True, actor=spa.manager)
    for path in ("/day-close", f"/day-close/{report}", f"/day-close/{report}/paper"):
        assert desk.get(path).status_code == 403
    assert close(desk, today).status_code == 403
    assert post(desk, f"/day-close/{report}/reopen", reason="x").status_code == 403


def test_another_branchs_days_are_not_there(manager, spa, today):
    theirs = day_close.close_day(spa.other_branch, on=today, uncounted=True, actor=spa.owner)

    for path in (f"/day-close?branch={spa.other_branch}", f"/day-close/{theirs}", f"/day-close/{theirs}/paper"):
        assert manager.get(path).status_code == 404, path
    assert post(manager, "/day-close", date=str(today), branch=str(spa.other_branch)).status_code == 404
    assert post(manager, f"/day-close/{theirs}/reopen", reason="x").status_code == 404


def test_a_page_takes_a_bounded_number_of_statements(manager, trade, today):
    seen = []

    def note(*args):
        seen.append(args[2])

    manager.get("/day-close")
    event.listen(db.engine, "before_cursor_execute", note)
    try:
        manager.get("/day-close")
        preview = len(seen)
        seen.clear()
        location = close(manager, today).location
        seen.clear()
        manager.get(location)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)

    assert preview <= 32
    assert len(seen) <= 6


def test_the_files_hold_no_formulas(manager, spa, today):
    drawer = make_drawer(spa.branch, '=HYPERLINK("x")', opening=0)
    drawers.close_drawer(open_session_of(drawer), count=Count(), left_amount=None, actor=spa.receptionist)

    cells = [cell for row in rows_of(manager.get("/day-close?format=csv")) for cell in row]

    assert not any(cell.startswith("=") for cell in cells)


def test_visits_are_served_on_while_the_day_is_closed(desk, spa, today):
    visit = make_booking(spa)
    day_close.close_day(spa.branch, on=today, uncounted=True, actor=spa.manager)

    assert post(desk, f"/bookings/{visit}/arrive").status_code == 303
    assert bookings.start(visit, actor=spa.receptionist)


def test_what_is_no_money_stands_apart_on_page_paper_and_file(manager, spa, today):
    visit = make_booking(spa, starts_at=clock.now())
    deposit = deposits.take_deposit(visit, method="cash", amount=80_000, actor=spa.receptionist)
    deposits.return_deposit(deposit, method="store_credit", amount=30_000, reason="less", actor=spa.receptionist)
    sale = make_sale(spa)
    payments.take_payment(sale, method="store_credit", amount=30_000, actor=spa.receptionist)
    payments.take_payment(sale, method="card", amount=100_000, reference="7", actor=spa.receptionist)
    report = close(manager, today).location

    for page in (manager.get(report).text, manager.get(f"{report}/paper").text):
        told = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page))
        assert "Money taken ₫180,000" in told
        assert re.search(r"Store credit, no money \(?1\)? ₫30,000", told)
        assert re.search(r"Deposits turned into store credit \(?1\)? ₫30,000", told)
    rows = rows_of(manager.get(f"{report}?format=csv"))
    assert ["No money", "Store credit", "1", "30000"] in rows
    assert ["Deposits taken", "Cash", "1", "80000"] in rows
    assert ["Money", "Money left of it", "", "180000"] in rows
    found = manager.get(f"/reports/payments?from={today}&to={today}").text
    assert "Money together: ₫180,000" in found
    assert f'<a href="/bookings/{visit}">Deposit, visit {visit}</a>' in found
    daily = rows_of(manager.get(f"/reports/daily?from={today}&to={today}&format=csv"))
    assert dict(zip(*daily, strict=True))["Store credit, no money"] == "30000"
