"""Seven days beside one axis of hours. Pure arithmetic, for :mod:`~spa_app.web.calendar.layout`'s frames.

Where the clocks change, they skip an hour or show one twice. Rows stand for what the clocks show, so that ten o'clock
is at one height on every day: a day without an hour that another has leaves its rows empty.
"""

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from spa_app.web.calendar.layout import (
    ROW,
    ROWS_PER_HOUR,
    ROWS_PER_SLOT,
    Cell,
    Frame,
    Period,
    frame_of,
    gaps_between,
)

QUARTER = ROWS_PER_SLOT * ROW
WHOLE_DAY = dt.timedelta(hours=24)
QUARTERS_PER_HOUR = ROWS_PER_HOUR // ROWS_PER_SLOT


@dataclass(frozen=True, slots=True)
class UnevenFrame(Frame):
    """A frame whose rows are not all there: each of ``quarters`` is (row, when it begins)."""

    quarters: tuple[tuple[int, dt.datetime], ...] = ()

    def row_of(self, instant: dt.datetime) -> int:
        """The row line nearest to ``instant``, kept within the frame."""
        return self._row(max(0, bisect_right(self.quarters, instant, key=_begin) - 1), instant)

    def cell(self, starts_at: dt.datetime, ends_at: dt.datetime) -> Cell:
        """The rows between two instants; one at least. What ends where rows are missing ends before them."""
        row = min(self.row_of(starts_at), self.rows - 1)
        end = self._row(max(0, bisect_left(self.quarters, ends_at, key=_begin) - 1), ends_at)
        return Cell(row, max(1, end - row))

    def instant(self, row: int) -> dt.datetime:
        """When ``row`` begins; where it is missing, when the next one does."""
        place = bisect_right(self.quarters, row, key=lambda quarter: quarter[0]) - 1
        first, begins_at = self.quarters[max(0, place)]
        if row < first + ROWS_PER_SLOT or place + 1 == len(self.quarters):
            return begins_at + max(0, min(row - first, ROWS_PER_SLOT)) * ROW
        return self.quarters[place + 1][1]

    @property
    def missing(self) -> list[Cell]:
        """The rows of hours that the day does not have."""
        return gaps_between(0, self.rows, [Cell(row, ROWS_PER_SLOT) for row, _ in self.quarters])

    def _row(self, place: int, instant: dt.datetime) -> int:
        row, begins_at = self.quarters[place]
        return row + max(0, min(ROWS_PER_SLOT, round((instant - begins_at) / ROW)))


def week_frames(bounds: Sequence[Period], spans: Sequence[Sequence[Period]], zone: ZoneInfo) -> list[Frame]:
    """A frame for each of the days whose midnights are ``bounds``, all with the same rows: whole hours on one axis.

    They hold all of ``spans``, the opening periods and visits of each day; without any, the usual hours.
    """
    shown = [(bound, frame_of(*bound, some)) for bound, some in zip(bounds, spans, strict=True) if some]
    shown = shown or [(bounds[0], frame_of(*bounds[0], ()))]
    if all(ends_at - begins_at == WHOLE_DAY for begins_at, ends_at in bounds):
        after = min(frame.starts_at - begins_at for (begins_at, _), frame in shown)
        until = max(frame.instant(frame.rows) - begins_at for (begins_at, _), frame in shown)
        return [Frame(begins_at + after, (until - after) // ROW) for begins_at, _ in bounds]
    clocks = [_clocks(*bound, zone) for bound in bounds]
    longest = max(clocks, key=lambda of_day: len(of_day))
    places = {shows: place for place, shows in enumerate(longest)}
    first, last = len(places), 0
    for bound, frame in shown:
        of_day = clocks[bounds.index(bound)]
        begin, end = ((instant - bound[0]) // QUARTER for instant in (frame.starts_at, frame.instant(frame.rows)))
        first, last = min(first, places[of_day[begin]]), max(last, places[of_day[end - 1]] + 1)
    first = first // QUARTERS_PER_HOUR * QUARTERS_PER_HOUR
    last = -(-last // QUARTERS_PER_HOUR) * QUARTERS_PER_HOUR
    return [
        _uneven((last - first) * ROWS_PER_SLOT, begins_at, [places[shows] - first for shows in of_day])
        for (begins_at, _), of_day in zip(bounds, clocks, strict=True)
    ]


def _uneven(rows: int, begins_at: dt.datetime, places: Sequence[int]) -> UnevenFrame:
    """The frame of a day whose quarters of an hour from ``begins_at`` on stand at ``places``, counted in quarters."""
    quarters = tuple(
        (place * ROWS_PER_SLOT, begins_at + number * QUARTER)
        for number, place in enumerate(places)
        if 0 <= place * ROWS_PER_SLOT < rows
    )
    return UnevenFrame(quarters[0][1], rows, quarters)


def _clocks(begins_at: dt.datetime, ends_at: dt.datetime, zone: ZoneInfo) -> list[tuple[dt.time, int]]:
    """What the clocks show at each quarter of an hour of a day, and whether they do so for the second time (1)."""
    local = [(begins_at + quarter * QUARTER).astimezone(zone) for quarter in range((ends_at - begins_at) // QUARTER)]
    return [(one.time(), one.fold) for one in local]


def _begin(quarter: tuple[int, dt.datetime]) -> dt.datetime:
    return quarter[1]
