"""The night's work on treatment cards: what was not used by its last day becomes breakage revenue.

What is due follows from the cards alone, not from when the job last ran: a missed night is caught up by the next run, a
second run finds nothing, and two at once share the cards between them.
"""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch, JobRun
from spa_app.services import treatments
from spa_app.services.actor import SYSTEM
from spa_app.services.transaction import atomic, in_transaction

JOB = "expire_treatments"
BATCH = 500  # cards a transaction: a desk that waits for one of them waits for less than a second


@dataclass(frozen=True)
class Expired:
    """What one run did in one branch. ``amount`` is in minor units, without VAT."""

    branch_id: int
    branch_name: str
    on: dt.date
    cards: int
    sessions: int
    amount: int


def expire_due(on: dt.date | None = None) -> list[Expired]:
    """Expire every card whose last day is over, in batches that each commit, and return what was done per branch.

    ``on`` is the local date as of which it looks; by default each branch's own present date. Locks a batch of cards by
    id at a time. Safe to repeat, to run twice at once and to kill at any moment.
    """
    with atomic() as session:
        branches = [
            (row.id, row.name, on or clock.today(row.timezone))
            for row in session.execute(select(Branch.id, Branch.name, Branch.timezone).order_by(Branch.id))
        ]
    return [_expire_branch(branch_id, name, date) for branch_id, name, date in branches]


def _expire_branch(branch_id: int, name: str, on: dt.date) -> Expired:
    started_at = clock.now()
    cards = sessions = amount = 0

    def one_batch() -> list[tuple[int, int, int]]:
        branch = db.session.get_one(Branch, branch_id)
        done = treatments.expire_due_batch(branch=branch, on=on, limit=BATCH, actor=SYSTEM)
        # Counted in the batch's own transaction: a run that is killed half-way has told exactly what it did.
        _note_run(branch_id, on, started_at, done)
        return done

    while batch := in_transaction(one_batch):
        db.session.expunge_all()  # memory stays flat however many cards are due
        expired = [(one_sessions, one_amount) for _, one_sessions, one_amount in batch if one_sessions]
        cards += len(expired)
        sessions += sum(one_sessions for one_sessions, _ in expired)
        amount += sum(one_amount for _, one_amount in expired)
    return Expired(branch_id, name, on, cards, sessions, amount)


def _note_run(branch_id: int, on: dt.date, started_at: dt.datetime, done: list[tuple[int, int, int]]) -> None:
    row = insert(JobRun).values(
        job=JOB,
        branch_id=branch_id,
        run_for=on,
        started_at=started_at,
        finished_at=None if done else clock.now(),
        cards=sum(1 for _, sessions, _ in done if sessions),
        sessions=sum(sessions for _, sessions, _ in done),
        amount=sum(amount for _, _, amount in done),
    )
    db.session.execute(
        row.on_conflict_do_update(
            index_elements=["job", "branch_id", "run_for"],
            set_={
                "cards": JobRun.cards + row.excluded.cards,
                "sessions": JobRun.sessions + row.excluded.sessions,
                "amount": JobRun.amount + row.excluded.amount,
                "finished_at": row.excluded.finished_at,
            },
        )
    )
