"""Sessions and their value: every figure here was worked out by hand."""

import datetime as dt

import pytest

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError
from spa_app.services import billing, bookings, expiry, payments, treatments
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, cards_of
from tests.services.checks import audited, balances, counters, entries, execute, invoice_of, refused, rows

CASH, RECEIVABLE, DEFERRED, VAT, CREDIT, REVENUE, BREAKAGE = 1110, 1310, 2110, 2120, 2130, 4110, 4120


@pytest.fixture
def sale(spa):
    """10 × facial for 1,000,000: 74,074 of it is VAT (1,000,000 × 8 ÷ 108), 925,926 is owed in sessions."""
    return billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)


@pytest.fixture
def card(sale):
    return cards_of(sale)[0]


def _visits(spa, card, number, status="completed"):
    now = factories.this_minute()
    return [
        factories.make_booking(spa, card=card, status=status, starts_at=now - dt.timedelta(hours=2 * step))
        for step in range(number)
    ]


def _expire(on):
    """The sessions and the amount that the nightly run of that date takes."""
    done = expiry.expire_due(on)
    return sum(one.sessions for one in done), sum(one.amount for one in done)


def test_the_worked_example(spa, sale, card):
    assert balances() == {RECEIVABLE: 1_000_000, DEFERRED: -925_926, VAT: -74_074}

    payments.take_payment(sale, method="cash", amount=1_000_000, actor=spa.receptionist)
    first, _, third = _visits(spa, card, 3)
    # 925,926 ÷ 10 = 92,592 a session, rounded down; 3 × 92,592 = 277,776; 648,150 is still owed.
    assert balances() == {CASH: 1_000_000, RECEIVABLE: 0, DEFERRED: -648_150, VAT: -74_074, REVENUE: -277_776}
    assert counters(card) == (10, 3, 0, 0, "active")
    assert rows("SELECT recognised_amount, deferred_amount FROM customer_treatments") == [(277_776, 925_926)]

    bookings.undo_complete(third, actor=spa.receptionist)
    assert balances()[DEFERRED] == -740_742
    assert counters(card) == (10, 2, 1, 0, "active")

    bookings.complete(third, actor=spa.receptionist)
    now = factories.this_minute()
    for step in range(3, 10):
        factories.make_booking(spa, card=card, status="completed", starts_at=now - dt.timedelta(hours=2 * step))
    # The tenth session takes the rest: 925,926 − 9 × 92,592 = 92,598.
    assert balances() == {CASH: 1_000_000, RECEIVABLE: 0, DEFERRED: 0, VAT: -74_074, REVENUE: -925_926}
    assert counters(card) == (10, 10, 0, 0, "completed")
    assert [value for kind, _, value, closed in entries(card) if kind == "punch"][-1] == 92_598

    bookings.undo_complete(first, actor=spa.receptionist)
    assert balances()[DEFERRED] == -92_592
    bookings.complete(first, actor=spa.receptionist)
    assert balances()[DEFERRED] == 0


def test_a_visit_covered_by_a_card_makes_no_invoice(spa, card):
    booking = factories.make_booking(spa, card=card, status="completed")

    assert invoice_of(booking) is None
    assert rows("SELECT count(*) FROM invoices") == [(1,)]


def test_a_session_is_held_then_punched(spa, card):
    booking = factories.make_booking(spa, card=card)
    assert (counters(card), entries(card)) == (
        (10, 0, 1, 0, "active"),
        [("purchase", 10, 0, False), ("hold", -1, 0, False)],
    )

    bookings.start(booking, actor=spa.receptionist)
    bookings.complete(booking, actor=spa.receptionist)

    assert counters(card) == (10, 1, 0, 0, "active")
    assert entries(card)[1:] == [
        ("hold", -1, 0, True),
        ("release", 1, 0, False),
        ("punch", -1, 92_592, False),
    ]


def test_a_returned_session_is_held_again_and_punched_anew(spa, card):
    booking = factories.make_booking(spa, card=card, status="completed")

    bookings.undo_complete(booking, actor=spa.receptionist, reason="wrong visit")
    assert entries(card)[3:] == [
        ("punch", -1, 92_592, True),
        ("unpunch", 1, -92_592, False),
        ("hold", -1, 0, False),
    ]
    bookings.complete(booking, actor=spa.receptionist)

    assert counters(card) == (10, 1, 0, 0, "active")
    assert rows("SELECT reason FROM treatment_entries WHERE kind = 'unpunch'") == [("wrong visit",)]
    assert_books_balance()


def test_cancelling_in_time_gives_the_session_back(spa, card):
    execute("UPDATE branches SET late_cancel_policy = 'forfeit', no_show_policy = 'forfeit'")
    booking = factories.make_booking(spa, card=card, starts_at=factories.tomorrow_at(spa.branch, "20:00"))
    execute("UPDATE branches SET late_cancel_minutes = 60")

    bookings.cancel(booking, reason="ill", actor=spa.receptionist)

    assert counters(card) == (10, 0, 0, 0, "active")
    assert entries(card)[1:] == [("hold", -1, 0, True), ("release", 1, 0, False)]


@pytest.mark.parametrize("act", ["cancel", "mark_no_show"])
@pytest.mark.parametrize("policy", ["none", "forfeit"])
def test_the_policy_says_what_a_lost_visit_costs(spa, card, act, policy):
    execute("UPDATE branches SET late_cancel_policy = :policy, no_show_policy = :policy", policy=policy)
    booking = factories.make_booking(spa, card=card)

    extra = {"reason": "ill"} if act == "cancel" else {}
    getattr(bookings, act)(booking, actor=spa.receptionist, **extra)

    if policy == "none":
        assert (counters(card), balances()[DEFERRED]) == ((10, 0, 0, 0, "active"), -925_926)
        return
    assert (counters(card), balances()[DEFERRED]) == ((10, 1, 0, 0, "active"), -833_334)
    assert entries(card)[-1] == ("forfeit", -1, 92_592, False)
    # Bringing the visit back brings back what the policy took.
    bookings.undo_cancel(booking, actor=spa.receptionist)
    assert (counters(card), balances()[DEFERRED]) == ((10, 0, 1, 0, "active"), -925_926)
    bookings.start(booking, actor=spa.receptionist)
    bookings.complete(booking, actor=spa.receptionist)
    assert (counters(card), balances()[DEFERRED]) == ((10, 1, 0, 0, "active"), -833_334)


def test_what_expires_becomes_breakage_and_holds_stay(spa, card):
    _visits(spa, card, 3)
    factories.make_booking(spa, card=card, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    last_day = rows("SELECT expiry_date FROM customer_treatments")[0][0]

    assert _expire(last_day) == (0, 0)
    # 6 sessions are free: 6 × 92,592; the reserved one stays worth 925,926 − 9 × 92,592.
    assert _expire(last_day + dt.timedelta(days=1)) == (6, 555_552)
    assert _expire(last_day + dt.timedelta(days=1)) == (0, 0)

    assert counters(card)[:4] == (10, 3, 1, 6)
    assert (balances()[BREAKAGE], balances()[DEFERRED]) == (-555_552, -92_598)


def test_two_items_may_not_take_one_session(spa):
    card = factories.make_card(spa.customer, None, branch_id=spa.branch, sessions=1)
    items = [
        ItemRequest(spa.consultation, spa.therapists[0], None, card),
        ItemRequest(spa.facial, spa.therapists[0], None, card),
    ]

    with refused(
        "card_used_up", InvalidError, "items-1-treatment_id", ("choose_card", "pay_visit", "sell_plan")
    ) as caught:
        factories.make_booking(spa, *items)
    assert (caught.value.params["used"], caught.value.params["held"]) == (0, 1)


def _card_of_other(spa):
    return factories.make_card(factories.make_customer(), spa.facial, branch_id=spa.branch)


def _card_of_other_service(spa):
    return factories.make_card(spa.customer, spa.massage, branch_id=spa.branch)


def _cancelled_card(spa):
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    billing.void_sale(sale, reason="mistake", actor=spa.manager)
    return cards_of(sale)[0]


def _frozen_card(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    execute("UPDATE customer_treatments SET frozen_on = '2026-01-01', status = 'frozen' WHERE id = :id", id=card)
    return card


def _card_over_today(spa):
    today = clock.today(TIMEZONE)
    return factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, expiry_date=today)


def _used_card(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=1)
    factories.make_booking(
        spa, card=card, status="completed", starts_at=factories.local_at(spa.branch, "10:00", days=-1)
    )
    return card


FROZEN_WAYS = ("unfreeze_card", "choose_card", "pay_visit", "sell_plan")
CARD_FAULTS = {
    "card_unknown": (lambda spa: 4711, ("choose_card", "pay_visit")),
    "card_of_other": (_card_of_other, ("choose_card", "pay_visit", "sell_plan")),
    "card_wrong_service": (_card_of_other_service, ("choose_card", "pay_visit", "sell_plan")),
    "card_cancelled": (_cancelled_card, ("choose_card", "pay_visit", "sell_plan")),
    "card_frozen": (_frozen_card, FROZEN_WAYS),
    "card_expired": (_card_over_today, ("extend_card", "choose_card", "pay_visit", "sell_plan")),
    "card_used_up": (_used_card, ("choose_card", "pay_visit", "sell_plan")),
}


@pytest.mark.parametrize("code", CARD_FAULTS)
def test_each_fault_of_a_card_has_its_own_refusal(spa, code):
    make, ways_out = CARD_FAULTS[code]
    card = make(spa)

    with refused(code, InvalidError, "items-0-treatment_id", ways_out) as caught:
        factories.make_booking(
            spa, card=card, starts_at=factories.tomorrow_at(spa.branch, "10:00"), actor=spa.receptionist
        )
    assert code == "card_unknown" or f"#{card}" in str(caught.value)


def test_a_visit_entered_after_the_card_s_last_night_is_told_that_its_sessions_expired(spa):
    yesterday = clock.today(TIMEZONE) - dt.timedelta(days=1)
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, expiry_date=yesterday)
    expiry.expire_due()

    with refused(
        "card_lapsed", InvalidError, "items-0-treatment_id", ("choose_card", "pay_visit", "sell_plan")
    ) as caught:
        factories.make_booking(spa, card=card, starts_at=factories.local_at(spa.branch, "10:00", days=-1))
    assert (caught.value.params["expired"], caught.value.params["date"]) == (10, yesterday)


def test_a_card_is_good_through_its_last_day_by_the_branchs_clocks(spa):
    tomorrow = clock.today(TIMEZONE) + dt.timedelta(days=1)
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, expiry_date=tomorrow)

    # 06:30 in Sài Gòn is still the day before in UTC, and 23:30 already the next visit's day only by local clocks.
    for time in ("06:30", "22:30"):
        factories.make_booking(spa, card=card, starts_at=factories.tomorrow_at(spa.branch, time))

    assert counters(card) == (10, 0, 2, 0, "active")


def test_completing_on_a_card_that_was_stopped_takes_nothing_and_names_the_ways_out(spa, card):
    booking = factories.make_booking(spa, card=card, status="completed")
    treatments.freeze_card(card, reason="abroad", actor=spa.receptionist)
    bookings.undo_complete(booking, actor=spa.receptionist)

    with refused("card_frozen", ConflictError, "items-0-treatment_id", FROZEN_WAYS):
        bookings.complete(booking, actor=spa.receptionist)


def test_a_card_of_any_service_pays_for_any(spa):
    card = factories.make_card(spa.customer, None, branch_id=spa.branch, sessions=2)

    factories.make_booking(
        spa,
        ItemRequest(spa.facial, spa.therapists[0], None, card),
        ItemRequest(spa.massage, spa.therapists[1], None, card),
        status="completed",
    )

    assert counters(card) == (2, 2, 0, 0, "completed")
    assert balances()[DEFERRED] == 0


def test_undoing_a_cancellation_wants_the_session_free(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=1)
    booking = factories.make_booking(spa, card=card, status="cancelled")
    factories.make_booking(spa, card=card, starts_at=factories.tomorrow_at(spa.branch, "10:00"))

    with refused("card_used_up", InvalidError, "items-0-treatment_id", ("choose_card", "pay_visit", "sell_plan")):
        bookings.undo_cancel(booking, actor=spa.receptionist)


def test_sales_are_audited(spa, sale):
    billing.void_sale(sale, reason="mistake", actor=spa.receptionist)

    assert audited("invoice") == ["plan_sold", "invoice_voided"]
