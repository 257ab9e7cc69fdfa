"""A therapist is absent, a room is closed: who is affected, who is proposed, and what is written at once."""

import datetime as dt
from functools import partial
from zoneinfo import ZoneInfo

import pytest
import time_machine

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotFoundError, SlotTakenError
from spa_app.extensions import db
from spa_app.models import Customer
from spa_app.services import blocks, bookings, rosters
from spa_app.services.availability import Span
from spa_app.services.bookings import ItemRequest, Mark, Substitution
from spa_app.services.bookings import affected as affected_module
from spa_app.services.scheduling_facts import Absence
from spa_app.services.transaction import atomic
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, execute, refused, rows

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def at(spa):
    return partial(factories.tomorrow_at, spa.branch)


@pytest.fixture
def sick(spa, at):
    """Hồng is away all of tomorrow."""
    return Absence(Span(at("08:00"), at("21:00")), staff_id=spa.therapists[0])


@pytest.fixture
def closed(spa, at):
    """Room 1 is closed all of tomorrow."""
    return Absence(Span(at("08:00"), at("21:00")), resource_id=spa.rooms[0])


def book(spa, starts_at, *items, **extra):
    return factories.make_booking(
        spa, *(items or [ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0])]), starts_at=starts_at, **extra
    )


def find(spa, absence, actor=None):
    db.session.rollback()
    return bookings.find_affected(absence, actor=actor or spa.receptionist)


def proposed(found):
    return [
        Substitution(one.item.item_id, one.item.version, one.proposed_id)
        for one in found.visits
        if one.proposed_id is not None
    ]


def apply(spa, absence, chosen, mark=None, actor=None):
    return bookings.apply_substitutes(absence, chosen, actor=actor or spa.receptionist, mark=mark)


def who(booking):
    return [
        staff
        for (staff,) in rows("SELECT staff_id FROM booking_items WHERE booking_id = :id ORDER BY position", id=booking)
    ]


def rooms(booking):
    return [
        room
        for (room,) in rows(
            "SELECT r.resource_id FROM booking_item_resources r JOIN booking_items i ON i.id = r.booking_item_id"
            " WHERE i.booking_id = :id ORDER BY i.position",
            id=booking,
        )
    ]


def version(booking):
    return rows("SELECT version FROM bookings WHERE id = :id", id=booking)[0][0]


def prefer(customer_id, staff_id):
    with atomic() as session:
        session.get_one(Customer, customer_id).preferred_staff_id = staff_id


def test_an_ill_therapists_day_is_given_away_and_marked_at_once(spa, at, sick):
    first, second = spa.therapists
    morning = book(spa, at("09:00"))
    evening = book(spa, at("18:00"), status="pending")
    others = book(spa, at("12:00"), ItemRequest(spa.facial, second))

    found = find(spa, sick)
    assert (found.name, found.is_marked, found.has_more, found.placed) == ("Hồng", False, False, 2)
    assert [one.item.booking_id for one in found.visits] == [morning, evening]
    assert [[who.name for who in one.candidates] for one in found.visits] == [["Anh"], ["Anh"]]
    shown = found.visits[0].item
    assert (shown.customer_name, shown.service_name, shown.staff_name) == ("Lê Thị Mai", "Basic Facial", "Hồng")

    assert apply(spa, sick, proposed(found), Mark("sick", "fever")) == 2

    assert [who(one) for one in (morning, evening, others)] == [[second]] * 3
    assert [version(one) for one in (morning, evening, others)] == [2, 2, 1]
    assert rows("SELECT staff_id, kind, reason, starts_at, ends_at FROM blocked_times") == [
        (first, "sick", "fever", sick.span.lower, sick.span.upper)
    ]
    assert audited("blocked_time") == ["time_blocked"]
    assert audited().count("booking_substituted") == 2
    assert rows("SELECT before, after FROM audit_log WHERE action = 'booking_substituted' ORDER BY id")[0] == (
        {"staff_id": {str(shown.item_id): first}},
        {"staff_id": {str(shown.item_id): second}},
    )
    again = find(spa, sick)
    assert (again.visits, again.is_marked) == ((), True)
    assert_books_balance()


def test_what_nobody_can_take_stays_flagged_with_its_next_free_times(spa, at, sick):
    free, taken = book(spa, at("09:00")), book(spa, at("15:00"))
    book(spa, at("15:30"), ItemRequest(spa.facial, spa.therapists[1]))

    found = find(spa, sick)
    assert [one.proposed_id for one in found.visits] == [spa.therapists[1], None]
    assert found.visits[0].next_free == ()
    # Anh is busy until 16:40 with the clean-up; the ill therapist's own hours are not offered.
    assert [one.starts_at for one in found.visits[1].next_free] == [at("16:45"), at("17:00"), at("17:15")]
    assert {one.staff_id for one in found.visits[1].next_free} == {spa.therapists[1]}
    apply(spa, sick, proposed(found), Mark("sick"))

    assert (who(free), who(taken)) == ([spa.therapists[1]], [spa.therapists[0]])
    left = find(spa, sick)
    assert ([one.item.booking_id for one in left.visits], left.is_marked) == ([taken], True)
    assert rows("SELECT jsonb_array_length(after -> 'left') FROM audit_log WHERE action = 'time_blocked'") == [(1,)]
    with refused("on_leave", SlotTakenError, "items-0-staff_id", ("choose_slot",)):
        book(spa, at("12:00"), ItemRequest(spa.facial, spa.therapists[0]))
    bookings.move(taken, starts_at=at("17:00"), staff_id=spa.therapists[1], actor=spa.receptionist)
    assert find(spa, sick).visits == ()
    assert_books_balance()


def test_only_what_is_still_to_come_is_affected(spa, sick):
    now = factories.this_minute()
    today = Absence(Span(now - 4 * HOUR, now + 6 * HOUR), staff_id=spa.therapists[0])
    over = book(spa, now - 3 * HOUR)
    begun = book(spa, now - HOUR / 4, ItemRequest(spa.consultation, spa.therapists[0]), status="in_progress")
    book(spa, now + HOUR / 2, status="cancelled")
    waiting = book(spa, now + HOUR / 2)
    two = book(
        spa,
        now + 2 * HOUR,
        ItemRequest(spa.consultation, spa.therapists[0]),
        ItemRequest(spa.consultation, spa.therapists[1]),
    )
    gone = rows("SELECT id FROM booking_items WHERE booking_id = :id AND position = 2", id=two)[0][0]

    found = find(spa, today)

    assert [one.item.booking_id for one in found.visits] == [waiting, two]
    assert gone not in [one.item.item_id for one in found.visits]
    apply(spa, today, proposed(found), Mark("sick"))
    assert (who(two), version(two)) == ([spa.therapists[1]] * 2, 2)
    assert [version(one) for one in (over, begun)] == [1, 2]
    assert_books_balance()


def test_both_services_of_a_visit_stay_together_and_count_as_one_change(spa, at, sick):
    third = factories.make_staff(spa.branch, [spa.facial, spa.consultation], "Lan")
    visit = book(
        spa,
        at("10:00"),
        ItemRequest(spa.facial, spa.therapists[0]),
        ItemRequest(spa.consultation, spa.therapists[0]),
    )
    book(spa, at("13:00"), ItemRequest(spa.facial, spa.therapists[1]))

    assert apply(spa, sick, proposed(find(spa, sick))) == 2

    # Anh has something booked already: the day is balanced.
    assert (who(visit), version(visit)) == ([third] * 2, 2)
    assert audited().count("booking_substituted") == 1


def test_whom_the_customer_wishes_for_comes_first_and_is_told(spa, at, sick):
    factories.make_staff(spa.branch, [spa.facial], "Lan")
    book(spa, at("10:00"))
    book(spa, at("13:00"), customer_id=factories.make_customer("Trần An"))
    book(spa, at("16:00"), ItemRequest(spa.facial, spa.therapists[1]))
    prefer(spa.customer, spa.therapists[1])

    first, second = find(spa, sick).visits
    assert (first.candidates[0].name, first.candidates[0].is_preferred) == ("Anh", True)
    assert (first.proposed_id, first.asks_for_absent) == (spa.therapists[1], False)
    assert (second.candidates[0].name, second.asks_for_absent) == ("Lan", False)
    prefer(spa.customer, spa.therapists[0])
    assert find(spa, sick).visits[0].asks_for_absent


def test_who_is_off_shift_unskilled_gone_or_blocked_is_no_substitute(spa, at, sick):
    tomorrow = clock.local_date(at("12:00"), factories.TIMEZONE)
    book(spa, at("10:00"))
    factories.make_staff(spa.branch, [spa.massage], "Unskilled")
    execute("UPDATE staff SET is_active = false WHERE id = :id", id=factories.make_staff(spa.branch, [spa.facial]))
    away = factories.make_staff(spa.branch, [spa.facial], "Away")
    rosters.set_shifts(staff_id=away, works_on=tomorrow, periods=[(dt.time(10, 30), dt.time(20))], actor=spa.manager)
    on_break = factories.make_staff(spa.branch, [spa.facial], "On a break")
    blocks.block_time(
        starts_at=at("11:00"), ends_at=at("12:00"), kind="break", staff_id=on_break, actor=spa.receptionist
    )

    # Up to 11:00 the service would fit before the break, but not its clean-up.
    assert [one.name for one in find(spa, sick).visits[0].candidates] == ["Anh"]


def test_a_closed_rooms_visits_go_to_another_of_its_kind(spa, at, closed):
    machine = factories.make_room(spa.branch, factories.make_resource_type("Laser", "equipment"), "Laser")
    morning, evening = book(spa, at("09:00")), book(spa, at("18:00"))
    book(spa, at("18:30"), ItemRequest(spa.facial, spa.therapists[1], spa.rooms[1]))

    found = find(spa, closed)
    assert [one.proposed_id for one in found.visits] == [spa.rooms[1], None]
    assert [one.starts_at for one in found.visits[1].next_free][:1] == [at("19:45")]
    with refused("substitute_unsuitable", InvalidError):
        apply(spa, closed, [Substitution(found.visits[0].item.item_id, 1, machine)])
    assert apply(spa, closed, proposed(found), Mark("closed", "pipes")) == 1

    assert (rooms(morning), rooms(evening)) == ([spa.rooms[1]], [spa.rooms[0]])
    assert (who(morning), version(morning)) == ([spa.therapists[0]], 2)
    assert_books_balance()


def test_a_room_that_a_service_needs_for_a_part_is_asked_for_that_part(spa, at):
    execute("UPDATE service_resources SET from_minutes = 30, length_minutes = 30 WHERE service_id = :id", id=spa.facial)
    book(spa, at("10:00"))

    def affected(begins, ends):
        return len(find(spa, Absence(Span(at(begins), at(ends)), resource_id=spa.rooms[0])).visits)

    assert (affected("10:00", "10:30"), affected("10:15", "10:45"), affected("11:00", "12:00")) == (0, 1, 0)


def test_nothing_is_stored_when_the_list_is_no_longer_true(spa, at, sick):
    first, second = book(spa, at("09:00")), book(spa, at("15:00"))
    drawn = proposed(find(spa, sick))

    bookings.move(second, starts_at=at("16:00"), actor=spa.receptionist)
    with refused("changed_meanwhile"):
        apply(spa, sick, drawn, Mark("sick"))
    drawn = proposed(find(spa, sick))
    bookings.cancel(second, reason="ill", actor=spa.receptionist)
    with refused("changed_meanwhile"):
        apply(spa, sick, drawn, Mark("sick"))
    drawn = proposed(find(spa, sick))
    book(spa, at("09:30"), ItemRequest(spa.facial, spa.therapists[1]))
    with refused("substitute_taken") as caught:
        apply(spa, sick, drawn, Mark("sick"))
    assert caught.value.params == {"name": "Anh", "customer": "Lê Thị Mai"}
    assert who(first) == [spa.therapists[0]]


def test_what_cannot_be_is_refused(spa, at, sick):
    book(spa, at("09:00"))
    (item,) = (one.item for one in find(spa, sick).visits)
    with refused("nothing_chosen", InvalidError):
        apply(spa, sick, [])
    with refused("substitute_unsuitable", InvalidError):
        apply(spa, sick, [Substitution(item.item_id, 1, spa.other_therapist)])
    with refused("substitute_unsuitable", InvalidError):
        apply(spa, sick, [Substitution(item.item_id, 1, spa.therapists[0])])
    with refused("changed_meanwhile"):
        apply(spa, sick, [Substitution(4711, 1, spa.therapists[1])])
    with refused("not_found", NotFoundError):
        apply(spa, sick, [], Mark("sick"), actor=spa.other_receptionist)
    with refused("not_found", NotFoundError):
        bookings.find_affected(sick, actor=spa.other_receptionist)
    with refused("ends_before", InvalidError, "ends_at"):
        bookings.find_affected(Absence(Span(at("12:00"), at("12:00")), spa.therapists[0]), actor=spa.receptionist)
    with refused("nothing_to_block", InvalidError, "what"):
        bookings.find_affected(Absence(Span(at("12:00"), at("13:00"))), actor=spa.receptionist)
    with refused("kind_unknown", InvalidError, "kind"):
        apply(spa, sick, proposed(find(spa, sick)), Mark("closed"))
    apply(spa, sick, [], Mark("sick"))
    with refused("already_marked", ConflictError):
        apply(spa, sick, [], Mark("sick"))


def test_a_long_absence_is_worked_off_in_parts(spa, at, sick, monkeypatch):
    monkeypatch.setattr(affected_module, "MOST_LISTED", 2)
    for hour in ("09:00", "12:00", "15:00"):
        book(spa, at(hour))

    found = find(spa, sick)
    assert (len(found.visits), found.has_more) == (2, True)
    apply(spa, sick, proposed(found), Mark("leave"))

    found = find(spa, sick)
    assert (len(found.visits), found.has_more, found.is_marked) == (1, False, True)


def test_the_day_the_clocks_go_back_is_an_hour_longer(app, spa):
    berlin = factories.make_branch(timezone="Europe/Berlin", opens="00:00", closes="06:00")
    service = factories.make_service("Night", minutes=60)
    ill, other = (factories.make_staff(berlin, [service], name) for name in ("Ill", "Other"))
    date = dt.date(2027, 10, 31)
    desk = factories.actor_of(factories.make_user("receptionist", [berlin]))
    midnight = clock.at_local(date, dt.time(), "Europe/Berlin")
    with time_machine.travel(midnight - 24 * HOUR, tick=True):
        visits = [
            bookings.book(
                customer_id=spa.customer,
                branch_id=berlin,
                starts_at=midnight + hours * HOUR,
                items=[ItemRequest(service, ill)],
                actor=desk,
            )
            for hours in (2, 3)
        ]
        # Both begin at 2:00 by the clocks. Somebody else has the second one of these hours.
        bookings.book(
            customer_id=spa.customer,
            branch_id=berlin,
            starts_at=midnight + 3 * HOUR,
            items=[ItemRequest(service, other)],
            actor=desk,
        )
        absence = Absence(Span(*clock.day_bounds(date, "Europe/Berlin")), staff_id=ill)
        found = find(spa, absence, actor=desk)
        local = [one.item.starts_at.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M") for one in found.visits]
        assert local == ["02:00", "02:00"]
        assert [one.proposed_id for one in found.visits] == [other, None]
        assert found.visits[1].next_free[0].starts_at == midnight + 4 * HOUR
        assert apply(spa, absence, proposed(found), Mark("sick"), actor=desk) == 1

    assert [who(one) for one in visits] == [[other], [ill]]
    assert absence.span.upper - absence.span.lower == 25 * HOUR
    assert_books_balance()
