"""What a run of the bench says, as plain text."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

HEAD = ("work", "floor", "measured", "ratio", "aim", "")


@dataclass(frozen=True)
class Row:
    """One line: what was done, against what, and what came out. ``met`` is None where nothing was aimed at."""

    work: str
    measured: str
    aim: str = ""
    floor: str = "–"
    ratio: float | None = None
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts of its columns."""
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        ratio = "–" if self.ratio is None else f"{self.ratio:.2f}"
        return (self.work, self.floor, self.measured, ratio, self.aim, verdict)


def as_text(rows: Sequence[Row]) -> str:
    """All rows under one head, in columns."""
    table = [HEAD, *(row.cells for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() for cells in table
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def ms(seconds: float) -> str:
    """Seconds, in milliseconds to read."""
    return f"{seconds * 1000:.1f} ms"


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    """What 95 of 100 stay below."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]
