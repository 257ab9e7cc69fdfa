"""The nightly expiry against one set-based statement that writes the same rows, each on a copy of the database.

Run as a program it is the process that is measured: it expires what is due and prints seconds and memory.
"""

import json
import resource
import subprocess
import sys
import time

import psycopg

from spa_app.config import PROJECT_DIR
from tests.bench.table import Row, median
from tests.bench.world import World

# One card in ten has seen its last day yesterday, with sessions left on it.
MAKE_DUE = """
    UPDATE customer_treatments SET expiry_date = current_date - 2
    WHERE id IN (SELECT id FROM customer_treatments
                 WHERE status = 'active' AND held_sessions = 0 AND used_sessions < total_sessions
                 ORDER BY md5(id::text) LIMIT (SELECT count(*) FROM customer_treatments) / %s)
"""
EXPIRE = """
    WITH due AS (
        SELECT id, branch_id, total_sessions - used_sessions - held_sessions - expired_sessions AS sessions,
               deferred_amount - recognised_amount - expired_amount AS value
        FROM customer_treatments
        WHERE expiry_date < current_date AND cancelled_at IS NULL AND frozen_on IS NULL
          AND used_sessions + held_sessions + expired_sessions < total_sessions
        ORDER BY id FOR UPDATE
    ), entry AS (
        INSERT INTO treatment_entries (treatment_id, kind, sessions, value_amount)
        SELECT id, 'expire', -sessions, value FROM due RETURNING id, treatment_id, value_amount
    ), journal AS (
        INSERT INTO journal_entries (branch_id, event, posted_on, treatment_entry_id)
        SELECT due.branch_id, 'sessions_expired', current_date, entry.id
        FROM entry JOIN due ON due.id = entry.treatment_id RETURNING id, treatment_entry_id
    ), lines AS (
        INSERT INTO journal_lines (entry_id, account_id, amount, treatment_id)
        SELECT journal.id, side.account, side.sign * entry.value_amount,
               CASE WHEN side.account = 2110 THEN entry.treatment_id END
        FROM journal JOIN entry ON entry.id = journal.treatment_entry_id
        CROSS JOIN (VALUES (2110, 1), (4120, -1)) side (account, sign)
    )
    UPDATE customer_treatments c
    SET expired_sessions = c.expired_sessions + due.sessions, expired_amount = c.expired_amount + due.value,
        status = 'expired'
    FROM due WHERE due.id = c.id
"""


def measure(world: World, *, rounds: int) -> list[Row]:
    """Both ways ``rounds`` times in turn, and once with a tenth as many cards due, to see whether memory grows."""
    bare: list[float] = []
    nights: list[dict[str, float]] = []
    cards = 0
    for number in range(rounds):
        with world.copy(f"floor_{number}") as url, psycopg.connect(url) as connection:
            due = connection.execute(MAKE_DUE, [10]).rowcount
            cards = connection.execute("SELECT count(*) FROM customer_treatments").fetchone()[0]
            connection.commit()
            began = time.perf_counter()
            assert connection.execute(EXPIRE).rowcount == due
            connection.commit()
            bare.append(time.perf_counter() - began)
        nights.append(_night(world, f"night_{number}", 10))
        assert nights[-1]["cards"] == due
    few = _night(world, "night_of_few", 100)
    seconds, floor = median([night["seconds"] for night in nights]), median(bare)
    peak = median([night["grown"] for night in nights])
    return [
        Row(
            f"nightly expiry of {cards:,} cards, {due:,} due",
            f"{seconds:.2f} s, memory +{peak:.0f} MB (+{few['grown']:.0f} MB for {few['cards']:.0f} due)",
            "≤ 2 × floor, constant memory",
            f"one statement {floor:.2f} s",
            seconds / floor,
            seconds <= 2 * floor,
        )
    ]


def _night(world: World, name: str, share: int) -> dict[str, float]:
    with world.copy(name) as url:
        with psycopg.connect(url) as connection:
            connection.execute(MAKE_DUE, [share])
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.nightly"],
            env=world.environment(DATABASE_URL=url),
            cwd=PROJECT_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _expire_here() -> None:
    from spa_app import create_app
    from spa_app.extensions import db
    from spa_app.services.expiry import expire_due

    with create_app().app_context():
        db.session.connection()
        db.session.rollback()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        runs = expire_due()
        seconds = time.perf_counter() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(json.dumps({"seconds": seconds, "grown": grown, "cards": sum(run.cards for run in runs)}))
        db.session.remove()
        db.engine.dispose()


if __name__ == "__main__":
    _expire_here()
