"""The entries of the waitlist: made, changed, withdrawn, put back.

An entry is locked after the booking that it led to and before any therapist. Who holds a place for one:
:mod:`spa_app.services.bookings.holding`; who fits where: :mod:`spa_app.services.matching`.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, Word, WrongStateError
from spa_app.extensions import db
from spa_app.models import (
    EVERY_DAY,
    Booking,
    Branch,
    Customer,
    Service,
    Staff,
    User,
    WaitlistEntry,
    WaitlistService,
)
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.texts import clean_text, required_reason
from spa_app.services.transaction import atomic

MOST_SERVICES = 3
NOTE_LENGTH = 500
LONGEST = dt.timedelta(days=366)
STATUS_WORDS = {
    "waiting": N_("waiting"),
    "booked": N_("booked"),
    "withdrawn": N_("withdrawn"),
}


def add_entry(
    *,
    branch_id: int,
    customer_id: int,
    service_ids: Sequence[int],
    first_on: dt.date,
    last_on: dt.date,
    actor: Actor,
    weekdays: int = EVERY_DAY,
    from_time: dt.time | None = None,
    until_time: dt.time | None = None,
    staff_id: int | None = None,
    note: str = "",
) -> int:
    """Put a customer on a branch's waitlist, and return the entry's id.

    ``service_ids`` follow one another in one visit, which must lie within ``from_time`` and ``until_time`` (None: the
    opening hours) on one of the local dates ``first_on`` to ``last_on`` that fall on ``weekdays`` (a bit each, Monday's
    first). ``staff_id``: nobody else will do. Raises :class:`InvalidError` at the field. Locks nothing.
    """
    with atomic() as session:
        actor.require_branch(branch_id)
        branch = session.get_one(Branch, branch_id)
        if session.get(Customer, customer_id) is None:
            raise InvalidError("customer_unknown", N_("Choose a customer."), field="customer_id")
        entry = WaitlistEntry(branch_id=branch_id, customer_id=customer_id, created_by_id=actor.user_id)
        _fill(entry, branch, service_ids, first_on, last_on, weekdays, from_time, until_time, staff_id, note)
        session.add(entry)
        session.flush()
        _store_services(entry.id, service_ids)
        audit.record(
            "waitlist_added",
            entity="waitlist_entry",
            entity_id=entry.id,
            actor=actor,
            after=_facts(entry, service_ids),
        )
        return entry.id


def change_entry(
    entry_id: int,
    *,
    version: int,
    service_ids: Sequence[int],
    first_on: dt.date,
    last_on: dt.date,
    actor: Actor,
    weekdays: int = EVERY_DAY,
    from_time: dt.time | None = None,
    until_time: dt.time | None = None,
    staff_id: int | None = None,
    note: str = "",
) -> int:
    """Change what somebody waits for, and return the entry's id. ``version`` is what the caller's screen showed.

    Locks the entry. Raises :class:`WrongStateError` unless it is waiting, :class:`ConflictError` when somebody else
    changed it meanwhile, and what :func:`add_entry` raises.
    """
    with atomic() as session:
        entry = lock_entry(entry_id, actor=actor)
        require_waiting(entry)
        if version != entry.version:
            raise ConflictError(
                "changed_meanwhile", N_("Somebody else has just changed this. Here is how it stands now.")
            )
        branch = session.get_one(Branch, entry.branch_id)
        before = _facts(entry, list_service_ids(entry_id))
        _fill(entry, branch, service_ids, first_on, last_on, weekdays, from_time, until_time, staff_id, note)
        session.execute(delete(WaitlistService).where(WaitlistService.entry_id == entry_id))
        _store_services(entry_id, service_ids)
        _changed(entry, "waitlist_changed", actor=actor, before=before, after=_facts(entry, service_ids))
        return entry_id


def withdraw_entry(entry_id: int, *, reason: str, actor: Actor) -> int:
    """Take somebody off the waitlist, and return the entry's id. Locks the entry.

    Raises :class:`InvalidError` without a reason, :class:`WrongStateError` unless it is waiting, and
    :class:`ConflictError` while a place is held for it.
    """
    with atomic():
        reason = required_reason(reason)
        entry = lock_entry(entry_id, actor=actor)
        require_waiting(entry)
        refuse_held(entry)
        entry.status, entry.withdraw_reason = "withdrawn", reason
        _changed(
            entry,
            "waitlist_withdrawn",
            actor=actor,
            before={"status": "waiting"},
            after={"status": "withdrawn"},
            reason=reason,
        )
        return entry_id


def put_back(entry_id: int, *, actor: Actor) -> int:
    """Let somebody wait again who was withdrawn, or whose visit did not take place; returns the entry's id.

    Locks the entry. Raises :class:`WrongStateError` for one that waits already, or whose visit stands.
    """
    with atomic() as session:
        entry = lock_entry(entry_id, actor=actor)
        stands = session.execute(select(Booking.id).where(*_live(entry_id))).first()
        if entry.status == "waiting" or stands:
            raise _wrong_state(entry)
        before, entry.status, entry.withdraw_reason = entry.status, "waiting", ""
        _changed(entry, "waitlist_put_back", actor=actor, before={"status": before}, after={"status": "waiting"})
        return entry_id


def mark_booked(entry_id: int, *, booking_id: int, actor: Actor) -> None:
    """Note that the entry has led to a visit. The caller holds that booking locked; locks the entry."""
    entry = lock_entry(entry_id, actor=actor)
    if entry.status == "booked":
        return
    before, entry.status, entry.withdraw_reason = entry.status, "booked", ""
    after = {"status": "booked", "booking_id": booking_id}
    _changed(entry, "waitlist_booked", actor=actor, before={"status": before}, after=after)


def lock_entry(entry_id: int, *, actor: Actor) -> WaitlistEntry:
    """Lock an entry and return it fresh. Raises :class:`NotFoundError` for one of another branch or none."""
    query = select(WaitlistEntry).where(WaitlistEntry.id == entry_id).with_for_update()
    entry = db.session.execute(query.execution_options(populate_existing=True)).scalar()
    if entry is None:
        raise NotFoundError("entry_unknown", N_("There is no such entry on the waitlist."))
    actor.require_branch(entry.branch_id)
    return entry


def require_waiting(entry: WaitlistEntry) -> None:
    """Raise :class:`WrongStateError`, naming the present status, unless the entry is waiting."""
    if entry.status != "waiting":
        raise _wrong_state(entry)


def refuse_held(entry: WaitlistEntry) -> None:
    """Raise :class:`ConflictError`, naming who holds it until when, while a place is held for a locked entry."""
    query = (
        select(Booking.held_until, User.full_name)
        .join(User, User.id == Booking.held_by_id)
        .where(*_live(entry.id), Booking.held_until > clock.now())
    )
    row = db.session.execute(query).first()
    if row is not None:
        raise ConflictError(
            "entry_held",
            N_("%(name)s holds a place for this customer until %(until)s. Confirm or release it first."),
            name=row.full_name,
            until=row.held_until,
        )


def list_service_ids(entry_id: int) -> list[int]:
    """What the visit shall hold, in order."""
    query = select(WaitlistService.service_id).where(WaitlistService.entry_id == entry_id)
    return list(db.session.execute(query.order_by(WaitlistService.position)).scalars())


def _live(entry_id: int) -> tuple[Any, ...]:
    # The condition of uq_bookings_live_waitlist_entry.
    return (Booking.waitlist_entry_id == entry_id, Booking.status.not_in(("cancelled", "no_show")))


def _wrong_state(entry: WaitlistEntry) -> WrongStateError:
    return WrongStateError(
        "entry_wrong_status",
        N_("This entry is %(status)s, so that is not possible. Nothing was changed."),
        status=Word(STATUS_WORDS[entry.status]),
        present=entry.status,
    )


def _fill(
    entry: WaitlistEntry,
    branch: Branch,
    service_ids: Sequence[int],
    first_on: dt.date,
    last_on: dt.date,
    weekdays: int,
    from_time: dt.time | None,
    until_time: dt.time | None,
    staff_id: int | None,
    note: str,
) -> None:
    today = clock.today(branch.timezone)
    _check_services(service_ids)
    if last_on < today:
        raise InvalidError("dates_over", N_("The last date lies in the past."), field="last_on")
    if first_on > last_on:
        raise InvalidError("dates_order", N_("The last date must not come before the first."), field="last_on")
    if last_on > today + LONGEST:
        raise InvalidError("dates_too_far", N_("That is more than a year ahead."), field="last_on")
    if not 0 < weekdays <= EVERY_DAY:
        raise InvalidError("weekdays_missing", N_("Choose at least one day of the week."), field="weekdays")
    days = (first_on + dt.timedelta(days=day) for day in range(min((last_on - first_on).days + 1, 7)))
    if not any(weekdays >> day.weekday() & 1 for day in days):
        raise InvalidError("weekdays_never", N_("None of these dates falls on the chosen days."), field="weekdays")
    if from_time is not None and until_time is not None and from_time >= until_time:
        raise InvalidError("times_order", N_("The end must come after the beginning."), field="until_time")
    if staff_id is not None:
        staff = db.session.get(Staff, staff_id)
        if staff is None or staff.branch_id != branch.id or not staff.is_active:
            raise InvalidError("staff_unknown", N_("Choose a therapist of this branch."), field="staff_id")
    entry.first_on, entry.last_on, entry.weekdays = first_on, last_on, weekdays
    entry.from_time, entry.until_time, entry.staff_id = from_time, until_time, staff_id
    entry.note = clean_text(note, field="note", limit=NOTE_LENGTH)


def _check_services(service_ids: Sequence[int]) -> None:
    if not 1 <= len(service_ids) <= MOST_SERVICES:
        raise InvalidError("services_missing", N_("Choose a service."), field="service_id")
    query = select(Service.id).where(Service.id.in_(set(service_ids)), Service.is_active)
    known = set(db.session.execute(query).scalars())
    if not known.issuperset(service_ids):
        raise InvalidError("service_unknown", N_("Choose a service."), field="service_id")


def _store_services(entry_id: int, service_ids: Sequence[int]) -> None:
    db.session.add_all(
        WaitlistService(entry_id=entry_id, position=position, service_id=service_id)
        for position, service_id in enumerate(service_ids, start=1)
    )
    db.session.flush()


def _changed(
    entry: WaitlistEntry,
    action: str,
    *,
    actor: Actor,
    before: dict[str, Any],
    after: dict[str, Any],
    reason: str = "",
) -> None:
    entry.version += 1
    db.session.flush()
    audit.record(
        action,
        entity="waitlist_entry",
        entity_id=entry.id,
        actor=actor,
        before=before,
        after=after,
        reason=reason,
    )


def _facts(entry: WaitlistEntry, service_ids: Sequence[int]) -> dict[str, Any]:
    return {
        "customer_id": entry.customer_id,
        "service_ids": list(service_ids),
        "staff_id": entry.staff_id,
        "first_on": entry.first_on.isoformat(),
        "last_on": entry.last_on.isoformat(),
        "weekdays": entry.weekdays,
        "from_time": entry.from_time.isoformat() if entry.from_time else None,
        "until_time": entry.until_time.isoformat() if entry.until_time else None,
        "note": entry.note,
    }
