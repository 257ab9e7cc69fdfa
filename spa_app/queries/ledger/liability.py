"""What prepaid sessions are owed for: how the debt came about, month by month and package by package.

A card belongs to the branch that sold it, wherever its sessions are used; so does the debt here. Every figure is read
from the ledger (account 2110, whose lines name their card) and held against the cards themselves.
"""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Date, Select, and_, case, cast, func, literal, select

from spa_app.extensions import db
from spa_app.models import Customer, CustomerTreatment, JournalEntry, JournalLine, Plan, Service
from spa_app.queries.exports.stream import snapshot
from spa_app.queries.ledger.balances import month_starts

PER_PAGE = 100
_DEFERRED_REVENUE = 2110
# What became of the debt, by what was posted; what is not here is an import or a correction.
_MOVES = {
    "sold": ("plan_sold", "sale_invoiced", "invoice_voided"),
    "recognised": ("session_recognised", "session_returned"),
    "refunded": ("card_refunded", "refund_withdrawn", "invoice_refunded", "invoice_credited"),
    "expired": ("sessions_expired", "sessions_reactivated"),
}
MOVES = ("sold", "recognised", "refunded", "expired", "transferred_in", "transferred_out", "other")

Lot = tuple[int | None, int | None]  # a package, and the service of the card; None: imported, or any service


@dataclass
class Roll:
    """A debt and what changed it: each of :data:`MOVES` raises it above zero and lowers it below."""

    opening: int = 0
    moves: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOVES, 0))

    @property
    def closing(self) -> int:
        """What is owed at the end."""
        return self.opening + sum(self.moves.values())

    @property
    def is_empty(self) -> bool:
        """Whether nothing was owed and nothing happened."""
        return not self.opening and not any(self.moves.values())


@dataclass(frozen=True)
class Month:
    """A month, or the part of it within the period, beginning with its first day."""

    on: dt.date
    roll: Roll


@dataclass(frozen=True)
class LotRow:
    """A package and service over the period. ``since`` is what was posted after it, ``on_cards`` what its cards say."""

    lot: Lot
    plan: str | None
    service: str | None
    roll: Roll
    since: int
    on_cards: int

    @property
    def difference(self) -> int:
        """The ledger less the cards; anything but zero is a fault."""
        return self.roll.closing + self.since - self.on_cards


@dataclass(frozen=True)
class Liability:
    """The roll-forward of a branch; every part adds up to ``total``.

    ``elsewhere`` is what was posted in other branches of the period's changes: there the sessions were used.
    """

    months: tuple[Month, ...]
    lots: tuple[LotRow, ...]
    total: Roll
    since: int
    on_cards: int
    elsewhere: int

    @property
    def ledger_now(self) -> int:
        """What the ledger says is owed now."""
        return self.total.closing + self.since

    @property
    def difference(self) -> int:
        """The ledger less the cards; anything but zero is a fault."""
        return self.ledger_now - self.on_cards

    @property
    def is_proved(self) -> bool:
        """Whether ledger and cards agree, altogether and for each package."""
        return not self.difference and not any(row.difference for row in self.lots)


@dataclass(frozen=True)
class CardRow:
    """A card over the period; ``on_card`` is what it says itself now."""

    card_id: int
    customer_id: int
    customer: str
    plan: str | None
    service: str | None
    roll: Roll
    since: int
    on_card: int

    @property
    def difference(self) -> int:
        """The ledger less the card; anything but zero is a fault."""
        return self.roll.closing + self.since - self.on_card


def get_liability(branch_id: int, *, first: dt.date, last: dt.date, lot: Lot | None = None) -> Liability:
    """The roll-forward of a branch's cards, or of one package and service.

    What is owed now is summed up from the ledger, and what changed since ``first`` taken off gives the opening debt: so
    only the period is read entry by entry. Five statements, those of the ledger and the cards on one snapshot.
    """
    with snapshot() as connection:
        ledger = _by_lot(connection, _ledger_now(branch_id), lot)
        changes = connection.execute(_moves(branch_id, first, last)).all()
        cards = _by_lot(connection, _cards_now(branch_id), lot)
    rolls: dict[Lot, Roll] = defaultdict(Roll)
    months = {on: Month(on, Roll()) for on in month_starts(first, last)}
    since: dict[Lot, int] = defaultdict(int)
    total, elsewhere = Roll(), 0
    for on, is_here, plan_id, service_id, move, amount in changes:
        one, value = (plan_id, service_id), int(amount)
        if lot is not None and one != lot:
            continue
        if on > last:
            since[one] += value
            continue
        rolls[one].moves[move] += value
        total.moves[move] += value
        months[on].roll.moves[move] += value
        elsewhere += 0 if is_here else value
    for one, owed in ledger.items():
        rolls[one].opening = owed - since[one] - rolls[one].closing
        total.opening += rolls[one].opening
    opening = total.opening
    for month in months.values():
        month.roll.opening = opening
        opening = month.roll.closing
    names = {
        kind: {row.id: row.name for row in db.session.execute(select(kind.id, kind.name))} for kind in (Plan, Service)
    }
    lots = [
        LotRow(
            one,
            names[Plan].get(one[0]),
            names[Service].get(one[1]),
            rolls[one],
            since[one],
            cards.get(one, 0),
        )
        for one in {*rolls, *cards}
    ]
    lots.sort(key=lambda row: (-row.roll.closing, row.plan or "", row.service or ""))
    return Liability(
        tuple(months.values()),
        tuple(row for row in lots if not row.roll.is_empty or row.since or row.difference),
        total,
        sum(since.values()),
        sum(cards.values()),
        elsewhere,
    )


def list_cards(
    branch_id: int,
    *,
    first: dt.date,
    last: dt.date,
    lot: Lot | None = None,
    move: str = "",
    after: int = 0,
    per_page: int | None = PER_PAGE,
) -> list[CardRow]:
    """The cards behind the roll-forward by number, from behind ``after``: those with a debt or change in the period.

    Of one package and service, or only those that one of :data:`MOVES` changed, if told so. One more than a page, so
    that the caller sees whether there is another. One statement.
    """
    sums = {
        "opening": _sum_where(JournalEntry.posted_on < first),
        "since": _sum_where(JournalEntry.posted_on > last),
        **{one: _sum_where(and_(JournalEntry.posted_on.between(first, last), _move() == one)) for one in MOVES},
    }
    shown = sums[move] if move in MOVES else None
    within = [sums[name] != 0 for name in sums if name != "since"]
    something = within[0]
    for condition in within[1:]:
        something = something | condition
    query = (
        _lines()
        .join(Customer, Customer.id == CustomerTreatment.customer_id)
        .outerjoin(Plan, Plan.id == CustomerTreatment.plan_id)
        .outerjoin(Service, Service.id == CustomerTreatment.service_id)
        .add_columns(
            CustomerTreatment.id.label("card_id"),
            Customer.id.label("customer_id"),
            Customer.full_name.label("customer"),
            Plan.name.label("plan"),
            Service.name.label("service"),
            _owed().label("owed"),
            *(amount.label(name) for name, amount in sums.items()),
        )
        .where(CustomerTreatment.branch_id == branch_id, CustomerTreatment.id > after, *_of_lot(lot))
        .group_by(CustomerTreatment.id, Customer.id, Plan.id, Service.id)
        .having(something if shown is None else shown != 0)
        .order_by(CustomerTreatment.id)
    )
    if per_page:
        query = query.limit(per_page + 1)
    return [
        CardRow(
            row.card_id,
            row.customer_id,
            row.customer,
            row.plan,
            row.service,
            Roll(int(row.opening), {one: int(row._mapping[one]) for one in MOVES}),
            int(row.since),
            row.owed,
        )
        for row in db.session.execute(query)
    ]


def _moves(branch_id: int, first: dt.date, last: dt.date) -> Select[Any]:
    """Changes of the branch's cards since ``first`` by month, by whether they were posted here, by lot and by kind.

    What was posted after the period has the day after it in place of the month.
    """
    when = case(
        (JournalEntry.posted_on > last, literal(last + dt.timedelta(days=1))),
        else_=cast(func.date_trunc("month", JournalEntry.posted_on), Date),
    ).label("on")
    here = (JournalEntry.branch_id == branch_id).label("here")
    columns = (when, here, CustomerTreatment.plan_id, CustomerTreatment.service_id, _move().label("move"))
    return (
        _lines()
        .where(CustomerTreatment.branch_id == branch_id, JournalEntry.posted_on >= first)
        .add_columns(*columns, -func.sum(JournalLine.amount))
        .group_by(*columns)
    )


def _lines() -> Select[Any]:
    return (
        select()
        .select_from(JournalLine)
        .join(JournalEntry, JournalEntry.id == JournalLine.entry_id)
        .join(CustomerTreatment, CustomerTreatment.id == JournalLine.treatment_id)
        .where(JournalLine.account_id == _DEFERRED_REVENUE)
    )


def _move() -> ColumnElement[str]:
    return case(
        *((JournalEntry.event.in_(events), literal(move)) for move, events in _MOVES.items()),
        (and_(JournalEntry.event == "sessions_transferred", JournalLine.amount < 0), literal("transferred_in")),
        (JournalEntry.event == "sessions_transferred", literal("transferred_out")),
        else_=literal("other"),
    )


def _sum_where(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.coalesce(-func.sum(JournalLine.amount).filter(condition), 0)


def _of_lot(lot: Lot | None) -> list[ColumnElement[bool]]:
    if lot is None:
        return []
    return [
        CustomerTreatment.plan_id.is_not_distinct_from(lot[0]),
        CustomerTreatment.service_id.is_not_distinct_from(lot[1]),
    ]


def _owed() -> ColumnElement[int]:
    return CustomerTreatment.deferred_amount - CustomerTreatment.recognised_amount - CustomerTreatment.expired_amount


def _ledger_now(branch_id: int) -> Select[Any]:
    lines = select().select_from(JournalLine).join(CustomerTreatment, CustomerTreatment.id == JournalLine.treatment_id)
    return _per_lot(lines.where(JournalLine.account_id == _DEFERRED_REVENUE), branch_id, -func.sum(JournalLine.amount))


def _cards_now(branch_id: int) -> Select[Any]:
    return _per_lot(select().select_from(CustomerTreatment), branch_id, func.sum(_owed()))


def _per_lot(query: Select[Any], branch_id: int, amount: ColumnElement[Any]) -> Select[Any]:
    lot = (CustomerTreatment.plan_id, CustomerTreatment.service_id)
    return query.where(CustomerTreatment.branch_id == branch_id).add_columns(*lot, amount).group_by(*lot)


def _by_lot(connection: Connection, query: Select[Any], lot: Lot | None) -> dict[Lot, int]:
    return {
        (plan_id, service_id): int(amount)
        for plan_id, service_id, amount in connection.execute(query)
        if lot is None or (plan_id, service_id) == lot
    }
