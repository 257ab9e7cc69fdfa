"""What a desk does to a card itself: each act with its entry, its refusals and its way back; figures by hand."""

import datetime as dt

import pytest
import time_machine

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError
from spa_app.services import billing, bookings, expiry, payments, treatments
from tests import factories
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, cards_of
from tests.services.checks import audited, balances, counters, entries, execute, refused, rows

DEFERRED, REVENUE, BREAKAGE = 2110, 4110, 4120


@pytest.fixture
def card(spa):
    """10 × facial for 1,000,000, of which 925,926 is owed in sessions: 92,592 each, the last one 92,598."""
    return factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)


@pytest.fixture
def mother(spa):
    return factories.make_customer("Trần Thị Hoa")


def today():
    return clock.today(TIMEZONE)


def days(number):
    return dt.timedelta(days=number)


def later(number):
    """The clocks of everybody, so many days ahead."""
    return time_machine.travel(clock.now() + days(number), tick=True)


def expiry_of(card):
    return rows("SELECT expiry_date FROM customer_treatments WHERE id = :id", id=card)[0][0]


def owed(card):
    return rows(
        "SELECT deferred_amount - recognised_amount - expired_amount FROM customer_treatments WHERE id = :id", id=card
    )[0][0]


# Extending


def test_the_desk_extends_within_its_limit_and_a_manager_beyond(spa, card):
    before = expiry_of(card)

    treatments.extend_card(card, expiry_date=before + days(20), reason="was ill", actor=spa.receptionist)
    treatments.extend_card(card, expiry_date=before + days(30), reason="still ill", actor=spa.receptionist)
    with refused("extend_above_limit", NotAllowedError, "expiry_date") as caught:
        treatments.extend_card(card, expiry_date=before + days(31), reason="again", actor=spa.receptionist)
    treatments.extend_card(card, expiry_date=before + days(90), reason="a promise", actor=spa.manager)

    assert (caught.value.params["limit"], caught.value.params["added"]) == (30, 30)
    assert expiry_of(card) == before + days(90)
    assert rows("SELECT days, reason FROM treatment_entries WHERE kind = 'extend' ORDER BY id") == [
        (20, "was ill"),
        (10, "still ill"),
        (60, "a promise"),
    ]
    assert audited("treatment") == ["card_extended"] * 3
    assert_books_balance()


def test_an_extension_is_taken_back_by_a_manager_with_a_further_entry(spa, card):
    before = expiry_of(card)
    treatments.extend_card(card, expiry_date=before + days(10), reason="ill", actor=spa.receptionist)

    with refused("shorten", NotAllowedError, "expiry_date"):
        treatments.extend_card(card, expiry_date=before, reason="mistake", actor=spa.receptionist)
    treatments.extend_card(card, expiry_date=before, reason="mistake", actor=spa.manager)

    assert expiry_of(card) == before
    assert rows("SELECT days FROM treatment_entries WHERE kind = 'extend' ORDER BY id") == [(10,), (-10,)]


def test_a_card_past_its_last_day_can_be_extended_until_the_night_has_taken_its_sessions(spa, card):
    with later(366):
        assert counters(card)[4] == "active"  # no night has passed yet
        treatments.extend_card(card, expiry_date=today() + days(5), reason="late", actor=spa.receptionist)
        factories.make_booking(spa, card=card)
    with later(400):
        expiry.expire_due()
        with refused("card_status", ways_out=("reactivate_card",)):
            treatments.extend_card(card, expiry_date=today() + days(5), reason="too late", actor=spa.manager)


@pytest.mark.parametrize("moved", [-1, 3651])
def test_a_card_is_extended_to_a_sensible_date(spa, card, moved):
    with refused("date_out_of_range", InvalidError, "expiry_date"):
        treatments.extend_card(card, expiry_date=today() + days(moved), reason="x", actor=spa.manager)
    with refused("same_date", InvalidError, "expiry_date"):
        treatments.extend_card(card, expiry_date=expiry_of(card), reason="x", actor=spa.manager)
    with refused("reason_missing", InvalidError, "reason"):
        treatments.extend_card(card, expiry_date=today() + days(9), reason=" ", actor=spa.manager)


# Freezing


def test_a_frozen_card_waits_and_gets_its_days_back(spa, card):
    before = expiry_of(card)
    treatments.freeze_card(card, reason="pregnant", actor=spa.receptionist)
    assert counters(card) == (10, 0, 0, 0, "frozen")
    assert_books_balance()

    with later(100):
        treatments.unfreeze_card(card, actor=spa.receptionist)
        assert_books_balance()

    assert (expiry_of(card), counters(card)[4]) == (before + days(100), "active")
    assert [entry[0] for entry in entries(card)] == ["purchase", "freeze", "unfreeze"]
    assert audited("treatment") == ["card_frozen", "card_unfrozen"]


def test_the_night_leaves_a_frozen_card_alone_even_past_its_date(spa, card):
    treatments.freeze_card(card, reason="abroad", actor=spa.receptionist)

    with later(500):
        assert [run.cards for run in expiry.expire_due()] == [0, 0]
        treatments.unfreeze_card(card, actor=spa.receptionist)
        factories.make_booking(spa, card=card)
        assert_books_balance()


def test_a_card_with_reserved_sessions_is_not_frozen(spa, card):
    factories.make_booking(spa, card=card, starts_at=factories.tomorrow_at(spa.branch, "10:00"))

    with refused("card_reserved", ways_out=("open_customer",)):
        treatments.freeze_card(card, reason="x", actor=spa.receptionist)


def test_freezing_wants_an_active_card_and_unfreezing_a_frozen_one(spa, card):
    with refused("card_status"):
        treatments.unfreeze_card(card, actor=spa.receptionist)
    treatments.freeze_card(card, reason="x", actor=spa.receptionist)
    with refused("card_status", ways_out=("unfreeze_card",)):
        treatments.freeze_card(card, reason="x", actor=spa.receptionist)
    with refused("card_status", ways_out=("unfreeze_card",)):
        treatments.extend_card(card, expiry_date=today() + days(9), reason="x", actor=spa.manager)


def test_undoing_a_visit_gives_its_session_back_to_a_frozen_card(spa, card):
    visit = factories.make_booking(spa, card=card, status="completed")
    treatments.freeze_card(card, reason="x", actor=spa.receptionist)

    bookings.undo_complete(visit, actor=spa.receptionist)
    assert counters(card) == (10, 0, 1, 0, "frozen")
    treatments.unfreeze_card(card, actor=spa.receptionist)
    bookings.complete(visit, actor=spa.receptionist)

    assert counters(card) == (10, 1, 0, 0, "active")
    assert_books_balance()


# Adjusting


def test_added_sessions_share_what_is_left_and_taken_ones_leave_their_value(spa, card):
    for hours in range(9):
        at = factories.this_minute() - dt.timedelta(hours=2 * hours)
        factories.make_booking(spa, card=card, status="completed", starts_at=at)
    assert owed(card) == 92_598

    treatments.adjust_card(card, sessions=2, reason="a gift", actor=spa.manager)
    assert (counters(card), owed(card)) == ((12, 9, 0, 0, "active"), 92_598)
    at = factories.this_minute() - dt.timedelta(days=1)
    visits = [
        factories.make_booking(spa, card=card, status="completed", starts_at=at - dt.timedelta(hours=2 * n))
        for n in range(2)
    ]
    # 92,598 ÷ 3 = 30,866 for each of the three that were left.
    assert [value for kind, _, value, _ in entries(card) if kind == "punch"][-2:] == [30_866, 30_866]
    treatments.adjust_card(card, sessions=3, reason="another gift", actor=spa.manager)
    treatments.adjust_card(card, sessions=-3, reason="not meant", actor=spa.manager)

    bookings.undo_complete(visits[0], actor=spa.receptionist)
    bookings.complete(visits[0], actor=spa.receptionist)
    factories.make_booking(spa, card=card, status="completed", starts_at=at - dt.timedelta(hours=8))
    assert (counters(card), owed(card)) == ((12, 12, 0, 0, "completed"), 0)
    assert balances()[REVENUE] == -925_926


def test_a_used_up_card_can_be_given_a_free_session(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=1)
    factories.make_booking(spa, card=card, status="completed")

    treatments.adjust_card(card, sessions=1, reason="was not happy", actor=spa.manager)
    factories.make_booking(
        spa, card=card, status="completed", starts_at=factories.this_minute() - dt.timedelta(hours=3)
    )

    assert [entry for entry in entries(card) if entry[0] == "punch"][1:] == [("punch", -1, 0, False)]
    assert_books_balance()


def test_what_cannot_be_adjusted(spa, card):
    with refused("manager_only", NotAllowedError):
        treatments.adjust_card(card, sessions=1, reason="x", actor=spa.receptionist)
    with refused("sessions_missing", InvalidError, "sessions"):
        treatments.adjust_card(card, sessions=0, reason="x", actor=spa.manager)
    with refused("sessions_out_of_range", InvalidError, "sessions"):
        treatments.adjust_card(card, sessions=991, reason="x", actor=spa.manager)
    with refused("too_few_free", ConflictError, "sessions"):
        treatments.adjust_card(card, sessions=-11, reason="x", actor=spa.manager)
    with refused("value_would_remain", ConflictError, "sessions", ("refund_card",)):
        treatments.adjust_card(card, sessions=-10, reason="x", actor=spa.manager)
    treatments.adjust_card(card, sessions=-9, reason="x", actor=spa.manager)
    assert (counters(card), owed(card)) == ((1, 0, 0, 0, "active"), 925_926)


# Expiring and coming back


def test_expired_sessions_come_back_with_their_value(spa, card):
    factories.make_booking(spa, card=card, status="completed")
    with later(366):
        expiry.expire_due()
        assert (counters(card), balances()[BREAKAGE]) == ((10, 1, 0, 9, "expired"), -833_334)

        with refused("manager_only", NotAllowedError):
            treatments.reactivate_card(card, expiry_date=today(), reason="x", actor=spa.receptionist)
        treatments.reactivate_card(card, expiry_date=today() + days(30), reason="a good customer", actor=spa.manager)

        assert (counters(card), owed(card)) == ((10, 1, 0, 0, "active"), 833_334)
        assert (balances()[BREAKAGE], balances()[DEFERRED]) == (0, -833_334)
        factories.make_booking(spa, card=card, status="completed")
    with later(500):  # and the way back: the night takes them again
        expiry.expire_due()
        assert (counters(card), owed(card)) == ((10, 2, 0, 8, "expired"), 0)
        assert_books_balance()
    assert audited("treatment") == ["card_reactivated"]


def test_only_what_has_expired_is_reactivated(spa, card):
    with refused("card_status"):
        treatments.reactivate_card(card, expiry_date=today(), reason="x", actor=spa.manager)
    with later(366), refused("nothing_expired", ways_out=("extend_card",)):
        treatments.reactivate_card(card, expiry_date=today(), reason="x", actor=spa.manager)


def test_a_session_returned_after_expiry_is_taken_by_the_next_night_or_saved_by_a_manager(spa, card):
    visit = factories.make_booking(spa, card=card, status="completed")
    with later(366):
        expiry.expire_due()
        bookings.undo_complete(visit, actor=spa.manager)
        bookings.cancel(visit, reason="never happened", actor=spa.manager)
        assert (counters(card), owed(card)) == ((10, 0, 0, 9, "expired"), 92_592)

        assert sum(run.sessions for run in expiry.expire_due()) == 1
        treatments.reactivate_card(card, expiry_date=today(), reason="our mistake", actor=spa.manager)

        assert (counters(card), owed(card)) == ((10, 0, 0, 0, "active"), 925_926)
        assert_books_balance()


# Transferring


def test_sessions_move_with_their_value_and_lot(spa, card, mother):
    visit = factories.make_booking(spa, card=card, status="completed")

    hers = treatments.transfer_sessions(
        card, customer_id=mother, sessions=4, reason="for her mother", actor=spa.receptionist
    )

    assert (counters(card), owed(card)) == ((6, 1, 0, 0, "active"), 833_334 - 4 * 92_592)
    assert (counters(hers), owed(hers)) == ((4, 0, 0, 0, "active"), 4 * 92_592)
    kept = rows(
        "SELECT count(DISTINCT (invoice_line_id, plan_id, service_id, branch_id, expiry_date)) FROM customer_treatments"
    )
    assert kept == [(1,)]
    assert entries(card)[-1] == ("transfer_out", -4, 370_368, False)
    assert entries(hers) == [("transfer_in", 4, -370_368, False)]
    assert balances()[DEFERRED] == -833_334
    assert audited("treatment") == ["sessions_transferred"] * 2

    bookings.undo_complete(visit, actor=spa.receptionist)
    bookings.complete(visit, actor=spa.receptionist)
    for number in range(4):
        at = factories.this_minute() - dt.timedelta(hours=2 * number + 2)
        factories.make_booking(spa, card=hers, customer_id=mother, status="completed", starts_at=at)
    assert (counters(hers), owed(hers)) == ((4, 4, 0, 0, "completed"), 0)
    assert_books_balance()


def test_sessions_go_back_to_the_card_they_came_from(spa, card, mother):
    hers = treatments.transfer_sessions(card, customer_id=mother, reason="all of it", actor=spa.receptionist)
    assert (counters(card), owed(card)) == ((0, 0, 0, 0, "completed"), 0)

    back = treatments.transfer_sessions(
        hers, customer_id=spa.customer, sessions=3, reason="changed her mind", actor=spa.receptionist
    )
    assert back == card
    assert treatments.transfer_sessions(hers, customer_id=spa.customer, reason="the rest", actor=spa.manager) == card

    assert (counters(card), owed(card)) == ((10, 0, 0, 0, "active"), 925_926)
    assert (counters(hers), owed(hers)) == ((0, 0, 0, 0, "completed"), 0)
    assert_books_balance()


def test_what_cannot_be_transferred(spa, card, mother):
    def transfer(which=card, to=mother, sessions=None, actor=spa.receptionist):
        return treatments.transfer_sessions(which, customer_id=to, sessions=sessions, reason="x", actor=actor)

    with refused("own_card", InvalidError, "customer_id"):
        transfer(to=spa.customer)
    with refused("customer_unknown", InvalidError, "customer_id"):
        transfer(to=4711)
    with refused("sessions_missing", InvalidError, "sessions"):
        transfer(sessions=0)
    with refused("too_few_free", ConflictError, "sessions"):
        transfer(sessions=11)
    with refused("not_found", NotFoundError):
        transfer(actor=spa.other_receptionist)
    with refused("card_unknown", NotFoundError):
        transfer(which=4711)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    payments.take_payment(sale, method="cash", amount=999_999, actor=spa.manager)
    with refused("card_unpaid", ways_out=("pay_due",)):
        transfer(which=cards_of(sale)[0])
    treatments.freeze_card(card, reason="x", actor=spa.manager)
    with refused("card_status", ways_out=("unfreeze_card",)):
        transfer()


def test_reserved_sessions_stay_with_their_card(spa, card, mother):
    factories.make_booking(spa, card=card, starts_at=factories.tomorrow_at(spa.branch, "10:00"))

    hers = treatments.transfer_sessions(card, customer_id=mother, reason="x", actor=spa.receptionist)

    assert (counters(card), counters(hers)[:2]) == ((1, 0, 1, 0, "active"), (9, 0))
    assert owed(card) + owed(hers) == 925_926
    assert_books_balance()


# Sharing


def test_family_books_within_its_limit(spa, card, mother):
    treatments.share_card(card, customer_id=mother, session_limit=2, actor=spa.receptionist)
    at = factories.tomorrow_at(spa.branch, "10:00")

    first = factories.make_booking(spa, card=card, customer_id=mother, status="completed")
    second = factories.make_booking(spa, card=card, customer_id=mother, starts_at=at)
    third = at + dt.timedelta(hours=3)
    with refused(
        "share_used_up", InvalidError, "items-0-treatment_id", ("choose_card", "pay_visit", "sell_plan")
    ) as caught:
        factories.make_booking(spa, card=card, customer_id=mother, starts_at=third)
    assert caught.value.params["limit"] == 2
    factories.make_booking(spa, card=card, starts_at=third)  # the owner may

    bookings.cancel(second, reason="ill", actor=spa.receptionist)
    factories.make_booking(spa, card=card, customer_id=mother, starts_at=at)
    bookings.undo_complete(first, actor=spa.receptionist)
    assert counters(card) == (10, 0, 3, 0, "active")
    assert_books_balance()


def test_a_limit_changes_and_ends(spa, card, mother):
    treatments.share_card(card, customer_id=mother, session_limit=None, actor=spa.receptionist)
    visit = factories.make_booking(spa, card=card, customer_id=mother, status="in_progress")
    treatments.share_card(card, customer_id=mother, session_limit=1, actor=spa.receptionist)
    at = factories.tomorrow_at(spa.branch, "10:00")
    with refused("share_used_up", InvalidError, "items-0-treatment_id", ("choose_card", "pay_visit", "sell_plan")):
        factories.make_booking(spa, card=card, customer_id=mother, starts_at=at)

    treatments.unshare_card(card, customer_id=mother, reason="quarrel", actor=spa.receptionist)
    ways = ("choose_card", "pay_visit", "sell_plan", "share_card")
    with refused("card_unshared", InvalidError, "items-0-treatment_id", ways):
        factories.make_booking(spa, card=card, customer_id=mother, starts_at=at)
    with refused("card_unshared", ConflictError, "items-0-treatment_id", ways):
        bookings.complete(visit, actor=spa.receptionist)
    treatments.share_card(card, customer_id=mother, session_limit=1, actor=spa.receptionist)
    bookings.complete(visit, actor=spa.receptionist)

    assert [entry[0] for entry in entries(card) if "share" in entry[0]] == ["share", "unshare"] * 2 + ["share"]
    assert audited("treatment") == ["card_shared", "card_shared", "card_unshared", "card_shared"]
    assert_books_balance()


def test_what_cannot_be_shared(spa, card, mother):
    with refused("own_card", InvalidError, "customer_id"):
        treatments.share_card(card, customer_id=spa.customer, session_limit=1, actor=spa.receptionist)
    with refused("customer_unknown", InvalidError, "customer_id"):
        treatments.share_card(card, customer_id=4711, session_limit=1, actor=spa.receptionist)
    with refused("share_unknown", NotFoundError):
        treatments.unshare_card(card, customer_id=mother, actor=spa.receptionist)
    for limit in (0, 1001):
        with refused("limit_out_of_range", InvalidError, "session_limit"):
            treatments.share_card(card, customer_id=mother, session_limit=limit, actor=spa.receptionist)
    treatments.share_card(card, customer_id=mother, session_limit=2, actor=spa.receptionist)
    for day in (0, 1):
        at = factories.this_minute() + days(day)
        factories.make_booking(spa, card=card, customer_id=mother, starts_at=at)
    with refused("limit_out_of_range", InvalidError, "session_limit"):
        treatments.share_card(card, customer_id=mother, session_limit=1, actor=spa.receptionist)


# Plans


def test_bonus_sessions_share_the_price(spa):
    plan = factories.make_plan([(spa.facial, 10)], bonus=2)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist)
    card = cards_of(sale)[0]

    factories.make_booking(spa, card=card, status="completed")

    # 925,926 ÷ 12 = 77,160 a session, rounded down.
    assert (counters(card), balances()[REVENUE]) == ((12, 1, 0, 0, "active"), -77_160)


def test_a_price_is_shared_by_list_price_and_the_last_card_takes_the_rounding(spa):
    plan = factories.make_plan([(spa.facial, 3), (spa.massage, 3), (None, 1)], price=1_000_000)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist)

    # 1,350,000 + 2,400,000 + 800,000 (any service: as the dearest) = 4,550,000 by the list, for 925,926.
    assert [owed(card) for card in cards_of(sale)] == [274_725, 488_400, 162_801]
    assert_books_balance()


def test_months_end_on_the_same_day_or_the_month_s_last(spa):
    plan = factories.make_plan([(spa.facial, 1)], months=6)
    with time_machine.travel(clock.at_local(dt.date(2027, 8, 31), dt.time(12), TIMEZONE), tick=False):
        sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist)

    assert expiry_of(cards_of(sale)[0]) == dt.date(2028, 2, 29)


@pytest.fixture
def waiting(spa):
    """A card of 3 facials for 90 days from the first visit on."""
    plan = factories.make_plan([(spa.facial, 3)], days=90, from_first_visit=True)
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist)
    payments.take_payment(sale, method="cash", amount=1_000_000, actor=spa.receptionist)
    return cards_of(sale)[0]


def test_a_validity_begins_with_the_first_visit_and_waits_again_when_that_is_undone(spa, waiting):
    with later(1000):
        assert [run.cards for run in expiry.expire_due()] == [0, 0]
        assert (expiry_of(waiting), counters(waiting)[4]) == (None, "active")
        visit = factories.make_booking(
            spa, card=waiting, status="completed", starts_at=factories.this_minute() - days(2)
        )
        assert expiry_of(waiting) == today() - days(2) + days(90)
        bookings.undo_complete(visit, actor=spa.receptionist)
        assert expiry_of(waiting) is None
        bookings.complete(visit, actor=spa.receptionist)
        assert_books_balance()
    with later(1089):
        expiry.expire_due()
        assert counters(waiting) == (3, 1, 0, 2, "expired")


def test_a_card_that_waits_can_be_frozen_and_transferred_but_not_extended(spa, waiting, mother):
    with refused("card_not_begun"):
        treatments.extend_card(waiting, expiry_date=today() + days(9), reason="x", actor=spa.manager)
    treatments.freeze_card(waiting, reason="x", actor=spa.receptionist)
    treatments.unfreeze_card(waiting, actor=spa.receptionist)
    hers = treatments.transfer_sessions(waiting, customer_id=mother, sessions=1, reason="x", actor=spa.receptionist)

    factories.make_booking(spa, card=hers, customer_id=mother, status="completed")

    assert (expiry_of(waiting), expiry_of(hers)) == (None, today() + days(90))
    assert_books_balance()


def test_more_time_survives_the_undoing_of_the_first_visit(spa, waiting):
    visit = factories.make_booking(spa, card=waiting, status="completed")
    treatments.extend_card(waiting, expiry_date=today() + days(100), reason="x", actor=spa.receptionist)

    bookings.undo_complete(visit, actor=spa.receptionist)
    bookings.complete(visit, actor=spa.receptionist)

    assert expiry_of(waiting) == today() + days(100)


def test_sold_cards_keep_what_they_were_sold_with(spa, waiting):
    execute("UPDATE plans SET price_amount = 1, validity_days = 1, from_first_visit = false, is_active = false")
    execute("UPDATE plan_items SET sessions = 99")

    factories.make_booking(spa, card=waiting, status="completed")

    assert (counters(waiting), expiry_of(waiting)) == ((3, 1, 0, 0, "active"), today() + days(90))
    assert owed(waiting) == 925_926 - 308_642
    with refused("plan_unknown", InvalidError, "plan_id"):
        billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)
