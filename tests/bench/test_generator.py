"""The large demo is made by SQL of its own; that its books balance is what makes it worth measuring on."""

from sqlalchemy import text

from spa_app import clock
from spa_app.extensions import db
from spa_app.services import reconciliation
from spa_app.services.demo_large import load_large_demo_data
from tests.factories import TIMEZONE


def test_the_large_demo_balances_and_fills_today(app):
    timezone = TIMEZONE
    with app.app_context():
        assert load_large_demo_data(timezone=timezone, fraction=0.01)
        today = clock.day_bounds(clock.today(timezone), timezone)
        visits = db.session.execute(
            text("SELECT count(*) FROM bookings WHERE starts_at >= :start AND starts_at < :end GROUP BY branch_id"),
            {"start": today[0], "end": today[1]},
        ).scalars()
        balance = db.session.execute(text("SELECT count(*), sum(amount) FROM journal_lines")).one()

        assert list(visits) == [150, 150, 150]
        assert balance[0] > 10_000
        assert balance[1] == 0
        assert reconciliation.list_faults() == []
        assert not load_large_demo_data(timezone=timezone, fraction=0.01), "a second load does nothing"


def test_a_journal_that_the_large_demo_does_not_balance_is_told(app):
    with app.app_context():
        load_large_demo_data(timezone=TIMEZONE, fraction=0.01)
        db.session.execute(
            text("UPDATE customer_treatments SET recognised_amount = recognised_amount + 1 WHERE id = 7")
        )
        db.session.commit()

        assert [fault.entity_id for fault in reconciliation.list_faults()] == [7, 7]
