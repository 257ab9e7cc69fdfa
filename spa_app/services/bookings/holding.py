"""Holding a freed place for somebody on the waitlist, and letting go of it. Confirming it makes the visit."""

import datetime as dt
from collections import Counter

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, InvalidError, WayOut, WrongStateError
from spa_app.extensions import db
from spa_app.models import Branch, StaffSkill, WaitlistEntry
from spa_app.queries.booking_form import fitting_cards, list_card_choices
from spa_app.services import audit, holds, waitlist
from spa_app.services.actor import Actor
from spa_app.services.bookings.booking import ItemRequest, book
from spa_app.services.bookings.visit import lock_booking, require_status
from spa_app.services.transaction import atomic


def hold_place(entry_id: int, *, starts_at: dt.datetime, actor: Actor, staff_id: int | None = None) -> int:
    """Hold a place for an entry of the waitlist for :data:`holds.HOLD_FOR`, and return the booking that holds it.

    ``staff_id`` performs what they can of it; None: whom the entry wishes for, else anyone. A fitting card reserves its
    session. Locks the entry, the customer's lapsed holds, then what :func:`book` does, and raises what it raises;
    :class:`WrongStateError` for an entry that does not wait (any longer), :class:`ConflictError` while another place is
    held for it.
    """
    with atomic() as session:
        entry = waitlist.lock_entry(entry_id, actor=actor)
        waitlist.require_waiting(entry)
        branch = session.get_one(Branch, entry.branch_id)
        now = clock.now()
        if entry.last_on < clock.today(branch.timezone):
            raise WrongStateError(
                "entry_lapsed",
                N_("The last date of this entry, %(date)s, has passed. Change its dates first."),
                ways_out=(WayOut("edit_entry", N_("Change the dates"), {"entry_id": entry_id}),),
                date=entry.last_on,
            )
        if starts_at < now:
            raise InvalidError("hold_in_past", N_("This time has passed: choose a later one."), field="starts_at")
        waitlist.refuse_held(entry)
        holds.end_lapsed_of(entry.customer_id)
        held_until = now + holds.HOLD_FOR
        booking_id = book(
            customer_id=entry.customer_id,
            branch_id=entry.branch_id,
            starts_at=starts_at,
            items=_items(entry, staff_id or entry.staff_id, clock.local_date(starts_at, branch.timezone)),
            actor=actor,
            note=entry.note,
            held_until=held_until,
            waitlist_entry_id=entry_id,
        )
        audit.record(
            "waitlist_held",
            entity="waitlist_entry",
            entity_id=entry_id,
            actor=actor,
            after={
                "booking_id": booking_id,
                "starts_at": starts_at.isoformat(),
                "held_until": held_until.isoformat(),
            },
        )
        return booking_id


def release_hold(booking_id: int, *, actor: Actor) -> int:
    """Let go of a held place before its time, whoever holds it, and return the booking's id.

    Locks the booking and its cards. Raises :class:`WrongStateError` for a visit, and for a hold that is over.
    """
    with atomic():
        booking = lock_booking(booking_id, actor=actor)
        require_status(booking, "pending")
        if booking.held_until is None:
            raise WrongStateError("not_held", N_("This is a visit, not a held place. Cancel it instead."))
        holds.end_hold(booking, holds.RELEASED, actor=actor)
        return booking.id


def _items(entry: WaitlistEntry, staff_id: int | None, visit_on: dt.date) -> list[ItemRequest]:
    """The entry's services, each by the therapist if they perform it, and on the card that expires first."""
    skills: set[int] = set()
    if staff_id is not None:
        query = select(StaffSkill.service_id).where(StaffSkill.staff_id == staff_id)
        skills.update(db.session.execute(query).scalars())
    service_ids = waitlist.list_service_ids(entry.id)
    if not skills.intersection(service_ids):
        skills.update(service_ids)  # not able to: booking says so
    cards = list_card_choices(entry.customer_id, branch_id=entry.branch_id)
    taken: Counter[int] = Counter()
    items = []
    for service_id in service_ids:
        fitting = fitting_cards(cards, service_id=service_id, visit_on=visit_on, taken=taken)
        card_id = fitting[0].id if fitting else None
        if card_id:
            taken[card_id] += 1
        items.append(ItemRequest(service_id, staff_id if service_id in skills else None, treatment_id=card_id))
    return items
