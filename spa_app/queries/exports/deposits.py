"""Deposits and their history."""

from typing import Any

from sqlalchemy import Select

from spa_app.errors import N_
from spa_app.models import Booking, Branch, Customer, Deposit, DepositEntry, User
from spa_app.queries.exports.table import Column, Scope, Table
from spa_app.queries.exports.words import (
    BOOKING_ID,
    BRANCH,
    CUSTOMER_ID,
    CUSTOMER_NAME,
    RECORDED_AT,
    USER,
    currency,
)

_DEPOSIT_ID = N_("Number of the deposit")
_SESSION = N_("For cash: from which opening of a drawer to its close")


def _deposits(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(Deposit)
        .join(Branch, Branch.id == Deposit.branch_id)
        .join(Booking, Booking.id == Deposit.booking_id)
        .join(Customer, Customer.id == Booking.customer_id)
        .outerjoin(User, User.id == Deposit.actor_id)
        .where(*scope.on_days(Deposit.branch_id, Deposit.taken_at))
        .order_by(Deposit.id)
    )


def _history(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(DepositEntry)
        .join(Deposit, Deposit.id == DepositEntry.deposit_id)
        .join(Branch, Branch.id == Deposit.branch_id)
        .outerjoin(User, User.id == DepositEntry.actor_id)
        .where(*scope.on_days(Deposit.branch_id, DepositEntry.created_at))
        .order_by(DepositEntry.id)
    )


DEPOSITS = Table(
    "deposits",
    N_("Deposits"),
    N_("Money taken for visits before their bills, by its day, with what is left of it now"),
    (
        Column("deposit_id", Deposit.id, _DEPOSIT_ID),
        Column("booking_id", Deposit.booking_id, BOOKING_ID),
        Column("branch", Branch.code, BRANCH),
        Column("customer_id", Booking.customer_id, CUSTOMER_ID),
        Column("full_name", Customer.full_name, CUSTOMER_NAME),
        Column("method", Deposit.method, N_("cash, card, bank_transfer or e_wallet")),
        Column("amount", Deposit.amount, N_("Amount taken")),
        Column("balance_amount", Deposit.balance_amount, N_("What is neither used nor given back")),
        currency(),
        Column("reference", Deposit.reference, N_("Reference of the card slip or transfer")),
        Column("taken_at", Deposit.taken_at, N_("When it was taken")),
        Column("drawer_session_id", Deposit.drawer_session_id, _SESSION),
        Column("user", User.username, USER),
    ),
    _deposits,
    zone=Branch.timezone,
)

DEPOSIT_HISTORY = Table(
    "deposit_history",
    N_("History of the deposits"),
    N_("Each change of a deposit, never edited; the amounts of a deposit add up to what is left of it"),
    (
        Column("deposit_history_id", DepositEntry.id, N_("Number of the change")),
        Column("deposit_id", DepositEntry.deposit_id, _DEPOSIT_ID),
        Column("branch", Branch.code, BRANCH),
        Column("kind", DepositEntry.kind, N_("taken, used or returned")),
        Column("amount", DepositEntry.amount, N_("What it does to what is left")),
        currency(),
        Column("payment_id", DepositEntry.payment_id, N_("Number of the payment")),
        Column("method", DepositEntry.method, N_("How it was given back: as money, or as store_credit")),
        Column("reference", DepositEntry.reference, N_("Reference of what went back by card, transfer or e-wallet")),
        Column("reason", DepositEntry.reason, N_("Reason")),
        Column("drawer_session_id", DepositEntry.drawer_session_id, _SESSION),
        Column("user", User.username, USER),
        Column("created_at", DepositEntry.created_at, RECORDED_AT),
    ),
    _history,
    zone=Branch.timezone,
)
