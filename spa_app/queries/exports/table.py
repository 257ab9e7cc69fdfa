"""What a table of an export is, and how it is narrowed to branches and days."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select

from spa_app import clock


@dataclass(frozen=True)
class Scope:
    """Of which branches, as (id, time zone), and of which of their local days, bounds included.

    ``branches`` empty means everything there is, and no ``first`` or ``last`` that there is no such bound.
    """

    branches: tuple[tuple[int, str], ...] = ()
    first: dt.date | None = None
    last: dt.date | None = None

    @property
    def branch_ids(self) -> list[int]:
        """The ids of the branches."""
        return [branch_id for branch_id, _ in self.branches]

    def of_branch(self, branch: ColumnElement[int] | Any) -> list[ColumnElement[bool]]:
        """The condition, if there is one, that a row is of these branches."""
        return [branch.in_(self.branch_ids)] if self.branches else []

    def on_days(self, branch: Any, instant: Any) -> list[ColumnElement[bool]]:
        """The condition that a row is of these branches, and its instant within the days by the branch's own clocks."""
        if self.first is None and self.last is None:
            return self.of_branch(branch)
        return [or_(*[and_(branch == branch_id, *self._within(instant, zone)) for branch_id, zone in self.branches])]

    def on_dates(self, branch: Any, date: Any) -> list[ColumnElement[bool]]:
        """The same for a row with a local date."""
        bounds = [date >= self.first] if self.first else []
        return [*self.of_branch(branch), *bounds, *([date <= self.last] if self.last else [])]

    def _within(self, instant: Any, zone: str) -> list[ColumnElement[bool]]:
        bounds = [instant >= clock.day_bounds(self.first, zone)[0]] if self.first else []
        return [*bounds, *([instant < clock.day_bounds(self.last, zone)[1]] if self.last else [])]


@dataclass(frozen=True)
class Column:
    """A column: its name, which programs may rely on, where it comes from, and what it means (a msgid)."""

    name: str
    source: Any
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table of an export. ``title`` and ``meaning`` are msgids; ``has_days`` says whether a period narrows it.

    ``zone`` gives the time zone in which a row's instants are written; without it they are in the installation's.
    """

    name: str
    title: str
    meaning: str
    columns: Sequence[Column]
    narrow: Callable[[Select[Any], Scope], Select[Any]]
    zone: Any = None
    has_days: bool = True

    def select(self, scope: Scope) -> Select[Any]:
        """The statement that gives its rows in their order, the time zone behind the columns if there is one."""
        sources = [column.source.label(column.name) for column in self.columns]
        return self.narrow(select(*sources, *([self.zone] if self.zone is not None else [])), scope)
