"""Finding customers, and those who are there twice, among many more of them than the demo has."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import psycopg

from spa_app import create_app
from spa_app.extensions import db
from spa_app.queries.customers import find_customers
from spa_app.queries.duplicates import list_duplicates, list_suspects
from tests.bench.library import SEARCHES
from tests.bench.table import Row, median, ms, p95
from tests.bench.world import World

MOST = 1_000_000  # customers at --scale 1
BATCH = 50_000
# Of ten surnames, ten middle and thirty given names, half of them doubled: many namesakes, as there are.
PEOPLE = """
    INSERT INTO customers (full_name, phone, birth_date)
    SELECT concat_ws(' ', (CAST(%(surnames)s AS text[]))[1 + n * 7919 %% 10],
                     (CAST(%(middle)s AS text[]))[1 + n / 7 %% 10],
                     (CAST(%(given)s AS text[]))[1 + n * 48271 %% 30],
                     CASE WHEN n %% 2 = 0 THEN (CAST(%(given)s AS text[]))[1 + n / 61 %% 30] END),
           '+843' || lpad((10000000 + n * 83)::text, 8, '0'), date '1950-01-01' + (n * 7919 %% 20000)::int
    FROM generate_series(CAST(%(first)s AS bigint), CAST(%(last)s AS bigint)) n
"""
NAMES = {
    "surnames": ["Nguyễn", "Trần", "Lê", "Phạm", "Huỳnh", "Hoàng", "Vũ", "Võ", "Đặng", "Bùi"],
    "middle": ["Thị", "Văn", "Ngọc", "Minh", "Thu", "Thanh", "Kim", "Hồng", "Bảo", "Đức"],
    "given": [
        "Mai",
        "Lan",
        "Hoa",
        "Hương",
        "Hà",
        "Linh",
        "Trang",
        "Thảo",
        "Ngân",
        "Yến",
        "Nhung",
        "Phương",
        "Vy",
        "An",
        "Bình",
        "Châu",
        "Dung",
        "Giang",
        "Hạnh",
        "Khanh",
        "Ly",
        "My",
        "Nga",
        "Oanh",
        "Quyên",
        "Sương",
        "Tâm",
        "Uyên",
        "Xuân",
        "Nhi",
    ],
}
MORE_SEARCHES = ("nguyen thi mai", "van binh", "le thi huong tra", "0312 345", "345678", "tran ngoc uyen xuan")


def measure(world: World, *, customers: int, each: int) -> list[Row]:
    """Search a copy of the database that was filled up to so many ``customers``, ``each`` times for each text."""
    with world.copy("searched") as url:
        _fill(url, customers)
        app = create_app(replace(world.settings, database_url=url))
        with app.app_context():
            words = (*SEARCHES, *MORE_SEARCHES)
            finds = [_timed(partial(find_customers, one)) for _ in range(each + 1) for one in words]
            suspects = [_timed(partial(list_suspects, number * 13)) for number in range(1, 21)]
            listed = _timed(list_duplicates)
            db.session.remove()
            db.engine.dispose()
    find, suspect = p95(finds[len(words) :]), median(suspects)
    return [
        Row(f"find a customer among {customers:,}", f"p95 {ms(find)}", "≤ 20 ms", met=find <= 0.02),
        Row(f"who may be the same person, of {customers:,}", f"p50 {ms(suspect)}", "≤ 20 ms", met=suspect <= 0.02),
        Row(f"possible duplicates, the newest 100,000 of {customers:,}", f"{listed:.1f} s"),
    ]


def _fill(url: str, customers: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM customers").fetchone()
        assert row is not None
        for first in range(int(row[0]) + 1, customers + 1, BATCH):
            connection.execute(PEOPLE, {**NAMES, "first": first, "last": min(first + BATCH - 1, customers)})
        connection.execute("VACUUM ANALYZE customers")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
