"""Putting a visit into the calendar and moving it: places, hours, days, and what the refusals tell."""

import datetime as dt
from functools import partial

import pytest

from spa_app.errors import ConflictError, InvalidError, NotAllowedError, SlotTakenError
from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, counters, execute, refused, rows

MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)


@pytest.fixture
def at(spa):
    return partial(factories.tomorrow_at, spa.branch)


@pytest.fixture
def book(spa):
    """Book for the spa's customer, at the desk unless told otherwise."""

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


def places(booking):
    """(therapist, rooms, minutes since the visit's start, length) of each item."""
    return rows(
        """SELECT i.staff_id, array_agg(r.resource_id ORDER BY 1) FILTER (WHERE r.resource_id IS NOT NULL),
               (extract(epoch FROM i.starts_at - b.starts_at) / 60)::int,
               (extract(epoch FROM i.ends_at - i.starts_at) / 60)::int
           FROM booking_items i JOIN bookings b ON b.id = i.booking_id
           LEFT JOIN booking_item_resources r ON r.booking_item_id = i.id
           WHERE b.id = :id GROUP BY i.id, b.starts_at ORDER BY i.position""",
        id=booking,
    )


def test_services_follow_one_another_with_their_clean_up(spa, book, at):
    booking = book(at("10:00"), ItemRequest(spa.facial, spa.therapists[0]), ItemRequest(spa.massage, spa.therapists[1]))

    # 60 minutes and 10 of clean-up, then 5 of preparation.
    assert places(booking) == [
        (spa.therapists[0], [spa.rooms[0]], 0, 60),
        (spa.therapists[1], [spa.rooms[0]], 75, 90),
    ]


def test_anyone_is_the_one_with_the_fewest_visits(spa, book, at):
    first, second = spa.therapists
    assert places(book(at("10:00"), ItemRequest(spa.facial)))[0][:2] == (first, [spa.rooms[0]])
    assert places(book(at("12:00"), ItemRequest(spa.facial)))[0][:2] == (second, [spa.rooms[0]])
    assert places(book(at("14:00"), ItemRequest(spa.facial)))[0][0] == first
    assert places(book(at("14:00"), ItemRequest(spa.facial)))[0][:2] == (second, [spa.rooms[1]])
    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)) as caught:
        book(at("14:30"), ItemRequest(spa.facial))
    assert caught.value.params["busy_from"] == at("14:00")
    assert caught.value.params["busy_to"] == at("15:10")
    assert caught.value.params["next"] == at("15:15")


def test_clean_up_counts_and_touching_is_no_overlap(spa, book, at):
    item = ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0])
    book(at("10:00"), item)

    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        book(at("11:09"), item)
    book(at("11:10"), item)
    assert_books_balance()


def test_a_room_that_is_taken_is_named(spa, book, at):
    book(at("10:00"), ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]))

    with refused("resource_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        book(at("10:30"), ItemRequest(spa.facial, spa.therapists[1], spa.rooms[0]))
    assert places(book(at("10:30"), ItemRequest(spa.facial, spa.therapists[1])))[0][1] == [spa.rooms[1]]


def test_the_last_room_cannot_be_given_twice_within_one_visit(spa, book, at):
    both = factories.make_resource_type()
    bath = factories.make_service(minutes=30, room_types=[spa.room_type, both])
    factories.make_staff(spa.branch, [bath])

    with refused("resource_unsuitable", InvalidError, "items-0-resource_id"):
        book(at("10:00"), ItemRequest(bath))
    tub = factories.make_room(spa.branch, both)
    assert places(book(at("10:00"), ItemRequest(bath)))[0][1] == [spa.rooms[0], tub]


@pytest.mark.parametrize(
    ("code", "field", "wrong"),
    [
        ("service_unknown", "items-0-service_id", lambda spa: ItemRequest(4711)),
        ("staff_unqualified", "items-0-staff_id", lambda spa: ItemRequest(spa.facial, spa.other_therapist)),
        ("staff_unqualified", "items-0-staff_id", lambda spa: ItemRequest(spa.facial, 4711)),
        ("resource_unsuitable", "items-0-resource_id", lambda spa: ItemRequest(spa.facial, None, spa.other_room)),
        ("resource_unsuitable", "items-0-resource_id", lambda spa: ItemRequest(spa.facial, None, 4711)),
        ("resource_unsuitable", "items-0-resource_id", lambda spa: ItemRequest(spa.consultation, None, spa.rooms[0])),
        (
            "nobody_qualified",
            "items-0-service_id",
            lambda spa: ItemRequest(factories.make_service(room_types=[spa.room_type])),
        ),
    ],
)
def test_a_choice_that_cannot_be_is_refused_at_its_field(spa, book, at, code, field, wrong):
    item = wrong(spa)

    with refused(code, InvalidError, field):
        book(at("10:00"), item)


def test_a_visit_needs_a_customer_and_between_one_and_ten_services(spa, book, at):
    item = ItemRequest(spa.consultation)
    with refused("customer_unknown", InvalidError, "customer_id"):
        book(at("10:00"), item, customer_id=4711)
    with refused("items_missing", InvalidError, "items-0-service_id"):
        book(at("10:00"))
    with refused("items_missing", InvalidError, "items-0-service_id"):
        book(at("08:00"), *[item] * 11)
    with refused("too_long", InvalidError, "note"):
        book(at("10:00"), item, note="x" * 2001)


@pytest.mark.parametrize(("time", "open_"), [("07:59", False), ("08:00", True), ("20:00", True), ("20:01", False)])
def test_the_desk_books_within_opening_hours(spa, book, at, time, open_):
    item = ItemRequest(spa.facial, spa.therapists[0])
    if open_:
        book(at(time), item)
        return
    with refused("branch_closed", InvalidError, "starts_at", ("choose_slot", "override_hours")):
        book(at(time), item)
    with refused("manager_only", NotAllowedError):
        book(at(time), item, override_hours=True)
    with refused("branch_closed", InvalidError, "starts_at", ("choose_slot", "override_hours")):
        book(at(time), item, actor=spa.manager)
    assert audited() == []
    assert book(at(time), item, actor=spa.manager, override_hours=True)
    assert audited() == ["booking_created", "booking_hours_overridden"]


@pytest.mark.parametrize(("days", "late"), [(-8, None), (-6, True), (1, False)])
def test_the_desk_enters_the_last_seven_days_and_a_manager_further_back(spa, book, days, late):
    at = factories.local_at(spa.branch, "10:00", days=days)
    if late is None:
        with refused("too_late", InvalidError, "starts_at"):
            book(at, ItemRequest(spa.facial))
    booking = book(at, ItemRequest(spa.facial), actor=spa.manager if late is None else spa.receptionist)

    assert rows("SELECT entered_late FROM bookings WHERE id = :id", id=booking) == [(late is not False,)]


def test_a_move_says_anew_whether_the_visit_is_entered_late(spa, book):
    def is_late():
        return rows("SELECT entered_late FROM bookings WHERE id = :id", id=booking)[0][0]

    booking = book(factories.local_at(spa.branch, "10:00", days=1), ItemRequest(spa.facial))
    yesterday = factories.local_at(spa.branch, "10:00", days=-1)

    bookings.move(booking, starts_at=yesterday, actor=spa.receptionist)
    assert is_late()
    execute(
        "UPDATE bookings SET entered_late = false, version = version + 1"
    )  # as one that was booked in time and not moved
    bookings.move(booking, starts_at=yesterday, staff_id=spa.therapists[1], actor=spa.manager)
    assert not is_late()
    bookings.move(booking, starts_at=factories.local_at(spa.branch, "10:00", days=2), actor=spa.manager)
    assert not is_late()


def test_nobody_books_beyond_two_years(spa, book):
    with refused("too_far", InvalidError, "starts_at"):
        book(factories.local_at(spa.branch, "10:00", days=732), ItemRequest(spa.facial), actor=spa.manager)


def test_a_moved_visit_keeps_its_rooms_and_its_order(spa, book, at):
    booking = book(
        at("10:00"),
        ItemRequest(spa.facial, spa.therapists[0], spa.rooms[1]),
        ItemRequest(spa.massage, spa.therapists[0]),
    )
    before = places(booking)

    for minutes in (20, -35, 90, -200):
        start = rows("SELECT starts_at FROM bookings")[0][0]
        bookings.move(booking, starts_at=start + minutes * MINUTE, actor=spa.manager, override_hours=True)
        assert places(booking) == before
    assert_books_balance()


def test_a_moved_visit_takes_another_room_where_its_own_is_taken(spa, book, at):
    booking = book(at("10:00"), ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]))
    book(at("15:00"), ItemRequest(spa.facial, spa.therapists[1], spa.rooms[0]))

    bookings.move(booking, starts_at=at("15:00"), actor=spa.receptionist)

    assert places(booking)[0][:2] == (spa.therapists[0], [spa.rooms[1]])


def test_a_new_therapist_takes_over_what_the_first_one_had(spa, book, at):
    third = factories.make_staff(spa.branch, [spa.facial, spa.massage])
    booking = book(
        at("10:00"),
        ItemRequest(spa.facial, spa.therapists[0]),
        ItemRequest(spa.massage, spa.therapists[1]),
        ItemRequest(spa.facial, spa.therapists[0]),
    )

    bookings.move(booking, starts_at=at("10:00"), staff_id=third, actor=spa.receptionist)

    assert [staff for staff, *_ in places(booking)] == [third, spa.therapists[1], third]


def test_a_new_room_takes_over_from_the_first_one_and_leaves_other_kinds_alone(spa, book, at):
    nail_table = factories.make_room(spa.branch, kind := factories.make_resource_type())
    manicure = factories.make_service(minutes=45, room_types=[kind])
    both = factories.make_staff(spa.branch, [spa.facial, manicure])
    booking = book(at("10:00"), ItemRequest(spa.facial, both, spa.rooms[0]), ItemRequest(manicure, both))

    bookings.move(booking, starts_at=at("11:00"), resource_id=spa.rooms[1], actor=spa.receptionist)

    assert [rooms for _, rooms, *_ in places(booking)] == [[spa.rooms[1]], [nail_table]]


@pytest.mark.parametrize("hour", ["14:00", "14:30", "13:30"])
def test_a_visit_cannot_be_moved_onto_another(spa, book, at, hour):
    item = ItemRequest(spa.facial, spa.therapists[0])
    booking = book(at("10:00"), item)
    book(at("14:00"), item)

    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        bookings.move(booking, starts_at=at(hour), actor=spa.manager)


def test_a_stale_screen_cannot_move_a_visit(spa, book, at):
    booking = book(at("10:00"), ItemRequest(spa.facial))
    bookings.move(booking, starts_at=at("11:00"), version=1, actor=spa.receptionist)

    with refused("changed_meanwhile", ConflictError):
        bookings.move(booking, starts_at=at("12:00"), version=1, actor=spa.receptionist)


def test_moving_obeys_hours_days_and_skills(spa, book, at):
    booking = book(at("10:00"), ItemRequest(spa.facial))
    with refused("branch_closed", InvalidError, "starts_at", ("choose_slot", "override_hours")):
        bookings.move(booking, starts_at=at("07:00"), actor=spa.receptionist)
    with refused("too_late", InvalidError, "starts_at"):
        bookings.move(booking, starts_at=factories.local_at(spa.branch, "10:00", days=-8), actor=spa.receptionist)
    with refused("staff_unqualified", InvalidError, "staff_id"):
        bookings.move(booking, starts_at=at("10:00"), staff_id=spa.other_therapist, actor=spa.receptionist)
    with refused("manager_only", NotAllowedError):
        bookings.move(booking, starts_at=at("07:00"), actor=spa.receptionist, override_hours=True)
    bookings.move(booking, starts_at=at("07:00"), actor=spa.manager, override_hours=True)
    assert audited()[-2:] == ["booking_moved", "booking_hours_overridden"]


def test_a_visit_cannot_be_moved_beyond_its_card(spa, book, at):
    card = factories.make_card(
        spa.customer, spa.facial, branch_id=spa.branch, expiry_date=(at("10:00") + 7 * 60 * MINUTE).date()
    )
    booking = book(at("10:00"), ItemRequest(spa.facial, None, None, card))

    with refused("card_expired", InvalidError, "starts_at", ("extend_card", "choose_card", "pay_visit", "sell_plan")):
        bookings.move(booking, starts_at=at("10:00") + DAY, actor=spa.receptionist)
    bookings.move(booking, starts_at=at("16:00"), actor=spa.receptionist)
    assert counters(card) == (10, 0, 1, 0, "active")


def test_a_cancelled_visit_comes_back_only_into_a_free_place(spa, book, at):
    item = ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0])
    first = book(at("10:00"), item)
    bookings.cancel(first, reason="ill", actor=spa.receptionist)
    second = book(at("10:30"), item)

    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        bookings.undo_cancel(first, actor=spa.receptionist)
    bookings.move(second, starts_at=at("10:30"), staff_id=spa.therapists[1], actor=spa.receptionist)
    with refused("resource_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        bookings.undo_cancel(first, actor=spa.receptionist)
    bookings.cancel(second, reason="ill", actor=spa.receptionist)
    bookings.undo_cancel(first, actor=spa.receptionist)
    assert_books_balance()
