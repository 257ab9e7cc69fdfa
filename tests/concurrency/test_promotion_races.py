"""Desks that bill the last use of a promotion at once, with each guard on and with one taken off."""

from functools import partial

import pytest

from spa_app.extensions import db
from spa_app.services import promotions
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import make_app
from tests.services.test_promotions import bill


@pytest.mark.parametrize("guards", EACH_GUARD)
def test_the_last_use_of_a_promotion(guards, settings, fresh_database, monkeypatch, record_property):
    app, url, clients = _desks(settings, fresh_database, guards, max_uses=1)
    race.take_off(guards, url, ("ALTER TABLE promotions DROP CONSTRAINT ck_promotions_used_within",), monkeypatch)
    outcomes, faults = _run(app, url, clients, monkeypatch)
    refusals = frozenset({"promotion_used_up"})
    race.judge("use a promotion for the last time", guards, outcomes, faults, refusals, record_property)


@pytest.mark.parametrize("guards", [GUARDS[0], GUARDS[3]])
def test_the_last_use_by_a_customer(guards, settings, fresh_database, monkeypatch, record_property):
    """What one customer may is counted under the promotion's lock alone: no constraint spans the rows."""
    app, url, clients = _desks(settings, fresh_database, guards, max_uses_per_customer=1)
    race.take_off(guards, url, (), monkeypatch)
    outcomes, faults = _run(app, url, clients, monkeypatch)
    refusals = frozenset({"promotion_used_by_customer"})
    race.judge("use a promotion as one customer", guards, outcomes, faults, refusals, record_property)


def _desks(settings, fresh_database, guards, **limits):
    number = 50 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        factories.make_promotion("TET", **limits)
        clients = [partial(in_transaction, partial(bill, spa, "TET")) for _ in range(number)]
        db.session.remove()
    return app, url, clients


def _run(app, url, clients, monkeypatch):
    gate = race.stop_after(monkeypatch, promotions, "_find")
    outcomes = race.run(app, url, clients, gate)
    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    return outcomes, faults
