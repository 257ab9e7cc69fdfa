"""One visit whose card gave out, completed in place at many desks: by one way out or by several, it is settled once.

The guards are the row locks and, as the constraint, the version of a visit that must grow by one (besides those that
already stand at what is written). Each alone must do; with both off the same check must find the fault.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, CustomerTreatment
from spa_app.services import bookings, treatments
from spa_app.services.bookings import ItemRequest, Settlement
from spa_app.services.bookings import progress as bookings_progress
from spa_app.services.transaction import atomic, in_transaction
from spa_app.services.treatments import history
from spa_app.services.treatments import sessions as treatment_sessions
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import VERSION, make_app
from tests.concurrency.test_visit_races import LIVE_ENTRIES, LOST, Race
from tests.factories import Spa

Client = Callable[[], Any]
# Paying otherwise is in the audit log of a visit that completes with it, and is one change with that.
LOST_CHANGE = LOST.replace("'policy_waived'", "'policy_waived', 'booking_item_payment_changed'")
# The card was lengthened, or a package sold, more than once for one visit.
TWICE = """
    SELECT 'extended', count(*) FROM treatment_entries WHERE kind = 'extend' HAVING count(*) > 1
    UNION ALL SELECT 'sold', count(*) FROM invoice_lines l JOIN plans p ON p.id = l.plan_id
    WHERE p.name = 'On the way' HAVING count(*) > 1"""


def extend_the_card(spa: Spa, number: int) -> list[Client]:
    """The card that ended is lengthened."""
    return _settle(spa, [Settlement("extend")], number)


def pay_at_the_desk(spa: Spa, number: int) -> list[Client]:
    """The customer pays: one invoice, and the reserved session goes back."""
    return _settle(spa, [Settlement("desk")], number)


def use_another_card(spa: Spa, number: int) -> list[Client]:
    """Another card of the customer pays."""
    return _settle(spa, [Settlement("card", _other_card(spa))], number)


def sell_a_package(spa: Spa, number: int) -> list[Client]:
    """A package is sold on the way, and its first session pays."""
    return _settle(spa, [Settlement("plan", _plan(spa))], number)


def settle_in_every_way(spa: Spa, number: int) -> list[Client]:
    """Each desk has chosen another way out."""
    ways = [
        Settlement("extend"),
        Settlement("desk"),
        Settlement("card", _other_card(spa)),
        Settlement("plan", _plan(spa)),
    ]
    return _settle(spa, ways, number)


def settle_by_one_session(spa: Spa, number: int) -> list[Client]:
    """As many visits, and another card with one session that all of them want."""
    last = factories.make_card(spa.customer, None, branch_id=spa.branch, sessions=1)
    return [_settle(spa, [Settlement("card", last)], 1)[0] for _ in range(number)]


SETTLED_ONCE = (
    VERSION,
    *LIVE_ENTRIES,
    "DROP INDEX uq_invoices_live_booking",
    "ALTER TABLE customer_treatments DROP CONSTRAINT ck_customer_treatments_within_total",
    "ALTER TABLE customer_treatments DROP CONSTRAINT ck_customer_treatments_held_not_negative",
)
TOO_LATE = frozenset({"wrong_status"})
RACES = [
    Race(f"complete one visit in place: {words}", clients, ((bookings_progress, "list_items"),), SETTLED_ONCE, TOO_LATE)
    for words, clients in (
        ("extend its card", extend_the_card),
        ("the customer pays", pay_at_the_desk),
        ("another card", use_another_card),
        ("sell a package", sell_a_package),
        ("each desk otherwise", settle_in_every_way),
    )
] + [
    Race(
        "complete many visits in place with the last session of another card",
        settle_by_one_session,
        ((treatments, "check_usable"),),
        SETTLED_ONCE,
        frozenset({"card_used_up"}),
    )
]


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.clients.__name__)
def test_one_of_many_settles(which, guards, settings, fresh_database, monkeypatch, record_property):
    number = 50 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients = which.clients(spa, number)
        db.session.remove()
    race.take_off(guards, url, which.constraints, monkeypatch)
    if guards == "neither" and which.clients is extend_the_card:
        # A hold can be closed only once, and whoever changes the card's row waits for the others: a guard as well.
        anyhow = history._INSERT_AND_CLOSE_HOLD.text.replace("AND closed_by_id IS NULL", "")
        monkeypatch.setattr(history, "_INSERT_AND_CLOSE_HOLD", sa.text(anyhow))
    if guards == "neither" and which.clients is settle_by_one_session:
        # What a session is worth cannot be told of a card that has none left: a guard as well.
        monkeypatch.setattr(treatment_sessions, "worth", lambda card, sessions: 0)
    gate = race.Gate()
    for owner, name in which.reads:
        race.stop_after(monkeypatch, owner, name, gate)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        faults += [f"a change was lost: {row}" for row in db.session.execute(sa.text(LOST_CHANGE)).all()]
        faults += [f"done more than once: {row}" for row in db.session.execute(sa.text(TWICE)).all()]
        db.session.remove()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


def _settle(spa: Spa, ways: Sequence[Settlement], number: int) -> list[Client]:
    """So many desks before one visit whose card ended yesterday; each takes the next of ``ways``."""
    card = factories.make_card(spa.customer, spa.consultation, branch_id=spa.branch)
    staff = factories.make_staff(spa.branch, [spa.consultation])
    booking = factories.make_booking(spa, ItemRequest(spa.consultation, staff, None, card), status="in_progress")
    with atomic() as session:
        yesterday = clock.today(factories.TIMEZONE) - dt.timedelta(days=1)
        session.get_one(CustomerTreatment, card).expiry_date = yesterday
        item = session.scalar(sa.select(BookingItem.id).where(BookingItem.booking_id == booking))
        version = session.get_one(Booking, booking).version
    return [
        partial(
            bookings.complete,
            booking,
            settlements={item: ways[desk % len(ways)]},
            version=version,
            reason="the customer is here",
            actor=spa.manager,
        )
        for desk in range(number)
    ]


def _other_card(spa: Spa) -> int:
    return factories.make_card(spa.customer, None, branch_id=spa.branch)


def _plan(spa: Spa) -> int:
    return factories.make_plan([(spa.consultation, 2)], name="On the way")
