"""Desks that print one receipt at once: one has the original, whatever guard is taken off, and two once both are."""

from functools import partial

import pytest

from spa_app.extensions import db
from spa_app.services import billing, papers
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import make_app
from tests.services.checks import rows

UNIQUE = "uq_prints_invoice_id_paper_paid_amount_copy_number"


@pytest.mark.parametrize("guards", EACH_GUARD)
def test_desks_that_print_at_once_make_one_original(guards, settings, fresh_database, monkeypatch, record_property):
    number = 20 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
        work = partial(papers.record_print, sale, paper="receipt", way="print", actor=spa.receptionist)
        clients = [partial(in_transaction, work)] * number
        db.session.remove()
    race.take_off(guards, url, (f"ALTER TABLE prints DROP CONSTRAINT {UNIQUE}",), monkeypatch)
    gate = race.stop_after(monkeypatch, papers, "_count_prints")

    outcomes = race.run(app, url, clients, gate)

    with app.app_context():
        numbers = [copy for (copy,) in rows("SELECT copy_number FROM prints ORDER BY copy_number")]
        db.session.remove()
        db.engine.dispose()
    said = race.summary(outcomes)
    result = f"{number} clients: " + ", ".join(f"{count} {word}" for word, count in said.items())
    record_property("race", ("print one receipt", guards, f"{result}; {numbers.count(0)} originals"))
    if guards == "neither":
        assert numbers.count(0) > 1, numbers
        return
    assert numbers == list(range(said["done"]))
    # With the lock they take turns; with the constraint alone the slower ones are told to print again.
    assert said == {"done": number} if guards != "constraints only" else said.keys() <= {"done", "printed_meanwhile"}
