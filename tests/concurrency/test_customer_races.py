"""Desks that merge, book for and anonymise the same customer at once, with each guard on and with one taken off."""

from functools import partial

import pytest
import sqlalchemy as sa

from spa_app.extensions import db
from spa_app.models import Customer
from spa_app.services import anonymising, bookings, customer_merging, customer_moves, scheduling
from spa_app.services.bookings import ItemRequest
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import make_app

STRANDED = """
    SELECT 'visit ' || b.id || ' is left on ' || c.id FROM bookings b JOIN customers c ON c.id = b.customer_id
    WHERE c.merged_into_id IS NOT NULL OR c.anonymised_at IS NOT NULL AND b.status = 'confirmed'
    UNION ALL SELECT 'merged twice: ' || merged_id FROM customer_merges WHERE undone_at IS NULL
    GROUP BY merged_id HAVING count(*) > 1"""


def _faults():
    faults = [*find_faults(), *db.session.scalars(sa.text(STRANDED))]
    db.session.remove()
    return faults


@pytest.mark.parametrize("guards", EACH_GUARD)
def test_two_desks_merge_the_same_pair(guards, settings, fresh_database, monkeypatch, record_property):
    number = 20 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        other = factories.make_customer()
        merge = partial(customer_merging.merge_customers, actor=spa.manager)
        both_ways = [partial(merge, spa.customer, other), partial(merge, other, spa.customer)]
        # Without the locks it is the record of the merge that keeps a second one out, of the same customer.
        ways = both_ways if guards == GUARDS[0] else both_ways[:1]
        clients = [partial(in_transaction, ways[turn % len(ways)]) for turn in range(number)]
        db.session.remove()
    race.take_off(guards, url, ("DROP INDEX uq_customer_merges_open",), monkeypatch)
    gate = race.stop_after(monkeypatch, customer_merging, "_with_family")

    outcomes = race.run(app, url, clients, gate)

    with app.app_context():
        faults = _faults()
        db.engine.dispose()
    race.judge("merge one pair", guards, outcomes, faults, frozenset({"already_merged"}), record_property)


@pytest.mark.parametrize("guarded", ["both", "no trigger", "no locks"])
@pytest.mark.parametrize("act", ["merge", "anonymise"])
def test_booking_for_one_who_is_merged_or_anonymised(
    act, guarded, settings, fresh_database, monkeypatch, record_property, tmp_path
):
    number = 8
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        other = factories.make_customer()
        at = factories.tomorrow_at(spa.branch, "10:00")
        staff = [factories.make_staff(spa.branch, [spa.consultation]) for _ in range(number - 1)]
        book = [
            partial(
                bookings.book,
                customer_id=other,
                branch_id=spa.branch,
                starts_at=at,
                items=[ItemRequest(spa.consultation, one)],
                actor=spa.receptionist,
            )
            for one in staff
        ]
        if act == "merge":
            first = partial(customer_merging.merge_customers, spa.customer, other, actor=spa.manager)
        else:
            first = partial(
                anonymising.anonymise_customer,
                other,
                reason="asked",
                confirmed_name=db.session.get_one(Customer, other).full_name,
                data_dir=tmp_path,
                actor=spa.manager,
            )
        clients = [partial(in_transaction, client) for client in [first, *book]]
        db.session.remove()
    trigger = ("DROP TRIGGER tr_bookings_live_customer ON bookings",)
    race.take_off(
        {"no trigger": "locks only", "no locks": "constraints only"}.get(guarded, ""), url, trigger, monkeypatch
    )
    # It stops when it has dealt with what there was, and they when they are about to write.
    where = (customer_moves, "move_rows") if act == "merge" else (anonymising, "_require_settled")
    gate = race.stop_after(monkeypatch, scheduling, "busy_now", race.stop_after(monkeypatch, *where))

    outcomes = race.run(app, url, clients, gate)

    with app.app_context():
        faults = _faults()
        db.engine.dispose()
    said = race.summary(outcomes)
    record_property("race", (f"{act}, and book for the same customer", guarded, f"{said}; {len(faults)} faults"))
    assert outcomes[0].said == "done"
    if guarded == "both":
        assert faults == []
        assert said.keys() <= {"done", "customer_gone"}
    else:
        assert faults, said
