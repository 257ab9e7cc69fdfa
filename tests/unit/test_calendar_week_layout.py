"""The arithmetic of the week grid, above all of the weeks in which the clocks change."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from spa_app import clock
from spa_app.web.calendar.layout import MOST_ROWS, ROWS_PER_HOUR, Cell, Frame, free_slots
from spa_app.web.calendar.week_layout import week_frames

BERLIN = "Europe/Berlin"
SPRING, AUTUMN = dt.date(2027, 3, 22), dt.date(2027, 10, 25)  # the Mondays of those weeks
SUNDAY = 6


def frames(monday: dt.date, *hours: str, timezone: str = BERLIN) -> list[Frame]:
    """The frames of a week with ``hours`` (``08:00-20:00``) as what is on show on its first days; one: on each."""
    dates = [monday + dt.timedelta(days=day) for day in range(7)]
    spans = []
    for date, some in zip(dates, hours * 7 if len(hours) == 1 else [*hours, *[""] * (7 - len(hours))], strict=False):
        if some:
            first, last = (dt.time.fromisoformat(one) for one in some.split("-"))
            spans.append([(clock.at_local(date, first, timezone), clock.at_local(date, last, timezone))])
        else:
            spans.append([])
    return week_frames([clock.day_bounds(date, timezone) for date in dates], spans, ZoneInfo(timezone))


def at(monday: dt.date, day: int, time: str, *, fold: int = 0, timezone: str = BERLIN) -> dt.datetime:
    local = dt.datetime.combine(monday + dt.timedelta(days=day), dt.time.fromisoformat(time), ZoneInfo(timezone))
    return local.replace(fold=fold).astimezone(dt.UTC)


def row(hour: float) -> int:
    return round(hour * ROWS_PER_HOUR)


def test_all_days_share_the_hours_that_any_of_them_needs():
    week = frames(dt.date(2026, 11, 23), "09:00-18:00", "10:30-20:15", timezone="Asia/Ho_Chi_Minh")

    assert {one.rows for one in week} == {row(12)}
    assert [
        one.row_of(at(dt.date(2026, 11, 23), day, "10:00", timezone="Asia/Ho_Chi_Minh")) for day, one in enumerate(week)
    ] == [row(1)] * 7


def test_a_week_without_anything_shows_the_usual_hours():
    assert [one.rows for one in frames(dt.date(2026, 11, 23), "")] == [row(12)] * 7
    assert [one.rows for one in frames(SPRING, "")] == [row(12)] * 7


@pytest.mark.parametrize("monday", [SPRING, AUTUMN])
def test_opening_hours_stand_at_one_height_on_the_day_of_the_change_too(monday: dt.date):
    week = frames(monday, "08:00-20:00")

    assert {one.rows for one in week} == {row(12)}
    assert [one.missing for one in week] == [[]] * 7
    for day, one in enumerate(week):
        assert one.cell(at(monday, day, "10:00"), at(monday, day, "11:10")) == Cell(row(2), 14)
        assert one.instant(row(2)) == at(monday, day, "10:00")


def test_in_spring_the_skipped_hour_stays_empty():
    week = frames(SPRING, "00:00-20:00")
    sunday = week[SUNDAY]

    assert [one.missing for one in week] == [[]] * 6 + [[Cell(row(2), row(1))]]
    assert sunday.row_of(at(SPRING, SUNDAY, "03:00")) == row(3)
    # What ends as the clocks jump ends there, what goes on over the jump goes on.
    assert sunday.cell(at(SPRING, SUNDAY, "01:00"), at(SPRING, SUNDAY, "03:00")) == Cell(row(1), row(1))
    assert sunday.cell(at(SPRING, SUNDAY, "01:30"), at(SPRING, SUNDAY, "03:30")) == Cell(row(1.5), row(2))
    opened = [(at(SPRING, SUNDAY, "00:00"), at(SPRING, SUNDAY, "20:00"))]
    starts = [sunday.instant(cell.row) for cell in free_slots(sunday, opened, sunday.missing)]
    assert starts == [opened[0][0] + number * dt.timedelta(minutes=15) for number in range(19 * 4)]


def test_in_autumn_the_hour_that_comes_twice_has_rows_twice():
    week = frames(AUTUMN, "00:00-20:00")
    sunday = week[SUNDAY]

    assert {one.rows for one in week} == {row(21)}
    assert [one.missing for one in week] == [[Cell(row(3), row(1))]] * 6 + [[]]
    assert [sunday.row_of(at(AUTUMN, SUNDAY, "02:30", fold=fold)) for fold in (0, 1)] == [row(2.5), row(3.5)]
    assert [one.row_of(at(AUTUMN, day, "10:00")) for day, one in enumerate(week)] == [row(11)] * 7


@pytest.mark.parametrize("monday", [SPRING, AUTUMN])
def test_a_whole_week_round_the_clock_has_a_class_for_each_row(monday: dt.date):
    week = frames(monday, "00:00-23:59")

    for day, one in enumerate(week):
        begins_at, ends_at = clock.day_bounds(monday + dt.timedelta(days=day), BERLIN)
        assert one.rows <= MOST_ROWS
        assert sum(cell.span for cell in one.missing) == one.rows - (ends_at - begins_at) // dt.timedelta(minutes=5)
        for minutes in range(0, (ends_at - begins_at) // dt.timedelta(minutes=1), 5):
            instant = begins_at + dt.timedelta(minutes=minutes)
            assert one.instant(one.row_of(instant)) == instant


def test_a_day_that_begins_at_one_oclock():
    # In Beirut the clocks jump at midnight.
    monday = dt.date(2026, 3, 23)
    week = frames(monday, "00:00-12:00", timezone="Asia/Beirut")

    assert [one.missing for one in week] == [[]] * 6 + [[Cell(0, row(1))]]
    assert [one.row_of(at(monday, day, "09:00", timezone="Asia/Beirut")) for day, one in enumerate(week)] == [
        row(9)
    ] * 7
