"""`make bench`: the table of speeds, each against a floor that is measured in the same run (5-proof, *Fast*)."""

import argparse
import contextlib
import logging
import os
import platform
import time
from collections.abc import Callable

import psycopg
import structlog

from spa_app.extensions import db
from spa_app.services import reconciliation
from tests.bench import calendar, desk, ledger, library, nightly, punch, search
from tests.bench.clients import Client
from tests.bench.table import Row, as_text
from tests.bench.world import WEB_WORKERS, World, make_world

CLIENTS = 8


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less data and fewer repetitions: under a minute")
    parser.add_argument(
        "--scale", type=float, default=None, help="the part of the large demo that is loaded (1 = 500,000 visits)"
    )
    asked = parser.parse_args()
    # The application within this process would tell of each request.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    load_before = os.getloadavg()[0]
    scale = asked.scale or (0.04 if asked.quick else 0.2)
    began = time.perf_counter()
    with make_world() as world:
        seconds = world.load(scale)
        say = f"Loaded {_size(world)} in {seconds:.0f} s (--scale {scale:g})."
        print(f"{say} Measuring...", flush=True)
        rows = _measure(world, quick=asked.quick, scale=scale)
        faults = _faults(world)
    print(f"\n{as_text(rows)}\n")
    print(
        f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}; PostgreSQL with fsync on, "
        f"gunicorn with {WEB_WORKERS} workers; clients on the same CPUs. Medians of repetitions taken in turn with "
        f"their floor. {time.perf_counter() - began:.0f} s in all; load average {load_before:.1f} when it began."
    )
    print(f"reconcile after it: {faults or 'everything stored agrees with its history'}")
    if faults:
        raise SystemExit(1)


def _measure(world: World, *, quick: bool, scale: float) -> list[Row]:
    rounds = 2 if quick else 5
    rows: list[Row] = []

    def part(measure: Callable[..., list[Row]], *args: object, **options: int) -> None:
        for row in measure(*args, **options):
            rows.append(row)
            print(f"  {row.work}: {row.measured}", flush=True)

    # First, while nothing is connected to the database that it copies.
    part(nightly.measure, world, rounds=1 if quick else 3)
    part(search.measure, world, customers=max(50_000, round(search.MOST * scale)), each=2 if quick else 5)
    part(library.measure, world, each=10 if quick else 40)
    with world.web_server() as port, contextlib.ExitStack() as stack:
        clients = [Client(port, username="owner") for _ in range(CLIENTS)]
        for client in clients:
            stack.callback(client.close)
        part(punch.measure, world, clients, rounds=rounds, each=120 if quick else 240)
        part(calendar.measure, world, clients, rounds=rounds, each=20 if quick else 40)
        part(desk.measure, world, clients, rounds=rounds, each=20 if quick else 40)
        part(ledger.measure, world, clients, rounds=rounds, each=2 if quick else 4)
    return rows


def _size(world: World) -> str:
    with world.connect() as connection:
        counts = [
            f"{_count(connection, table):,} {name}"
            for table, name in (
                ("branches", "branches"),
                ("customers", "customers"),
                ("bookings", "bookings"),
                ("customer_treatments", "cards"),
                ("journal_lines", "journal lines"),
            )
        ]
    return ", ".join(counts)


def _count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


def _faults(world: World) -> str:
    with world.app.app_context():
        faults = reconciliation.list_faults()
        db.session.remove()
        db.engine.dispose()
    return "; ".join(fault.text for fault in faults[:3])


if __name__ == "__main__":
    main()
