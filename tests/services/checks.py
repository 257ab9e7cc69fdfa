"""What several tests of services look at: refusals that leave nothing behind, and short views of the tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from spa_app.errors import ConflictError, DomainError
from spa_app.extensions import db
from spa_app.services.transaction import atomic
from tests.books import assert_books_balance


def rows(query: str, **values: Any) -> list[tuple]:
    """The committed rows that a query finds."""
    db.session.rollback()
    return [tuple(row) for row in db.session.execute(text(query), values)]


def execute(statement: str, **values: Any) -> None:
    """Change stored rows behind the services' back."""
    with atomic() as session:
        session.execute(text(statement), values)


def snapshot() -> dict[str, str]:
    """A digest of every table's content."""
    tables = [name for (name,) in rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    return dict(
        rows(
            " UNION ALL ".join(
                f"SELECT '{table}', md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t" for table in tables
            )
        )
    )


@contextmanager
def refused(
    code: str, kind: type[DomainError] = ConflictError, field: str | None = None, ways_out: tuple[str, ...] = ()
) -> Iterator[Any]:
    """The block must be refused in just this way, and nothing at all may have been stored by it."""
    before = snapshot()
    with pytest.raises(DomainError) as caught:
        yield caught
    error = caught.value
    assert (error.code, error.field) == (code, field)
    assert isinstance(error, kind)
    assert tuple(way.action for way in error.ways_out) == ways_out
    assert str(error)
    assert snapshot() == before


def entries(treatment_id: int) -> list[tuple]:
    """A card's history: kind, sessions, value, and whether it was closed by a later entry."""
    return rows(
        "SELECT kind, sessions, value_amount, closed_by_id IS NOT NULL FROM treatment_entries"
        " WHERE treatment_id = :id ORDER BY id",
        id=treatment_id,
    )


def counters(treatment_id: int) -> tuple:
    """A card's total, used, held and expired sessions, and its status."""
    return rows(
        "SELECT total_sessions, used_sessions, held_sessions, expired_sessions, status FROM customer_treatments"
        " WHERE id = :id",
        id=treatment_id,
    )[0]


def balances() -> dict[int, int]:
    """Each account that moved, with its balance; debit is positive."""
    assert_books_balance()
    return dict(rows("SELECT account_id, sum(amount)::bigint FROM journal_lines GROUP BY 1 ORDER BY 1"))


def audited(entity: str = "booking") -> list[str]:
    """The actions in the audit log, in order."""
    return [
        action for (action,) in rows("SELECT action FROM audit_log WHERE entity = :entity ORDER BY id", entity=entity)
    ]


def invoice_of(booking_id: int) -> int:
    """The newest invoice of a visit."""
    return rows("SELECT max(id) FROM invoices WHERE booking_id = :id AND kind = 'invoice'", id=booking_id)[0][0]


def status_of(booking_id: int) -> str:
    """The stored status of a visit."""
    return rows("SELECT status FROM bookings WHERE id = :id", id=booking_id)[0][0]
