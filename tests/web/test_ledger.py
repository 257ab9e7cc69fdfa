"""The ledger's pages: their figures are the journal's, each opens down to its document, and their files are whole."""

import csv
import datetime as dt
import io
import re
import tracemalloc

import openpyxl
import pytest
from sqlalchemy import event, text

from spa_app import clock
from spa_app.extensions import db
from spa_app.queries.ledger import balances, entries, liability
from spa_app.queries.ledger.chart import ACCOUNTS, EVENTS, KINDS
from spa_app.services import billing, bookings, expiry, payments, refunds, treatments
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, login, make_booking, make_card, make_customer, set_policy
from tests.services.checks import execute

EVIL = '=HYPERLINK("http://evil.example","Mai")'
PAGES = ("ledger", "ledger/journal", "ledger/accounts/1110", "revenue", "liability", "liability/cards", "e-invoices")


@pytest.fixture
def trade(spa):
    """Sales, payments, used and returned sessions, a transfer, a refund, an expiry, a fee, a visit half paid."""
    on = clock.today(TIMEZONE)
    evil = make_customer(EVIL)
    card = make_card(evil, spa.facial, branch_id=spa.branch, sessions=5, price=500_000)
    make_booking(spa, status="completed", card=card, customer_id=evil)
    taken_back = make_booking(
        spa, status="completed", card=card, customer_id=evil, starts_at=clock.now() - dt.timedelta(hours=2)
    )
    bookings.undo_complete(taken_back, actor=spa.manager)
    bookings.cancel(taken_back, reason="changed plans", actor=spa.manager)
    treatments.transfer_sessions(card, customer_id=spa.customer, sessions=1, reason="a gift", actor=spa.manager)
    refunds.refund_card(
        card, basis="pro_rata", fee_amount=20_000, pay_by="cash", shown_amount=None, reason="moves", actor=spa.manager
    )
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    billing.void_sale(sale, reason="wrong package", actor=spa.manager)
    make_card(
        spa.customer,
        spa.massage,
        branch_id=spa.branch,
        sessions=4,
        price=400_000,
        expiry_date=on - dt.timedelta(days=1),
    )
    expiry.expire_due(on)
    visit = make_booking(spa, status="completed", starts_at=clock.now() - dt.timedelta(hours=4))
    payments.take_payment(_invoice_of(visit), method="card", amount=200_000, reference="+84 17", actor=spa.manager)
    set_policy(spa.branch, no_show_policy="fee", no_show_fee_amount=90_000)
    make_booking(spa, status="no_show", starts_at=clock.now() - dt.timedelta(hours=6))
    return spa


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


def _invoice_of(booking):
    query = "SELECT id FROM invoices WHERE booking_id = :id AND kind = 'invoice' ORDER BY id DESC LIMIT 1"
    return db.session.execute(text(query), {"id": booking}).scalar_one()


def rows_of(answer):
    return list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))


def sql(query, **values):
    return db.session.execute(text(query), values).all()


def period(days_back=0):
    on = clock.today(TIMEZONE)
    return {"first": on - dt.timedelta(days=days_back), "last": on}


def test_every_account_and_event_of_the_database_has_its_words(app, spa):
    codes = dict(tuple(row) for row in sql("SELECT code, name FROM accounts"))
    (rule,) = sql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_journal_entries_event'")

    assert {code: ACCOUNTS[code].name for code in codes} == codes
    assert set(re.findall(r"'(\w+)'::text", rule[0])) <= set(EVENTS)
    assert {kind for (kind,) in sql("SELECT DISTINCT kind FROM accounts")} == set(KINDS)


def test_the_trial_balance_is_the_journal_and_balances(trade):
    balance = balances.get_trial_balance(trade.branch, **period())

    journal = sql(
        "SELECT account_id, sum(amount) FILTER (WHERE amount > 0), -sum(amount) FILTER (WHERE amount < 0)"
        " FROM journal_lines GROUP BY 1 ORDER BY 1"
    )
    shown = [(row.id, row.balance.debit or None, row.balance.credit or None) for row in balance.rows]
    assert shown == [tuple(row) for row in journal]
    assert balance.total.is_balanced
    assert balance.total.debit > 0
    assert [kind for kind, _, _ in balance.groups] == ["asset", "liability", "equity", "revenue"]
    assert_books_balance()


def test_what_was_posted_before_the_period_is_its_opening_balance(trade):
    tomorrow = clock.today(TIMEZONE) + dt.timedelta(days=1)
    today = balances.get_trial_balance(trade.branch, **period())
    after = balances.get_trial_balance(trade.branch, first=tomorrow, last=tomorrow)

    assert [row.balance.opening for row in after.rows] == [row.balance.closing for row in today.rows]
    assert not any(row.balance.debit or row.balance.credit for row in after.rows)
    assert after.total.is_balanced
    assert balances.get_trial_balance(trade.other_branch, **period()).rows == ()


def test_an_unbalanced_journal_would_be_told(trade):
    db.session.rollback()
    with db.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text("UPDATE journal_lines SET amount = amount + 1 WHERE id = (SELECT min(id) FROM journal_lines)")
        )

    assert not balances.get_trial_balance(trade.branch, **period()).total.is_balanced


def test_the_balance_of_an_account_runs_over_its_pages(trade, monkeypatch):
    whole = entries.list_account_lines(trade.branch, 1310, **period(), opening=0, per_page=None)
    place, paged = None, []
    while True:
        page = entries.list_account_lines(trade.branch, 1310, **period(), opening=0, after=place, per_page=2)
        paged += page.rows
        place = page.following
        if place is None:
            break

    assert tuple(paged) == whole.rows
    assert len(whole.rows) > 4
    running = 0
    for row in whole.rows:
        running += row.amount
        assert row.balance == running
    assert running == balances.get_account_balance(trade.branch, 1310, **period()).closing


def test_an_account_shows_one_kind_of_entry_if_told_so(trade):
    found = entries.list_account_lines(trade.branch, 1310, **period(), event="payment_taken")

    assert {row.event for row in found.rows} == {"payment_taken"}
    assert {row.balance for row in found.rows} == {None}
    balance = balances.get_account_balance(trade.branch, 1310, **period(), event="payment_taken")
    assert balance.credit == -sum(row.amount for row in found.rows)


def test_the_journal_shows_every_entry_once_over_its_pages(trade, monkeypatch):
    monkeypatch.setattr(entries, "PER_PAGE", 3)
    place, found = None, []
    while True:
        page = entries.list_entries(trade.branch, **period(), after=place)
        found += [row.id for row in page.rows]
        place = page.following
        if place is None:
            break

    assert found == [id_ for (id_,) in sql("SELECT id FROM journal_entries ORDER BY posted_on, id")]


def test_an_entry_leads_to_what_it_came_from_and_both_ways_to_its_reversal(manager, trade):
    (payment,) = sql(
        "SELECT id, invoice_id FROM journal_entries WHERE event = 'payment_taken' ORDER BY id DESC LIMIT 1"
    )
    page = manager.get(f"/reports/ledger/entries/{payment[0]}").text
    assert f'href="/invoices/{payment[1]}"' in page
    assert "+84 17" in page

    (used,) = sql(
        "SELECT e.id, t.treatment_id, i.booking_id FROM journal_entries e JOIN treatment_entries t"
        " ON t.id = e.treatment_entry_id JOIN booking_items i ON i.id = t.booking_item_id"
        " WHERE e.event = 'session_recognised' LIMIT 1"
    )
    page = manager.get(f"/reports/ledger/entries/{used[0]}").text
    assert f'href="/treatments/{used[1]}"' in page
    assert f'href="/bookings/{used[2]}"' in page

    (void,) = sql("SELECT id, reverses_id FROM journal_entries WHERE event = 'invoice_voided'")
    assert f'href="/reports/ledger/entries/{void[1]}"' in manager.get(f"/reports/ledger/entries/{void[0]}").text
    assert f'href="/reports/ledger/entries/{void[0]}"' in manager.get(f"/reports/ledger/entries/{void[1]}").text
    assert "wrong package" in manager.get(f"/reports/ledger/entries/{void[0]}").text


def test_an_entry_of_another_branch_is_not_there(client, trade):
    make_card(trade.customer, trade.facial, branch_id=trade.other_branch)
    (last,) = sql("SELECT max(id) FROM journal_entries")
    login(client, "manager")
    assert client.get(f"/reports/ledger/entries/{last[0]}").status_code == 404
    login(client, "owner")
    assert client.get(f"/reports/ledger/entries/{last[0]}").status_code == 200


def test_the_liability_rolls_forward_to_what_the_cards_say(trade):
    report = liability.get_liability(trade.branch, **period(400))

    assert report.is_proved
    (owed,) = sql("SELECT sum(deferred_amount - recognised_amount - expired_amount) FROM customer_treatments")
    assert report.on_cards == report.ledger_now == owed[0]
    moves = report.total.moves
    # 500,000 and (sold without an invoice) 400,000 with 8 % VAT in them; the voided sale comes to nothing.
    assert moves["sold"] + moves["other"] == 462_963 + 370_370
    assert moves["recognised"] == -92_592
    assert moves["expired"] == -370_370
    assert moves["transferred_in"] == -moves["transferred_out"] == 92_592
    assert moves["refunded"] == -277_779
    assert report.total.closing == owed[0] == 92_592
    for part in (report.months, report.lots):
        for name in liability.MOVES:
            assert sum(row.roll.moves[name] for row in part) == moves[name]
    assert report.months[0].roll.opening == report.total.opening
    assert report.months[-1].roll.closing == report.total.closing
    for before, month in zip(report.months, report.months[1:], strict=False):
        assert month.roll.opening == before.roll.closing
    assert sum(row.roll.closing for row in report.lots) == report.total.closing


def test_a_period_that_is_over_is_tied_to_the_cards_of_today(trade):
    yesterday = clock.today(TIMEZONE) - dt.timedelta(days=1)
    report = liability.get_liability(trade.branch, first=yesterday, last=yesterday)

    assert (report.total.opening, report.total.closing) == (0, 0)
    assert report.since == report.on_cards == 92_592
    assert report.is_proved


def test_a_card_that_differs_from_the_ledger_is_told(manager, trade):
    card = make_card(trade.customer, trade.facial, branch_id=trade.branch)
    db.session.rollback()
    with db.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text("UPDATE customer_treatments SET deferred_amount = deferred_amount + 1 WHERE id = :id"), {"id": card}
        )

    report = liability.get_liability(trade.branch, **period(30))
    assert not report.is_proved
    assert report.difference == -1
    assert "The ledger and the cards differ." in manager.get("/reports/liability").text
    (row,) = [row for row in liability.list_cards(trade.branch, **period(30)) if row.card_id == card]
    assert row.difference == -1


def test_the_cards_behind_the_liability_add_up_to_it(trade):
    report = liability.get_liability(trade.branch, **period(30))
    cards = liability.list_cards(trade.branch, **period(30), per_page=None)

    for name in liability.MOVES:
        assert sum(row.roll.moves[name] for row in cards) == report.total.moves[name]
    assert sum(row.roll.closing for row in cards) == report.total.closing
    assert not [row for row in cards if row.difference]
    refunded = liability.list_cards(trade.branch, **period(30), move="refunded")
    assert [row.roll.moves["refunded"] for row in refunded] == [-277_779]
    for lot in report.lots:
        some = liability.list_cards(trade.branch, **period(30), lot=lot.lot)
        assert sum(row.roll.closing for row in some) == lot.roll.closing
    assert [
        row.card_id for row in liability.list_cards(trade.branch, **period(30), per_page=1, after=cards[0].card_id)
    ][:1] == [cards[1].card_id]


def test_a_session_used_in_another_branch_lowers_the_debt_of_the_one_that_sold_it(spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.other_branch)
    make_booking(spa, status="completed", card=card)

    report = liability.get_liability(spa.other_branch, **period())
    assert report.is_proved
    assert report.elsewhere == report.total.moves["recognised"] < 0
    assert liability.get_liability(spa.branch, **period()).total.is_empty


def test_revenue_holds_fees_and_every_other_revenue_account(trade):
    report = balances.get_revenue(trade.branch, **period())

    journal = dict(
        tuple(row)
        for row in sql(
            "SELECT a.code, -sum(l.amount) FROM journal_lines l JOIN accounts a ON a.id = l.account_id"
            " WHERE a.kind = 'revenue' GROUP BY 1"
        )
    )
    assert {code: amount for code, amount in report.total.amounts.items() if amount} == journal
    assert report.total.amounts["4130"] == 110_000
    by_month = balances.get_revenue(trade.branch, **period(100))
    assert by_month.is_by_month
    assert by_month.total.amount == report.total.amount


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    ("username", "status"), [("reception", 403), ("therapist", 403), ("manager", 200), ("owner", 200)]
)
def test_the_ledger_is_for_managers(client, trade, name, username, status):
    login(client, username)

    assert client.get(f"/reports/{name}").status_code == status


@pytest.mark.parametrize("name", PAGES)
def test_a_manager_sees_the_ledger_of_their_branches_only(manager, spa, name):
    assert manager.get(f"/reports/{name}?branch={spa.branch}").status_code == 200
    assert manager.get(f"/reports/{name}?branch={spa.other_branch}").status_code == 404


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    "query", ["from=2026-02-30&to=2026-03-01", "from=2026-03-02&to=2026-03-01", "from=2020-01-01&to=2026-01-01"]
)
def test_a_period_that_makes_no_sense_is_refused_at_its_field(manager, name, query):
    for kind in ("", "&format=csv"):
        answer = manager.get(f"/reports/{name}?{query}{kind}")
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text


@pytest.mark.parametrize(
    "query",
    ["after=x", "after=2026-02-30.1.1", "after=9999-99-99.9.9", "event=nothing", "lot=x-y", "move=x", "lot=999-"],
)
def test_what_makes_no_sense_in_an_address_is_left_aside(manager, trade, query):
    for name in PAGES:
        assert manager.get(f"/reports/{name}?{query}").status_code == 200


@pytest.mark.parametrize("name", [name for name in PAGES if name != "e-invoices"])
def test_files_hold_the_same_rows_and_no_formula(manager, trade, name):
    plain = rows_of(manager.get(f"/reports/{name}?format=csv"))
    answer = manager.get(f"/reports/{name}?format=xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.data)).active

    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "inlineStr", "n", "d"}
    assert not [cell.value for cell in cells if isinstance(cell.value, float)]
    assert sheet.max_row == len(plain) > 1
    assert [cell.value for cell in sheet[1]] == plain[0]
    assert EVIL not in {cell.value for cell in cells}


def test_the_journal_for_accountants_is_whole_and_says_that_it_balances(manager, trade):
    header, *rows, last = rows_of(manager.get("/reports/ledger/journal?format=csv"))

    place = {name: number for number, name in enumerate(header)}
    lines = sql(
        "SELECT l.amount, e.id FROM journal_lines l JOIN journal_entries e ON e.id = l.entry_id"
        " ORDER BY e.posted_on, e.id, l.id"
    )
    assert [(int(row[place["Debit"]]) - int(row[place["Credit"]]), int(row[place["Entry"]])) for row in rows] == [
        tuple(line) for line in lines
    ]
    assert last[place["Debit"]] == last[place["Credit"]] == str(sum(amount for amount, _ in lines if amount > 0))
    assert last[place["Description"]] == "Debits equal credits."
    assert {row[place["Vietnamese account"]] for row in rows} >= {"1111", "131", "3387", "33311", "5113", "711"}
    assert "'" + EVIL in {row[place["Customer"]] for row in rows}
    (paid,) = [
        row
        for row in rows
        if row[place["What"]] == "Payment taken"
        and "+84 17" in row[place["Description"]]
        and row[place["Debit"]] != "0"
    ]
    assert paid[place["Account"]] == "1120"
    assert paid[place["Document"]]
    assert "'" not in paid[place["Document"]]


def test_the_journal_takes_no_more_memory_for_more_lines(app, trade):
    from spa_app.queries.ledger.journal import read_journal

    execute(
        "INSERT INTO journal_entries (id, branch_id, event, posted_on)"
        f" SELECT n + 100000, {trade.branch}, 'cash_moved', current_date - 40 FROM generate_series(1, 20000) n"
        "; INSERT INTO journal_lines (entry_id, account_id, amount) SELECT n + 100000, account, amount"
        " FROM generate_series(1, 20000) n, (VALUES (1110, 5), (1150, -5)) sides (account, amount)"
    )
    on = clock.today(TIMEZONE)
    tracemalloc.start()
    try:
        count = sum(
            1 for _ in read_journal(trade.branch, first=on - dt.timedelta(days=50), last=on - dt.timedelta(days=30))
        )
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 40_000
    assert most < 8_000_000


def test_pages_take_a_bounded_number_of_statements(manager, trade):
    for name, most in (
        ("ledger", 4),
        ("ledger/accounts/1110", 9),
        ("ledger/journal", 4),
        ("liability", 12),
        ("revenue", 4),
    ):
        statements = []

        def note(connection, cursor, statement, *rest, statements=statements):
            statements.append(statement)

        event.listen(db.engine, "before_cursor_execute", note)
        try:
            assert manager.get(f"/reports/{name}").status_code == 200
        finally:
            event.remove(db.engine, "before_cursor_execute", note)
        assert 0 < len(statements) <= most, (name, len(statements))


def test_an_empty_ledger_says_so(manager, spa):
    for name, words in (
        ("ledger", "Nothing was posted yet"),
        ("ledger/journal", "No entry in this period"),
        ("ledger/accounts/1110", "No entry in this period"),
        ("revenue", "No revenue in this period"),
        ("liability", "Nothing is owed"),
        ("liability/cards", "No card"),
        ("e-invoices", "No invoice in this period"),
    ):
        assert words in manager.get(f"/reports/{name}").text
