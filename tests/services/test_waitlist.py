"""The waitlist: its entries, who fits where and in which order, and places that are held until their time is over."""

import datetime as dt

import pytest
import time_machine
from sqlalchemy import event

from spa_app import clock
from spa_app.errors import InvalidError, NotFoundError, SlotTakenError, WrongStateError
from spa_app.extensions import db
from spa_app.jobs.holds import end_lapsed_holds
from spa_app.queries import waitlist as queries
from spa_app.queries.customers import get_customer
from spa_app.services import blocks, bookings, matching, reconciliation, rosters, scheduling, waitlist
from spa_app.services.bookings import ItemRequest
from spa_app.services.matching import Freed
from spa_app.services.scheduling import Span
from spa_app.services.scheduling_needs import Wish
from tests.books import assert_books_balance
from tests.factories import Spa, local_at, make_booking, make_card, make_customer, make_entry, make_staff, tomorrow_at
from tests.services.checks import audited, counters, execute, refused, rows, status_of

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def alone(spa: Spa) -> int:
    """The only therapist who is there tomorrow: the other is on leave."""
    start = local_at(spa.branch, "00:00", days=1)
    blocks.block_time(
        staff_id=spa.therapists[1],
        starts_at=start,
        ends_at=start + dt.timedelta(days=1),
        kind="leave",
        actor=spa.manager,
    )
    return spa.therapists[0]


def _hold(spa: Spa, entry: int, time: str = "10:00", staff_id: int | None = None) -> int:
    return bookings.hold_place(
        entry, starts_at=tomorrow_at(spa.branch, time), staff_id=staff_id, actor=spa.receptionist
    )


def _state(entry: int, spa: Spa) -> str:
    db.session.rollback()
    return queries.get_entry(entry, branch_ids=[spa.branch]).state


def _passed(minutes: float = 10):
    return time_machine.travel(clock.now() + minutes * MINUTE, tick=False)


def test_an_entry_goes_from_waiting_to_held_to_booked(spa: Spa):
    entry = make_entry(spa, customer_id=spa.customer, note="rings back", days=(0, 3))
    assert _state(entry, spa) == "waiting"

    booking = _hold(spa, entry)
    assert (status_of(booking), _state(entry, spa)) == ("pending", "held")
    bookings.confirm(booking, actor=spa.receptionist)

    assert (status_of(booking), _state(entry, spa)) == ("confirmed", "booked")
    assert rows("SELECT held_until, held_by_id, note, version FROM bookings") == [(None, None, "rings back", 2)]
    assert audited("waitlist_entry") == ["waitlist_added", "waitlist_held", "waitlist_booked"]
    assert audited() == ["booking_created", "booking_confirmed"]
    assert reconciliation.list_faults() == []


def test_nobody_is_told_of_a_visit_until_it_is_confirmed(spa: Spa):
    booking = _hold(spa, make_entry(spa))
    assert rows("SELECT kind FROM outbox") == []
    bookings.confirm(booking, actor=spa.receptionist)
    assert rows("SELECT kind FROM outbox") == [("booking_confirmed",)]


def test_its_last_date_makes_an_entry_lapse_and_new_dates_revive_it(spa: Spa):
    entry = make_entry(spa, days=(0, 0))
    with _passed(24 * 60):
        assert _state(entry, spa) == "lapsed"
        assert queries.list_open(spa.branch) == []
        assert [one.id for one in queries.list_closed(spa.branch)] == [entry]
        with refused("entry_lapsed", WrongStateError, ways_out=("edit_entry",)):
            bookings.hold_place(entry, starts_at=clock.now() + MINUTE, actor=spa.receptionist)
        today = clock.today(queries.get_entry(entry, branch_ids=[spa.branch]).timezone)
        waitlist.change_entry(
            entry,
            version=1,
            service_ids=[spa.massage, spa.facial],
            first_on=today,
            last_on=today,
            actor=spa.receptionist,
        )
        found = queries.get_entry(entry, branch_ids=[spa.branch])
        assert (found.state, found.service_ids, found.version) == ("waiting", [spa.massage, spa.facial], 2)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"service_ids": []}, "services_missing", "service_id"),
        ({"service_ids": [0]}, "service_unknown", "service_id"),
        ({"last_on": dt.date(2020, 1, 1)}, "dates_over", "last_on"),
        ({"first_on": dt.date(2999, 1, 1)}, "dates_order", "last_on"),
        ({"last_on": dt.date(2999, 1, 1)}, "dates_too_far", "last_on"),
        ({"weekdays": 0}, "weekdays_missing", "weekdays"),
        ({"weekdays": 128}, "weekdays_missing", "weekdays"),
        ({"from_time": dt.time(12), "until_time": dt.time(12)}, "times_order", "until_time"),
        ({"staff_id": 0}, "staff_unknown", "staff_id"),
        ({"customer_id": 0}, "customer_unknown", "customer_id"),
        ({"note": "a\u202eb"}, "control_character", "note"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(spa: Spa, changes: dict, code: str, field: str):
    today = local_at(spa.branch, "00:00").date()
    wish = {"customer_id": spa.customer, "service_ids": [spa.facial], "first_on": today, "last_on": today, **changes}
    wish["last_on"] = changes.get("last_on", today + dt.timedelta(days=7))
    with refused(code, InvalidError, field):
        waitlist.add_entry(branch_id=spa.branch, actor=spa.receptionist, **wish)


def test_a_day_of_the_week_that_never_comes_is_refused(spa: Spa):
    day = clock.today("UTC") + dt.timedelta(days=2)
    with refused("weekdays_never", InvalidError, "weekdays"):
        waitlist.add_entry(
            branch_id=spa.branch,
            customer_id=spa.customer,
            service_ids=[spa.facial],
            first_on=day,
            last_on=day,
            weekdays=127 ^ (1 << day.weekday()),
            actor=spa.receptionist,
        )


def test_an_entry_of_another_branch_is_not_there(spa: Spa):
    entry = make_entry(spa)
    for act in (
        lambda: waitlist.withdraw_entry(entry, reason="x", actor=spa.other_receptionist),
        lambda: waitlist.put_back(entry, actor=spa.other_receptionist),
        lambda: bookings.hold_place(entry, starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.other_receptionist),
    ):
        with refused("not_found", NotFoundError):
            act()
    with refused("entry_unknown", NotFoundError):
        waitlist.withdraw_entry(entry + 1, reason="x", actor=spa.receptionist)


def test_withdrawn_with_a_reason_and_put_back(spa: Spa):
    entry = make_entry(spa)
    with refused("reason_missing", InvalidError, "reason"):
        waitlist.withdraw_entry(entry, reason=" ", actor=spa.receptionist)
    waitlist.withdraw_entry(entry, reason="found another day", actor=spa.receptionist)
    assert _state(entry, spa) == "withdrawn"
    with refused("entry_wrong_status", WrongStateError):
        _hold(spa, entry)
    waitlist.put_back(entry, actor=spa.receptionist)
    assert _state(entry, spa) == "waiting"
    with refused("entry_wrong_status", WrongStateError):
        waitlist.put_back(entry, actor=spa.receptionist)
    assert rows("SELECT action, reason FROM audit_log WHERE entity = 'waitlist_entry' ORDER BY id") == [
        ("waitlist_added", ""),
        ("waitlist_withdrawn", "found another day"),
        ("waitlist_put_back", ""),
    ]


def test_a_stale_screen_changes_nothing(spa: Spa):
    entry = make_entry(spa)
    today = clock.today("UTC")
    wish = {"service_ids": [spa.facial], "first_on": today, "last_on": today + dt.timedelta(days=9)}
    waitlist.change_entry(entry, version=1, actor=spa.receptionist, **wish)
    with refused("changed_meanwhile"):
        waitlist.change_entry(entry, version=1, actor=spa.receptionist, **wish)


def test_a_cancelled_visit_may_be_waited_for_again_and_brought_back(spa: Spa):
    entry = make_entry(spa)
    booking = _hold(spa, entry)
    bookings.confirm(booking, actor=spa.receptionist)
    with refused("entry_wrong_status", WrongStateError):
        waitlist.put_back(entry, actor=spa.receptionist)
    bookings.cancel(booking, reason="ill", actor=spa.receptionist)
    assert _state(entry, spa) == "booked"
    waitlist.put_back(entry, actor=spa.receptionist)
    assert _state(entry, spa) == "waiting"

    bookings.undo_cancel(booking, actor=spa.receptionist)
    assert _state(entry, spa) == "booked"
    assert reconciliation.list_faults() == []


def test_a_visit_does_not_come_back_beside_the_one_that_took_its_entry(spa: Spa):
    entry = make_entry(spa)
    first = _hold(spa, entry)
    bookings.confirm(first, actor=spa.receptionist)
    bookings.cancel(first, reason="ill", actor=spa.receptionist)
    waitlist.put_back(entry, actor=spa.receptionist)
    _hold(spa, entry, "15:00")
    with refused("entry_has_place"):
        bookings.undo_cancel(first, actor=spa.receptionist)


# ── A hold, and how it ends


def test_a_hold_keeps_everybody_else_out_until_its_time_is_over(spa: Spa, alone: int):
    _hold(spa, make_entry(spa))
    at = tomorrow_at(spa.branch, "10:00")
    wish = [Wish(spa.facial)]

    def first_free() -> dt.datetime:
        return scheduling.find_slots(wish, branch_id=spa.branch, since=at, limit=1)[0].starts_at

    assert first_free() > at
    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        make_booking(spa, ItemRequest(spa.facial), starts_at=at, actor=spa.receptionist)
    with refused("visit_in_the_way", SlotTakenError, "starts_at", ("calendar",)):
        blocks.block_time(staff_id=alone, starts_at=at, ends_at=at + MINUTE, kind="break", actor=spa.receptionist)
    with _passed(9.9):
        assert first_free() > at
    with _passed():
        assert first_free() == at


def test_whoever_takes_the_place_after_its_time_ends_the_hold_in_the_same_transaction(spa: Spa, alone: int):
    entry = make_entry(spa)
    held = _hold(spa, entry)
    with _passed():
        make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:15"), actor=spa.receptionist)
        assert (status_of(held), _state(entry, spa)) == ("cancelled", "waiting")
    assert audited()[1:] == ["hold_lapsed", "booking_created"]
    assert_books_balance()


@pytest.mark.parametrize("way", ["move", "block", "undo", "room"])
def test_every_way_to_take_a_place_ends_a_lapsed_hold(spa: Spa, alone: int, way: str):
    at = tomorrow_at(spa.branch, "10:00")
    other = make_booking(spa, starts_at=at if way == "undo" else tomorrow_at(spa.branch, "15:00"))
    if way == "undo":
        bookings.cancel(other, reason="x", actor=spa.receptionist)
    held = _hold(spa, make_entry(spa))
    with _passed():
        if way == "move":
            bookings.move(other, starts_at=at, actor=spa.receptionist)
        elif way == "undo":
            bookings.undo_cancel(other, actor=spa.receptionist)
        else:
            what = {"staff_id": alone} if way == "block" else {"resource_id": _room_of(held)}
            kind = "break" if way == "block" else "closed"
            blocks.block_time(**what, starts_at=at, ends_at=at + MINUTE, kind=kind, actor=spa.receptionist)
        assert status_of(held) == "cancelled"


def test_the_job_tidies_up_and_may_run_again(spa: Spa):
    lapsed, live = _hold(spa, make_entry(spa)), _hold(spa, make_entry(spa), "15:00")
    execute(
        "UPDATE bookings SET held_until = held_until + interval '1 hour', version = version + 1 WHERE id = :id", id=live
    )
    with _passed():
        assert (end_lapsed_holds(), end_lapsed_holds()) == (1, 0)
    assert (status_of(lapsed), status_of(live)) == ("cancelled", "pending")
    assert rows("SELECT cancel_reason, held_until IS NOT NULL FROM bookings WHERE id = :id", id=lapsed) == [
        ("hold_lapsed", True)
    ]


def test_a_hold_reserves_a_session_that_goes_back_and_no_policy_takes_anything(spa: Spa):
    execute("UPDATE branches SET late_cancel_policy = 'forfeit', late_cancel_minutes = 10000")
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=1)
    entry = make_entry(spa, spa.facial, spa.facial, customer_id=spa.customer)
    _hold(spa, entry)
    assert counters(card)[:3] == (1, 0, 1)
    assert rows("SELECT treatment_id FROM booking_items ORDER BY position") == [(card,), (None,)]
    with _passed():
        end_lapsed_holds()
    assert counters(card)[:3] == (1, 0, 0)
    assert rows("SELECT count(*) FROM invoices WHERE booking_id IS NOT NULL") == [(0,)]
    assert_books_balance()
    assert reconciliation.list_faults() == []


def test_the_session_of_a_lapsed_hold_can_be_booked_before_any_job_has_run(spa: Spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=1)
    held = _hold(spa, make_entry(spa, customer_id=spa.customer))
    at = tomorrow_at(spa.branch, "18:00")
    with refused("card_used_up", InvalidError, "items-0-treatment_id", ("choose_card", "pay_visit", "sell_plan")):
        make_booking(spa, ItemRequest(spa.facial, treatment_id=card), starts_at=at, actor=spa.receptionist)
    with _passed():
        make_booking(spa, ItemRequest(spa.facial, treatment_id=card), starts_at=at, actor=spa.receptionist)
    assert (status_of(held), counters(card)[:3]) == ("cancelled", (1, 0, 1))


def test_confirming_in_the_last_instant_books_and_a_moment_later_is_refused(spa: Spa):
    booking = _hold(spa, make_entry(spa))
    with _passed(10.001), refused("hold_over", WrongStateError, ways_out=("waitlist",)):
        bookings.confirm(booking, actor=spa.receptionist)
    with _passed(9.99):
        bookings.confirm(booking, actor=spa.receptionist)
    assert status_of(booking) == "confirmed"


def test_after_its_time_every_act_on_a_hold_is_refused_whether_or_not_the_job_has_run(spa: Spa):
    booking = _hold(spa, make_entry(spa))
    acts = (
        lambda: bookings.confirm(booking, actor=spa.receptionist),
        lambda: bookings.release_hold(booking, actor=spa.receptionist),
        lambda: bookings.cancel(booking, reason="x", actor=spa.receptionist),
        lambda: bookings.move(booking, starts_at=tomorrow_at(spa.branch, "12:00"), actor=spa.receptionist),
        lambda: bookings.undo_cancel(booking, actor=spa.receptionist),
    )
    with _passed():
        for tidy in (False, True):
            if tidy:
                end_lapsed_holds()
            for act in acts:
                with refused("hold_over", WrongStateError, ways_out=("waitlist",)):
                    act()


def test_released_by_a_colleague_the_place_is_free_at_once(spa: Spa, alone: int):
    entry = make_entry(spa)
    booking = _hold(spa, entry)
    with refused("only_held", WrongStateError):
        bookings.cancel(booking, reason="x", actor=spa.receptionist)
    bookings.release_hold(booking, actor=spa.manager)
    assert (status_of(booking), _state(entry, spa)) == ("cancelled", "waiting")
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.receptionist)
    assert audited()[1] == "hold_released"
    visit = make_booking(spa, starts_at=tomorrow_at(spa.branch, "18:00"), status="pending")
    with refused("not_held", WrongStateError):
        bookings.release_hold(visit, actor=spa.receptionist)


def test_a_hold_that_is_over_is_in_no_history(spa: Spa):
    _hold(spa, make_entry(spa, customer_id=spa.customer))
    today = clock.today("UTC")

    def visits() -> list[str]:
        db.session.rollback()
        found = get_customer(spa.customer, branch_ids=[spa.branch], now=clock.now(), today=today)
        return [visit.status for visit in (*found.upcoming, *found.past)]

    assert visits() == ["held"]
    with _passed():
        assert visits() == []
        end_lapsed_holds()
        assert visits() == []


def test_one_entry_has_one_place_at_a_time(spa: Spa):
    entry = make_entry(spa)
    _hold(spa, entry)
    with refused("entry_held") as caught:
        _hold(spa, entry, "15:00")
    assert caught.value.params["name"] == "Reception"
    with refused("entry_held"):
        waitlist.withdraw_entry(entry, reason="x", actor=spa.receptionist)
    with _passed():
        second = _hold(spa, entry, "15:00")
        assert _state(entry, spa) == "held"
    assert rows("SELECT status FROM bookings ORDER BY id") == [("cancelled",), ("pending",)]
    assert status_of(second) == "pending"


def test_a_place_that_has_passed_or_that_is_taken_is_not_held(spa: Spa, alone: int):
    entry = make_entry(spa)
    with refused("hold_in_past", InvalidError, "starts_at"):
        bookings.hold_place(entry, starts_at=clock.now() - MINUTE, actor=spa.receptionist)
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        _hold(spa, entry)


def test_a_hold_goes_on_when_it_is_moved(spa: Spa):
    booking = _hold(spa, make_entry(spa))
    bookings.move(booking, starts_at=tomorrow_at(spa.branch, "12:00"), actor=spa.receptionist)
    with _passed(9):
        bookings.confirm(booking, actor=spa.receptionist)
    assert status_of(booking) == "confirmed"


# ── Who fits


def _fits(spa: Spa, time: str, *, minutes: int = 60, staff_id: int | None = None, days: int = 1) -> list[int]:
    at = local_at(spa.branch, time, days=days)
    found = matching.find_matches(spa.branch, [Freed(staff_id, Span(at, at + minutes * MINUTE))])
    return [match.entry_id for match in found]


def test_the_wish_for_the_freed_therapist_comes_first_then_who_has_waited_longest(spa: Spa):
    first, second = make_entry(spa), make_entry(spa)
    wishes = make_entry(spa, staff_id=spa.therapists[0])
    make_entry(spa, staff_id=spa.therapists[1])
    assert _fits(spa, "10:00", staff_id=spa.therapists[0]) == [wishes, first, second]


def test_only_days_hours_and_services_that_suit_are_matched(spa: Spa):
    tomorrow = local_at(spa.branch, "12:00", days=1).weekday()
    fits = [
        make_entry(spa, weekdays=1 << tomorrow),
        make_entry(spa, from_time=dt.time(10), until_time=dt.time(11)),
        make_entry(spa, spa.consultation, spa.consultation, from_time=dt.time(10), until_time=dt.time(11)),
    ]
    make_entry(spa, weekdays=127 ^ (1 << tomorrow))
    make_entry(spa, days=(2, 5))
    make_entry(spa, from_time=dt.time(10, 15), until_time=dt.time(11))
    make_entry(spa, until_time=dt.time(9, 30))
    make_entry(spa, spa.facial, spa.facial, from_time=dt.time(10), until_time=dt.time(12))
    assert _fits(spa, "10:00") == fits


def test_it_is_the_rule_of_availability_that_says_who_fits(spa: Spa, alone: int):
    short, long = make_entry(spa, spa.consultation), make_entry(spa, spa.massage)
    make_booking(spa, ItemRequest(spa.facial, alone), starts_at=tomorrow_at(spa.branch, "09:00"))
    make_booking(spa, ItemRequest(spa.facial, alone), starts_at=tomorrow_at(spa.branch, "11:00"))
    assert _fits(spa, "10:10", minutes=50) == [short]
    assert _fits(spa, "12:10", minutes=50) == [short, long]
    assert _fits(spa, "21:15") == []
    day = local_at(spa.branch, "12:00", days=1).date()
    rosters.set_exception(branch_id=spa.branch, happens_on=day, periods=[], reason="x", actor=spa.manager)
    assert _fits(spa, "12:10") == []


def test_the_place_offered_is_the_nearest_to_what_became_free(spa: Spa, alone: int):
    make_booking(spa, ItemRequest(spa.facial, alone), starts_at=tomorrow_at(spa.branch, "11:00"))
    make_entry(spa, spa.massage)  # 90 minutes and 15 to clean up: it must begin before what is free
    at = tomorrow_at(spa.branch, "10:00")
    (match,) = matching.find_matches(spa.branch, [Freed(alone, Span(at, at + 60 * MINUTE))])
    assert match.slot.starts_at == tomorrow_at(spa.branch, "09:15")
    assert match.slot.staff_id == alone


def test_who_has_a_place_held_or_is_no_longer_waiting_is_not_matched(spa: Spa):
    held, gone, waiting = make_entry(spa), make_entry(spa), make_entry(spa)
    _hold(spa, held, "15:00")
    waitlist.withdraw_entry(gone, reason="x", actor=spa.receptionist)
    assert _fits(spa, "10:00") == [waiting]
    with _passed():
        assert _fits(spa, "10:00") == [held, waiting]


def test_a_service_that_is_no_longer_offered_fits_nowhere(spa: Spa):
    make_entry(spa)
    execute("UPDATE services SET is_active = false WHERE id = :id", id=spa.facial)
    assert _fits(spa, "10:00") == []
    assert [*matching.find_times(spa.branch).values()] == [[]]


def test_each_entry_has_its_next_times_in_a_bounded_number_of_statements(spa: Spa):
    morning = make_entry(spa, from_time=dt.time(9), until_time=dt.time(10, 15), days=(1, 2))
    someone = make_staff(spa.branch, [spa.facial], "Vy")
    hers = make_entry(spa, staff_id=someone, customer_id=make_customer(), days=(1, 1))
    for _ in range(5):
        make_entry(spa, days=(20, 30))
    statements = []

    def note(*args: object) -> None:
        statements.append(args[2])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        found = matching.find_times(spa.branch, limit=2)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert len(statements) <= 8
    assert set(found) == {morning, hers}
    assert [slot.starts_at for slot in found[morning]] == [
        tomorrow_at(spa.branch, "09:00"),
        tomorrow_at(spa.branch, "09:15"),
    ]
    assert {slot.staff_id for slot in found[hers]} == {someone}


def _room_of(booking: int) -> int:
    return rows(
        "SELECT resource_id FROM booking_item_resources r JOIN booking_items i ON i.id = booking_item_id"
        " WHERE booking_id = :id",
        id=booking,
    )[0][0]
