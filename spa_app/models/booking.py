"""Visits: a booking, its items, and what each item occupies."""

import datetime as dt

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    UniqueConstraint,
    and_,
    func,
    literal_column,
    or_,
    text,
)
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column, relationship

from spa_app.extensions import Base
from spa_app.models.branch import Branch

STATUSES = ("pending", "confirmed", "in_progress", "completed", "cancelled", "no_show")


class Party(Base):
    """Customers who come together, each with a visit of their own. Nobody joins or leaves it later."""

    __tablename__ = "parties"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class Booking(Base):
    """A visit of one customer. ``version`` grows with every change, so that a stale screen can be told.

    A pending one with ``held_until`` is no visit yet: a desk (``held_by_id``) holds the place for the customer until
    then. From that instant on the place is free, whether or not anybody has written so; confirming takes the limit
    away. A cancelled one that still has it never was more than a hold: no history or count of visits shows it.
    """

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'confirmed', 'in_progress', 'completed', 'cancelled', 'no_show')", name="status"
        ),
        CheckConstraint("status <> 'cancelled' OR cancel_reason <> ''", name="cancel_reason"),
        CheckConstraint("held_until IS NULL OR status IN ('pending', 'cancelled')", name="hold"),
        CheckConstraint("(held_until IS NULL) = (held_by_id IS NULL)", name="holder"),
        UniqueConstraint("id", "status"),
        # An entry of the waitlist leads to one place at a time.
        Index(
            "uq_bookings_live_waitlist_entry",
            "waitlist_entry_id",
            unique=True,
            postgresql_where=text("status NOT IN ('cancelled', 'no_show')"),
        ),
        Index(
            "ix_bookings_held_until",
            "held_until",
            postgresql_where=text("status = 'pending' AND held_until IS NOT NULL"),
        ),
        Index("ix_bookings_branch_id_starts_at", "branch_id", "starts_at"),
        Index("ix_bookings_customer_id", "customer_id", "starts_at"),
        Index("ix_bookings_party_id", "party_id", postgresql_where=text("party_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    party_id: Mapped[int | None] = mapped_column(ForeignKey("parties.id"))
    status: Mapped[str]
    starts_at: Mapped[dt.datetime]
    note: Mapped[str] = mapped_column(server_default="")
    entered_late: Mapped[bool] = mapped_column(server_default=text("false"))
    arrived_at: Mapped[dt.datetime | None]
    started_at: Mapped[dt.datetime | None]
    completed_at: Mapped[dt.datetime | None]
    cancelled_at: Mapped[dt.datetime | None]
    cancel_reason: Mapped[str] = mapped_column(server_default="")
    held_until: Mapped[dt.datetime | None]
    held_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    waitlist_entry_id: Mapped[int | None] = mapped_column(ForeignKey("waitlist_entries.id"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())

    branch: Mapped[Branch] = relationship(lazy="raise_on_sql", viewonly=True)
    items: Mapped[list["BookingItem"]] = relationship(
        order_by="BookingItem.position",
        lazy="raise_on_sql",
        primaryjoin="Booking.id == foreign(BookingItem.booking_id)",
    )

    @classmethod
    def is_shown(cls, now: ColumnElement[dt.datetime] | dt.datetime) -> ColumnElement[bool]:
        """Whether it is a visit, or a place that is held as of ``now``: a hold that is over shows nowhere."""
        return or_(cls.held_until.is_(None), and_(cls.status == "pending", cls.held_until > now))

    def is_lapsed_hold(self, now: dt.datetime) -> bool:
        """Whether the place was only held, and the time for that has passed."""
        return self.status == "pending" and self.held_until is not None and self.held_until <= now


class BookingItem(Base):
    """One service in a visit. ``occupied`` is its time with the clean-up buffers in: what nothing else may overlap.

    ``booking_status`` follows the booking through the foreign key, so that the exclusion constraint can leave out the
    visits that no longer occupy time. ``cancelled_at``: this service alone was taken out of the visit; it stays on
    record, occupies nothing, and is neither punched nor invoiced.
    """

    __tablename__ = "booking_items"
    __table_args__ = (
        ForeignKeyConstraint(
            ["booking_id", "booking_status"],
            ["bookings.id", "bookings.status"],
            name="fk_booking_items_booking",
            onupdate="CASCADE",
        ),
        CheckConstraint("starts_at < ends_at", name="order"),
        CheckConstraint("occupied @> tstzrange(starts_at, ends_at)", name="occupied_covers_visit"),
        CheckConstraint("price_amount >= 0", name="price"),
        UniqueConstraint("id", "occupies"),
        Index("ix_booking_items_booking_id", "booking_id", "position"),
        Index("ix_booking_items_starts_at", "starts_at"),
        Index("ix_booking_items_treatment_id", "treatment_id", postgresql_where=text("treatment_id IS NOT NULL")),
        ExcludeConstraint(
            ("staff_id", "="),
            ("occupied", "&&"),
            name="ex_booking_items_staff",
            where=text("occupies"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[int]
    booking_status: Mapped[str]
    position: Mapped[int] = mapped_column(SmallInteger)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    treatment_id: Mapped[int | None] = mapped_column(ForeignKey("customer_treatments.id"))
    starts_at: Mapped[dt.datetime]
    ends_at: Mapped[dt.datetime]
    occupied: Mapped[Range[dt.datetime]] = mapped_column(TSTZRANGE)
    occupies: Mapped[bool] = mapped_column(
        Computed(
            "booking_status IN ('pending', 'confirmed', 'in_progress', 'completed') AND cancelled_at IS NULL",
            persisted=True,
        )
    )
    price_amount: Mapped[int]
    vat_rate_bp: Mapped[int] = mapped_column(SmallInteger)
    cancelled_at: Mapped[dt.datetime | None]

    resources: Mapped[list["BookingItemResource"]] = relationship(
        order_by="BookingItemResource.resource_id", lazy="raise_on_sql"
    )


class BookingItemResource(Base):
    """A room or machine that an item occupies, for its whole ``occupied`` or for a part of it.

    The flag follows the item through the foreign key; who moves the item writes its rooms anew. Two rows of one room
    may overlap only where both name one ``party_id``, which a trigger holds to the visit's own, and then each at a
    ``place`` of its own, of as many as the room has. Without a party a row is alone, whatever else its visit holds.
    """

    __tablename__ = "booking_item_resources"
    __table_args__ = (
        ForeignKeyConstraint(
            ["booking_item_id", "occupies"],
            ["booking_items.id", "booking_items.occupies"],
            name="fk_booking_item_resources_item",
            onupdate="CASCADE",
        ),
        CheckConstraint("place = 1 OR (place > 1 AND party_id IS NOT NULL)", name="place"),
        ExcludeConstraint(
            ("resource_id", "="),
            ("occupied", "&&"),
            (literal_column("coalesce(party_id, -booking_item_id)"), "<>"),
            name="ex_booking_item_resources_resource",
            where=text("occupies"),
        ),
        ExcludeConstraint(
            ("resource_id", "="),
            ("place", "="),
            ("occupied", "&&"),
            name="ex_booking_item_resources_place",
            where=text("occupies AND party_id IS NOT NULL"),
        ),
    )

    booking_item_id: Mapped[int] = mapped_column(primary_key=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resources.id"), primary_key=True)
    occupied: Mapped[Range[dt.datetime]] = mapped_column(TSTZRANGE)
    occupies: Mapped[bool]
    party_id: Mapped[int | None]
    place: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
