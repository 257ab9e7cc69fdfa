"""What a merge takes from one customer to the other, and what of it an undo takes back.

Every foreign key to ``customers`` is either in :data:`MOVES` or in :data:`STAYS`, which a test holds: who adds a table
decides here what a merge does to it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text

from spa_app.extensions import db

State = dict[str, str]  # a row's id → what it looked like when it was moved
Moved = dict[str, State]  # table.column → rows


@dataclass(frozen=True)
class Move:
    """How rows that name a customer go over to another.

    ``state`` says of row ``t`` what changes whenever the row does (a row that has changed since stays where it is when
    a merge is undone). ``also`` is set with the customer. Where ``unless`` holds the row stays: it would say of the
    survivor what they have already, or that they are their own relative.
    """

    table: str
    column: str
    state: str = "''"
    also: str = ""
    unless: str = "false"

    @property
    def name(self) -> str:
        """``table.column``."""
        return f"{self.table}.{self.column}"


def _link(mine: str, theirs: str) -> Move:
    return Move(
        "customer_links",
        mine,
        unless=f"t.{theirs} = :to OR EXISTS (SELECT FROM customer_links o WHERE (o.customer_id, o.relative_id)"
        f" IN ((:to, t.{theirs}), (t.{theirs}, :to)))",
    )


MOVES = (
    # Every change of a visit is audited, but for this one: so it is still unchanged after a second merge and its undo.
    Move(
        "bookings",
        "customer_id",
        state="(SELECT max(a.id) FROM audit_log a WHERE a.entity = 'booking' AND a.entity_id = t.id)",
        also=", version = t.version + 1",
    ),
    Move(
        "waitlist_entries",
        "customer_id",
        state="(SELECT max(a.id) FROM audit_log a WHERE a.entity = 'waitlist_entry' AND a.entity_id = t.id)",
        also=", version = t.version + 1",
    ),
    Move(
        "customer_treatments",
        "customer_id",
        state="(SELECT max(e.id) FROM treatment_entries e WHERE e.treatment_id = t.id)",
    ),
    Move("invoices", "customer_id", state="concat_ws(' ', t.status, t.paid_amount, t.credited_amount)"),
    Move(
        "gift_cards",
        "customer_id",
        state="(SELECT max(e.id) FROM gift_card_entries e WHERE e.gift_card_id = t.id)",
    ),
    Move(
        "treatment_shares",
        "customer_id",
        state="t.ended_by_id",
        unless="t.ended_by_id IS NULL AND EXISTS (SELECT FROM treatment_shares o WHERE o.treatment_id = t.treatment_id"
        " AND o.customer_id = :to AND o.ended_by_id IS NULL)",
    ),
    Move("promotion_uses", "customer_id", state="t.released_at"),
    Move("customer_files", "customer_id"),
    _link("customer_id", "relative_id"),
    _link("relative_id", "customer_id"),
    Move("customers", "merged_into_id"),
)
# What stays with the old id, and why.
STAYS = {
    "customer_merges.merged_id": "the record of the merge itself",
    "customer_merges.survivor_id": "the record of the merge itself",
    "customers.shares_phone_with_id": "goes with the phone, which the desk chooses (customers.take_over_phone)",
    "distinct_customers.first_id": "was said of the two as they were",
    "distinct_customers.second_id": "was said of the two as they were",
    "journal_lines.customer_id": "the ledger only grows: an entry of its own brings the store credit over",
    "record_accesses.customer_id": "a log only grows: it is read together with those who were merged into one",
}

# What stays together: a visit with the card that pays for it and the entry of the waitlist that it came from, an
# invoice with its visit and with the cards (gift cards, too) that it sold or refunds, a card with the one that its
# sessions came from.
_TIES = text(
    """
    SELECT 'bookings.customer_id', booking_id, 'customer_treatments.customer_id', treatment_id
    FROM booking_items WHERE booking_id = ANY(:bookings) AND treatment_id = ANY(:cards)
    UNION ALL
    SELECT 'bookings.customer_id', booking_id, 'invoices.customer_id', id
    FROM invoices WHERE booking_id = ANY(:bookings) AND id = ANY(:invoices)
    UNION ALL
    SELECT 'customer_treatments.customer_id', c.id, 'invoices.customer_id', l.invoice_id
    FROM customer_treatments c JOIN invoice_lines l ON l.id = c.invoice_line_id
    WHERE c.id = ANY(:cards) AND l.invoice_id = ANY(:invoices)
    UNION ALL
    SELECT 'gift_cards.customer_id', c.id, 'invoices.customer_id', l.invoice_id
    FROM gift_cards c JOIN invoice_lines l ON l.id = c.invoice_line_id
    WHERE c.id = ANY(:gift_cards) AND l.invoice_id = ANY(:invoices)
    UNION ALL
    SELECT 'bookings.customer_id', id, 'waitlist_entries.customer_id', waitlist_entry_id
    FROM bookings WHERE id = ANY(:bookings) AND waitlist_entry_id = ANY(:entries)
    UNION ALL
    SELECT 'customer_treatments.customer_id', treatment_id, 'invoices.customer_id', id
    FROM invoices WHERE treatment_id = ANY(:cards) AND id = ANY(:invoices)
    UNION ALL
    SELECT 'customer_treatments.customer_id', id, 'customer_treatments.customer_id', origin_id
    FROM customer_treatments WHERE id = ANY(:cards) AND origin_id = ANY(:cards)
    UNION ALL
    SELECT 'invoices.customer_id', id, 'invoices.customer_id', corrects_id
    FROM invoices WHERE id = ANY(:invoices) AND corrects_id = ANY(:invoices)
    UNION ALL
    SELECT 'invoices.customer_id', id, 'invoices.customer_id', replaces_id
    FROM invoices WHERE id = ANY(:invoices) AND replaces_id = ANY(:invoices)
    """
)
_LOCKS = (
    "SELECT id FROM bookings WHERE customer_id = :id ORDER BY id FOR UPDATE",
    "SELECT id FROM waitlist_entries WHERE customer_id = :id ORDER BY id FOR UPDATE",
    "SELECT id FROM customer_treatments WHERE customer_id = :id ORDER BY id FOR UPDATE",
    "SELECT id FROM invoices WHERE customer_id = :id ORDER BY id FOR UPDATE",
    "SELECT id FROM gift_cards WHERE customer_id = :id ORDER BY id FOR UPDATE",
)


def lock_rows_of(customer_id: int) -> None:
    """Lock a customer's visits, entries, cards, invoices and gift cards in everybody's order, before the customer."""
    for statement in _LOCKS:
        db.session.execute(text(statement), {"id": customer_id})


def move_rows(*, from_id: int, to_id: int) -> Moved:
    """Take everything over and return it. The caller holds both customers locked."""
    moved: Moved = {}
    for move in MOVES:
        rows = db.session.execute(
            text(
                f"UPDATE {move.table} t SET {move.column} = :to{move.also}"  # noqa: S608 - constants of ours
                f" WHERE t.{move.column} = :from AND NOT ({move.unless})"
                f" RETURNING t.id, CAST(({move.state}) AS text)"
            ),
            {"from": from_id, "to": to_id},
        )
        moved[move.name] = {str(row.id): row[1] or "" for row in rows}
    return moved


def move_back(moved: Moved, *, from_id: int, to_id: int) -> tuple[int, int]:
    """Take back what was moved and looks as it did then; returns how many rows went back, and how many stay.

    What belongs together goes or stays together. The caller holds both customers locked.
    """
    changed: set[tuple[str, int]] = set()
    for move in MOVES:
        now = {
            str(row.id): row[1] or ""
            for row in db.session.execute(
                text(
                    f"SELECT t.id, CAST(({move.state}) AS text) FROM {move.table} t"  # noqa: S608 - constants of ours
                    f" WHERE t.id = ANY(:ids) AND t.{move.column} = :from"
                ),
                {"ids": _ids(moved, move.name), "from": from_id},
            )
        }
        changed |= {(move.name, int(id_)) for id_, state in moved.get(move.name, {}).items() if now.get(id_) != state}
    staying = _with_all_tied_to(changed, moved)
    back = 0
    for move in MOVES:
        ids = [id_ for id_ in _ids(moved, move.name) if (move.name, id_) not in staying]
        db.session.execute(
            text(
                f"UPDATE {move.table} t SET {move.column} = :to{move.also}"  # noqa: S608 - constants of ours
                f" WHERE t.id = ANY(:ids)"
            ),
            {"ids": ids, "to": to_id},
        )
        back += len(ids)
    return back, len(staying)


def _with_all_tied_to(changed: set[tuple[str, int]], moved: Moved) -> set[tuple[str, int]]:
    ties: defaultdict[tuple[str, int], set[tuple[str, int]]] = defaultdict(set)
    rows: Iterable[tuple[str, int, str, int]] = (
        tuple(row)
        for row in db.session.execute(
            _TIES,
            {
                "bookings": _ids(moved, "bookings.customer_id"),
                "cards": _ids(moved, "customer_treatments.customer_id"),
                "invoices": _ids(moved, "invoices.customer_id"),
                "entries": _ids(moved, "waitlist_entries.customer_id"),
                "gift_cards": _ids(moved, "gift_cards.customer_id"),
            },
        )
    )
    for one_kind, one, other_kind, other in rows:
        ties[one_kind, one].add((other_kind, other))
        ties[other_kind, other].add((one_kind, one))
    staying, waiting = set(), list(changed)
    while waiting:
        thing = waiting.pop()
        if thing not in staying:
            staying.add(thing)
            waiting += ties[thing]
    return staying


def _ids(moved: Moved, name: str) -> list[int]:
    return [int(id_) for id_ in moved.get(name, {})]
