"""Managers' reports: who may see them, that they say what the ledger says, and that their files are harmless."""

import csv
import datetime as dt
import io

import openpyxl
import pytest
from sqlalchemy import event, text

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Invoice
from spa_app.queries import reports
from spa_app.services import billing, bookings, expiry, payments
from tests.factories import TIMEZONE, login, make_booking, make_card, make_customer, make_gift_card

REPORTS = ("daily", "payments", "sessions", "owed")
EVIL = '=HYPERLINK("http://evil.example","Mai")'


@pytest.fixture
def trade(spa):
    """Two sales, three ways of paying, a visit paid with store credit, two punches of which one was taken back."""
    evil = make_customer(EVIL)
    for customer in (spa.customer, evil):
        sale = billing.sell_plan(customer_id=customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
        payments.take_payment(sale, method="cash", amount=300_000, actor=spa.manager)
        payments.take_payment(sale, method="card", amount=200_001, reference="+84 17", actor=spa.manager)
    card = make_card(evil, spa.facial, branch_id=spa.branch, sessions=3, price=500_000)
    make_booking(spa, status="completed", card=card, customer_id=evil)
    taken_back = make_booking(
        spa, status="completed", card=card, customer_id=evil, starts_at=clock.now() - dt.timedelta(hours=2)
    )
    bookings.undo_complete(taken_back, actor=spa.manager)
    return spa


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


def rows_of(answer):
    return list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))


def ledger(query, **values):
    return int(db.session.execute(text(f"SELECT coalesce(({query}), 0)"), values).scalar_one())


def test_the_daily_figures_are_the_ledgers(trade):
    on = clock.today(TIMEZONE)
    report = reports.get_daily(trade.branch, timezone=TIMEZONE, first=on, last=on)

    (day,) = report.days
    for method, account in (("cash", 1110), ("card", 1120), ("bank_transfer", 1130), ("e_wallet", 1140)):
        query = "SELECT sum(amount) FROM journal_lines WHERE account_id = :account"
        assert day.takings[method] == ledger(query, account=account)
    assert (day.taken_amount, day.takings["card"]) == (1_500_002, 400_002)
    punched = """SELECT -sum(l.amount) FROM journal_lines l JOIN journal_entries e ON e.id = l.entry_id
                 WHERE l.account_id = 4110 AND e.treatment_entry_id IS NOT NULL"""
    assert day.revenue_amount == ledger(punched) == 154_321
    assert day.sessions == 1
    assert report.owed_amount == ledger("SELECT -sum(amount) FROM journal_lines WHERE account_id = 2110")
    assert (report.owed_sessions, report.owed_cards) == (22, 3)
    assert report.total.taken_amount == day.taken_amount


def test_expired_sessions_are_revenue_of_their_own(spa):
    on = clock.today(TIMEZONE)
    make_card(
        spa.customer, spa.facial, branch_id=spa.branch, sessions=4, price=400_000, expiry_date=on - dt.timedelta(days=1)
    )
    expiry.expire_due(on)

    report = reports.get_daily(spa.branch, timezone=TIMEZONE, first=on, last=on)

    assert report.total.breakage_amount == ledger("SELECT -sum(amount) FROM journal_lines WHERE account_id = 4120") > 0
    assert (report.total.revenue_amount, report.total.sessions, report.owed_amount) == (0, 0, 0)


def test_store_credit_is_told_apart_from_money(spa):
    invoice = db.session.get_one(Invoice, _visit_invoice(spa))
    payments.take_payment(invoice.id, method="cash", amount=None, actor=spa.manager)
    bookings.undo_complete(invoice.booking_id, actor=spa.manager)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    payments.take_payment(sale, method="store_credit", amount=100_000, actor=spa.manager)

    on = clock.today(TIMEZONE)
    total = reports.get_daily(spa.branch, timezone=TIMEZONE, first=on, last=on).total

    assert (total.taken_amount, total.other_amount) == (450_000, 100_000)


def test_an_expired_gift_card_is_no_expired_session(spa):
    on = clock.today(TIMEZONE)
    make_gift_card(spa, amount=70_000, expires_on=on - dt.timedelta(days=1))
    expiry.expire_due_gift_cards(on)

    total = reports.get_daily(spa.branch, timezone=TIMEZONE, first=on, last=on).total

    assert (total.breakage_amount, total.earned["gift_cards"], total.all_revenue_amount) == (0, 70_000, 70_000)


def _visit_invoice(spa):
    booking = make_booking(spa, status="completed")
    return db.session.execute(text("SELECT id FROM invoices WHERE booking_id = :id"), {"id": booking}).scalar_one()


def test_a_report_takes_five_statements_at_most(trade):
    on = clock.today(TIMEZONE)
    statements = []
    db.session.rollback()

    def note(connection, cursor, statement, *rest):
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        reports.get_daily(trade.branch, timezone=TIMEZONE, first=on - dt.timedelta(days=365), last=on)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)

    assert 0 < len(statements) <= 5


def test_the_page_shows_charts_a_table_and_ways_down(manager, trade):
    on = clock.today(TIMEZONE).isoformat()
    page = manager.get(f"/reports/daily?from={on}&to={on}")

    assert page.status_code == 200
    assert page.text.count("<svg") >= 2
    assert " style=" not in page.text
    assert "₫1,500,002" in page.text
    link = f"/reports/payments?branch={trade.branch}&amp;method=card&amp;from={on}&amp;to={on}"
    assert f'href="{link}"' in page.text
    assert "₫400,002" in manager.get(link.replace("&amp;", "&")).text
    assert "Given back" in manager.get(f"/reports/sessions?from={on}&to={on}").text


def test_two_weeks_are_shown_unless_told_otherwise(manager):
    rows = rows_of(manager.get("/reports/daily?format=csv"))

    assert len(rows) == 1 + 14
    assert rows[-1][0] == clock.today(TIMEZONE).isoformat()


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(("username", "status"), [("reception", 403), ("therapist", 403), ("owner", 200)])
def test_reports_are_for_managers(client, spa, name, username, status):
    login(client, username)

    assert client.get(f"/reports/{name}").status_code == status
    assert client.get("/reports/").status_code == status


@pytest.mark.parametrize("name", REPORTS)
def test_a_manager_sees_their_branches_only(client, spa, name):
    login(client, "manager")
    assert client.get(f"/reports/{name}?branch={spa.branch}").status_code == 200
    for branch in (spa.other_branch, 999_999, "x", "9" * 30, "-1"):
        assert client.get(f"/reports/{name}?branch={branch}").status_code == 404
    login(client, "owner")
    assert client.get(f"/reports/{name}?branch={spa.other_branch}").status_code == 200


@pytest.mark.parametrize(
    "period",
    [
        "from=2026-02-30&to=2026-03-01",
        "from=yesterday&to=today",
        "from=2026-03-02&to=2026-03-01",
        "from=2026-03-02",
        "from=0001-01-01&to=0001-01-02",
        "from=9999-12-31&to=9999-12-31",
        "from=2024-01-01&to=2026-01-01",
    ],
)
@pytest.mark.parametrize("name", ["daily", "payments", "sessions"])
@pytest.mark.parametrize("kind", ["", "&format=csv"])
def test_a_period_that_makes_no_sense_is_refused_at_its_field(manager, name, period, kind):
    answer = manager.get(f"/reports/{name}?{period}{kind}")

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text


def test_csv_holds_plain_integers_and_no_formula(manager, trade):
    answer = manager.get("/reports/payments?format=csv")

    assert answer.data.startswith(b"\xef\xbb\xbf")
    assert answer.mimetype == "text/csv"
    assert 'attachment; filename="payments_Q1_' in answer.headers["Content-Disposition"]
    rows = rows_of(answer)
    assert sum(int(row[4]) for row in rows[1:]) == 1_500_002
    assert {"'" + EVIL, "Lê Thị Mai"} == {row[2] for row in rows[1:]}
    assert "'+84 17" in {row[5] for row in rows[1:]}


@pytest.mark.parametrize("name", REPORTS)
def test_xlsx_holds_the_same_and_no_formula(manager, trade, name):
    answer = manager.get(f"/reports/{name}?format=xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.data)).active

    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "inlineStr", "n", "d"}
    assert not [cell.value for cell in cells if isinstance(cell.value, float)]
    plain = rows_of(manager.get(f"/reports/{name}?format=csv"))
    assert sheet.max_row == len(plain) > 1
    assert [cell.value for cell in sheet[1]] == plain[0]
    if name != "daily":
        assert "'" + EVIL in {cell.value for cell in cells}


def test_what_is_owed_adds_up_to_the_liability(manager, trade):
    rows = rows_of(manager.get("/reports/owed?format=csv"))

    owed = ledger("SELECT -sum(amount) FROM journal_lines WHERE account_id = 2110")
    assert sum(int(row[7]) for row in rows[1:]) == owed
    assert len(rows) == 1 + 3


def test_long_lists_come_in_pages(manager, trade, monkeypatch):
    monkeypatch.setattr(reports, "PER_PAGE", 2)

    first, last = manager.get("/reports/payments").text, manager.get("/reports/payments?page=3").text

    assert "Page 1 of 3" in first
    assert first.count("<tr>") == 1 + 2
    assert last.count("<tr>") == 1 + 1
