"""Visits, with their services."""

from typing import Any

from sqlalchemy import Select, Text, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from spa_app.errors import N_
from spa_app.models import Booking, BookingItem, BookingItemResource, Branch, Customer, Resource, Service, Staff, User
from spa_app.queries.exports.table import Column, Scope, Table
from spa_app.queries.exports.words import (
    BOOKING_ID,
    BRANCH,
    CUSTOMER_ID,
    CUSTOMER_NAME,
    CUSTOMER_PHONE,
    RECORDED_AT,
    currency,
)

_holder = aliased(User)
_ROOMS = (
    select(func.string_agg(Resource.name, aggregate_order_by(cast(", ", Text), Resource.id)))
    .join(BookingItemResource, BookingItemResource.resource_id == Resource.id)
    .where(BookingItemResource.booking_item_id == BookingItem.id)
    .scalar_subquery()
)


def _visits(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(Booking)
        .join(BookingItem, BookingItem.booking_id == Booking.id)
        .join(Customer, Customer.id == Booking.customer_id)
        .join(Branch, Branch.id == Booking.branch_id)
        .join(Service, Service.id == BookingItem.service_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .outerjoin(User, User.id == Booking.created_by_id)
        .outerjoin(_holder, _holder.id == Booking.held_by_id)
        .where(*scope.on_days(Booking.branch_id, Booking.starts_at))
        .order_by(Booking.id, BookingItem.position, BookingItem.id)
    )


BOOKINGS = Table(
    "bookings",
    N_("Visits"),
    N_("Each service of each visit, whatever became of it; by the day of the visit"),
    (
        Column("booking_id", Booking.id, BOOKING_ID),
        Column("branch", Branch.code, BRANCH),
        Column("customer_id", Booking.customer_id, CUSTOMER_ID),
        Column("full_name", Customer.full_name, CUSTOMER_NAME),
        Column("phone", Customer.phone, CUSTOMER_PHONE),
        Column("party_id", Booking.party_id, N_("Number that the visits of guests who come together share")),
        Column("status", Booking.status, N_("pending, confirmed, in_progress, completed, cancelled or no_show")),
        Column("visit_starts_at", Booking.starts_at, N_("When the visit begins")),
        Column("position", BookingItem.position, N_("Which service of the visit it is")),
        Column("booking_item_id", BookingItem.id, N_("Number of this service of the visit")),
        Column("service", Service.name, N_("Service")),
        Column("service_id", BookingItem.service_id, N_("The number of that service")),
        Column("therapist", Staff.full_name, N_("Therapist")),
        Column("therapist_id", BookingItem.staff_id, N_("The number of that therapist")),
        Column("rooms", _ROOMS, N_("Rooms and equipment")),
        Column("starts_at", BookingItem.starts_at, N_("When the service begins")),
        Column("ends_at", BookingItem.ends_at, N_("When the service ends, without cleaning up")),
        Column("price_amount", BookingItem.price_amount, N_("List price, VAT in it")),
        Column("vat_rate_bp", BookingItem.vat_rate_bp, N_("VAT in hundredths of a percent: 800 is eight percent")),
        currency(),
        Column("card_id", BookingItem.treatment_id, N_("The card that pays for it")),
        Column("item_cancelled_at", BookingItem.cancelled_at, N_("When this service alone was taken out")),
        Column("note", Booking.note, N_("Note")),
        Column("entered_late", Booking.entered_late, N_("Whether it was entered after the event")),
        Column("arrived_at", Booking.arrived_at, N_("When the customer arrived")),
        Column("started_at", Booking.started_at, N_("When the visit was started")),
        Column("completed_at", Booking.completed_at, N_("When it was completed")),
        Column("cancelled_at", Booking.cancelled_at, N_("When it was cancelled")),
        Column("cancel_reason", Booking.cancel_reason, N_("Why it was cancelled")),
        Column("held_until", Booking.held_until, N_("Until when the place was only held")),
        Column("held_by", _holder.username, N_("The user who held it")),
        Column("waitlist_entry_id", Booking.waitlist_entry_id, N_("The entry of the waitlist that led to it")),
        Column("version", Booking.version, N_("How often it was changed, plus one")),
        Column("user", User.username, N_("The user who booked it")),
        Column("created_at", Booking.created_at, RECORDED_AT),
    ),
    _visits,
    zone=Branch.timezone,
)
