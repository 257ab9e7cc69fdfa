"""The cron scheduler that may run twice."""

import datetime as dt

import pytest
from redis import Redis
from rq import Queue

from spa_app.jobs.schedule import CRON_TABLE, QUEUE, Entry, Scheduler


@pytest.fixture
def connection(redis_url):
    with Redis.from_url(redis_url) as client:
        yield client
        client.flushdb()


def _make_due(scheduler: Scheduler, at: dt.datetime) -> None:
    for job in scheduler.get_jobs():
        job.next_enqueue_time = at


def test_two_schedulers_enqueue_a_due_job_once(connection):
    table = (Entry("spa_app.clock.now", "* * * * *"),)
    schedulers = [Scheduler(connection, table), Scheduler(connection, table)]
    due = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)

    for scheduler in schedulers:
        _make_due(scheduler, due)
    counts = [len(scheduler.enqueue_jobs()) for scheduler in schedulers]

    assert counts == [1, 0]
    assert [job.func_name for job in Queue(QUEUE, connection=connection).jobs] == ["spa_app.clock.now"]


def test_the_next_due_time_is_a_new_one(connection):
    scheduler = Scheduler(connection, (Entry("spa_app.clock.now", "* * * * *"),))

    for minute in (0, 1, 1):
        _make_due(scheduler, dt.datetime(2026, 3, 1, 12, minute, tzinfo=dt.UTC))
        scheduler.enqueue_jobs()

    assert Queue(QUEUE, connection=connection).count == 2


def test_nothing_is_enqueued_before_it_is_due(connection):
    scheduler = Scheduler(connection, CRON_TABLE)

    _make_due(scheduler, dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1))

    assert scheduler.enqueue_jobs() == []
