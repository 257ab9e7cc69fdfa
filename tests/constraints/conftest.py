"""A database with at least a row, and mostly two, in every table; each test's changes are rolled back."""

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import psycopg
import pytest
from sqlalchemy import func

from spa_app import clock, create_app
from spa_app.config import Settings
from spa_app.embedded import EmbeddedPostgres
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    Branch,
    Customer,
    CustomerFile,
    CustomerLink,
    Invoice,
    InvoiceLine,
    JobRun,
    RecordAccess,
    TreatmentNote,
)
from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.services import (
    billing,
    blocks,
    bookings,
    day_close,
    deposits,
    drawers,
    gift_card_desk,
    papers,
    payments,
    promotions,
    refunds,
    rosters,
    shift_templates,
    treatments,
)
from spa_app.services.bookings import ItemRequest
from spa_app.services.customer_merging import mark_distinct, merge_customers
from spa_app.services.idempotency import once
from spa_app.services.transaction import atomic
from tests import factories
from tests.books import assert_books_balance
from tests.conftest import throw_away_databases


@pytest.fixture(scope="module")
def full_database(settings: Settings, postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a database in which each table holds committed rows made by the services."""
    with throw_away_databases(postgres) as make:
        url = make()
        app = create_app(replace(settings, database_url=url))
        with app.app_context():
            fill()
            assert_books_balance()
            db.session.remove()
            db.engine.dispose()
        yield url


@pytest.fixture
def connection(full_database: str) -> Iterator[psycopg.Connection]:
    """A connection as the tables' owner; what it does is rolled back."""
    with psycopg.connect(full_database) as connection:
        yield connection
        connection.rollback()


def fill() -> None:
    """At least a row in every table, made by the services."""
    spa = factories.make_spa()
    manager = spa.manager
    _drawers(spa)
    factories.make_customer()
    factories.make_resource_type()
    factories.make_plan([(spa.massage, 2)], branch_ids=[spa.branch, spa.other_branch])
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    factories.make_card(spa.customer, None, branch_id=spa.branch)
    billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=manager)
    now = factories.this_minute()
    for hours, room in ((0, 0), (3, 1)):
        item = ItemRequest(spa.facial, spa.therapists[0], spa.rooms[room], card)
        factories.make_booking(spa, item, starts_at=now - dt.timedelta(hours=hours), status="completed")
    factories.make_booking(spa, starts_at=now - dt.timedelta(hours=6), card=card)
    factories.make_booking(spa, starts_at=now - dt.timedelta(hours=9), status="cancelled")
    factories.make_booking(spa, starts_at=now - dt.timedelta(hours=12), status="completed")
    undone = factories.make_booking(spa, starts_at=now - dt.timedelta(hours=15), status="completed")
    with atomic() as session:
        invoice = session.scalar(db.select(Invoice.id).where(Invoice.booking_id == undone))
        payments.take_payment(invoice, method="cash", amount=450_000, actor=manager)
    bookings.undo_complete(undone, actor=manager)
    _refunds(spa, now - dt.timedelta(hours=18))
    for _ in range(2):
        papers.record_print(invoice, paper="receipt", way="print", actor=manager)
    _cards(spa)
    _bills(spa)
    _schedules(spa)
    factories.make_room(spa.branch, spa.room_type, "Suite", places=2)
    for days in (2, 3):
        factories.make_party(spa, starts_at=factories.local_at(spa.branch, "10:00", days=days))
    _deposits(spa)
    _promotions(spa)
    _waitlist(spa)
    _gift_cards(spa)
    _records(spa)
    once(uuid.uuid4(), action="tidy", fingerprint="", actor=manager, work=lambda: 1)
    with atomic() as session:
        session.add_all(
            JobRun(job="expire_treatments", branch_id=spa.branch, run_for=dt.date(2026, 1, day), started_at=clock.now())
            for day in (1, 2)
        )


def _refunds(spa: factories.Spa, starts_at: dt.datetime) -> None:
    """A facial of 450,000, 400,000 of it paid: of 100,000 half settles the rest, half is cash; 300,000 is credit."""
    visit = factories.make_booking(spa, starts_at=starts_at, status="completed")
    with atomic() as session:
        invoice = session.scalar(db.select(Invoice.id).where(Invoice.booking_id == visit))
        line = session.scalar(db.select(InvoiceLine.id).where(InvoiceLine.invoice_id == invoice))
    give_back = partial(refunds.refund_invoice, invoice, reason="x", actor=spa.manager)
    payments.take_payment(invoice, method="cash", amount=100_000, actor=spa.manager)
    payments.take_payment(invoice, method="cash", amount=300_000, actor=spa.manager)
    give_back(lines={line: refunds.Wish(100_000)})
    give_back(lines={line: refunds.Wish(300_000)}, to="store_credit")


def _drawers(spa: factories.Spa) -> None:
    """Two drawers: sessions closed counted and uncounted, and an open one; two days closed, one of them twice."""
    first, second = (factories.make_drawer(spa.branch, opening=500_000) for _ in range(2))
    for drawer, count in ((first, drawers.Count({100_000: 4})), (second, None)):
        session = factories.open_session_of(drawer)
        drawers.move_cash(session, kind="expense", amount=20_000, reason="flowers", actor=spa.manager)
        drawers.choose_drawer(drawer, actor=spa.manager)
        left = 300_000 if count else None
        drawers.close_drawer(session, count=count, left_amount=left, actor=spa.manager)
    drawers.open_drawer(first, count=drawers.Count({100_000: 3}), actor=spa.manager)
    today = clock.today(factories.TIMEZONE)
    for days in (3, 2):
        closed_on = today - dt.timedelta(days=days)
        report = day_close.close_day(spa.branch, on=closed_on, uncounted=False, actor=spa.manager)
    day_close.reopen_day(report, reason="forgot the tips", actor=spa.manager)
    day_close.close_day(spa.branch, on=closed_on, uncounted=False, actor=spa.manager)


def _records(spa: factories.Spa) -> None:
    for _ in range(2):
        merge_customers(spa.customer, factories.make_customer(), actor=spa.manager)
    friends = [factories.make_customer() for _ in range(3)]
    mark_distinct(friends[0], friends[1], actor=spa.manager)
    with atomic() as session:
        visit = session.scalar(db.select(func.min(Booking.id)))
        files = [
            CustomerFile(
                customer_id=friends[0], kind="photo", media_type="image/png", size_bytes=9, stored_as=uuid.uuid4()
            )
            for _ in range(2)
        ]
        session.add_all(files)
        session.flush()
        session.add_all(
            (
                CustomerLink(customer_id=friends[0], relative_id=friends[1], relation="parent"),
                CustomerLink(customer_id=friends[0], relative_id=friends[2], relation="sibling"),
                TreatmentNote(booking_id=visit, author_id=spa.therapist.user_id, body="Calm skin"),
                RecordAccess(customer_id=friends[0], what="health", actor_id=spa.manager.user_id),
                RecordAccess(customer_id=friends[0], what="file", file_id=files[0].id, actor_id=spa.manager.user_id),
            )
        )


def _cards(spa: factories.Spa) -> None:
    cards = [factories.make_card(spa.customer, spa.massage, branch_id=spa.branch) for _ in range(2)]
    for card in cards:
        family = factories.make_customer()
        treatments.share_card(card, customer_id=family, session_limit=1, actor=spa.manager)
        treatments.transfer_sessions(card, customer_id=family, sessions=1, reason="a gift", actor=spa.manager)
        refunds.refund_card(
            card, basis="pro_rata", fee_amount=0, pay_by="cash", shown_amount=None, reason="moves", actor=spa.manager
        )


def _bills(spa: factories.Spa) -> None:
    """Two products, and two bills with a product, a tip and discounts of each scope; each was changed once."""
    for number in range(2):
        bill = Bill(
            wares=(Ware("product", factories.make_product(spa.branch), 1, Discount(share_bp=500)),),
            discount=Discount(amount=1_000),
            reason=f"Regular {number}",
            tip=Tip(20_000, staff_ids=spa.therapists),
        )
        sale = billing.sell(customer_id=spa.customer, branch_id=spa.branch, bill=bill, actor=spa.manager)
        billing.change_bill(sale, bill=bill, actor=spa.manager)


def _gift_cards(spa: factories.Spa) -> None:
    for _ in range(2):
        code = factories.make_gift_card(spa, amount=100_000).code
        sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
        payments.take_payment(sale, method="gift_card", amount=30_000, gift_card_code=code, actor=spa.manager)
    given = gift_card_desk.issue_gift_card(
        amount=50_000, branch_id=spa.branch, customer_id=spa.customer, reason="sorry", actor=spa.manager
    )
    gift_card_desk.adjust_gift_card(given, amount=1_000, reason="typo", actor=spa.manager)


def _deposits(spa: factories.Spa) -> None:
    visit = factories.make_booking(spa, starts_at=factories.local_at(spa.branch, "18:00", days=6))
    deposit = deposits.take_deposit(visit, method="cash", amount=100_000, actor=spa.receptionist)
    deposits.return_deposit(deposit, method="cash", amount=40_000, reason="asked", actor=spa.manager)


def _promotions(spa: factories.Spa) -> None:
    with atomic() as session:
        for code in ("TET", "HE"):
            factories.make_promotion(code, max_uses=5)
            branch = session.get_one(Branch, spa.branch)
            claimed = promotions.claim(code, branch=branch, customer_id=spa.customer, total_amount=100_000)
            invoice = billing.issue(
                branch=branch, customer_id=spa.customer, lines=[billing.Line("fee", code, 0, 0)], actor=spa.manager
            )[0]
            promotions.record_use(claimed, invoice_id=invoice.id, customer_id=spa.customer)


def _waitlist(spa: factories.Spa) -> None:
    entry = factories.make_entry(spa, staff_id=spa.therapists[0], from_time=dt.time(9), until_time=dt.time(12))
    factories.make_entry(spa, spa.facial, spa.consultation)
    starts_at = factories.tomorrow_at(spa.branch, "16:00")
    bookings.hold_place(entry, starts_at=starts_at, staff_id=spa.therapists[1], actor=spa.receptionist)


def _schedules(spa: factories.Spa) -> None:
    day = dt.date(2026, 3, 2)
    rosters.set_shifts(
        staff_id=spa.therapists[0],
        works_on=day,
        periods=[(dt.time(8), dt.time(12)), (dt.time(13), dt.time(17))],
        actor=spa.manager,
    )
    rosters.set_exception(
        branch_id=spa.branch,
        happens_on=day,
        periods=[(dt.time(8), dt.time(12)), (dt.time(13), dt.time(17))],
        reason="Staff day",
        actor=spa.manager,
    )
    monday = dt.date(2026, 3, 9)
    for week in range(2):
        about = {"branch_id": spa.branch, "monday": monday + dt.timedelta(weeks=week), "actor": spa.manager}
        halves = [(dt.time(8), dt.time(12)), (dt.time(13), dt.time(17))]
        rosters.plan_cells(cells=[rosters.Cell(spa.therapists[0], 0)], periods=halves, **about)
        rosters.publish_week(**about)
        rosters.plan_cells(cells=[rosters.Cell(spa.therapists[1], 0)], periods=halves, **about)
        shift_templates.save_template(branch_id=spa.branch, name=f"Split {week}", periods=halves, actor=spa.manager)
    at = factories.tomorrow_at(spa.branch, "12:00")
    for thing in ({"staff_id": spa.therapists[0]}, {"resource_id": spa.rooms[0]}):
        blocks.block_time(
            **thing, starts_at=at, ends_at=at + dt.timedelta(hours=1), kind="blocked", reason="x", actor=spa.manager
        )
    with atomic() as session:
        session.execute(db.update(Customer).values(preferred_staff_id=spa.therapists[0]))
