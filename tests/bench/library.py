"""What is measured without HTTP: the next free slots, who stands in for an absent therapist, finding a customer."""

import time

from sqlalchemy import func, select, text

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Branch, Service
from spa_app.queries.customers import find_customers
from spa_app.services import bookings, scheduling
from spa_app.services.actor import SYSTEM
from spa_app.services.availability import Span
from spa_app.services.scheduling_facts import Absence
from spa_app.services.scheduling_needs import Wish, in_sequence
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
        needs = in_sequence([Wish(service.id)], since)
        slots: list[float] = []
        for _ in range(each + 3):
            began = time.perf_counter()
            found = scheduling.next_slots(needs, branch=branch, since=since)
            slots.append(time.perf_counter() - began)
            assert len(found) == 5
        absent_time, affected = _stand_ins(branch, since, each)
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
        Row(
            f"substitutes for the busiest therapist's {affected} visits, same day",
            f"p50 {ms(absent_time)}",
            "≤ 50 ms",
            met=absent_time <= 0.05,
        ),
        Row(f"find a customer among {customers:,}", f"p95 {ms(find_time)}", "≤ 20 ms", met=find_time <= 0.02),
    ]


def _stand_ins(branch: Branch, since: clock.dt.datetime, each: int) -> tuple[float, int]:
    """The median time of finding them, and for how many visits: all day, at the therapist with the most visits."""
    day = Span(*clock.day_bounds(clock.local_date(since, branch.timezone), branch.timezone))
    query = (
        select(BookingItem.staff_id)
        .join(Booking, Booking.id == BookingItem.booking_id)
        .where(
            Booking.branch_id == branch.id,
            BookingItem.starts_at.between(day.lower, day.upper),
            Booking.status.in_(("pending", "confirmed")),
        )
        .group_by(BookingItem.staff_id)
        .order_by(func.count().desc(), BookingItem.staff_id)
        .limit(1)
    )
    absence = Absence(day, staff_id=db.session.execute(query).scalar_one())
    times: list[float] = []
    for _ in range(each + 3):
        began = time.perf_counter()
        found = bookings.find_affected(absence, actor=SYSTEM)
        times.append(time.perf_counter() - began)
    assert found.visits
    return median(times[3:]), len(found.visits)
