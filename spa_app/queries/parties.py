"""Who comes together with whom."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from spa_app.extensions import db
from spa_app.models import Booking, Customer, Invoice

GIVEN_UP = ("cancelled", "no_show")


@dataclass(frozen=True)
class Mate:
    """The visit of another guest of the same party, and what is left to pay for it."""

    booking_id: int
    full_name: str
    status: str
    version: int
    starts_at: dt.datetime
    arrived_at: dt.datetime | None
    invoice_id: int | None
    due_amount: int

    @property
    def comes(self) -> bool:
        """Whether the visit stands."""
        return self.status not in GIVEN_UP


def list_mates(booking_id: int) -> tuple[Mate, ...]:
    """The visits of the others of a visit's party, in the order in which they were named. Takes one statement."""
    mine = aliased(Booking)
    live = and_(
        Invoice.booking_id == Booking.id,
        Invoice.kind == "invoice",
        Invoice.status != "void",
        Invoice.is_credited.is_(False),
    )
    rows = db.session.execute(
        select(
            Booking.id,
            Customer.full_name,
            Booking.status,
            Booking.version,
            Booking.starts_at,
            Booking.arrived_at,
            Invoice.id,
            func.coalesce(Invoice.total_amount - Invoice.paid_amount, 0),
        )
        .join(mine, mine.party_id == Booking.party_id)
        .join(Customer, Customer.id == Booking.customer_id)
        .outerjoin(Invoice, live)
        .where(mine.id == booking_id, Booking.id != booking_id)
        .order_by(Booking.id)
    )
    return tuple(Mate(*row) for row in rows)


def mate_names() -> ColumnElement[str]:
    """A column for a statement about :class:`Booking`: the names of those who come along, or nothing."""
    mate, customer = aliased(Booking), aliased(Customer)
    names = (
        select(func.string_agg(customer.full_name, aggregate_order_by(literal(", "), mate.id)))
        .select_from(mate)
        .join(customer, customer.id == mate.customer_id)
        .where(mate.party_id == Booking.party_id, mate.id != Booking.id, mate.status.not_in(GIVEN_UP))
        .correlate(Booking)
        .scalar_subquery()
    )
    return case((Booking.party_id.is_not(None), func.coalesce(names, "")), else_="")
