"""The day calendar against its own SQL, and the poll that finds nothing new against an empty Flask route."""

import re
import time
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from spa_app import clock
from tests.bench.clients import Client, in_turn, together
from tests.bench.table import Row, median, ms, p95
from tests.bench.world import World

CLIENTS = 8
FULL_DAY = "12 therapists, 150 bookings"


def measure(world: World, clients: list[Client], *, rounds: int, each: int) -> list[Row]:
    """The page of today in a branch where every hour is taken; the poll's revision is read off that page.

    What the server keeps does not help where something has changed: that page is the one held against its SQL.
    """
    day = f"/calendar?date={clock.today(world.settings.timezone)}&view=day&by=therapist"
    page = clients[0].get(day, plain=True)[1].decode()
    blocks = len(re.findall(r'id="booking-\d+"', page))
    assert blocks >= 140, f"the calendar shows {blocks} bookings"
    compressed = len(clients[0].get(day)[1])
    statements = statements_of(world, day)
    shown = int(re.findall(r'id="booking-(\d+)"', page)[0])
    alone: list[float] = []
    changed: list[float] = []
    sql: list[float] = []
    crowd: list[float] = []
    rates: list[float] = []
    polls: list[float] = []
    empties: list[float] = []
    with world.connect() as connection, world.empty_server() as empty_port:
        connection.autocommit = True
        empty = Client(empty_port)
        one = clients[0]
        one.close()

        def get_changed(_: int) -> float:
            connection.execute("UPDATE bookings SET version = version + 1 WHERE id = %s", [shown])
            return one.get(day)[0]

        for _ in range(rounds):
            sql += in_turn(lambda _: replay(connection, statements), each)
            changed += in_turn(get_changed, each)
            alone += in_turn(lambda _: one.get(day)[0], each)
            whole, some = together(clients, lambda client, _: client.get(day)[0], 2 * each)
            rates.append(2 * each / whole)
            crowd += some
            poll = _poll_address(one.get(day, plain=True)[1].decode())
            polls += in_turn(lambda _, poll=poll: one.get(poll, expect=204)[0], 3 * each)
            empties += in_turn(lambda _: empty.get("/", expect=204)[0], 3 * each)
        empty.close()
    sql_time, page_time, poll_time, empty_time = median(sql), median(changed), median(polls), median(empties)
    return [
        Row(
            f"day calendar, {FULL_DAY}, changed each time, 1 client",
            f"p50 {ms(page_time)}, {len(page) // 1024} KiB ({compressed // 1024} compressed)",
            "≤ 4 × floor, ≤ 25 ms",
            f"its {len(statements)} SQL statements {ms(sql_time)}",
            page_time / sql_time,
            page_time <= 4 * sql_time and page_time <= 0.025,
        ),
        Row(
            "the same, nothing changed",
            f"p50 {ms(median(alone))}",
            "≤ 25 ms",
            met=median(alone) <= 0.025,
        ),
        Row(
            f"day calendar, {FULL_DAY}, nothing changed, {CLIENTS} clients",
            f"p95 {ms(p95(crowd))}",
            "p95 ≤ 50 ms",
            met=p95(crowd) <= 0.05,
        ),
        Row("the same, pages a second", f"{median(rates):.0f}/s", "≥ 150/s", met=median(rates) >= 150),
        Row(
            "poll of an unchanged calendar",
            ms(poll_time),
            "≤ 2 × floor",
            f"empty Flask route {ms(empty_time)}",
            poll_time / empty_time,
            poll_time <= 2 * empty_time,
        ),
    ]


def _poll_address(page: str) -> str:
    address = re.search(r'hx-get="(/calendar/grid[^"]*)"', page)
    revision = re.search(r'name="revision"[^>]*value="([^"]+)"', page)
    assert address, "the calendar says nowhere how it is polled"
    assert revision, "the calendar has no revision"
    return f"{address[1].replace('&amp;', '&')}&revision={revision[1]}"


def statements_of(world: World, path: str) -> list[tuple[str, Any]]:
    """Each statement, with its values, that one request for ``path`` sends to the database."""
    heard: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        heard.append((statement, parameters))

    with world.app.app_context(), world.app.test_client() as client:
        world.app.config["WTF_CSRF_ENABLED"] = False
        client.post("/login", data={"username": "owner", "password": "owner-demo"})
        event.listen(Engine, "before_cursor_execute", hear)
        try:
            answer = client.get(path)
        finally:
            event.remove(Engine, "before_cursor_execute", hear)
            world.app.config["WTF_CSRF_ENABLED"] = True
    assert answer.status_code == 200
    return heard


def replay(connection: Any, statements: list[tuple[str, Any]]) -> float:
    """How long these statements take with nothing of the application around them."""
    began = time.perf_counter()
    for statement, parameters in statements:
        connection.execute(statement, parameters).fetchall()
    return time.perf_counter() - began
