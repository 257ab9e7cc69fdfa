"""Bills at fifty desks at once: the last product is sold once, a bill is changed once, and no number is lost."""

import datetime as dt
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Invoice, InvoiceCounter
from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.services import billing, bookings, payments, stock
from spa_app.services.billing import changing, crediting, issuing
from spa_app.services.bookings import ItemRequest
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import Client, Race, make_app
from tests.factories import Spa


def sell_the_last_one(spa: Spa, number: int) -> list[Client]:
    """One piece, and many who want to buy it."""
    product = factories.make_product(spa.branch, on_hand=1)
    bill = Bill(wares=(Ware("product", product),))
    return [
        partial(
            billing.sell,
            customer_id=factories.make_customer(),
            branch_id=spa.branch,
            bill=bill,
            actor=spa.receptionist,
        )
        for _ in range(number)
    ]


def change_one_bill(spa: Spa, number: int) -> list[Client]:
    """The unpaid bill of a visit: each desk adds another tip."""
    visit = factories.make_booking(spa, status="completed")
    invoice = _invoice_of(visit)
    return [
        partial(billing.change_bill, invoice, bill=Bill(tip=Tip(1_000 * (place + 1))), actor=spa.receptionist)
        for place in range(number)
    ]


RACES = [
    Race(
        "sell the last piece of a product",
        sell_the_last_one,
        (stock, "lock_stocks"),
        ("ALTER TABLE product_stocks DROP CONSTRAINT ck_product_stocks_on_hand",),
        frozenset({"out_of_stock"}),
    ),
    Race(
        "change one unpaid bill",
        change_one_bill,
        (changing, "require_changeable"),
        ("DROP INDEX uq_invoices_live_booking", "DROP INDEX uq_invoices_replaces_id"),
        frozenset({"bill_not_changeable"}),
    ),
]


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.clients.__name__)
def test_one_of_many_wins(which, guards, settings, fresh_database, monkeypatch, record_property):
    number = 50 if guards == GUARDS[0] else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients = which.clients(spa, number)
        db.session.remove()
    race.take_off(guards, url, which.constraints, monkeypatch)
    gate = race.stop_after(monkeypatch, *which.read)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


def test_a_bill_is_paid_or_changed_but_never_both(settings, fresh_database, monkeypatch):
    url = fresh_database()
    app = make_app(settings, url, 20)
    with app.app_context():
        spa = factories.make_spa()
        invoice = _invoice_of(factories.make_booking(spa, status="completed"))
        pay = partial(payments.take_payment, invoice, method="cash", amount=450_000, actor=spa.receptionist)
        change = partial(billing.change_bill, invoice, bill=Bill(tip=Tip(5_000)), actor=spa.receptionist)
        db.session.remove()
    gate = race.stop_after(monkeypatch, changing, "require_changeable")
    race.stop_after(monkeypatch, payments, "_check_payment", gate)

    outcomes = race.run(app, url, [partial(in_transaction, one) for one in (pay, change) * 10], gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    said = race.summary(outcomes)
    assert faults == []
    assert said["done"] == 1
    assert said.keys() <= {"done", "not_payable", "bill_paid_on", "bill_not_changeable"}


@pytest.mark.parametrize("locked", [True, False])
def test_numbers_run_without_a_gap_whatever_is_issued(locked, settings, fresh_database, monkeypatch, record_property):
    """Visits, sales, changed bills and credit notes at once; the control counts without the counter's lock."""
    number = 50 if locked else 8
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients = _issuers(spa, number)
        db.session.remove()
        if not locked:
            db.session.execute(sa.text("ALTER TABLE invoices DROP CONSTRAINT uq_invoices_number"))
            db.session.commit()
            db.session.remove()
    gate = race.Gate()
    if locked:
        race.stop_after(monkeypatch, issuing, "next_number", gate)
    else:
        for module in (issuing, crediting):
            monkeypatch.setattr(module, "next_number", partial(_count_carelessly, gate))

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        numbers = db.session.execute(sa.select(Invoice.number)).scalars().all()
        db.session.remove()
        db.engine.dispose()
    said = race.summary(outcomes)
    guards = "locks and constraints" if locked else "neither"
    result = f"{number} clients: {said.get('done', 0)} done; {len(set(numbers))} numbers for {len(numbers)} invoices"
    record_property("race", ("issue bills of every kind", guards, result))
    if not locked:
        assert faults, said
        assert len(set(numbers)) < len(numbers)
        return
    assert said == {"done": number}
    assert faults == []
    assert sorted(int(one[-6:]) for one in numbers) == list(range(1, len(numbers) + 1))


def _issuers(spa: Spa, number: int) -> list[Client]:
    """By turns: a visit is completed, a sale made, a bill changed, a paid visit undone by a credit note."""
    product = factories.make_product(spa.branch, on_hand=1_000)
    goods = Bill(wares=(Ware("product", product),), discount=Discount(amount=1_000), reason="Regular")
    clients: list[Client] = []
    for place in range(number):
        customer = factories.make_customer()
        match place % 4:
            case 0:
                bill = Bill(wares=goods.wares, tip=Tip(10_000))
                visit = _visit(spa, customer, "in_progress")
                clients.append(partial(bookings.complete, visit, bill=bill, actor=spa.receptionist))
            case 1:
                sale: dict[str, Any] = {"customer_id": customer, "branch_id": spa.branch, "actor": spa.manager}
                clients.append(partial(billing.sell, bill=goods, **sale))
            case 2:
                sold = billing.sell(customer_id=customer, branch_id=spa.branch, bill=goods, actor=spa.manager)
                clients.append(partial(billing.change_bill, sold, bill=Bill(wares=goods.wares), actor=spa.manager))
            case _:
                visit = _visit(spa, customer, "completed")
                payments.take_payment(_invoice_of(visit), method="cash", amount=None, actor=spa.manager)
                clients.append(partial(bookings.undo_complete, visit, actor=spa.manager))
    return clients


def _visit(spa: Spa, customer: int, status: str) -> int:
    item = ItemRequest(spa.consultation, factories.make_staff(spa.branch, [spa.consultation]))
    at = factories.this_minute() - dt.timedelta(minutes=1)
    return factories.make_booking(spa, item, status=status, customer_id=customer, starts_at=at)


def _invoice_of(visit: int) -> int:
    return db.session.scalar(sa.select(Invoice.id).where(Invoice.booking_id == visit))


def _count_carelessly(gate: race.Gate, branch: Any) -> str:
    """The next number as one would count without a lock: read, then write."""
    year = clock.today(branch.timezone).year
    here = sa.and_(InvoiceCounter.branch_id == branch.id, InvoiceCounter.year == year)
    last = db.session.execute(sa.select(InvoiceCounter.last_number).where(here)).scalar() or 0
    gate.stop_here()
    db.session.execute(sa.update(InvoiceCounter).where(here).values(last_number=last + 1))
    return f"{branch.code}-{year}-{last + 1:06d}"
