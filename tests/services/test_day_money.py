"""What of a day is money and what is not: the same on the daily report, its rows, the Z-report and the ledger."""

import datetime as dt

import pytest
from sqlalchemy import select, text

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Invoice
from spa_app.queries import reports
from spa_app.queries.day_close import get_report, list_closes
from spa_app.services import day_close, deposits, payments, refunds
from spa_app.services.actor import SYSTEM
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, make_booking, make_drawer, make_gift_card, make_sale
from tests.services.test_deposits import complete

MONEY_ACCOUNTS = "(1110, 1120, 1130, 1140)"


@pytest.fixture
def on():
    return clock.today(TIMEZONE)


@pytest.fixture
def trade(spa):
    """A gift card sold, used and put onto again; a refund that settles; a deposit used, returned and credited."""
    make_drawer(spa.branch, opening=0)
    card = make_gift_card(spa, amount=500_000)  # cash
    visit = make_booking(spa, starts_at=clock.now() - dt.timedelta(hours=2), status="completed")
    bill = db.session.scalar(select(Invoice.id).where(Invoice.booking_id == visit))
    payments.take_payment(bill, method="gift_card", amount=200_000, gift_card_code=card.code, actor=SYSTEM)
    payments.take_payment(bill, method="cash", amount=100_000, actor=SYSTEM)
    refunds.refund_invoice(bill, reason="unhappy", actor=spa.manager)  # 150,000 of it was never paid

    ahead = make_booking(spa, starts_at=clock.now())
    deposit = deposits.take_deposit(ahead, method="e_wallet", amount=80_000, actor=spa.receptionist)
    deposits.return_deposit(deposit, method="store_credit", amount=30_000, reason="less", actor=spa.receptionist)
    deposits.return_deposit(deposit, method="cash", amount=20_000, reason="less", actor=spa.manager)
    payments.take_payment(complete(spa, ahead), method="deposit", amount=30_000, actor=SYSTEM)
    payments.take_payment(make_sale(spa), method="store_credit", amount=30_000, actor=SYSTEM)
    yield spa
    assert_books_balance()


def in_the_ledger():
    query = f"SELECT sum(amount) FROM journal_lines WHERE account_id IN {MONEY_ACCOUNTS}"
    return int(db.session.execute(text(query)).scalar_one())


def test_the_daily_report_tells_money_from_the_rest(trade, on):
    total = reports.get_daily(trade.branch, timezone=TIMEZONE, first=on, last=on).total

    assert total.taken_amount == in_the_ledger() == 560_000
    assert {method: amount for method, amount in total.takings.items() if amount} == {
        "cash": 500_000 + 100_000 - 100_000 - 20_000,
        "e_wallet": 80_000,
        "store_credit": 30_000,
        "deposit": 30_000,
        "settled": 150_000,
    }
    assert total.other_amount == 60_000


@pytest.mark.parametrize("method", ["", "cash", "e_wallet", "gift_card", "store_credit", "deposit", "settled"])
def test_the_rows_add_up_to_their_figure(trade, on, method):
    total = reports.get_daily(trade.branch, timezone=TIMEZONE, first=on, last=on).total

    table = reports.list_payments(trade.branch, first=on, last=on, method=method, page=1)

    assert table.amount == (total.takings[method] if method else total.taken_amount)
    assert table.total == len(table.rows) > 0
    assert all(row.customer and (row.number or row.booking_id) for row in table.rows)


def test_the_z_report_says_the_same(trade, on):
    report_id = day_close.close_day(trade.branch, on=on, uncounted=True, actor=trade.manager)
    facts = get_report(report_id).facts

    assert (facts.taken_amount, facts.given_amount, facts.kept_amount) == (680_000, 120_000, in_the_ledger())
    assert facts.takings == {"cash": 600_000, "gift_card": 200_000, "store_credit": 180_000, "deposit": 30_000}
    assert [(row.method, row.amount) for row in facts.payments if not row.is_money] == [
        ("deposit", 30_000),
        ("gift_card", 200_000),
        ("settled", 150_000),
        ("store_credit", 30_000),
    ]
    assert [(row.method, row.amount) for row in facts.payouts] == [("cash", 100_000), ("gift_card", 200_000)]
    assert [(row.method, row.amount) for row in facts.deposits_returned] == [
        ("cash", 20_000),
        ("store_credit", 30_000),
    ]
    assert list_closes(trade.branch)[0].taken_amount == 680_000
    assert sum(one.taken_amount - one.given_amount for one in facts.drawers) == facts.kept_amount - 80_000
