"""Services of a visit, one by one, at the desk: pages, panel, refusals, and who may."""

import datetime as dt
import json
import re

import pytest

from spa_app import clock
from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest
from tests.factories import TIMEZONE, login, make_booking, make_card, make_customer, tomorrow_at
from tests.services.checks import counters, rows
from tests.web.visits import HTMX, error_at, nothing_stored, post, text_of


@pytest.fixture
def card(spa):
    return make_card(spa.customer, spa.facial, branch_id=spa.branch)


@pytest.fixture
def visit(spa, card):
    items = [
        ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0], card),
        ItemRequest(spa.consultation, spa.therapists[0]),
    ]
    return make_booking(spa, *items, starts_at=tomorrow_at(spa.branch, "10:00"))


def items_of(booking):
    return [id_ for (id_,) in rows("SELECT id FROM booking_items WHERE booking_id = :id ORDER BY position", id=booking)]


def form_on(page, action):
    """The fields of the form that posts to ``action``, as they stand on the page."""
    form = re.search(rf'<form[^>]* action="{re.escape(action)}".*?</form>', page.text, re.S)
    assert form, f"no form for {action}"
    fields = dict(re.findall(r'<input[^>]* name="([\w-]+)"[^>]* value="([^"]*)"', form[0]))
    for name, options in re.findall(r'<select[^>]* name="([\w-]+)".*?>(.*?)</select>', form[0], re.S):
        chosen = re.search(r'<option selected value="(\d*)"', options)
        fields[name] = chosen[1] if chosen else ""
    return fields


@pytest.mark.parametrize("headers", [None, HTMX])
def test_a_service_is_changed_in_a_form_with_an_address(desk, spa, visit, card, headers):
    first, _ = items_of(visit)
    url = f"/bookings/{visit}/items/{first}"
    assert f'href="{url}"' in desk.get(f"/bookings/{visit}").text
    page = desk.get(url, headers=headers)
    fields = form_on(page, url)
    assert (fields["service_id"], fields["staff_id"]) == (str(spa.facial), str(spa.therapists[0]))
    assert (fields["resource_id"], fields["treatment_id"]) == (str(spa.rooms[0]), str(card))
    answer = desk.post(url, data={**fields, "staff_id": spa.therapists[1], "treatment_id": ""}, headers=headers)
    assert answer.status_code == (200 if headers else 303)
    if headers:
        assert "bookings-changed" in json.loads(answer.headers["HX-Trigger"])
    assert rows("SELECT staff_id, treatment_id FROM booking_items WHERE id = :id", id=first) == [
        (spa.therapists[1], None)
    ]
    assert counters(card)[2] == 0


@pytest.mark.parametrize("headers", [None, HTMX])
def test_a_service_is_added(desk, spa, visit, card, headers):
    url = f"/bookings/{visit}/items"
    fields = form_on(desk.get(url, headers=headers), url)
    answer = desk.post(url, data={**fields, "service_id": spa.facial, "treatment_id": card}, headers=headers)
    assert answer.status_code == (200 if headers else 303)
    assert len(items_of(visit)) == 3
    assert counters(card)[2] == 2


@pytest.mark.parametrize("headers", [None, HTMX])
def test_a_service_is_cancelled_and_shown_struck_through(desk, spa, visit, card, headers):
    first, _ = items_of(visit)
    url = f"/bookings/{visit}/items/{first}/cancel"
    answer = desk.post(url, data=form_on(desk.get(f"/bookings/{visit}"), url), headers=headers)
    page = answer if headers else desk.get(answer.location)
    assert re.search(r"<s>Basic Facial .*?</s>", page.text)
    assert "The service is cancelled. The rest of the visit stands." in text_of(page)
    assert f'action="{url}"' not in page.text
    day = tomorrow_at(spa.branch, "10:00").date()
    assert desk.get(f"/calendar?date={day}").text.count(f'id="booking-{visit}"') == 1
    assert desk.get(f"/bookings/{visit}/items/{first}").status_code == 200
    with nothing_stored():
        assert post(desk, url, headers, version=2).status_code == 404


@pytest.mark.parametrize("headers", [None, HTMX])
def test_the_last_service_is_refused_with_the_way_out(desk, spa, headers):
    booking = make_booking(spa)
    (only,) = items_of(booking)
    assert f"/items/{only}/cancel" not in desk.get(f"/bookings/{booking}").text
    with nothing_stored():
        answer = post(desk, f"/bookings/{booking}/items/{only}/cancel", headers, version=1)
    assert answer.status_code == 409
    assert "cancel the visit instead" in text_of(answer)


ACTIONS = ("", "/{item}", "/{item}/cancel", "/{item}/payment")


@pytest.mark.parametrize("headers", [None, HTMX])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_stale_screen_gets_the_fresh_truth(desk, spa, visit, action, headers):
    url = f"/bookings/{visit}/items" + action.format(item=items_of(visit)[0])
    bookings.move(visit, starts_at=tomorrow_at(spa.branch, "14:00"), actor=spa.manager)
    with nothing_stored():
        answer = post(desk, url, headers, version=1, service_id=spa.facial)
    assert answer.status_code == 409
    assert "Somebody else has just changed this visit" in text_of(answer)
    assert "14:00" in text_of(answer)
    assert 'name="service_id"' not in answer.text


@pytest.mark.parametrize("headers", [None, HTMX])
@pytest.mark.parametrize("action", ACTIONS)
def test_what_cannot_be_read_is_refused(desk, visit, action, headers):
    url = f"/bookings/{visit}/items" + action.format(item=items_of(visit)[0])
    for fields in ({}, {"version": "x"}, {"version": 1, "treatment_id": "x", "service_id": "y"}):
        if action.endswith("cancel") and fields.get("version") == 1:
            continue
        with nothing_stored():
            assert post(desk, url, headers, **fields).status_code == 422, fields


@pytest.mark.parametrize("headers", [None, HTMX])
def test_a_refused_change_stays_as_typed_with_its_error_at_the_field(desk, spa, visit, headers):
    first, _ = items_of(visit)
    url = f"/bookings/{visit}/items/{first}"
    with nothing_stored():
        answer = post(desk, url, headers, version=1, service_id=spa.massage, staff_id=spa.other_therapist)
    assert answer.status_code == 422
    assert "does not perform Hot Stone" in error_at(answer, "item-staff_id")
    assert form_on(answer, url)["service_id"] == str(spa.massage)
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "11:45"), customer_id=make_customer())
    with nothing_stored():
        answer = post(desk, url, headers, version=1, service_id=spa.massage, staff_id=spa.therapists[0])
    assert answer.status_code == 409
    assert "busy from 11:45" in text_of(answer)
    assert form_on(answer, url)["service_id"] == str(spa.massage)


def test_once_begun_only_the_way_of_paying_changes(desk, spa, card):
    booking = make_booking(spa, status="in_progress", card=card)
    (item,) = items_of(booking)
    page = desk.get(f"/bookings/{booking}/items/{item}")
    assert 'name="service_id"' not in page.text
    fields = form_on(page, f"/bookings/{booking}/items/{item}/payment")
    assert fields["treatment_id"] == str(card)
    with nothing_stored():
        refused = post(desk, f"/bookings/{booking}/items/{item}", version=2, service_id=spa.massage)
    assert refused.status_code == 409
    assert desk.get(f"/bookings/{booking}/items").text.count('name="service_id"') == 0
    assert (
        desk.post(f"/bookings/{booking}/items/{item}/payment", data={**fields, "treatment_id": ""}).status_code == 303
    )
    assert counters(card)[2] == 0


def test_a_therapist_and_another_branch_change_nothing(client, visit):
    first, _ = items_of(visit)
    for username, status in (("therapist", 403), ("reception7", 404)):
        login(client, username)
        for action in ACTIONS:
            url = f"/bookings/{visit}/items" + action.format(item=first)
            with nothing_stored():
                assert post(client, url, version=1).status_code == status, url
        for url in (f"/bookings/{visit}/items", f"/bookings/{visit}/items/{first}"):
            assert client.get(url).status_code == status


def test_the_right_card_is_proposed_for_a_service_that_is_added(desk, spa, visit, card):
    today = clock.today(TIMEZONE)
    soon = make_card(spa.customer, None, branch_id=spa.branch, sessions=1, expiry_date=today + dt.timedelta(days=9))
    url = f"/bookings/{visit}/items"
    empty = form_on(desk.get(url), url)
    assert (empty["service_id"], empty.get("treatment_id")) == ("", None)

    page = desk.get(url, query_string={**empty, "service_id": spa.facial}, headers=HTMX)
    fields = form_on(page, url)
    assert (fields["treatment_id"], fields["card_for"]) == (str(soon), f":{spa.facial}")
    assert "After this visit 0 left" in text_of(page)
    assert f"This is the last session of card #{soon}." in text_of(page)
    page = desk.get(url, query_string={**fields, "treatment_id": card}, headers=HTMX)
    assert form_on(page, url)["treatment_id"] == str(card)
    assert "After this visit 8 left" in text_of(page)  # of ten, this visit has one already
    page = desk.get(url, query_string={**fields, "service_id": spa.consultation}, headers=HTMX)
    assert form_on(page, url)["treatment_id"] == str(soon)

    answer = desk.post(url, data={**fields, "treatment_id": ""})
    assert answer.status_code == 303
    assert counters(soon)[2] == 0, "the desk took it off"
    fields = form_on(desk.get(url), url)
    assert desk.post(url, data={**fields, "service_id": spa.consultation}).status_code == 303
    assert counters(soon)[2] == 1, "no script redrew the form"


def test_another_service_gets_the_card_that_covers_it_and_the_old_one_its_own_again(desk, spa, visit, card):
    stones = make_card(spa.customer, spa.massage, branch_id=spa.branch, sessions=2)
    first, _ = items_of(visit)
    url = f"/bookings/{visit}/items/{first}"
    page = desk.get(url)
    fields = form_on(page, url)
    assert "After this visit 9 left" in text_of(page)
    other = form_on(desk.get(url, query_string={**fields, "service_id": spa.massage}, headers=HTMX), url)
    assert other["treatment_id"] == str(stones)
    back = desk.get(url, query_string={**other, "service_id": spa.facial}, headers=HTMX)
    assert form_on(back, url)["treatment_id"] == str(card)
    assert desk.post(url, data={**fields, "service_id": spa.massage}).status_code == 303
    assert (counters(stones)[2], counters(card)[2]) == (1, 0)


def test_a_card_that_cannot_pay_is_named_beside_the_form(desk, spa, visit):
    ended = make_card(spa.customer, spa.massage, branch_id=spa.branch, expiry_date=clock.today(TIMEZONE))
    url = f"/bookings/{visit}/items"
    page = desk.get(url, query_string={"service_id": spa.massage, "card_for": ":"}, headers=HTMX)
    assert f"Card #{ended} is valid to" in text_of(page)
    assert form_on(page, url).get("treatment_id") is None
