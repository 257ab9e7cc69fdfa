"""Customers who may be one and the same person, and what tells them apart."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select, text

from spa_app.extensions import db
from spa_app.models import CustomerMerge

PER_PAGE = 25
MOST_COMPARED = 100_000  # the newest customers; an older one's likely pairs stand on their own page
MOST_PAIRS = 1_000  # more are not counted: who has as many begins with the first ones anyhow

# Each line: the reason, and what two customers have in common who are held to be alike for it. Equal keys, never a
# comparison of all with all, so that it stays fast with many namesakes. A number that lost or gained a zero is the same
# without its zeros; one with a mistyped digit is the same in its beginning or at its end.
_ALIKE = (
    ("name_phone", "a.name = b.name AND a.phone = b.phone"),
    ("name_birthday", "a.name = b.name AND a.birth_date = b.birth_date"),
    ("zero", "a.no_zeros = b.no_zeros AND length(a.phone) <> length(b.phone)"),
    ("name_zero", "a.name = b.name AND a.no_zeros = b.no_zeros AND a.phone <> b.phone"),
    ("name_digit", "a.name = b.name AND a.beginning = b.beginning AND a.phone <> b.phone"),
    ("name_digit", "a.name = b.name AND a.ending = b.ending AND a.phone <> b.phone"),
)
_WHO = """
    SELECT id, rtrim(left(search_text, length(search_text) - length(coalesce(phone, '')))) AS name, phone, birth_date,
           CASE WHEN length(replace(phone, '0', '')) > 6 THEN replace(phone, '0', '') END AS no_zeros,
           left(phone, length(phone) - 3) AS beginning, right(phone, 6) AS ending
    FROM customers WHERE merged_into_id IS NULL AND anonymised_at IS NULL
"""
_NOT_DISTINCT = (
    "NOT EXISTS (SELECT FROM distinct_customers d WHERE (d.first_id, d.second_id) = (p.first_id, p.second_id))"
)

_PAIRS = " UNION ALL ".join(
    f"SELECT least(a.id, b.id) AS first_id, greatest(a.id, b.id) AS second_id, {rank} AS rank, '{reason}' AS reason"  # noqa: S608 - constants of ours
    f" FROM one a JOIN who b ON {condition} WHERE a.id {{compared}} b.id"
    for rank, (reason, condition) in enumerate(_ALIKE)
)
_BEST = f"""
    SELECT DISTINCT ON (first_id, second_id) first_id, second_id, rank, reason
    FROM pair p WHERE {_NOT_DISTINCT} ORDER BY first_id, second_id, rank
"""  # noqa: S608
# All in groups of equal keys, each one pass over the table: to join it with itself would take many times as long.
_GROUPS = " UNION ALL ".join(
    f"SELECT {rank} AS rank, '{reason}' AS reason, array_agg(id) AS ids FROM who"  # noqa: S608 - constants of ours
    f" WHERE {keys[-1]} IS NOT NULL GROUP BY {', '.join(keys)}"
    f" HAVING count(*) > 1 AND ({len(keys)} > 1 OR min(length(phone)) < max(length(phone)))"
    for rank, (reason, keys) in enumerate(
        (
            ("name_phone", ("name", "phone")),
            ("name_birthday", ("name", "birth_date")),
            ("zero", ("no_zeros",)),
            ("name_zero", ("name", "no_zeros")),
            ("name_digit", ("name", "beginning")),
            ("name_digit", ("name", "ending")),
        )
    )
)
_LIST = text(
    f"""
    WITH who AS MATERIALIZED ({_WHO} ORDER BY id DESC LIMIT :most_compared), alike AS ({_GROUPS}),
    pair AS (
        SELECT a.id AS first_id, b.id AS second_id, g.rank, g.reason
        FROM alike g CROSS JOIN unnest(g.ids) a (id) CROSS JOIN unnest(g.ids) b (id) WHERE a.id < b.id
    ), best AS (
        SELECT DISTINCT ON (first_id, second_id) p.*
        FROM pair p JOIN customers a ON a.id = first_id JOIN customers b ON b.id = second_id
        WHERE {_NOT_DISTINCT} AND (p.reason <> 'zero' OR length(a.phone) <> length(b.phone))
        ORDER BY first_id, second_id, rank LIMIT :most
    )
    SELECT p.first_id, p.second_id, p.reason, a.full_name, a.phone, a.birth_date, b.full_name, b.phone, b.birth_date,
           count(*) OVER () AS total
    FROM best p JOIN customers a ON a.id = p.first_id JOIN customers b ON b.id = p.second_id
    ORDER BY p.rank, p.second_id DESC, p.first_id
    LIMIT :limit OFFSET :offset
    """  # noqa: S608
)
# For one customer only those are compared who have the name, or the number without its zeros, by their indexes.
_OF_ONE = text(
    f"""
    WITH one AS MATERIALIZED ({_WHO} AND id = :id),
    who AS MATERIALIZED (
        {_WHO} AND search_text ~>=~ (SELECT name || ' ' FROM one) AND search_text ~<~ (SELECT name || '!' FROM one)
        UNION
        {_WHO} AND replace(phone, '0', '') = (SELECT no_zeros FROM one)
    ), pair AS ({_PAIRS.format(compared="<>")}), best AS ({_BEST})
    SELECT p.first_id, p.second_id, p.reason, o.id, o.full_name, o.phone, o.birth_date
    FROM best p JOIN customers o ON o.id = CASE p.first_id WHEN :id THEN p.second_id ELSE p.first_id END
    ORDER BY p.rank, o.id LIMIT :limit
    """  # noqa: S608
)
_SIDES = text(
    """
    SELECT c.id, c.full_name, c.phone, c.email, c.birth_date, c.allergies, c.medical_note, c.note, c.tags,
           c.preferred_staff_id, s.full_name AS preferred_staff, c.credit_amount, c.created_at, c.merged_into_id,
           c.anonymised_at IS NOT NULL AS is_anonymised,
           (SELECT count(*) FROM bookings b WHERE b.customer_id = c.id) AS visits,
           (SELECT max(starts_at) FROM bookings b WHERE b.customer_id = c.id) AS last_visit_at,
           (SELECT count(*) FROM customer_treatments t WHERE t.customer_id = c.id) AS cards,
           (SELECT count(*) FROM invoices i WHERE i.customer_id = c.id) AS invoices
    FROM customers c LEFT JOIN staff s ON s.id = c.preferred_staff_id WHERE c.id IN (:one_id, :other_id)
    """
)


@dataclass(frozen=True)
class Person:
    """As much of a customer as it takes to tell two apart in a list."""

    id: int
    full_name: str
    phone: str | None
    birth_date: dt.date | None


@dataclass(frozen=True)
class Pair:
    """Two customers who look alike, the older first, and why: a key of ``web.customers.duplicates.REASONS``."""

    one: Person
    other: Person
    reason: str


@dataclass(frozen=True)
class PairList:
    """A page of pairs, the likeliest first; ``total`` counts at most :data:`MOST_PAIRS`."""

    pairs: tuple[Pair, ...]
    total: int
    pages: int


@dataclass(frozen=True)
class Suspect:
    """Who may be the same person as the customer that is looked at."""

    person: Person
    reason: str


def list_duplicates(page: int = 1) -> PairList:
    """Likely pairs among the :data:`MOST_COMPARED` newest customers, without those told apart. One statement."""
    rows = db.session.execute(
        _LIST, {"most_compared": MOST_COMPARED, "most": MOST_PAIRS, "limit": PER_PAGE, "offset": (page - 1) * PER_PAGE}
    ).all()
    pairs = tuple(Pair(Person(row[0], *row[3:6]), Person(row[1], *row[6:9]), reason=row[2]) for row in rows)
    total = rows[0].total if rows else 0
    return PairList(pairs, total, max(1, -(-total // PER_PAGE)))


def list_suspects(customer_id: int, limit: int = 5) -> list[Suspect]:
    """Who may be the same person as this customer, the likeliest first. One statement."""
    rows = db.session.execute(_OF_ONE, {"id": customer_id, "limit": limit})
    return [Suspect(Person(*row[3:7]), reason=row[2]) for row in rows]


@dataclass(frozen=True)
class Side:
    """One of two customers who are to be merged: what is known of them, and how much hangs on them."""

    id: int
    full_name: str
    phone: str | None
    email: str | None
    birth_date: dt.date | None
    allergies: str
    medical_note: str
    note: str
    tags: tuple[str, ...]
    preferred_staff_id: int | None
    preferred_staff: str | None
    credit_amount: int
    created_at: dt.datetime
    merged_into_id: int | None
    is_anonymised: bool
    visits: int
    last_visit_at: dt.datetime | None
    cards: int
    invoices: int


def get_sides(one_id: int, other_id: int) -> tuple[Side, Side] | None:
    """Two customers side by side, or ``None`` where one is not there. One statement."""
    sides = {
        row.id: Side(**{**row._mapping, "tags": tuple(row.tags)})
        for row in db.session.execute(_SIDES, {"one_id": one_id, "other_id": other_id})
    }
    return (sides[one_id], sides[other_id]) if len(sides) == 2 else None


def get_merge(merge_id: int) -> int | None:
    """The survivor of a merge."""
    return db.session.scalar(select(CustomerMerge.survivor_id).where(CustomerMerge.id == merge_id))
