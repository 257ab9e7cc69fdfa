"""The pages of gift cards and store credit: selling, finding, paying with a code, and managers' acts."""

import datetime as dt
import io
import re
import uuid

import pytest
import segno
from flask.testing import FlaskClient

from spa_app import clock
from spa_app.models.gift_card import show_code
from spa_app.services import billing, gift_card_desk, payments
from spa_app.services.actor import SYSTEM
from tests.factories import TIMEZONE, Spa, login, make_customer, make_gift_card
from tests.services.checks import execute, rows

TODAY = clock.today(TIMEZONE)


def form(**values: object) -> dict[str, object]:
    return {"idempotency_key": uuid.uuid4(), **values}


@pytest.fixture
def bill(spa: Spa) -> int:
    """An invoice of 1,000,000 to be paid."""
    return billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=SYSTEM)


@pytest.fixture
def manager(desk: FlaskClient) -> FlaskClient:
    login(desk, "manager")
    return desk


def test_a_card_is_sold_and_leads_to_its_invoice(desk, spa):
    shown = desk.get(f"/gift-cards/new?customer_id={spa.customer}")
    sale = form(customer_id=spa.customer, amount="500.000", receiver_name="Hồng", greeting="Chúc mừng!\nMai")
    answers = [desk.post("/gift-cards", data=sale) for _ in range(2)]

    assert "Lê Thị Mai" in shown.text
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].location == answers[1].location
    page = desk.get(answers[0].location).text
    assert "Gift cards sold" in page
    assert "Not paid yet" in page
    assert rows("SELECT initial_amount, receiver_name, greeting FROM gift_cards") == [
        (500_000, "Hồng", "Chúc mừng!\nMai")
    ]


def test_who_buys_is_found_first(desk, spa):
    assert f"customer_id={spa.customer}" in desk.get("/gift-cards/new?q=mai").text
    assert "Nobody was found." in desk.get("/gift-cards/new?q=zzz").text
    refused = desk.post("/gift-cards", data=form(amount="1000"))
    assert refused.status_code == 422
    assert "Choose a customer." in refused.text


@pytest.mark.parametrize("amount", ["", "abc", "0", "9999999999999"])
def test_an_amount_that_cannot_be_is_refused_at_its_field(desk, spa, amount):
    refused = desk.post("/gift-cards", data=form(customer_id=spa.customer, amount=amount))

    assert refused.status_code == 422
    assert 'id="amount-error"' in refused.text
    assert rows("SELECT count(*) FROM gift_cards") == [(0,)]


def test_the_list_is_searched_and_filtered_and_sums_to_the_ledger(desk, spa):
    buyer = make_customer("Trần Bích Vân", "+84912345678")
    fresh = make_gift_card(spa, customer_id=buyer, receiver_name="Đỗ Hạnh")
    over = make_gift_card(spa, amount=200_000, expires_on=TODAY - dt.timedelta(days=1))
    gone = make_gift_card(spa, amount=100_000, paid=0)
    billing.void_sale(gone.invoice, reason="x", actor=SYSTEM)

    def found(**query: str) -> set[int]:
        page = desk.get("/gift-cards", query_string=query).text
        return {int(id_) for id_ in re.findall(r'href="/gift-cards/(\d+)"', page)}

    assert "₫700,000 is owed on them." in desk.get("/gift-cards").text
    assert "The ledger says" not in desk.get("/gift-cards").text
    assert found() == {fresh.id, over.id, gone.id}
    for q in (show_code(fresh.code), fresh.code[2:8].lower(), "do hanh", "bich van", "0912 345 678", "345678"):
        assert found(q=q) == {fresh.id}, q
    assert found(status="active") == {fresh.id}
    assert found(status="expired") == {over.id}
    assert found(status="cancelled") == {gone.id}
    assert found(status="used_up") == set()
    assert "No gift card found" in desk.get("/gift-cards?q=%25").text
    execute("ALTER TABLE gift_cards DISABLE TRIGGER tr_gift_cards_balance")
    execute("UPDATE gift_cards SET balance_amount = 1 WHERE id = :id", id=fresh.id)
    execute("ALTER TABLE gift_cards ENABLE TRIGGER tr_gift_cards_balance")
    assert "The ledger says ₫700,000." in desk.get("/gift-cards").text


def test_the_search_box_finds_a_card_by_its_code_in_ones_branches(desk, spa):
    card = make_gift_card(spa)

    assert f'href="/gift-cards/{card.id}"' in desk.get("/customers", query_string={"q": show_code(card.code)}).text
    execute("UPDATE gift_cards SET branch_id = :branch", branch=spa.other_branch)
    assert f'href="/gift-cards/{card.id}"' not in desk.get("/customers", query_string={"q": card.code}).text


def test_a_bill_is_paid_by_code_and_the_card_tells_it(desk, spa, bill):
    card = make_gift_card(spa)
    payment = form(method="gift_card", amount="200000", gift_card_code=show_code(card.code).lower())

    taken = desk.post(f"/invoices/{bill}/payments", data=payment)

    assert taken.status_code == 303
    assert f"…{card.code[-4:]}" in desk.get(taken.location).text
    page = desk.get(f"/gift-cards/{card.id}").text
    assert "₫300,000" in page
    assert f'href="/invoices/{bill}"' in page


def test_too_small_a_card_is_refused_with_its_balance_in_the_form(desk, spa, bill):
    card = make_gift_card(spa)

    refused = desk.post(f"/invoices/{bill}/payments", data=form(method="gift_card", gift_card_code=card.code))

    assert refused.status_code == 409
    assert "Only ₫500,000 is on gift card" in refused.text
    assert 'name="amount" type="text" value="500,000"' in refused.text
    assert "take that, and the rest in another way" in refused.text


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ("SELECT 1", 422, "This is not the code of a gift card"),
        ("UPDATE gift_cards SET expires_on = '2020-01-01'", 409, "A manager can give it more time."),
    ],
)
def test_a_card_that_cannot_be_used_is_refused_at_the_code(desk, spa, bill, change, status, said):
    card = make_gift_card(spa)
    execute(change)
    code = "WRONG" if status == 422 else card.code

    refused = desk.post(f"/invoices/{bill}/payments", data=form(method="gift_card", gift_card_code=code))
    shown = desk.get("/gift-cards/balance", query_string={"gift_card_code": code})

    assert refused.status_code == status
    assert 'id="gift_card_code-error"' in refused.text
    assert said in refused.text
    assert said in shown.text


def test_the_balance_is_shown_before_the_payment(desk, spa):
    card = make_gift_card(spa)
    unpaid = make_gift_card(spa, paid=0)

    shown = [
        desk.get("/gift-cards/balance", query_string={"gift_card_code": card.code, "due": due}).text
        for due in (500_001, 500_000, "nonsense")
    ]
    assert all("₫500,000" in text for text in shown)
    assert ["Take all of it" in text for text in shown] == [True, False, False]
    refused = desk.get("/gift-cards/balance", query_string={"gift_card_code": unpaid.code}).text
    assert "can be used once it is paid for" in refused
    assert f'href="/invoices/{unpaid.invoice}"' in refused
    assert desk.get("/gift-cards/balance").text.strip() == ""


def test_a_manager_extends_adjusts_and_closes(manager, spa):
    card = make_gift_card(spa)
    later = TODAY + dt.timedelta(days=90)
    posts = (
        ("extend", {"expires_on": later.isoformat(), "reason": "was ill"}),
        ("adjust", {"amount": "100.000", "take_off": "1", "reason": "typo"}),
        ("adjust", {"amount": "50.000", "take_off": "0", "reason": "sorry"}),
        ("cancel", {"reason": "lost"}),
    )
    for act, values in posts:
        assert manager.post(f"/gift-cards/{card.id}/{act}", data=form(**values)).status_code == 303, act
    again = manager.post(f"/gift-cards/{card.id}/cancel", data=form(reason="lost"))

    assert again.status_code == 409
    assert "is cancelled, so that is not possible" in again.text
    assert rows("SELECT kind, amount FROM gift_card_entries ORDER BY id") == [
        ("issue", 500_000),
        ("extend", 0),
        ("adjust", -100_000),
        ("adjust", 50_000),
        ("cancel", -450_000),
    ]


@pytest.mark.parametrize(
    ("act", "values", "status"),
    [
        ("extend", {"expires_on": "2020-01-01", "reason": "x"}, 422),
        ("extend", {"expires_on": "nonsense", "reason": "x"}, 422),
        ("adjust", {"amount": "600000", "take_off": "1", "reason": "x"}, 409),
        ("adjust", {"amount": "", "reason": "x"}, 422),
        ("cancel", {"reason": ""}, 422),
    ],
)
def test_a_refused_act_stays_open_with_what_is_wrong(manager, spa, act, values, status):
    card = make_gift_card(spa)

    refused = manager.post(f"/gift-cards/{card.id}/{act}", data=form(**values))

    assert refused.status_code == status
    assert '<details class="fold" open>' in refused.text
    assert "field__error" in refused.text


def test_the_desk_sees_a_card_and_no_manager_s_forms(desk, spa):
    card = make_gift_card(spa)

    page = desk.get(f"/gift-cards/{card.id}").text

    assert show_code(card.code) in page
    assert "/adjust" not in page
    assert desk.post(f"/gift-cards/{card.id}/adjust", data=form(amount="1", reason="x")).status_code == 403
    assert desk.post("/gift-cards/issue", data=form(amount="1", reason="x")).status_code == 403


def test_a_manager_gives_one_away(manager, spa):
    refused = manager.post("/gift-cards/issue", data=form(amount="", reason=""))
    given = manager.post("/gift-cards/issue", data=form(amount="100000", reason="sorry", customer_id=spa.customer))

    assert refused.status_code == 422
    assert given.status_code == 303
    assert "none: given away" in manager.get(given.location).text


@pytest.mark.parametrize("path", ["", "/voucher", "/code.svg"])
def test_another_branchs_card_is_not_there(desk, spa, path):
    card = make_gift_card(spa)
    assert desk.get(f"/gift-cards/{card.id}{path}").status_code == 200
    execute("UPDATE gift_cards SET branch_id = :branch", branch=spa.other_branch)

    assert desk.get(f"/gift-cards/{card.id}{path}").status_code == 404
    assert show_code(card.code) not in desk.get("/gift-cards").text


def test_the_voucher_has_code_greeting_and_a_qr_code_of_its_own_address(desk, spa):
    card = make_gift_card(spa, receiver_name="Hồng")

    page = desk.get(f"/gift-cards/{card.id}/voucher").text
    drawing = desk.get(f"/gift-cards/{card.id}/code.svg")

    assert show_code(card.code) in page
    assert "For Hồng" in page
    assert f'src="/gift-cards/{card.id}/code.svg"' in page
    assert drawing.mimetype == "image/svg+xml"
    assert drawing.text.startswith("<svg")
    drawn = io.BytesIO()
    segno.make_qr(show_code(card.code), error="m").save(drawn, kind="svg", border=2, scale=6, xmldecl=False)
    assert drawing.data == drawn.getvalue()
    assert "NOT VALID YET" in desk.get(f"/gift-cards/{make_gift_card(spa, paid=0).id}/voucher").text


def test_store_credit_is_listed_searched_and_explained(desk, spa):
    buyer = make_customer("Trần Bích Vân", "+84912345678")
    card = make_gift_card(spa, customer_id=buyer)
    gift_card_desk.cancel_gift_card(card.id, reason="lost", actor=SYSTEM)
    sale = gift_card_desk.sell_gift_card(customer_id=buyer, amount=200_000, branch_id=spa.branch, actor=SYSTEM)
    payments.take_payment(sale, method="store_credit", amount=None, actor=SYSTEM)

    listed = desk.get("/store-credit").text
    assert "₫300,000 is owed to customers." in listed
    assert "The ledger says" not in listed
    for q in ("bich", "0912345678"):
        assert "Trần Bích Vân" in desk.get("/store-credit", query_string={"q": q}).text
    assert "Nobody with store credit found" in desk.get("/store-credit?q=mai").text
    page = desk.get(f"/customers/{buyer}/credit").text
    assert re.findall(r"Gift card closed|Used for payment", page) == ["Used for payment", "Gift card closed"]
    assert "then ₫500,000" in page
    assert "No store credit yet" in desk.get(f"/customers/{spa.customer}/credit").text
    execute("UPDATE customers SET credit_amount = credit_amount + 1 WHERE id = :id", id=buyer)
    assert "The ledger says ₫300,000." in desk.get("/store-credit").text
