"""Booking a visit through HTTP: what the other systems of 5-proof were measured at."""

import datetime as dt
import itertools

from spa_app import clock
from spa_app.services.demo_large import DAYS_AHEAD
from tests.bench.clients import Client, in_turn, together
from tests.bench.table import Row, median, ms
from tests.bench.world import World


def measure(world: World, clients: list[Client], *, rounds: int, each: int) -> list[Row]:
    """Book visits into days that are still free, each at a time and with a therapist of its own."""
    with world.connect() as connection:
        staff = connection.execute(
            "SELECT s.id, r.service_id FROM staff s JOIN branches b ON b.id = s.branch_id"
            " JOIN resources o ON o.branch_id = b.id AND o.position = s.position"
            " JOIN service_resources r ON r.type_id = o.type_id WHERE b.code = 'Q1'"
            " AND r.service_id IN (SELECT service_id FROM booking_items WHERE staff_id = s.id) ORDER BY s.position"
        ).fetchall()
    first_day = clock.today(world.settings.timezone) + dt.timedelta(days=DAYS_AHEAD)
    # Neighbours in this order share neither therapist nor room.
    places = itertools.product(range(60), range(8, 21), staff)
    customers = itertools.count(1)

    def form() -> dict[str, object]:
        day, hour, (staff_id, service_id) = next(places)
        return {
            "customer_id": next(customers),
            "starts_at": f"{first_day + dt.timedelta(days=day)}T{hour:02d}:00",
            "items-0-service_id": service_id,
            "items-0-staff_id": staff_id,
        }

    alone: list[float] = []
    rates: list[float] = []
    for _ in range(rounds):
        alone += in_turn(lambda _: clients[0].post("/bookings", form()), each)
        rates.append(4 * each / _book_all(clients, [form() for _ in range(4 * each)]))
    return [
        Row("book a visit, 1 client", f"p50 {ms(median(alone))}", "≤ 15 ms", met=median(alone) <= 0.015),
        Row("book visits, 8 clients", f"{median(rates):.0f}/s", "≥ 160/s", met=median(rates) >= 160),
    ]


def _book_all(clients: list[Client], forms: list[dict[str, object]]) -> float:
    return together(clients, lambda client, number: client.post("/bookings", forms[number]), len(forms))[0]
