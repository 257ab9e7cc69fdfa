"""Drawers with the cash that moved in them, and the days that were closed."""

from typing import Any

from sqlalchemy import Select, Text, cast
from sqlalchemy.orm import aliased

from spa_app.errors import N_
from spa_app.models import Branch, CashMovement, DayClose, Drawer, DrawerSession, User
from spa_app.queries.exports.table import Column, Scope, Table
from spa_app.queries.exports.words import BRANCH, USER, currency

_opener, _closer = aliased(User), aliased(User)
_SESSION = N_("From which opening of a drawer to its close")
_CLOSED_BY = N_("Who closed it")


def _sessions(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(DrawerSession)
        .join(Drawer, Drawer.id == DrawerSession.drawer_id)
        .join(Branch, Branch.id == Drawer.branch_id)
        .outerjoin(_opener, _opener.id == DrawerSession.opened_by_id)
        .outerjoin(_closer, _closer.id == DrawerSession.closed_by_id)
        .where(*scope.on_days(Drawer.branch_id, DrawerSession.opened_at))
        .order_by(DrawerSession.id)
    )


def _movements(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(CashMovement)
        .join(Branch, Branch.id == CashMovement.branch_id)
        .outerjoin(User, User.id == CashMovement.actor_id)
        .where(*scope.on_days(CashMovement.branch_id, CashMovement.moved_at))
        .order_by(CashMovement.id)
    )


def _closes(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(DayClose)
        .join(Branch, Branch.id == DayClose.branch_id)
        .outerjoin(_closer, _closer.id == DayClose.closed_by_id)
        .outerjoin(_opener, _opener.id == DayClose.reopened_by_id)
        .where(*scope.on_dates(DayClose.branch_id, DayClose.closed_on))
        .order_by(DayClose.id)
    )


DRAWER_SESSIONS = Table(
    "drawer_sessions",
    N_("Drawers and their counts"),
    N_("Each opening of a drawer with its count at the close, by the day of the opening; empty: nobody knows it"),
    (
        Column("drawer_session_id", DrawerSession.id, _SESSION),
        Column("drawer_id", DrawerSession.drawer_id, N_("Number of the drawer")),
        Column("drawer", Drawer.name, N_("The drawer's name")),
        Column("branch", Branch.code, BRANCH),
        Column("opened_at", DrawerSession.opened_at, N_("When it was opened")),
        Column("opened_by", _opener.username, N_("Who opened it")),
        Column("opened_as", DrawerSession.opened_as, N_("The float was counted, carried over, or is unknown")),
        Column("opening_float_amount", DrawerSession.opening_float_amount, N_("The float at the opening")),
        Column(
            "opening_variance_amount",
            DrawerSession.opening_variance_amount,
            N_("By how much the float was over what the last close left; below zero: short"),
        ),
        Column("closed_at", DrawerSession.closed_at, N_("When it was closed")),
        Column("closed_by", _closer.username, _CLOSED_BY),
        Column("expected_amount", DrawerSession.expected_amount, N_("What should have been in it")),
        Column("counted_amount", DrawerSession.counted_amount, N_("What was counted")),
        Column("variance_amount", DrawerSession.variance_amount, N_("By how much it was over; below zero: short")),
        Column("left_amount", DrawerSession.left_amount, N_("What stayed in it as the next float")),
        currency(),
        Column(
            "denominations",
            cast(DrawerSession.denominations, Text),
            N_("How many of each note there were, as JSON: what one is worth, and how many"),
        ),
        Column("reason", DrawerSession.reason, N_("Reason")),
    ),
    _sessions,
    zone=Branch.timezone,
)

CASH_MOVEMENTS = Table(
    "cash_movements",
    N_("Cash paid in and out"),
    N_("Cash that went into a drawer or out of it without an invoice, by its day"),
    (
        Column("cash_movement_id", CashMovement.id, N_("Number of the movement")),
        Column("drawer_session_id", CashMovement.drawer_session_id, _SESSION),
        Column("branch", Branch.code, BRANCH),
        Column("kind", CashMovement.kind, N_("paid_in, or out of the drawer: drop, expense, closing_drop")),
        Column("amount", CashMovement.amount, N_("How much, always above zero")),
        currency(),
        Column("reason", CashMovement.reason, N_("Reason")),
        Column("moved_at", CashMovement.moved_at, N_("When it moved")),
        Column("user", User.username, USER),
    ),
    _movements,
    zone=Branch.timezone,
)

DAY_CLOSES = Table(
    "day_closes",
    N_("Closed days"),
    N_("The Z-report of each day that was closed, as it stood then, by the day"),
    (
        Column("day_close_id", DayClose.id, N_("Number of the close within this program")),
        Column("branch", Branch.code, BRANCH),
        Column("closed_on", DayClose.closed_on, N_("The day that was closed")),
        Column("z_number", DayClose.z_number, N_("Number of the Z-report; they run without a gap in a branch")),
        Column("closed_at", DayClose.closed_at, N_("When it was closed")),
        Column("closed_by", _closer.username, _CLOSED_BY),
        Column("open_invoices", DayClose.open_invoices, N_("How many invoices of the day were still to be paid")),
        Column("open_amount", DayClose.open_amount, N_("What was still to be paid on them")),
        currency(),
        Column("totals", cast(DayClose.totals, Text), N_("All figures of the report, as JSON")),
        Column("reopened_at", DayClose.reopened_at, N_("When the day was reopened")),
        Column("reopened_by", _opener.username, N_("Who reopened it")),
        Column("reopen_reason", DayClose.reopen_reason, N_("Why it was reopened")),
    ),
    _closes,
    zone=Branch.timezone,
)
