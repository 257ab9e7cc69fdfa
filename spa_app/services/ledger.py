"""The only place that makes journal rows. Debits are positive, credits negative; an entry sums to zero."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy import select, text

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch, JournalLine
from spa_app.services.actor import Actor


class Account(IntEnum):
    """The chart of accounts; the value is both the account's id and its code (migrations)."""

    CASH = 1110
    CARD = 1120
    BANK = 1130
    E_WALLET = 1140
    SAFE = 1150
    RECEIVABLE = 1310
    DEFERRED_REVENUE = 2110
    VAT = 2120
    STORE_CREDIT = 2130
    GIFT_CARDS = 2140
    TIPS_PAYABLE = 2150
    DEPOSITS = 2160
    OPENING_BALANCE = 3110
    SERVICE_REVENUE = 4110
    BREAKAGE_REVENUE = 4120
    FEE_REVENUE = 4130
    PRODUCT_REVENUE = 4140
    OVER_SHORT = 5110
    PETTY_EXPENSES = 5120
    GOODWILL = 5130


METHOD_ACCOUNTS = {
    "cash": Account.CASH,
    "card": Account.CARD,
    "bank_transfer": Account.BANK,
    "e_wallet": Account.E_WALLET,
    "gift_card": Account.GIFT_CARDS,
    "store_credit": Account.STORE_CREDIT,
    "deposit": Account.DEPOSITS,
}

# An entry and its lines in one round trip; ``sources`` tell which line belongs to which of several entries.
_POST = text(
    """
    WITH entry AS (
        INSERT INTO journal_entries (branch_id, event, posted_on, invoice_id, payment_id, treatment_entry_id,
                                     reverses_id, actor_id)
        VALUES (:branch_id, :event, :posted_on, :invoice_id, :payment_id, :treatment_entry_id, :reverses_id, :actor_id)
        RETURNING id
    ), lines AS (
        INSERT INTO journal_lines (entry_id, account_id, amount, treatment_id, customer_id, gift_card_id, deposit_id)
        SELECT entry.id, line.account_id, line.amount, line.treatment_id, line.customer_id, line.gift_card_id,
               line.deposit_id
        FROM entry CROSS JOIN unnest(CAST(:accounts AS bigint[]), CAST(:amounts AS bigint[]),
                                     CAST(:treatment_ids AS bigint[]), CAST(:customer_ids AS bigint[]),
                                     CAST(:gift_card_ids AS bigint[]), CAST(:deposit_ids AS bigint[]))
            WITH ORDINALITY AS line (account_id, amount, treatment_id, customer_id, gift_card_id, deposit_id, position)
        ORDER BY line.position
    )
    SELECT id FROM entry
    """
)
_POST_MANY = text(
    """
    WITH entry AS (
        INSERT INTO journal_entries (branch_id, event, posted_on, treatment_entry_id, actor_id)
        SELECT :branch_id, CAST(:event AS text), :posted_on, source.id, CAST(:actor_id AS bigint)
        FROM unnest(CAST(:entries AS bigint[])) WITH ORDINALITY AS source (id, position) ORDER BY source.position
        RETURNING id, treatment_entry_id
    )
    INSERT INTO journal_lines (entry_id, account_id, amount, treatment_id, customer_id)
    SELECT entry.id, line.account_id, line.amount, line.treatment_id, line.customer_id
    FROM unnest(CAST(:sources AS bigint[]), CAST(:accounts AS bigint[]), CAST(:amounts AS bigint[]),
                CAST(:treatment_ids AS bigint[]), CAST(:customer_ids AS bigint[]))
        WITH ORDINALITY AS line (source, account_id, amount, treatment_id, customer_id, position)
    JOIN entry ON entry.treatment_entry_id = line.source
    ORDER BY line.position
    """
)


@dataclass(frozen=True)
class Posting:
    """One line to be: of deferred revenue, a gift card or a deposit it names that, of store credit the customer."""

    account: Account
    amount: int
    treatment_id: int | None = None
    customer_id: int | None = None
    gift_card_id: int | None = None
    deposit_id: int | None = None


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
    entry_id: int = db.session.execute(
        _POST,
        {
            "branch_id": branch.id,
            "event": event,
            "posted_on": posted_on or clock.today(branch.timezone),
            "invoice_id": invoice_id,
            "payment_id": payment_id,
            "treatment_entry_id": treatment_entry_id,
            "reverses_id": reverses_id,
            "actor_id": actor.user_id,
            **_columns(lines),
            "gift_card_ids": [line.gift_card_id for line in lines],
            "deposit_ids": [line.deposit_id for line in lines],
        },
    ).scalar_one()
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
    lines = [(source_id, one) for source_id, postings in entries for one in postings if one.amount]
    if not lines:
        return
    db.session.execute(
        _POST_MANY,
        {
            "branch_id": branch.id,
            "event": event,
            "posted_on": posted_on,
            "actor_id": actor.user_id,
            "entries": list(dict.fromkeys(source_id for source_id, _ in lines)),
            "sources": [source_id for source_id, _ in lines],
            **_columns([posting for _, posting in lines]),
        },
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
            Posting(
                Account(line.account_id),
                -line.amount,
                line.treatment_id,
                line.customer_id,
                line.gift_card_id,
                line.deposit_id,
            )
            for line in lines
        ],
    )


def _columns(lines: Sequence[Posting]) -> dict[str, list[int] | list[int | None]]:
    return {
        "accounts": [line.account.value for line in lines],
        "amounts": [line.amount for line in lines],
        "treatment_ids": [line.treatment_id for line in lines],
        "customer_ids": [line.customer_id for line in lines],
    }
