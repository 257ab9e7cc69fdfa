"""The desk's bills: selling, changing, completing with more, each without JavaScript and with errors at the fields."""

import re
import uuid

import pytest

from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.services import billing, bookings, payments, refunds
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.factories import login, make_booking, make_product, set_policy
from tests.services.checks import invoice_of, rows
from tests.web.visits import error_at, text_of

HTMX = {"HX-Request": "true", "HX-Target": "main"}


@pytest.fixture
def desk(client, spa):
    login(client, "reception")
    return client


@pytest.fixture
def cream(spa):
    return make_product(spa.branch, name="Cream")


def post(client, address, headers=None, **fields):
    return client.post(address, data={"idempotency_key": uuid.uuid4(), **fields}, headers=headers)


def newest():
    return rows("SELECT id, status, total_amount, booking_id FROM invoices ORDER BY id DESC LIMIT 1")[0]


def test_a_sale_of_several_lines(desk, spa, cream):
    answer = post(
        desk,
        "/sales",
        customer_id=spa.customer,
        **{
            "lines-0-what": f"product-{cream}",
            "lines-0-quantity": "2",
            "lines-1-what": "",
            "lines-2-what": f"plan-{spa.plan}",
            "lines-2-quantity": "1",
            "tip_amount": "20.000",
            "tip_staff_id": spa.therapists[1],
        },
    )

    invoice, status, total, _ = newest()
    assert (answer.status_code, answer.location) == (303, f"/invoices/{invoice}")
    assert (status, total) == ("open", 1_420_000)
    page = text_of(desk.get(f"/invoices/{invoice}"))
    assert "2 × Cream" in page
    assert "Tip for Anh" in page
    assert "Tip for Anh" in desk.get("/sales").text
    assert_books_balance()


def test_the_list_of_sales_names_what_was_sold(desk, spa, cream):
    bill = Bill(
        wares=(Ware("product", cream, discount=Discount(share_bp=500)),),
        reason="Had to wait",
        tip=Tip(20_000, staff_ids=spa.therapists[:1]),
    )
    for one in (bill, Bill(tip=bill.tip)):
        billing.sell(customer_id=spa.customer, branch_id=spa.branch, bill=one, actor=spa.manager)

    page = desk.get("/sales").text

    assert re.findall(r'<span class="muted small">([^<]*)</span></td>', page) == [
        "Tip for Hồng",
        "Cream, Tip for Hồng",
    ]


def test_a_replayed_sale_sells_once(desk, spa, cream):
    fields = {"customer_id": spa.customer, "lines-0-what": f"product-{cream}", "idempotency_key": uuid.uuid4()}
    first, again = (desk.post("/sales", data=fields) for _ in range(2))

    assert first.location == again.location
    assert rows("SELECT on_hand FROM product_stocks") == [(9,)]


def test_a_new_customer_is_added_with_the_sale(desk, spa, cream):
    answer = post(desk, "/sales", full_name="Trần Vy", phone="0909 111 222", **{"lines-0-what": f"product-{cream}"})

    assert answer.status_code == 303
    assert rows("SELECT full_name FROM customers ORDER BY id DESC LIMIT 1") == [("Trần Vy",)]
    nobody = post(desk, "/sales", **{"lines-0-what": f"product-{cream}"})
    assert nobody.status_code == 422
    assert "Choose a customer." in error_at(nobody, "customer_q")
    known = post(desk, "/sales", full_name="Trần Vi", phone="0909111222", **{"lines-0-what": f"product-{cream}"})
    assert known.status_code == 409
    assert rows("SELECT count(*) FROM invoices") == [(1,)]


@pytest.mark.parametrize(
    ("fields", "status", "at"),
    [
        ({"lines-1-what": "product-4711"}, 422, "lines-1-what"),
        ({"lines-1-what": "nonsense"}, 422, "lines-1-what"),
        ({"lines-1-quantity": "0"}, 422, "lines-1-quantity"),
        ({"lines-1-discount": "ten"}, 422, "lines-1-discount"),
        ({"lines-1-discount": "200.001", "reason": "x"}, 422, "lines-1-discount"),
        ({"discount": "101 %", "reason": "x"}, 422, "discount"),
        ({"discount": "5 %"}, 422, "reason"),
        ({"tip_amount": "5000"}, 422, "tip_staff_id"),
        ({"tip_amount": "abc"}, 422, "tip_amount"),
        ({"discount": "11 %", "reason": "x"}, 403, "discount"),
    ],
)
def test_what_cannot_be_stands_at_its_field(desk, spa, cream, fields, status, at):
    set_policy(spa.branch, discount_limit_bp=1_000)
    good = {"customer_id": spa.customer, "lines-0-what": "", "lines-1-what": f"product-{cream}"}

    answer = post(desk, "/sales", **{**good, **fields})

    assert answer.status_code == status
    assert error_at(answer, at)
    assert rows("SELECT count(*) FROM invoices") == [(0,)]


def test_too_little_stock_leads_a_manager_to_it(client, spa, cream):
    fields = {"customer_id": spa.customer, "lines-0-what": f"product-{cream}", "lines-0-quantity": "11"}
    login(client, "reception")
    told = post(client, "/sales", **fields)
    login(client, "manager")
    led = post(client, "/sales", **fields)

    assert (told.status_code, led.status_code) == (409, 409)
    assert "Of Cream, 10 are on hand." in text_of(told)
    assert "Ask a manager" in text_of(told)
    assert f"/setup/products/{cream}?branch={spa.branch}" in led.text.replace("&amp;", "&")


def test_without_javascript_the_buttons_draw_the_form_anew(desk, spa, cream):
    typed = {"customer_id": spa.customer, "lines-0-what": f"product-{cream}", "lines-0-quantity": "3"}

    more = desk.post("/sales/form", data={**typed, "do": "add-line"})
    assert (more.status_code, len(re.findall(r'<input[^>]*name="lines-\d-quantity"', more.text))) == (200, 2)
    assert "lines-1-what" in more.text
    less = desk.post("/sales/form", data={**typed, "lines-1-what": "", "do": "remove-0"})
    assert "lines-1-what" not in less.text
    assert "₫600,000" in text_of(more)
    found = desk.post("/sales/form", data={"customer_q": "mai", "do": "find"})
    assert f'name="customer_id" value="{spa.customer}"' in found.text
    forgotten = desk.post("/sales/form", data={**typed, "do": "forget-customer"})
    assert "customer_q" in forgotten.text


def test_the_total_is_worked_out_as_it_is_typed(desk, spa, cream):
    answer = desk.post(
        "/sales/form",
        data={"customer_id": spa.customer, "lines-0-what": f"product-{cream}", "discount": "10 %"},
        headers={"HX-Request": "true", "HX-Target": "bill-sums"},
    )

    assert "<form" not in answer.text
    assert "₫180,000" in text_of(answer)
    assert "Say why" in text_of(answer)


def test_the_finder_leads_back_to_the_sale(desk, spa):
    answer = desk.get("/bookings/customers?customer_q=mai&for=sale", headers=HTMX)

    assert 'formaction="/sales/form"' in answer.text


def test_a_bill_is_changed_from_its_invoice(desk, spa, cream):
    set_policy(spa.branch, discount_limit_bp=1_000)
    visit = make_booking(spa, status="completed")
    old = invoice_of(visit)
    assert f'href="/invoices/{old}/change"' in desk.get(f"/invoices/{old}").text
    form = desk.get(f"/invoices/{old}/change")
    item = re.search(r'name="services-0-item_id"[^>]*value="(\d+)"', form.text)[1]

    answer = post(
        desk,
        f"/invoices/{old}/change",
        **{
            "services-0-item_id": item,
            "services-0-discount": "5%",
            "lines-0-what": f"product-{cream}",
            "reason": "Had to wait",
            "tip_amount": "30000",
        },
    )

    new, status, total, booking = newest()
    assert (answer.status_code, answer.location) == (303, f"/invoices/{new}")
    assert (status, total, booking) == ("open", 657_500, visit)
    before = text_of(desk.get(f"/invoices/{old}"))
    assert "This bill was changed" in before
    assert "Discount 5 %: Had to wait" in text_of(desk.get(f"/invoices/{new}"))
    again = desk.get(f"/invoices/{new}/change").text
    assert re.search(r'name="services-0-discount"[^>]*value="5 %"', again)
    assert re.search(r'name="tip_amount"[^>]*value="30,000"', again)
    # Whoever still has the old one before them is told, and led to the new one.
    late = post(desk, f"/invoices/{old}/change", tip_amount="1")
    assert late.status_code == 409
    assert f'href="/invoices/{new}"' in late.text
    assert desk.get(f"/invoices/{old}/change").location == f"/invoices/{new}"
    assert_books_balance()


def test_a_bill_on_which_money_was_taken_leads_to_a_further_one(desk, spa):
    visit = make_booking(spa, status="completed")
    invoice = invoice_of(visit)
    payments.take_payment(invoice, method="cash", amount=450_000, actor=spa.receptionist)

    assert f"/sales/new?customer_id={spa.customer}&amp;booking_id={visit}" in desk.get(f"/invoices/{invoice}").text
    assert post(desk, f"/invoices/{invoice}/change", tip_amount="5").status_code == 409
    form = desk.get(f"/sales/new?customer_id={spa.customer}&booking_id={visit}").text
    assert 'name="booking_id"' not in form
    assert re.search(rf'<option selected value="{spa.therapists[0]}">', form)


def test_a_visit_is_completed_with_a_tip_for_two(desk, spa):
    items = (ItemRequest(spa.facial, spa.therapists[0]), ItemRequest(spa.consultation, spa.therapists[1]))
    visit = make_booking(spa, *items, status="in_progress")
    form = desk.get(f"/bookings/{visit}/bill")
    version = re.search(r'name="version"[^>]*value="(\d+)"', form.text)[1]
    tips = {f"tips-{place}-staff_id": one for place, one in enumerate(spa.therapists)}
    fields = {**tips, "tip_split": "typed", "tips-0-amount": "40000", "tips-1-amount": "10000"}

    stale = post(desk, f"/bookings/{visit}/bill", version="0", **fields)
    assert (stale.status_code, rows("SELECT count(*) FROM invoices")) == (409, [(0,)])
    answer = post(desk, f"/bookings/{visit}/bill", version=version, **fields)

    invoice, _, total, booking = newest()
    assert (answer.location, total, booking) == (f"/invoices/{invoice}", 600_000, visit)
    assert rows("SELECT count(*) FROM invoices WHERE status = 'void'") == [(0,)]
    assert desk.get(f"/bookings/{visit}/bill").location == f"/bookings/{visit}"
    assert_books_balance()


def test_a_changed_bill_leaves_the_tip_to_whom_it_was_for(desk, spa):
    items = (ItemRequest(spa.facial, spa.therapists[0]), ItemRequest(spa.consultation, spa.therapists[1]))
    visit = make_booking(spa, *items, status="in_progress")
    tip = Tip(split="typed", typed={spa.therapists[1]: 40_000})
    bookings.complete(visit, bill=Bill(tip=tip), actor=spa.receptionist)
    old = invoice_of(visit)

    form = desk.get(f"/invoices/{old}/change").text
    names = r"(?:(?:services|tips)-\d-\w+|tip_\w+)"
    typed = dict(re.findall(rf'<input[^>]*name="({names})"[^>]*type="(?:hidden|text)"[^>]*value="([^"]*)"', form))
    [split] = re.findall(r'<input(?=[^>]* checked)[^>]*name="tip_split"[^>]*value="(\w+)"', form)
    post(desk, f"/invoices/{old}/change", tip_split=split, **typed)

    new = newest()[0]
    assert new != old
    assert rows("SELECT staff_id, amount FROM invoice_lines WHERE invoice_id = :id AND kind = 'tip'", id=new) == [
        (spa.therapists[1], 40_000)
    ]


def test_a_bill_that_holds_the_last_use_of_a_promotion_can_be_worked_out_anew(desk, spa, cream):
    factories.make_promotion("TET", max_uses=1, max_uses_per_customer=1)
    ware = Ware("product", cream)
    old = billing.sell(
        customer_id=spa.customer, branch_id=spa.branch, bill=Bill(wares=(ware,), code="TET"), actor=spa.receptionist
    )

    opened = text_of(desk.get(f"/invoices/{old}/change"))
    fields = {"lines-0-what": f"product-{cream}", "lines-0-quantity": "2", "code": "TET"}
    drawn = text_of(post(desk, f"/invoices/{old}/change/form", HTMX | {"HX-Target": "bill-sums"}, **fields))

    assert "180,000" in opened
    assert "360,000" in drawn
    assert "taken" not in drawn
    assert rows("SELECT used_count FROM promotions") == [(1,)]


def test_the_tip_of_a_visit_that_a_card_paid(desk, spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    visit = make_booking(spa, card=card, status="completed")
    assert f"/sales/new?booking_id={visit}" in desk.get(f"/bookings/{visit}").text
    form = desk.get(f"/sales/new?booking_id={visit}").text
    assert "For Hồng" in form

    fields = {"booking_id": visit, "tip_amount": "25000", "idempotency_key": uuid.uuid4()}
    answer, again = (post(desk, "/sales", **fields) for _ in range(2))

    assert answer.status_code == 303
    assert again.location == answer.location
    assert newest()[2:] == (25_000, visit)


@pytest.mark.parametrize("name", ["services-²-item_id", "tips-²-amount", f"tips-{'9' * 5_000}-amount", "lines-²-what"])
def test_rows_with_numbers_that_are_none_are_no_rows(desk, spa, cream, name):
    for address in ("/sales", "/sales/form"):
        assert post(desk, address, **{name: "1", "lines-0-what": f"product-{cream}"}).status_code in (200, 422)


def test_a_credit_note_is_no_bill_to_change(desk, spa):
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    payments.take_payment(sale, method="cash", amount=None, actor=spa.manager)
    note = refunds.refund_invoice(sale, reason="moves", actor=spa.manager)
    visit = make_booking(spa, status="completed")
    payments.take_payment(invoice_of(visit), method="cash", amount=None, actor=spa.manager)
    other = refunds.refund_invoice(invoice_of(visit), reason="cold", actor=spa.manager)

    for one in (note, other):
        for address in ("change", "change/form"):
            fields = {"discount": "10 %", "reason": "x"}
            assert post(desk, f"/invoices/{one}/{address}", **fields).status_code == 404
        assert desk.get(f"/invoices/{one}/change").location == f"/invoices/{one}"


def test_bills_of_another_branch_are_not_there(client, spa):
    visit = make_booking(spa, status="completed")
    started = make_booking(spa, ItemRequest(spa.facial, spa.therapists[1]), status="in_progress")
    login(client, "reception7")

    for address in (f"/invoices/{invoice_of(visit)}/change", f"/bookings/{started}/bill"):
        assert client.get(address).status_code == 404
        assert post(client, address).status_code == 404
        assert post(client, f"{address}/form").status_code == 404
    assert client.get(f"/sales/new?booking_id={visit}").status_code == 404
    assert post(client, "/sales", booking_id=visit, tip_amount="5").status_code == 404


def test_revenue_is_shown_by_what_earned_it(client, spa, cream):
    login(client, "manager")
    visit = make_booking(spa, status="in_progress")
    bill = Bill(wares=(Ware("product", cream),), discount=Discount(share_bp=1_000), reason="x", tip=Tip(50_000))
    bookings.complete(visit, bill=bill, actor=spa.manager)
    set_policy(spa.branch, no_show_policy="fee", no_show_fee_bp=5_000)
    make_booking(spa, ItemRequest(spa.facial, spa.therapists[1]), status="no_show")
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    assert card

    page = text_of(client.get("/reports/daily"))

    # 405,000 less 30,000 VAT; 180,000 less 16,364; half of 450,000.
    assert "Services ₫375,000" in page
    assert "Products ₫163,636" in page
    assert "Fees ₫225,000" in page
    assert "Tips for therapists ₫50,000" in page
