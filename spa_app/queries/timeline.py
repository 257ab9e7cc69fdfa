"""Everything that has happened with a customer, the newest first, a page at a time."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text

from spa_app.extensions import db

PER_PAGE = 30
_CURSOR = re.compile(r"(\d{1,19})\.(\d{1,2})\.(\d{1,19})", re.ASCII)

# kind → (id, instant, words, amount in minor units, booking, invoice), FROM and WHERE. ``ids``: the customer, and who
# was merged into them, of whom the logs speak by their old ids.
_KINDS = {
    "visit": (
        "b.id, b.starts_at, b.status, NULL::bigint, b.id, NULL::bigint",
        "bookings b WHERE b.customer_id = :id AND b.branch_id = ANY(:branch_ids)",
        "b.starts_at",
        "b.id",
    ),
    "entry": (
        "e.id, e.created_at, e.kind || ' ' || c.id, e.sessions::bigint, NULL::bigint, NULL::bigint",
        "customer_treatments c JOIN treatment_entries e ON e.treatment_id = c.id WHERE c.customer_id = :id",
        "e.created_at",
        "e.id",
    ),
    "invoice": (
        "i.id, i.issued_at, i.number, i.total_amount, NULL::bigint, i.id",
        "invoices i WHERE i.customer_id = :id AND i.branch_id = ANY(:branch_ids)",
        "i.issued_at",
        "i.id",
    ),
    "payment": (
        "p.id, p.taken_at, p.method, p.amount, NULL::bigint, i.id",
        "invoices i JOIN payments p ON p.invoice_id = i.id"
        " WHERE i.customer_id = :id AND i.branch_id = ANY(:branch_ids)",
        "p.taken_at",
        "p.id",
    ),
    "note": (
        "n.id, n.created_at, '', NULL::bigint, b.id, NULL::bigint",
        "bookings b JOIN treatment_notes n ON n.booking_id = b.id"
        " WHERE b.customer_id = :id AND b.branch_id = ANY(:branch_ids)",
        "n.created_at",
        "n.id",
    ),
    "message": (
        "o.id, o.created_at, o.kind, NULL::bigint, b.id, NULL::bigint",
        "bookings b JOIN outbox o ON CAST(o.payload ->> 'booking_id' AS bigint) = b.id"
        " WHERE b.customer_id = :id AND b.branch_id = ANY(:branch_ids)",
        "o.created_at",
        "o.id",
    ),
    "change": (
        "a.id, a.created_at, a.action, NULL::bigint, NULL::bigint, NULL::bigint",
        "audit_log a WHERE a.entity = 'customer' AND a.entity_id = ANY(:ids)",
        "a.created_at",
        "a.id",
    ),
}
_PART = (
    "(SELECT '{kind}' AS kind, {rank} AS rank, {columns} FROM {source}"
    " AND ({at}, {rank}, {id}) < (CAST(:at AS timestamptz), CAST(:rank AS int), CAST(:last_id AS bigint))"
    " ORDER BY {at} DESC, {id} DESC LIMIT :limit)"
)
_PARTS = " UNION ALL ".join(
    _PART.format(kind=kind, rank=rank, columns=columns, source=source, at=at, id=id_)
    for rank, (kind, (columns, source, at, id_)) in enumerate(_KINDS.items())
)
_QUERY = text(
    f"SELECT * FROM ({_PARTS}) AS event (kind, rank, id, at, words, amount, booking_id, invoice_id)"  # noqa: S608
    " ORDER BY at DESC, rank DESC, id DESC LIMIT :limit"
)
_IDS = text("SELECT id FROM customers WHERE id = :id OR merged_into_id = :id")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
Cursor = tuple[dt.datetime, int, int]
_NEWEST: Cursor = (dt.datetime(9999, 1, 1, tzinfo=dt.UTC), 99, 0)


@dataclass(frozen=True)
class Event:
    """One thing that happened. ``words`` depends on the kind: a status, a number, an action."""

    kind: str
    rank: int
    id: int
    at: dt.datetime
    words: str
    amount: int | None
    booking_id: int | None
    invoice_id: int | None

    @property
    def cursor(self) -> str:
        """Where the page that ends with this event leads on from."""
        return f"{(self.at - _EPOCH) // dt.timedelta(microseconds=1)}.{self.rank}.{self.id}"


@dataclass(frozen=True)
class Events:
    """A page of events; ``older`` is the cursor of the next one, if there is any."""

    events: tuple[Event, ...]
    older: str | None


def parse_cursor(value: str) -> Cursor:
    """A cursor from an address; anything else is the beginning."""
    found = _CURSOR.fullmatch(value)
    try:
        at = _EPOCH + dt.timedelta(microseconds=int(found[1])) if found else None
    except OverflowError:
        at = None
    return (at, int(found[2]), min(int(found[3]), 2**63 - 1)) if found and at else _NEWEST


def list_events(customer_id: int, *, branch_ids: Iterable[int], before: Cursor) -> Events:
    """The events before a cursor, the newest first. Two statements; visits and money of ``branch_ids`` only."""
    at, rank, last_id = before
    rows = db.session.execute(
        _QUERY,
        {
            "id": customer_id,
            "ids": list(db.session.scalars(_IDS, {"id": customer_id})),
            "branch_ids": list(branch_ids),
            "at": at,
            "rank": rank,
            "last_id": last_id,
            "limit": PER_PAGE + 1,
        },
    )
    events = tuple(Event(*row) for row in rows)
    shown = events[:PER_PAGE]
    return Events(shown, shown[-1].cursor if len(events) > PER_PAGE else None)
