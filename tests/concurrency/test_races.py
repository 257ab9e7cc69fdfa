"""Never lost, never twice: fifty clients at one thing, with each guard on, with either alone, and with none.

Every race has two guards of different kinds: row locks, which make the refusal friendly, and constraints, which make
the fault impossible. Each alone must do; with both off the same check must find the fault, else it proves nothing.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from spa_app import create_app
from spa_app.config import sqlalchemy_url
from spa_app.extensions import db
from spa_app.models import CustomerTreatment, Invoice, InvoiceLine
from spa_app.services import billing, blocks, bookings, payments, scheduling, treatments
from spa_app.services.bookings import ItemRequest
from spa_app.services.bookings import progress as bookings_progress
from spa_app.services.idempotency import once
from spa_app.services.transaction import in_transaction
from spa_app.services.treatments import sessions as treatment_sessions
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD, GUARDS
from tests.factories import Spa

Client = Callable[[], Any]
COUNTERS = (
    "DROP TRIGGER tr_customer_treatments_counters ON customer_treatments",
    "DROP TRIGGER tr_treatment_entries_counters ON treatment_entries",
)
VERSION = "DROP TRIGGER tr_bookings_version ON bookings"
STAFF_OVERLAP = ("ALTER TABLE booking_items DROP CONSTRAINT ex_booking_items_staff",)
ROOM_OVERLAP = ("ALTER TABLE booking_item_resources DROP CONSTRAINT ex_booking_item_resources_resource",)
PAID_SUMS = ("DROP TRIGGER tr_invoices_sums ON invoices", "DROP TRIGGER tr_payments_sums ON payments")


@dataclass(frozen=True)
class Race:
    """``clients(spa, n)`` makes n contenders of whom one may win; they stop after reading at ``read``."""

    name: str
    clients: Callable[[Spa, int], list[Client]]
    read: tuple[Any, str]
    constraints: tuple[str, ...]  # what takes the constraints off
    refusals: frozenset[str]  # what the losers may be told when all guards are on


def complete_one_visit(spa: Spa, number: int) -> list[Client]:
    """A visit of one prepaid and one paid service: one punch and one invoice."""
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    items = [
        ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0], card),
        ItemRequest(spa.consultation, spa.therapists[0]),
    ]
    booking = factories.make_booking(spa, *items, status="in_progress")
    return [partial(bookings.complete, booking, actor=spa.receptionist)] * number


def complete_a_paid_visit(spa: Spa, number: int) -> list[Client]:
    """A visit without a card: one invoice."""
    booking = factories.make_booking(spa, status="in_progress")
    return [partial(bookings.complete, booking, actor=spa.receptionist)] * number


def undo_one_completion(spa: Spa, number: int) -> list[Client]:
    """Take back one completion: one returned session."""
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = factories.make_booking(spa, status="completed", card=card)
    return [partial(bookings.undo_complete, booking, actor=spa.receptionist)] * number


def book_the_last_session(spa: Spa, number: int) -> list[Client]:
    """One session, and for each client a therapist of their own."""
    card = factories.make_card(spa.customer, spa.consultation, branch_id=spa.branch, sessions=1)
    staff = [factories.make_staff(spa.branch, [spa.consultation]) for _ in range(number)]
    at = factories.tomorrow_at(spa.branch, "10:00")
    return [_book(spa, spa.customer, at, ItemRequest(spa.consultation, one, None, card)) for one in staff]


def book_one_therapist(spa: Spa, number: int) -> list[Client]:
    """Overlapping times with one therapist."""
    return [
        _book(spa, factories.make_customer(), at, ItemRequest(spa.consultation, spa.therapists[0]))
        for at in _overlapping(spa, number)
    ]


def book_anyone(spa: Spa, number: int) -> list[Client]:
    """Overlapping times with "anyone", where one therapist can."""
    service = factories.make_service(minutes=30)
    factories.make_staff(spa.branch, [service])
    return [_book(spa, factories.make_customer(), at, ItemRequest(service)) for at in _overlapping(spa, number)]


def book_one_room(spa: Spa, number: int) -> list[Client]:
    """Overlapping times in one room, each with a therapist of their own."""
    staff = [factories.make_staff(spa.branch, [spa.facial]) for _ in range(number)]
    return [
        _book(spa, factories.make_customer(), at, ItemRequest(spa.facial, one, spa.rooms[0]))
        for at, one in zip(_overlapping(spa, number), staff, strict=True)
    ]


def move_to_one_therapist(spa: Spa, number: int) -> list[Client]:
    """Visits of many days, moved to overlapping times."""
    item = ItemRequest(spa.consultation, spa.therapists[0])
    return [
        partial(
            bookings.move, _stored(spa, at + dt.timedelta(days=1 + day), item), starts_at=at, actor=spa.receptionist
        )
        for day, at in enumerate(_overlapping(spa, number))
    ]


def move_to_one_room(spa: Spa, number: int) -> list[Client]:
    """Visits of many days with as many therapists, moved to overlapping times in one room."""
    return [
        partial(
            bookings.move,
            _stored(spa, at + dt.timedelta(days=1 + day), _facial_with_a_new_therapist(spa)),
            starts_at=at,
            resource_id=spa.rooms[0],
            actor=spa.receptionist,
        )
        for day, at in enumerate(_overlapping(spa, number))
    ]


def bring_back_to_one_therapist(spa: Spa, number: int) -> list[Client]:
    """Visits cancelled one after the other at overlapping times, all brought back."""
    item = ItemRequest(spa.consultation, spa.therapists[0])
    return [_cancelled(spa, at, item) for at in _overlapping(spa, number)]


def bring_back_to_one_room(spa: Spa, number: int) -> list[Client]:
    """The same in one room, with as many therapists."""
    return [_cancelled(spa, at, _facial_with_a_new_therapist(spa)) for at in _overlapping(spa, number)]


def pay_in_full(spa: Spa, number: int) -> list[Client]:
    """Different forms, each with the whole amount."""
    invoice = _open_invoice(spa)
    pay = partial(payments.take_payment, invoice, method="cash", amount=450_000, actor=spa.receptionist)
    return [_once(spa, uuid.uuid4(), pay) for _ in range(number)]


def spend_one_credit(spa: Spa, number: int) -> list[Client]:
    """Many invoices, and a store credit that covers one."""
    first = _open_invoice(spa)
    payments.take_payment(first, method="cash", amount=450_000, actor=spa.manager)
    booking = db.session.scalar(sa.select(Invoice.booking_id).where(Invoice.id == first))
    bookings.undo_complete(booking, actor=spa.manager)
    at = factories.this_minute() - dt.timedelta(days=1)
    invoices = [_open_invoice(spa, at - dt.timedelta(hours=2 * hours)) for hours in range(number)]
    return [
        partial(payments.take_payment, invoice, method="store_credit", amount=450_000, actor=spa.receptionist)
        for invoice in invoices
    ]


def void_or_book(spa: Spa, number: int) -> list[Client]:
    """The unpaid sale of a card, voided and booked on at once."""
    plan = factories.make_plan([(spa.consultation, 1)])
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.manager)
    line = sa.select(InvoiceLine.id).where(InvoiceLine.invoice_id == sale)
    card = db.session.scalar(sa.select(CustomerTreatment.id).where(CustomerTreatment.invoice_line_id.in_(line)))
    staff = [factories.make_staff(spa.branch, [spa.consultation]) for _ in range(number - 1)]
    at = factories.tomorrow_at(spa.branch, "10:00")
    void = partial(billing.void_sale, sale, reason="a mistake", actor=spa.manager)
    return [void] + [_book(spa, spa.customer, at, ItemRequest(spa.consultation, one, None, card)) for one in staff]


RACES = [
    Race(
        "complete one visit (a card and an invoice)",
        complete_one_visit,
        (treatment_sessions, "worth"),
        (
            VERSION,
            *COUNTERS,
            "DROP INDEX uq_treatment_entries_live_punch",
            "DROP INDEX uq_invoices_live_booking",
            "DROP TRIGGER tr_treatment_entries_append_only ON treatment_entries",
        ),
        frozenset({"wrong_status"}),
    ),
    Race(
        "complete one visit (an invoice)",
        complete_a_paid_visit,
        (bookings_progress, "list_items"),
        (VERSION, "DROP INDEX uq_invoices_live_booking"),
        frozenset({"wrong_status"}),
    ),
    Race(
        "undo one completion",
        undo_one_completion,
        (treatment_sessions, "find_live"),
        (
            VERSION,
            *COUNTERS,
            "DROP INDEX uq_treatment_entries_live_hold",
            "DROP TRIGGER tr_treatment_entries_append_only ON treatment_entries",
        ),
        frozenset({"wrong_status"}),
    ),
    Race(
        "book the last session of a card",
        book_the_last_session,
        (treatments, "check_usable"),
        COUNTERS,
        frozenset({"card_used_up"}),
    ),
    Race(
        "book one therapist",
        book_one_therapist,
        (scheduling, "busy_now"),
        STAFF_OVERLAP,
        frozenset({"staff_busy"}),
    ),
    Race(
        "book anyone, where one can",
        book_anyone,
        (scheduling, "busy_now"),
        STAFF_OVERLAP,
        frozenset({"staff_busy"}),
    ),
    Race(
        "book one room",
        book_one_room,
        (scheduling, "busy_now"),
        ROOM_OVERLAP,
        frozenset({"resource_busy"}),
    ),
    Race(
        "move to one therapist",
        move_to_one_therapist,
        (scheduling, "busy_now"),
        STAFF_OVERLAP,
        frozenset({"staff_busy"}),
    ),
    Race(
        "move to one room",
        move_to_one_room,
        (scheduling, "busy_now"),
        ROOM_OVERLAP,
        frozenset({"resource_busy"}),
    ),
    Race(
        "bring cancelled visits back to one therapist",
        bring_back_to_one_therapist,
        (scheduling, "busy_now"),
        STAFF_OVERLAP,
        frozenset({"staff_busy"}),
    ),
    Race(
        "bring cancelled visits back to one room",
        bring_back_to_one_room,
        (scheduling, "busy_now"),
        ROOM_OVERLAP,
        frozenset({"resource_busy"}),
    ),
    Race(
        "pay one invoice in full, by different forms",
        pay_in_full,
        (payments, "_check_payment"),
        PAID_SUMS,
        frozenset({"not_payable"}),
    ),
    Race(
        "spend one store credit on different invoices",
        spend_one_credit,
        (payments, "lock_customer"),
        ("ALTER TABLE customers DROP CONSTRAINT ck_customers_credit",),
        frozenset({"no_credit"}),
    ),
    Race(
        "void the sale of a card, and book on it",
        void_or_book,
        (treatments, "lock_cards"),
        (*COUNTERS, "ALTER TABLE customer_treatments DROP CONSTRAINT ck_customer_treatments_within_total"),
        frozenset({"card_used_up", "card_cancelled", "card_in_use"}),
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
    if guards == GUARDS[0] and "wrong_status" in which.refusals:
        losers = [outcome.error for outcome in outcomes if outcome.error is not None]
        assert {error.params["present"] for error in losers} <= {"completed", "in_progress"}


@pytest.mark.parametrize("keyed", [True, False])
def test_identical_payment_posts_pay_once(keyed, settings, fresh_database, monkeypatch, record_property):
    number = 50 if keyed else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        invoice = _open_invoice(spa)
        pay = partial(payments.take_payment, invoice, method="cash", amount=9_000, actor=spa.receptionist)
        clients = [_once(spa, uuid.uuid4(), pay)] * number
        db.session.remove()
    if not keyed:
        with psycopg.connect(url) as connection:
            connection.execute("ALTER TABLE idempotency_keys DROP CONSTRAINT pk_idempotency_keys")
    gate = race.stop_after(monkeypatch, payments, "_check_payment")

    outcomes = race.run(app, url, clients, gate)

    with app.app_context():
        faults = find_faults()
        paid = db.session.execute(sa.text("SELECT id FROM payments")).scalars().all()
        db.session.remove()
        db.engine.dispose()
    said = race.summary(outcomes)
    guards = "locks and constraints" if keyed else "neither"
    record_property(
        "race", ("identical payment posts", guards, f"{number} clients: {said['done']} done; {len(paid)} payments")
    )
    assert faults == []
    if keyed:
        assert len(paid) == 1
        assert [outcome.result for outcome in outcomes] == paid * number
    else:
        assert len(paid) == number


@pytest.mark.parametrize("what", ["therapist", "room"])
@pytest.mark.parametrize("locked", [True, False])
def test_a_visit_and_a_blocked_time_never_meet(what, locked, settings, fresh_database, monkeypatch, record_property):
    """Some book a stretch and some block it: one visit, or any number of blocks; without the locks, both."""
    number = 50 if locked else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        at = factories.tomorrow_at(spa.branch, "10:00")
        thing = {"staff_id": spa.therapists[0]} if what == "therapist" else {"resource_id": spa.rooms[0]}
        block = partial(
            blocks.block_time,
            starts_at=at,
            ends_at=at + dt.timedelta(hours=1),
            kind="blocked",
            reason="x",
            actor=spa.receptionist,
            **thing,
        )
        book = _book(spa, spa.customer, at, ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]))
        clients = [book, block] * (number // 2)
        db.session.remove()
    gates = race.stop_after(monkeypatch, scheduling, "busy_now")
    find = blocks.visits_within

    def find_and_stop(*args: Any) -> Any:
        found = find(*args)
        gates.stop_here()
        return found

    monkeypatch.setattr(blocks, "visits_within", find_and_stop)
    if not locked:
        race.take_off_locks(monkeypatch)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gates)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    said = race.summary(outcomes)
    guards = "locks only" if locked else "neither"
    result = f"{number} clients: " + ", ".join(f"{count} {word}" for word, count in said.items())
    record_property("race", (f"book and block one {what}", guards, f"{result}; {len(faults)} faults"))
    if not locked:
        assert faults, said
        return
    assert faults == []
    visits = [one for one, client in zip(outcomes, clients, strict=True) if client is book and one.said == "done"]
    stored = [one for one, client in zip(outcomes, clients, strict=True) if client is block and one.said == "done"]
    assert (len(visits), len(stored)) in ((1, 0), (0, number // 2)), said
    assert said.keys() <= {"done", "visit_in_the_way", "staff_blocked", "room_closed", "staff_busy"}


def make_app(settings, url, number):
    """The application on a database, with a connection for each of so many clients."""
    app = create_app(replace(settings, database_url=url))
    with app.app_context():
        db.engine.dispose()
        # A connection for each client; patience, because fifty take turns on a machine that may be busy.
        db.engines[None] = sa.create_engine(
            sqlalchemy_url(url),
            pool_size=number + 2,
            connect_args={"options": "-c timezone=UTC -c lock_timeout=30s -c statement_timeout=60s"},
        )
    return app


def _once(spa: Spa, key: uuid.UUID, work: Client) -> Client:
    return partial(once, key, action="pay", fingerprint="", actor=spa.receptionist, work=work)


def _book(spa: Spa, customer: int, at: dt.datetime, item: ItemRequest) -> Client:
    return partial(
        bookings.book, customer_id=customer, branch_id=spa.branch, starts_at=at, items=[item], actor=spa.receptionist
    )


def _overlapping(spa: Spa, number: int) -> list[dt.datetime]:
    at = factories.tomorrow_at(spa.branch, "10:00")
    return [at + dt.timedelta(seconds=30 * step) for step in range(number)]


def _stored(spa: Spa, at: dt.datetime, item: ItemRequest) -> int:
    return factories.make_booking(spa, item, starts_at=at, customer_id=factories.make_customer())


def _facial_with_a_new_therapist(spa: Spa) -> ItemRequest:
    return ItemRequest(spa.facial, factories.make_staff(spa.branch, [spa.facial]), spa.rooms[0])


def _cancelled(spa: Spa, at: dt.datetime, item: ItemRequest) -> Client:
    booking = _stored(spa, at, item)
    bookings.cancel(booking, reason="ill", actor=spa.manager)
    return partial(bookings.undo_cancel, booking, actor=spa.receptionist)


def _open_invoice(spa: Spa, at: dt.datetime | None = None) -> int:
    booking = factories.make_booking(spa, status="completed", starts_at=at)
    return db.session.scalar(sa.select(Invoice.id).where(Invoice.booking_id == booking))
