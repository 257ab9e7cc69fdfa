"""The cron table, and a scheduler that may run twice."""

import datetime as dt
from dataclasses import dataclass

from redis import Redis
from rq import Queue
from rq.cron import CronJob, CronScheduler

from spa_app import clock

QUEUE = "default"


@dataclass(frozen=True)
class Entry:
    """A job by its dotted name, and when it is due (cron; in minutes only, so that time zones do not matter)."""

    function: str
    cron: str


CRON_TABLE = (
    Entry("spa_app.jobs.nightly.expire_due_treatments", "*/15 * * * *"),
    Entry("spa_app.jobs.nightly.expire_due_gift_cards", "*/15 * * * *"),
    Entry("spa_app.jobs.holds.end_lapsed_holds", "* * * * *"),
    Entry("spa_app.jobs.nightly.forget_old_forms", "20 * * * *"),
    Entry("spa_app.jobs.outbox.sweep", "* * * * *"),
)

# Long enough for a second scheduler that lags behind, far shorter than it takes for the same minute to come again.
_CLAIM_SECONDS = 3600


class Scheduler(CronScheduler):
    """RQ's cron, in which each due time of a job is claimed in Redis first: two schedulers enqueue it once.

    A scheduler that dies between claim and enqueueing leaves that one time out; each job catches up at its next.
    """

    def __init__(self, connection: Redis, table: tuple[Entry, ...] = CRON_TABLE) -> None:
        super().__init__(connection=connection)
        self._cron_jobs = [CronJob(QUEUE, func_name=entry.function, cron=entry.cron) for entry in table]

    def enqueue_jobs(self) -> list[CronJob]:
        """Enqueue what is due and not claimed by another scheduler. Returns what was enqueued here."""
        enqueued = []
        for job in self._cron_jobs:
            if not job.should_run():
                continue
            due = job.next_enqueue_time
            job.set_enqueue_time(clock.now())
            if due is not None and self._claim(job, due):
                # By name: the scheduler itself need not import the application's jobs.
                Queue(job.queue_name, connection=self.connection).enqueue(job.func_name)
                enqueued.append(job)
        return enqueued

    def _claim(self, job: CronJob, due: dt.datetime) -> bool:
        key = f"spa:cron:{job.func_name}:{due.isoformat()}"
        return bool(self.connection.set(key, self.name, nx=True, ex=_CLAIM_SECONDS))
