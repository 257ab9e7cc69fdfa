"""Changing one service of a visit: add it, change it, cancel it alone, pay for it in another way.

Each act takes the ``version`` of the visit that the caller's screen showed, and is refused when somebody else changed
the visit meanwhile. Locks: booking → therapists → rooms → cards by id. Nothing is taken by a policy: the visit stands.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import func, select

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Branch, Service
from spa_app.services import audit, treatments
from spa_app.services.actor import Actor
from spa_app.services.bookings.booking import (
    MOST_ITEMS,
    ItemRequest,
    add_resources,
    check_start,
    record_override,
)
from spa_app.services.bookings.moving import check_minutes, replace_places, require_not_over, take_places_anew
from spa_app.services.bookings.paying import item_facts, pay_by
from spa_app.services.bookings.visit import list_items, list_resource_ids, lock_booking, require_status, require_version
from spa_app.services.scheduling import Placement
from spa_app.services.scheduling_needs import Need
from spa_app.services.transaction import atomic


@dataclass(frozen=True)
class _Visit:
    """A locked visit with the services that stand in it."""

    booking: Booking
    branch: Branch
    items: Sequence[BookingItem]

    def item(self, item_id: int) -> BookingItem:
        for item in self.items:
            if item.id == item_id:
                return item
        raise NotFoundError("item_unknown", N_("This service is no longer part of the visit."))


def add_item(
    booking_id: int,
    request: ItemRequest,
    *,
    version: int,
    actor: Actor,
    minutes: int | None = None,
    override_hours: bool = False,
) -> int:
    """Add a service after the last one of the visit, and return the visit's id. Holds a session if it is prepaid.

    ``minutes``: how long it takes, where that is not what the catalogue says. ``override_hours`` is as in :func:`book`.
    Raises :class:`WrongStateError` unless pending or confirmed, :class:`ConflictError` for a stale ``version``, and at
    the field what booking the service would raise.
    """
    with atomic() as session:
        visit = _lock(booking_id, "pending", "confirmed", version=version, actor=actor)
        if len(visit.items) >= MOST_ITEMS:
            raise InvalidError("items_too_many", N_("A visit can hold no more services."), field="service_id")
        service = _service(request.service_id)
        before = dt.timedelta(minutes=service.buffer_before_minutes)
        starts_at = _free_from(visit.items[-1]) + before
        need = Need(
            service,
            starts_at,
            staff_id=request.staff_id,
            resource_id=request.resource_id,
            duration=None if minutes is None else check_minutes(minutes),
        )
        needs = [*(_as_it_is(item) for item in visit.items), need]
        placement = _take_places(visit, needs, override_hours=override_hours, actor=actor)
        place = placement.places[-1]
        last = session.scalar(select(func.max(BookingItem.position)).where(BookingItem.booking_id == booking_id))
        item = BookingItem(
            booking_id=booking_id,
            booking_status=visit.booking.status,
            position=(last or 0) + 1,
            service_id=service.id,
            staff_id=place.staff_id,
            starts_at=need.starts_at,
            ends_at=need.ends_at,
            occupied=need.occupied.as_range,
            price_amount=service.price_amount,
            vat_rate_bp=service.vat_rate_bp,
        )
        session.add(item)
        session.flush()
        add_resources(item.id, place, party_id=visit.booking.party_id)
        pay_by(visit.booking, item, request.treatment_id, branch=visit.branch, actor=actor)
        record_override(visit.booking, placement, actor=actor)
        return _changed(visit, item, "booking_item_added", before=None, actor=actor)


def change_item(
    booking_id: int,
    item_id: int,
    request: ItemRequest,
    *,
    version: int,
    actor: Actor,
    minutes: int | None = None,
    override_hours: bool = False,
) -> int:
    """Give one service of the visit another therapist, room, card or length, or make it another; the visit's id.

    Without ``minutes`` it takes as long as it did, and another service as long as the catalogue says; the price is the
    service's. The services after it follow where it now ends earlier or later. A held session moves along with the
    card. Raises :class:`NotFoundError` for a service that is not in the visit, and what :func:`add_item` raises.
    """
    with atomic():
        visit = _lock(booking_id, "pending", "confirmed", version=version, actor=actor)
        item = visit.item(item_id)
        before = item_facts(item)
        index = visit.items.index(item)
        is_other = request.service_id != item.service_id
        duration = None if is_other else item.ends_at - item.starts_at
        if minutes is not None:
            require_not_over(visit.items, actor=actor)
            duration = check_minutes(minutes)
        service = _service(request.service_id) if is_other else db.session.get_one(Service, item.service_id)
        starts_at = item.starts_at
        if index and is_other:
            # A longer preparation than the old service had must not reach into the clean-up of the one before.
            free_from = _free_from(visit.items[index - 1])
            starts_at = max(starts_at, free_from + dt.timedelta(minutes=service.buffer_before_minutes))
        need = Need(
            service,
            starts_at,
            staff_id=request.staff_id,
            resource_id=request.resource_id,
            duration=duration,
            preferred_resource_ids=tuple(list_resource_ids(item)),
        )
        shift = need.occupied.upper - _free_from(item)
        needs = [
            *(_as_it_is(one) for one in visit.items[:index]),
            need,
            *(_as_it_is(one, shift=shift) for one in visit.items[index + 1 :]),
        ]
        placement = _take_places(visit, needs, override_hours=override_hours, actor=actor)
        replace_places(visit.items, needs, placement.places, party_id=visit.booking.party_id)
        if is_other:
            item.service_id = service.id
            item.price_amount = service.price_amount
            item.vat_rate_bp = service.vat_rate_bp
        pay_by(visit.booking, item, request.treatment_id, branch=visit.branch, actor=actor)
        record_override(visit.booking, placement, actor=actor)
        return _changed(visit, item, "booking_item_changed", before=before, actor=actor)


def cancel_item(booking_id: int, item_id: int, *, version: int, actor: Actor) -> int:
    """Take one service out of the visit, and return the visit's id: its time is free, its held session goes back.

    Raises :class:`ConflictError` for the last one that stands (cancel the visit instead) and a stale ``version``,
    :class:`NotFoundError` and :class:`WrongStateError` as :func:`change_item`.
    """
    with atomic() as session:
        visit = _lock(booking_id, "pending", "confirmed", version=version, actor=actor)
        item = visit.item(item_id)
        if len(visit.items) == 1:
            raise ConflictError(
                "last_item",
                N_("This is the only service of the visit: cancel the visit instead."),
                ways_out=(WayOut("cancel_visit", N_("Cancel the visit")),),
            )
        before = item_facts(item)
        if item.treatment_id:
            card = treatments.lock_cards([item.treatment_id])[item.treatment_id]
            treatments.release_hold(card, item_id=item.id, actor=actor, reason="service cancelled")
        item.cancelled_at = clock.now()
        session.flush()
        visit.booking.starts_at = min(one.starts_at for one in visit.items if one is not item)
        return _changed(visit, item, "booking_item_cancelled", before=before, actor=actor)


def change_payment(booking_id: int, item_id: int, *, treatment_id: int | None, version: int, actor: Actor) -> int:
    """Let another card pay for a service, or (None) the customer; the visit's id. Possible until it is completed.

    The way out for a card that can no longer be punched: its held session goes back, another card's is held. Raises
    what :func:`change_item` raises.
    """
    with atomic():
        visit = _lock(booking_id, "pending", "confirmed", "in_progress", version=version, actor=actor)
        item = visit.item(item_id)
        before = item_facts(item)
        pay_by(visit.booking, item, treatment_id, branch=visit.branch, actor=actor)
        return _changed(visit, item, "booking_item_payment_changed", before=before, actor=actor)


def _lock(booking_id: int, *statuses: str, version: int, actor: Actor) -> _Visit:
    booking = lock_booking(booking_id, actor=actor)
    require_status(booking, *statuses)
    require_version(booking, version)
    return _Visit(booking, db.session.get_one(Branch, booking.branch_id), list_items(booking_id))


def _service(service_id: int) -> Service:
    query = select(Service).where(Service.id == service_id, Service.is_active)
    service = db.session.execute(query).scalar()
    if service is None:
        raise InvalidError("service_unknown", N_("Choose a service."), field="service_id")
    return service


def _free_from(item: BookingItem) -> dt.datetime:
    """When the clean-up after an item is over."""
    return cast(dt.datetime, item.occupied.upper)


def _as_it_is(item: BookingItem, *, shift: dt.timedelta = dt.timedelta()) -> Need:
    return Need(
        db.session.get_one(Service, item.service_id),
        item.starts_at + shift,
        staff_id=item.staff_id,
        duration=item.ends_at - item.starts_at,
        preferred_resource_ids=tuple(list_resource_ids(item)),
    )


def _take_places(visit: _Visit, needs: Sequence[Need], *, override_hours: bool, actor: Actor) -> Placement:
    """Places for the whole visit, its present ones not counted: its services are checked against each other too."""
    check_start(visit.booking.starts_at, actor=actor)
    if override_hours:
        actor.require_manager()
    return take_places_anew(visit.booking, needs, branch=visit.branch, override_hours=override_hours)


def _changed(visit: _Visit, item: BookingItem, action: str, *, before: dict[str, Any] | None, actor: Actor) -> int:
    visit.booking.version += 1
    audit.record(
        action,
        entity="booking",
        entity_id=visit.booking.id,
        actor=actor,
        before=before,
        after=item_facts(item),
    )
    return visit.booking.id
