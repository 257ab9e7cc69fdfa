"""Many desks at one gift card: what is on it is spent once, however it is spent, expires or is taken back."""

import datetime as dt
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from spa_app import clock
from spa_app.errors import ConflictError
from spa_app.extensions import db
from spa_app.models import Branch, GiftCard
from spa_app.services import gift_card_desk, gift_cards, ledger, payments
from spa_app.services.gift_cards import lapsing, spending, withdrawing
from spa_app.services.idempotency import once
from spa_app.services.ledger import Account, Posting
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import Client, make_app
from tests.factories import SoldGiftCard, Spa

AMOUNT = 100_000
BALANCE = (
    "DROP TRIGGER tr_gift_cards_balance ON gift_cards",
    "DROP TRIGGER tr_gift_card_entries_balance ON gift_card_entries",
    "ALTER TABLE gift_cards DROP CONSTRAINT ck_gift_cards_balance",
    "ALTER TABLE gift_cards DROP CONSTRAINT ck_gift_cards_cancelled",
)
SPENT = frozenset({"gift_card_used_up", "gift_card_too_small"})
REDEEMED = (spending, "require_paid")  # what a payment does last before it takes from the card


@dataclass(frozen=True)
class GiftCardRace:
    """``rival(spa, card)`` runs against payments that each take all there is; it stops after ``reads``."""

    name: str
    rival: Any
    reads: tuple[tuple[Any, str], ...]
    refusals: frozenset[str]


def pay(spa: Spa, card: SoldGiftCard) -> Client:
    """One more bill, to be paid with all that is on the card."""
    bill = gift_card_desk.sell_gift_card(
        customer_id=spa.customer, amount=AMOUNT, branch_id=spa.branch, actor=spa.receptionist
    )
    return partial(
        payments.take_payment,
        bill,
        method="gift_card",
        amount=AMOUNT,
        gift_card_code=card.code,
        actor=spa.receptionist,
    )


def expire(spa: Spa, card: SoldGiftCard) -> Client:
    """The night after the card's last day."""
    today = clock.today(factories.TIMEZONE)
    db.session.get_one(GiftCard, card.id).expires_on = today
    db.session.commit()

    def work() -> int:
        branch = db.session.get_one(Branch, spa.branch)
        done = lapsing.expire_due_batch(branch=branch, on=today + dt.timedelta(days=1), limit=9, actor=spa.manager)
        if not done:
            raise ConflictError("nothing_due", "Nothing is due.")
        return len(done)

    return work


def close(spa: Spa, card: SoldGiftCard) -> Client:
    """A manager closes the card for store credit."""
    return partial(gift_card_desk.cancel_gift_card, card.id, reason="lost", actor=spa.manager)


def take_back(spa: Spa, card: SoldGiftCard) -> Client:
    """The card's sale is refunded."""
    line = db.session.scalar(sa.select(GiftCard.invoice_line_id).where(GiftCard.id == card.id))

    def work() -> int:
        posting = gift_cards.take_back(line, amount=AMOUNT, reason="unwanted", actor=spa.manager)
        ledger.post(
            "gift_card_adjusted",
            branch=db.session.get_one(Branch, spa.branch),
            actor=spa.manager,
            postings=[posting, Posting(Account.GOODWILL, -AMOUNT)],
        )
        return card.id

    return work


RACES = [
    GiftCardRace("pay with the last of a gift card", pay, (REDEEMED,), SPENT),
    GiftCardRace(
        "pay with a gift card, and expire it",
        expire,
        (REDEEMED, (lapsing, "append_entry")),
        SPENT | {"gift_card_expired", "nothing_due"},
    ),
    GiftCardRace(
        "pay with a gift card, and close it",
        close,
        (REDEEMED, (gift_cards, "require_paid")),
        SPENT | {"gift_card_cancelled", "gift_card_status"},
    ),
    GiftCardRace(
        "pay with a gift card, and refund its sale",
        take_back,
        (REDEEMED, (withdrawing, "require_paid")),
        SPENT | {"gift_card_cancelled", "gift_card_spent"},
    ),
]


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.rival.__name__)
def test_what_is_on_a_card_is_spent_once(which, guards, settings, fresh_database, monkeypatch, record_property):
    number = 50 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        card = factories.make_gift_card(spa, amount=AMOUNT)
        clients = [which.rival(spa, card), *(pay(spa, card) for _ in range(number - 1))]
        db.session.remove()
    race.take_off(guards, url, BALANCE, monkeypatch)
    gate = race.Gate()
    for owner, name in which.reads:
        race.stop_after(monkeypatch, owner, name, gate)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


@pytest.mark.parametrize("keyed", [True, False])
def test_a_sale_that_is_sent_again_and_again_sells_one_card(
    keyed, settings, fresh_database, monkeypatch, record_property
):
    number = 50 if keyed else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        db.session.remove()
    sell = partial(
        gift_card_desk.sell_gift_card,
        customer_id=spa.customer,
        amount=AMOUNT,
        branch_id=spa.branch,
        actor=spa.receptionist,
    )
    clients = [partial(once, uuid.uuid4(), action="sell", fingerprint="", actor=spa.receptionist, work=sell)] * number
    if not keyed:
        with psycopg.connect(url) as connection:
            connection.execute("ALTER TABLE idempotency_keys DROP CONSTRAINT pk_idempotency_keys")
    gate = race.stop_after(monkeypatch, gift_cards, "issue_for")

    outcomes = race.run(app, url, clients, gate)

    with app.app_context():
        faults = find_faults()
        sold = db.session.scalars(sa.select(GiftCard.id)).all()
        db.session.remove()
        db.engine.dispose()
    said = race.summary(outcomes)
    guards = "locks and constraints" if keyed else "neither"
    record_property(
        "race", ("identical sales of a gift card", guards, f"{number} clients: {said['done']} done; {len(sold)} cards")
    )
    assert faults == []
    assert said == {"done": number}
    assert len(sold) == (1 if keyed else number)
