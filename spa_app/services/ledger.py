"""The only place that makes journal rows. Debits are positive, credits negative; an entry sums to zero."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy import insert, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch, JournalEntry, JournalLine
from spa_app.services.actor import Actor


class Account(IntEnum):
    """The chart of accounts; the value is both the account's id and its code (first migration)."""

    CASH = 1110
    CARD = 1120
    BANK = 1130
    E_WALLET = 1140
    RECEIVABLE = 1310
    DEFERRED_REVENUE = 2110
    VAT = 2120
    STORE_CREDIT = 2130
    OPENING_BALANCE = 3110
    SERVICE_REVENUE = 4110
    BREAKAGE_REVENUE = 4120


METHOD_ACCOUNTS = {
    "cash": Account.CASH,
    "card": Account.CARD,
    "bank_transfer": Account.BANK,
    "e_wallet": Account.E_WALLET,
    "store_credit": Account.STORE_CREDIT,
}


@dataclass(frozen=True)
class Posting:
    """One line to be. Deferred revenue names its card, store credit its customer."""

    account: Account
    amount: int
    treatment_id: int | None = None
    customer_id: int | None = None


def post(
    event: str,
    *,
    branch: Branch,
    actor: Actor,
    postings: Sequence[Posting],
    invoice_id: int | None = None,
    payment_id: int | None = None,
    treatment_entry_id: int | None = None,
    reverses_id: int | None = None,
    posted_on: dt.date | None = None,
) -> int | None:
    """Post one balanced entry on the branch's present date (or ``posted_on``) and return its id.

    Lines of zero are left out; returns ``None`` when nothing is left to post (a free service). The database refuses an
    entry that does not sum to zero when the transaction commits (2-architecture, *Concurrency*).
    """
    lines = [posting for posting in postings if posting.amount]
    if not lines:
        return None
    entry_id = db.session.execute(
        insert(JournalEntry).returning(JournalEntry.id),
        {
            "branch_id": branch.id,
            "event": event,
            "posted_on": posted_on or clock.today(branch.timezone),
            "invoice_id": invoice_id,
            "payment_id": payment_id,
            "treatment_entry_id": treatment_entry_id,
            "reverses_id": reverses_id,
            "actor_id": actor.user_id,
        },
    ).scalar_one()
    db.session.execute(insert(JournalLine), [_row(entry_id, posting) for posting in lines])
    return entry_id


def post_many(
    event: str,
    *,
    branch: Branch,
    actor: Actor,
    posted_on: dt.date,
    entries: Sequence[tuple[int, Sequence[Posting]]],
) -> None:
    """Post one balanced entry for each (treatment entry's id, postings), in bulk; those worth nothing are left out."""
    worth = [(source_id, [one for one in postings if one.amount]) for source_id, postings in entries]
    worth = [(source_id, postings) for source_id, postings in worth if postings]
    if not worth:
        return
    entry_ids = db.session.execute(
        insert(JournalEntry).returning(JournalEntry.id, sort_by_parameter_order=True),
        [
            {
                "branch_id": branch.id,
                "event": event,
                "posted_on": posted_on,
                "treatment_entry_id": source_id,
                "actor_id": actor.user_id,
            }
            for source_id, _ in worth
        ],
    ).scalars()
    db.session.execute(
        insert(JournalLine),
        [
            _row(entry_id, posting)
            for entry_id, (_, postings) in zip(entry_ids, worth, strict=True)
            for posting in postings
        ],
    )


def reverse(event: str, *, entry_id: int, branch: Branch, actor: Actor, invoice_id: int | None = None) -> int | None:
    """Post the opposite of an entry, linked to it."""
    lines = db.session.execute(select(JournalLine).where(JournalLine.entry_id == entry_id)).scalars()
    return post(
        event,
        branch=branch,
        actor=actor,
        invoice_id=invoice_id,
        reverses_id=entry_id,
        postings=[
            Posting(Account(line.account_id), -line.amount, line.treatment_id, line.customer_id) for line in lines
        ],
    )


def _row(entry_id: int, posting: Posting) -> dict[str, int | None]:
    return {
        "entry_id": entry_id,
        "account_id": posting.account.value,
        "amount": posting.amount,
        "treatment_id": posting.treatment_id,
        "customer_id": posting.customer_id,
    }
