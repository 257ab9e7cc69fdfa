"""Where things stand on the day grid. Pure arithmetic: rows of five minutes, counted from the first hour on show.

All instants are in UTC, so rows count elapsed time: on a day of 23 or 25 hours nothing is lost and nothing overlaps.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MINUTES_PER_ROW = 5
ROW = dt.timedelta(minutes=MINUTES_PER_ROW)
ROWS_PER_HOUR = 60 // MINUTES_PER_ROW
ROWS_PER_SLOT = 3  # a quarter of an hour
MOST_ROWS = 25 * ROWS_PER_HOUR  # static/css/calendar-rows.css has a class for each
HOUR = dt.timedelta(hours=1)
USUAL_HOURS = (8 * HOUR, 20 * HOUR)  # shown when the branch is closed and nothing is booked

Period = tuple[dt.datetime, dt.datetime]


@dataclass(frozen=True, slots=True)
class Cell:
    """A stretch of rows: from ``row`` (0 is the first on show), ``span`` of them."""

    row: int
    span: int

    @property
    def end(self) -> int:
        """The first row after it."""
        return self.row + self.span


@dataclass(frozen=True, slots=True)
class Frame:
    """The stretch of a day that is on show: whole hours, ``rows`` rows from ``starts_at`` on."""

    starts_at: dt.datetime
    rows: int

    def row_of(self, instant: dt.datetime) -> int:
        """The row line nearest to ``instant``, kept within the frame: neighbours meet on the same line."""
        return max(0, min(self.rows, round((instant - self.starts_at) / ROW)))

    def cell(self, starts_at: dt.datetime, ends_at: dt.datetime) -> Cell:
        """The rows between two instants; one at least."""
        row = min(self.row_of(starts_at), self.rows - 1)
        return Cell(row, max(1, self.row_of(ends_at) - row))

    def shows(self, starts_at: dt.datetime, ends_at: dt.datetime) -> bool:
        """Whether any of the stretch is on show."""
        return starts_at < self.instant(self.rows) and ends_at > self.starts_at

    def instant(self, row: int) -> dt.datetime:
        """When ``row`` begins."""
        return self.starts_at + row * ROW

    @property
    def missing(self) -> list[Cell]:
        """The rows of hours that the day does not have; none where rows count elapsed time."""
        return []


def frame_of(begins_at: dt.datetime, ends_at: dt.datetime, spans: Iterable[Period]) -> Frame:
    """The whole hours, from the local midnights ``begins_at`` to ``ends_at``, that hold all ``spans``.

    Spans are opening periods and visits; without any, the usual hours are shown.
    """
    spans = list(spans)
    if spans:
        first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    else:
        first, last = (begins_at + after for after in USUAL_HOURS)
    first, last = max(first, begins_at), min(last, ends_at)
    starts_at = begins_at + (first - begins_at) // HOUR * HOUR
    rows = -((starts_at - last) // HOUR) * ROWS_PER_HOUR
    return Frame(starts_at, min(MOST_ROWS, max(rows, ROWS_PER_HOUR)))


def closed_cells(frame: Frame, open_periods: Sequence[Period]) -> list[Cell]:
    """The stretches of the frame outside the opening periods."""
    return gaps_between(0, frame.rows, [frame.cell(*period) for period in open_periods])


def off_cells(frame: Frame, open_period: Period, at_work: Sequence[Period]) -> list[Cell]:
    """The stretches of an opening period in which somebody is not at work."""
    opened = frame.cell(*open_period)
    return gaps_between(opened.row, opened.end, [frame.cell(*period) for period in common([open_period], at_work)])


def common(periods: Sequence[Period], others: Sequence[Period]) -> list[Period]:
    """What two lists of periods have in common, in order."""
    found = [(max(one[0], other[0]), min(one[1], other[1])) for one in periods for other in others]
    return sorted(period for period in found if period[0] < period[1])


def free_slots(frame: Frame, open_periods: Sequence[Period], taken: Iterable[Cell]) -> list[Cell]:
    """The free quarters of an hour within the opening periods.

    They begin on the quarter; what is left over before the first or after the last of a gap is added to that one, so
    that a visit can follow at once when another's clean-up is over. A gap under a quarter of an hour is none.
    """
    taken = sorted(taken, key=lambda cell: cell.row)
    slots: list[Cell] = []
    for period in open_periods:
        opened = frame.cell(*period)
        for gap in gaps_between(opened.row, opened.end, taken):
            slots += _quarters(gap)
    return slots


def gaps_between(start: int, end: int, cells: Iterable[Cell]) -> list[Cell]:
    """The stretches from row ``start`` to row ``end`` that no cell covers."""
    gaps = []
    for cell in sorted(cells, key=lambda one: one.row):
        if cell.row > start:
            gaps.append(Cell(start, min(cell.row, end) - start))
        start = max(start, cell.end)
        if start >= end:
            return gaps
    if start < end:
        gaps.append(Cell(start, end - start))
    return gaps


def _quarters(gap: Cell) -> list[Cell]:
    if gap.span < ROWS_PER_SLOT:
        return []
    lines = [row for row in range(gap.row, gap.end) if row % ROWS_PER_SLOT == 0]
    inner = [row for row in lines if row - gap.row >= ROWS_PER_SLOT and gap.end - row >= ROWS_PER_SLOT]
    starts = [gap.row, *inner]
    return [Cell(start, end - start) for start, end in zip(starts, [*inner, gap.end], strict=True)]
