"""Closing a day: in order, never ahead, with everything in its report; nothing is posted on it until it is reopened."""

import datetime as dt

import pytest
from sqlalchemy import select, text

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError, WrongStateError
from spa_app.extensions import db
from spa_app.models import Booking, Branch, CustomerTreatment, DayClose, Invoice, JournalEntry
from spa_app.queries.day_close import get_report
from spa_app.services import (
    billing,
    bookings,
    branches,
    day_close,
    deposits,
    drawers,
    expiry,
    ledger,
    payments,
    reconciliation,
    refunds,
    treatments,
)
from spa_app.services.actor import SYSTEM
from spa_app.services.drawers import Count
from spa_app.services.imports import import_table, read_table
from spa_app.services.ledger import Account, Posting
from spa_app.services.transaction import atomic
from tests import factories
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, make_booking, make_card, make_drawer, make_sale, open_session_of, set_policy

DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def _books(spa):
    yield
    assert_books_balance()
    assert reconciliation.list_faults() == []


@pytest.fixture
def today():
    return clock.today(TIMEZONE)


def close(spa, on, *, uncounted=True, branch=None):
    return day_close.close_day(branch or spa.branch, on=on, uncounted=uncounted, actor=spa.owner)


def facts(report_id):
    return get_report(report_id).facts


def test_the_report_says_what_the_day_came_to(spa, today):
    drawer = make_drawer(spa.branch, "Till", opening=1_000_000)
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, price=1_000_000, actor=spa.receptionist)
    make_booking(spa, status="completed", card=card)
    visit = make_booking(spa, starts_at=clock.now() - dt.timedelta(hours=2), status="completed")
    invoice = db.session.scalar(select(Invoice.id).where(Invoice.booking_id == visit))
    payments.take_payment(invoice, method="card", amount=200_000, reference="7", actor=spa.receptionist)
    void = make_sale(spa, price=300_000)
    billing.void_sale(void, reason="changed their mind", actor=spa.receptionist)
    refunds.refund_card(
        card, basis="pro_rata", fee_amount=0, pay_by="cash", shown_amount=None, reason="moves", actor=spa.manager
    )
    ahead = make_booking(spa, starts_at=clock.now() - dt.timedelta(hours=4))
    deposit = deposits.take_deposit(ahead, method="e_wallet", amount=30_000, actor=spa.receptionist)
    deposits.return_deposit(deposit, method="cash", amount=10_000, reason="less", actor=spa.manager)
    mine = open_session_of(drawer)
    drawers.close_drawer(
        mine, count=Count({500_000: 2, 50_000: 1}), left_amount=500_000, reason="found a note", actor=spa.receptionist
    )

    report = get_report(close(spa, today, uncounted=False))

    day = report.facts
    assert (report.z_number, report.closed_by, report.is_last, report.changes) == (1, "Owner", True, ())
    assert {(row.kind, row.quantity, row.amount) for row in day.sales} == {
        ("plan", 2, 1_300_000),
        ("service", 1, 450_000),
    }
    assert (day.voided_amount, day.credited_amount, day.net_amount) == (-300_000, -900_000, 550_000)
    [vat] = day.vat
    assert (vat.rate_bp, vat.amount, vat.vat_amount) == (800, 550_000, 74_074 - 66_666 + 33_333)
    assert day.takings == {"cash": 1_000_000, "card": 200_000}
    assert [(row.method, row.count, row.amount) for row in day.payouts] == [("cash", 1, 900_000)]
    assert (day.sessions_punched, day.plans_sold, day.unfinished_visits) == (1, 2, 1)
    assert (day.documents, day.first_number[-6:], day.last_number[-6:]) == (4, "000001", "000004")
    assert [(row.amount, row.reason) for row in day.voids] == [(-300_000, "changed their mind")]
    assert [(row.amount, row.reason) for row in day.credit_notes] == [(-900_000, "moves")]
    assert [(row.id, row.amount) for row in day.open_invoices] == [(invoice, 250_000)]
    assert (day.open_count, day.open_amount, day.older_count) == (1, 250_000, 0)
    assert [(row.method, row.count, row.amount) for row in day.deposits] == [("e_wallet", 1, 30_000)]
    assert [(row.method, row.count, row.amount) for row in day.deposits_returned] == [("cash", 1, 10_000)]
    [till] = day.drawers
    assert (till.drawer, till.taken_amount, till.given_amount, till.put_away_amount) == (
        "Till",
        1_000_000,
        910_000,
        550_000,
    )
    assert (till.expected_amount, till.counted_amount, till.variance_amount, till.reason) == (
        1_090_000,
        1_050_000,
        -40_000,
        "found a note",
    )


def test_days_are_closed_in_their_order_and_none_ahead(spa, today):
    with pytest.raises(InvalidError, match="not begun"):
        close(spa, today + DAY)
    close(spa, today - 3 * DAY)
    make_sale(spa)
    _post_on(spa, today - DAY)

    with pytest.raises(ConflictError, match="not closed yet") as refused:
        close(spa, today)
    assert refused.value.ways_out[0].params["date"] == str(today - DAY)
    close(spa, today - DAY)  # two days on which nobody posted anything are passed over
    close(spa, today)
    with pytest.raises(ConflictError, match="are closed"):
        close(spa, today - 2 * DAY)
    assert db.session.execute(select(DayClose.z_number).order_by(DayClose.id)).scalars().all() == [1, 2, 3]


def test_numbers_run_in_each_branch_alone(spa, today):
    close(spa, today - DAY)
    other = close(spa, today - DAY, branch=spa.other_branch)

    assert get_report(other).z_number == 1
    assert get_report(close(spa, today)).z_number == 2


def test_an_open_drawer_is_counted_first_or_shown_as_not_counted(spa, today):
    drawer = make_drawer(spa.branch, "Till", opening=1_000_000)
    with pytest.raises(ConflictError, match="Till is still open"):
        close(spa, today, uncounted=False)

    [till] = facts(close(spa, today)).drawers

    assert (till.session_id, till.expected_amount, till.counted_amount, till.variance_amount) == (
        till.session_id,
        1_000_000,
        None,
        None,
    )
    with pytest.raises(ConflictError, match="are closed"):
        drawers.open_drawer(drawer, count=None, actor=spa.manager)


def test_a_variance_wants_its_reason_first(spa, today):
    mine = open_session_of(make_drawer(spa.branch, opening=1_000_000))
    drawers.close_drawer(mine, count=Count({500_000: 1}), left_amount=None, actor=spa.receptionist)
    with pytest.raises(ConflictError, match="nobody has said why"):
        close(spa, today)

    drawers.explain_variance(mine, reason="paid the flowers", actor=spa.receptionist)

    assert facts(close(spa, today)).variance_amount == -500_000


def test_open_invoices_are_told_or_refused_as_the_branch_wants(spa, today):
    make_sale(spa, price=300_000)
    old = make_sale(spa, price=100_000)
    _backdate(old, today - 9 * DAY)
    set_policy(spa.branch, close_with_open_invoices="block")
    with pytest.raises(ConflictError, match="still to be paid"):
        close(spa, today)

    set_policy(spa.branch, close_with_open_invoices="warn")
    day = facts(close(spa, today))

    assert (day.open_count, day.open_amount, day.older_count, day.older_amount) == (1, 300_000, 1, 100_000)


def test_an_old_debt_does_not_keep_days_open_for_ever(spa, today):
    _backdate(make_sale(spa), today - 9 * DAY)
    set_policy(spa.branch, close_with_open_invoices="block")

    assert facts(close(spa, today)).older_count == 1


def test_reopening_keeps_the_report_and_the_next_one_names_what_changed(spa, today):
    payments.take_payment(make_sale(spa), method="cash", amount=500_000, actor=spa.receptionist)
    first = close(spa, today)
    before = get_report(first)
    day_close.reopen_day(first, reason="a late customer", actor=spa.manager)
    payments.take_payment(make_sale(spa), method="card", amount=500_000, reference="1", actor=spa.receptionist)
    second = close(spa, today)

    after = get_report(second)
    assert (after.z_number, after.replaces) == (2, (first, 1))
    changes = {(one.section, one.what): (one.before, one.after) for one in after.changes}
    assert changes == {
        ("sales", "plan"): (500_000, 1_000_000),
        ("payments", "card"): (0, 500_000),
        ("count", "documents"): (1, 2),
    }
    kept = get_report(first)
    assert kept.facts == before.facts
    assert (kept.reopen_reason, kept.reopened_by, kept.is_last) == ("a late customer", "Manager", False)
    with pytest.raises(WrongStateError):
        day_close.reopen_day(first, reason="again", actor=spa.manager)


def test_only_the_last_closed_day_is_reopened(spa, today):
    first = close(spa, today - DAY)
    last = close(spa, today)
    with pytest.raises(ConflictError, match="Reopen the last closed day first"):
        day_close.reopen_day(first, reason="x", actor=spa.manager)
    day_close.reopen_day(last, reason="x", actor=spa.manager)
    day_close.reopen_day(first, reason="x", actor=spa.manager)


def test_it_is_a_managers_act_in_their_own_branches(spa, today):
    report = close(spa, today)
    with pytest.raises(NotAllowedError):
        day_close.close_day(spa.branch, on=today, uncounted=True, actor=spa.receptionist)
    with pytest.raises(NotAllowedError):
        day_close.reopen_day(report, reason="x", actor=spa.receptionist)
    with pytest.raises(InvalidError):
        day_close.reopen_day(report, reason=" ", actor=spa.manager)
    with pytest.raises(NotFoundError):
        day_close.close_day(spa.other_branch, on=today, uncounted=True, actor=spa.manager)
    theirs = close(spa, today, branch=spa.other_branch)
    for report_id in (theirs, 10**9):
        with pytest.raises(NotFoundError):
            day_close.reopen_day(report_id, reason="x", actor=spa.manager)


def test_every_act_that_posts_is_refused_on_a_closed_day_and_leaves_nothing(spa, today):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    free = make_card(spa.customer, spa.massage, branch_id=spa.branch)
    now = clock.now()
    prepaid = make_booking(spa, card=card, status="in_progress")
    plain = make_booking(spa, starts_at=now - dt.timedelta(hours=2), status="in_progress")
    done = make_booking(spa, starts_at=now - dt.timedelta(hours=4), status="completed")
    punched = make_booking(spa, starts_at=now - dt.timedelta(hours=6), card=card, status="completed")
    missed = make_booking(spa, starts_at=now - dt.timedelta(hours=8))
    free_service = factories.make_service(price=0)
    gift = make_booking(
        spa, bookings.ItemRequest(free_service, factories.make_staff(spa.branch, [free_service])), status="in_progress"
    )
    sale = make_sale(spa)
    refunded = make_card(spa.customer, spa.consultation, branch_id=spa.branch)
    refunds.refund_card(
        refunded,
        basis="pro_rata",
        fee_amount=0,
        pay_by="store_credit",
        shown_amount=None,
        reason="x",
        actor=spa.manager,
    )
    session = open_session_of(make_drawer(spa.branch, opening=0))
    set_policy(spa.branch, no_show_policy="fee", no_show_fee_amount=50_000)
    friend = factories.make_customer()
    invoice = db.session.scalar(select(Invoice.id).where(Invoice.booking_id == done))
    deposit = deposits.take_deposit(missed, method="card", amount=10_000, reference="1", actor=spa.receptionist)
    close(spa, today)
    desk, manager = spa.receptionist, spa.manager
    back = {"basis": "pro_rata", "fee_amount": 0, "shown_amount": None, "reason": "x", "actor": manager}
    acts = {
        "complete": lambda: bookings.complete(plain, actor=desk),
        "complete on a card": lambda: bookings.complete(prepaid, actor=desk),
        "complete what costs nothing": lambda: bookings.complete(gift, actor=desk),
        "undo an invoice": lambda: bookings.undo_complete(done, actor=desk),
        "undo a punch": lambda: bookings.undo_complete(punched, actor=desk),
        "fee": lambda: bookings.mark_no_show(missed, actor=desk),
        "sell": lambda: make_sale(spa),
        "void": lambda: billing.void_sale(sale, reason="x", actor=desk),
        "pay cash": lambda: payments.take_payment(invoice, method="cash", amount=None, actor=desk),
        "pay by card": lambda: payments.take_payment(invoice, method="card", amount=None, reference="1", actor=desk),
        "pay with credit": lambda: payments.take_payment(invoice, method="store_credit", amount=1, actor=desk),
        "refund": lambda: refunds.refund_card(free, pay_by="cash", **back),
        "refund to credit": lambda: refunds.refund_card(free, pay_by="store_credit", **back),
        "exchange": lambda: refunds.exchange_card(
            free,
            plan_id=spa.plan,
            branch_id=spa.branch,
            fee_amount=0,
            shown_amount=None,
            reason="x",
            actor=manager,
        ),
        "withdraw": lambda: refunds.withdraw_refund(refunded, reason="x", actor=manager),
        "transfer": lambda: treatments.transfer_sessions(
            free, customer_id=friend, sessions=1, reason="a gift", actor=manager
        ),
        "import": lambda: import_table(
            read_table(b"full_name,phone,service,total_sessions,value\nLan,0901234999,Basic Facial,5,500000\n"),
            branch_id=spa.branch,
            actor=manager,
            currency="VND",
            locale="en",
            progress=lambda *_: None,
        ),
        "take a deposit": lambda: deposits.take_deposit(prepaid, method="cash", amount=1, actor=desk),
        "give a deposit back": lambda: deposits.return_deposit(deposit, method="cash", reason="x", actor=manager),
        "pay in": lambda: drawers.move_cash(session, kind="paid_in", amount=1, reason="x", actor=desk),
    }
    before = _everything()
    answers = {}
    for name, act in acts.items():
        try:
            act()
            answers[name] = "done"
        except Exception as error:  # each is told apart by its code below
            answers[name] = getattr(error, "code", repr(error)[:200])
        db.session.rollback()

    assert answers == {**dict.fromkeys(acts, "day_closed"), "pay in": "drawer_closed"}
    assert _everything() == before
    for name in ("sell", "pay by card", "complete"):
        with pytest.raises(ConflictError) as refused:
            acts[name]()
        assert refused.value.params == {"day": today}
        assert refused.value.ways_out[0].params == {"branch": spa.branch, "date": str(today)}


def test_an_expiry_that_was_missed_is_posted_on_the_first_open_day(spa, today):
    card = make_card(
        spa.customer, spa.facial, branch_id=spa.branch, sessions=4, price=400_000, expiry_date=today - 9 * DAY
    )
    close(spa, today - 5 * DAY)

    expiry.expire_due(today - 8 * DAY)

    posted = select(JournalEntry.posted_on).where(JournalEntry.event == "sessions_expired")
    assert db.session.scalars(posted).all() == [today - 4 * DAY]
    assert db.session.get_one(CustomerTreatment, card, populate_existing=True).status == "expired"
    assert facts(close(spa, today - 4 * DAY)).expired_amount == 370_370


def test_an_expiry_runs_when_even_today_is_closed(spa, today):
    make_card(spa.customer, spa.facial, branch_id=spa.branch, expiry_date=today - DAY)
    close(spa, today)

    expiry.expire_due()
    expiry.expire_due()

    posted = select(JournalEntry.posted_on).where(JournalEntry.event == "sessions_expired")
    assert db.session.scalars(posted).all() == [today + DAY]


def test_a_gift_card_expires_on_the_first_open_day(spa, today):
    factories.make_gift_card(spa, amount=100_000, expires_on=today - DAY)
    close(spa, today)

    expiry.expire_due_gift_cards()

    posted = select(JournalEntry.posted_on).where(JournalEntry.event == "gift_cards_expired")
    assert db.session.scalars(posted).all() == [today + DAY]


def test_another_branch_goes_on(spa, today):
    close(spa, today)
    customer = factories.make_customer()
    sale = billing.sell_plan(customer_id=customer, plan_id=spa.plan, branch_id=spa.other_branch, actor=SYSTEM)

    assert db.session.get_one(Invoice, sale).branch_id == spa.other_branch


def test_a_visit_may_still_be_booked_and_served_on_a_closed_day(spa, today):
    close(spa, today)

    visit = make_booking(spa, status="in_progress")

    assert db.session.get_one(Booking, visit).status == "in_progress"


def test_the_policy_is_set_with_the_others(spa):
    with pytest.raises(InvalidError, match="Choose what happens"):
        branches.check_policies(
            {
                **dict.fromkeys(
                    ("late_cancel_fee_bp", "late_cancel_fee_amount", "no_show_fee_bp", "no_show_fee_amount")
                ),
                "late_cancel_minutes": 0,
                "late_cancel_policy": "none",
                "no_show_policy": "none",
                "waiver_limit_amount": 0,
                "extend_limit_days": 0,
                "close_with_open_invoices": "pray",
            }
        )


def _post_on(spa, on):
    """A gift of a manager's, as any act would have posted it on that day."""
    with atomic() as session:
        ledger.post(
            "cash_moved",
            branch=session.get_one(Branch, spa.branch),
            actor=spa.manager,
            posted_on=on,
            postings=[Posting(Account.SAFE, 1), Posting(Account.PETTY_EXPENSES, -1)],
        )


def _backdate(invoice_id, on):
    """As if it had been issued on that day."""
    for statement in (
        "ALTER TABLE invoices DISABLE TRIGGER USER",
        f"UPDATE invoices SET issued_at = '{on} 12:00Z' WHERE id = {invoice_id}",
        "ALTER TABLE invoices ENABLE TRIGGER USER",
    ):
        db.session.execute(text(statement))
    db.session.commit()


def _everything():
    db.session.rollback()
    tables = ("journal_entries", "invoices", "payments", "payouts", "treatment_entries", "audit_log", "cash_movements")
    counts = {name: db.session.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}
    counts["statuses"] = db.session.execute(text("SELECT string_agg(status, ' ' ORDER BY id) FROM bookings")).scalar()
    return counts
