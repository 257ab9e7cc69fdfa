"""One service of a visit at a time: its place, its card, its time, and what is refused."""

from functools import partial

import pytest

from spa_app.errors import ConflictError, InvalidError, NotFoundError, SlotTakenError, WrongStateError
from spa_app.services import bookings, treatments
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, counters, entries, invoice_of, refused, rows, status_of

ITEMS = f"""
    SELECT service_id, staff_id, to_char(starts_at AT TIME ZONE '{factories.TIMEZONE}', 'HH24:MI'), occupies
    FROM booking_items WHERE booking_id = :id ORDER BY position"""


@pytest.fixture
def at(spa):
    return partial(factories.tomorrow_at, spa.branch)


@pytest.fixture
def card(spa):
    return factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)


@pytest.fixture
def visit(spa, at, card):
    """Tomorrow at 10: a facial on a card, then a consultation, both with the first therapist."""
    items = [
        ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0], card),
        ItemRequest(spa.consultation, spa.therapists[0]),
    ]
    return factories.make_booking(spa, *items, starts_at=at("10:00"))


def item_ids(booking):
    return [id_ for (id_,) in rows("SELECT id FROM booking_items WHERE booking_id = :id ORDER BY position", id=booking)]


def version_of(booking):
    return rows("SELECT version FROM bookings WHERE id = :id", id=booking)[0][0]


ACTS = {
    "add": lambda spa, visit, item: partial(bookings.add_item, visit, ItemRequest(spa.consultation)),
    "change": lambda spa, visit, item: partial(bookings.change_item, visit, item, ItemRequest(spa.facial)),
    "cancel": lambda spa, visit, item: partial(bookings.cancel_item, visit, item),
    "payment": lambda spa, visit, item: partial(bookings.change_payment, visit, item, treatment_id=None),
}


@pytest.mark.parametrize("act", ACTS)
def test_each_act_is_one_version_and_one_audit_row_and_a_stale_screen_is_refused(spa, visit, act):
    work = partial(ACTS[act](spa, visit, item_ids(visit)[0]), actor=spa.receptionist)

    assert work(version=1) == visit

    assert version_of(visit) == 2
    assert len(audited()) == 2
    assert_books_balance()
    with refused("changed_meanwhile", ConflictError):
        work(version=1)


@pytest.mark.parametrize("status", ["in_progress", "completed", "cancelled", "no_show"])
@pytest.mark.parametrize("act", ACTS)
def test_only_what_has_not_begun_is_edited_and_only_what_is_not_over_paid_otherwise(spa, card, act, status):
    booking = factories.make_booking(spa, card=card, status=status)
    work = partial(ACTS[act](spa, booking, item_ids(booking)[0]), version=version_of(booking), actor=spa.receptionist)
    if (act, status) == ("payment", "in_progress"):
        work()
        return
    with refused("wrong_status", WrongStateError) as caught:
        work()
    assert caught.value.params["present"] == status


@pytest.mark.parametrize("act", ACTS)
def test_a_visit_of_another_branch_does_not_exist(spa, visit, act):
    with refused("not_found", NotFoundError):
        ACTS[act](spa, visit, item_ids(visit)[0])(version=1, actor=spa.other_receptionist)


@pytest.mark.parametrize("act", ["change", "cancel", "payment"])
def test_a_service_of_another_visit_is_not_touched(spa, visit, at, act):
    other = factories.make_booking(spa, starts_at=at("15:00"))

    with refused("item_unknown", NotFoundError):
        ACTS[act](spa, visit, item_ids(other)[0])(version=1, actor=spa.receptionist)


def test_a_service_cancelled_alone_is_free_for_others_and_gives_its_session_back(spa, visit, at, card):
    facial, _ = item_ids(visit)

    bookings.cancel_item(visit, facial, version=1, actor=spa.receptionist)

    assert rows(ITEMS, id=visit) == [
        (spa.facial, spa.therapists[0], "10:00", False),
        (spa.consultation, spa.therapists[0], "11:10", True),
    ]
    assert rows("SELECT starts_at FROM bookings WHERE id = :id", id=visit) == [(at("11:10"),)]
    assert counters(card) == (10, 0, 0, 0, "active")
    item = ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0])
    factories.make_booking(spa, item, starts_at=at("09:50"), customer_id=factories.make_customer())
    with refused("item_unknown", NotFoundError):
        bookings.cancel_item(visit, facial, version=2, actor=spa.receptionist)


def test_the_last_service_is_not_cancelled_alone(spa, visit):
    first, second = item_ids(visit)
    bookings.cancel_item(visit, second, version=1, actor=spa.receptionist)

    with refused("last_item", ConflictError, ways_out=("cancel_visit",)):
        bookings.cancel_item(visit, first, version=2, actor=spa.receptionist)


def test_a_service_cancelled_alone_stays_out_of_all_that_follows(spa, card):
    items = [
        ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0], card),
        ItemRequest(spa.consultation, spa.therapists[0]),
        ItemRequest(spa.facial, spa.therapists[1], None, card),
    ]
    booking = factories.make_booking(spa, *items)
    bookings.cancel_item(booking, item_ids(booking)[0], version=1, actor=spa.receptionist)

    bookings.move(booking, starts_at=factories.this_minute(), actor=spa.manager)
    bookings.cancel(booking, reason="ill", actor=spa.receptionist)
    bookings.undo_cancel(booking, actor=spa.receptionist)
    assert counters(card) == (10, 0, 1, 0, "active")
    bookings.start(booking, actor=spa.receptionist)
    bookings.complete(booking, actor=spa.receptionist)

    assert counters(card) == (10, 1, 0, 0, "active")
    assert rows("SELECT total_amount FROM invoices WHERE id = :id", id=invoice_of(booking)) == [(100_000,)]
    bookings.undo_complete(booking, actor=spa.receptionist)
    assert counters(card) == (10, 0, 1, 0, "active")
    assert_books_balance()


def test_a_service_is_added_after_the_last_one(spa, visit, card):
    bookings.add_item(
        visit, ItemRequest(spa.facial, spa.therapists[1], spa.rooms[1], card), version=1, actor=spa.receptionist
    )

    assert rows(ITEMS, id=visit)[2] == (spa.facial, spa.therapists[1], "11:40", True)
    assert counters(card) == (10, 0, 2, 0, "active")


def test_what_cannot_be_added_is_refused_at_its_field(spa, visit, at):
    add = partial(bookings.add_item, visit, version=1, actor=spa.receptionist)
    factories.make_booking(spa, ItemRequest(spa.consultation, spa.therapists[1]), starts_at=at("11:45"))
    with refused("service_unknown", InvalidError, "service_id"):
        add(ItemRequest(4711))
    with refused("staff_unqualified", InvalidError, "staff_id"):
        add(ItemRequest(spa.facial, spa.other_therapist))
    with refused("resource_unsuitable", InvalidError, "resource_id"):
        add(ItemRequest(spa.facial, None, spa.other_room))
    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        add(ItemRequest(spa.consultation, spa.therapists[1]))
    other = factories.make_card(factories.make_customer(), None, branch_id=spa.branch)
    with refused("card_of_other", InvalidError, "treatment_id", ("choose_card", "pay_visit", "sell_plan")):
        add(ItemRequest(spa.facial, None, None, other))


def test_a_visit_holds_ten_services_and_ends_before_the_doors_close(spa, at):
    booking = factories.make_booking(spa, ItemRequest(spa.consultation), starts_at=at("09:00"))
    for number in range(1, 10):
        bookings.add_item(booking, ItemRequest(spa.consultation), version=number, actor=spa.receptionist)
    with refused("items_too_many", InvalidError, "service_id"):
        bookings.add_item(booking, ItemRequest(spa.consultation), version=10, actor=spa.receptionist)
    late = factories.make_booking(spa, ItemRequest(spa.facial), starts_at=at("19:50"))
    with refused("branch_closed", InvalidError, "starts_at", ("choose_slot", "override_hours")):
        bookings.add_item(late, ItemRequest(spa.facial), version=1, actor=spa.receptionist)


def test_a_longer_service_pushes_the_later_ones_and_a_shorter_one_draws_them_near(spa, visit):
    first, _ = item_ids(visit)
    change = partial(bookings.change_item, visit, first, actor=spa.receptionist)

    change(ItemRequest(spa.massage, spa.therapists[0]), version=1)

    assert [(service, start) for service, _, start, _ in rows(ITEMS, id=visit)] == [
        (spa.massage, "10:00"),
        (spa.consultation, "11:45"),
    ]
    assert rows("SELECT price_amount, treatment_id FROM booking_items WHERE id = :id", id=first) == [(800_000, None)]
    change(ItemRequest(spa.consultation, spa.therapists[0]), version=2)
    assert [start for _, _, start, _ in rows(ITEMS, id=visit)] == ["10:00", "10:30"]
    assert_books_balance()


def test_a_longer_service_does_not_push_into_another_visit(spa, visit, at):
    item = ItemRequest(spa.consultation, spa.therapists[0])
    factories.make_booking(spa, item, starts_at=at("11:45"), customer_id=factories.make_customer())

    with refused("staff_busy", SlotTakenError, "starts_at", ("choose_slot",)):
        bookings.change_item(
            visit, item_ids(visit)[0], ItemRequest(spa.massage, spa.therapists[0]), version=1, actor=spa.receptionist
        )


def test_the_preparation_of_a_new_service_waits_for_the_clean_up_before_it(spa, visit):
    bookings.change_item(
        visit, item_ids(visit)[1], ItemRequest(spa.massage, spa.therapists[0]), version=1, actor=spa.receptionist
    )

    assert [start for _, _, start, _ in rows(ITEMS, id=visit)] == ["10:00", "11:15"]


def test_another_therapist_and_room_keep_the_time_and_the_card(spa, visit, card):
    first, _ = item_ids(visit)
    bookings.change_item(
        visit,
        first,
        ItemRequest(spa.facial, spa.therapists[1], spa.rooms[1], card),
        version=1,
        actor=spa.receptionist,
    )

    assert rows(ITEMS, id=visit)[0] == (spa.facial, spa.therapists[1], "10:00", True)
    assert rows("SELECT resource_id FROM booking_item_resources WHERE booking_item_id = :id", id=first) == [
        (spa.rooms[1],)
    ]
    assert [kind for kind, *_ in entries(card)] == ["purchase", "hold"]


def test_a_hold_moves_along_from_card_to_card(spa, visit, card):
    first, _ = item_ids(visit)
    other = factories.make_card(spa.customer, None, branch_id=spa.branch, sessions=1)

    bookings.change_item(visit, first, ItemRequest(spa.facial, None, None, other), version=1, actor=spa.receptionist)
    assert (counters(card)[2], counters(other)[2]) == (0, 1)
    bookings.change_payment(visit, first, treatment_id=card, version=2, actor=spa.receptionist)
    assert (counters(card)[2], counters(other)[2]) == (1, 0)
    bookings.change_payment(visit, first, treatment_id=None, version=3, actor=spa.receptionist)
    assert (counters(card)[2], counters(other)[2]) == (0, 0)
    assert_books_balance()


def test_a_card_does_not_stay_on_a_service_that_it_does_not_cover(spa, visit, card):
    with refused("card_wrong_service", InvalidError, "treatment_id", ("choose_card", "pay_visit", "sell_plan")):
        bookings.change_item(
            visit, item_ids(visit)[0], ItemRequest(spa.massage, None, None, card), version=1, actor=spa.receptionist
        )


def test_a_used_up_card_does_not_take_over(spa, visit, at):
    other = factories.make_card(spa.customer, None, branch_id=spa.branch, sessions=1)
    factories.make_booking(spa, starts_at=at("15:00"), card=other)

    with refused("card_used_up", InvalidError, "treatment_id", ("choose_card", "pay_visit", "sell_plan")):
        bookings.change_payment(visit, item_ids(visit)[1], treatment_id=other, version=1, actor=spa.receptionist)


@pytest.mark.parametrize("with_other_card", [True, False])
def test_a_card_that_gave_out_does_not_block_the_visit(spa, card, with_other_card):
    booking = factories.make_booking(spa, card=card, status="completed")
    other = factories.make_card(spa.customer, None, branch_id=spa.branch) if with_other_card else None
    treatments.freeze_card(card, reason="abroad", actor=spa.receptionist)
    bookings.undo_complete(booking, actor=spa.receptionist)
    ways = ("unfreeze_card", "choose_card", "pay_visit", "sell_plan")
    with refused("card_frozen", ConflictError, "items-0-treatment_id", ways):
        bookings.complete(booking, actor=spa.receptionist)

    bookings.change_payment(
        booking,
        item_ids(booking)[0],
        treatment_id=other,
        version=version_of(booking),
        actor=spa.receptionist,
    )
    bookings.complete(booking, actor=spa.receptionist)

    assert status_of(booking) == "completed"
    assert counters(card) == (10, 0, 0, 0, "frozen")
    assert rows("SELECT count(*) FROM invoices WHERE booking_id = :id", id=booking) == [(0 if other else 1,)]
    assert_books_balance()
