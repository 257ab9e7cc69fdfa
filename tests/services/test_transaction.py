"""What commits, what does not, what is tried again, and what is acted on once."""

import threading
import uuid

import psycopg
import pytest
import time_machine
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError
from spa_app.extensions import db
from spa_app.models import Customer
from spa_app.services import bookings, demo, outbox, payments
from spa_app.services.bookings import ItemRequest
from spa_app.services.idempotency import once
from spa_app.services.transaction import ATTEMPTS, CONSTRAINTS, atomic, attempt, in_transaction, on_commit
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import execute, invoice_of, refused, rows, snapshot


def _add(name):
    db.session.add(Customer(full_name=name))
    db.session.flush()


def _names():
    return [name for (name,) in rows("SELECT full_name FROM customers ORDER BY id")]


def test_the_outermost_block_commits(app):
    with atomic():
        with atomic():
            _add("inner")
        assert db.session.connection().in_transaction()
        with psycopg.connect(app.config["SETTINGS"].database_url) as other:
            assert other.execute("SELECT count(*) FROM customers").fetchone() == (0,)
        _add("outer")

    assert _names() == ["inner", "outer"]


def test_an_outer_failure_takes_the_inner_work_along(app):
    with pytest.raises(ZeroDivisionError), atomic():
        with atomic():
            _add("inner")
        raise ZeroDivisionError

    assert _names() == []


def test_a_failure_that_is_swallowed_commits_nothing(app):
    with pytest.raises(RuntimeError, match="swallowed"), atomic():
        _add("outer")
        try:
            with atomic():
                _add("half of the inner work")
                raise InvalidError("no", "No.")
        except InvalidError:
            pass

    assert _names() == []


def test_an_attempt_is_undone_by_itself(app):
    called = []
    with atomic():
        _add("before")
        with pytest.raises(ConflictError) as caught, attempt(), atomic():
            _add("half of the attempt")
            on_commit(lambda: called.append("attempt"))
            db.session.add_all([Customer(full_name=f"twin {n}", phone="+84901234567") for n in (1, 2)])
            db.session.flush()
        on_commit(lambda: called.append("after"))
        _add("after")

    assert (caught.value.code, _names(), called) == ("phone_taken", ["before", "after"], ["after"])


def test_a_booking_refused_within_a_larger_transaction_leaves_nothing_of_itself(spa):
    card = factories.make_card(spa.customer, spa.consultation, branch_id=spa.branch, sessions=1)
    at = factories.tomorrow_at(spa.branch, "10:00")
    items = [ItemRequest(spa.consultation, None, None, card)] * 2

    with atomic(), pytest.raises(InvalidError), attempt():
        factories.make_booking(spa, *items, starts_at=at)

    assert rows("SELECT count(*) FROM bookings") == [(0,)]
    assert_books_balance()


def test_the_demo_balances(app):
    assert demo.load_demo_data(timezone=factories.TIMEZONE)

    assert_books_balance()
    assert not demo.load_demo_data(timezone=factories.TIMEZONE)


def test_what_waits_for_the_commit_runs_after_it_in_order(app):
    seen = []
    with atomic():
        with atomic():
            on_commit(lambda: seen.append(("first", _names())))
        on_commit(lambda: 1 / 0)
        on_commit(lambda: seen.append("last"))
        _add("stored")
        assert seen == []

    assert seen == [("first", ["stored"]), "last"]


def test_what_waits_for_the_commit_never_runs_after_a_rollback(app):
    seen = []
    with pytest.raises(ZeroDivisionError), atomic():
        on_commit(lambda: seen.append("ran"))
        raise ZeroDivisionError
    with atomic():
        _add("the next transaction")

    assert seen == []


def test_a_mapped_constraint_is_a_refusal_and_an_unmapped_one_a_bug(app):
    with pytest.raises(ConflictError) as caught, atomic():
        db.session.add_all([Customer(full_name=f"twin {n}", phone="+84901234567") for n in (1, 2)])
    assert (caught.value.code, caught.value.field) == ("phone_taken", "phone")
    with pytest.raises(IntegrityError, match="ck_customers_full_name"), atomic():
        _add("")


def test_every_mapped_constraint_exists(app):
    known = {
        name
        for (name,) in rows(
            "SELECT conname FROM pg_constraint UNION SELECT tgname FROM pg_trigger"
            " UNION SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
        )
    }
    assert CONSTRAINTS.keys() <= known
    # The same race, wherever the cash was on its way to.
    assert {name for name in known if name.endswith("_open_session")} <= CONSTRAINTS.keys()
    assert all(make().message for make in CONSTRAINTS.values())


def test_who_waits_too_long_is_told_to_try_again(spa, settings):
    booking = factories.make_booking(spa, status="in_progress")
    with psycopg.connect(settings.database_url) as other:
        other.execute("SELECT FROM bookings WHERE id = %s FOR UPDATE", [booking])
        with refused("busy", ConflictError), atomic() as session:
            session.execute(text("SET LOCAL lock_timeout = '20ms'"))
            bookings.complete(booking, actor=spa.receptionist)


def test_a_deadlock_is_tried_again_as_a_whole(app):
    with atomic():
        _add("a")
        _add("b")
    a, b = (one for (one,) in rows("SELECT id FROM customers ORDER BY id"))
    meet = threading.Barrier(2, timeout=30)
    tries = []

    def work(first, second):
        tries.append(first)
        lock = text("UPDATE customers SET note = note || 'x' WHERE id = :id")
        db.session.execute(lock, {"id": first})
        if len(tries) <= 2:
            meet.wait()
        db.session.execute(lock, {"id": second})
        return first

    def client(first, second):
        with app.app_context():
            in_transaction(lambda: work(first, second))

    threads = [threading.Thread(target=client, args=pair) for pair in ((a, b), (b, a))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(tries) == 3
    assert rows("SELECT note FROM customers ORDER BY id") == [("xx",), ("xx",)]


def test_what_cannot_be_serialised_in_the_end_is_told_to_try_again(app):
    tries = []

    def work():
        tries.append(1)
        db.session.execute(text("DO $$BEGIN RAISE serialization_failure; END$$"))

    with refused("busy", ConflictError):
        in_transaction(work)
    assert len(tries) == ATTEMPTS


@pytest.fixture
def pay(spa):
    """Post a payment of 100,000 with an idempotency key."""
    invoice = invoice_of(factories.make_booking(spa, status="completed"))

    def pay(key, actor=spa.receptionist, action="pay", fingerprint="100000", amount=100_000):
        return once(
            key,
            action=action,
            fingerprint=fingerprint,
            actor=actor,
            work=lambda: payments.take_payment(invoice, method="cash", amount=amount, actor=actor),
        )

    return pay


def test_a_replay_is_answered_with_the_first_result(pay):
    key = uuid.uuid4()
    first = pay(key)
    before = snapshot()

    assert pay(key) == first
    assert snapshot() == before
    assert pay(uuid.uuid4()) != first
    assert_books_balance()


@pytest.mark.parametrize("other", [{"fingerprint": "200000"}, {"action": "void"}, {"actor": "manager"}])
def test_a_used_form_serves_for_nothing_else(spa, pay, other):
    key = uuid.uuid4()
    pay(key)

    with refused("form_used", ConflictError):
        pay(key, **{name: getattr(spa, value, value) for name, value in other.items()})


def test_a_refused_attempt_leaves_its_key_free(pay):
    key = uuid.uuid4()
    with refused("amount_not_positive", InvalidError, "amount"):
        pay(key, amount=0)

    assert pay(key)


def test_a_message_is_sent_once_and_handed_over_after_the_commit(spa, monkeypatch):
    handed = []
    monkeypatch.setattr(outbox, "_hand_over", [])
    outbox.set_hand_over(lambda message: handed.append((message, outbox.list_undone())))
    factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    (message,) = outbox.list_undone()
    assert handed == [(message, [message])]

    with pytest.raises(ZeroDivisionError):
        outbox.deliver(message, lambda kind, payload: 1 / 0)
    sent = []
    assert not outbox.deliver(message, lambda *what: sent.append(what))
    with time_machine.travel(clock.now() + outbox.BACK_OFF[0]):
        assert outbox.list_undone() == [message]
        assert outbox.deliver(message, lambda *what: sent.append(what))
    assert not outbox.deliver(message, lambda *what: sent.append(what))
    assert (len(sent), outbox.list_undone()) == (1, [])


def test_a_message_that_another_worker_holds_is_left_alone(spa, settings):
    factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    (message,) = outbox.list_undone()
    with psycopg.connect(settings.database_url) as other:
        other.execute("SELECT FROM outbox FOR UPDATE")
        assert not outbox.deliver(message, lambda *what: None)
    assert outbox.list_undone() == [message]


def test_invoice_numbers_have_no_gap_even_after_a_rollback(spa):
    execute("UPDATE branches SET code = 'HCM' WHERE id = :id", id=spa.branch)
    for hour in ("08:00", "10:00", "12:00"):
        at = factories.local_at(spa.branch, hour, days=-1)
        with pytest.raises(ZeroDivisionError), atomic():
            factories.make_booking(spa, status="completed", starts_at=at)
            raise ZeroDivisionError
        factories.make_booking(spa, status="completed", starts_at=at)

    numbers = [number for (number,) in rows("SELECT number FROM invoices ORDER BY id")]
    year = numbers[0].split("-")[1]
    assert numbers == [f"HCM-{year}-00000{number}" for number in (1, 2, 3)]
    assert_books_balance()
