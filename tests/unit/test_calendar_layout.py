"""The arithmetic of the day grid."""

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa_app import clock
from spa_app.web.calendar.layout import MOST_ROWS, Cell, Frame, closed_cells, frame_of, free_slots

MIDNIGHT = dt.datetime(2026, 3, 1, 17, tzinfo=dt.UTC)  # in Sài Gòn
NEXT_MIDNIGHT = MIDNIGHT + dt.timedelta(days=1)
ROWS_CSS = Path(__file__).parents[2] / "static" / "css" / "calendar-rows.css"


def at(time: str) -> dt.datetime:
    """The instant of a local time of that day."""
    hours, minutes = map(int, time.split(":"))
    return MIDNIGHT + dt.timedelta(hours=hours, minutes=minutes)


def period(text: str) -> tuple[dt.datetime, dt.datetime]:
    """``08:00-12:00`` as two instants."""
    first, last = text.split("-")
    return at(first), at(last)


def day_frame(*spans: str) -> Frame:
    """The frame of the day that holds these."""
    return frame_of(MIDNIGHT, NEXT_MIDNIGHT, map(period, spans))


@pytest.mark.parametrize(
    ("spans", "first", "hours"),
    [
        (["08:00-21:00"], "08:00", 13),
        (["08:30-20:45"], "08:00", 13),
        (["09:00-12:00", "13:00-18:00"], "09:00", 9),
        (["09:00-18:00", "07:50-08:20"], "07:00", 11),
        (["09:00-18:00", "17:00-19:05"], "09:00", 11),
        (["09:00-09:00"], "09:00", 1),
        ([], "08:00", 12),
        (["22:00-26:00"], "22:00", 2),
    ],
)
def test_the_frame_is_the_whole_hours_that_hold_everything(spans, first, hours):
    assert day_frame(*spans) == Frame(at(first), hours * 12)


@pytest.mark.parametrize(
    ("span", "cell"),
    [
        ("08:00-09:00", Cell(0, 12)),
        ("09:10-09:25", Cell(14, 3)),
        ("09:00-09:01", Cell(12, 1)),
        ("20:00-23:00", Cell(144, 12)),  # cut at the end of what is shown
        ("05:00-09:00", Cell(0, 12)),
        ("05:00-06:00", Cell(0, 1)),
        ("22:00-23:00", Cell(155, 1)),
    ],
)
def test_a_visit_takes_the_rows_of_its_time(span, cell):
    assert day_frame("08:00-21:00").cell(*period(span)) == cell


def test_visits_that_meet_at_an_odd_minute_meet_on_a_line():
    frame = day_frame("08:00-21:00")
    first, second = frame.cell(*period("10:00-10:07")), frame.cell(*period("10:07-10:30"))

    assert first.end == second.row


def test_closed_time_is_what_the_opening_hours_leave():
    frame = day_frame("08:30-12:00", "13:00-20:00")

    assert closed_cells(frame, [period("08:30-12:00"), period("13:00-20:00")]) == [Cell(0, 6), Cell(48, 12)]
    assert closed_cells(frame, []) == [Cell(0, frame.rows)]


def test_free_time_is_offered_in_quarters_and_right_after_a_visit():
    frame = day_frame("08:00-11:00")
    taken = [frame.cell(*period(span)) for span in ("08:30-09:10", "10:00-10:50")]

    slots = free_slots(frame, [period("08:00-11:00")], taken)

    starts = [(frame.instant(slot.row), slot.span * 5) for slot in slots]
    # 09:10 follows the visit at once and takes the odd five minutes in; the ten minutes before closing are no slot.
    assert starts == [(at("08:00"), 15), (at("08:15"), 15), (at("09:10"), 20), (at("09:30"), 15), (at("09:45"), 15)]


def test_nothing_is_offered_while_the_branch_is_closed():
    assert free_slots(day_frame("10:00-11:00"), [], []) == []


cells = st.builds(Cell, st.integers(0, 150), st.integers(1, 30))


@given(st.lists(cells, max_size=12), st.lists(st.integers(0, 156), min_size=2, max_size=2, unique=True).map(sorted))
def test_free_slots_never_touch_what_is_taken_or_closed(taken, opened):
    frame = day_frame("08:00-21:00")
    lines = frame.instant(opened[0]), frame.instant(opened[1])

    slots = free_slots(frame, [lines], taken)

    rows = [row for slot in slots for row in range(slot.row, slot.end)]
    busy = {row for cell in taken for row in range(cell.row, cell.end)}
    assert len(rows) == len(set(rows))
    assert set(rows) <= set(range(*opened)) - busy
    assert all(3 <= slot.span <= 7 for slot in slots)


@pytest.mark.parametrize(("date", "hours"), [(dt.date(2026, 3, 29), 23), (dt.date(2026, 10, 25), 25)])
def test_a_day_of_23_or_25_hours_has_a_row_for_each_five_minutes(date, hours):
    begins_at, ends_at = clock.day_bounds(date, "Europe/Berlin")

    frame = frame_of(begins_at, ends_at, [(begins_at, ends_at)])

    assert frame.rows == hours * 12 <= MOST_ROWS
    shown = [frame.instant(row).astimezone(ZoneInfo("Europe/Berlin")).hour for row in range(0, frame.rows, 12)]
    assert (shown.count(2), len(shown)) == ({23: 0, 25: 2}[hours], hours)


def test_the_style_sheet_has_a_class_for_each_place():
    rules = [
        *(f".r{row}{{grid-row-start:{row + 1}}}" for row in range(MOST_ROWS)),
        *(f".s{span}{{grid-row-end:span {span}}}" for span in range(1, MOST_ROWS + 1)),
        *(f".b{rows}{{--before:{rows}}}" for rows in range(1, 25)),
        *(f".a{rows}{{--after:{rows}}}" for rows in range(1, 25)),
    ]

    assert [line.strip() for line in ROWS_CSS.read_text().splitlines()[2:-1]] == rules
