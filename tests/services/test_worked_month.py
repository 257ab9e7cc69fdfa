"""A month at the desk, read from top to bottom; every figure was worked out by hand, with the rule beside it.

1 March   Mai buys 10 × facial for 1,000,000 at 8 % VAT, valid 30 days: 600,000 in cash, the rest by card.
3, 10, 17 She comes, and a session is punched each time.
18        She gives two sessions to her sister Lan, who uses one on the 20th.
22        She moves away: the rest of her card comes back in cash, pro rata, less a fee of 50,000.
31        Lan's card ends with one session left, which the night makes breakage.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import time_machine

from spa_app import clock
from spa_app.services import billing, expiry, payments, refunds, treatments
from tests import factories
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, cards_of
from tests.services.checks import balances, counters, rows

CASH, CARDS, RECEIVABLE, DEFERRED, VAT, CREDIT = 1110, 1120, 1310, 2110, 2120, 2130
REVENUE, BREAKAGE, FEES = 4110, 4120, 4130

YEAR = 2027

# 1,000,000 holds 8 ÷ 108 of it as VAT: 74,074.07, half a unit rounded up → 74,074.
SALE_VAT = 74_074
SALE_NET = 925_926
# A tenth of what is without VAT: 92,592.6, rounded down; the last session of the card takes what is left over.
SESSION = 92_592


@contextmanager
def noon_of(day: int, month: int = 3) -> Iterator[None]:
    with time_machine.travel(clock.at_local(dt.date(YEAR, month, day), dt.time(12), TIMEZONE), tick=False):
        yield
        assert_books_balance()


def journal(*wanted: tuple[int, int]) -> None:
    """Every balance but those that are zero, debits positive; together they are zero."""
    assert {account: amount for account, amount in balances().items() if amount} == dict(wanted)
    assert sum(amount for _, amount in wanted) == 0


def owed_on(*cards: int) -> list[int]:
    owed = "SELECT deferred_amount - recognised_amount - expired_amount FROM customer_treatments WHERE id = :id"
    return [rows(owed, id=card)[0][0] for card in cards]


def test_a_month_of_one_package(spa):
    lan = factories.make_customer("Lê Thị Lan")
    plan = factories.make_plan([(spa.facial, 10)], price=1_000_000, days=30)

    with noon_of(1):
        sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist)
        journal((RECEIVABLE, 1_000_000), (DEFERRED, -SALE_NET), (VAT, -SALE_VAT))

        payments.take_payment(sale, method="cash", amount=600_000, tendered_amount=1_000_000, actor=spa.receptionist)
        payments.take_payment(sale, method="card", amount=None, reference="slip 4711", actor=spa.receptionist)
        journal((CASH, 600_000), (CARDS, 400_000), (DEFERRED, -SALE_NET), (VAT, -SALE_VAT))
    [card] = cards_of(sale)

    for day in (3, 10, 17):
        with noon_of(day):
            factories.make_booking(spa, card=card, status="completed")
    # Three punches: 277,776 earned, 648,150 still owed.
    assert owed_on(card) == [SALE_NET - 3 * SESSION] == [648_150]
    journal((CASH, 600_000), (CARDS, 400_000), (DEFERRED, -648_150), (VAT, -SALE_VAT), (REVENUE, -277_776))

    with noon_of(18):
        gift = treatments.transfer_sessions(
            card, customer_id=lan, sessions=2, reason="for her sister", actor=spa.receptionist
        )
    # Two sessions take their 185,184 along; nothing is earned by a transfer.
    assert owed_on(card, gift) == [462_966, 185_184]
    assert (counters(card), counters(gift)) == ((8, 3, 0, 0, "active"), (2, 0, 0, 0, "active"))

    with noon_of(20):
        factories.make_booking(spa, card=gift, customer_id=lan, status="completed")
    assert owed_on(card, gift) == [462_966, SESSION]

    with noon_of(22):
        refunds.refund_card(
            card,
            basis="pro_rata",
            fee_amount=50_000,
            pay_by="cash",
            shown_amount=450_003,
            reason="moves away",
            actor=spa.manager,
        )
    # Of the sale's VAT comes back 74,074 × 462,966 ÷ 925,926 = 37,037.2, rounded down; with it 500,003; less the fee.
    assert rows("SELECT amount FROM payouts") == [(462_966 + 37_037 - 50_000,)] == [(450_003,)]
    assert counters(card) == (3, 3, 0, 0, "cancelled")
    journal(
        (CASH, 600_000 - 450_003),
        (CARDS, 400_000),
        (DEFERRED, -SESSION),
        (VAT, -(74_074 - 37_037)),
        (REVENUE, -4 * SESSION),
        (FEES, -50_000),
    )

    with noon_of(31):
        [night, _] = expiry.expire_due()
        assert night.sessions == 0  # good through its last day
    with noon_of(1, month=4):
        [night, _] = expiry.expire_due()
        assert (night.cards, night.sessions, night.amount) == (1, 1, SESSION)
        assert [again.cards for again in expiry.expire_due()] == [0, 0]

    # What was sold is what was earned, refunded and expired; nothing is owed, and all balances come to zero.
    assert SALE_NET == 4 * SESSION + 462_966 + SESSION
    assert owed_on(card, gift) == [0, 0]
    journal(
        (CASH, 149_997),
        (CARDS, 400_000),
        (VAT, -37_037),
        (REVENUE, -370_368),
        (BREAKAGE, -92_592),
        (FEES, -50_000),
    )
