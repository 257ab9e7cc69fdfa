"""Shifts, leave, blocked time, special dates and parts of a visit: what is offered is what can be booked."""

import datetime as dt
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from spa_app import clock
from spa_app.errors import InvalidError, NotAllowedError, NotFoundError, SlotTakenError
from spa_app.extensions import db
from spa_app.models import Branch
from spa_app.services import blocks, bookings, rosters, scheduling
from spa_app.services.actor import SYSTEM
from spa_app.services.bookings import ItemRequest
from spa_app.services.scheduling_needs import Wish
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, execute, refused, rows

HOUR = dt.timedelta(hours=1)
TWO_WAYS = ("choose_slot", "override_hours")


@pytest.fixture
def at(spa):
    return partial(factories.tomorrow_at, spa.branch)


@pytest.fixture
def book(spa):
    def book(starts_at, *items, actor=None, **extra):
        return bookings.book(
            customer_id=extra.pop("customer_id", spa.customer),
            branch_id=spa.branch,
            starts_at=starts_at,
            items=items,
            actor=actor or spa.receptionist,
            **extra,
        )

    return book


@pytest.fixture
def block(spa):
    def block(starts_at, ends_at, *, actor=None, reason="Team meeting", **what):
        kind = what.pop("kind", "blocked")
        return blocks.block_time(
            starts_at=starts_at, ends_at=ends_at, kind=kind, reason=reason, actor=actor or spa.receptionist, **what
        )

    return block


def tomorrow(spa):
    return clock.today(db.session.get_one(Branch, spa.branch).timezone) + dt.timedelta(days=1)


def times(*texts):
    return [tuple(dt.time.fromisoformat(one) for one in text.split("-")) for text in texts]


def slots(spa, *wishes, since, limit=5, **extra):
    return scheduling.find_slots(wishes, branch_id=spa.branch, since=since, limit=limit, **extra)


def who(booking):
    return [
        staff
        for (staff,) in rows("SELECT staff_id FROM booking_items WHERE booking_id = :id ORDER BY position", id=booking)
    ]


def test_a_shift_is_kept_and_a_manager_may_leave_it_with_a_trace(spa, book, at):
    first, second = spa.therapists
    rosters.set_shifts(
        staff_id=first, works_on=tomorrow(spa), periods=times("09:00-12:00", "13:00-18:00"), actor=spa.manager
    )
    facial = ItemRequest(spa.facial, first)

    for hour, good in (("09:00", True), ("11:00", True), ("13:00", True), ("17:00", True)):
        bookings.cancel(book(at(hour), facial), reason="test", actor=spa.receptionist) if good else None
    for hour in ("08:00", "11:30", "12:30", "17:15"):
        with refused("off_shift", InvalidError, "items-0-staff_id", TWO_WAYS) as caught:
            book(at(hour), facial)
    assert caught.value.params["name"] == "Hồng"
    # Another day of a week with shifts is off; a week without any is all opening hours.
    rosters.set_shifts(staff_id=second, works_on=tomorrow(spa), periods=times("09:00-12:00"), actor=spa.manager)
    with refused("off_shift", InvalidError, "starts_at", TWO_WAYS):
        book(at("18:00"), ItemRequest(spa.facial))
    assert who(book(at("18:00") + 7 * 24 * HOUR, facial)) == [first]

    booking = book(at("18:00"), facial, actor=spa.manager, override_hours=True)

    assert rows("SELECT after ->> 'off_shift' FROM audit_log WHERE action = 'booking_hours_overridden'") == [
        (f"[{first}]",)
    ]
    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        book(at("18:30"), facial, actor=spa.manager, override_hours=True)
    assert booking


def test_only_one_who_is_on_shift_is_anyone(spa, book, at):
    first, second = spa.therapists
    rosters.set_shifts(staff_id=first, works_on=tomorrow(spa), periods=times("14:00-20:00"), actor=spa.manager)

    assert who(book(at("10:00"), ItemRequest(spa.facial))) == [second]
    assert [slot.staff_id for slot in slots(spa, Wish(spa.facial), since=at("13:45"), limit=2)] == [second, first]


@pytest.mark.parametrize(
    ("kind", "code", "says"),
    [
        ("leave", "on_leave", "Hồng is on leave from"),
        ("sick", "on_leave", "Hồng is on leave from"),
        ("break", "staff_blocked", ": Team meeting. Next free"),
    ],
)
def test_leave_and_breaks_are_refused_by_name_even_to_a_manager(spa, book, block, at, kind, code, says):
    first, second = spa.therapists
    block(at("12:00"), at("13:00"), staff_id=first, kind=kind)

    for actor, extra in ((spa.receptionist, {}), (spa.manager, {"override_hours": True})):
        with refused(code, SlotTakenError, "items-0-staff_id", ("choose_slot",)) as caught:
            book(at("12:30"), ItemRequest(spa.facial, first), actor=actor, **extra)
    assert says in str(caught.value)
    assert (caught.value.params["busy_to"], caught.value.params["next"]) == (at("13:00"), at("13:00"))
    with refused(code, SlotTakenError, "items-0-staff_id", ("choose_slot",)):
        book(at("11:00"), ItemRequest(spa.facial, first))  # its clean-up would reach into it
    assert who(book(at("12:30"), ItemRequest(spa.facial))) == [second]
    book(at("13:00"), ItemRequest(spa.facial, first))
    assert_books_balance()


def test_a_closed_room_is_refused_by_name_and_another_is_taken(spa, book, block, at):
    block(at("10:00"), at("15:00"), resource_id=spa.rooms[0], kind="maintenance", reason="")

    with refused("room_closed", SlotTakenError, "items-0-resource_id", ("choose_slot",)) as caught:
        book(at("12:00"), ItemRequest(spa.facial, None, spa.rooms[0]))
    assert "Room 1 is closed" in str(caught.value)
    assert str(caught.value.params["reason"]) == "maintenance"
    book(at("12:00"), ItemRequest(spa.facial))
    assert rows("SELECT resource_id FROM booking_item_resources") == [(spa.rooms[1],)]


def test_time_is_blocked_only_where_nobody_is_booked(spa, book, block, at):
    booking = book(at("10:00"), ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]))

    for what in ({"staff_id": spa.therapists[0]}, {"resource_id": spa.rooms[0]}):
        with refused("visit_in_the_way", SlotTakenError, "starts_at", ("calendar",)) as caught:
            block(at("11:00"), at("12:00"), **what)
        assert caught.value.params["customer"] == "Lê Thị Mai"
        block(at("11:10"), at("12:00"), **what)
    bookings.cancel(booking, reason="ill", actor=spa.receptionist)
    taken = block(at("10:30"), at("11:00"), staff_id=spa.therapists[0])
    with refused("staff_blocked", SlotTakenError, "staff_id", ("choose_slot",)):
        bookings.undo_cancel(booking, actor=spa.receptionist)
    blocks.unblock_time(taken, actor=spa.receptionist)
    bookings.undo_cancel(booking, actor=spa.receptionist)
    assert audited("blocked_time") == ["time_blocked"] * 3 + ["time_unblocked"]
    assert_books_balance()


def test_a_block_that_cannot_be_is_refused_at_its_field(spa, block, at):
    therapist = {"staff_id": spa.therapists[0]}
    with refused("nothing_to_block", InvalidError, "what"):
        block(at("10:00"), at("11:00"))
    with refused("not_found", NotFoundError):
        block(at("10:00"), at("11:00"), staff_id=spa.other_therapist)
    with refused("not_found", NotFoundError):
        block(at("10:00"), at("11:00"), resource_id=4711)
    with refused("kind_unknown", InvalidError, "kind"):
        block(at("10:00"), at("11:00"), kind="closed", **therapist)
    with refused("ends_before", InvalidError, "ends_at"):
        block(at("10:00"), at("10:00"), **therapist)
    with refused("too_long", InvalidError, "ends_at"):
        block(at("10:00"), at("10:00") + 367 * 24 * HOUR, **therapist)
    with refused("reason_missing", InvalidError, "reason"):
        block(at("10:00"), at("11:00"), reason=" ", **therapist)
    with refused("too_long", InvalidError, "reason"):
        block(at("10:00"), at("11:00"), reason="x" * 201, **therapist)
    taken = block(at("10:00"), at("11:00"), **therapist)
    with refused("not_found", NotFoundError):
        blocks.unblock_time(taken, actor=spa.other_receptionist)
    with refused("block_unknown", NotFoundError):
        blocks.unblock_time(4711, actor=spa.receptionist)


def test_a_holiday_and_special_hours(spa, book, at):
    day, facial = tomorrow(spa), ItemRequest(spa.facial, spa.therapists[0])
    exception = partial(rosters.set_exception, branch_id=spa.branch, happens_on=day, actor=spa.manager, reason="Tết")
    exception(periods=[])
    with refused("branch_closed", InvalidError, "starts_at", TWO_WAYS) as caught:
        book(at("10:00"), facial)
    assert "Tết" in str(caught.value)
    assert slots(spa, Wish(spa.facial), since=at("08:00"))[0].starts_at == at("08:00") + 24 * HOUR

    exception(periods=times("10:00-12:00", "15:00-23:00"))
    with refused("branch_closed", InvalidError, "starts_at", TWO_WAYS):
        book(at("11:30"), facial)
    found = slots(spa, Wish(spa.facial), since=at("08:00"), limit=7)
    assert [slot.starts_at for slot in found[:6]] == [at(f"{10 + n // 4}:{n % 4 * 15:02d}") for n in range(5)] + [
        at("15:00")
    ]
    book(at("22:00"), facial)

    exception(periods=[], usual=True)
    book(at("08:00"), facial)


def test_rosters_are_the_managers_and_hold_together(spa):
    day = tomorrow(spa)
    with refused("manager_only", NotAllowedError):
        rosters.set_shifts(staff_id=spa.therapists[0], works_on=day, periods=[], actor=spa.receptionist)
    with refused("not_found", NotFoundError):
        rosters.set_shifts(staff_id=spa.other_therapist, works_on=day, periods=[], actor=spa.manager)
    with refused("periods_overlap", InvalidError, "starts_at"):
        rosters.set_shifts(
            staff_id=spa.therapists[0], works_on=day, periods=times("09:00-12:00", "11:00-13:00"), actor=spa.manager
        )
    with refused("ends_before", InvalidError, "ends_at"):
        rosters.set_exception(branch_id=spa.branch, happens_on=day, periods=times("12:00-12:00"), actor=spa.manager)


def test_a_machine_is_needed_for_a_part_of_the_visit(spa, book, at):
    lamp = factories.make_resource_type("Lamp", kind="equipment")
    machine = factories.make_room(spa.branch, lamp)
    glow = factories.make_service(minutes=60, after=10, room_types=[lamp])
    execute("UPDATE service_resources SET from_minutes = 30, length_minutes = 20 WHERE type_id = :id", id=lamp)
    first, second = factories.make_staff(spa.branch, [glow]), factories.make_staff(spa.branch, [glow])

    book(at("10:00"), ItemRequest(glow, first))
    with refused("resource_busy", SlotTakenError, "starts_at", ("choose_slot",)) as caught:
        book(at("10:15"), ItemRequest(glow, second))
    assert (caught.value.params["busy_from"], caught.value.params["busy_to"]) == (at("10:30"), at("10:50"))
    booking = book(at("10:20"), ItemRequest(glow, second))
    bookings.move(booking, starts_at=at("09:40"), actor=spa.receptionist)

    assert rows("SELECT resource_id, lower(occupied) FROM booking_item_resources ORDER BY 2") == [
        (machine, at("10:10")),
        (machine, at("10:30")),
    ]
    assert_books_balance()


def test_the_preferred_therapist_comes_first(spa, book, at):
    first, second = spa.therapists
    execute("UPDATE customers SET preferred_staff_id = :staff", staff=second)

    assert slots(spa, Wish(spa.facial), since=at("10:00"), customer_id=spa.customer)[0].staff_id == second
    assert slots(spa, Wish(spa.facial), since=at("10:00"))[0].staff_id == first
    assert who(book(at("10:00"), ItemRequest(spa.facial))) == [second]
    assert who(book(at("10:30"), ItemRequest(spa.facial))) == [first]
    assert who(book(at("13:00"), ItemRequest(spa.facial, first))) == [first]


def test_nothing_is_looked_for_after_the_end_that_is_asked_for(spa, at):
    asked = Wish(spa.facial, spa.therapists[0])

    found = slots(spa, asked, since=at("19:30"), until=at("23:59"), limit=100)

    assert [slot.starts_at for slot in found] == [at("19:30"), at("19:45"), at("20:00")]
    assert slots(spa, asked, since=at("12:00"), until=at("12:00"), limit=100) == []


def test_a_visit_of_several_services_is_offered_where_all_of_it_fits(spa, book, at):
    first, second = spa.therapists
    book(at("11:00"), ItemRequest(spa.facial, first))
    wishes = (Wish(spa.facial, first), Wish(spa.massage, second))
    # 8:00 facial to 9:10, massage 9:15 to 10:45 and its clean-up to 11:00; the facials must be over by 11:00.
    found = [slot.starts_at for slot in slots(spa, *wishes, since=at("08:00"), limit=12)]
    assert found == [at("08:00") + n * HOUR / 4 for n in range(8)] + [at("12:15") + n * HOUR / 4 for n in range(4)]
    two = slots(spa, Wish(spa.facial), Wish(spa.massage), since=at("10:00"))[0]
    assert [one for one, _ in two.staff] == [second, second]
    assert two.staff_name == "Anh"
    for starts_at in (found[7], found[8]):
        items = [ItemRequest(wish.service_id, wish.staff_id) for wish in wishes]
        bookings.cancel(book(starts_at, *items), reason="test", actor=spa.receptionist)


def test_what_is_offered_is_what_booking_takes(spa, book, block, at):
    first, second = spa.therapists
    rosters.set_shifts(staff_id=first, works_on=tomorrow(spa), periods=times("09:00-14:00"), actor=spa.manager)
    block(at("10:00"), at("11:00"), staff_id=second)
    book(at("12:00"), ItemRequest(spa.massage, second))
    offered = {slot.starts_at: slot.staff_id for slot in slots(spa, Wish(spa.facial), since=at("08:00"), limit=60)}

    start = at("08:00")
    while start < at("21:00"):
        if start in offered:
            booking = book(start, ItemRequest(spa.facial))
            assert who(booking) == [offered[start]]
            execute(
                "UPDATE bookings SET status = 'cancelled', cancel_reason = 'x', version = version + 1 WHERE id = :id",
                id=booking,
            )
        else:
            with pytest.raises((SlotTakenError, InvalidError)):
                book(start, ItemRequest(spa.facial))
        start += HOUR / 4


@pytest.mark.parametrize(("date", "hours"), [(dt.date(2027, 3, 28), 5), (dt.date(2027, 10, 31), 7)])
def test_slots_on_the_days_when_the_clocks_change(spa, date, hours):
    """The clocks of Berlin jump at 1 o'clock UTC; a branch open from 0 to 6 o'clock has five or seven hours then."""
    berlin = factories.make_branch(timezone="Europe/Berlin", opens="00:00", closes="06:00")
    staff = factories.make_staff(berlin, [spa.consultation])
    midnight = clock.at_local(date, dt.time(), "Europe/Berlin")

    found = scheduling.find_slots([Wish(spa.consultation)], branch_id=berlin, since=midnight, limit=40)

    same_day = [slot.starts_at for slot in found if clock.local_date(slot.starts_at, "Europe/Berlin") == date]
    assert same_day == [midnight + n * HOUR / 4 for n in range(hours * 4 - 1)]
    assert found[len(same_day)].starts_at == clock.at_local(date + dt.timedelta(days=1), dt.time(), "Europe/Berlin")
    local = [one.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M") for one in same_day]
    assert local.count("02:30") == {5: 0, 7: 2}[hours]
    assert local[-1] == "05:30"
    rosters.set_shifts(staff_id=staff, works_on=date, periods=times("01:30-04:00"), actor=SYSTEM)
    shift = scheduling.find_slots([Wish(spa.consultation)], branch_id=berlin, since=midnight, limit=40)
    on_shift = [slot for slot in shift if clock.local_date(slot.starts_at, "Europe/Berlin") == date]
    assert len(on_shift) == {5: 5, 7: 13}[hours]  # two and a half hours by the clocks, an hour less or more in truth
