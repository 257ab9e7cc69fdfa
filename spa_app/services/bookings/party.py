"""Customers who come together: each has a visit of their own, and one act reaches them all.

Locks: the visits by id → therapists → rooms → cards by id, each of them for all guests before the next.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, DomainError, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import Booking, Branch, Customer, Party
from spa_app.services import holds, treatments
from spa_app.services.actor import Actor
from spa_app.services.bookings import progress, reversal
from spa_app.services.bookings.booking import (
    MOST_ITEMS,
    NOTE_LENGTH,
    ItemRequest,
    check_start,
    enter_visit,
)
from spa_app.services.bookings.moving import (
    moved_needs,
    replace_places,
    require_not_over,
    settle_move,
    times_and_staff,
)
from spa_app.services.bookings.paying import Settlement
from spa_app.services.bookings.visit import list_items, lock_booking, require_status, require_version
from spa_app.services.scheduling import Slot
from spa_app.services.scheduling_facts import Absence
from spa_app.services.scheduling_needs import Need, Wish, in_sequence
from spa_app.services.scheduling_parties import GuestNeeds, next_slots_together, take_places_together
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

MOST_GUESTS = 6
MOVABLE = ("pending", "confirmed")


@dataclass(frozen=True)
class Guest:
    """One of those who come together, with the services of their visit."""

    customer_id: int
    items: Sequence[ItemRequest]


def guest_prefix(number: int) -> str:
    """How a form calls the fields of a guest: the first one's stand without a prefix, as in a visit for one."""
    return f"guests-{number - 1}-" if number else ""


def book_party(
    guests: Sequence[Guest],
    *,
    branch_id: int,
    starts_at: dt.datetime,
    actor: Actor,
    note: str = "",
    tentative: bool = False,
    override_hours: bool = False,
) -> list[int]:
    """Book a visit for each guest from ``starts_at`` on, all or none, and return their ids in the guests' order.

    Each has another therapist; where a room has places for them they share it, else each has their own. ``note`` stands
    at every visit. Locks therapists, then rooms, then cards. Raises what :func:`book` raises, at ``guests-<n>-…`` from
    the second guest on, and :class:`SlotTakenError` where each would fit but not all together.
    """
    with atomic() as session:
        actor.require_branch(branch_id)
        if override_hours:
            actor.require_manager()
        branch = session.get_one(Branch, branch_id)
        if not 2 <= len(guests) <= MOST_GUESTS:
            raise InvalidError(
                "guests_too_many", N_("2 to %(most)s guests can come together."), field="guests", most=MOST_GUESTS
            )
        customers = _customers(guests)
        note = clean_text(note, field="note", limit=NOTE_LENGTH)
        is_late = check_start(starts_at, actor=actor)
        wanted = [_needs(number, guest, starts_at) for number, guest in enumerate(guests)]
        placements = take_places_together(
            [GuestNeeds(needs, customer.preferred_staff_id) for needs, customer in zip(wanted, customers, strict=True)],
            branch=branch,
            override_hours=override_hours,
        )
        for customer in sorted(customers, key=lambda one: one.id):
            holds.end_lapsed_of(customer.id)
        cards = treatments.lock_cards(
            item.treatment_id for guest in guests for item in guest.items if item.treatment_id
        )
        party = Party(created_by_id=actor.user_id)
        session.add(party)
        session.flush()
        return [
            enter_visit(
                Booking(
                    branch_id=branch.id,
                    customer_id=guest.customer_id,
                    party_id=party.id,
                    status="pending" if tentative else "confirmed",
                    starts_at=starts_at,
                    note=note,
                    entered_late=is_late,
                    created_by_id=actor.user_id,
                ),
                guest.items,
                needs,
                placement,
                cards=cards,
                branch=branch,
                actor=actor,
            )
            for guest, needs, placement in zip(guests, wanted, placements, strict=True)
        ]


def move_party(
    booking_id: int,
    *,
    starts_at: dt.datetime,
    actor: Actor,
    staff_id: int | None = None,
    resource_id: int | None = None,
    item_id: int | None = None,
    minutes: int | None = None,
    versions: Mapping[int, int] | None = None,
    override_hours: bool = False,
) -> int:
    """Move a visit and all of its party that are still to come by the same time, all or none, and return its id.

    ``staff_id``, ``resource_id``, ``item_id`` and ``minutes`` are for this visit alone, as in :func:`move`: where it
    begins as before, the others stay as they are. ``versions``: what the caller's screen showed, by visit. Raises what
    :func:`move` raises, for each of them.
    """
    with atomic() as session:
        if override_hours:
            actor.require_manager()
        party = lock_party(booking_id, actor=actor)
        booking = next(one for one in party if one.id == booking_id)
        require_status(booking, *MOVABLE)
        for one in party:
            require_version(one, (versions or {}).get(one.id, one.version))
        branch = session.get_one(Branch, booking.branch_id)
        shift = starts_at - booking.starts_at
        require_not_over(list_items(booking_id), actor=actor)
        moving = [one for one in party if one is booking or (shift and _is_to_come(one))]
        items = [list_items(one.id) for one in moving]
        late = [check_start(one.starts_at + shift, actor=actor) for one in moving]
        needs = [
            moved_needs(some, starts_at, staff_id=staff_id, resource_id=resource_id, item_id=item_id, minutes=minutes)
            if one is booking
            else moved_needs(some, one.starts_at + shift)
            for one, some in zip(moving, items, strict=True)
        ]
        placements = take_places_together(
            [GuestNeeds(some) for some in needs],
            branch=branch,
            party_id=booking.party_id,
            except_booking_ids=[one.id for one in moving],
            override_hours=override_hours,
        )
        treatments.lock_cards(item.treatment_id for some in items for item in some if item.treatment_id)
        before = [times_and_staff(some) for some in items]
        replace_places(
            [item for some in items for item in some],
            [need for some in needs for need in some],
            [place for placement in placements for place in placement.places],
            party_id=booking.party_id,
        )
        for number, one in enumerate(moving):
            settle_move(
                one,
                items[number],
                placements[number],
                one.starts_at + shift,
                before=before[number],
                is_late=late[number],
                branch=branch,
                actor=actor,
            )
        return booking_id


def find_party_slots(
    booking_id: int,
    *,
    since: dt.datetime,
    limit: int = 5,
    staff_id: int | None = None,
    resource_id: int | None = None,
    item_id: int | None = None,
    minutes: int | None = None,
    only_this: bool = False,
    absence: Absence | None = None,
) -> list[Slot]:
    """The next starts of a visit from ``since`` on at which :func:`move_party`, asked the same, would find places.

    ``only_this``: where :func:`move` would. ``absence``: who or what is not there; somebody else does what the absent
    one was to do. Locks nothing, and raises as :func:`find_moves`.
    """
    booking = db.session.get_one(Booking, booking_id)
    others = (Booking.party_id == booking.party_id) & (Booking.id != booking_id)
    party = () if only_this else db.session.execute(select(Booking).where(others).order_by(Booking.id)).scalars().all()
    moving = [booking, *(one for one in party if _is_to_come(one))]
    shift = since - booking.starts_at
    needs = [
        moved_needs(
            list_items(booking_id), since, staff_id=staff_id, resource_id=resource_id, item_id=item_id, minutes=minutes
        ),
        *(moved_needs(list_items(one.id), one.starts_at + shift) for one in moving[1:]),
    ]
    if absence is not None and absence.staff_id is not None:
        needs = [
            [replace(need, staff_id=None) if need.staff_id == absence.staff_id else need for need in some]
            for some in needs
        ]
    found = next_slots_together(
        [GuestNeeds(some) for some in needs],
        branch=db.session.get_one(Branch, booking.branch_id),
        since=since,
        limit=limit,
        party_id=booking.party_id,
        except_booking_ids=[one.id for one in moving],
        absence=absence,
    )
    # A slot is when the first of them begins.
    wait = booking.starts_at - min(one.starts_at for one in moving)
    return [replace(slot, starts_at=slot.starts_at + wait) for slot in found]


def cancel_party(booking_id: int, *, reason: str, actor: Actor, waive_reason: str | None = None) -> int:
    """Cancel a visit and all of its party that can be cancelled, and return its id.

    Each follows the branch's policy by itself, or is waived with the others. Raises what :func:`cancel` raises.
    """

    def cancel(one: Booking) -> None:
        reversal.cancel(one.id, reason=reason, waive_reason=waive_reason, actor=actor)

    return _for_all(booking_id, ("pending", "confirmed", "in_progress"), cancel, actor=actor)


def arrive_party(booking_id: int, *, actor: Actor) -> int:
    """Note that a customer and all of the party are here. Raises what :func:`arrive` raises."""
    return _for_all(booking_id, ("confirmed",), lambda one: progress.arrive(one.id, actor=actor), actor=actor)


def start_party(booking_id: int, *, actor: Actor) -> int:
    """Begin the treatments of all of the party that are confirmed. Raises what :func:`start` raises."""
    return _for_all(booking_id, ("confirmed",), lambda one: progress.start(one.id, actor=actor), actor=actor)


def complete_party(
    booking_id: int,
    *,
    actor: Actor,
    settlements: Mapping[int, Settlement] | None = None,
    versions: Mapping[int, int] | None = None,
    reason: str = "",
) -> int:
    """Complete all visits of the party that are in progress, all or none: an invoice for each who pays.

    ``settlements``, by item id, and ``reason`` are as in :func:`complete`, for the visits as the desk saw them in
    ``versions``, by visit. Raises what :func:`complete` raises, from the second guest on at ``guests-<n>-…``, where the
    guests stand in the order of their visits' ids.
    """
    asked = dict(settlements or {})
    with atomic():
        party = lock_party(booking_id, actor=actor)
        items = {one.id: [item.id for item in list_items(one.id)] for one in party}
        if not asked.keys() <= {item_id for some in items.values() for item_id in some}:
            raise NotFoundError("item_unknown", N_("This service is no longer part of the visit."))
        others = [one.target_id for one in asked.values() if one.how == "card" and one.target_id]
        if others:
            for customer_id in sorted(one.customer_id for one in party):
                holds.end_lapsed_of(customer_id)

        def complete(one: Booking) -> None:
            try:
                progress.complete(
                    one.id,
                    settlements={item_id: asked[item_id] for item_id in items[one.id] if item_id in asked},
                    version=(versions or {}).get(one.id),
                    reason=reason,
                    actor=actor,
                )
            except DomainError as error:
                if error.field:
                    error.field = f"{guest_prefix(party.index(one))}{error.field}"
                raise

        return _for_all(booking_id, ("in_progress",), complete, actor=actor, other_cards=others)


def lock_party(booking_id: int, *, actor: Actor) -> list[Booking]:
    """Lock a visit and those of its party by id, and return them fresh. Raises what :func:`lock_booking` raises.

    Who belongs to a party never changes, so that it can be read before the locks.
    """
    party_id = select(Booking.party_id).where(Booking.id == booking_id).scalar_subquery()
    ids = db.session.execute(
        select(Booking.id).where((Booking.id == booking_id) | (Booking.party_id == party_id)).order_by(Booking.id)
    )
    return [lock_booking(one, actor=actor) for one in ids.scalars().all() or [booking_id]]


def _for_all(
    booking_id: int,
    statuses: Sequence[str],
    act: Callable[[Booking], object],
    *,
    actor: Actor,
    other_cards: Sequence[int] = (),
) -> int:
    """Do the same with a visit, whatever its status, and with those of its party whose status is one of these.

    ``other_cards`` are locked with those of the visits.
    """
    with atomic():
        party = lock_party(booking_id, actor=actor)
        reached = [one for one in party if one.id == booking_id or one.status in statuses]
        cards = [item.treatment_id for one in reached for item in list_items(one.id) if item.treatment_id]
        treatments.lock_cards([*cards, *other_cards])
        for one in reached:
            act(one)
        return booking_id


def _is_to_come(booking: Booking) -> bool:
    """Whether a visit goes along with its party to another time: what is over stays where it was."""
    return booking.status in MOVABLE and max(item.ends_at for item in list_items(booking.id)) > clock.now()


def _customers(guests: Sequence[Guest]) -> list[Customer]:
    found: list[Customer] = []
    for number, guest in enumerate(guests):
        field = f"{guest_prefix(number)}customer_id"
        customer = db.session.get(Customer, guest.customer_id)
        if customer is None:
            raise InvalidError("customer_unknown", N_("Choose a customer."), field=field)
        if customer in found:
            raise InvalidError(
                "guest_twice", N_("%(name)s is already one of the guests."), field=field, name=customer.full_name
            )
        found.append(customer)
    return found


def _needs(number: int, guest: Guest, starts_at: dt.datetime) -> list[Need]:
    prefix = guest_prefix(number)
    if not 1 <= len(guest.items) <= MOST_ITEMS:
        raise InvalidError("items_missing", N_("Choose at least one service."), field=f"{prefix}items-0-service_id")
    wishes = [Wish(item.service_id, item.staff_id, item.resource_id) for item in guest.items]
    return in_sequence(wishes, starts_at, prefix=prefix)
