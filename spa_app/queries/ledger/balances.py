"""Sums of the ledger: the trial balance of a period, one account in it, and revenue as it came in."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Date, Select, cast, func, select

from spa_app.extensions import db
from spa_app.models import Account, JournalEntry, JournalLine
from spa_app.queries.ledger.chart import KINDS

MOST_DAYS = 62  # a longer period is shown by month


@dataclass(frozen=True)
class Balance:
    """An account, or several together, over a period. ``opening`` is debit positive; ``debit`` and ``credit`` are not
    negative.
    """

    opening: int = 0
    debit: int = 0
    credit: int = 0

    @property
    def closing(self) -> int:
        """The balance at the end of the period, debit positive."""
        return self.opening + self.debit - self.credit

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever posted."""
        return not (self.opening or self.debit or self.credit)


@dataclass(frozen=True)
class AccountBalance:
    """A line of the trial balance."""

    id: int
    code: str
    name: str
    kind: str
    balance: Balance


@dataclass(frozen=True)
class Totals:
    """The six columns of a trial balance, added up: balances by the side that they stand on."""

    opening_debit: int
    opening_credit: int
    debit: int
    credit: int
    closing_debit: int
    closing_credit: int

    @property
    def is_balanced(self) -> bool:
        """Whether each pair of columns is equal, as it must be."""
        return (self.opening_debit, self.debit, self.closing_debit) == (
            self.opening_credit,
            self.credit,
            self.closing_credit,
        )


@dataclass(frozen=True)
class TrialBalance:
    """Every account that anything was ever posted to, in the order of the chart."""

    rows: tuple[AccountBalance, ...]

    @property
    def groups(self) -> list[tuple[str, tuple[AccountBalance, ...], Totals]]:
        """The rows by kind, as (kind, rows, their totals); kinds without rows are left out."""
        by_kind = {kind: tuple(row for row in self.rows if row.kind == kind) for kind in KINDS}
        return [(kind, rows, add_up(rows)) for kind, rows in by_kind.items() if rows]

    @property
    def total(self) -> Totals:
        """All of them."""
        return add_up(self.rows)


@dataclass
class RevenuePart:
    """The revenue of a day, or of the month that begins ``on`` it, by the code of its account."""

    on: dt.date
    amounts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def amount(self) -> int:
        """All of it."""
        return sum(self.amounts.values())


@dataclass(frozen=True)
class Revenue:
    """Revenue of a period, without VAT. ``accounts`` are those that had any, as (id, code, name)."""

    parts: tuple[RevenuePart, ...]
    total: RevenuePart
    accounts: tuple[tuple[int, str, str], ...]
    is_by_month: bool


def add_up(rows: tuple[AccountBalance, ...]) -> Totals:
    """The columns of a trial balance over these rows."""
    balances = [row.balance for row in rows]
    return Totals(
        opening_debit=sum(max(one.opening, 0) for one in balances),
        opening_credit=sum(max(-one.opening, 0) for one in balances),
        debit=sum(one.debit for one in balances),
        credit=sum(one.credit for one in balances),
        closing_debit=sum(max(one.closing, 0) for one in balances),
        closing_credit=sum(max(-one.closing, 0) for one in balances),
    )


def get_trial_balance(branch_id: int, *, first: dt.date, last: dt.date) -> TrialBalance:
    """The trial balance of a branch. One statement, so that all of it is of one moment."""
    sums = _sums(branch_id, first, last).add_columns(JournalLine.account_id).group_by(JournalLine.account_id).subquery()
    rows = db.session.execute(
        select(Account.id, Account.code, Account.name, Account.kind, sums.c.opening, sums.c.debit, sums.c.credit)
        .join(sums, sums.c.account_id == Account.id)
        .order_by(Account.code)
    )
    return TrialBalance(
        tuple(
            AccountBalance(id_, code, name, kind, Balance(int(opening), int(debit), int(credit)))
            for id_, code, name, kind, opening, debit, credit in rows
        )
    )


def get_account_balance(branch_id: int, account_id: int, *, first: dt.date, last: dt.date, event: str = "") -> Balance:
    """One account over a period; of the entries for an ``event`` only, if one is given. One statement."""
    query = _sums(branch_id, first, last).where(JournalLine.account_id == account_id)
    if event:
        query = query.where(JournalEntry.event == event)
    return Balance(*(int(amount) for amount in db.session.execute(query).one()))


def get_revenue(branch_id: int, *, first: dt.date, last: dt.date) -> Revenue:
    """What the branch earned by day, or by month over more than :data:`MOST_DAYS`, and by account. One statement."""
    by_month = (last - first).days >= MOST_DAYS
    part = cast(func.date_trunc("month" if by_month else "day", JournalEntry.posted_on), Date).label("part")
    rows = db.session.execute(
        select(part, Account.id, Account.code, Account.name, -func.sum(JournalLine.amount))
        .select_from(JournalEntry)
        .join(JournalLine, JournalLine.entry_id == JournalEntry.id)
        .join(Account, Account.id == JournalLine.account_id)
        .where(
            JournalEntry.branch_id == branch_id,
            JournalEntry.posted_on.between(first, last),
            Account.kind == "revenue",
        )
        .group_by(part, Account.id)
        .order_by(Account.code)
    ).all()
    parts = {on: RevenuePart(on) for on in _days(first, last, by_month=by_month)}
    total = RevenuePart(first)
    for on, _, code, _, amount in rows:
        parts[on].amounts[code] = int(amount)
        total.amounts[code] += int(amount)
    accounts = tuple(dict.fromkeys((id_, code, name) for _, id_, code, name, _ in rows))
    return Revenue(tuple(parts.values()), total, accounts, by_month)


def month_starts(first: dt.date, last: dt.date) -> list[dt.date]:
    """The first day of each month that has a day in the period."""
    return _days(first, last, by_month=True)


def _days(first: dt.date, last: dt.date, *, by_month: bool) -> list[dt.date]:
    days = (first + dt.timedelta(days=number) for number in range((last - first).days + 1))
    return list(dict.fromkeys(day.replace(day=1) if by_month else day for day in days))


def _sums(branch_id: int, first: dt.date, last: dt.date) -> Select[Any]:
    """Opening balance, debits and credits of the branch's lines; conditions and groups are still to be added."""
    amount, within = JournalLine.amount, JournalEntry.posted_on >= first
    sums: Any = select(
        func.coalesce(func.sum(amount).filter(JournalEntry.posted_on < first), 0).label("opening"),
        func.coalesce(func.sum(amount).filter(within, amount > 0), 0).label("debit"),
        func.coalesce(-func.sum(amount).filter(within, amount < 0), 0).label("credit"),
    )
    query: Select[Any] = (
        sums.select_from(JournalEntry)
        .join(JournalLine, JournalLine.entry_id == JournalEntry.id)
        .where(JournalEntry.branch_id == branch_id, JournalEntry.posted_on <= last)
    )
    return query
