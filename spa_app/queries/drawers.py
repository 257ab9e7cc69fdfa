"""Drawers, what is open in them, and the cash that moved there."""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, literal, select, union_all
from sqlalchemy.orm import aliased

from spa_app.extensions import db
from spa_app.models import (
    CashMovement,
    Deposit,
    DepositEntry,
    Drawer,
    DrawerChoice,
    DrawerSession,
    Payment,
    Payout,
    User,
)
from spa_app.queries.seen import stamp

MOST_SESSIONS = 12


@dataclass(frozen=True)
class CashSums:
    """The cash that moved in one session of a drawer, in minor units, each sum not below zero.

    Deposits are among what was taken, and those given back among what was given.
    """

    taken_amount: int = 0
    given_amount: int = 0
    paid_in_amount: int = 0
    dropped_amount: int = 0
    spent_amount: int = 0
    put_away_amount: int = 0

    @property
    def balance(self) -> int:
        """What it changed in the drawer until the count; what was put away after it is not in it."""
        return self.taken_amount - self.given_amount + self.paid_in_amount - self.dropped_amount - self.spent_amount


_NAMES = {
    "taken": "taken_amount",
    "given": "given_amount",
    "paid_in": "paid_in_amount",
    "drop": "dropped_amount",
    "expense": "spent_amount",
    "closing_drop": "put_away_amount",
}


@dataclass(frozen=True)
class SessionView:
    """One session of a drawer. What was expected and what differed is only there once it is closed."""

    id: int
    drawer_id: int
    drawer: str
    branch_id: int
    opened_at: dt.datetime
    opened_by: str | None
    opened_as: str
    opening_float_amount: int | None
    opening_variance_amount: int | None
    closed_at: dt.datetime | None
    closed_by: str | None
    expected_amount: int | None
    counted_amount: int | None
    variance_amount: int | None
    left_amount: int | None
    denominations: dict[str, Any] | None
    reason: str

    @property
    def needs_reason(self) -> bool:
        """Whether its variance has not been explained yet."""
        return bool(self.variance_amount) and not self.reason

    @property
    def notes(self) -> list[tuple[int, int]]:
        """How many there were of each note, the largest first."""
        counted = {worth: number for worth, number in (self.denominations or {}).items() if worth != "other"}
        return sorted(((int(worth), number) for worth, number in counted.items()), reverse=True)


@dataclass(frozen=True)
class DrawerView:
    """A drawer as the desk sees it. ``is_mine``: the user has chosen it."""

    id: int
    name: str
    is_mine: bool
    session: SessionView | None


@dataclass(frozen=True)
class MovementView:
    """Cash that went in or out without an invoice."""

    kind: str
    amount: int
    reason: str
    moved_at: dt.datetime
    moved_by: str | None


@dataclass(frozen=True)
class DrawerSetup:
    """A drawer as it is set up."""

    id: int
    name: str
    is_active: bool

    @property
    def state(self) -> dict[str, Any]:
        """What can be changed of it."""
        return {"name": self.name, "is_active": self.is_active}

    @property
    def stamp(self) -> str:
        """What was seen of it, for the form that changes it."""
        return stamp(self.state)


def list_drawer_setups(branch_id: int, drawer_id: int | None = None) -> list[DrawerSetup]:
    """The branch's drawers (or one of them) as they are set up. One statement."""
    query = select(Drawer.id, Drawer.name, Drawer.is_active).where(
        Drawer.branch_id == branch_id, *([Drawer.id == drawer_id] if drawer_id is not None else [])
    )
    return [DrawerSetup(*row) for row in db.session.execute(query.order_by(Drawer.id))]


def list_drawers(branch_id: int, *, user_id: int | None) -> list[DrawerView]:
    """The branch's active drawers, with what is open in them. Two statements."""
    open_now = {one.drawer_id: one for one in list_sessions(branch_id, DrawerSession.closed_at.is_(None))}
    rows = db.session.execute(
        select(Drawer.id, Drawer.name, DrawerChoice.chosen_at)
        .outerjoin(DrawerChoice, (DrawerChoice.drawer_id == Drawer.id) & (DrawerChoice.user_id == user_id))
        .where(Drawer.branch_id == branch_id, Drawer.is_active)
        .order_by(Drawer.id)
    ).all()
    chosen = max((row.chosen_at for row in rows if row.chosen_at), default=None)
    return [
        DrawerView(row.id, row.name, chosen is not None and row.chosen_at == chosen, open_now.get(row.id))
        for row in rows
    ]


def list_closed_sessions(branch_id: int) -> list[SessionView]:
    """The sessions of the branch's drawers that were closed last, the newest first. One statement."""
    return list_sessions(branch_id, DrawerSession.closed_at.is_not(None), limit=MOST_SESSIONS)


def list_sessions(branch_id: int, *conditions: Any, limit: int | None = None) -> list[SessionView]:
    """The sessions of a branch's drawers for which this is true, the newest first. One statement."""
    rows = _sessions().where(Drawer.branch_id == branch_id, *conditions)
    ordered = rows.order_by(DrawerSession.opened_at.desc(), DrawerSession.id.desc()).limit(limit)
    return [_view(*row) for row in db.session.execute(ordered)]


def get_session(session_id: int, *, branch_ids: Collection[int]) -> SessionView | None:
    """A session of a drawer in one of these branches."""
    row = db.session.execute(
        _sessions().where(DrawerSession.id == session_id, Drawer.branch_id.in_(branch_ids))
    ).first()
    return _view(*row) if row else None


def list_movements(session_id: int) -> Sequence[MovementView]:
    """What was paid into the drawer and out of it in a session, in its order."""
    rows = db.session.execute(
        select(CashMovement.kind, CashMovement.amount, CashMovement.reason, CashMovement.moved_at, User.full_name)
        .outerjoin(User, User.id == CashMovement.actor_id)
        .where(CashMovement.drawer_session_id == session_id)
        .order_by(CashMovement.id)
    )
    return [MovementView(*row) for row in rows]


def sum_cash(session_ids: Iterable[int]) -> dict[int, CashSums]:
    """The cash that moved in each of these sessions. One statement."""
    ids = list(session_ids)
    parts = [
        select(column.label("session_id"), kind.label("kind"), amount.label("amount")).where(column.in_(ids))
        for column, kind, amount in (
            (Payment.drawer_session_id, literal("taken"), Payment.amount),
            (Deposit.drawer_session_id, literal("taken"), Deposit.amount),
            (Payout.drawer_session_id, literal("given"), Payout.amount),
            (DepositEntry.drawer_session_id, literal("given"), -DepositEntry.amount),
            (CashMovement.drawer_session_id, CashMovement.kind, CashMovement.amount),
        )
    ]
    rows = union_all(*parts).subquery()
    sums: dict[int, dict[str, int]] = {session_id: {} for session_id in ids}
    for session_id, kind, amount in db.session.execute(
        select(rows.c.session_id, rows.c.kind, func.sum(rows.c.amount)).group_by(rows.c.session_id, rows.c.kind)
    ):
        sums[session_id][_NAMES[kind]] = int(amount)
    return {session_id: CashSums(**one) for session_id, one in sums.items()}


def _sessions() -> Any:
    opener, closer = aliased(User), aliased(User)
    return (
        select(DrawerSession, Drawer, opener.full_name, closer.full_name)
        .join(Drawer, Drawer.id == DrawerSession.drawer_id)
        .outerjoin(opener, opener.id == DrawerSession.opened_by_id)
        .outerjoin(closer, closer.id == DrawerSession.closed_by_id)
        .execution_options(populate_existing=True)
    )


def _view(row: DrawerSession, drawer: Drawer, opened_by: str | None, closed_by: str | None) -> SessionView:
    return SessionView(
        id=row.id,
        drawer_id=drawer.id,
        drawer=drawer.name,
        branch_id=drawer.branch_id,
        opened_at=row.opened_at,
        opened_by=opened_by,
        opened_as=row.opened_as,
        opening_float_amount=row.opening_float_amount,
        opening_variance_amount=row.opening_variance_amount,
        closed_at=row.closed_at,
        closed_by=closed_by,
        expected_amount=row.expected_amount,
        counted_amount=row.counted_amount,
        variance_amount=row.variance_amount,
        left_amount=row.left_amount,
        denominations=row.denominations,
        reason=row.reason,
    )
