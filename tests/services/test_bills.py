"""Bills of products, packages, tips and discounts, and changing them, with every figure worked out by hand."""

import pytest

from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError, WrongStateError
from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.services import billing, bookings, payments, reconciliation, refunds, stock
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.factories import cards_of, make_booking, make_product, set_policy
from tests.services.checks import audited, balances, counters, entries, invoice_of, refused, rows

CASH, RECEIVABLE, DEFERRED, VAT, CREDIT, TIPS, SERVICES, PRODUCTS = 1110, 1310, 2110, 2120, 2130, 2150, 4110, 4140


@pytest.fixture
def cream(spa):
    """Ten pieces at 200,000, 10 % VAT in it (18,182)."""
    return make_product(spa.branch, name="Cream")


@pytest.fixture
def visit(spa):
    """A completed facial of 450,000 by the first therapist."""
    return make_booking(spa, status="completed", actor=spa.receptionist)


def sell(spa, bill, actor=None, **more):
    return billing.sell(
        customer_id=spa.customer, branch_id=spa.branch, bill=bill, actor=actor or spa.receptionist, **more
    )


def lines(invoice):
    return rows(
        "SELECT kind, description, quantity, amount, vat_amount FROM invoice_lines WHERE invoice_id = :id"
        " ORDER BY position",
        id=invoice,
    )


def head(invoice):
    return rows("SELECT status, total_amount, vat_amount, paid_amount FROM invoices WHERE id = :id", id=invoice)[0]


def on_hand(product):
    return rows("SELECT on_hand FROM product_stocks WHERE product_id = :id", id=product)[0][0]


def moves(product):
    return rows(
        "SELECT kind, quantity FROM stock_movements m JOIN product_stocks s ON s.id = m.stock_id"
        " WHERE product_id = :id ORDER BY m.id",
        id=product,
    )


def settled():
    """The books balance, by the tests' rules and by reconcile's."""
    assert_books_balance()
    assert reconciliation.list_faults() == []


def test_one_bill_holds_lines_of_every_kind(spa, cream):
    bill = Bill(
        wares=(Ware("plan", spa.plan, 2, Discount(share_bp=1_000)), Ware("product", cream, 3)),
        discount=Discount(amount=40_000),
        reason="Opening week",
        tip=Tip(70_001, staff_ids=spa.therapists),
    )

    sale = sell(spa, bill, spa.manager)

    # 2,000,000 less 10 % is 1,800,000; of 40,000 off 2,400,000, three quarters are on it: 30,000, and 10,000 on the
    # cream. VAT: within 2,000,000 at 8 % 148,148; within 1,800,000 133,333; within 1,770,000 131,111.
    # Cream: within 600,000 at 10 % 54,545; within 590,000 53,636.
    assert lines(sale) == [
        ("plan", "10 × Basic Facial", 2, 2_000_000, 148_148),
        ("discount", "Opening week", 1, -200_000, -14_815),
        ("discount", "Opening week", 1, -30_000, -2_222),
        ("product", "Cream", 3, 600_000, 54_545),
        ("discount", "Opening week", 1, -10_000, -909),
        ("tip", "Hồng", 1, 35_001, 0),
        ("tip", "Anh", 1, 35_000, 0),
    ]
    assert head(sale) == ("open", 2_430_001, 184_747, 0)
    assert balances() == {
        RECEIVABLE: 2_430_001,
        DEFERRED: -1_638_889,
        VAT: -184_747,
        TIPS: -70_001,
        PRODUCTS: -536_364,
    }
    cards = cards_of(sale)
    assert rows("SELECT total_sessions, deferred_amount FROM customer_treatments ORDER BY id") == [
        (10, 819_444),
        (10, 819_445),
    ]
    assert len(cards) == 2
    assert on_hand(cream) == 7
    assert audited("invoice") == ["sale_invoiced"]
    settled()


def test_what_is_granted_whole_is_free_and_paid_at_once(spa, cream):
    bill = Bill(
        wares=(Ware("plan", spa.plan, discount=Discount(share_bp=10_000)), Ware("product", cream)),
        discount=Discount(share_bp=10_000),
        reason="A present",
    )

    sale = sell(spa, bill, spa.manager)

    assert head(sale) == ("paid", 0, 0, 0)
    assert rows("SELECT count(*) FROM journal_entries") == [(0,)]
    assert on_hand(cream) == 9
    (card,) = cards_of(sale)
    booking = make_booking(spa, card=card, status="completed")
    assert counters(card)[:2] == (10, 1)
    bookings.undo_complete(booking, actor=spa.receptionist)
    bookings.cancel(booking, reason="x", actor=spa.receptionist)
    settled()

    billing.void_sale(sale, reason="by mistake", actor=spa.receptionist)

    assert head(sale)[0] == "void"
    assert on_hand(cream) == 10
    assert counters(card)[-1] == "cancelled"
    settled()


def test_a_voided_sale_gives_everything_back(spa, cream):
    sale = sell(spa, Bill(wares=(Ware("product", cream, 4),), tip=Tip(10_000, staff_ids=spa.therapists[:1])))
    assert on_hand(cream) == 6

    billing.void_sale(sale, reason="wrong customer", actor=spa.receptionist)

    assert moves(cream) == [("received", 10), ("sold", -4), ("returned", 4)]
    assert set(balances().values()) == {0}
    settled()


def test_a_code_that_can_lower_nothing_is_refused(spa):
    factories.make_promotion("TET")
    with refused("promotion_minimum", InvalidError, "code"):
        sell(spa, Bill(tip=Tip(50_000, staff_ids=spa.therapists[:1]), code="TET"))


def test_a_visit_that_cards_pay_gets_no_bill_of_nothing(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    booking = make_booking(spa, card=card, status="in_progress")
    with refused("bill_empty", InvalidError, "lines"):
        bookings.complete(
            booking, bill=Bill(discount=Discount(share_bp=1_000), reason="Had to wait"), actor=spa.manager
        )

    nobody = Tip(split="typed", typed=dict.fromkeys(spa.therapists, 0))
    bookings.complete(booking, bill=Bill(tip=nobody), actor=spa.receptionist)

    assert rows("SELECT count(*) FROM invoices WHERE booking_id = :id", id=booking) == [(0,)]
    settled()


def test_undoing_a_visit_whose_bill_came_to_nothing_is_on_record(spa, cream):
    booking = make_booking(spa, status="in_progress")
    free = Bill(wares=(Ware("product", cream),), discount=Discount(share_bp=10_000), reason="Complaint")
    bookings.complete(booking, bill=free, actor=spa.manager)

    bookings.undo_complete(booking, actor=spa.receptionist)

    assert on_hand(cream) == 10
    assert audited("invoice") == ["bill_issued", "invoice_credited"]
    settled()


def test_what_was_given_away_goes_back_to_the_stock_with_all_the_rest(spa, visit, cream):
    free = Ware("product", cream, 2, Discount(share_bp=10_000))
    bill = Bill(wares=(Ware("plan", spa.plan), free), reason="A present")
    sale = sell(spa, bill, spa.manager)
    payments.take_payment(sale, method="cash", amount=None, actor=spa.receptionist)
    back = {"reason": "changed her mind", "actor": spa.manager, "to": "store_credit"}

    note = refunds.refund_invoice(sale, **back)
    assert on_hand(cream) == 10

    refunds.withdraw_invoice_refund(note, reason="she did not", actor=spa.manager)
    assert on_hand(cream) == 8
    refunds.refund_invoice(sale, **back)
    assert moves(cream)[1:] == [("sold", -2), ("returned", 2), ("sold", -2), ("returned", 2)]
    settled()


def test_refunding_a_whole_package_on_its_card_gives_its_promotion_back(spa):
    promotion = factories.make_promotion("TET", max_uses=1)
    sale = sell(spa, Bill(wares=(Ware("plan", spa.plan),), code="TET"))
    payments.take_payment(sale, method="cash", amount=None, actor=spa.receptionist)
    [card] = cards_of(sale)
    uses = "SELECT used_count FROM promotions WHERE id = :id"

    refunds.refund_card(
        card,
        basis="pro_rata",
        fee_amount=0,
        pay_by="store_credit",
        shown_amount=None,
        reason="moves away",
        actor=spa.manager,
    )
    assert rows(uses, id=promotion) == [(0,)]

    refunds.withdraw_refund(card, reason="stays", actor=spa.manager)
    assert rows(uses, id=promotion) == [(1,)]
    settled()


@pytest.mark.parametrize("paid", [0, 100_000, 680_000])
def test_undoing_a_visit_takes_back_products_tip_and_discount(spa, cream, paid):
    booking = make_booking(spa, status="in_progress")
    bill = Bill(
        wares=(Ware("product", cream),), discount=Discount(amount=65_000), reason="Waited long", tip=Tip(95_000)
    )

    bookings.complete(booking, bill=bill, actor=spa.manager)

    invoice = invoice_of(booking)
    # 450,000 and 200,000, 65,000 off: 45,000 and 20,000. VAT within 405,000 is 30,000, within 180,000 16,364.
    assert head(invoice) == ("open", 680_000, 46_364, 0)
    assert balances() == {RECEIVABLE: 680_000, VAT: -46_364, TIPS: -95_000, SERVICES: -375_000, PRODUCTS: -163_636}
    assert rows("SELECT s.full_name FROM invoice_lines l JOIN staff s ON s.id = l.staff_id") == [("Hồng",)]
    if paid:
        payments.take_payment(invoice, method="cash", amount=paid, actor=spa.receptionist)

    bookings.undo_complete(booking, actor=spa.manager)

    assert on_hand(cream) == 10
    assert {code: amount for code, amount in balances().items() if amount} == (
        {CASH: paid, CREDIT: -paid} if paid else {}
    )
    settled()
    bookings.complete(booking, actor=spa.receptionist)
    assert head(invoice_of(booking))[1] == 450_000
    settled()


def test_the_tip_of_a_visit_is_split_among_its_therapists(spa):
    items = (ItemRequest(spa.facial, spa.therapists[0]), ItemRequest(spa.massage, spa.therapists[1]))
    booking = make_booking(spa, *items, status="in_progress")

    bookings.complete(booking, bill=Bill(tip=Tip(100_000, "services")), actor=spa.receptionist)

    # 450 ÷ 1250 and 800 ÷ 1250 of 100,000.
    assert lines(invoice_of(booking))[2:] == [("tip", "Hồng", 1, 36_000, 0), ("tip", "Anh", 1, 64_000, 0)]
    settled()


def test_a_visit_that_a_card_pays_can_leave_a_tip(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    visit = make_booking(spa, card=card, status="completed")

    tip = sell(spa, Bill(tip=Tip(50_000)), booking_id=visit)

    assert lines(tip) == [("tip", "Hồng", 1, 50_000, 0)]
    assert rows("SELECT booking_id FROM invoices WHERE id = :id", id=tip) == [(visit,)]
    settled()
    with refused("already_invoiced", ConflictError):
        sell(spa, Bill(tip=Tip(50_000)), booking_id=visit)
    bookings.undo_complete(visit, actor=spa.receptionist)
    assert head(tip)[0] == "void"
    settled()


def test_a_bill_goes_with_no_other_visit(spa):
    booked = make_booking(spa)
    with refused("visit_not_completed", ConflictError):
        sell(spa, Bill(tip=Tip(1, staff_ids=spa.therapists)), booking_id=booked)
    other = make_booking(
        spa, ItemRequest(spa.facial, spa.therapists[1]), customer_id=factories.make_customer(), status="completed"
    )
    with refused("booking_unknown", NotFoundError):
        sell(spa, Bill(tip=Tip(1)), booking_id=other)


def test_a_promotion_lowers_what_other_discounts_leave(spa, cream):
    promotion = factories.make_promotion("TET", max_uses=1)
    wares = (Ware("product", cream, 2),)
    bill = Bill(wares=wares, discount=Discount(amount=50_000), reason="Regular", code=" tet ")

    sale = sell(spa, bill, spa.manager)

    # 400,000 less 50,000, and a tenth of that.
    assert [line[1:4] for line in lines(sale)] == [
        ("Cream", 2, 400_000),
        ("Regular", 1, -50_000),
        ("Ten off", 1, -35_000),
    ]
    uses = "SELECT used_count FROM promotions WHERE id = :id"
    assert rows(uses, id=promotion) == [(1,)]
    with refused("promotion_used_up", ConflictError, "code"):
        sell(spa, Bill(wares=wares, code="TET"))
    settled()

    # The same use goes on with the changed bill, and comes back with the bill that is void.
    changed = billing.change_bill(sale, bill=Bill(wares=wares, code="TET"), actor=spa.receptionist)

    assert head(changed)[1] == 360_000
    assert rows(uses, id=promotion) == [(1,)]
    settled()
    billing.void_sale(changed, reason="by mistake", actor=spa.receptionist)
    assert rows(uses, id=promotion) == [(0,)]
    settled()


@pytest.mark.parametrize("paid", [0, 405_000])
def test_undoing_a_visit_gives_its_promotion_back(spa, paid):
    promotion = factories.make_promotion("TET")
    booking = make_booking(spa, status="in_progress")
    bookings.complete(booking, bill=Bill(code="TET"), actor=spa.receptionist)
    if paid:
        payments.take_payment(invoice_of(booking), method="cash", amount=paid, actor=spa.receptionist)

    bookings.undo_complete(booking, actor=spa.manager)

    assert rows("SELECT used_count FROM promotions WHERE id = :id", id=promotion) == [(0,)]
    settled()


def test_a_tip_and_a_discount_are_added_to_an_unpaid_bill(spa, visit):
    old = invoice_of(visit)

    new = billing.change_bill(
        old, bill=Bill(discount=Discount(share_bp=1_000), reason="Regular", tip=Tip(50_000)), actor=spa.manager
    )

    assert head(old)[0] == "void"
    assert head(new) == ("open", 455_000, 30_000, 0)
    assert lines(new) == [
        ("service", "Basic Facial", 1, 450_000, 33_333),
        ("discount", "Regular", 1, -45_000, -3_333),
        ("tip", "Hồng", 1, 50_000, 0),
    ]
    assert rows("SELECT replaces_id, booking_id FROM invoices WHERE id = :id", id=new) == [(old, visit)]
    assert balances() == {RECEIVABLE: 455_000, VAT: -30_000, TIPS: -50_000, SERVICES: -375_000}
    assert audited("invoice") == ["invoice_voided", "bill_changed"]
    settled()
    with refused("bill_not_changeable", WrongStateError, None, ("pay_due",)):
        billing.change_bill(old, bill=Bill(), actor=spa.manager)

    third = billing.change_bill(new, bill=Bill(), actor=spa.receptionist)

    assert lines(third) == [("service", "Basic Facial", 1, 450_000, 33_333)]
    bookings.undo_complete(visit, actor=spa.receptionist)
    assert set(balances().values()) == {0}
    settled()


def test_a_bill_on_which_money_was_taken_stays(spa, visit):
    payments.take_payment(invoice_of(visit), method="cash", amount=1, actor=spa.receptionist)
    with refused("bill_paid_on", WrongStateError, ways_out=("new_sale",)):
        billing.change_bill(invoice_of(visit), bill=Bill(tip=Tip(1)), actor=spa.manager)

    further = sell(spa, Bill(tip=Tip(30_000, staff_ids=spa.therapists[:1])))

    assert rows("SELECT booking_id FROM invoices WHERE id = :id", id=further) == [(None,)]
    settled()


def test_a_policys_fee_is_waived_and_not_discounted(spa):
    set_policy(spa.branch, no_show_policy="fee", no_show_fee_bp=5_000)
    missed = make_booking(spa, status="no_show")
    with refused("bill_of_other_kind", WrongStateError, ways_out=("new_sale",)):
        billing.change_bill(invoice_of(missed), bill=Bill(), actor=spa.manager)


def test_cards_go_on_with_a_changed_bill(spa, cream):
    sale = sell(spa, Bill(wares=(Ware("plan", spa.plan),)))
    (card,) = cards_of(sale)
    make_booking(spa, card=card, status="completed")
    before = entries(card)
    plan = Ware("plan", spa.plan)

    new = billing.change_bill(sale, bill=Bill(wares=(plan, Ware("product", cream))), actor=spa.receptionist)

    assert cards_of(new) == [card]
    assert entries(card) == before
    assert counters(card)[:2] == (10, 1)
    settled()
    # One session is used and recognised at a tenth of 925,926: another price would make that untrue.
    with refused("card_price_fixed", ConflictError, "discount"):
        billing.change_bill(
            new, bill=Bill(wares=(plan,), discount=Discount(share_bp=500), reason="x"), actor=spa.manager
        )
    with refused("card_in_use", ConflictError):
        billing.change_bill(new, bill=Bill(wares=(Ware("product", cream),)), actor=spa.manager)

    last = billing.change_bill(new, bill=Bill(wares=(plan,)), actor=spa.receptionist)

    assert on_hand(cream) == 10
    assert cards_of(last) == [card]
    settled()


def test_a_discount_on_an_unused_package_lowers_what_its_card_defers(spa):
    plan = factories.make_plan([(spa.facial, 2), (spa.massage, 1)], price=1_080_000)
    sale = sell(spa, Bill(wares=(Ware("plan", plan),)))
    cards = cards_of(sale)
    held = make_booking(spa, card=cards[0])

    new = billing.change_bill(
        sale,
        bill=Bill(wares=(Ware("plan", plan),), discount=Discount(share_bp=5_000), reason="x"),
        actor=spa.manager,
    )

    # 1,000,000 without VAT, split 900 : 800 by list price, then half of it in the same proportion.
    assert cards_of(new) == cards
    assert rows("SELECT deferred_amount FROM customer_treatments ORDER BY id") == [(264_705,), (235_295,)]
    assert audited("treatment").count("card_resold") == 2
    bookings.start(held, actor=spa.manager)
    bookings.complete(held, actor=spa.manager)
    settled()
    further = billing.change_bill(
        new,
        bill=Bill(
            wares=(Ware("plan", plan),),
            discount=Discount(share_bp=5_000),
            reason="x",
            tip=Tip(1_000, staff_ids=spa.therapists[:1]),
        ),
        actor=spa.receptionist,
    )
    assert cards_of(further) == cards
    settled()


def test_another_package_takes_the_place_of_an_unused_one(spa):
    other = factories.make_plan([(spa.massage, 3)], price=540_000)
    sale = sell(spa, Bill(wares=(Ware("plan", spa.plan),)))
    (card,) = cards_of(sale)

    new = billing.change_bill(sale, bill=Bill(wares=(Ware("plan", other),)), actor=spa.receptionist)

    assert counters(card)[-1] == "cancelled"
    assert head(new) == ("open", 540_000, 40_000, 0)
    assert len(cards_of(new)) == 1
    settled()


def test_a_receptionist_grants_up_to_the_branchs_limit(spa, visit):
    set_policy(spa.branch, discount_limit_bp=1_000)
    old = invoice_of(visit)
    with refused("discount_above_limit", NotAllowedError, "discount", ("ask_manager",)):
        billing.change_bill(old, bill=Bill(discount=Discount(amount=45_001), reason="x"), actor=spa.receptionist)
    granted = Bill(discount=Discount(share_bp=3_000), reason="Long wait")

    by_manager = billing.change_bill(old, bill=granted, actor=spa.manager)
    # What a manager granted stays granted when the desk adds a tip.
    with_tip = billing.change_bill(
        by_manager,
        bill=Bill(discount=granted.discount, reason="Long wait", tip=Tip(20_000)),
        actor=spa.receptionist,
    )

    assert head(with_tip)[1] == 335_000
    with refused("discount_above_limit", NotAllowedError, "discount", ("ask_manager",)):
        billing.change_bill(with_tip, bill=Bill(discount=Discount(share_bp=3_001), reason="x"), actor=spa.receptionist)
    within = billing.change_bill(
        with_tip, bill=Bill(discount=Discount(amount=45_000), reason="x"), actor=spa.receptionist
    )
    assert head(within)[1] == 405_000
    settled()


REFUSED = {
    "bill_empty": (lambda spa, cream: Bill(), "lines"),
    "ware_unknown": (lambda spa, cream: Bill(wares=(Ware("fee", 1),)), "lines-0-what"),
    "plan_unknown": (lambda spa, cream: Bill(wares=(Ware("plan", 4711),)), "lines-0-what"),
    "product_unknown": (lambda spa, cream: Bill(wares=(Ware("product", 4711),)), "lines-0-what"),
    "out_of_range": (lambda spa, cream: Bill(wares=(Ware("product", cream, 0),)), "lines-0-quantity"),
    "discount_above_price": (
        lambda spa, cream: Bill(wares=(Ware("product", cream, 1, Discount(amount=200_001)),), reason="x"),
        "lines-0-discount",
    ),
    "discount_invalid": (
        lambda spa, cream: Bill(wares=(Ware("product", cream),), discount=Discount(share_bp=10_001), reason="x"),
        "discount",
    ),
    "amount_not_positive": (
        lambda spa, cream: Bill(wares=(Ware("product", cream),), discount=Discount(amount=-5), reason="x"),
        "discount",
    ),
    "reason_missing": (
        lambda spa, cream: Bill(wares=(Ware("product", cream),), discount=Discount(amount=5), reason=" "),
        "reason",
    ),
    "item_unknown": (lambda spa, cream: Bill(service_discounts={1: Discount(amount=5)}, reason="x"), "discount"),
    "tip_for_nobody": (lambda spa, cream: Bill(tip=Tip(5)), "tip_staff_id"),
    "tip_invalid": (lambda spa, cream: Bill(tip=Tip(-5, staff_ids=spa.therapists)), "tip_amount"),
    "split_unknown": (lambda spa, cream: Bill(tip=Tip(5, "somehow", spa.therapists)), "tip_split"),
    "staff_unknown": (lambda spa, cream: Bill(tip=Tip(5, staff_ids=(spa.other_therapist,))), "tip_staff_id"),
    "too_many_lines": (lambda spa, cream: Bill(wares=(Ware("product", cream),) * 21), "lines"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_each_rule_has_its_own_refusal(spa, cream, code):
    make, field = REFUSED[code]
    with refused(code, InvalidError, field):
        sell(spa, make(spa, cream), spa.manager)


def test_a_package_stays_off_a_visits_bill(spa, visit):
    with refused("plan_with_visit", InvalidError, "lines-0-what"):
        billing.change_bill(invoice_of(visit), bill=Bill(wares=(Ware("plan", spa.plan),)), actor=spa.manager)


def test_nothing_is_sold_that_is_not_there(spa, cream):
    with refused("out_of_stock", ConflictError, "lines", ("count_stock",)):
        sell(spa, Bill(wares=(Ware("product", cream, 6), Ware("product", cream, 5))))
    nowhere = make_product(spa.branch, on_hand=0)
    with refused("out_of_stock", ConflictError, "lines", ("count_stock",)):
        sell(spa, Bill(wares=(Ware("product", nowhere),)))


def test_managers_move_the_stock_and_nobody_else(spa, cream):
    def move(kind, quantity, actor=spa.manager, **more):
        return stock.move_stock(cream, branch_id=spa.branch, kind=kind, quantity=quantity, actor=actor, **more)

    with refused("manager_only", NotAllowedError):
        move("received", 1, spa.receptionist)
    with refused("reason_missing", InvalidError, "reason"):
        move("written_off", 1)
    with refused("too_few", ConflictError, "quantity"):
        move("written_off", 11, reason="broken")
    for quantity in (None, 0, -1, 100_001):
        with refused("out_of_range", InvalidError, "quantity"):
            move("received", quantity)
    with refused("kind_unknown", InvalidError, "kind"):
        move("sold", 1)

    move("received", 5)
    move("written_off", 2, reason="broken")
    move("counted", 12)
    move("counted", 12)

    assert moves(cream) == [("received", 10), ("received", 5), ("written_off", -2), ("counted", -1), ("counted", 0)]
    assert on_hand(cream) == 12
    assert audited("product") == [
        "product_saved", "stock_received", "stock_received", "stock_written_off", "stock_counted", "stock_counted",
    ]  # fmt: skip
    settled()
