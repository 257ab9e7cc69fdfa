"""What is measured without HTTP: the next free slots, and finding a customer."""

import time

from sqlalchemy import select, text

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch, Service
from spa_app.queries.customers import find_customers
from spa_app.services import scheduling
from tests.bench.table import Row, median, ms, p95
from tests.bench.world import World

# Names with and without accents, in any order, some common and some not; parts of phones.
SEARCHES = (
    "nguyen",
    "huong",
    "le thu",
    "yến",
    "pham ngoc lan",
    "trang tran",
    "0910001237",
    "1238",
    "+84910",
    "zzz",
    "an",
)


def measure(world: World, *, each: int) -> list[Row]:
    """``each`` searches for slots, and as many for each of :data:`SEARCHES`."""
    with world.app.app_context():
        branch = db.session.execute(select(Branch).where(Branch.code == "Q3")).scalar_one()
        service = db.session.execute(select(Service).where(Service.name == "Hot Stone Massage")).scalar_one()
        since = clock.at_local(
            clock.today(branch.timezone) + (clock.dt.timedelta(days=1)), clock.dt.time(8), branch.timezone
        )
        needs = scheduling.in_sequence([scheduling.Wish(service.id)], since)
        slots: list[float] = []
        for _ in range(each + 3):
            began = time.perf_counter()
            found = scheduling.next_slots(needs, branch=branch, since=since)
            slots.append(time.perf_counter() - began)
            assert len(found) == 5
        finds: list[float] = []
        for _ in range(each // 2 + 1):
            for words in SEARCHES:
                began = time.perf_counter()
                find_customers(words)
                finds.append(time.perf_counter() - began)
        customers = db.session.execute(text("SELECT count(*) FROM customers")).scalar_one()
        db.session.remove()
        db.engine.dispose()
    slot_time, find_time = median(slots[3:]), p95(finds[len(SEARCHES) :])
    return [
        Row(
            "next five free slots, 30 therapists, 150 bookings",
            f"p50 {ms(slot_time)}",
            "≤ 10 ms",
            met=slot_time <= 0.01,
        ),
        Row(f"find a customer among {customers:,}", f"p95 {ms(find_time)}", "≤ 20 ms", met=find_time <= 0.02),
    ]
