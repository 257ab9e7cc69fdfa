"""Completing a visit on a card through HTTP, against the same rows written by bare SQL."""

import time
import uuid
from contextlib import ExitStack

import psycopg
from psycopg.types.json import Jsonb

from tests.bench.clients import Client, together
from tests.bench.table import Row, median, ms, p95
from tests.bench.world import World

CLIENTS = 8
WORK = f"complete a booking with a punch, {CLIENTS} clients"


def measure(world: World, clients: list[Client], *, rounds: int, each: int) -> list[Row]:
    """Complete ``each`` visits through HTTP and as many by bare SQL, in turn, ``rounds`` times over."""
    through_http: list[float] = []
    bare: list[float] = []
    waits: list[float] = []
    with ExitStack() as stack:
        connections = [stack.enter_context(world.connect()) for _ in clients]
        visits = _start_visits(connections[0], 2 * rounds * each + 2 * CLIENTS)
        user_id = connections[0].execute("SELECT id FROM users WHERE username = 'owner'").fetchone()[0]
        connections[0].commit()

        def complete_by_http(client: Client, visit: int) -> float:
            return client.post(f"/bookings/{visit}/complete", {})

        def complete_by_sql(connection: psycopg.Connection, visit: int) -> float:
            return complete_bare(connection, visit, user_id)

        def many(workers, complete, count: int) -> tuple[float, list[float]]:
            batch = [visits.pop() for _ in range(count)]
            return together(workers, lambda worker, number: complete(worker, batch[number]), count)

        many(clients, complete_by_http, CLIENTS)  # both once, to be warm
        many(connections, complete_by_sql, CLIENTS)
        for _ in range(rounds):
            whole, some = many(clients, complete_by_http, each)
            through_http.append(whole / each)
            waits += some
            bare.append(many(connections, complete_by_sql, each)[0] / each)
    ratio = median(through_http) / median(bare)
    return [
        Row(
            WORK,
            f"{ms(median(through_http))} each ({1 / median(through_http):.0f}/s, p95 {ms(p95(waits))})",
            "≤ 3 × floor",
            f"bare SQL {ms(median(bare))} each ({1 / median(bare):.0f}/s)",
            ratio,
            ratio <= 3,
        )
    ]


def _start_visits(connection: psycopg.Connection, count: int) -> list[int]:
    """Visits of every branch, on cards, in progress: ready to be completed."""
    rows = connection.execute(
        """
        UPDATE bookings SET status = 'in_progress', arrived_at = now(), started_at = now(),
            version = version + 1
        WHERE id IN (SELECT b.id FROM bookings b JOIN booking_items i ON i.booking_id = b.id
                     WHERE b.status = 'confirmed' AND i.treatment_id IS NOT NULL AND b.starts_at > now() + '2 days'
                     ORDER BY md5(b.id::text) LIMIT %s)
        RETURNING id
        """,
        [count],
    ).fetchall()
    connection.commit()
    assert len(rows) == count, f"{len(rows)} visits on cards, {count} are needed"
    return [visit for (visit,) in rows]


def complete_bare(connection: psycopg.Connection, visit: int, user_id: int) -> float:
    """The floor: lock and write what completing a visit locks and writes, in one transaction. Returns the seconds.

    Statements are prepared by psycopg from their sixth use on; nothing is checked but what the database checks.
    """
    began = time.perf_counter()
    with connection.transaction():
        execute = connection.execute
        execute(
            "INSERT INTO idempotency_keys (key, actor_id, action, fingerprint, result) VALUES (%s, %s, %s, %s, %s)",
            [uuid.uuid4(), user_id, "complete", "0" * 64, visit],
        )
        execute("SELECT id FROM bookings WHERE id = %s FOR UPDATE", [visit])
        item, card, branch, value = execute(
            "SELECT i.id, c.id, c.branch_id, c.deferred_amount / c.total_sessions FROM booking_items i"
            " JOIN customer_treatments c ON c.id = i.treatment_id WHERE i.booking_id = %s ORDER BY c.id"
            " FOR UPDATE OF c",
            [visit],
        ).fetchone()
        (released,), (punched,) = execute(
            "INSERT INTO treatment_entries (treatment_id, kind, sessions, value_amount, booking_item_id, actor_id)"
            " VALUES (%s, 'release', 1, 0, %s, %s), (%s, 'punch', -1, %s, %s, %s) RETURNING id",
            [card, item, user_id, card, value, item, user_id],
        ).fetchall()
        execute(
            "UPDATE treatment_entries SET closed_by_id = %s"
            " WHERE booking_item_id = %s AND kind = 'hold' AND closed_by_id IS NULL",
            [released, item],
        )
        execute(
            "UPDATE customer_treatments SET held_sessions = held_sessions - 1, used_sessions = used_sessions + 1,"
            " recognised_amount = recognised_amount + %s WHERE id = %s",
            [value, card],
        )
        entry = execute(
            "INSERT INTO journal_entries (branch_id, event, posted_on, treatment_entry_id, actor_id)"
            " VALUES (%s, 'session_recognised', current_date, %s, %s) RETURNING id",
            [branch, punched, user_id],
        ).fetchone()[0]
        execute(
            "INSERT INTO journal_lines (entry_id, account_id, amount, treatment_id)"
            " VALUES (%s, 2110, %s, %s), (%s, 4110, %s, NULL)",
            [entry, value, card, entry, -value],
        )
        execute(
            "UPDATE bookings SET status = 'completed', completed_at = now(), version = version + 1 WHERE id = %s",
            [visit],
        )
        execute(
            "INSERT INTO audit_log (action, entity, entity_id, actor_id, ip, before, after)"
            " VALUES ('booking_completed', 'booking', %s, %s, '127.0.0.1', %s, %s)",
            [visit, user_id, Jsonb({"status": "in_progress"}), Jsonb({"status": "completed"})],
        )
    return time.perf_counter() - began
