"""Proving the books: silent when they are right, and naming each fault when something got past every constraint."""

import datetime as dt

import psycopg
import pytest
from sqlalchemy import text

from spa_app import clock
from spa_app.errors import ConflictError
from spa_app.extensions import db
from spa_app.models import AuditLog, CustomerTreatment, Invoice
from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.services import (
    billing,
    bookings,
    day_close,
    deposits,
    drawers,
    expiry,
    payments,
    reconciliation,
    refunds,
    treatments,
)
from spa_app.services.actor import SYSTEM
from tests.factories import (
    TIMEZONE,
    Spa,
    make_booking,
    make_card,
    make_customer,
    make_drawer,
    make_entry,
    make_gift_card,
    make_product,
    make_promotion,
    open_session_of,
    set_policy,
    tomorrow_at,
)


@pytest.fixture
def busy_spa(spa: Spa) -> Spa:
    """A spa with cards, visits of each kind, an unpaid, a partly paid and a credited invoice, and an expired card."""
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=5)
    make_booking(spa, card=card, status="completed")
    soon = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)
    make_booking(spa, card=card, starts_at=soon + dt.timedelta(days=1))
    make_booking(spa, card=card, starts_at=soon + dt.timedelta(days=2), status="cancelled")
    paid = make_booking(spa, starts_at=soon - dt.timedelta(hours=5), status="completed")
    (invoice_id,) = db.session.execute(text("SELECT id FROM invoices WHERE booking_id = :id"), {"id": paid}).one()
    payments.take_payment(invoice_id, method="cash", amount=450_000, actor=SYSTEM)
    bookings.undo_complete(paid, actor=SYSTEM)
    bookings.complete(paid, actor=SYSTEM)
    (again,) = db.session.execute(text("SELECT max(id) FROM invoices")).one()
    payments.take_payment(again, method="store_credit", amount=200_000, actor=SYSTEM)
    set_policy(spa.branch, no_show_policy="fee", no_show_fee_bp=5_000)
    make_booking(spa, starts_at=soon - dt.timedelta(hours=10), status="no_show")
    for minutes in (0, 30):
        starts_at = tomorrow_at(spa.branch, "18:00") + dt.timedelta(minutes=minutes)
        entry = make_entry(spa, spa.consultation)
        held = bookings.hold_place(entry, starts_at=starts_at, actor=spa.receptionist)
    bookings.confirm(held, actor=SYSTEM)
    make_card(spa.customer, None, branch_id=spa.branch, expiry_date=dt.date(2020, 1, 1))
    expiry.expire_due()
    treatments.transfer_sessions(card, customer_id=make_customer(), sessions=2, reason="a gift", actor=SYSTEM)
    family = make_customer()
    shared = make_card(spa.customer, None, branch_id=spa.branch)
    treatments.share_card(shared, customer_id=family, session_limit=1, actor=SYSTEM)
    make_booking(spa, card=shared, customer_id=family, starts_at=soon + dt.timedelta(days=3))
    frozen, refunded = (make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=4) for _ in range(2))
    treatments.freeze_card(frozen, reason="abroad", actor=SYSTEM)
    gift_card = make_gift_card(spa, amount=100_000)
    payments.take_payment(
        again, method="gift_card", amount=30_000, gift_card_code=gift_card.code, actor=spa.receptionist
    )
    other = make_booking(spa, starts_at=soon - dt.timedelta(hours=15), status="completed")
    (in_part,) = db.session.execute(text("SELECT id FROM invoices WHERE booking_id = :id"), {"id": other}).one()
    payments.take_payment(in_part, method="cash", amount=450_000, actor=SYSTEM)
    (line,) = db.session.execute(text("SELECT id FROM invoice_lines WHERE invoice_id = :id"), {"id": in_part}).one()
    refunds.refund_invoice(in_part, lines={line: refunds.Wish(50_000)}, reason="cold room", actor=SYSTEM)
    refunds.refund_card(
        refunded, basis="pro_rata", fee_amount=0, pay_by="cash", shown_amount=None, reason="moves", actor=SYSTEM
    )
    product = make_product(spa.branch)
    make_promotion("TET")
    bill = Bill(
        wares=(Ware("product", product, 2),),
        discount=Discount(share_bp=1_000),
        reason="Regular",
        code="TET",
        tip=Tip(50_000, staff_ids=spa.therapists),
    )
    billing.sell(customer_id=spa.customer, branch_id=spa.branch, bill=bill, actor=SYSTEM)
    deposits.take_deposit(held, method="cash", amount=50_000, actor=SYSTEM)
    drawer = make_drawer(spa.branch, opening=500_000)
    drawers.move_cash(open_session_of(drawer), kind="paid_in", amount=1, reason="change", actor=SYSTEM)
    count = drawers.Count({500_000: 2})
    drawers.close_drawer(open_session_of(drawer), count=count, left_amount=None, reason="found", actor=SYSTEM)
    day_close.close_day(spa.branch, on=clock.today(TIMEZONE), uncounted=True, actor=SYSTEM)
    return spa


def _force(statement: str) -> None:
    """Change stored rows behind every trigger's back, as only a superuser or a broken disk can."""
    db.session.execute(text("SET LOCAL session_replication_role = replica"))
    db.session.execute(text(statement))
    db.session.commit()


def test_nothing_is_wrong_with_books_that_were_kept(busy_spa: Spa):
    assert reconciliation.list_faults() == []


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE drawer_sessions SET expected_amount = 1, variance_amount = counted_amount - 1", "drawer_expected"),
        ("UPDATE cash_movements SET amount = 2", "drawer_expected"),
        ("UPDATE cash_movements SET kind = 'drop'", "drawer_ledger"),
        ("DELETE FROM journal_entries WHERE event = 'drawer_counted'", "drawer_ledger"),
        ("UPDATE day_closes SET totals = jsonb_set(totals, '{takings,cash}', '5')", "day_takings"),
        ("UPDATE journal_entries SET posted_on = posted_on - 1 WHERE event = 'payment_taken'", "day_takings"),
        ("UPDATE customer_treatments SET used_sessions = used_sessions + 1 WHERE used_sessions = 1", "card_counters"),
        ("UPDATE customer_treatments SET held_sessions = 0 WHERE held_sessions = 1", "card_counters"),
        ("DELETE FROM treatment_entries WHERE kind = 'expire'", "card_counters"),
        ("UPDATE waitlist_entries SET status = 'booked'", "waitlist_booked"),
        ("UPDATE waitlist_entries SET status = 'waiting'", "waitlist_booked"),
        ("UPDATE customer_treatments SET recognised_amount = 1 WHERE used_sessions = 1", "card_amounts"),
        ("UPDATE customer_treatments SET status = 'frozen' WHERE status = 'active'", "card_status"),
        (
            "UPDATE customer_treatments SET deferred_amount = deferred_amount + 1 WHERE used_sessions = 1",
            "card_liability",
        ),
        ("UPDATE journal_lines SET amount = amount - 1 WHERE account_id = 2110 AND amount > 0", "card_liability"),
        ("UPDATE treatment_entries SET value_amount = value_amount + 1 WHERE kind = 'transfer_in'", "card_transfers"),
        ("UPDATE customer_treatments SET deferred_amount = deferred_amount + 1 WHERE origin_id > 0", "card_lots"),
        (
            "UPDATE customer_treatments SET frozen_on = NULL, status = 'active' WHERE frozen_on > '2000-1-1'",
            "card_freezes",
        ),
        ("DELETE FROM treatment_shares", "card_shares"),
        ("DELETE FROM payouts", "payouts"),
        (
            "UPDATE invoices SET credited_amount = credited_amount - 1 WHERE credited_amount > 0 AND NOT is_credited",
            "invoice_credited",
        ),
        ("UPDATE invoice_lines SET amount = amount * 10 WHERE corrects_id > 0", "lines_credited"),
        ("UPDATE payouts SET amount = amount * 10 WHERE payment_id > 0", "payments_returned"),
        ("DELETE FROM journal_lines WHERE id = (SELECT max(id) FROM journal_lines)", "journal_balance"),
        ("UPDATE invoices SET paid_amount = 1 WHERE status = 'partly_paid'", "invoice_sums"),
        ("UPDATE invoice_lines SET amount = amount + 1 WHERE kind = 'plan'", "invoice_sums"),
        ("DELETE FROM payments WHERE method = 'store_credit'", "invoice_sums"),
        ("UPDATE journal_lines SET amount = amount * 2 WHERE account_id = 1310 AND amount < 0", "invoice_receivable"),
        ("UPDATE invoice_counters SET last_number = last_number + 1", "invoice_numbers"),
        ("UPDATE customers SET credit_amount = credit_amount + 1 WHERE credit_amount > 0", "store_credit"),
        ("UPDATE gift_cards SET balance_amount = 1", "gift_card_balance"),
        ("UPDATE journal_lines SET gift_card_id = NULL WHERE account_id = 2140 AND amount > 0", "gift_card_liability"),
        ("DELETE FROM gift_card_entries WHERE kind = 'redeem'", "gift_card_payments"),
        ("UPDATE gift_cards SET invoice_line_id = NULL", "gift_card_sales"),
        ("UPDATE treatment_entries SET closed_by_id = id WHERE kind = 'punch'", "visit_sessions"),
        ("DELETE FROM invoices WHERE status = 'partly_paid'", "visit_invoice"),
        ("UPDATE bookings SET status = 'confirmed' WHERE status = 'no_show'", "visit_fee"),
        ("UPDATE journal_lines SET account_id = 4110 WHERE account_id = 4130", "fee_revenue"),
        ("UPDATE journal_lines SET account_id = 4110 WHERE account_id = 2150", "tips_payable"),
        ("UPDATE invoice_lines SET vat_amount = vat_amount + 1 WHERE kind = 'discount'", "discounts"),
        ("UPDATE invoice_lines SET amount = -10 * 1000000 WHERE kind = 'discount'", "discounts"),
        ("UPDATE product_stocks SET on_hand = on_hand + 1", "stock"),
        ("UPDATE promotions SET used_count = used_count + 1", "promotion_uses"),
        (
            "UPDATE invoices SET status = 'void', voided_at = now()"
            " WHERE id IN (SELECT invoice_id FROM promotion_uses)",
            "promotion_bills",
        ),
        ("UPDATE deposits SET balance_amount = balance_amount - 1", "deposits"),
        ("UPDATE journal_lines SET amount = amount * 2 WHERE account_id = 2160", "deposits"),
        ("UPDATE stock_movements SET quantity = quantity + 1 WHERE kind = 'sold'", "stock_sold"),
    ],
)
def test_each_fault_is_named(busy_spa: Spa, statement: str, code: str):
    _force(statement)

    faults = reconciliation.list_faults()

    assert code in {fault.code for fault in faults}
    assert all(str(fault.entity_id) in fault.text for fault in faults)


def test_every_check_has_a_fault_that_it_finds():
    marks = test_each_fault_is_named.pytestmark
    assert {code for _, code in marks[0].args[1]} == set(reconciliation.CHECKS)


def test_caches_are_written_anew_from_history_and_the_fix_is_audited(busy_spa: Spa):
    _force(
        "UPDATE customer_treatments SET used_sessions = 0, held_sessions = 0, recognised_amount = 0, status = 'frozen'"
    )
    _force("UPDATE invoices SET paid_amount = 0, status = 'open' WHERE status = 'partly_paid'")
    _force("UPDATE invoices SET credited_amount = 1 WHERE credited_amount > 0 AND NOT is_credited")
    _force("UPDATE customers SET credit_amount = 0")
    _force("UPDATE product_stocks SET on_hand = 0")
    faults = reconciliation.list_faults()

    reconciliation.fix_caches(faults, actor=SYSTEM)

    assert reconciliation.list_faults() == []
    fixes = db.session.query(AuditLog).where(AuditLog.action == "cache_fixed").count()
    assert fixes == sum(fault.code in reconciliation.CACHES for fault in faults) > 0
    card = db.session.query(CustomerTreatment).order_by(CustomerTreatment.id).first()
    assert (card.used_sessions, card.held_sessions, card.status) == (1, 1, "active")
    assert {row.status for row in db.session.query(Invoice).where(Invoice.paid_amount == 230_000)} == {"partly_paid"}


def test_a_fault_of_the_history_itself_is_not_called_fixed(busy_spa: Spa):
    _force("UPDATE journal_lines SET amount = amount + 1 WHERE id = (SELECT min(id) FROM journal_lines)")
    faults = reconciliation.list_faults()

    reconciliation.fix_caches(faults, actor=SYSTEM)

    assert "journal_balance" in {fault.code for fault in faults}
    assert reconciliation.list_faults() == faults
    assert db.session.query(AuditLog).where(AuditLog.action == "cache_fixed").count() == 0


def test_caches_are_not_written_anew_while_a_desk_is_writing(busy_spa: Spa, settings):
    with psycopg.connect(settings.database_url) as desk:
        desk.execute("SELECT FROM customers FOR NO KEY UPDATE")  # as a payment by store credit does

        with pytest.raises(ConflictError):
            reconciliation.fix_caches([], actor=SYSTEM)


def test_a_card_whose_last_day_was_yesterday_is_no_fault_before_the_night_s_run(spa: Spa):
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    make_card(spa.customer, None, branch_id=spa.branch, expiry_date=yesterday)
    _force("UPDATE customer_treatments SET status = 'active'")

    assert reconciliation.list_faults() == []


def test_a_card_that_no_night_has_expired_for_a_week_is_a_fault(spa: Spa):
    last_week = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=7)
    make_card(spa.customer, None, branch_id=spa.branch, expiry_date=last_week)
    _force("UPDATE customer_treatments SET status = 'active'")

    assert [fault.code for fault in reconciliation.list_faults()] == ["card_status"]
