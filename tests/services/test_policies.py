"""Late cancellations and no-shows: what each policy takes, who may set it aside, and how it comes back."""

import datetime as dt
from functools import partial

import pytest
from sqlalchemy import text

from spa_app.errors import InvalidError, NotAllowedError, WrongStateError
from spa_app.extensions import db
from spa_app.models.policy import Policy, Taking
from spa_app.services import billing, bookings, payments
from spa_app.services.bookings import ItemRequest
from spa_app.services.ledger import Account
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, balances, counters, entries, invoice_of, refused, rows, status_of

FEE_LINES = """
    SELECT l.kind, l.description, l.amount, l.vat_amount, i.status, i.is_credited
    FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE i.booking_id = :id ORDER BY i.id"""


@pytest.fixture
def fees(spa):
    """A branch that takes half of the price for a late cancellation, and 200,000 for a no-show."""
    factories.set_policy(
        spa.branch,
        late_cancel_policy="fee",
        late_cancel_fee_bp=5_000,
        no_show_policy="fee",
        no_show_fee_amount=200_000,
        waiver_limit_amount=210_000,
    )
    return spa


@pytest.fixture(params=["cancel", "mark_no_show"])
def give_up(request, spa):
    """The two ways in which a visit does not take place; (act, what it costs)."""
    extra = {"reason": "ill"} if request.param == "cancel" else {}
    act = partial(getattr(bookings, request.param), actor=spa.receptionist, **extra)
    return act, 225_000 if request.param == "cancel" else 200_000


def pay(spa, booking):
    return payments.take_payment(invoice_of(booking), method="cash", amount=None, actor=spa.receptionist)


@pytest.mark.parametrize(
    ("policy", "items", "taking"),
    [
        (Policy("none"), [(450_000, True)], Taking()),
        (Policy("forfeit"), [(450_000, True), (100_000, False)], Taking("forfeit", 450_000, 1)),
        (Policy("forfeit"), [(100_000, False)], Taking()),
        (Policy("fee", fee_bp=5_000), [(450_000, True), (100_001, False)], Taking("fee", 275_001)),
        (Policy("fee", fee_bp=1), [(4_999, False)], Taking()),
        (Policy("fee", fee_bp=1), [(5_000, False)], Taking("fee", 1)),
        (Policy("fee", fee_bp=10_000), [(450_000, False)], Taking("fee", 450_000)),
        (Policy("fee", fee_amount=80_000), [(0, False)], Taking("fee", 80_000)),
    ],
)
def test_what_a_policy_takes(policy, items, taking):
    assert policy.takes(items) == taking
    assert bool(taking) == (taking.kind != "none")


def test_a_fee_is_invoiced_without_vat_and_is_fee_revenue(fees, give_up):
    act, fee = give_up
    booking = factories.make_booking(fees)

    act(booking)

    name = "No-show fee" if status_of(booking) == "no_show" else "Late cancellation fee"
    assert rows(FEE_LINES, id=booking) == [("fee", name, fee, 0, "open", False)]
    assert balances() == {Account.RECEIVABLE: fee, Account.FEE_REVENUE: -fee}
    assert rows("SELECT event FROM journal_entries") == [("fee_charged",)]
    assert audited("invoice") == ["fee_charged"]
    pay(fees, booking)
    assert balances() == {Account.CASH: fee, Account.RECEIVABLE: 0, Account.FEE_REVENUE: -fee}


def test_a_fee_leaves_the_session_on_its_card_and_counts_the_service_at_its_price(fees):
    card = factories.make_card(fees.customer, fees.facial, branch_id=fees.branch)
    items = [
        ItemRequest(fees.facial, fees.therapists[0], fees.rooms[0], card),
        ItemRequest(fees.consultation, fees.therapists[0]),
    ]
    booking = factories.make_booking(fees, *items)

    bookings.cancel(booking, reason="ill", actor=fees.receptionist)

    assert counters(card) == (10, 0, 0, 0, "active")
    assert rows(FEE_LINES, id=booking)[0][2] == 275_000
    assert_books_balance()


@pytest.mark.parametrize(("minutes", "late"), [(121, False), (119, True)])
def test_only_a_late_cancellation_costs(fees, minutes, late):
    booking = factories.make_booking(fees, starts_at=factories.this_minute() + dt.timedelta(minutes=minutes))

    bookings.cancel(booking, reason="ill", actor=fees.receptionist)

    assert len(rows(FEE_LINES, id=booking)) == late


def test_a_forfeited_session_is_taken_and_comes_back_with_its_revenue(spa, give_up):
    act, _ = give_up
    factories.set_policy(spa.branch, late_cancel_policy="forfeit", no_show_policy="forfeit")
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = factories.make_booking(spa, card=card)
    before = balances()

    act(booking)

    assert counters(card) == (10, 1, 0, 0, "active")
    assert [kind for kind, *_ in entries(card)] == ["purchase", "hold", "release", "forfeit"]
    assert balances()[Account.SERVICE_REVENUE] == -92_592
    bookings.undo_cancel(booking, actor=spa.receptionist)
    assert counters(card) == (10, 0, 1, 0, "active")
    assert balances() == {**before, Account.SERVICE_REVENUE: 0}


def test_an_unpaid_fee_is_void_once_the_visit_is_back(fees, give_up):
    act, _ = give_up
    booking = factories.make_booking(fees)
    act(booking)

    bookings.undo_cancel(booking, actor=fees.receptionist)

    assert [row[4] for row in rows(FEE_LINES, id=booking)] == ["void"]
    assert balances() == {Account.RECEIVABLE: 0, Account.FEE_REVENUE: 0}
    bookings.start(booking, actor=fees.receptionist)
    bookings.complete(booking, actor=fees.receptionist)
    assert rows("SELECT total_amount FROM invoices WHERE status = 'open'") == [(450_000,)]
    assert_books_balance()


def test_a_paid_fee_needs_a_manager_and_becomes_a_credit_note(fees, give_up):
    act, fee = give_up
    booking = factories.make_booking(fees)
    act(booking)
    pay(fees, booking)

    with refused("manager_only", NotAllowedError):
        bookings.undo_cancel(booking, actor=fees.receptionist)
    bookings.undo_cancel(booking, actor=fees.manager)

    assert status_of(booking) == "confirmed"
    assert rows("SELECT kind, total_amount FROM invoices ORDER BY id") == [("invoice", fee), ("credit_note", -fee)]
    assert balances() == {
        Account.CASH: fee,
        Account.RECEIVABLE: 0,
        Account.STORE_CREDIT: -fee,
        Account.FEE_REVENUE: 0,
    }
    act(booking)
    assert rows("SELECT count(*) FROM invoices WHERE kind = 'invoice' AND NOT is_credited") == [(1,)]
    assert_books_balance()


def test_the_desk_waives_up_to_the_limit_and_a_manager_above_it(fees, give_up):
    act, fee = give_up
    booking = factories.make_booking(fees)

    if fee > 210_000:
        with refused("waiver_above_limit", NotAllowedError, "waive"):
            act(booking, waive_reason="a good customer")
        act(booking, waive_reason=" a good customer ", actor=fees.manager)
    else:
        act(booking, waive_reason=" a good customer ")

    assert rows(FEE_LINES, id=booking) == []
    waived = "SELECT reason, after FROM audit_log WHERE action = 'policy_waived' AND entity_id = :id"
    assert rows(waived, id=booking) == [("a good customer", {"policy": "fee", "amount": fee, "sessions": 0})]
    assert balances() == {}


def test_a_waived_forfeit_gives_the_session_back(spa, give_up):
    act, _ = give_up
    factories.set_policy(
        spa.branch, late_cancel_policy="forfeit", no_show_policy="forfeit", waiver_limit_amount=449_999
    )
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = factories.make_booking(spa, card=card)

    with refused("waiver_above_limit", NotAllowedError, "waive"):
        act(booking, waive_reason="ill")
    factories.set_policy(spa.branch, waiver_limit_amount=450_000)
    act(booking, waive_reason="ill")

    assert counters(card) == (10, 0, 0, 0, "active")
    assert_books_balance()


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("", "waive_reason_missing"),
        ("  ", "waive_reason_missing"),
        ("x" * 501, "too_long"),
        ("a\0", "control_character"),
    ],
)
def test_a_waiver_wants_a_reason(fees, give_up, reason, code):
    act, _ = give_up
    booking = factories.make_booking(fees)

    with refused(code, InvalidError, "waive_reason"):
        act(booking, waive_reason=reason)


def test_nothing_is_waived_where_nothing_is_taken(spa, give_up):
    act, _ = give_up
    booking = factories.make_booking(spa)

    act(booking, waive_reason="")

    assert "policy_waived" not in audited()


def test_a_fee_is_not_voided_at_the_till(fees):
    booking = factories.make_booking(fees, status="no_show")

    with refused("undo_visit_instead", WrongStateError, ways_out=("open_booking",)):
        billing.void_sale(invoice_of(booking), reason="kind", actor=fees.manager)


def test_a_visit_cannot_owe_two_fees(fees):
    booking = factories.make_booking(fees, status="no_show")
    with pytest.raises(Exception, match="uq_invoices_live_booking"):
        db.session.execute(
            text(
                "INSERT INTO invoices (branch_id, customer_id, booking_id, number, status, total_amount, vat_amount,"
                " issued_at) SELECT branch_id, customer_id, booking_id, 'twin', 'open', 1, 0, now() FROM invoices"
                " WHERE booking_id = :id"
            ),
            {"id": booking},
        )
    db.session.rollback()
