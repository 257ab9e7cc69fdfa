"""The ledger's pages over a year, against their own SQL."""

import datetime as dt

from spa_app import clock
from tests.bench.calendar import replay, statements_of
from tests.bench.clients import Client, in_turn
from tests.bench.table import Row, median, ms
from tests.bench.world import World

PAGES = {
    "trial balance over a year": "/reports/ledger",
    "liability roll-forward over a year": "/reports/liability",
    "account page over a year": "/reports/ledger/accounts/1110",
}


def measure(world: World, clients: list[Client], *, rounds: int, each: int) -> list[Row]:
    """Each page by one client, in turn with the statements that it sends."""
    today = clock.today(world.settings.timezone)
    rows = []
    with world.connect() as connection:
        connection.autocommit = True
        lines = connection.execute("SELECT count(*) FROM journal_lines").fetchone()[0]
        for name, path in PAGES.items():
            address = f"{path}?from={today - dt.timedelta(days=365)}&to={today}"
            statements = [one for one in statements_of(world, address) if one[0].lstrip().startswith("SELECT")]
            sql: list[float] = []
            pages: list[float] = []
            for _ in range(rounds):
                sql += in_turn(lambda _, statements=statements: replay(connection, statements), each)
                pages += in_turn(lambda _, address=address: clients[0].get(address)[0], each)
            sql_time, page_time = median(sql), median(pages)
            rows.append(
                Row(
                    f"{name}, {lines:,} journal lines",
                    f"p50 {ms(page_time)}",
                    "≤ 1.5 × floor, ≤ 300 ms",
                    f"its {len(statements)} SQL statements {ms(sql_time)}",
                    page_time / sql_time,
                    page_time <= 1.5 * sql_time and page_time <= 0.3,
                )
            )
    return rows
