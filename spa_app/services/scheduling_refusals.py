"""Why a visit does not fit, in words: who or what is in the way, until when, for what reason, and what can be done."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spa_app.errors import N_, ConflictError, DomainError, InvalidError, SlotTakenError, WayOut, Word
from spa_app.extensions import db
from spa_app.models import Branch, Resource, Staff
from spa_app.services import availability
from spa_app.services.availability import Facts, Span, Task
from spa_app.services.scheduling_facts import Busy, Hours, Taken, Team

if TYPE_CHECKING:
    from spa_app.services.scheduling_needs import Need

KIND_WORDS = {
    "leave": N_("leave"),
    "sick": N_("leave"),  # nobody at the desk needs to know more
    "break": N_("a break"),
    "blocked": N_("blocked"),
    "closed": N_("closed"),
    "maintenance": N_("maintenance"),
}
OVERRIDE = WayOut("override_hours", N_("A manager can put it outside the hours"))


@dataclass(frozen=True)
class Asked:
    """What was asked for: the needs, the same as tasks, and who and what could serve."""

    needs: "Sequence[Need]"
    tasks: Sequence[Task]
    team: Team
    branch: Branch
    override_hours: bool


def closed_error(branch: Branch, date: dt.date, hours: Hours) -> InvalidError:
    """The branch is not open for the whole of the visit; with the reason where the date is an exception."""
    ways = (WayOut("choose_slot", N_("Choose another time")), OVERRIDE)
    if hours.reasons.get(date):
        return InvalidError(
            "branch_closed",
            N_("%(branch)s keeps other hours on %(date)s (%(reason)s) and is closed at that time."),
            field="starts_at",
            ways_out=ways,
            branch=branch.name,
            date=date,
            reason=hours.reasons[date],
        )
    return InvalidError(
        "branch_closed",
        N_("%(branch)s is closed at that time, or closes before the visit is over."),
        field="starts_at",
        ways_out=ways,
        branch=branch.name,
    )


def refusal(asked: Asked, facts: Facts, busy: Busy, following: dt.datetime | None) -> DomainError:
    """What to raise for a visit in an open house that has no place; ``following`` is the next start that has one."""
    starts_at = asked.needs[0].starts_at
    for need, task in zip(asked.needs, asked.tasks, strict=True):
        choose_slot = WayOut("choose_slot", N_("Choose another time"), {"service_id": need.service.id})
        if not availability.free_staff(task, starts_at, facts, any_hours=asked.override_hours):
            service = task.service.at(starts_at)
            there = [
                one
                for one in task.staff
                if asked.override_hours or availability.is_within(service, facts.at_work.get(one, ()))
            ]
            if not there:
                return _off_shift(need, task, choose_slot, following)
            return _staff_taken(need, there, task.occupied.at(starts_at), busy.staff, choose_slot, following)
        for room in task.rooms:
            if not availability.free_rooms(room, starts_at, facts):
                during = room.during.at(starts_at)
                return _room_taken(need, room.candidates, during, busy.rooms, choose_slot, following)
    return ConflictError("busy", N_("Somebody else is working on this at this moment. Nothing was stored: try again."))


def _off_shift(need: "Need", task: Task, choose_slot: WayOut, following: dt.datetime | None) -> InvalidError:
    if need.staff_id is not None:
        return InvalidError(
            "off_shift",
            N_("%(name)s is not on shift at that time. Next free: %(next)s."),
            field=f"{need.field}staff_id",
            ways_out=(choose_slot, OVERRIDE),
            name=db.session.get_one(Staff, task.staff[0]).full_name,
            next=following,
        )
    return InvalidError(
        "off_shift",
        N_("Nobody who performs %(service)s is on shift at that time. Next free: %(next)s."),
        field="starts_at",
        ways_out=(choose_slot, OVERRIDE),
        service=need.service.name,
        next=following,
    )


def _staff_taken(
    need: "Need",
    people: Sequence[int],
    during: Span,
    taken: Mapping[int, Sequence[Taken]],
    choose_slot: WayOut,
    following: dt.datetime | None,
) -> SlotTakenError:
    one, what = _first_in_the_way(people, during, taken)
    blocked = next((other for other in what if other.kind), None)
    if blocked and need.staff_id is not None:
        on_leave = blocked.kind in ("leave", "sick")
        return SlotTakenError(
            "on_leave" if on_leave else "staff_blocked",
            N_("%(name)s is on leave from %(busy_from)s to %(busy_to)s. Next free: %(next)s.")
            if on_leave
            else N_("%(name)s is blocked from %(busy_from)s to %(busy_to)s: %(reason)s. Next free: %(next)s."),
            field=f"{need.field}staff_id",
            ways_out=(choose_slot,),
            name=db.session.get_one(Staff, one).full_name,
            busy_from=blocked.span.lower,
            busy_to=blocked.span.upper,
            next=following,
            **({} if on_leave else {"reason": _reason(blocked)}),
        )
    return SlotTakenError(
        "staff_busy",
        N_("The therapist is busy from %(busy_from)s to %(busy_to)s. Next free: %(next)s.")
        if len(people) == 1
        else N_("Every therapist who could is busy, the first from %(busy_from)s to %(busy_to)s. Next free: %(next)s."),
        field="starts_at",
        ways_out=(choose_slot,),
        busy_from=what[0].span.lower,
        busy_to=what[-1].span.upper,
        next=following,
    )


def _room_taken(
    need: "Need",
    rooms: Sequence[int],
    during: Span,
    taken: Mapping[int, Sequence[Taken]],
    choose_slot: WayOut,
    following: dt.datetime | None,
) -> SlotTakenError:
    one, what = _first_in_the_way(rooms, during, taken)
    blocked = next((other for other in what if other.kind), None)
    if blocked and len(rooms) == 1:
        return SlotTakenError(
            "room_closed",
            N_("%(name)s is closed from %(busy_from)s to %(busy_to)s: %(reason)s. Next free: %(next)s."),
            field=f"{need.field}resource_id" if need.resource_id else "starts_at",
            ways_out=(choose_slot,),
            name=db.session.get_one(Resource, one).name,
            busy_from=blocked.span.lower,
            busy_to=blocked.span.upper,
            reason=_reason(blocked),
            next=following,
        )
    return SlotTakenError(
        "resource_busy",
        N_("The room or equipment is busy from %(busy_from)s to %(busy_to)s. Next free: %(next)s.")
        if len(rooms) == 1
        else N_("Every room that would do is busy, the first from %(busy_from)s to %(busy_to)s. Next free: %(next)s."),
        field="starts_at",
        ways_out=(choose_slot,),
        busy_from=what[0].span.lower,
        busy_to=what[-1].span.upper,
        next=following,
    )


def _first_in_the_way(
    candidates: Sequence[int], during: Span, taken: Mapping[int, Sequence[Taken]]
) -> tuple[int, list[Taken]]:
    one = candidates[0]
    return one, [other for other in taken.get(one, ()) if other.span.overlaps(during)]


def _reason(blocked: Taken) -> str | Word:
    return blocked.reason or Word(KIND_WORDS[blocked.kind])
