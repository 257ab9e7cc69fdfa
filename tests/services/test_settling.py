"""Completing a visit whose card can no longer pay: every way out, in one transaction or not at all."""

import datetime as dt

import pytest

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError
from spa_app.services import billing, bookings, expiry, treatments
from spa_app.services.bookings import ItemRequest, Settlement
from spa_app.services.transaction import atomic
from tests import factories
from tests.books import assert_books_balance
from tests.factories import TIMEZONE
from tests.services.checks import audited, counters, execute, refused, rows, status_of


@pytest.fixture
def card(spa):
    return factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)


@pytest.fixture
def visit(spa, card):
    return factories.make_booking(spa, card=card, status="in_progress")


def complete(spa, visit, *, actor=None, version=None, **hows):
    """Complete with one settlement per service: ``first=Settlement(...)``, ``second=...``."""
    found = rows("SELECT id FROM booking_items WHERE booking_id = :id ORDER BY position", id=visit)
    settlements = {found[("first", "second").index(place)][0]: how for place, how in hows.items()}
    version = version or rows("SELECT version FROM bookings WHERE id = :id", id=visit)[0][0]
    who = actor or spa.receptionist
    return bookings.complete(visit, settlements=settlements, version=version, reason="customer is here", actor=who)


def freeze(spa, visit, *cards):
    """As after a visit that was completed, and whose completion is undone once its cards have been frozen."""
    bookings.complete(visit, actor=spa.receptionist)
    for card in cards:
        treatments.freeze_card(card, reason="abroad", actor=spa.receptionist)
    bookings.undo_complete(visit, actor=spa.receptionist)


def today():
    return clock.today(TIMEZONE)


def end(card, *, days):
    """As after a manager who has shortened the card while the visit was booked."""
    execute(
        "UPDATE customer_treatments SET expiry_date = :day WHERE id = :id", id=card, day=today() - dt.timedelta(days)
    )


def reserved_nothing(spa, card, visit):
    (item,) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=visit)
    with atomic():
        treatments.release_hold(treatments.lock_cards([card])[card], item_id=item[0], actor=spa.receptionist)


def test_a_visit_after_the_card_s_last_day_is_not_punched(spa, card, visit):
    end(card, days=1)

    ways = ("extend_card", "choose_card", "pay_visit", "sell_plan")
    with refused("card_expired", ConflictError, "items-0-treatment_id", ways):
        bookings.complete(visit, actor=spa.receptionist)


def test_a_visit_of_the_last_day_is_punched_after_midnight(spa, card):
    at = factories.local_at(spa.branch, "10:00", days=-1)
    visit = factories.make_booking(spa, card=card, starts_at=at, status="in_progress")
    end(card, days=1)

    bookings.complete(visit, actor=spa.receptionist)
    assert counters(card)[1:4] == (1, 0, 0)


def test_a_card_that_waited_for_its_first_visit_may_be_over_at_a_later_one(spa):
    plan = factories.make_plan([(spa.facial, 3)])
    execute("UPDATE plans SET from_first_visit = true, validity_days = 1 WHERE id = :id", id=plan)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist)
    (card,) = factories.cards_of(sale)
    first = factories.make_booking(
        spa, card=card, starts_at=factories.local_at(spa.branch, "10:00", days=-3), status="in_progress"
    )
    second = factories.make_booking(spa, card=card, status="in_progress")
    bookings.complete(first, actor=spa.receptionist)

    with refused(
        "card_expired", ConflictError, "items-0-treatment_id", ("extend_card", "choose_card", "pay_visit", "sell_plan")
    ):
        bookings.complete(second, actor=spa.receptionist)
    complete(spa, second, first=Settlement("extend"))
    assert counters(card)[1] == 2


def test_the_customer_pays(spa, card, visit):
    freeze(spa, visit, card)
    complete(spa, visit, first=Settlement("desk"))

    assert counters(card) == (10, 0, 0, 0, "frozen")
    assert rows("SELECT total_amount FROM invoices WHERE booking_id = :id", id=visit) == [(450_000,)]
    assert audited()[-2:] == ["booking_item_payment_changed", "booking_completed"]
    assert_books_balance()


def test_another_card_pays(spa, card, visit):
    other = factories.make_card(spa.customer, None, branch_id=spa.branch)
    end(card, days=1)
    complete(spa, visit, first=Settlement("card", other))

    assert (counters(card)[1:3], counters(other)[1:3]) == ((0, 0), (1, 0))
    assert_books_balance()


def test_the_card_is_extended_just_so_far_as_the_visit_needs(spa, card, visit):
    end(card, days=3)
    complete(spa, visit, first=Settlement("extend"))

    assert counters(card)[1:3] == (1, 0)
    assert rows("SELECT kind, days, reason FROM treatment_entries WHERE kind = 'extend'") == [
        ("extend", 3, "customer is here")
    ]
    assert rows("SELECT expiry_date FROM customer_treatments WHERE id = :id", id=card) == [(today(),)]


def test_beyond_the_desk_s_limit_a_manager_extends(spa, card, visit):
    end(card, days=31)
    with refused("extend_above_limit", NotAllowedError, "items-0-treatment_id"):
        complete(spa, visit, first=Settlement("extend"))
    assert not treatments.may_extend(card, expiry_date=today(), actor=spa.receptionist)
    assert treatments.may_extend(card, expiry_date=today(), actor=spa.manager)

    complete(spa, visit, first=Settlement("extend"), actor=spa.manager)
    assert status_of(visit) == "completed"


def test_expired_sessions_come_back_when_a_manager_extends(spa, card, visit):
    end(card, days=1)
    expiry.expire_due()
    assert counters(card) == (10, 0, 1, 9, "expired")
    with refused("manager_only", NotAllowedError, "items-0-treatment_id"):
        complete(spa, visit, first=Settlement("extend"))

    complete(spa, visit, first=Settlement("extend"), actor=spa.manager)
    assert counters(card) == (10, 1, 0, 0, "active")
    assert_books_balance()


def test_the_card_is_unfrozen(spa, card, visit):
    freeze(spa, visit, card)
    complete(spa, visit, first=Settlement("unfreeze"))

    assert counters(card) == (10, 1, 0, 0, "active")


def test_a_package_is_sold_and_used(spa, card, visit):
    freeze(spa, visit, card)
    complete(spa, visit, first=Settlement("plan", spa.plan))

    (sold,) = rows("SELECT id FROM customer_treatments WHERE id > :id ORDER BY id", id=card)[:1]
    assert counters(sold[0])[1:3] == (1, 0)
    assert rows("SELECT count(*) FROM invoices WHERE booking_id = :id", id=visit) == [(0,)]
    assert_books_balance()


@pytest.mark.parametrize("how", ["same card", "desk"])
def test_a_visit_whose_session_is_reserved_no_more_can_be_completed(spa, card, visit, how):
    reserved_nothing(spa, card, visit)
    with refused("no_hold", ConflictError, "items-0-treatment_id", ("choose_card", "pay_visit", "sell_plan")):
        bookings.complete(visit, actor=spa.receptionist)

    complete(spa, visit, first=Settlement("card", card) if how == "same card" else Settlement("desk"))
    assert counters(card)[1:3] == ((1, 0) if how == "same card" else (0, 0))


def test_two_services_are_settled_at_once_or_not_at_all(spa, card):
    other = factories.make_card(spa.customer, spa.massage, branch_id=spa.branch)
    visit = factories.make_booking(
        spa,
        ItemRequest(spa.facial, spa.therapists[0], None, card),
        ItemRequest(spa.massage, spa.therapists[1], None, other),
        status="in_progress",
    )
    freeze(spa, visit, card, other)
    ways = ("unfreeze_card", "choose_card", "pay_visit", "sell_plan")
    with refused("card_frozen", ConflictError, "items-1-treatment_id", ways):
        complete(spa, visit, first=Settlement("plan", spa.plan))

    complete(spa, visit, first=Settlement("desk"), second=Settlement("unfreeze"))
    assert (counters(card)[1], counters(other)[1]) == (0, 1)
    assert_books_balance()


@pytest.mark.parametrize(
    ("settlement", "code", "kind"),
    [
        (Settlement("plan", 4711), "plan_unknown", InvalidError),
        (Settlement("unfreeze"), "card_status", ConflictError),
        (Settlement("extend", 3), "settlement_unknown", InvalidError),
        (Settlement("gift"), "settlement_unknown", InvalidError),
        (Settlement("card", 4711), "card_unknown", InvalidError),
    ],
)
def test_what_cannot_settle_leaves_the_visit_as_it_is(spa, visit, settlement, code, kind):
    ways = ("choose_card", "pay_visit") if code == "card_unknown" else ()
    with refused(code, kind, "items-0-treatment_id", ways):
        complete(spa, visit, first=settlement)


def test_a_plan_that_does_not_cover_the_service_is_not_sold(spa, visit):
    plan = factories.make_plan([(spa.massage, 3)])
    with refused("plan_wrong_service", InvalidError, "items-0-treatment_id"):
        complete(spa, visit, first=Settlement("plan", plan))


def test_somebody_else_was_faster(spa, visit):
    with refused("changed_meanwhile", ConflictError):
        complete(spa, visit, version=99, first=Settlement("desk"))
    with refused("item_unknown", NotFoundError):
        bookings.complete(visit, settlements={4711: Settlement("desk")}, version=2, actor=spa.receptionist)


def test_what_completed_with_a_new_package_is_undone(spa, card, visit):
    freeze(spa, visit, card)
    complete(spa, visit, first=Settlement("plan", spa.plan))
    bookings.undo_complete(visit, actor=spa.receptionist)

    assert rows("SELECT sum(used_sessions), sum(held_sessions) FROM customer_treatments") == [(0, 1)]
    assert_books_balance()
