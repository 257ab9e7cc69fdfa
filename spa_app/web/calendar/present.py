"""The day as its templates want it: places, words and addresses, ready to print."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask_babel import gettext as _

from spa_app.queries.calendar import Block, Column, Day
from spa_app.queries.parties import GIVEN_UP
from spa_app.queries.roster import Blocked
from spa_app.web.calendar.layout import (
    ROWS_PER_HOUR,
    ROWS_PER_SLOT,
    Cell,
    Frame,
    closed_cells,
    common,
    frame_of,
    free_slots,
    off_cells,
)

LANES = 4  # side by side, in a room that a party shares; more would not be readable
# A block of up to so many rows holds less: one line; the time and the name; all but the service beside its signs.
SIZES = ((5, "cal-visit--line"), (8, "cal-visit--short"), (11, "cal-visit--medium"))


@dataclass(frozen=True, slots=True)
class BlockView:
    """A visit's block, or its row in the list. ``flags`` are (kind, words) in the order of their weight.

    ``drag`` is for those that can be moved: item, version of the visit, and how many minutes into the visit it begins.
    """

    dom_id: str
    block: Block
    classes: str
    starts: str
    ends: str
    label: str
    flags: tuple[tuple[str, str], ...]
    held: str  # until when, for a place that is only held
    drag: str


@dataclass(frozen=True, slots=True)
class SlotView:
    """A free quarter of an hour that a click books."""

    dom_id: str
    classes: str
    starts: str
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class BlockedView:
    """Blocked time, with its reason."""

    dom_id: str
    classes: str
    blocked: str
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands over a column. ``lead`` and ``tail`` are the name in two parts: a person is called by the last word.

    ``key`` is the column's in the ids of its places. ``url`` leads to the same seen otherwise, which ``title`` says.
    """

    key: str
    name: str
    lead: str
    tail: str
    title: str
    url: str = ""
    is_today: bool = False


@dataclass(frozen=True, slots=True)
class ColumnView:
    """A column of the grid. ``cells`` are its blocks and free slots by time; ``new_url`` books its next free slot.

    ``closed`` are the stretches in which the branch is closed, ``off`` those in which a therapist is not on shift;
    ``now_row`` is the row of the present if it is on show. ``away_url`` is for the day on which the therapist is
    absent, or the room is closed.
    """

    heading: Heading
    new_url: str
    closed: tuple[str, ...]
    away_url: str
    off: tuple[str, ...]
    now_row: int | None
    cells: tuple[BlockView | SlotView | BlockedView, ...]


@dataclass(frozen=True, slots=True)
class GridView:
    """The grid: hour labels at their rows, columns, and the row of the present if it is on show.

    ``starts_at`` is when row 0 begins, as the line of the present counts from it.
    """

    label: str
    starts_at: dt.datetime
    rows: int
    hours: tuple[tuple[int, str], ...]
    columns: tuple[ColumnView, ...]
    now_row: int | None
    step: int = ROWS_PER_SLOT  # what is dragged stops at each so many rows


def grid_view(
    day: Day, *, now: dt.datetime, can_book: bool, extra: dict[str, str], week_url: Callable[[int], str]
) -> GridView:
    """Lay the day out. ``extra`` goes into each address that books, such as the branch of the page.

    ``week_url`` is the address of a therapist's week.
    """
    frame = frame_of(day.begins_at, day.ends_at, spans_of(day))
    zone = ZoneInfo(day.timezone)
    view_of = viewer(day, frame, zone, movable_since=now if can_book else None)
    by_therapist = day.by == "therapist"
    columns = []
    for column in day.columns:
        lead, _space, tail = column.name.rpartition(" ") if by_therapist else ("", "", column.name)
        heading = Heading(
            key=str(column.id),
            name=column.name,
            lead=lead,
            tail=tail,
            title=_("Week of %(name)s", name=column.name) if by_therapist else column.name,
            url=week_url(column.id) if by_therapist else "",
        )
        columns.append(column_view(day, column, heading, frame, view_of, now=now, can_book=can_book, extra=extra))
    return GridView(
        label=_("Visits by therapist") if by_therapist else _("Visits by room"),
        starts_at=frame.starts_at,
        rows=frame.rows,
        hours=hours_of(frame, zone),
        columns=tuple(columns),
        now_row=row_of_now(frame, now),
    )


def spans_of(day: Day) -> list[tuple[dt.datetime, dt.datetime]]:
    """What the grid of a day must have room for."""
    return [*day.open_periods, *((block.occupied_from, block.occupied_to) for block in day.blocks)]


def hours_of(frame: Frame, zone: ZoneInfo) -> tuple[tuple[int, str], ...]:
    """The hours beside the grid, each with its row."""
    return tuple((row, _clock(frame.instant(row), zone)) for row in range(0, frame.rows, ROWS_PER_HOUR))


def row_of_now(frame: Frame, now: dt.datetime) -> int | None:
    """The row of the present, if it is on show."""
    return frame.row_of(now) if frame.starts_at <= now < frame.instant(frame.rows) else None


def list_view(day: Day) -> list[BlockView]:
    """The blocks as rows of a list, by time."""
    view_of = viewer(day, None, ZoneInfo(day.timezone))
    return [view_of(block) for block in day.blocks]


def new_visit_url(days: Sequence[Day], date: dt.date, *, today: dt.date, extra: dict[str, str]) -> str:
    """Where a visit is booked with nothing chosen yet: today from now on, or at opening time of ``date``."""
    query = dict(extra)
    shown = {day.date: day for day in days}
    if today not in shown and date in shown and shown[date].open_periods:
        opens_at = _clock(shown[date].open_periods[0][0], ZoneInfo(shown[date].timezone))
        query["starts_at"] = f"{date.isoformat()}T{opens_at}"
    return "/bookings/new" + (f"?{urlencode(query)}" if query else "")


def summary(blocks: Iterable[Block]) -> dict[str, int]:
    """How many visits there are, how many of those customers are here, and how many visits are over."""
    visits = {block.booking_id: block for block in blocks if block.status not in GIVEN_UP}
    statuses = [
        "here" if block.status == "in_progress" or (block.arrived and block.status == "confirmed") else block.status
        for block in visits.values()
    ]
    return {"visits": len(visits), "here": statuses.count("here"), "completed": statuses.count("completed")}


def column_view(
    day: Day,
    column: Column,
    heading: Heading,
    frame: Frame,
    view_of: Callable[[Block], BlockView],
    *,
    now: dt.datetime,
    can_book: bool,
    extra: dict[str, str],
) -> ColumnView:
    """Lay out one column of ``day`` in its ``frame``; the rest is as for :func:`grid_view`."""
    zone = ZoneInfo(day.timezone)
    blocks = [block for block in day.blocks if block.column_id == column.id]
    placed: list[tuple[int, BlockView | SlotView | BlockedView]] = [
        (frame.row_of(block.starts_at), view_of(block)) for block in blocks
    ]
    blocked = [one for one in day.blocked if one.column_id == column.id and frame.shows(one.starts_at, one.ends_at)]
    placed += [(frame.row_of(one.starts_at), _blocked_view(one, heading, frame, zone, day.date)) for one in blocked]
    shifts = dict(day.shifts).get(column.id)
    at_work = day.open_periods if shifts is None else common(day.open_periods, shifts)
    who = "staff_id" if day.by == "therapist" else "resource_id"
    # Local times as HH:MM need no quoting beyond what urlencode did for the rest.
    address = "/bookings/new?" + urlencode({**extra, who: column.id}) + f"&starts_at={day.date.isoformat()}T"
    new_time = next_time = ""
    if can_book:
        free_word = _("free")
        taken = [frame.cell(block.occupied_from, block.occupied_to) for block in blocks]
        taken += [frame.cell(one.starts_at, one.ends_at) for one in blocked] + frame.missing
        for cell in free_slots(frame, at_work, taken):
            starts_at = frame.instant(cell.row)
            time = _clock(starts_at, zone)
            new_time = new_time or time
            if not next_time and starts_at >= now:
                next_time = time
            slot = SlotView(
                dom_id=f"free-{heading.key}-{cell.row}",
                classes=_classes(cell),
                starts=time,
                label=f"{time}, {heading.name}, {free_word}",
                url=address + time,
            )
            placed.append((cell.row, slot))
    placed.sort(key=lambda one: one[0])
    return ColumnView(
        heading=heading,
        new_url=address + (next_time or new_time or _clock(frame.starts_at, zone)),
        closed=tuple(_classes(cell) for cell in (*closed_cells(frame, day.open_periods), *frame.missing)),
        away_url=f"/affected?{who}={column.id}&date={day.date.isoformat()}",
        off=tuple(_classes(cell) for period in day.open_periods for cell in off_cells(frame, period, at_work))
        if shifts is not None
        else (),
        now_row=row_of_now(frame, now),
        cells=tuple(view for _row, view in placed),
    )


def _blocked_view(one: Blocked, heading: Heading, frame: Frame, zone: ZoneInfo, date: dt.date) -> BlockedView:
    kinds = {
        "leave": _("Leave"),
        "sick": _("Leave"),
        "break": _("Break"),
        "blocked": _("Blocked"),
        "closed": _("Closed"),
        "maintenance": _("Maintenance"),
    }
    words = f"{kinds[one.kind]}: {one.reason}" if one.reason else kinds[one.kind]
    return BlockedView(
        dom_id=f"block-{one.id}" if heading.key == str(one.column_id) else f"block-{one.id}-{heading.key}",
        classes=_classes(frame.cell(one.starts_at, one.ends_at)),
        blocked=words,
        label=f"{_clock(one.starts_at, zone)}–{_clock(one.ends_at, zone)}, {heading.name}, {words}",
        url=f"/blocks?date={date.isoformat()}",
    )


def viewer(
    day: Day, frame: Frame | None, zone: ZoneInfo, *, date: str = "", movable_since: dt.datetime | None = None
) -> Callable[[Block], BlockView]:
    """What makes the view of a block: at its place in ``frame``, if any; where days stand beside one another, with its
    ``date`` in words. What ends after ``movable_since`` can be dragged, if its status allows it; without it nothing.
    """
    statuses = {
        "pending": _("Tentative"),
        "confirmed": _("Confirmed"),
        "in_progress": _("In progress"),
        "completed": _("Completed"),
        "cancelled": _("Cancelled"),
        "no_show": _("No-show"),
    }
    words = flag_words()
    note = _("Note")

    def view(block: Block) -> BlockView:
        flags = tuple((flag, words[flag]) for flag in _flags(block, day))
        starts, ends = _clock(block.starts_at, zone), _clock(block.ends_at, zone)
        until = _clock(block.held_until, zone) if block.held_until else ""
        said = [
            f"{date}, {starts}–{ends}" if date else f"{starts}–{ends}",
            block.customer_name,
            block.service_name,
            block.staff_name,
            *block.resource_names,
            f"{_('Held until %(time)s', time=until)} · {block.held_by}" if until else statuses[block.status],
            *(word for flag, word in flags if flag not in ("note", "party")),
        ]
        if block.with_names:
            said.append(_("With %(names)s", names=block.with_names))
        if block.note:
            said.append(f"{note}: {block.note}")
        return BlockView(
            dom_id=f"booking-{block.booking_id}" + (f"-{block.number}" if block.number > 1 else ""),
            block=block,
            classes=_block_classes(block, frame) if frame else "",
            starts=starts,
            ends=ends,
            label=", ".join(said),
            flags=flags,
            held=_("until %(time)s", time=until) if until else "",
            drag=_drag(block) if movable_since and block.ends_at > movable_since else "",
        )

    return view


def _drag(block: Block) -> str:
    if block.status not in ("pending", "confirmed"):
        return ""
    return f"{block.item_id}.{block.version}.{(block.starts_at - block.visit_starts_at) // dt.timedelta(minutes=1)}"


def flag_words() -> dict[str, str]:
    """What each flag of a block means, in the order of the legend."""
    return {
        "away": _("Needs another therapist"),
        "closed": _("Needs another room"),
        "allergy": _("Allergy"),
        "arrived": _("Arrived"),
        "unpaid": _("To pay"),
        "partly_paid": _("Partly paid"),
        "paid": _("Paid"),
        "first": _("First visit"),
        "party": _("With others"),
        "card": _("On a card"),
        "last": _("Last session of the card"),
        "note": _("Note"),
        "late": _("Entered late"),
    }


def _flags(block: Block, day: Day) -> list[str]:
    card = "last" if block.last_session else "card" if block.on_card else None
    return [
        flag
        for flag, holds in (
            ("away", block.item_id in day.without_therapist),
            ("closed", block.item_id in day.without_room),
            ("allergy", block.has_allergies),
            ("arrived", block.arrived and block.status in ("pending", "confirmed")),
            (block.payment or "", block.payment in ("unpaid", "partly_paid", "paid")),
            ("first", block.first_visit),
            ("party", bool(block.with_names)),
            (card or "", card is not None),
            ("note", bool(block.note)),
            ("late", block.entered_late),
        )
        if holds
    ]


def _block_classes(block: Block, frame: Frame) -> str:
    cell = frame.cell(block.starts_at, block.ends_at)
    whole = frame.cell(block.occupied_from, block.occupied_to)
    classes = [_classes(cell)]
    classes += [name for rows, name in SIZES if cell.span <= rows][:1]
    if whole.row < cell.row:
        classes.append(f"b{cell.row - whole.row}")
    if whole.end > cell.end:
        classes.append(f"a{whole.end - cell.end}")
    if block.lane:
        place, places = (min(one, LANES) for one in block.lane)
        classes.append(f"cal-lane l{place} of{places}")
    return " ".join(classes)


def _classes(cell: Cell) -> str:
    return f"r{cell.row} s{cell.span}"


@lru_cache(maxsize=2048)  # a full day says some hundred times each of which many times over
def _clock(instant: dt.datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).strftime("%H:%M")
