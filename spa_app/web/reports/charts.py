"""The geometry of bar charts that templates draw as SVG. Sizes are in the units of the view box."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 10, 28
_MOST_LABELS = 7


@dataclass(frozen=True)
class Segment:
    """A piece of a bar. ``key`` says of what."""

    key: str
    value: int
    y: float
    height: float


@dataclass(frozen=True)
class Bar:
    """The bar of one day: ``index`` counts the days."""

    index: int
    x: float
    width: float
    middle: float
    is_labelled: bool
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Chart:
    """Bars, and the lines of the scale as (value, y)."""

    bars: tuple[Bar, ...]
    scale: tuple[tuple[int, float], ...]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    base: float = HEIGHT - _BOTTOM
    width: int = WIDTH
    height: int = HEIGHT


def stack(days: Sequence[dict[str, int]]) -> Chart:
    """A bar for each day, its values stacked in the order of their keys; what is not above zero is left out."""
    highest = max((sum(max(value, 0) for value in day.values()) for day in days), default=0)
    step = _nice_step(highest)
    top = max(step, -(-highest // step) * step)
    room, base = HEIGHT - _TOP - _BOTTOM, HEIGHT - _BOTTOM
    slot = (WIDTH - _LEFT - _RIGHT) / max(len(days), 1)
    every = max(1, -(-len(days) // _MOST_LABELS))
    bars = []
    for index, day in enumerate(days):
        segments, y = [], float(base)
        for key, value in day.items():
            if value > 0:
                height = value / top * room
                y -= height
                segments.append(Segment(key, value, round(y, 2), round(height, 2)))
        width = min(slot * 0.72, 40)
        middle = _LEFT + slot * (index + 0.5)
        # Counted from the end, so that the last day always has its label.
        labelled = (len(days) - 1 - index) % every == 0
        bars.append(
            Bar(index, round(middle - width / 2, 2), round(width, 2), round(middle, 2), labelled, tuple(segments))
        )
    scale = tuple((value, round(base - value / top * room, 2)) for value in range(0, top + 1, step))
    return Chart(tuple(bars), scale)


def _nice_step(highest: int) -> int:
    """The smallest of 1, 2, 5, 10, 20 … that divides the scale into at most five."""
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if step * 5 >= highest:
                return step
        power *= 10
