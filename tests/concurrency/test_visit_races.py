"""One visit, many desks: opposite acts at once, and editors who all saw the same version.

The guards are the row locks and, as the constraint, the version of a visit that must grow by one (besides those that
already stand at what is written). Each alone must do; with both off the books or the version must show the fault.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from spa_app.extensions import db
from spa_app.services import bookings, payments
from spa_app.services.billing import withdrawing
from spa_app.services.bookings import ItemRequest
from spa_app.services.bookings import items as bookings_items
from spa_app.services.bookings import policy as bookings_policy
from spa_app.services.bookings import progress as bookings_progress
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.concurrency.test_races import COUNTERS, VERSION, make_app
from tests.factories import Spa
from tests.services.checks import invoice_of

Client = Callable[[], Any]
LIVE_ENTRIES = (
    *COUNTERS,
    "DROP INDEX uq_treatment_entries_live_punch",
    "DROP INDEX uq_treatment_entries_live_hold",
    "DROP TRIGGER tr_treatment_entries_append_only ON treatment_entries",
)
# A change that was written and then overwritten: the audit log knows of more changes than the visit does.
LOST = """
    SELECT b.id FROM bookings b JOIN audit_log a ON a.entity = 'booking' AND a.entity_id = b.id
    WHERE a.action NOT IN ('policy_waived', 'booking_hours_overridden') GROUP BY b.id HAVING count(*) <> b.version"""


@dataclass(frozen=True)
class Race:
    """``clients(spa, n)`` makes n contenders of whom one may win; they stop after reading at each of ``reads``."""

    name: str
    clients: Callable[[Spa, int], list[Client]]
    reads: tuple[tuple[Any, str], ...]
    constraints: tuple[str, ...]
    refusals: frozenset[str]


def cancel_or_complete(spa: Spa, number: int) -> list[Client]:
    """A visit on a card and to pay: half of the desks cancel it late, half complete it."""
    factories.set_policy(spa.branch, late_cancel_policy="forfeit")
    return _cancel_or_complete(spa, number)


def cancel_for_a_fee_or_complete(spa: Spa, number: int) -> list[Client]:
    """The same where a late cancellation costs a fee: one invoice, of the one kind or the other."""
    factories.set_policy(spa.branch, late_cancel_policy="fee", late_cancel_fee_bp=5_000)
    return _cancel_or_complete(spa, number)


def undo_a_no_show_or_pay_its_fee(spa: Spa, number: int) -> list[Client]:
    """Half of the desks bring the visit back, half take the money: the fee is void, or paid."""
    factories.set_policy(spa.branch, no_show_policy="fee", no_show_fee_amount=200_000)
    booking = factories.make_booking(spa, status="no_show")
    undo = partial(bookings.undo_cancel, booking, actor=spa.receptionist)
    pay = partial(payments.take_payment, invoice_of(booking), method="cash", amount=200_000, actor=spa.receptionist)
    return [undo, pay] * (number // 2)


def edit_one_service(spa: Spa, number: int) -> list[Client]:
    """Everybody saw version 1, and gives the service to another therapist and card."""
    item = ItemRequest(spa.consultation, spa.therapists[0])
    booking = factories.make_booking(spa, item, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    (item_id,) = _items(booking)
    return [
        partial(
            bookings.change_item,
            booking,
            item_id,
            ItemRequest(
                spa.consultation,
                factories.make_staff(spa.branch, [spa.consultation]),
                None,
                factories.make_card(spa.customer, spa.consultation, branch_id=spa.branch),
            ),
            version=1,
            actor=spa.receptionist,
        )
        for _ in range(number)
    ]


def cancel_both_services(spa: Spa, number: int) -> list[Client]:
    """Two services, each cancelled alone by half of the desks: one of them must stand."""
    items = [ItemRequest(spa.consultation, spa.therapists[0]), ItemRequest(spa.consultation, spa.therapists[0])]
    booking = factories.make_booking(spa, *items, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    return [
        partial(bookings.cancel_item, booking, item, version=1, actor=spa.receptionist) for item in _items(booking)
    ] * (number // 2)


def add_services(spa: Spa, number: int) -> list[Client]:
    """Each adds one with a therapist of their own to what they saw: two would run at the same time."""
    booking = factories.make_booking(
        spa, ItemRequest(spa.consultation, spa.therapists[0]), starts_at=factories.tomorrow_at(spa.branch, "10:00")
    )
    staff = [factories.make_staff(spa.branch, [spa.consultation]) for _ in range(number)]
    return [
        partial(bookings.add_item, booking, ItemRequest(spa.consultation, one), version=1, actor=spa.receptionist)
        for one in staff
    ]


RACES = [
    Race(
        "cancel (forfeit) or complete one visit",
        cancel_or_complete,
        ((bookings_policy, "list_items"), (bookings_progress, "list_items")),
        (VERSION, *LIVE_ENTRIES, "DROP INDEX uq_invoices_live_booking"),
        frozenset({"wrong_status"}),
    ),
    Race(
        "cancel (fee) or complete one visit",
        cancel_for_a_fee_or_complete,
        ((bookings_policy, "list_items"), (bookings_progress, "list_items")),
        (VERSION, *LIVE_ENTRIES, "DROP INDEX uq_invoices_live_booking"),
        frozenset({"wrong_status"}),
    ),
    Race(
        "undo a no-show or pay its fee",
        undo_a_no_show_or_pay_its_fee,
        ((withdrawing, "lock_invoice"), (payments, "lock_invoice")),
        (
            VERSION,
            "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_status_follows_payments",
            "ALTER TABLE invoices DROP CONSTRAINT ck_invoices_void",
            "DROP TRIGGER tr_invoices_sums ON invoices",
            "DROP TRIGGER tr_payments_sums ON payments",
        ),
        frozenset({"wrong_status", "manager_only", "not_payable"}),
    ),
    Race(
        "edit one service of a visit",
        edit_one_service,
        ((bookings_items, "list_items"),),
        (VERSION, *LIVE_ENTRIES),
        frozenset({"changed_meanwhile"}),
    ),
    Race(
        "cancel each of two services alone",
        cancel_both_services,
        ((bookings_items, "list_items"),),
        (VERSION,),
        frozenset({"changed_meanwhile"}),
    ),
    Race(
        "add a service to one visit",
        add_services,
        ((bookings_items, "list_items"),),
        (VERSION,),
        frozenset({"changed_meanwhile"}),
    ),
]


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.clients.__name__)
def test_one_of_many_wins(which, guards, settings, fresh_database, monkeypatch, record_property):
    hold(which, guards, settings, fresh_database(), monkeypatch, record_property)


def hold(which, guards, settings, url, monkeypatch, record_property):
    """Hold a race with these guards, and judge it by the books and by the versions of its visits."""
    number = 50 if guards == GUARDS[0] else 6
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        clients = which.clients(spa, number)
        db.session.remove()
    assert len(clients) == number
    race.take_off(guards, url, which.constraints, monkeypatch)
    gate = race.Gate()
    for owner, name in which.reads:
        race.stop_after(monkeypatch, owner, name, gate)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults() + [f"a change was lost: {row}" for row in db.session.execute(sa.text(LOST)).all()]
        db.session.remove()
        db.engine.dispose()
    race.judge(which.name, guards, outcomes, faults, which.refusals, record_property)


def _cancel_or_complete(spa: Spa, number: int) -> list[Client]:
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    items = [
        ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0], card),
        ItemRequest(spa.consultation, spa.therapists[0]),
    ]
    booking = factories.make_booking(spa, *items, status="in_progress")
    cancel = partial(bookings.cancel, booking, reason="ill", actor=spa.receptionist)
    return [cancel, partial(bookings.complete, booking, actor=spa.receptionist)] * (number // 2)


def _items(booking: int) -> list[int]:
    query = sa.text("SELECT id FROM booking_items WHERE booking_id = :id ORDER BY position")
    return list(db.session.execute(query, {"id": booking}).scalars())
