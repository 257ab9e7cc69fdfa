"""The session history of a card: rows that are only ever added, and the counters that cache it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import TextClause, text

from spa_app import clock
from spa_app.errors import N_, ConflictError
from spa_app.extensions import db
from spa_app.models import Branch, CustomerTreatment, TreatmentEntry, derive_status
from spa_app.money import session_value
from spa_app.services.actor import Actor
from spa_app.services.ledger import Account, Posting
from spa_app.services.treatments.ways_out import OTHER_CARD, PAY_VISIT, sell_plan_way

# Plain SQL where every punch passes; one round trip however many entries there are.
_INSERT_ENTRIES = text(
    """
    INSERT INTO treatment_entries (treatment_id, kind, sessions, value_amount, booking_item_id, actor_id, reason)
    SELECT entry.treatment_id, entry.kind, entry.sessions, entry.amount, CAST(:item_id AS bigint),
           CAST(:actor_id AS bigint), CAST(:reason AS text)
    FROM unnest(CAST(:treatment_ids AS bigint[]), CAST(:kinds AS text[]), CAST(:sessions AS smallint[]),
                CAST(:amounts AS bigint[]))
        WITH ORDINALITY AS entry (treatment_id, kind, sessions, amount, position)
    ORDER BY entry.position
    RETURNING id
    """
)
# The same for one booking item, closing the hold that stands for it; no rows, and nothing done, where none does.
_INSERT_AND_CLOSE_HOLD = text(
    """
    WITH hold AS (
        SELECT id FROM treatment_entries
        WHERE booking_item_id = CAST(:item_id AS bigint) AND kind = 'hold' AND closed_by_id IS NULL
    ), added AS (
        INSERT INTO treatment_entries (treatment_id, kind, sessions, value_amount, booking_item_id, actor_id, reason)
        SELECT entry.treatment_id, entry.kind, entry.sessions, entry.amount, CAST(:item_id AS bigint),
               CAST(:actor_id AS bigint), CAST(:reason AS text)
        FROM hold CROSS JOIN unnest(CAST(:treatment_ids AS bigint[]), CAST(:kinds AS text[]),
                                    CAST(:sessions AS smallint[]), CAST(:amounts AS bigint[]))
            WITH ORDINALITY AS entry (treatment_id, kind, sessions, amount, position)
        ORDER BY entry.position
        RETURNING id, kind
    ), closed AS (
        UPDATE treatment_entries SET closed_by_id = (SELECT id FROM added WHERE kind = 'release')
        WHERE id = (SELECT id FROM hold)
    )
    SELECT id FROM added
    """
)
_CLOSE_ENTRY = text("UPDATE treatment_entries SET closed_by_id = :closed_by_id WHERE id = :id")


_INSERT_OPERATION = TreatmentEntry.__table__.insert().returning(TreatmentEntry.id)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Entry:
    """A row to be: see :class:`TreatmentEntry`."""

    kind: str
    sessions: int
    value_amount: int = 0
    days: int | None = None
    counterpart_id: int | None = None


def append_entries(
    card: CustomerTreatment,
    entries: list[Entry],
    *,
    actor: Actor,
    item_id: int | None = None,
    reason: str = "",
    closes_hold: bool = False,
) -> list[int]:
    """Write history rows and bring the counters along. Returns the rows' ids, in order.

    ``closes_hold``: a release among the rows closes the item's hold; :class:`ConflictError` where there is none.
    """
    insert = _INSERT_AND_CLOSE_HOLD if closes_hold else _INSERT_ENTRIES
    ids = insert_entries(
        [card.id] * len(entries), entries, item_id=item_id, actor=actor, reason=reason, statement=insert
    )
    if not ids:
        raise ConflictError(
            "no_hold",
            N_("No session is reserved for this visit any more."),
            ways_out=(OTHER_CARD, PAY_VISIT, sell_plan_way(card.customer_id)),
        )
    _count(card, entries)
    return ids


def append_operation(card: CustomerTreatment, entry: Entry, *, actor: Actor, reason: str) -> int:
    """Write the row of what a desk does to the card itself, bring its counters along, and return the row's id."""
    row = {
        "treatment_id": card.id,
        "kind": entry.kind,
        "sessions": entry.sessions,
        "value_amount": entry.value_amount,
        "days": entry.days,
        "counterpart_id": entry.counterpart_id,
        "actor_id": actor.user_id,
        "reason": reason,
    }
    entry_id: int = db.session.execute(_INSERT_OPERATION, row).scalar_one()
    _count(card, [entry])
    return entry_id


def _count(card: CustomerTreatment, entries: Sequence[Entry]) -> None:
    for entry in entries:
        match entry.kind:
            case "hold" | "release":
                card.held_sessions -= entry.sessions
            case "punch" | "unpunch" | "forfeit":
                card.used_sessions -= entry.sessions
                card.recognised_amount += entry.value_amount
            case "reactivate":
                card.expired_sessions -= entry.sessions
                card.expired_amount += entry.value_amount
            case "adjust":
                card.total_sessions += entry.sessions
            case "refund" | "transfer_in" | "transfer_out":
                card.total_sessions += entry.sessions
                card.deferred_amount -= entry.value_amount
    branch = db.session.get_one(Branch, card.branch_id)
    card.status = derive_status(card, clock.today(branch.timezone))
    db.session.flush()


def insert_entries(
    treatment_ids: Sequence[int],
    entries: Sequence[Entry],
    *,
    item_id: int | None,
    actor: Actor,
    reason: str,
    statement: TextClause = _INSERT_ENTRIES,
) -> list[int]:
    """Write rows of one or many cards, without their counters, and return the rows' ids in order."""
    rows = db.session.execute(
        statement,
        {
            "treatment_ids": list(treatment_ids),
            "kinds": [entry.kind for entry in entries],
            "sessions": [entry.sessions for entry in entries],
            "amounts": [entry.value_amount for entry in entries],
            "item_id": item_id,
            "actor_id": actor.user_id,
            "reason": reason,
        },
    )
    # Rows come back in the order in which they went in, which is that of their ids.
    return sorted(rows.scalars())


def close_entry(entry_id: int, closed_by_id: int) -> None:
    """Note which entry undid this one: possible once."""
    db.session.execute(_CLOSE_ENTRY, {"id": entry_id, "closed_by_id": closed_by_id})


def worth(card: CustomerTreatment, sessions: int) -> int:
    """What so many of the sessions that are left are worth, in minor units without VAT (:func:`session_value`)."""
    return session_value(
        whole=card.deferred_amount,
        spent=card.recognised_amount + card.expired_amount,
        total_sessions=card.total_sessions,
        sessions_gone=card.used_sessions + card.expired_sessions,
        sessions=sessions,
    )


def recognition(card: CustomerTreatment, amount: int, revenue: Account) -> list[Posting]:
    """What is no longer owed on the card becomes revenue; the other way round for a negative amount."""
    return [Posting(Account.DEFERRED_REVENUE, amount, treatment_id=card.id), Posting(revenue, -amount)]
