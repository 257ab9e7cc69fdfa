"""Whatever moves money, in whatever order: the trial balance is zero and what is owed is what cards and rows say.

Hypothesis looks for an order of acts that breaks a rule. Refusals are part of the game; but each act was really done,
so and so often, or it would prove nothing.
"""

from collections.abc import Mapping

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from spa_app.services import ledger
from spa_app.services.billing import crediting
from spa_app.services.ledger import Posting
from tests.conftest import Cleaner
from tests.services.money_desk import MoneyDesk
from tests.services.till import Order

QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)
# How often acts were done whose names hold the word; of very many steps each act by itself, but for those that need a
# row of others before them (a void, a payment by store credit or deposit, what takes a refund back).
FEW = {"sell": 10, "complete": 5, "pay by": 15, "refund": 1, "deposit": 5, "gift card": 8, "drawer": 2, "day": 2}
MANY = dict.fromkeys(
    (
        *("sell", "change bill", "book", "complete", "undo complete", "cancel", "no-show"),
        *(f"pay by {method}" for method in ("cash", "card", "bank_transfer", "e_wallet", "gift_card")),
        *("undo cancel or no-show", "take deposit", "return deposit"),
        *(f"{act} gift card" for act in ("sell", "issue", "adjust", "extend", "cancel")),
        *("refund whole", "refund part"),
        *(f"{act} card" for act in ("refund", "exchange", "transfer", "adjust")),
        *("expire cards", "expire gift cards"),
        *("open drawer", "close drawer counted", "close drawer uncounted", "move cash", "close day", "reopen day"),
    ),
    1,
)


def _run(cleaner: Cleaner, *, examples: int, steps: int, **more: object) -> None:
    MoneyDesk.cleaner = cleaner
    MoneyDesk.done.clear()
    MoneyDesk.refused.clear()
    run_state_machine_as_test(
        MoneyDesk,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=QUIET, **more
        ),
    )


def _require_done(least: Mapping[str, int]) -> None:
    done = {word: sum(n for act, n in MoneyDesk.done.items() if word in act) for word in least}
    seldom = {word: number for word, number in done.items() if number < least[word]}
    assert seldom == {}, (dict(MoneyDesk.done), dict(MoneyDesk.refused))


def test_the_books_balance_after_any_few_acts(app: Flask, cleaner: Cleaner):
    """The same acts each time, so that how often they were done can be told beforehand."""
    with app.app_context():
        _run(cleaner, examples=12, steps=25, derandomize=True)
    _require_done(FEW)


@pytest.mark.prove
def test_the_books_balance_after_very_many_acts(app: Flask, cleaner: Cleaner):
    with app.app_context():
        _run(cleaner, examples=100, steps=60)
    _require_done(MANY)


def _lose_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a returned deposit posts is one đồng too little, on both sides: the entry still balances."""
    post = ledger.post

    def lossy(event: str, *, postings: list[Posting], **values: object) -> int | None:
        if event == "deposit_returned":
            one, other = postings
            postings = [
                Posting(one.account, one.amount - 1, deposit_id=one.deposit_id),
                Posting(other.account, other.amount + 1, customer_id=other.customer_id),
            ]
        return post(event, postings=postings, **values)

    monkeypatch.setattr(ledger, "post", lossy)


def test_a_lost_dong_is_found(app: Flask, cleaner: Cleaner, monkeypatch: pytest.MonkeyPatch):
    """The negative control: with a rule broken, the machine must find the order of acts that shows it."""
    _lose_one(monkeypatch)
    with app.app_context(), pytest.raises(AssertionError, match="return_deposit"):
        _run(cleaner, examples=60, steps=25, derandomize=True, report_multiple_bugs=False, phases=[Phase.generate])


def test_what_a_refund_does_not_settle_is_found(app: Flask, cleaner: Cleaner, monkeypatch: pytest.MonkeyPatch):
    """The same for a rule that few orders of acts come to: these three do."""
    monkeypatch.setattr(crediting, "settle_due", lambda *args, **values: None)
    MoneyDesk.cleaner = cleaner
    with app.app_context():
        desk = MoneyDesk()
        desk.open()
        desk.sell(0, Order(((0, 1, None),), None, "", 0), "")
        desk.pay(0, "cash", 2)
        desk.the_books_balance()
        with pytest.raises(AssertionError, match="nothing but the database refused it"):
            desk.refund(0, "whole", 1, 1)
        desk.travel.stop()
