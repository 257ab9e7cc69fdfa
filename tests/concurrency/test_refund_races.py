"""Two desks at one invoice: however they refund, pay and undo at once, nothing comes back that was not paid.

Two guards of different kinds, as in test_races: the locks of cards and invoice, which tell the loser the truth, and
what the database itself refuses. Each alone must do; with both off the same check must find the fault.
"""

from functools import partial

import pytest

from spa_app.extensions import db
from spa_app.services import bookings, payments, refunds
from spa_app.services.billing import withdrawing
from spa_app.services.bookings import ItemRequest
from spa_app.services.refunds import Wish, cards, invoices
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_card_races import LIABILITY
from tests.concurrency.test_races import PAID_SUMS, VERSION, Client, Race, make_app
from tests.factories import Spa
from tests.services.checks import invoice_of, rows

NEVER_MORE = (
    "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_credited",
    "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_wholly_credited",
    "DROP TRIGGER tr_invoices_credited ON invoices",
    "DROP TRIGGER tr_invoices_credited_changed ON invoices",
    "DROP TRIGGER tr_invoice_lines_back ON invoice_lines",
    "DROP TRIGGER tr_payouts_paid_back ON payouts",
    "DROP TRIGGER tr_payments_paid_back ON payments",
)
FACTS = (invoices, "get_invoice_refund_facts")


def refund_one_invoice(spa: Spa, number: int) -> list[Client]:
    """All of a paid invoice, in cash, by different forms."""
    invoice = _visit(spa)[1]
    payments.take_payment(invoice, method="cash", amount=550_000, actor=spa.receptionist)
    return [partial(refunds.refund_invoice, invoice, reason="x", actor=spa.manager)] * number


def refund_one_line(spa: Spa, number: int) -> list[Client]:
    """One of two services: what was paid for the other would cover it again."""
    invoice = _visit(spa)[1]
    payments.take_payment(invoice, method="cash", amount=550_000, actor=spa.receptionist)
    ((line,),) = rows("SELECT id FROM invoice_lines WHERE invoice_id = :id AND position = 2", id=invoice)
    wish = {line: Wish(100_000)}
    return [partial(refunds.refund_invoice, invoice, lines=wish, reason="x", actor=spa.manager)] * number


def refund_a_sale_and_its_card(spa: Spa, number: int) -> list[Client]:
    """An untouched package: by its invoice, and by its card."""
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    ((sale,),) = rows("SELECT invoice_id FROM invoice_lines WHERE kind = 'plan'")
    by_invoice = partial(refunds.refund_invoice, sale, reason="x", actor=spa.manager)
    by_card = partial(
        refunds.refund_card,
        card,
        basis="pro_rata",
        fee_amount=0,
        pay_by="cash",
        shown_amount=None,
        reason="x",
        actor=spa.manager,
    )
    return [by_invoice, by_card] * (number // 2)


RACES = [
    Race("refund one invoice", refund_one_invoice, FACTS, NEVER_MORE, frozenset({"already_refunded"})),
    Race("refund one line of an invoice", refund_one_line, FACTS, NEVER_MORE, frozenset({"more_than_left"})),
    Race(
        "refund a sale and its card",
        refund_a_sale_and_its_card,
        FACTS,
        (*NEVER_MORE, *LIABILITY),
        frozenset({"already_refunded", "card_status"}),
    ),
]


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.clients.__name__)
def test_one_of_many_refunds(which, guards, settings, fresh_database, monkeypatch, record_property):
    number = 50 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients = which.clients(spa, number)
        db.session.remove()
    race.take_off(guards, url, which.constraints, monkeypatch)
    gate = race.stop_after(monkeypatch, *which.read)
    race.stop_after(monkeypatch, cards, "get_refund_facts", gate)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


def refund_or_pay(spa: Spa, number: int) -> tuple[list[Client], frozenset[str]]:
    """350,000 of 550,000 are due: paid by many desks, and settled by a refund of 450,000."""
    invoice = _visit(spa)[1]
    payments.take_payment(invoice, method="cash", amount=200_000, actor=spa.receptionist)
    ((line,),) = rows("SELECT id FROM invoice_lines WHERE invoice_id = :id AND position = 1", id=invoice)
    pay = partial(payments.take_payment, invoice, method="cash", amount=350_000, actor=spa.receptionist)
    wish = {line: Wish(450_000)}
    refund = partial(refunds.refund_invoice, invoice, lines=wish, reason="x", actor=spa.manager)
    return [refund, *[pay] * (number - 1)], frozenset({"not_payable", "overpaid"})


def refund_or_undo(spa: Spa, number: int) -> tuple[list[Client], frozenset[str]]:
    """A paid visit: its completion is undone, which credits it, while others refund it."""
    visit, invoice = _visit(spa)
    payments.take_payment(invoice, method="cash", amount=550_000, actor=spa.receptionist)
    undo = partial(bookings.undo_complete, visit, actor=spa.manager)
    refund = partial(refunds.refund_invoice, invoice, reason="x", actor=spa.manager)
    return [undo, *[refund] * (number - 1)], frozenset({"already_refunded"})


GATES = {
    refund_or_pay: (FACTS, (payments, "_check_payment")),
    refund_or_undo: (FACTS, (withdrawing, "get_invoice_refund_facts")),
}


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", GATES, ids=lambda one: one.__name__)
def test_a_refund_beside_another_act(which, guards, settings, fresh_database, monkeypatch, record_property):
    number = 30 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients, refusals = which(spa, number)
        db.session.remove()
    race.take_off(guards, url, (*NEVER_MORE, *PAID_SUMS, VERSION), monkeypatch)
    gate = race.Gate()
    for owner, name in GATES[which]:
        race.stop_after(monkeypatch, owner, name, gate)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    said = race.summary(outcomes)
    result = f"{number} clients: " + ", ".join(f"{count} {word}" for word, count in said.items())
    record_property("race", (which.__name__.replace("_", " "), guards, f"{result}; {len(faults)} faults"))
    if guards == "neither":
        assert faults, said
        return
    assert faults == []
    assert 1 <= said["done"] <= 2
    if guards == GUARDS[0]:
        assert said.keys() <= {"done"} | refusals, said


def _visit(spa: Spa) -> tuple[int, int]:
    """A completed facial of 450,000 and a consultation of 100,000, and their invoice."""
    items = [ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]), ItemRequest(spa.consultation)]
    visit = factories.make_booking(spa, *items, status="completed")
    return visit, invoice_of(visit)
