"""Customers who come together: all are booked or none, they share a room that has places, and each visit is its own."""

import datetime as dt
from functools import partial

import pytest

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError, SlotTakenError, WrongStateError
from spa_app.services import bookings, scheduling_parties
from spa_app.services.bookings import Guest, ItemRequest, Settlement
from spa_app.services.scheduling_needs import in_sequence
from spa_app.services.scheduling_parties import GuestNeeds
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import counters, execute, refused, rows

QUARTER = dt.timedelta(minutes=15)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def at(spa):
    return partial(factories.tomorrow_at, spa.branch)


@pytest.fixture
def lan(spa):
    return factories.make_customer("Vũ Lan")


@pytest.fixture
def suite(spa):
    """A room for two."""
    return factories.make_room(spa.branch, spa.room_type, "Suite", places=2)


@pytest.fixture
def book(spa, lan):
    def book(starts_at, *items, actor=None, **extra):
        guests = [
            Guest(customer, [item]) for customer, item in zip((spa.customer, lan), items or two(spa), strict=True)
        ]
        guests = extra.pop("guests", guests)
        return bookings.book_party(
            guests, branch_id=spa.branch, starts_at=starts_at, actor=actor or spa.receptionist, **extra
        )

    return book


def two(spa, **which):
    return [ItemRequest(spa.facial, **which), ItemRequest(spa.facial, **which)]


def places():
    """Who lies where: visit, room, place."""
    return rows(
        "SELECT i.booking_id, r.resource_id, r.place FROM booking_item_resources r"
        " JOIN booking_items i ON i.id = r.booking_item_id ORDER BY 1, 2"
    )


def starts(*visits):
    return [rows("SELECT starts_at FROM bookings WHERE id = :id", id=one)[0][0] for one in visits]


def statuses(*visits):
    return [rows("SELECT status FROM bookings WHERE id = :id", id=one)[0][0] for one in visits]


def test_each_has_a_visit_a_therapist_and_a_place_in_the_same_room(spa, suite, book, at, lan):
    first, second = book(at("10:00"), note="Anniversary")

    assert rows("SELECT customer_id, note, status, starts_at FROM bookings ORDER BY id") == [
        (spa.customer, "Anniversary", "confirmed", at("10:00")),
        (lan, "Anniversary", "confirmed", at("10:00")),
    ]
    assert rows("SELECT count(DISTINCT party_id), count(party_id) FROM bookings") == [(1, 2)]
    assert places() == [(first, suite, 1), (second, suite, 2)]
    assert rows("SELECT count(DISTINCT staff_id) FROM booking_items") == [(2,)]
    assert rows("SELECT entity_id FROM audit_log WHERE action = 'booking_created' ORDER BY 1") == [(first,), (second,)]
    assert_books_balance()


def test_rooms_of_their_own_where_none_has_places_for_them(spa, book, at):
    first, second = book(at("10:00"))

    assert places() == [(first, spa.rooms[0], 1), (second, spa.rooms[1], 1)]


def test_a_room_for_two_that_is_free_for_one_of_them_only_is_left(spa, suite, book, at):
    third = factories.make_staff(spa.branch, [spa.facial])
    factories.make_booking(spa, ItemRequest(spa.facial, third, suite), starts_at=at("11:15"))

    first, second = book(at("10:00"), ItemRequest(spa.facial), ItemRequest(spa.massage))

    assert places()[1:] == [(first, suite, 1), (second, spa.rooms[0], 1)]


def test_a_customer_who_comes_alone_leaves_the_room_for_two(spa, suite, at):
    execute("UPDATE resources SET position = CASE id WHEN :suite THEN 0 ELSE 1 END", suite=suite)
    visit = factories.make_booking(spa, ItemRequest(spa.facial), starts_at=at("10:00"))

    assert places() == [(visit, spa.rooms[0], 1)]


def test_nobody_else_is_booked_into_their_room(spa, suite, book, at):
    factories.make_staff(spa.branch, [spa.facial])
    book(at("10:00"))

    item, stranger = ItemRequest(spa.facial, None, suite), factories.make_customer()
    with refused("resource_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        factories.make_booking(spa, item, starts_at=at("10:30"), customer_id=stranger)


def test_when_one_of_them_cancels_the_other_keeps_the_room_for_herself(spa, suite, book, at):
    factories.make_staff(spa.branch, [spa.facial])
    first, _ = book(at("10:00"))
    bookings.cancel(first, reason="ill", actor=spa.receptionist)

    item, stranger = ItemRequest(spa.facial, None, suite), factories.make_customer()
    with refused("resource_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        factories.make_booking(spa, item, starts_at=at("10:30"), customer_id=stranger)

    bookings.undo_cancel(first, actor=spa.receptionist)
    assert [room for _, room, _ in places()] == [suite, suite]


def test_who_comes_back_takes_the_place_that_is_left(spa, suite, book, at):
    first, second = book(at("10:00"))
    bookings.cancel(first, reason="ill", actor=spa.receptionist)
    bookings.move(second, starts_at=at("10:15"), actor=spa.receptionist)
    assert (second, suite, 1) in places()

    bookings.undo_cancel(first, actor=spa.receptionist)

    assert places() == [(first, suite, 2), (second, suite, 1)]


def test_who_comes_back_to_a_room_that_has_lost_the_place_is_refused(spa, suite, book, at):
    first, second = book(at("10:00"))
    bookings.cancel(first, reason="ill", actor=spa.receptionist)
    bookings.move(second, starts_at=at("10:15"), actor=spa.receptionist)
    execute("UPDATE resources SET places = 1 WHERE id = :id", id=suite)

    with refused("room_full", SlotTakenError, "starts_at", ("choose_slot",)):
        bookings.undo_cancel(first, actor=spa.receptionist)


@pytest.mark.parametrize(
    ("which", "code", "kind", "field", "ways"),
    [
        ({"staff_id": 0}, "party_too_big", SlotTakenError, "starts_at", ("choose_slot",)),
        ({"resource_id": 0}, "party_too_big", SlotTakenError, "starts_at", ("choose_slot",)),
        ({"resource_id": "other"}, "resource_unsuitable", InvalidError, "items-0-resource_id", ()),
    ],
)
def test_all_or_none(spa, book, at, which, code, kind, field, ways):
    known = {"staff_id": spa.therapists, "resource_id": spa.rooms}
    which = {name: spa.other_room if value == "other" else known[name][value] for name, value in which.items()}

    with refused(code, kind, field, ways):
        book(at("10:00"), *two(spa, **which))


def test_what_is_wrong_with_a_guest_is_said_at_their_field(spa, book, at, lan):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    wrong = [
        (Guest(10**9, two(spa)[:1]), "customer_unknown", "guests-0-customer_id", ()),
        (Guest(spa.customer, two(spa)[:1]), "guest_twice", "guests-0-customer_id", ()),
        (Guest(lan, []), "items_missing", "guests-0-items-0-service_id", ()),
        (Guest(lan, [ItemRequest(10**9)]), "service_unknown", "guests-0-items-0-service_id", ()),
        (
            Guest(lan, [ItemRequest(spa.facial, spa.other_therapist)]),
            "staff_unqualified",
            "guests-0-items-0-staff_id",
            (),
        ),
        (
            Guest(lan, [ItemRequest(spa.facial, treatment_id=card)]),
            "card_of_other",
            "guests-0-items-0-treatment_id",
            ("choose_card", "pay_visit", "sell_plan"),
        ),
    ]
    for guest, code, field, ways in wrong:
        with refused(code, InvalidError, field, ways):
            book(at("10:00"), guests=[Guest(spa.customer, [ItemRequest(spa.facial)]), guest])


def test_a_party_has_two_to_six_guests_of_ones_own_branch(spa, book, at):
    one = Guest(spa.customer, [ItemRequest(spa.facial)])
    for count in (1, 7):
        with refused("guests_too_many", InvalidError, "guests"):
            book(at("10:00"), guests=[one] * count)
    with pytest.raises(NotFoundError):
        book(at("10:00"), actor=spa.other_receptionist)
    with pytest.raises(NotAllowedError):
        book(at("10:00"), override_hours=True)


def test_a_busy_therapist_of_the_second_guest_refuses_all(spa, book, at):
    factories.make_booking(spa, ItemRequest(spa.consultation, spa.therapists[1]), starts_at=at("10:30"))

    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)) as caught:
        book(at("10:00"), ItemRequest(spa.facial), ItemRequest(spa.facial, spa.therapists[1]))

    assert caught.value.params["next"] == at("11:00")


def test_each_holds_a_session_of_their_own_card(spa, book, at, lan):
    cards = [factories.make_card(one, spa.facial, branch_id=spa.branch, sessions=1) for one in (spa.customer, lan)]

    book(at("10:00"), *(ItemRequest(spa.facial, treatment_id=card) for card in cards))

    assert rows("SELECT held_sessions FROM customer_treatments ORDER BY id") == [(1,), (1,)]
    assert_books_balance()


def test_offered_times_fit_all_of_them(spa, book, at):
    factories.make_booking(spa, ItemRequest(spa.consultation, spa.therapists[1]), starts_at=at("10:30"))
    guests = [GuestNeeds(in_sequence([scheduling_parties.Wish(spa.facial)], at("10:00"))) for _ in range(2)]
    branch = factories.db.session.get_one(factories.Branch, spa.branch)

    found = scheduling_parties.next_slots_together(guests, branch=branch, since=at("09:45"), limit=3)

    assert [slot.starts_at for slot in found] == [at("11:00"), at("11:15"), at("11:30")]
    assert {one for one, _ in found[0].staff} == set(spa.therapists)
    book(found[0].starts_at)


def test_moving_moves_all_and_keeps_therapists_and_room(spa, suite, book, at):
    visits = book(at("10:00"))
    before = rows("SELECT booking_id, staff_id FROM booking_items ORDER BY 1")

    bookings.move_party(visits[1], starts_at=at("10:15"), versions=dict.fromkeys(visits, 1), actor=spa.receptionist)

    assert starts(*visits) == [at("10:15")] * 2
    assert rows("SELECT booking_id, staff_id FROM booking_items ORDER BY 1") == before
    assert [room for _, room, _ in places()] == [suite, suite]
    assert rows("SELECT entity_id FROM audit_log WHERE action = 'booking_moved' ORDER BY 1") == [
        (one,) for one in visits
    ]
    assert rows("SELECT version FROM bookings") == [(2,), (2,)]


@pytest.mark.parametrize("later", [True, False])
def test_those_who_follow_each_other_at_one_therapist_move_together(spa, book, at, later):
    one, other = spa.therapists
    guests = [
        Guest(spa.customer, [ItemRequest(spa.consultation, one), ItemRequest(spa.consultation, other)]),
        Guest(factories.make_customer(), [ItemRequest(spa.consultation, other), ItemRequest(spa.consultation, one)]),
    ]
    visits = book(at("10:00"), guests=guests)

    bookings.move_party(visits[0], starts_at=at("10:15" if later else "09:45"), actor=spa.receptionist)

    assert starts(*visits) == [at("10:15" if later else "09:45")] * 2


def test_none_moves_where_one_does_not_fit(spa, book, at):
    visits = book(at("10:00"))
    (busy,) = rows("SELECT staff_id FROM booking_items WHERE booking_id = :id", id=visits[1])[0]
    factories.make_booking(spa, ItemRequest(spa.consultation, busy), starts_at=at("12:00"))

    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        bookings.move_party(visits[0], starts_at=at("11:30"), actor=spa.receptionist)


def test_one_can_move_alone_and_share_the_room_as_long_as_they_overlap(spa, suite, book, at):
    first, second = book(at("10:00"))

    bookings.move(first, starts_at=at("10:30"), actor=spa.receptionist)

    assert starts(first, second) == [at("10:30"), at("10:00")]
    assert [room for _, room, _ in places()] == [suite, suite]


def test_another_therapist_at_the_same_time_leaves_the_others_alone(spa, book, at):
    third = factories.make_staff(spa.branch, [spa.facial])
    first, _second = book(at("10:00"))

    bookings.move_party(first, starts_at=at("10:00"), staff_id=third, actor=spa.receptionist)

    assert rows("SELECT version FROM bookings ORDER BY id") == [(2,), (1,)]


def test_moving_is_refused_on_top_of_what_was_not_seen(spa, book, at):
    first, second = book(at("10:00"))
    bookings.move(second, starts_at=at("10:15"), actor=spa.receptionist)

    with refused("changed_meanwhile", ConflictError):
        bookings.move_party(first, starts_at=at("11:00"), versions={first: 1, second: 1}, actor=spa.receptionist)


def test_who_has_begun_is_not_moved_with_the_others(spa, book):
    first, second = book(factories.this_minute())
    bookings.start(second, actor=spa.receptionist)

    bookings.move_party(first, starts_at=factories.this_minute() + HOUR, actor=spa.receptionist)

    assert starts(first)[0] - starts(second)[0] >= HOUR
    with refused("wrong_status", WrongStateError):
        bookings.move_party(second, starts_at=factories.this_minute() + HOUR, actor=spa.receptionist)


def test_changing_a_service_of_one_stays_in_the_shared_room(spa, suite, book, at):
    first, _second = book(at("10:00"))
    (item,) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=first)[0]

    bookings.change_item(first, item, ItemRequest(spa.massage), version=1, actor=spa.receptionist)

    assert [room for _, room, _ in places()] == [suite, suite]
    assert rows("SELECT version FROM bookings ORDER BY id") == [(2,), (1,)]


def test_all_arrive_start_and_are_completed_with_an_invoice_each(spa, book, lan):
    card = factories.make_card(lan, spa.facial, branch_id=spa.branch, sessions=1)
    third = factories.make_customer()
    factories.make_staff(spa.branch, [spa.consultation])
    visits = book(
        factories.this_minute(),
        guests=[
            Guest(spa.customer, [ItemRequest(spa.facial)]),
            Guest(lan, [ItemRequest(spa.facial, treatment_id=card)]),
            Guest(third, [ItemRequest(spa.consultation)]),
        ],
    )

    bookings.arrive_party(visits[1], actor=spa.receptionist)
    assert rows("SELECT count(arrived_at) FROM bookings") == [(3,)]
    bookings.start_party(visits[1], actor=spa.receptionist)
    assert statuses(*visits) == ["in_progress"] * 3
    bookings.complete_party(visits[1], actor=spa.receptionist)

    assert statuses(*visits) == ["completed"] * 3
    assert rows("SELECT booking_id, total_amount FROM invoices WHERE booking_id IS NOT NULL ORDER BY 1") == [
        (visits[0], 450_000),
        (visits[2], 100_000),
    ]
    assert_books_balance()


def test_completing_all_completes_none_where_one_card_fails(spa, book, lan):
    card = factories.make_card(lan, spa.facial, branch_id=spa.branch, sessions=1)
    visits = book(factories.this_minute(), ItemRequest(spa.facial), ItemRequest(spa.facial, treatment_id=card))
    bookings.start_party(visits[0], actor=spa.receptionist)
    execute("UPDATE customer_treatments SET frozen_on = current_date, status = 'frozen' WHERE id = :id", id=card)

    with pytest.raises(ConflictError):
        bookings.complete_party(visits[0], actor=spa.receptionist)

    assert statuses(*visits) == ["in_progress"] * 2
    assert rows("SELECT count(*) FROM invoices WHERE booking_id IS NOT NULL") == [(0,)]


def test_cancelling_all_follows_the_policy_for_each(spa, book):
    factories.set_policy(spa.branch, late_cancel_policy="fee", late_cancel_fee_amount=50_000)
    visits = book(factories.this_minute())

    bookings.cancel_party(visits[0], reason="ill", actor=spa.receptionist)

    assert statuses(*visits) == ["cancelled"] * 2
    assert rows("SELECT booking_id, total_amount FROM invoices ORDER BY 1") == [(one, 50_000) for one in visits]
    bookings.undo_cancel(visits[1], actor=spa.manager)
    assert statuses(*visits) == ["cancelled", "confirmed"]
    assert_books_balance()


def test_what_is_done_with_all_leaves_out_whom_it_does_not_fit(spa, book):
    first, second = book(factories.this_minute())
    bookings.cancel(second, reason="ill", actor=spa.receptionist)

    bookings.start_party(first, actor=spa.receptionist)

    assert statuses(first, second) == ["in_progress", "cancelled"]
    with refused("wrong_status", WrongStateError):
        bookings.arrive_party(second, actor=spa.receptionist)


def test_another_branch_knows_of_no_party(spa, book):
    first, _ = book(factories.this_minute())
    for act in (bookings.arrive_party, bookings.start_party, bookings.complete_party):
        with pytest.raises(NotFoundError):
            act(first, actor=spa.other_receptionist)
    with pytest.raises(NotFoundError):
        bookings.arrive_party(10**9, actor=spa.receptionist)


def test_completing_all_settles_each_guest_whose_card_gave_out(spa, book, lan):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    hers = factories.make_card(lan, spa.facial, branch_id=spa.branch)
    other = factories.make_card(lan, None, branch_id=spa.branch)
    visits = book(
        factories.this_minute(), ItemRequest(spa.facial, treatment_id=card), ItemRequest(spa.facial, treatment_id=hers)
    )
    bookings.start_party(visits[0], actor=spa.receptionist)
    yesterday = clock.today(factories.TIMEZONE) - dt.timedelta(days=1)
    execute("UPDATE customer_treatments SET expiry_date = :day WHERE id IN (:a, :b)", day=yesterday, a=card, b=hers)
    ways = ("extend_card", "choose_card", "pay_visit", "sell_plan")
    first, second = (items for (items,) in rows("SELECT id FROM booking_items ORDER BY booking_id"))
    versions = dict(rows("SELECT id, version FROM bookings"))

    def complete(versions=versions, **settled):
        settlements = {{"first": first, "second": second, "none": 4711}[name]: way for name, way in settled.items()}
        bookings.complete_party(visits[1], settlements=settlements, versions=versions, actor=spa.receptionist)

    with refused("card_expired", ConflictError, "items-0-treatment_id", ways):
        complete()
    with refused("card_expired", ConflictError, "guests-0-items-0-treatment_id", ways):
        complete(first=Settlement("desk"))
    with refused("item_unknown", NotFoundError):
        complete(none=Settlement("desk"))
    with refused("changed_meanwhile", ConflictError):
        complete(versions={**versions, visits[1]: 1}, first=Settlement("desk"), second=Settlement("card", other))

    complete(first=Settlement("desk"), second=Settlement("card", other))
    assert statuses(*visits) == ["completed"] * 2
    assert rows("SELECT booking_id FROM invoices WHERE booking_id IS NOT NULL") == [(visits[0],)]
    assert [counters(one)[1:3] for one in (card, hers, other)] == [(0, 0), (0, 0), (1, 0)]
    assert_books_balance()
