"""The drawn grid or list of a day, kept in this process as long as a drawing would come out the same."""

import datetime as dt
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import render_template, url_for
from markupsafe import Markup

from spa_app.queries.calendar import By, Day
from spa_app.queries.users import BranchRef
from spa_app.queries.week import Week
from spa_app.web.calendar.present import GridView, grid_view, list_view
from spa_app.web.calendar.week import week_view
from spa_app.web.i18n import current_locale

ONE_DAY, ONE_WEEK = dt.timedelta(days=1), dt.timedelta(weeks=1)
ONE_MINUTE = dt.timedelta(minutes=1)
MOST_KEPT = 16  # some 130 KiB each, for as many desks that look at different days

_kept: dict[Hashable, Markup] = {}
_keeping = threading.Lock()


@dataclass(frozen=True)
class Asked:
    """What the address asks for. ``extra`` is what every further address of the page carries on.

    ``staff_id``: whose week is looked at; None in the other views, and where the address leaves it open.
    """

    date: dt.date
    view: str
    by: By
    branch: BranchRef
    extra: dict[str, str]
    staff_id: int | None = None

    @property
    def step(self) -> dt.timedelta:
        """How much of the calendar is on show."""
        return ONE_WEEK if self.view == "week" else ONE_DAY

    @property
    def booking(self) -> dict[str, str]:
        """The same for the addresses that book."""
        return {"branch_id": self.extra["branch"]} if "branch" in self.extra else {}

    @property
    def booking_here(self) -> dict[str, str]:
        """The same for a visit that is to show on this very page."""
        return {**self.booking, "staff_id": str(self.staff_id)} if self.staff_id else self.booking

    def url(self, endpoint: str = "calendar.day", **changes: str) -> str:
        """The address of the same page with some of it changed."""
        query = {"date": self.date.isoformat(), "view": self.view, "by": self.by, **self.extra, **changes}
        if self.staff_id and query["view"] == "week":
            query.setdefault("staff_id", str(self.staff_id))
        return f"{url_for(endpoint)}?{urlencode(query)}"


def draw(day: Day | Week, asked: Asked, *, now: dt.datetime, can_book: bool, can_choose: bool, new_url: str) -> Markup:
    """The grid or list of ``day``. Nothing is drawn twice for the same, reader's language and rights, and minute.

    The key holds all that the template can see, the day with each visit's every field among it: it is read from the
    database each time, so that what is kept cannot be stale.
    """
    # Free times begin on whole minutes, so which of them is the next is the same for all of a minute.
    minute = now.replace(second=0, microsecond=0)
    minute += ONE_MINUTE if minute < now else dt.timedelta()
    key = (day, asked.date, asked.view, asked.by, *asked.extra.items(), minute, current_locale(), can_book, can_choose)
    drawn = _kept.get((key, new_url))
    if drawn is None:
        drawn = _draw(day, asked, now=minute, can_book=can_book, can_choose=can_choose, new_url=new_url)
        with _keeping:
            while len(_kept) >= MOST_KEPT:
                del _kept[next(iter(_kept))]
            _kept[key, new_url] = drawn
    return drawn


def _draw(day: Day | Week, asked: Asked, *, now: dt.datetime, can_book: bool, can_choose: bool, new_url: str) -> Markup:
    html = render_template(
        "calendar/_grid.html",
        asked=asked,
        day=day,
        grid=_grid_of(day, asked, now=now, can_book=can_book) if asked.view != "list" else None,
        rows=list_view(day) if isinstance(day, Day) and asked.view == "list" else None,
        one_day=ONE_DAY,
        new_url=new_url,
        can_book=can_book,
        can_choose=can_choose,
    )
    # In one piece: through a chain of includes, each of its thousands of pieces would be handed on at every level.
    return Markup(html)  # noqa: S704 - a rendered template


def _grid_of(day: Day | Week, asked: Asked, *, now: dt.datetime, can_book: bool) -> GridView | None:
    if isinstance(day, Week):
        return week_view(
            day,
            now=now,
            can_book=can_book,
            extra=asked.booking,
            day_url=lambda date: asked.url(view="day", date=date.isoformat()),
        )
    return grid_view(
        day,
        now=now,
        can_book=can_book,
        extra=asked.booking,
        week_url=lambda staff_id: asked.url(view="week", staff_id=str(staff_id)),
    )
