"""How long a service of a visit takes: longer, shorter, with what follows it, and what is refused."""

import datetime as dt
from functools import partial

import pytest

from spa_app.errors import ConflictError, InvalidError, NotFoundError, SlotTakenError, WrongStateError
from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, invoice_of, refused, rows

PLAN = f"""
    SELECT staff_id, to_char(starts_at AT TIME ZONE '{factories.TIMEZONE}', 'HH24:MI'),
        to_char(ends_at AT TIME ZONE '{factories.TIMEZONE}', 'HH24:MI'),
        to_char(upper(occupied) AT TIME ZONE '{factories.TIMEZONE}', 'HH24:MI')
    FROM booking_items WHERE booking_id = :id AND cancelled_at IS NULL ORDER BY position"""


@pytest.fixture
def at(spa):
    return partial(factories.tomorrow_at, spa.branch)


@pytest.fixture
def visit(spa, at):
    """Tomorrow at 10: a facial until 11, clean-up until 11:10, then a consultation until 11:40; one therapist."""
    items = [ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]), ItemRequest(spa.consultation, spa.therapists[0])]
    return factories.make_booking(spa, *items, starts_at=at("10:00"))


def item_ids(booking):
    return [id_ for (id_,) in rows("SELECT id FROM booking_items WHERE booking_id = :id ORDER BY position", id=booking)]


def times(booking):
    return [row[1:] for row in rows(PLAN, id=booking)]


@pytest.mark.parametrize(
    ("start", "minutes", "expected"),
    [
        ("10:00", 90, [("10:00", "11:30", "11:40"), ("11:40", "12:10", "12:10")]),
        ("10:00", 30, [("10:00", "10:30", "10:40"), ("10:40", "11:10", "11:10")]),
        ("09:45", 105, [("09:45", "11:30", "11:40"), ("11:40", "12:10", "12:10")]),  # begins earlier and ends later
        ("10:15", 30, [("10:15", "10:45", "10:55"), ("10:55", "11:25", "11:25")]),  # begins later and ends earlier
        ("10:30", 60, [("10:30", "11:30", "11:40"), ("11:40", "12:10", "12:10")]),
        ("09:30", 5, [("09:30", "09:35", "09:45"), ("09:45", "10:15", "10:15")]),
    ],
)
def test_the_services_after_it_follow_and_the_clean_up_stays(spa, visit, at, start, minutes, expected):
    bookings.move(
        visit, starts_at=at(start), item_id=item_ids(visit)[0], minutes=minutes, version=1, actor=spa.receptionist
    )

    assert times(visit) == expected
    assert rows("SELECT version, starts_at FROM bookings WHERE id = :id", id=visit) == [(2, at(start))]
    assert audited()[-1] == "booking_moved"
    assert_books_balance()


@pytest.mark.parametrize("minutes", [90, 20])
@pytest.mark.parametrize("start", ["10:00", "09:15", "10:45"])
def test_a_service_in_the_middle_keeps_what_is_before_it_in_its_place(spa, at, start, minutes):
    visit = factories.make_booking(spa, *[ItemRequest(spa.consultation, spa.therapists[0])] * 3, starts_at=at("10:00"))
    shift = at(start) - at("10:00")

    bookings.move(visit, starts_at=at(start), item_id=item_ids(visit)[1], minutes=minutes, actor=spa.receptionist)

    starts = [row[0] for row in rows("SELECT starts_at FROM booking_items ORDER BY position")]
    later = at("11:00") + shift + dt.timedelta(minutes=minutes - 30)
    assert starts == [at("10:00") + shift, at("10:30") + shift, later]
    assert_books_balance()


def test_it_takes_its_room_for_as_long_and_costs_what_it_did(spa, at):
    visit = factories.make_booking(spa, starts_at=at("10:00"))

    bookings.move(visit, starts_at=at("10:00"), minutes=100, actor=spa.receptionist)

    assert rows(
        "SELECT r.resource_id, r.occupied = i.occupied FROM booking_item_resources r"
        " JOIN booking_items i ON i.id = r.booking_item_id"
    ) == [(spa.rooms[0], True)]
    assert rows("SELECT price_amount FROM booking_items") == [(450_000,)]


def test_what_was_agreed_stays_through_every_later_change(spa, at):
    visit = factories.make_booking(spa)
    start = rows("SELECT starts_at FROM bookings")[0][0]
    bookings.move(visit, starts_at=start, minutes=75, actor=spa.receptionist)
    (item,) = item_ids(visit)

    bookings.change_item(visit, item, ItemRequest(spa.facial, spa.therapists[1]), version=2, actor=spa.receptionist)
    bookings.cancel(visit, reason="ill", actor=spa.receptionist)
    bookings.undo_cancel(visit, actor=spa.receptionist)
    length = "SELECT extract(epoch FROM ends_at - starts_at)::int / 60 FROM booking_items"
    assert rows(length) == [(75,)]
    bookings.start(visit, actor=spa.receptionist)
    bookings.complete(visit, actor=spa.receptionist)

    assert rows(length) == [(75,)]
    assert rows("SELECT total_amount FROM invoices WHERE id = :id", id=invoice_of(visit)) == [(450_000,)]
    assert_books_balance()


def test_the_form_of_one_service_changes_its_length_too(spa, visit):
    first, second = item_ids(visit)
    change = partial(bookings.change_item, visit, actor=spa.receptionist)

    change(first, ItemRequest(spa.facial, spa.therapists[0]), version=1, minutes=80)
    assert times(visit) == [("10:00", "11:20", "11:30"), ("11:30", "12:00", "12:00")]
    change(second, ItemRequest(spa.massage, spa.therapists[0]), version=2, minutes=60)
    assert times(visit)[1] == ("11:35", "12:35", "12:50")
    change(second, ItemRequest(spa.consultation, spa.therapists[0]), version=3)
    assert times(visit)[1] == ("11:35", "12:05", "12:05")  # another service takes what the catalogue says
    bookings.add_item(
        visit, ItemRequest(spa.consultation, spa.therapists[1]), minutes=45, version=4, actor=spa.receptionist
    )
    assert times(visit)[2] == ("12:05", "12:50", "12:50")
    assert_books_balance()


def test_a_therapist_and_a_room_for_one_service_leave_the_others_alone(spa, visit, at):
    _, second = item_ids(visit)

    bookings.move(
        visit, starts_at=at("14:00"), item_id=second, staff_id=spa.therapists[1], version=1, actor=spa.receptionist
    )

    assert [(staff, start) for staff, start, *_ in rows(PLAN, id=visit)] == [
        (spa.therapists[0], "14:00"),
        (spa.therapists[1], "15:10"),
    ]
    first, _ = item_ids(visit)
    bookings.move(
        visit, starts_at=at("14:00"), item_id=first, resource_id=spa.rooms[1], version=2, actor=spa.receptionist
    )
    assert rows("SELECT resource_id FROM booking_item_resources") == [(spa.rooms[1],)]


@pytest.mark.parametrize("act", ["move", "change"])
def test_what_cannot_be_is_refused_by_name(spa, visit, at, act):
    first, _ = item_ids(visit)
    if act == "move":
        work = partial(bookings.move, visit, starts_at=at("10:00"), item_id=first, version=1)
    else:
        work = partial(bookings.change_item, visit, first, ItemRequest(spa.facial, spa.therapists[0]), version=1)
    resize = partial(work, actor=spa.receptionist)

    for minutes in (4, 0, -30, 721, 2**40):
        with refused("minutes_out_of_range", InvalidError, "minutes"):
            resize(minutes=minutes)
    with refused("branch_closed", InvalidError, "starts_at", ("choose_slot", "override_hours")):
        resize(minutes=700)
    item = ItemRequest(spa.consultation, spa.therapists[0])
    neighbour = factories.make_booking(spa, item, starts_at=at("12:00"), customer_id=factories.make_customer())
    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        resize(minutes=81)  # the consultation after it would reach into the neighbour
    resize(minutes=80)
    with refused("changed_meanwhile", ConflictError):
        resize(minutes=60)
    with refused("not_found", NotFoundError):
        work(minutes=30, actor=spa.other_receptionist)
    assert times(neighbour) == [("12:00", "12:30", "12:30")]


def test_a_room_that_is_taken_stops_it_too(spa, at):
    for room in spa.rooms:
        other = factories.make_staff(spa.branch, [spa.facial])
        item = ItemRequest(spa.facial, other, room)
        factories.make_booking(spa, item, starts_at=at("11:15"), customer_id=factories.make_customer())
    visit = factories.make_booking(spa, starts_at=at("10:00"))

    with refused("resource_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        bookings.move(visit, starts_at=at("10:00"), minutes=66, actor=spa.receptionist)
    bookings.move(visit, starts_at=at("10:00"), minutes=65, actor=spa.receptionist)


def test_the_service_that_is_meant_must_be_named_and_part_of_the_visit(spa, visit, at):
    other = factories.make_booking(spa, starts_at=at("15:00"))
    with refused("item_missing", InvalidError, "item_id"):
        bookings.move(visit, starts_at=at("10:00"), minutes=90, actor=spa.receptionist)
    with refused("item_unknown", NotFoundError):
        bookings.move(visit, starts_at=at("10:00"), item_id=item_ids(other)[0], actor=spa.receptionist)


@pytest.mark.parametrize("status", ["in_progress", "completed", "cancelled", "no_show"])
def test_only_what_has_not_begun_is_resized(spa, status):
    visit = factories.make_booking(spa, status=status)
    start = rows("SELECT starts_at FROM bookings")[0][0]
    with refused("wrong_status", WrongStateError):
        bookings.move(visit, starts_at=start, minutes=90, actor=spa.manager)


def test_what_is_over_stays_where_it_is_but_for_a_manager(spa):
    visit = factories.make_booking(spa, starts_at=factories.local_at(spa.branch, "09:00"))
    later = factories.tomorrow_at(spa.branch, "10:00")
    (item,) = item_ids(visit)

    with refused("visit_over", WrongStateError):
        bookings.move(visit, starts_at=later, actor=spa.receptionist)
    with refused("visit_over", WrongStateError):
        bookings.change_item(visit, item, ItemRequest(spa.facial), minutes=30, version=1, actor=spa.receptionist)
    bookings.move(visit, starts_at=later, actor=spa.manager)
    bookings.move(visit, starts_at=later, minutes=90, actor=spa.receptionist)


def test_free_times_for_a_move_count_with_the_length_that_was_agreed(spa, at):
    visit = factories.make_booking(spa, ItemRequest(spa.consultation, spa.therapists[0]), starts_at=at("08:00"))
    item = ItemRequest(spa.consultation, spa.therapists[0])
    factories.make_booking(spa, item, starts_at=at("11:00"), customer_id=factories.make_customer())

    def offered(**asked):
        return [slot.starts_at for slot in bookings.find_moves(visit, since=at("10:15"), limit=2, **asked)]

    assert offered() == [at("10:15"), at("10:30")]
    assert offered(minutes=60) == [at("11:30"), at("11:45")]
    bookings.move(visit, starts_at=at("08:00"), minutes=45, actor=spa.receptionist)
    assert offered() == [at("10:15"), at("11:30")]
