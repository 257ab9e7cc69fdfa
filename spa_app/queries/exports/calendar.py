"""Visits as entries of a calendar."""

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Select, select

from spa_app.icalendar import Event
from spa_app.models import Booking, BookingItem, Branch, Customer, Service, Staff
from spa_app.queries.exports.stream import stream
from spa_app.queries.exports.table import Scope

_STATUSES = {"pending": "TENTATIVE", "cancelled": "CANCELLED", "no_show": "CANCELLED"}


def read_events(connection: Connection, scope: Scope) -> Iterator[Event]:
    """An event for each visit of the scope, from its first service to its last; places that were only held are none."""
    with stream(connection, _visits(scope)) as rows:
        for _, services in groupby(rows, attrgetter("id")):
            items = list(services)
            visit = items[0]
            yield Event(
                uid=f"booking-{visit.id}@{visit.code.lower()}.spa-app",
                starts_at=min(item.starts_at for item in items),
                ends_at=max(item.ends_at for item in items),
                summary=f"{visit.full_name}: {', '.join(item.service for item in items)}",
                description="\n".join(
                    [
                        *[f"{item.service}: {item.therapist}" for item in items],
                        *filter(None, (visit.phone, visit.note)),
                    ]
                ),
                location=", ".join(filter(None, (visit.branch, visit.address))),
                categories=[visit.status],
                status=_STATUSES.get(visit.status, "CONFIRMED"),
                sequence=visit.version - 1,
            )


def _visits(scope: Scope) -> Select[Any]:
    columns: tuple[Any, ...] = (
        Booking.id,
        Booking.status,
        Booking.version,
        Booking.note,
        Branch.code,
        Branch.name.label("branch"),
        Branch.address,
        Customer.full_name,
        Customer.phone,
        Service.name.label("service"),
        Staff.full_name.label("therapist"),
        BookingItem.starts_at,
        BookingItem.ends_at,
    )
    return (
        select(*columns)
        .select_from(Booking)
        .join(BookingItem, BookingItem.booking_id == Booking.id)
        .join(Customer, Customer.id == Booking.customer_id)
        .join(Branch, Branch.id == Booking.branch_id)
        .join(Service, Service.id == BookingItem.service_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .where(
            Booking.held_until.is_(None),
            BookingItem.cancelled_at.is_(None),
            *scope.on_days(Booking.branch_id, Booking.starts_at),
        )
        .order_by(Booking.id, BookingItem.position, BookingItem.id)
    )
