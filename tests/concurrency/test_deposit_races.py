"""Desks that use or give back one deposit at once, with each guard on and with one taken off."""

from functools import partial

import pytest

from spa_app.extensions import db
from spa_app.models import Invoice
from spa_app.services import bookings, deposits, payments
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import make_app


@pytest.mark.parametrize("guards", EACH_GUARD)
def test_one_deposit_and_the_bills_of_a_party(guards, settings, fresh_database, monkeypatch, record_property):
    """Two who came together pay out of one deposit that covers one bill; and a manager would hand it out."""
    url = fresh_database()
    number = 50 if guards == GUARDS[0] else 6
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        visits = factories.make_party(spa, status="in_progress")
        deposit = deposits.take_deposit(visits[0], method="cash", amount=450_000, actor=spa.receptionist)
        for visit in visits:
            bookings.complete(visit, actor=spa.receptionist)
        bills = list(db.session.scalars(db.select(Invoice.id).order_by(Invoice.id)))
        ways = [
            *(
                partial(payments.take_payment, bill, method="deposit", amount=450_000, actor=spa.manager)
                for bill in bills
            ),
            partial(deposits.return_deposit, deposit, method="cash", amount=450_000, reason="x", actor=spa.manager),
        ]
        clients = [partial(in_transaction, ways[turn % len(ways)]) for turn in range(number)]
        db.session.remove()
    constraints = (
        "DROP TRIGGER tr_deposits_balance ON deposits",
        "DROP TRIGGER tr_deposit_entries_balance ON deposit_entries",
        "ALTER TABLE deposits DROP CONSTRAINT ck_deposits_balance_not_negative",
        "DROP TRIGGER tr_invoices_sums ON invoices",
        "DROP TRIGGER tr_payments_sums ON payments",
    )
    race.take_off(guards, url, constraints, monkeypatch)
    # Both come after the balance was read.
    gate = race.stop_after(monkeypatch, deposits, "_reference")
    race.stop_after(monkeypatch, deposits, "use_deposits", gate)

    outcomes = race.run(app, url, clients, gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    refusals = frozenset({"no_deposit", "deposit_used", "deposit_too_small", "not_payable"})
    race.judge("use one deposit, or give it back", guards, outcomes, faults, refusals, record_property)
