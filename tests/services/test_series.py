"""A course of visits: each date by itself, all or only those that fit, cards, and the clock of the wall."""

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
import time_machine

from spa_app.errors import ConflictError, InvalidError, NotFoundError
from spa_app.services import bookings
from spa_app.services.actor import SYSTEM
from spa_app.services.bookings import ItemRequest, SeriesRefusedError, SeriesRequest
from spa_app.services.bookings.series import series_dates
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import counters, refused, rows, snapshot

WEEK = dt.timedelta(weeks=1)


@pytest.fixture
def first(spa):
    return factories.tomorrow_at(spa.branch, "10:00")


@pytest.fixture
def wanted(spa, first):
    """Four facials by the first therapist, weekly from tomorrow 10:00 on."""
    return SeriesRequest(
        customer_id=spa.customer,
        branch_id=spa.branch,
        item=ItemRequest(spa.facial, spa.therapists[0]),
        starts_at=first,
        every_weeks=1,
        count=4,
    )


@pytest.fixture
def in_the_way(spa, first):
    """On the third date the therapist is busy from 10:00 to 11:10."""
    return factories.make_booking(spa, starts_at=first + 2 * WEEK)


def paid(wanted, card, **changes):
    return replace(wanted, item=replace(wanted.item, treatment_id=card), **changes)


def stored():
    return rows(
        "SELECT b.starts_at, i.treatment_id FROM bookings b JOIN booking_items i ON i.booking_id = b.id"
        " ORDER BY b.starts_at, b.id"
    )


def test_every_date_is_booked_at_the_same_time_of_day(spa, wanted, first):
    ids = bookings.book_series(replace(wanted, every_weeks=2), actor=spa.receptionist)

    assert len(ids) == 4
    assert stored() == [(first + 2 * number * WEEK, None) for number in range(4)]


def test_one_date_that_does_not_fit_stops_all_of_it(spa, wanted, first, in_the_way):
    with refused("series_incomplete", SeriesRefusedError, ways_out=("book_fitting",)) as caught:
        bookings.book_series(wanted, actor=spa.receptionist)

    dates = caught.value.dates
    assert [one.fits for one in dates] == [True, True, False, True]
    assert dates[2].refusal.code == "staff_busy"
    around = [(slot.starts_at - first - 2 * WEEK) // dt.timedelta(minutes=1) for slot in dates[2].other_times]
    assert around == [-105, -90, -75, 75, 90, 105]  # it occupies them until 11:10
    assert (dates[0].staff_name, dates[0].rooms) == ("Hồng", "Room 1")


def test_those_that_fit_are_booked_when_told_so(spa, wanted, first, in_the_way):
    ids = bookings.book_series(wanted, actor=spa.receptionist, book_fitting=True)

    assert len(ids) == 3
    assert in_the_way not in ids
    assert [starts_at for starts_at, _ in stored()] == [first + number * WEEK for number in range(4)]


def test_a_preview_tells_the_same_and_stores_nothing(spa, wanted, first, in_the_way):
    before = snapshot()
    dates = bookings.preview_series(wanted, actor=spa.receptionist)

    assert [one.fits for one in dates] == [True, True, False, True]
    assert snapshot() == before
    bookings.book_series(wanted, actor=spa.receptionist, book_fitting=True)


def test_a_whole_day_without_room_names_no_time(spa, wanted, first):
    at = first.replace(minute=0)
    for hours in range(-2, 11):
        for therapist in spa.therapists:
            factories.make_booking(
                spa, ItemRequest(spa.consultation, therapist), starts_at=at + dt.timedelta(hours=hours)
            )
    (one,) = bookings.preview_series(replace(wanted, count=1), actor=spa.receptionist)

    assert (one.fits, one.other_times) == (False, ())


def test_what_the_card_cannot_pay_is_left_out_or_paid_at_the_desk(spa, wanted, first):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=3)

    with refused("series_incomplete", SeriesRefusedError, ways_out=("book_fitting",)) as caught:
        bookings.book_series(paid(wanted, card), actor=spa.receptionist)
    assert [one.on_card for one in caught.value.dates] == [True, True, True, False]
    assert caught.value.dates[3].refusal.code == "card_used_up"
    assert caught.value.dates[3].other_times == ()

    bookings.book_series(paid(wanted, card, pay_rest=True), actor=spa.receptionist)
    assert [treatment for _, treatment in stored()] == [card, card, card, None]
    assert counters(card) == (3, 0, 3, 0, "active")
    assert_books_balance()


def test_a_card_that_expires_on_the_way(spa, wanted, first):
    expires = first.astimezone(ZoneInfo(factories.TIMEZONE)).date() + WEEK
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, expiry_date=expires)

    dates = bookings.preview_series(paid(wanted, card), actor=spa.receptionist)
    assert [one.refusal.code if one.refusal else None for one in dates] == [None, None, "card_expired", "card_expired"]
    bookings.book_series(paid(wanted, card), actor=spa.receptionist, book_fitting=True)
    assert [treatment for _, treatment in stored()] == [card, card]
    assert_books_balance()


def test_a_date_that_does_not_fit_takes_no_session(spa, wanted, in_the_way):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=3)

    bookings.book_series(paid(wanted, card), actor=spa.receptionist, book_fitting=True)

    assert counters(card) == (3, 0, 3, 0, "active")
    assert_books_balance()


def test_what_is_wrong_with_every_date_is_refused_at_its_field(spa, wanted):
    used_up = factories.make_card(spa.customer, spa.massage, branch_id=spa.branch)
    for changes, code, field in (
        ({"item": ItemRequest(spa.facial, spa.other_therapist)}, "staff_unqualified", "items-0-staff_id"),
        ({"item": ItemRequest(987_654)}, "service_unknown", "items-0-service_id"),
        ({"item": ItemRequest(spa.facial, treatment_id=used_up)}, "card_wrong_service", "items-0-treatment_id"),
        ({"customer_id": 987_654}, "customer_unknown", "customer_id"),
        ({"count": 0}, "count_invalid", "count"),
        ({"count": 27}, "count_invalid", "count"),
        ({"every_weeks": 0}, "weeks_invalid", "every_weeks"),
        ({"every_weeks": 13}, "weeks_invalid", "every_weeks"),
        ({"starts_at": wanted.starts_at - 2 * WEEK}, "series_past", "starts_at"),
    ):
        with refused(code, InvalidError, field, ways_out=wanted_ways(code)):
            bookings.book_series(replace(wanted, **changes), actor=spa.receptionist, book_fitting=True)
    with refused("not_found", NotFoundError):
        bookings.book_series(wanted, actor=spa.other_receptionist)


def wanted_ways(code):
    return ("choose_card", "pay_visit", "sell_plan") if code == "card_wrong_service" else ()


def test_none_that_fits_is_refused_even_when_told_to_book_those_that_do(spa, wanted, in_the_way, first):
    with refused("series_incomplete", ConflictError):
        bookings.book_series(
            replace(wanted, starts_at=first + 2 * WEEK, count=1), actor=spa.receptionist, book_fitting=True
        )


def test_in_berlin_the_time_by_the_wall_stays_the_same_when_the_clocks_change(spa):
    with time_machine.travel("2027-03-01T10:00:00+01:00", tick=False):
        branch = factories.make_branch(timezone="Europe/Berlin")
        factories.make_staff(branch, [spa.consultation])
        first = dt.datetime(2027, 3, 21, 10, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(dt.UTC)
        series = SeriesRequest(spa.customer, branch, ItemRequest(spa.consultation), first, every_weeks=1, count=3)
        bookings.book_series(series, actor=SYSTEM)

    starts = [starts_at.astimezone(dt.UTC) for starts_at, _ in stored()]
    assert [one.strftime("%d %H:%M") for one in starts] == ["21 09:00", "28 08:00", "04 08:00"]


def test_a_time_that_the_clocks_skip_does_not_fit():
    first = dt.datetime(2027, 3, 21, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    dates = list(series_dates(first, every_weeks=1, count=3, timezone="Europe/Berlin"))

    assert [instant is None for _, instant in dates] == [False, True, False]
    autumn = dt.datetime(2027, 10, 24, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    instants = [instant for _, instant in series_dates(autumn, every_weeks=1, count=2, timezone="Europe/Berlin")]
    # Shown twice that night: the first of the two.
    assert instants[1] - instants[0] == WEEK


def test_the_skipped_date_is_reported_among_the_others(spa):
    with time_machine.travel("2027-03-01T10:00:00+01:00", tick=False):
        branch = factories.make_branch(timezone="Europe/Berlin", opens="00:00", closes="20:00")
        factories.make_staff(branch, [spa.consultation])
        first = dt.datetime(2027, 3, 21, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(dt.UTC)
        series = SeriesRequest(spa.customer, branch, ItemRequest(spa.consultation), first, every_weeks=1, count=3)
        dates = bookings.preview_series(series, actor=SYSTEM)

    assert [one.refusal.code if one.refusal else None for one in dates] == [None, "clock_skips", None]
