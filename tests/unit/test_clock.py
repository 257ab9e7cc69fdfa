"""Local days and instants, also where the clocks change."""

import datetime as dt

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from spa_app import clock

SAIGON, BERLIN, CHATHAM = "Asia/Ho_Chi_Minh", "Europe/Berlin", "Pacific/Chatham"


@pytest.mark.parametrize(
    ("date", "timezone", "hours"),
    [
        ("2026-03-28", BERLIN, 24),
        ("2026-03-29", BERLIN, 23),
        ("2026-10-25", BERLIN, 25),
        ("2026-03-29", SAIGON, 24),
        ("2026-09-27", CHATHAM, 23),
    ],
)
def test_a_local_day_is_as_long_as_it_is(date, timezone, hours):
    start, end = clock.day_bounds(dt.date.fromisoformat(date), timezone)

    assert end - start == dt.timedelta(hours=hours)
    assert start.tzinfo is dt.UTC


@given(st.integers(946_684_800, 2_208_988_800))  # the years 2000 to 2039
def test_every_instant_lies_within_its_local_day(seconds):
    instant = dt.datetime.fromtimestamp(seconds, dt.UTC)
    for timezone in (SAIGON, BERLIN, CHATHAM):
        start, end = clock.day_bounds(clock.local_date(instant, timezone), timezone)
        assert start <= instant < end


def test_ten_oclock_is_ten_oclock_on_either_side_of_the_change():
    before, after = (clock.at_local(dt.date(2026, 3, day), dt.time(10), BERLIN) for day in (28, 29))

    assert after - before == dt.timedelta(hours=23)
    assert (before.hour, after.hour) == (9, 8)


@time_machine.travel("2026-03-01T18:30:00+00:00", tick=False)
def test_today_is_a_matter_of_place():
    assert clock.now() == dt.datetime(2026, 3, 1, 18, 30, tzinfo=dt.UTC)
    assert (clock.today(SAIGON), clock.today(BERLIN)) == (dt.date(2026, 3, 2), dt.date(2026, 3, 1))
