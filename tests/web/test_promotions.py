"""/setup/promotions: made, changed and ended by managers; what is refused stands at its field."""

import re
import uuid

import pytest

from tests.factories import login, make_promotion
from tests.services.checks import rows
from tests.services.test_promotions import bill

FORM = {"code": "tet 2027", "name": "Tết", "kind": "percent", "percent": "12.5", "is_active": "y"}


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


def post(client, address="", **fields):
    return client.post(f"/setup/promotions{address}", data={"idempotency_key": uuid.uuid4(), **FORM, **fields})


def seen(html):
    return re.search(r'name="seen" value="([0-9a-f]{16})"', html)[1]


def test_the_empty_list_says_what_to_do(manager):
    assert "Add a code that customers can give at the desk." in manager.get("/setup/promotions").text


def test_made_changed_and_ended(manager):
    assert post(manager, minimum_amount="500.000", ends_on="2027-02-20").status_code == 303
    [(promotion, code, share, minimum)] = rows("SELECT id, code, percent_bp, minimum_amount FROM promotions")
    assert (code, share, minimum) == ("TET2027", 1_250, 500_000)
    listed = manager.get("/setup/promotions").text
    assert "TET2027" in listed
    assert "12.5 %" in listed
    form = manager.get(f"/setup/promotions/{promotion}").text
    assert 'value="500,000"' in form
    fields = {"kind": "amount", "percent": "", "discount_amount": "50.000", "is_active": ""}
    assert post(manager, f"/{promotion}", seen=seen(form), **fields).status_code == 303
    query = "SELECT percent_bp, discount_amount, minimum_amount, is_active FROM promotions"
    assert rows(query) == [(None, 50_000, 0, False)]
    assert post(manager, f"/{promotion}", seen=seen(form)).status_code == 409


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"code": ""}, "This field is required."),
        ({"code": "TẾT"}, "A code has 2 to 20 letters"),
        ({"percent": ""}, "Give a percentage above 0, up to 100."),
        ({"percent": "101"}, "Number must be between 0 and 100."),
        ({"kind": "amount"}, "Give a number from 1 to"),
        ({"kind": "amount", "discount_amount": "much"}, "This is not an amount."),
        ({"starts_on": "2027-02-20", "ends_on": "2027-02-19"}, "The last day lies before the first."),
        ({"max_uses": "0"}, "Number must be between 1 and"),
        ({"ends_on": "soon"}, "Not a valid date value."),
    ],
)
def test_what_cannot_be_is_said_at_its_field(manager, fields, said):
    answer = post(manager, **fields)
    assert answer.status_code == 422
    assert said in answer.text
    assert rows("SELECT count(*) FROM promotions") == [(0,)]


def test_a_code_that_is_in_use(manager):
    make_promotion("TET2027")
    answer = post(manager)
    assert answer.status_code == 409
    assert "Another promotion already has this code." in answer.text


def test_the_bills_with_it_are_listed(manager, spa):
    promotion = make_promotion("TET")
    invoice, _ = bill(spa, "TET")
    html = manager.get(f"/setup/promotions/{promotion}").text
    assert f'href="/invoices/{invoice}"' in html
    assert "₫45,000" in html


def test_one_that_nobody_has_made(manager):
    assert manager.get("/setup/promotions/4711").status_code == 404
    assert post(manager, "/4711").status_code == 404


def test_the_desk_does_not_come_here(client, spa):
    login(client, "reception")
    assert client.get("/setup/promotions").status_code == 403
    assert post(client).status_code == 403
