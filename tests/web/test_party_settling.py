"""Completing those who came together where cards gave out: the ways out stand there, guest by guest, in place."""

import pytest

from spa_app.services import bookings
from spa_app.services.bookings import Guest, ItemRequest
from tests.books import assert_books_balance
from tests.factories import make_card, make_customer, make_party
from tests.services.checks import counters, execute, rows
from tests.web.test_settling import ways
from tests.web.visits import HTMX, nothing_stored, post, text_of


@pytest.fixture
def lan(spa):
    return make_customer("Vũ Lan")


@pytest.fixture
def cards(spa, lan):
    return [make_card(one, spa.facial, branch_id=spa.branch) for one in (spa.customer, lan)]


@pytest.fixture
def party(spa, lan, cards):
    """Both in treatment, and both cards have ended meanwhile."""
    guests = [
        Guest(customer, [ItemRequest(spa.facial, treatment_id=card)])
        for customer, card in zip((spa.customer, lan), cards, strict=True)
    ]
    visits = make_party(spa, *guests, status="in_progress", actor=spa.receptionist)
    execute("UPDATE customer_treatments SET expiry_date = current_date - 40")
    return visits


def statuses():
    return [status for (status,) in rows("SELECT status FROM bookings ORDER BY id")]


def press(offered, label):
    return next(fields for said, fields in offered.items() if said.startswith(label))


@pytest.mark.parametrize("headers", [None, HTMX])
@pytest.mark.parametrize("screen", [0, 1])
def test_each_guest_is_settled_in_place_and_all_are_completed(desk, spa, party, cards, headers, screen):
    url = f"/bookings/{party[screen]}/complete"
    with nothing_stored():
        answer = post(desk, url, headers, together="y")
    assert answer.status_code == 409
    assert f"Card #{cards[0]} Basic Facial is valid to" in text_of(answer)
    assert "It is about Lê Thị Mai. Nothing was completed yet." in text_of(answer)
    with nothing_stored():
        answer = desk.post(url, data=press(ways(answer, party[screen]), "Let the customer pay"), headers=headers)
    assert answer.status_code == 409
    assert f"Card #{cards[1]} Basic Facial is valid to" in text_of(answer)
    assert "It is about Vũ Lan." in text_of(answer)

    done = desk.post(url, data=press(ways(answer, party[screen]), "Sell "), headers=headers)
    assert done.status_code == (200 if headers else 303)
    assert statuses() == ["completed"] * 2
    assert [counters(card)[1:3] for card in cards] == [(0, 0)] * 2
    page = done if headers else desk.get(done.location)
    assert "Still to pay for the package" in text_of(page)
    assert rows("SELECT customer_id FROM customer_treatments WHERE used_sessions = 1") == [
        rows("SELECT customer_id FROM bookings WHERE id = :id", id=party[1])[0]
    ]
    assert_books_balance()


def test_a_party_seen_before_somebody_changed_it_is_not_settled(desk, spa, party):
    answer = post(desk, f"/bookings/{party[0]}/complete", together="y")
    fields = press(ways(answer, party[0]), "Let the customer pay")
    (item,) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=party[0])[0]
    version = rows("SELECT version FROM bookings WHERE id = :id", id=party[0])[0][0]
    bookings.change_payment(party[0], item, treatment_id=None, version=version, actor=spa.receptionist)
    for seen in (fields["seen"], "", "x", "1.1"):
        with nothing_stored():
            answer = desk.post(f"/bookings/{party[0]}/complete", data={**fields, "seen": seen})
        assert answer.status_code == 409
        assert "Somebody else has just changed this visit" in text_of(answer)
