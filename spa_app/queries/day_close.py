"""The Z-reports of closed days: each is kept as it stood when the day was closed."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from spa_app.extensions import db
from spa_app.models import Branch, DayClose, JournalEntry, User
from spa_app.queries.day_facts import ZFacts


@dataclass(frozen=True)
class BranchHead:
    """The head of the report."""

    id: int
    code: str
    name: str
    address: str
    phone: str | None


@dataclass(frozen=True)
class Change:
    """A figure that is another one than in the report that this one replaces. ``what`` is a msgid or a method."""

    section: str
    what: str
    before: int
    after: int


@dataclass(frozen=True)
class ZReport:
    """A day that was closed. ``replaces`` is the number of the report of the same day before it was reopened."""

    id: int
    branch: BranchHead
    closed_on: dt.date
    z_number: int
    closed_at: dt.datetime
    closed_by: str | None
    facts: ZFacts
    reopened_at: dt.datetime | None
    reopened_by: str | None
    reopen_reason: str
    replaces: tuple[int, int] | None  # id, number
    changes: tuple[Change, ...]
    is_last: bool


@dataclass(frozen=True)
class CloseRow:
    """A closed day in a list; ``taken_amount`` is the money that came in."""

    id: int
    closed_on: dt.date
    z_number: int
    closed_at: dt.datetime
    closed_by: str | None
    reopened_at: dt.datetime | None
    taken_amount: int


def find_report(branch_id: int, closed_on: dt.date, *, live_only: bool = True) -> int | None:
    """The id of the report of a day of the branch that counts, if it is closed by one."""
    query = select(DayClose.id).where(DayClose.branch_id == branch_id, DayClose.closed_on == closed_on)
    if live_only:
        query = query.where(DayClose.reopened_at.is_(None))
    return db.session.scalar(query.order_by(DayClose.z_number.desc()).limit(1))


def find_report_branch(report_id: int, *, branch_ids: Collection[int]) -> int | None:
    """The branch of a report, if it is one of these."""
    return db.session.scalar(
        select(DayClose.branch_id).where(DayClose.id == report_id, DayClose.branch_id.in_(branch_ids))
    )


def get_report(report_id: int) -> ZReport:
    """A report that is there (:func:`find_report_branch`). Three statements."""
    closer, opener = aliased(User), aliased(User)
    close, branch, closed_by, reopened_by = db.session.execute(
        select(DayClose, Branch, closer.full_name, opener.full_name)
        .join(Branch, Branch.id == DayClose.branch_id)
        .outerjoin(closer, closer.id == DayClose.closed_by_id)
        .outerjoin(opener, opener.id == DayClose.reopened_by_id)
        .where(DayClose.id == report_id)
        .execution_options(populate_existing=True)
    ).one()
    before = db.session.execute(
        select(DayClose)
        .where(
            DayClose.branch_id == close.branch_id,
            DayClose.closed_on == close.closed_on,
            DayClose.z_number < close.z_number,
        )
        .order_by(DayClose.z_number.desc())
        .limit(1)
    ).scalar()
    last = db.session.scalar(
        select(func.max(DayClose.closed_on)).where(
            DayClose.branch_id == close.branch_id, DayClose.reopened_at.is_(None)
        )
    )
    facts = ZFacts.of_json(close.totals)
    return ZReport(
        id=close.id,
        branch=BranchHead(branch.id, branch.code, branch.name, branch.address, branch.phone),
        closed_on=close.closed_on,
        z_number=close.z_number,
        closed_at=close.closed_at,
        closed_by=closed_by,
        facts=facts,
        reopened_at=close.reopened_at,
        reopened_by=reopened_by,
        reopen_reason=close.reopen_reason,
        replaces=(before.id, before.z_number) if before else None,
        changes=tuple(_changes(ZFacts.of_json(before.totals), facts)) if before else (),
        is_last=close.reopened_at is None and close.closed_on == last,
    )


def list_closes(branch_id: int, *, limit: int = 14) -> list[CloseRow]:
    """The days that were closed last, the latest first. One statement."""
    rows = db.session.execute(
        select(DayClose, User.full_name)
        .outerjoin(User, User.id == DayClose.closed_by_id)
        .where(DayClose.branch_id == branch_id)
        .order_by(DayClose.z_number.desc())
        .limit(limit)
    )
    return [
        CloseRow(
            id=close.id,
            closed_on=close.closed_on,
            z_number=close.z_number,
            closed_at=close.closed_at,
            closed_by=name,
            reopened_at=close.reopened_at,
            taken_amount=ZFacts.of_json(close.totals).taken_amount,
        )
        for close, name in rows
    ]


def find_day_left_open(branch_id: int, *, after: dt.date, before: dt.date) -> dt.date | None:
    """The first day between these on which anybody posted anything. The night's work asks for no report."""
    return db.session.scalar(
        select(func.min(JournalEntry.posted_on)).where(
            JournalEntry.branch_id == branch_id,
            JournalEntry.posted_on > after,
            JournalEntry.posted_on < before,
            JournalEntry.actor_id.is_not(None),
        )
    )


def _changes(before: ZFacts, after: ZFacts) -> list[Change]:
    """The figures that are others than in the report before."""

    def named(facts: ZFacts) -> dict[tuple[str, str], int]:
        return {
            **{("sales", row.kind): row.amount for row in facts.sales},
            ("figure", "voided"): facts.voided_amount,
            ("figure", "credited"): facts.credited_amount,
            **{("payments", row.method): row.amount for row in facts.payments},
            **{("payouts", row.method): row.amount for row in facts.payouts},
            **{("deposits", row.method): row.amount for row in facts.deposits},
            **{("deposits_returned", row.method): row.amount for row in facts.deposits_returned},
            ("figure", "open"): facts.open_amount,
            ("figure", "variance"): facts.variance_amount,
            ("count", "documents"): facts.documents,
            ("count", "sessions"): facts.sessions_punched,
            ("count", "drawers"): len(facts.drawers),
        }

    was, now = named(before), named(after)
    keys = dict.fromkeys([*was, *now])
    return [Change(*key, was.get(key, 0), now.get(key, 0)) for key in keys if was.get(key, 0) != now.get(key, 0)]
