"""E-invoice data: as its JSON Schema says, with sums that agree to the đồng, for every kind of invoice."""

import datetime as dt
import io
import json
import re
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from spa_app import clock
from spa_app.config import PROJECT_DIR
from spa_app.extensions import db
from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.queries import e_invoices
from spa_app.services import billing, bookings, payments, refunds
from tests.factories import TIMEZONE, login, make_booking, make_card, make_gift_card, make_product, set_policy

SCHEMA = json.loads((PROJECT_DIR / "static/schemas/e-invoice-1.json").read_text())
TYPES = {"string": str, "integer": int, "array": list, "object": dict, "null": type(None)}


def faults(value: Any, rule: dict[str, Any], at: str = "$") -> Iterator[str]:
    """What is not as the schema says, by the keywords that it uses; another keyword is a fault of this test."""
    rule = {**SCHEMA["$defs"]["line"], **rule} if "$ref" in rule else rule
    known = {"$schema", "$id", "$defs", "$ref", "title", "description", "type", "properties", "required", "items"}
    assert set(rule) <= known | {"additionalProperties", "const", "enum", "pattern", "minimum"}, at
    types = [rule["type"]] if isinstance(rule.get("type"), str) else rule.get("type")
    if types and type(value) not in [TYPES[one] for one in types]:
        yield f"{at} is {value!r}, not {types}"
    if "const" in rule and value != rule["const"]:
        yield f"{at} is {value!r}"
    if value not in rule.get("enum", [value]):
        yield f"{at} is {value!r}, not one of {rule['enum']}"
    if isinstance(value, str) and not re.search(rule.get("pattern", ""), value):
        yield f"{at} is {value!r}, not {rule['pattern']}"
    if isinstance(value, int) and value < rule.get("minimum", value):
        yield f"{at} is below {rule['minimum']}"
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from faults(one, rule["items"], f"{at}[{number}]")
    if isinstance(value, dict):
        yield from (f"{at} has no {name}" for name in rule["required"] if name not in value)
        yield from (f"{at} has {name}" for name in value if name not in rule["properties"])
        for name in set(value) & set(rule["properties"]):
            yield from faults(value[name], rule["properties"][name], f"{at}.{name}")


@pytest.fixture
def bills(spa):
    """An invoice or note of each kind, by what it is."""
    sale = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    payments.take_payment(sale, method="cash", amount=300_001, actor=spa.manager)
    payments.take_payment(sale, method="bank_transfer", amount=200_000, reference="FT 1", actor=spa.manager)
    void = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)
    billing.void_sale(void, reason="wrong package", actor=spa.manager)
    visit = make_booking(spa, status="completed")
    paid = _newest("booking_id = :id", id=visit)
    payments.take_payment(paid, method="card", amount=None, reference="POS 7", actor=spa.manager)
    bookings.undo_complete(visit, actor=spa.manager)
    card = make_card(spa.customer, spa.massage, branch_id=spa.branch, sessions=3, price=1_000_000)
    make_booking(spa, status="completed", card=None, starts_at=clock.now() - dt.timedelta(hours=3))
    refunds.refund_card(
        card, basis="pro_rata", fee_amount=50_000, pay_by="cash", shown_amount=None, reason="moves", actor=spa.manager
    )
    set_policy(spa.branch, no_show_policy="fee", no_show_fee_amount=90_000)
    missed = make_booking(spa, status="no_show", starts_at=clock.now() - dt.timedelta(hours=6))
    return {
        "plan": sale,
        "void": void,
        "visit": paid,
        "credit note": _newest("corrects_id = :id", id=paid),
        "card refund": _newest("treatment_id = :id", id=card),
        "fee": _newest("booking_id = :id", id=missed),
    }


def _newest(condition, **values):
    query = text(f"SELECT id FROM invoices WHERE {condition} ORDER BY id DESC LIMIT 1")
    return db.session.execute(query, values).scalar_one()


@pytest.fixture
def desk(client, spa):
    login(client, "reception")
    return client


def test_each_kind_of_invoice_is_as_the_schema_says_and_adds_up(desk, bills):
    for what, invoice_id in bills.items():
        answer = desk.get(f"/invoices/{invoice_id}/e-invoice.json")
        assert answer.mimetype == "application/json"
        data = answer.json
        assert list(faults(data, SCHEMA)) == [], what
        stored = db.session.execute(text("SELECT * FROM invoices WHERE id = :id"), {"id": invoice_id}).one()
        totals = data["totals"]
        assert (totals["gross_amount"], totals["vat_amount"]) == (stored.total_amount, stored.vat_amount), what
        for part in ("lines", "vat_totals"):
            for amount in ("net_amount", "vat_amount", "gross_amount"):
                assert sum(one[amount] for one in data[part]) == totals[amount], (what, part, amount)
        for one in [*data["lines"], *data["vat_totals"], totals]:
            assert one["net_amount"] + one["vat_amount"] == one["gross_amount"]
        for line in data["lines"]:
            whole = Decimal(line["unit_price"]) * line["quantity"]
            assert abs(whole - line["net_amount"]) <= Decimal("0.000001") * abs(line["quantity"])
        assert sum(one["amount"] for one in data["payments"]) == totals["paid_amount"]
        assert data["currency"] == "VND"
        assert data["currency_exponent"] == 0
        issued = dt.datetime.fromisoformat(data["issued_at"])
        assert issued.utcoffset() == issued.astimezone(ZoneInfo(TIMEZONE)).utcoffset()
        assert issued == stored.issued_at.replace(microsecond=0)


def test_corrections_name_each_other(desk, bills):
    data = {what: desk.get(f"/invoices/{id_}/e-invoice.json").json for what, id_ in bills.items()}

    assert data["credit note"]["adjusts"]["number"] == data["visit"]["number"]
    assert data["visit"]["adjusted_by"] == [data["credit note"]["number"]]
    assert data["credit note"]["totals"]["gross_amount"] == -data["visit"]["totals"]["gross_amount"] < 0
    assert (data["void"]["status"], data["void"]["reason"]) == ("cancelled", "wrong package")
    assert data["void"]["cancelled_at"] >= data["void"]["issued_at"]
    assert data["card refund"]["payments"][0]["method"] == "cash"
    assert data["card refund"]["payments"][0]["amount"] == data["card refund"]["totals"]["gross_amount"]
    assert [(one["method"], one["amount"]) for one in data["plan"]["payments"]] == [
        ("cash", 300_001),
        ("bank_transfer", 200_000),
    ]
    assert [line["kind"] for line in data["fee"]["lines"]] == ["fee"]
    assert data["fee"]["vat_totals"] == [
        {"vat_rate_bp": 0, "net_amount": 90_000, "vat_amount": 0, "gross_amount": 90_000}
    ]


def test_lines_say_what_they_are_and_a_discount_what_it_lowers(desk, spa):
    cream = make_product(spa.branch, name="Cream")
    bill = Bill(
        wares=(Ware("product", cream, 2), Ware("plan", spa.plan, discount=Discount(share_bp=1_000))),
        reason="Had to wait",
        tip=Tip(40_000, staff_ids=spa.therapists[:1]),
    )
    sale = billing.sell(customer_id=spa.customer, branch_id=spa.branch, bill=bill, actor=spa.manager)
    data = desk.get(f"/invoices/{sale}/e-invoice.json").json
    voucher = desk.get(f"/invoices/{make_gift_card(spa).invoice}/e-invoice.json").json

    assert list(faults(data, SCHEMA)) == []
    assert [(line["description"], line["quantity"], line["discounts_position"]) for line in data["lines"]] == [
        ("Cream", 2, None),
        ("10 × Basic Facial", 1, None),
        ("Discount: Had to wait", 1, 2),
        ("Tip for Hồng", 1, None),
    ]
    assert [line["kind"] for line in voucher["lines"]] == ["gift_card"]


def test_the_schema_finds_what_is_wrong(desk, bills):
    data = desk.get(f"/invoices/{bills['plan']}/e-invoice.json").json

    for wrong in (
        {"kind": "receipt"},
        {"currency": "dong"},
        {"issued_at": "2026-01-01T00:00:00"},
        {"schema_version": 2},
        {"extra": 1},
        {"totals": {**data["totals"], "vat_amount": 1.5}},
        {"lines": [{**data["lines"][0], "unit_price": "1,5"}]},
    ):
        assert list(faults({**data, **wrong}, SCHEMA)), wrong
    del data["buyer"]
    assert list(faults(data, SCHEMA)) == ["$ has no buyer"]


def test_a_period_comes_as_lines_or_as_an_archive(client, bills, monkeypatch):
    monkeypatch.setattr(e_invoices, "_AT_ONCE", 2)
    login(client, "manager")
    lines = client.get("/reports/e-invoices?format=jsonl").text.splitlines()
    archive = zipfile.ZipFile(io.BytesIO(client.get("/reports/e-invoices?format=zip").data))

    (count,) = db.session.execute(text("SELECT count(*) FROM invoices")).one()
    documents = [json.loads(line) for line in lines]
    assert len(documents) == count >= len(bills)
    assert not [fault for one in documents for fault in faults(one, SCHEMA)]
    assert documents == sorted(documents, key=lambda one: one["issued_at"])
    assert set(archive.namelist()) == {"e-invoice-1.schema.json", *(f"{one['number']}.json" for one in documents)}
    assert json.loads(archive.read(f"{documents[0]['number']}.json")) == documents[0]
    assert f"{count} invoices and credit notes" in client.get("/reports/e-invoices").text
    assert client.get("/reports/e-invoices?format=jsonl&from=2020-01-01&to=2020-01-02").data == b""


def test_the_invoice_page_leads_to_it_and_other_branches_do_not_see_it(client, desk, bills):
    address = f"/invoices/{bills['plan']}/e-invoice.json"
    assert f'href="{address}"' in desk.get(f"/invoices/{bills['plan']}").text
    login(client, "reception7")
    assert client.get(address).status_code == 404
    login(client, "therapist")
    assert client.get(address).status_code == 403
