"""What a committed transaction has left to do: handed over after the commit, done once, and never lost."""

import pytest
import time_machine
from redis import Redis
from rq import Queue, SimpleWorker
from sqlalchemy import select

from spa_app import clock
from spa_app.extensions import db
from spa_app.jobs import outbox as jobs
from spa_app.jobs.schedule import CRON_TABLE, QUEUE
from spa_app.models import OutboxMessage
from spa_app.services import bookings, outbox
from spa_app.services.actor import SYSTEM
from spa_app.services.transaction import atomic
from tests.factories import Spa, make_booking, tomorrow_at


@pytest.fixture
def queue(redis_url: str):
    with Redis.from_url(redis_url) as connection:
        yield Queue(QUEUE, connection=connection)


def _undone() -> list[str]:
    db.session.rollback()
    query = select(OutboxMessage.kind).where(OutboxMessage.done_at.is_(None)).order_by(OutboxMessage.id)
    return list(db.session.execute(query).scalars())


def test_a_booking_is_confirmed_to_its_customer_by_the_worker(spa: Spa, queue: Queue):
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    assert _undone() == ["booking_confirmed"]
    assert [job.func_name for job in queue.jobs] == ["spa_app.jobs.outbox.deliver"]

    SimpleWorker([queue], connection=queue.connection).work(burst=True)

    assert _undone() == []


def test_nothing_is_handed_over_when_the_transaction_fails(spa: Spa, queue: Queue):
    def fail() -> None:
        with atomic():
            make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        fail()

    assert queue.count == 0
    assert _undone() == []


def test_what_redis_did_not_take_is_swept_up(spa: Spa, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox, "_hand_over", [])
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    bookings.cancel(booking, reason="ill", actor=SYSTEM)

    assert jobs.sweep() == 2
    assert jobs.sweep() == 0
    assert _undone() == []


def test_a_gateway_that_fails_leaves_the_message_for_the_next_try(spa: Spa):
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    (message_id,) = outbox.list_undone()

    def refuse(kind: str, payload: dict) -> None:
        raise ConnectionError("no gateway")

    with pytest.raises(ConnectionError):
        outbox.deliver(message_id, refuse)

    assert _undone() == ["booking_confirmed"]
    assert outbox.list_undone() == []
    with time_machine.travel(clock.now() + outbox.BACK_OFF[0]):
        assert outbox.list_undone() == [message_id]


def test_a_message_that_cannot_be_sent_does_not_keep_back_the_next(spa: Spa, monkeypatch: pytest.MonkeyPatch):
    booking = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    bookings.cancel(booking, reason="ill", actor=SYSTEM)

    def send(kind: str, payload: dict) -> None:
        if kind == "booking_confirmed":
            raise ConnectionError("no such number")

    monkeypatch.setattr(jobs, "send", send)

    assert jobs.sweep() == 1
    assert _undone() == ["booking_confirmed"]


def test_redis_being_away_does_not_undo_the_booking(spa: Spa, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox, "_hand_over", [])
    jobs.hand_over_through("redis://127.0.0.1:1/0")

    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))

    assert _undone() == ["booking_confirmed"]


def test_every_job_of_the_cron_table_can_be_imported_and_run(spa: Spa, queue: Queue):
    for entry in CRON_TABLE:
        queue.enqueue(entry.function)

    SimpleWorker([queue], connection=queue.connection).work(burst=True)

    assert len(queue.finished_job_registry) == len(CRON_TABLE)
    assert len(queue.failed_job_registry) == 0
