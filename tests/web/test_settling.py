"""Completing in place when a card can no longer pay: buttons that do it and complete, plain and with HTMX."""

import datetime as dt
import re
from html import unescape

import pytest

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, CustomerTreatment
from spa_app.services import bookings, treatments
from spa_app.services.bookings import ItemRequest
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, login, make_booking, make_card, make_plan
from tests.services.checks import counters, execute, rows
from tests.web.visits import HTMX, freeze, get, nothing_stored, post, text_of


@pytest.fixture
def card(spa):
    return make_card(spa.customer, spa.facial, branch_id=spa.branch)


@pytest.fixture
def visit(spa, card):
    return make_booking(spa, status="in_progress", card=card)


def end(card, spa, *, days):
    get(CustomerTreatment, card).expiry_date = clock.today(TIMEZONE) - dt.timedelta(days)
    db.session.commit()


def ways(answer, visit):
    """The buttons of a refusal that complete the visit: label → fields."""
    forms = re.findall(rf'<form[^>]* action="/bookings/{visit}/complete".*?</form>', answer.text, re.S)
    found = {}
    for form in forms:
        fields = dict(re.findall(r'<input[^>]* name="([\w-]+)"[^>]* value="([^"]*)"', form))
        label = re.sub(r"<[^>]+>|\s+", " ", re.search(r"<button.*?</button>", form, re.S)[0])
        if any(name.startswith("pay-") for name in fields):
            found[unescape(" ".join(label.split()))] = fields
    return found


def complete(client, visit, headers=None, **fields):
    return post(client, f"/bookings/{visit}/complete", headers, **fields)


@pytest.mark.parametrize("headers", [None, HTMX])
@pytest.mark.parametrize("way", ["Let the customer pay", "Card #", "Sell ", "Unfreeze the card"])
def test_each_way_out_of_a_frozen_card_is_one_button_that_completes(desk, spa, card, visit, headers, way):
    make_card(spa.customer, None, branch_id=spa.branch)
    freeze(card, spa)
    with nothing_stored():
        answer = complete(desk, visit, headers)
    assert answer.status_code == 409
    assert "Nothing was completed yet. Each of these completes the visit:" in text_of(answer)
    offered = ways(answer, visit)
    (label,) = [one for one in offered if one.startswith(way)][:1]
    done = desk.post(f"/bookings/{visit}/complete", data=offered[label], headers=headers)
    assert done.status_code == (200 if headers else 303)
    assert get(Booking, visit).status == "completed"
    if way == "Sell ":
        page = done if headers else desk.get(done.location)
        assert "Still to pay for the package" in text_of(page)


@pytest.mark.parametrize("headers", [None, HTMX])
def test_an_expired_card_is_extended_by_those_who_may(client, spa, card, visit, headers):
    end(card, spa, days=31)
    login(client, "reception")
    refused = complete(client, visit, headers)
    assert refused.status_code == 409
    assert not [label for label in ways(refused, visit) if label.startswith("Extend")]
    assert f'href="/treatments/{card}?do=extend#act"' in refused.text
    login(client, "manager")
    offered = ways(complete(client, visit, headers), visit)
    (label,) = [label for label in offered if label.startswith("Extend the card to")]
    assert client.post(f"/bookings/{visit}/complete", data=offered[label]).status_code == 303
    assert counters(card)[1:3] == (1, 0)
    assert rows("SELECT reason FROM treatment_entries WHERE kind = 'extend'") == [(f"To complete visit #{visit}",)]


def test_two_services_are_settled_one_after_the_other_and_completed_at_once(desk, spa, card):
    other = make_card(spa.customer, spa.massage, branch_id=spa.branch)
    visit = make_booking(
        spa,
        ItemRequest(spa.facial, spa.therapists[0], None, card),
        ItemRequest(spa.massage, spa.therapists[1], None, other),
        status="in_progress",
    )
    bookings.complete(visit, actor=spa.receptionist)
    for one in (card, other):
        treatments.freeze_card(one, reason="abroad", actor=spa.receptionist)
    bookings.undo_complete(visit, actor=spa.receptionist)
    first = next(v for k, v in ways(complete(desk, visit), visit).items() if k.startswith("Let the customer pay"))
    with nothing_stored():
        answer = desk.post(f"/bookings/{visit}/complete", data=first)
    assert answer.status_code == 409
    second = next(v for k, v in ways(answer, visit).items() if k.startswith("Let the customer pay"))
    assert sum(name.startswith("pay-") for name in second) == 2
    assert desk.post(f"/bookings/{visit}/complete", data=second).status_code == 303
    lines = "SELECT count(*) FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE i.booking_id = :id"
    assert rows(lines, id=visit) == [(2,)]
    assert_books_balance()


def test_only_packages_that_cover_the_service_are_offered(desk, spa, card, visit):
    make_plan([(spa.massage, 5)])
    execute("UPDATE plans SET is_active = false WHERE id = :id", id=make_plan([(spa.facial, 99)]))
    covering = "SELECT p.id FROM plans p JOIN plan_items i ON i.plan_id = p.id WHERE i.service_id = :id AND p.is_active"
    known = {str(plan) for (plan,) in rows(covering, id=spa.facial)}
    freeze(card, spa)
    values = [value for fields in ways(complete(desk, visit), visit).values() for value in fields.values()]
    assert {value[5:] for value in values if value.startswith("plan-")} == known


@pytest.mark.parametrize("value", ["", "gift", "card-", "card-x", "plan-0", "card-99999999999999999999", "desk-1"])
def test_nonsense_settles_nothing(desk, spa, card, visit, value):
    (item,) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=visit)
    with nothing_stored():
        answer = complete(desk, visit, version=2, **{f"pay-{item[0]}": value})
    assert answer.status_code == 422


def test_a_settlement_of_an_older_visit_is_refused(desk, spa, card, visit):
    (item,) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=visit)
    for version in ("1", "", "x"):
        with nothing_stored():
            assert complete(desk, visit, version=version, **{f"pay-{item[0]}": "desk"}).status_code == 409


@pytest.mark.parametrize("headers", [None, HTMX])
def test_a_replay_completes_once(desk, spa, card, visit, headers):
    freeze(card, spa)
    fields = ways(complete(desk, visit, headers), visit)
    plan = next(one for label, one in fields.items() if label.startswith("Sell "))
    for _ in range(2):
        assert desk.post(f"/bookings/{visit}/complete", data=plan, headers=headers).status_code in (200, 303)
    assert rows("SELECT count(*) FROM customer_treatments WHERE customer_id = :id", id=spa.customer) == [(2,)]


def test_the_booking_form_warns_of_cards_that_cannot_pay(desk, spa, card):
    url = f"/bookings/new?customer_id={spa.customer}&service_id={spa.facial}"
    assert "After this visit 9 left" in text_of(desk.get(url))
    freeze(card, spa)
    page = desk.get(url)
    assert f"Card #{card} is frozen and cannot be used." in text_of(page)
    assert f'href="/treatments/{card}?do=unfreeze#act"' in page.text


def test_the_booking_form_warns_of_the_last_session_and_of_a_visit_past_the_expiry(desk, spa):
    day = clock.today(TIMEZONE) + dt.timedelta(days=3)
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=1, expiry_date=day)
    url = f"/bookings/new?customer_id={spa.customer}&service_id={spa.facial}&starts_at="
    assert f"This is the last session of card #{card}." in text_of(desk.get(f"{url}{day}T10:00"))
    page = desk.get(f"{url}{day + dt.timedelta(days=1)}T10:00")
    assert f"Card #{card} is valid to" in text_of(page)
    assert f'href="/treatments/{card}?do=extend#act"' in page.text


def test_a_card_of_another_branch_is_extended_there(desk, spa):
    day = clock.today(TIMEZONE)
    card = make_card(spa.customer, spa.facial, branch_id=spa.other_branch, expiry_date=day)
    at = f"{day + dt.timedelta(days=1)}T10:00"
    page = desk.get(f"/bookings/new?customer_id={spa.customer}&service_id={spa.facial}&starts_at={at}")
    assert "In the branch that sold it: Extend the card" in text_of(page)
    assert f"/treatments/{card}?do=extend" not in page.text


def test_a_service_that_could_be_on_a_frozen_card_says_so_when_it_is_changed(desk, spa, card):
    freeze(card, spa)
    visit = make_booking(spa)
    (item,) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=visit)
    assert f"Card #{card} is frozen and cannot be used." in text_of(desk.get(f"/bookings/{visit}/items/{item[0]}"))


def test_a_series_says_what_is_left_after_it(desk, spa, card):
    page = desk.get(f"/bookings/series?customer_id={spa.customer}&service_id={spa.facial}&count=6")
    assert re.search(r"After these visits \d left", text_of(page))
