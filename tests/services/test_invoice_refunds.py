"""Giving back what was paid for an invoice, whole or in part: every figure here was worked out by hand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError, WrongStateError
from spa_app.extensions import db
from spa_app.models.invoice_refund import AS_CREDIT, AS_PAID, InvoiceFacts, LineFacts, Part, PaymentFacts, work_out
from spa_app.services import billing, bookings, payments, reconciliation, refunds, treatments
from spa_app.services.billing import Line
from spa_app.services.bookings import ItemRequest
from spa_app.services.ledger import Account, Posting, post
from spa_app.services.refunds import Wish
from spa_app.services.transaction import atomic
from tests import factories
from tests.books import assert_books_balance
from tests.factories import cards_of, set_policy
from tests.services.checks import audited, balances, counters, execute, invoice_of, refused, rows

CASH, CARD, BANK, RECEIVABLE, DEFERRED, VAT, CREDIT, TIPS, REVENUE, FEES = (
    1110, 1120, 1130, 1310, 2110, 2120, 2130, 2150, 4110, 4130,
)  # fmt: skip


@pytest.fixture
def visit(spa):
    """A completed facial of 450,000 (VAT 33,333) and a consultation of 100,000 (VAT 7,407)."""
    items = [ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]), ItemRequest(spa.consultation)]
    return factories.make_booking(spa, *items, status="completed")


@pytest.fixture
def invoice(visit):
    return invoice_of(visit)


@pytest.fixture
def sale(spa):
    """A package of ten for 1,000,000 (VAT 74,074), paid in cash."""
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    return rows("SELECT invoice_id FROM invoice_lines l JOIN customer_treatments c ON c.invoice_line_id = l.id"
                " WHERE c.id = :id", id=card)[0][0]  # fmt: skip


def pay(spa, invoice, amount=None, method="cash", reference=""):
    return payments.take_payment(
        invoice, method=method, amount=amount, reference=reference, actor=spa.receptionist
    )  # fmt: skip


def refund(spa, invoice, lines=None, **changes):
    wishes = None if lines is None else {line: Wish(amount) for line, amount in lines.items()}
    return refunds.refund_invoice(
        invoice, lines=wishes, **{"reason": "did not like it", "actor": spa.manager, **changes}
    )


def lines_of(invoice):
    return [line for (line,) in rows("SELECT id FROM invoice_lines WHERE invoice_id = :id ORDER BY position",
                                     id=invoice)]  # fmt: skip


def credited(invoice):
    return rows("SELECT status, paid_amount, credited_amount, is_credited FROM invoices WHERE id = :id", id=invoice)[0]


def payouts():
    return rows("SELECT method, amount, reference FROM payouts ORDER BY id")


def credit_of(customer):
    return rows("SELECT credit_amount FROM customers WHERE id = :id", id=customer)[0][0]


def total_back():
    return rows("SELECT coalesce(sum(amount), 0)::bigint FROM payouts")[0][0]


def test_one_of_two_services_comes_back_in_cash(spa, visit, invoice):
    pay(spa, invoice)
    facial, consultation = lines_of(invoice)

    note = refund(spa, invoice, {consultation: 100_000}, shown_amount=100_000)

    assert credited(invoice) == ("paid", 550_000, 100_000, False)
    query = "SELECT kind, total_amount, vat_amount, corrects_id, booking_id FROM invoices WHERE id = :id"
    assert rows(query, id=note) == [("credit_note", -100_000, -7_407, invoice, visit)]
    query = "SELECT kind, quantity, amount, vat_amount, corrects_id FROM invoice_lines WHERE invoice_id = :id"
    assert rows(query, id=note) == [("service", -1, -100_000, -7_407, consultation)]
    assert payouts() == [("cash", 100_000, "")]
    assert balances() == {CASH: 450_000, RECEIVABLE: 0, VAT: -33_333, CREDIT: 0, REVENUE: -416_667}
    assert audited("invoice") == ["payment_taken", "credit_paid_out", "invoice_refunded"]
    assert reconciliation.list_faults() == []
    with refused("more_than_left", ConflictError, f"lines-{consultation}"):
        refund(spa, invoice, {consultation: 1})
    with refused("more_than_left", InvalidError, f"lines-{facial}"):
        refund(spa, invoice, {facial: 450_001})


def test_parts_bring_the_vat_of_the_line_to_the_dong(spa, invoice):
    pay(spa, invoice)
    facial, _ = lines_of(invoice)

    for amount in (1, 149_999, 100_003, 199_997):
        refund(spa, invoice, {facial: amount})

    # 33,333 × 1 ÷ 450,000 = 0; × 150,000 = 11,111; × 250,003 = 18,518; the last brings what is left of it.
    assert [vat for (vat,) in rows("SELECT -vat_amount FROM invoices WHERE kind = 'credit_note' ORDER BY id")] == [
        0, 11_111, 7_407, 14_815,
    ]  # fmt: skip
    assert balances() == {CASH: 100_000, RECEIVABLE: 0, VAT: -7_407, CREDIT: 0, REVENUE: -92_593}


def test_the_rest_without_a_list_of_lines(spa, visit, invoice):
    pay(spa, invoice)
    refund(spa, invoice, {lines_of(invoice)[1]: 40_000})
    refund(spa, invoice)

    assert credited(invoice) == ("paid", 550_000, 550_000, True)
    assert balances() == {CASH: 0, RECEIVABLE: 0, VAT: 0, CREDIT: 0, REVENUE: 0}
    assert reconciliation.list_faults() == []
    with refused("already_refunded", WrongStateError):
        refund(spa, invoice)
    with refused("not_payable", WrongStateError):
        pay(spa, invoice, 1)


def test_what_was_not_paid_is_settled_first(spa, invoice):
    pay(spa, invoice, 200_000)
    facial, consultation = lines_of(invoice)

    refund(spa, invoice, {facial: 450_000})  # 350,000 of it was never paid
    assert credited(invoice) == ("paid", 550_000, 450_000, False)
    assert payouts() == [("cash", 100_000, "")]
    refund(spa, invoice, {consultation: 100_000})

    assert payouts() == [("cash", 100_000, ""), ("cash", 100_000, "")]
    assert balances() == {CASH: 0, RECEIVABLE: 0, VAT: 0, CREDIT: 0, REVENUE: 0}
    assert reconciliation.list_faults() == []


def test_less_than_what_is_due_brings_nothing_back_and_is_owed_no_more(spa, invoice):
    pay(spa, invoice, 200_000)

    refund(spa, invoice, {lines_of(invoice)[1]: 100_000}, shown_amount=0)

    assert credited(invoice) == ("partly_paid", 300_000, 100_000, False)
    assert payouts() == []
    assert balances()[RECEIVABLE] == 250_000
    pay(spa, invoice, 250_000)
    assert credited(invoice) == ("paid", 550_000, 100_000, False)


def test_the_newest_payment_goes_back_first_and_none_beyond_what_it_brought(spa, invoice):
    pay(spa, invoice, 300_000)
    pay(spa, invoice, 150_000, "card", "A 17")
    pay(spa, invoice, 100_000, "bank_transfer", "FT 9")
    facial, _ = lines_of(invoice)

    with refused("reference_missing", InvalidError, "reference"):
        refund(spa, invoice, {facial: 120_000})
    refund(spa, invoice, {facial: 120_000}, reference="R 1")
    assert payouts() == [("bank_transfer", 100_000, "R 1"), ("card", 20_000, "R 1")]
    with refused("not_paid_so", ConflictError, "to"):
        refund(spa, invoice, {facial: 130_001}, to="card", reference="R 2")
    refund(spa, invoice, {facial: 100_000}, to="cash")
    refund(spa, invoice, reference="R 3")

    assert payouts()[2:] == [("cash", 100_000, ""), ("card", 130_000, "R 3"), ("cash", 200_000, "")]
    assert balances() == {CASH: 0, CARD: 0, BANK: 0, RECEIVABLE: 0, VAT: 0, CREDIT: 0, REVENUE: 0}
    assert_books_balance()


def test_store_credit_goes_back_as_such_and_only_once(spa, invoice):
    give_credit(spa, 100_000)
    pay(spa, invoice, 450_000)
    pay(spa, invoice, 100_000, "store_credit")

    refund(spa, invoice, {lines_of(invoice)[0]: 150_000})
    assert (credit_of(spa.customer), total_back()) == (100_000, 50_000)
    refund(spa, invoice, {lines_of(invoice)[1]: 100_000})

    assert (credit_of(spa.customer), total_back()) == (100_000, 150_000)
    assert_books_balance()


def test_all_of_it_as_store_credit_and_taken_back_while_it_is_there(spa, visit, invoice):
    pay(spa, invoice)
    facial, _ = lines_of(invoice)

    note = refund(spa, invoice, {facial: 200_000}, to=AS_CREDIT)
    assert (credit_of(spa.customer), payouts()) == (200_000, [])
    with refused("manager_only", NotAllowedError):
        refunds.withdraw_invoice_refund(note, reason="x", actor=spa.receptionist)
    with refused("not_found", NotFoundError):
        refunds.withdraw_invoice_refund(note, reason="x", actor=spa.other_receptionist)
    refunds.withdraw_invoice_refund(note, reason="a mistake", actor=spa.manager)

    assert credited(invoice) == ("paid", 550_000, 0, False)
    assert credit_of(spa.customer) == 0
    assert balances() == {CASH: 550_000, RECEIVABLE: 0, VAT: -40_740, CREDIT: 0, REVENUE: -509_260}
    with refused("refund_withdrawn"):
        refunds.withdraw_invoice_refund(note, reason="x", actor=spa.manager)
    refund(spa, invoice, {facial: 450_000})
    assert reconciliation.list_faults() == []


def test_a_refund_whose_credit_is_gone_or_was_handed_out_stands(spa, invoice):
    pay(spa, invoice)
    facial, consultation = lines_of(invoice)
    in_cash = refund(spa, invoice, {consultation: 50_000})
    as_credit = refund(spa, invoice, {facial: 50_000}, to=AS_CREDIT)
    other = invoice_of(factories.make_booking(spa, ItemRequest(spa.consultation, spa.therapists[1]),
                                              status="completed"))  # fmt: skip
    pay(spa, other, 1, "store_credit")

    with refused("refund_paid_out"):
        refunds.withdraw_invoice_refund(in_cash, reason="x", actor=spa.manager)
    with refused("refund_spent"):
        refunds.withdraw_invoice_refund(as_credit, reason="x", actor=spa.manager)
    with refused("invoice_unknown", NotFoundError):
        refunds.withdraw_invoice_refund(invoice, reason="x", actor=spa.manager)


def test_a_credit_that_settled_what_was_due_cannot_be_taken_back(spa, invoice):
    pay(spa, invoice, 200_000)
    note = refund(spa, invoice, {lines_of(invoice)[0]: 450_000}, to=AS_CREDIT)
    give_credit(spa, 900_000)

    with refused("refund_spent"):
        refunds.withdraw_invoice_refund(note, reason="x", actor=spa.manager)


def test_undoing_the_visit_credits_only_what_is_left(spa, visit, invoice):
    pay(spa, invoice)
    note = refund(spa, invoice, {lines_of(invoice)[1]: 40_000}, to=AS_CREDIT)

    bookings.undo_complete(visit, actor=spa.manager, reason="wrong visit")

    assert rows("SELECT total_amount, vat_amount FROM invoices WHERE kind = 'credit_note' ORDER BY id") == [
        (-40_000, -2_962),
        (-510_000, -37_778),
    ]
    assert credit_of(spa.customer) == 550_000
    assert balances() == {CASH: 550_000, RECEIVABLE: 0, VAT: 0, CREDIT: -550_000, REVENUE: 0}
    with refused("visit_undone"):
        refunds.withdraw_invoice_refund(note, reason="x", actor=spa.manager)
    bookings.complete(visit, actor=spa.receptionist)
    assert reconciliation.list_faults() == []


def test_a_visit_that_was_refunded_whole_can_still_be_undone_and_completed_anew(spa, visit, invoice):
    pay(spa, invoice)
    note = refund(spa, invoice, to=AS_CREDIT)
    bookings.undo_complete(visit, actor=spa.receptionist)
    with refused("visit_undone"):
        refunds.withdraw_invoice_refund(note, reason="x", actor=spa.manager)
    bookings.complete(visit, actor=spa.receptionist)

    with refused("visit_undone"):
        refunds.withdraw_invoice_refund(note, reason="x", actor=spa.manager)
    pay(spa, invoice_of(visit), 550_000, "store_credit")
    assert balances() == {CASH: 550_000, RECEIVABLE: 0, VAT: -40_740, CREDIT: 0, REVENUE: -509_260}
    assert reconciliation.list_faults() == []


def test_a_refund_of_the_whole_visit_can_be_taken_back(spa, visit, invoice):
    pay(spa, invoice)
    note = refund(spa, invoice, to=AS_CREDIT)
    refunds.withdraw_invoice_refund(note, reason="x", actor=spa.manager)

    assert credited(invoice) == ("paid", 550_000, 0, False)
    assert reconciliation.list_faults() == []


def test_undoing_a_no_show_credits_what_is_left_of_the_fee(spa):
    set_policy(spa.branch, no_show_policy="fee", no_show_fee_amount=200_000)
    missed = factories.make_booking(spa, status="no_show")
    fee = invoice_of(missed)
    pay(spa, fee)
    refund(spa, fee, {lines_of(fee)[0]: 50_000})

    bookings.undo_cancel(missed, actor=spa.manager)

    assert credit_of(spa.customer) == 150_000
    assert balances() == {CASH: 150_000, RECEIVABLE: 0, CREDIT: -150_000, FEES: 0}


def test_an_untouched_package_comes_back_whole_and_back_again(spa, sale):
    (card,) = cards_of(sale)
    (line,) = lines_of(sale)

    with refused("whole_only", InvalidError, f"lines-{line}"):
        refund(spa, sale, {line: 999_999})
    note = refund(spa, sale, to=AS_CREDIT)
    assert counters(card) == (0, 0, 0, 0, "cancelled")
    assert balances() == {CASH: 1_000_000, RECEIVABLE: 0, DEFERRED: 0, VAT: 0, CREDIT: -1_000_000}
    assert credited(sale) == ("paid", 1_000_000, 1_000_000, True)
    with refused("no_refund"):
        refunds.withdraw_refund(card, reason="x", actor=spa.manager)
    refunds.withdraw_invoice_refund(note, reason="x", actor=spa.manager)

    assert counters(card) == (10, 0, 0, 0, "active")
    assert balances()[DEFERRED] == -925_926
    assert reconciliation.list_faults() == []


def test_a_package_in_use_is_refunded_on_its_card(spa, sale):
    (card,) = cards_of(sale)
    visit = factories.make_booking(spa, card=card, status="completed")

    with refused("card_in_use", ConflictError, None, ("refund_card",)):
        refund(spa, sale)
    with refused("card_in_use", ConflictError, f"lines-{lines_of(sale)[0]}", ("refund_card",)):
        refund(spa, sale, {lines_of(sale)[0]: 1_000_000})
    bookings.undo_complete(visit, actor=spa.manager)
    with refused("card_in_use", ConflictError, None, ("refund_card",)):  # reserved
        refund(spa, sale)
    bookings.cancel(visit, reason="x", actor=spa.manager)
    treatments.transfer_sessions(card, customer_id=factories.make_customer(), sessions=1, reason="x", actor=spa.manager)
    with refused("card_in_use", ConflictError, None, ("refund_card", "refund_card")):
        refund(spa, sale)


def test_a_card_and_its_sale_bring_back_what_was_paid_once(spa, sale):
    (card,) = cards_of(sale)
    factories.make_booking(spa, card=card, status="completed")
    refunds.refund_card(
        card, basis="pro_rata", fee_amount=0, pay_by="cash", shown_amount=None, reason="x", actor=spa.manager
    )

    assert credited(sale) == ("paid", 1_000_000, 900_000, False)
    with refused("card_in_use", ConflictError, None, ("refund_card",)):
        refund(spa, sale)
    assert reconciliation.list_faults() == []


def test_a_tip_comes_back_from_what_is_owed_to_the_therapists(spa):
    tip = Line("tip", "Hồng", 50_000, 0, staff_id=spa.therapists[0])
    invoice = issue(spa, Line("service", "Facial", 450_000, 800), tip)
    pay(spa, invoice)

    refund(spa, invoice, {lines_of(invoice)[1]: 20_000})

    assert balances()[TIPS] == -30_000
    assert balances()[CASH] == 480_000


def test_several_of_a_thing_come_back_by_number(spa):
    invoice = issue(spa, Line("product", "Cream", 100_000, 800, quantity=3))
    pay(spa, invoice)
    (line,) = lines_of(invoice)

    refunds.refund_invoice(invoice, lines={line: Wish(quantity=1)}, reason="x", actor=spa.manager)
    assert payouts() == [("cash", 33_333, "")]
    with refused("amount_not_positive", InvalidError, f"lines-{line}"):
        refunds.refund_invoice(invoice, lines={line: Wish(quantity=4)}, reason="x", actor=spa.manager)
    refunds.refund_invoice(invoice, lines={line: Wish(quantity=3)}, reason="x", actor=spa.manager)
    assert total_back() == 100_000


def test_the_desk_refunds_within_its_limit_in_all(spa, invoice):
    pay(spa, invoice)
    facial, consultation = lines_of(invoice)
    desk = {"actor": spa.receptionist}

    with refused("refund_above_limit", NotAllowedError, None, ("ask_manager",)):
        refund(spa, invoice, {consultation: 1}, **desk)
    set_policy(spa.branch, refund_limit_amount=150_000)
    refund(spa, invoice, {consultation: 100_000}, **desk)
    with refused("refund_above_limit", NotAllowedError, None, ("ask_manager",)):
        refund(spa, invoice, {facial: 50_001}, **desk)
    refund(spa, invoice, {facial: 50_000}, **desk)
    refund(spa, invoice, {facial: 1})


def test_what_cannot_be_refunded(spa, visit, invoice):
    facial, _ = lines_of(invoice)
    with refused("nothing_paid", WrongStateError, None, ("open_booking",)):
        refund(spa, invoice)
    pay(spa, invoice)
    for changes, code, kind, field in (
        ({"actor": spa.other_receptionist}, "not_found", NotFoundError, None),
        ({"to": "gold"}, "method_unknown", InvalidError, "to"),
        ({"reason": ""}, "reason_missing", InvalidError, "reason"),
        ({"reference": "x" * 101}, "too_long", InvalidError, "reference"),
        ({"shown_amount": 549_999}, "refund_changed", ConflictError, None),
        ({"lines": {}}, "nothing_chosen", InvalidError, "lines"),
        ({"lines": {facial: 0}}, "amount_not_positive", InvalidError, f"lines-{facial}"),
        ({"lines": {facial: None}}, "amount_not_positive", InvalidError, f"lines-{facial}"),
        ({"lines": {4711: 1}}, "line_unknown", InvalidError, "lines"),
        ({"to": "card"}, "not_paid_so", ConflictError, "to"),
    ):
        with refused(code, kind, field):
            refund(spa, invoice, **changes)
    unpaid = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    with refused("nothing_paid", WrongStateError, None, ("pay_due",)):
        refund(spa, unpaid)
    billing.void_sale(unpaid, reason="x", actor=spa.manager)
    with refused("not_refundable", WrongStateError):
        refund(spa, unpaid)
    note = refund(spa, invoice)
    with refused("not_refundable", WrongStateError):
        refund(spa, note)


def gift_balance(card):
    return rows("SELECT balance_amount FROM gift_cards WHERE id = :id", id=card)[0][0]


def test_of_a_gift_card_comes_back_what_is_still_on_it(spa, invoice):
    card = factories.make_gift_card(spa, amount=500_000)
    pay_by_gift_card(spa, invoice, card, 300_000)

    refund(spa, card.invoice)

    assert payouts() == [("cash", 200_000, "")]
    assert gift_balance(card.id) == 0
    assert credited(card.invoice)[2:] == (200_000, False)
    with refused("nothing_chosen", InvalidError, "lines"):
        refund(spa, card.invoice)
    assert_books_balance()
    assert reconciliation.list_faults() == []


def test_what_a_gift_card_paid_goes_back_onto_it(spa, invoice):
    card = factories.make_gift_card(spa, amount=500_000)
    pay_by_gift_card(spa, invoice, card, 300_000)
    pay(spa, invoice)

    refund(spa, invoice)

    assert payouts() == [("cash", 250_000, ""), ("gift_card", 300_000, "")]
    assert gift_balance(card.id) == 500_000
    assert_books_balance()
    assert reconciliation.list_faults() == []


@pytest.mark.parametrize("which", ["sold", "paid"])
def test_its_gift_cards_are_locked_before_the_customer_as_who_closes_one_does(spa, invoice, which):
    card = factories.make_gift_card(spa, amount=500_000)
    if which == "paid":
        pay_by_gift_card(spa, invoice, card, 300_000)
    locked = []

    def note(connection, cursor, statement, parameters, context, many):
        if found := re.search(r"FROM (gift_cards|customers)\b.*FOR (NO KEY )?UPDATE", statement, re.DOTALL):
            locked.append(found[1])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        refund(spa, card.invoice if which == "sold" else invoice)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)

    assert locked[0] == "gift_cards"
    assert "customers" in locked


def test_a_gift_card_that_is_over_takes_nothing_back_but_store_credit_does(spa, invoice):
    card = factories.make_gift_card(spa, amount=300_000)
    pay_by_gift_card(spa, invoice, card, 300_000)
    execute("UPDATE gift_cards SET expires_on = current_date - 40 WHERE id = :id", id=card.id)
    with refused("gift_card_closed", ConflictError, None, ("refund_to_credit", "open_gift_card")):
        refund(spa, invoice)
    refund(spa, invoice, to=AS_CREDIT)
    assert credit_of(spa.customer) == 300_000
    assert_books_balance()


@pytest.mark.parametrize("amount", [500_000, 120_000])
def test_a_refund_of_a_gift_card_that_is_taken_back_leaves_it_as_it_was(spa, amount):
    card = factories.make_gift_card(spa, amount=500_000)
    note = refund(spa, card.invoice, {lines_of(card.invoice)[0]: amount}, to=AS_CREDIT)
    assert gift_balance(card.id) == 500_000 - amount

    refunds.withdraw_invoice_refund(note, reason="she keeps it", actor=spa.manager)

    assert rows("SELECT balance_amount, cancelled_at FROM gift_cards WHERE id = :id", id=card.id) == [(500_000, None)]
    assert credit_of(spa.customer) == 0
    assert_books_balance()
    assert reconciliation.list_faults() == []


def pay_by_gift_card(spa, invoice, card, amount):
    payments.take_payment(invoice, method="gift_card", amount=amount, gift_card_code=card.code, actor=spa.receptionist)


def issue(spa, *lines):
    """An invoice of lines that the desk does not sell by a service of their own."""
    with atomic() as session:
        branch = session.get_one(billing.issuing.Branch, spa.branch)
        found, written = billing.issue(branch=branch, customer_id=spa.customer, lines=lines, actor=spa.manager)
        post(
            "sale_invoiced",
            branch=branch,
            actor=spa.manager,
            invoice_id=found.id,
            postings=[Posting(Account.RECEIVABLE, found.total_amount), *billing.credit_lines(written)],
        )
        return found.id


def give_credit(spa, amount):
    """Store credit, from another invoice that came back."""
    other = issue(spa, Line("fee", "x", amount, 0))
    pay(spa, other)
    refund(spa, other, to=AS_CREDIT)
    db.session.rollback()


AMOUNTS = st.integers(1, 2_000_000)


@given(AMOUNTS, st.integers(0, 150_000), st.lists(AMOUNTS, max_size=2), st.data())
def test_all_parts_of_a_line_and_of_its_discounts_are_the_line(gross, vat, lowered, data):
    lowered = [min(one, gross // 3) for one in lowered]
    parts = [Part(1, gross, min(vat, gross)), *(Part(n, -one, -one // 20) for n, one in enumerate(lowered, 2) if one)]
    net, back = sum(part.amount for part in parts), {part.line_id: [0, 0] for part in parts}
    while (left := net - sum(amount for amount, _ in back.values())) > 0:
        now = [Part(one.line_id, one.amount, one.vat_amount, *back[one.line_id]) for one in parts]
        line = LineFacts(now[0], "service", "x", 1, discounts=tuple(now[1:]))
        assert (line.net_amount, line.left_amount) == (net, left)
        amount = left if left < 10 else data.draw(st.integers(left // 3, left))
        taken = line.take(amount)
        assert sum(one.amount for one in taken) == amount
        for one in taken:
            back[one.line_id][0] += one.amount
            back[one.line_id][1] += one.vat_amount
        for part in parts:
            sign = 1 if part.amount > 0 else -1
            assert 0 <= back[part.line_id][0] * sign <= abs(part.amount)
            assert 0 <= back[part.line_id][1] * sign <= abs(part.vat_amount)

    assert back == {part.line_id: [part.amount, part.vat_amount] for part in parts}


@given(
    st.lists(
        st.tuples(st.sampled_from(["cash", "card", "store_credit", "gift_card"]), AMOUNTS), min_size=1, max_size=4
    ),
    st.integers(0, 500_000),
    st.data(),
)
def test_ways_back_are_what_comes_back_and_no_payment_returns_more_than_it_brought(brought, due, data):
    total = sum(amount for _, amount in brought) + due
    back, credited, settled = [0] * len(brought), 0, 0
    while credited < total:
        facts = InvoiceFacts(
            total_amount=total,
            paid_amount=total - due + settled,
            credited_amount=credited,
            settled_amount=settled,
            lines=(LineFacts(Part(1, total, total // 20, credited, total // 20 * credited // total), "fee", "x", 1),),
            payments=tuple(
                PaymentFacts(n, method, amount, "", clock.now(), back[n])
                for n, (method, amount) in reversed(list(enumerate(brought)))
            ),
        )
        left = total - credited
        amount = left if left < 10 else data.draw(st.integers(left // 3, left))
        refund = work_out(facts, {1: amount}, to=data.draw(st.sampled_from([AS_PAID, AS_CREDIT])))
        assert refund.missing_amount == 0
        assert refund.rest_amount == amount - min(amount, due - settled)
        for way in refund.ways:
            if way.payment:
                assert way.method == way.payment.method
                back[way.payment.id] += way.amount
        credited += amount
        settled += refund.due_part
        assert all(0 <= one <= amount for one, (_, amount) in zip(back, brought, strict=True))
        assert credited - settled <= total - due or settled < due
