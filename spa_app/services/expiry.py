"""The night's work on cards: what was not used by its last day becomes breakage revenue.

What is due follows from the cards alone, not from when the job last ran: a missed night is caught up by the next run, a
second run finds nothing, and two at once share the cards between them.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch, JobRun
from spa_app.services import gift_cards, treatments
from spa_app.services.actor import SYSTEM
from spa_app.services.transaction import atomic, in_transaction

TREATMENTS = "expire_treatments"
GIFT_CARDS = "expire_gift_cards"
BATCH = 500  # cards a transaction: a desk that waits for one of them waits for less than a second


@dataclass(frozen=True)
class Expired:
    """What one run did in one branch. ``amount`` is in minor units, without VAT; a gift card has no sessions."""

    branch_id: int
    branch_name: str
    on: dt.date
    cards: int
    sessions: int
    amount: int


@dataclass(frozen=True)
class _Batch:
    found: int  # cards that were due, those too of which only the status was brought along
    cards: int
    sessions: int
    amount: int


def expire_due(on: dt.date | None = None) -> list[Expired]:
    """Expire every treatment card whose last day is over, in batches that each commit; what was done per branch.

    ``on`` is the local date as of which it looks; by default each branch's own present date. Locks a batch of cards by
    id at a time. Safe to repeat, to run twice at once and to kill at any moment.
    """
    return _expire_everywhere(TREATMENTS, _treatments, on)


def expire_due_gift_cards(on: dt.date | None = None) -> list[Expired]:
    """The same for gift cards."""
    return _expire_everywhere(GIFT_CARDS, _gift_cards, on)


def _treatments(branch: Branch, on: dt.date) -> _Batch:
    done = treatments.expire_due_batch(branch=branch, on=on, limit=BATCH, actor=SYSTEM)
    expired = [(sessions, amount) for _, sessions, amount in done if sessions]
    return _Batch(len(done), len(expired), sum(one for one, _ in expired), sum(amount for _, amount in expired))


def _gift_cards(branch: Branch, on: dt.date) -> _Batch:
    done = gift_cards.expire_due_batch(branch=branch, on=on, limit=BATCH, actor=SYSTEM)
    return _Batch(len(done), len(done), 0, sum(amount for _, amount in done))


def _expire_everywhere(job: str, expire: Callable[[Branch, dt.date], _Batch], on: dt.date | None) -> list[Expired]:
    with atomic() as session:
        branches = [
            (row.id, row.name, on or clock.today(row.timezone))
            for row in session.execute(select(Branch.id, Branch.name, Branch.timezone).order_by(Branch.id))
        ]
    return [_expire_branch(job, expire, branch_id, name, date) for branch_id, name, date in branches]


def _expire_branch(
    job: str, expire: Callable[[Branch, dt.date], _Batch], branch_id: int, name: str, on: dt.date
) -> Expired:
    started_at = clock.now()
    cards = sessions = amount = 0

    def one_batch() -> _Batch:
        done = expire(db.session.get_one(Branch, branch_id), on)
        # Counted in the batch's own transaction: a run that is killed half-way has told exactly what it did.
        _note_run(job, branch_id, on, started_at, done)
        return done

    while (batch := in_transaction(one_batch)).found:
        db.session.expunge_all()  # memory stays flat however many cards are due
        cards += batch.cards
        sessions += batch.sessions
        amount += batch.amount
    return Expired(branch_id, name, on, cards, sessions, amount)


def _note_run(job: str, branch_id: int, on: dt.date, started_at: dt.datetime, done: _Batch) -> None:
    row = insert(JobRun).values(
        job=job,
        branch_id=branch_id,
        run_for=on,
        started_at=started_at,
        finished_at=None if done.found else clock.now(),
        cards=done.cards,
        sessions=done.sessions,
        amount=done.amount,
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
