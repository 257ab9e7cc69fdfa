"""Every route against every role and against nonsense: swept, so that a new route is held to it from its first day."""

import uuid

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from spa_app.models import ROLES
from tests.books import assert_books_balance
from tests.factories import (
    Spa,
    login,
    make_booking,
    make_card,
    make_entry,
    make_gift_card,
    make_product,
    tomorrow_at,
)

USERNAMES = {"receptionist": "reception", "therapist": "therapist", "manager": "manager", "owner": "owner"}
NONSENSE = (
    "",
    " ",
    "abc",
    "-1",
    "0",
    "99999999999999999999999999",
    "1e9",
    "2026-02-30",
    "2026-13-45T99:99",
    "9999-12-31T23:59",
    "0001-01-01T00:00",
    "‮txet desrever",
    "Nguyễn \U0001f600 <script>alert(1)</script>",
    "=HYPERLINK(1)",
    "' OR 1=1 --",
    "A" * 100_000,
)
FIELDS = [
    "customer_id",
    "starts_at",
    "items-0-service_id",
    "items-0-staff_id",
    "items-0-resource_id",
    "items-0-treatment_id",
    "note",
    "reason",
    "services-0",
    "first_on",
    "last_on",
    "weekdays",
    "from_time",
    "until_time",
    "staff_id",
    "resource_id",
    "version",
    "method",
    "amount",
    "reference",
    "tendered_amount",
    "plan_id",
    "full_name",
    "phone",
    "email",
    "birth_date",
    "allergies",
    "username",
    "password",
    "locale",
    "theme",
    "branch_id",
    "what",
    "kind",
    "ends_at",
    "next",
    "service_id",
    "every_weeks",
    "count",
    "card_for",
    "expiry_date",
    "sessions",
    "session_limit",
    "basis",
    "fee_amount",
    "pay_by",
    "shown_amount",
    "who",
    "slot",
    "week",
    "branch",
    "cells",
    "template_id",
    "source",
    "seen",
    "first",
    "last",
    "begins",
    "periods-from",
    "periods-to",
    "day_0-from",
    "day_0-to",
    "happens_on",
    "name",
    "type_id",
    "types",
    "skills",
    "timezone",
    "duration_minutes",
    "buffer_after_minutes",
    "price_amount",
    "vat_percent",
    "late_cancel_minutes",
    "late_cancel_policy",
    "late_cancel_percent",
    "late_cancel_fee_amount",
    "waiver_limit_amount",
    "extend_limit_days",
    "gift_card_months",
    "gift_card_code",
    "receiver_name",
    "greeting",
    "expires_on",
    "take_off",
    "refund_limit_amount",
    "lines-0-service",
    "lines-0-sessions",
    "lines-0-line_id",
    "lines-0-amount",
    "lines-0-quantity",
    "validity",
    "pay-1",
    "lines-0-what",
    "lines-0-quantity",
    "lines-0-discount",
    "services-0-item_id",
    "services-0-discount",
    "discount",
    "code",
    "tip_amount",
    "tip_split",
    "tip_staff_id",
    "tips-0-staff_id",
    "tips-0-amount",
    "booking_id",
    "do",
    "sku",
    "quantity",
    "low_quantity",
    "discount_limit_percent",
    "from",
    "to",
    "mark",
    "item-1",
    "version-1",
    "date",
    "note_500000",
    "other_amount",
    "left_amount",
    "close_with_open_invoices",
    "paper",
    "way",
    "recipient",
    "tax_code",
]
QUERY = [
    "date",
    "view",
    "by",
    "branch",
    "q",
    "page",
    "from",
    "to",
    "format",
    "service_id",
    "staff_id",
    "resource_id",
    "starts_at",
    "ends_at",
    "customer_id",
    "booking",
    "what",
    "status",
    "do",
    "basis",
    "fee_amount",
    "week",
    "weekday",
    "late_cancel_minutes",
    "no_show_percent",
    "booking_id",
    "gift_card_code",
    "due",
    "lines-0-line_id",
    "lines-0-amount",
    "lines-0-quantity",
    "print",
]


def _rules(app: Flask, method: str) -> list[Rule]:
    rules = [rule for rule in app.url_map.iter_rules() if method in (rule.methods or ()) and rule.endpoint != "static"]
    return sorted(rules, key=lambda rule: rule.rule)


def _address(rule: Rule, number: int = 1) -> str:
    """The rule's address with ``number`` for each of its ids."""
    _, path = rule.build(dict.fromkeys(rule.arguments, number), append_unknown=False)
    return path


@pytest.fixture
def busy(spa: Spa) -> Spa:
    """A spa in which id 1 exists of most things."""
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    make_booking(spa, card=card)
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "14:00"), status="pending")
    make_entry(spa)
    make_product(spa.branch)
    make_gift_card(spa)
    return spa


def test_nobody_gets_anywhere_without_a_login(app: Flask, client: FlaskClient, busy: Spa):
    open_to_all = set()
    for method in ("GET", "POST"):
        for rule in _rules(app, method):
            response = client.open(_address(rule), method=method)
            if getattr(app.view_functions[rule.endpoint], "is_public", False):
                open_to_all.add(rule.rule)
                continue
            assert response.status_code in (302, 303, 401), (method, rule.rule, response.status_code)
            assert response.status_code == 401 or "/login" in response.location

    assert open_to_all <= {
        "/healthz",
        "/readyz",
        "/login",
        "/me/locale",
        "/me/theme",
        "/static/<digest>/<path:filename>",
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_route_answers_403_exactly_to_the_roles_that_it_leaves_out(
    app: Flask, client: FlaskClient, busy: Spa, role: str
):
    for method in ("GET", "POST"):
        for rule in _rules(app, method):
            view = app.view_functions[rule.endpoint]
            if getattr(view, "is_public", False) or rule.endpoint == "auth.logout":
                continue
            login(client, USERNAMES[role])
            status = client.open(_address(rule), method=method, data={"idempotency_key": uuid.uuid4()}).status_code
            if role not in getattr(view, "roles", ROLES):
                assert status == 403, (method, rule.rule, status)
            assert status < 500, (method, rule.rule, status)


def test_nonsense_is_refused_and_never_a_fault(app: Flask, client: FlaskClient, busy: Spa):
    login(client, "manager")
    for rule in _rules(app, "POST"):
        if rule.endpoint.startswith("auth."):
            continue
        for value in NONSENSE:
            data = {**dict.fromkeys(FIELDS, value), "idempotency_key": uuid.uuid4()}
            status = client.post(_address(rule), data=data).status_code
            assert status < 500, (rule.rule, value[:40], status)
    assert_books_balance()


def test_nonsense_in_an_address_is_refused_and_never_a_fault(app: Flask, client: FlaskClient, busy: Spa):
    login(client, "manager")
    for rule in _rules(app, "GET"):
        if rule.endpoint.startswith("static"):
            continue
        for value in NONSENSE:
            query = dict.fromkeys(QUERY, value[:2000])
            status = client.get(_address(rule), query_string=query).status_code
            assert status < 500, (rule.rule, value[:40], status)


@pytest.mark.parametrize("number", [0, 999_999, 2**31, 2**63 - 1, 2**63, 10**30])
def test_an_id_that_is_not_there_is_404_for_every_page(app: Flask, client: FlaskClient, busy: Spa, number: int):
    login(client, "manager")
    for method in ("GET", "POST"):
        for rule in _rules(app, method):
            if not rule.arguments:
                continue
            data = {"idempotency_key": uuid.uuid4()} if method == "POST" else None
            path = rule.rule
            for argument in rule.arguments:
                path = path.replace(f"<int:{argument}>", str(number))
            status = client.open(path, method=method, data=data).status_code
            # An id that no bigint holds matches no address at all, and then another method's may answer 405.
            assert status in (404, 405 if number > 2**63 - 1 else 404), (method, rule.rule, status)


def test_a_form_without_its_token_is_refused(app: Flask, client: FlaskClient, busy: Spa, monkeypatch):
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", True)
    login(client, "manager")
    for rule in _rules(app, "POST"):
        status = client.post(_address(rule), data={"idempotency_key": uuid.uuid4()}).status_code
        assert status == 400, (rule.rule, status)
