"""Two desks at one card: whatever they do to it at once, no session and no đồng is there twice.

Most races have two guards of different kinds, as in test_races; a freeze and a share's limit have the card's row lock
alone, so there the twin without it must find the fault.
"""

import multiprocessing
import os
import signal
from functools import partial

import pytest
import sqlalchemy as sa

from spa_app import create_app
from spa_app.extensions import db
from spa_app.services import bookings, reconciliation, refunds, treatments
from spa_app.services.bookings import ItemRequest
from spa_app.services.transaction import in_transaction
from spa_app.services.treatments import adjusting, validity
from spa_app.services.treatments import sessions as treatment_sessions
from tests import factories
from tests.books import assert_books_balance, find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import COUNTERS, Client, Race, make_app
from tests.factories import Spa

# What keeps more from coming back of the sale than was paid for it.
CREDITED = (
    "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_credited",
    "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_wholly_credited",
    "DROP TRIGGER tr_invoices_credited ON invoices",
    "DROP TRIGGER tr_invoices_credited_changed ON invoices",
)
LIABILITY = (
    *COUNTERS,
    "ALTER TABLE customer_treatments DROP CONSTRAINT ck_customer_treatments_within_total",
    "ALTER TABLE customer_treatments DROP CONSTRAINT ck_customer_treatments_total_not_negative",
    "ALTER TABLE customer_treatments DROP CONSTRAINT ck_customer_treatments_value_within_deferred",
    "ALTER TABLE customer_treatments DROP CONSTRAINT ck_customer_treatments_deferred_not_negative",
)


def transfer_or_book_the_last(spa: Spa, number: int) -> list[Client]:
    """One session: given to another customer, or booked."""
    card = factories.make_card(spa.customer, spa.consultation, branch_id=spa.branch, sessions=1)
    others = [factories.make_customer() for _ in range(number // 2)]
    transfers = [
        partial(treatments.transfer_sessions, card, customer_id=other, reason="a gift", actor=spa.receptionist)
        for other in others
    ]
    return [*transfers, *(_book(spa, card, spa.customer) for _ in range(number - len(others)))]


def refund_twice(spa: Spa, number: int) -> list[Client]:
    """The rest of one card, refunded by different forms."""
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    return [_refund(spa, card)] * number


RACES = [
    Race(
        "transfer the last session of a card, and book it",
        transfer_or_book_the_last,
        (adjusting, "worth"),
        LIABILITY,
        frozenset({"too_few_free", "card_used_up", "card_status", "sessions_missing"}),
    ),
    Race(
        "refund one card",
        refund_twice,
        (refunds.cards, "get_refund_facts"),
        (*LIABILITY, *CREDITED),
        frozenset({"card_status"}),
    ),
]


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.clients.__name__)
def test_one_of_many_wins(which, guards, settings, fresh_database, monkeypatch, record_property):
    number = 30 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients = which.clients(spa, number)
        db.session.remove()
    race.take_off(guards, url, which.constraints, monkeypatch)
    gate = race.stop_after(monkeypatch, *which.read)
    race.stop_after(monkeypatch, treatments, "check_usable", gate)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


def freeze_or_book(spa: Spa, number: int) -> tuple[list[Client], frozenset[str]]:
    """A card, frozen and booked on: either the freeze is refused or every booking."""
    card = factories.make_card(spa.customer, spa.consultation, branch_id=spa.branch)
    freeze = partial(treatments.freeze_card, card, reason="abroad", actor=spa.receptionist)
    books = [_book(spa, card, spa.customer) for _ in range(number - 1)]
    return [freeze, *books], frozenset({"card_reserved", "card_frozen"})


def book_within_a_limit(spa: Spa, number: int) -> tuple[list[Client], frozenset[str]]:
    """A card shared for one session, booked on by many desks for the same relative."""
    card = factories.make_card(spa.customer, spa.consultation, branch_id=spa.branch, sessions=30)
    mother = factories.make_customer()
    treatments.share_card(card, customer_id=mother, session_limit=1, actor=spa.receptionist)
    return [_book(spa, card, mother) for _ in range(number)], frozenset({"share_used_up"})


def refund_or_punch(spa: Spa, number: int) -> tuple[list[Client], frozenset[str]]:
    """A card of which one session is reserved by a visit: completed once, and refunded only after that, once."""
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    visit = factories.make_booking(spa, card=card, status="in_progress")
    complete = partial(bookings.complete, visit, actor=spa.receptionist)
    return [complete, *[_refund(spa, card)] * (number - 1)], frozenset({"card_reserved", "card_status"})


GATES = {
    freeze_or_book: ((validity, "require_nothing_reserved"), (treatments, "check_usable")),
    book_within_a_limit: ((treatment_sessions, "count_shared_use"),),
    refund_or_punch: ((refunds.cards, "get_refund_facts"), (treatment_sessions, "worth")),
}


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("which", GATES, ids=lambda one: one.__name__)
def test_the_lock_of_the_card_keeps_its_rules(which, locked, settings, fresh_database, monkeypatch, record_property):
    number = 20 if locked else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients, refusals = which(spa, number)
        db.session.remove()
    if not locked:
        race.take_off("neither", url, LIABILITY, monkeypatch)
        if which is refund_or_punch:
            # The visit's reservation keeps the refund away until it is punched: that rule is a guard as well.
            monkeypatch.setattr(treatments, "require_refundable", lambda card: None)
    gate = race.Gate()
    for owner, name in GATES[which]:
        race.stop_after(monkeypatch, owner, name, gate)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    said = race.summary(outcomes)
    guards = "locks only" if locked else "neither"
    result = f"{number} clients: " + ", ".join(f"{count} {word}" for word, count in said.items())
    record_property("race", (which.__name__.replace("_", " "), guards, f"{result}; {len(faults)} faults"))
    if not locked:
        assert faults, said
        return
    assert faults == []
    assert said.keys() <= {"done"} | refusals, said
    assert said["done"] >= 1


def _transfer_until_killed(settings, card, customer, written) -> None:
    app = create_app(settings)
    with app.app_context():
        post = adjusting.ledger.post

        def post_and_wait(*args, **kwargs):
            entry_id = post(*args, **kwargs)
            written.set()  # both cards, both entries and the journal: written, not committed
            signal.pause()
            return entry_id

        adjusting.ledger.post = post_and_wait
        treatments.transfer_sessions(card, customer_id=customer, reason="a gift", actor=factories.SYSTEM)


def test_a_process_killed_in_the_middle_of_a_transfer_leaves_nothing_of_it(settings, spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    mother = factories.make_customer()
    before = _cards()
    spawn = multiprocessing.get_context("spawn")
    written = spawn.Event()
    worker = spawn.Process(target=_transfer_until_killed, args=(settings, card, mother, written))
    worker.start()
    assert written.wait(60)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()

    db.session.rollback()
    assert _cards() == before
    assert reconciliation.list_faults() == []
    hers = treatments.transfer_sessions(card, customer_id=mother, reason="a gift", actor=spa.receptionist)
    assert _cards() == [(card, 0), (hers, 10)]
    assert_books_balance()


def _cards() -> list[tuple]:
    rows = db.session.execute(sa.text("SELECT id, total_sessions FROM customer_treatments ORDER BY id"))
    found = [tuple(row) for row in rows]
    db.session.rollback()
    return found


def _book(spa: Spa, card: int, customer: int) -> Client:
    """A booking on the card with a therapist of its own, so that nothing else is in its way."""
    staff = factories.make_staff(spa.branch, [spa.consultation])
    return partial(
        bookings.book,
        customer_id=customer,
        branch_id=spa.branch,
        starts_at=factories.tomorrow_at(spa.branch, "10:00"),
        items=[ItemRequest(spa.consultation, staff, None, card)],
        actor=spa.receptionist,
    )


def _refund(spa: Spa, card: int) -> Client:
    return partial(
        refunds.refund_card,
        card,
        basis="pro_rata",
        fee_amount=0,
        pay_by="store_credit",
        shown_amount=None,
        reason="moves away",
        actor=spa.manager,
    )
