"""Possible duplicates, both side by side, merging and parting: who may, and what each kind of client is answered."""

import re
import uuid

import pytest

from spa_app.services import customer_merging
from spa_app.services.customers import create_customer
from tests import factories
from tests.factories import login
from tests.services.checks import rows

HTMX = {"HX-Request": "true", "HX-Target": "main"}


@pytest.fixture
def pair(app, spa):
    with app.app_context():
        details = {"full_name": "Trần Hoa", "shares_phone": True, "actor": spa.manager}
        return tuple(create_customer(phone="0912345678", note=note, **details) for note in ("first", "second"))


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


def post(client, address, headers=None, **fields):
    return client.post(address, data={"idempotency_key": uuid.uuid4(), **fields}, headers=headers)


def test_from_the_list_to_one_customer_and_back(manager, pair):
    one, other = pair
    assert f"/customers/{one}/merge/{other}" in manager.get("/customers/duplicates").text
    assert f"/customers/{other}/merge/{one}" in manager.get(f"/customers/{other}").text
    page = manager.get(f"/customers/{one}/merge/{other}").text
    assert 'id="note-both" value="both" aria-label="Note: both" checked' in page

    merged = post(manager, f"/customers/{one}/merge/{other}", note="other", reason="told us")

    assert (merged.status_code, merged.location) == (303, f"/customers/{one}")
    shown = manager.get(merged.location).text
    assert "Trần Hoa was merged into Trần Hoa." in shown
    undo = re.search(r'action="(/customers/merges/\d+/undo)"', shown)[1]
    assert rows("SELECT note FROM customers WHERE id = :id", id=one) == [("second",)]
    old = manager.get(f"/customers/{other}")
    assert (old.status_code, old.location) == (303, f"/customers/{one}")
    assert "was merged into this customer" in manager.get(old.location).text
    assert manager.get(f"/customers/{other}/treatments").location == f"/customers/{one}/treatments"
    assert manager.get(f"/customers/{other}/health").location == f"/customers/{one}/health"
    assert "No duplicates in sight" in manager.get("/customers/duplicates").text
    assert manager.get(f"/customers/{one}/merge/{other}").location == f"/customers/{one}"

    parted = post(manager, undo)

    assert (parted.status_code, parted.location) == (303, f"/customers/{one}")
    assert rows("SELECT note, merged_into_id FROM customers WHERE id = :id", id=other) == [("second", None)]
    assert post(manager, undo).status_code == 409


def test_htmx_is_led_on_too(manager, pair):
    one, other = pair

    assert "<html" not in manager.get(f"/customers/{one}/merge/{other}", headers=HTMX).text
    merged = post(manager, f"/customers/{one}/merge/{other}", headers=HTMX)

    assert (merged.status_code, f"/customers/{one}" in merged.headers["HX-Location"]) == (204, True)
    old = manager.get(f"/customers/{other}", headers=HTMX)
    assert f"/customers/{one}" in old.headers["HX-Location"]


def test_a_receptionist_compares_and_a_manager_merges(client, spa, pair):
    one, other = pair
    login(client, "reception")

    assert "A manager merges them" in client.get(f"/customers/{one}/merge/{other}").text
    assert post(client, f"/customers/{one}/merge/{other}").status_code == 403
    assert post(client, f"/customers/{one}/distinct/{other}").status_code == 303
    assert "No duplicates in sight" in client.get("/customers/duplicates").text
    login(client, "therapist")
    assert client.get("/customers/duplicates").status_code == 403


def test_what_is_refused_says_why_and_stores_nothing(manager, spa, pair):
    one, other = pair
    for address, status in (
        (f"/customers/{one}/merge/{one}", 404),
        (f"/customers/{one}/merge/999999", 404),
        ("/customers/merges/999999/undo", 404),
    ):
        assert post(manager, address).status_code == status, address
    assert post(manager, f"/customers/{one}/merge/{other}", note="x").status_code == 422
    assert post(manager, f"/customers/{one}/merge/{other}", phone="both").status_code == 422
    assert rows("SELECT count(*) FROM customer_merges") == [(0,)]

    form = {"idempotency_key": uuid.uuid4()}
    first, second = (manager.post(f"/customers/{one}/merge/{other}", data=form) for _ in range(2))
    assert (first.status_code, second.status_code, second.location) == (303, 303, first.location)
    again = post(manager, f"/customers/{other}/merge/{one}")
    assert (again.status_code, f'href="/customers/{one}"' in again.text) == (409, True)
    edited = post(manager, f"/customers/{other}", full_name="X")
    assert (edited.status_code, f'href="/customers/{one}"' in edited.text) == (409, True)


def test_a_visit_in_two_steps_is_told_that_its_customer_is_gone(manager, app, spa, pair):
    one, other = pair
    with app.app_context():
        starts_at = factories.tomorrow_at(spa.branch, "10:00")
        customer_merging.merge_customers(one, other, actor=spa.manager)

    answer = post(
        manager,
        "/bookings",
        customer_id=other,
        starts_at=f"{starts_at.astimezone():%Y-%m-%d}T10:00",
        **{"items-0-service_id": spa.facial},
    )

    assert (answer.status_code, "merged with another" in answer.text) == (409, True)


def test_an_old_link_books_for_the_customer_they_were_merged_into(client, spa, pair):
    one, other = pair
    customer_merging.merge_customers(one, other, actor=spa.manager)
    login(client, "reception")
    page = client.get(f"/bookings/new?customer_id={other}").text
    assert re.search(rf'name="customer_id"[^>]*value="{one}"', page)
