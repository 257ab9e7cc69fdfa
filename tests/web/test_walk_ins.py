"""The walk-in form: what it answers, what it asks, and that a refusal stores nothing."""

import datetime as dt
import json
import re
import uuid

import pytest
import time_machine
from sqlalchemy import func, select

from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Customer
from spa_app.services.bookings import ItemRequest
from tests.factories import local_at, login, make_booking, make_card, make_customer, tomorrow_at
from tests.web.visits import HTMX, error_at, nothing_stored, post, text_of

PHONE = "+84987654321"


@pytest.fixture(autouse=True)
def _during_the_day(spa):
    with time_machine.travel(tomorrow_at(spa.branch, "10:07"), tick=False):
        yield


@pytest.fixture
def full_house(spa):
    return [make_booking(spa, ItemRequest(spa.facial, therapist)) for therapist in spa.therapists]


def test_somebody_new_is_taken_in_and_shown(desk, spa):
    answer = post(desk, "/walk-ins", full_name="Trần An", phone="0987 654 321", service_id=spa.facial)
    booking = db.session.execute(select(Booking)).scalar_one()
    assert (answer.status_code, answer.location) == (303, f"/bookings/{booking.id}")
    assert (booking.status, booking.starts_at) == ("confirmed", local_at(spa.branch, "10:07"))
    page = desk.get(answer.location)
    assert "Trần An is here." in page.text
    assert "Here since 10:07" in text_of(page)


def test_beside_the_calendar_the_visit_takes_the_forms_place(desk, spa):
    headers = {**HTMX, "HX-Current-URL": "http://localhost/calendar?date=2030-01-01&new=walk-in"}
    answer = post(desk, "/walk-ins", headers, full_name="An", service_id=spa.facial)
    booking = db.session.execute(select(Booking.id)).scalar_one()
    assert answer.status_code == 200
    assert answer.headers["HX-Push-Url"] == f"/calendar?date=2030-01-01&booking={booking}"
    assert "bookings-changed" in json.loads(answer.headers["HX-Trigger"])
    assert f'id="visit-{booking}"' in answer.text
    assert "<html" not in answer.text


def test_a_replay_answers_with_the_same_visit(desk, spa):
    key = str(uuid.uuid4())
    answers = {post(desk, "/walk-ins", key=key, full_name="An", service_id=spa.facial).location for _ in range(2)}
    assert len(answers) == 1
    assert db.session.execute(select(func.count()).select_from(Booking)).scalar_one() == 1


def test_their_card_pays_without_being_asked_for(desk, spa):
    mai = make_customer("Lê Thị Mai", PHONE)
    card = make_card(mai, spa.facial, branch_id=spa.branch)
    assert post(desk, "/walk-ins", phone="0987654321", service_id=spa.facial).status_code == 303
    assert db.session.execute(select(BookingItem.treatment_id)).scalar_one() == card


def test_another_name_on_a_known_phone_asks_who_it_is(desk, spa):
    mai = make_customer("Lê Thị Mai", PHONE)
    fields = {"phone": "0987654321", "full_name": "Lê Thị Hoa", "service_id": spa.facial}
    with nothing_stored():
        asked = post(desk, "/walk-ins", **fields)
    assert asked.status_code == 409
    assert error_at(asked, "phone") == "This phone number is known. Who is here?"
    assert re.findall(r'name="who" value="(\w+)"', asked.text) == [str(mai), "new"]
    assert "Lê Thị Hoa" in asked.text

    assert post(desk, "/walk-ins", **fields, who="new").status_code == 303
    hoa = db.session.execute(select(Customer).where(Customer.full_name == "Lê Thị Hoa")).scalar_one()
    assert hoa.shares_phone_with_id == mai
    assert post(desk, "/walk-ins", **fields, who=mai).status_code == 303
    chosen = db.session.execute(select(Booking.customer_id).order_by(Booking.id)).scalars().all()
    assert chosen == [hoa.id, mai]


def test_a_full_house_offers_the_next_free_times_and_keeps_what_was_typed(desk, spa, full_house):
    fields = {"full_name": "Trần An", "phone": "0987654321", "service_id": spa.facial}
    with nothing_stored():
        answer = post(desk, "/walk-ins", **fields)
    assert answer.status_code == 409
    assert "Trần An" in answer.text
    day = local_at(spa.branch, "10:07").astimezone().date()
    offered = re.findall(r'name="slot" value="([^"]+)"', answer.text)
    assert offered[:2] == [f"{day}T11:30", f"{day}T11:45"]
    assert len(offered) == 5

    assert post(desk, "/walk-ins", **fields, slot=offered[0]).status_code == 303
    newest = db.session.execute(select(Booking).order_by(Booking.id.desc()).limit(1)).scalar_one()
    assert newest.starts_at == local_at(spa.branch, "11:30")
    assert newest.arrived_at is not None


def test_a_customer_once_chosen_stays_chosen_while_times_are_offered(desk, spa, full_house):
    mai = make_customer("Lê Thị Mai", PHONE)
    answer = post(desk, "/walk-ins", phone=PHONE, full_name="Hoa", service_id=spa.facial, who=mai)
    assert answer.status_code == 409
    assert re.search(rf'name="customer_id"[^>]*value="{mai}"', answer.text)
    assert 'name="slot"' in answer.text
    assert 'name="phone"' not in answer.text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"full_name": ""}, "full_name"),
        ({"full_name": "a\u202eb"}, "full_name"),
        ({"full_name": "x" * 300}, "full_name"),
        ({"phone": "12"}, "phone"),
        ({"service_id": ""}, "service_id"),
        ({"service_id": "x"}, "service_id"),
        ({"service_id": "9223372036854775807"}, "service_id"),
    ],
)
def test_what_cannot_be_right_is_refused_at_its_field(desk, spa, changes, field):
    with nothing_stored():
        answer = post(desk, "/walk-ins", **{"full_name": "An", "service_id": spa.facial, **changes})
    assert answer.status_code == 422
    assert error_at(answer, field)


@pytest.mark.parametrize("changes", [{"customer_id": "987654"}, {"who": "x"}, {"starts_at": "soon"}])
def test_what_no_page_sends_is_refused_too(desk, spa, changes):
    with nothing_stored():
        answer = post(desk, "/walk-ins", **{"full_name": "An", "service_id": spa.facial, **changes})
    assert answer.status_code == 422


def test_outside_opening_hours_the_next_times_are_offered(desk, spa):
    with time_machine.travel(local_at(spa.branch, "20:30"), tick=False), nothing_stored():
        answer = post(desk, "/walk-ins", full_name="An", service_id=spa.facial)
    assert answer.status_code == 422
    assert "is closed at that time" in text_of(answer)
    assert 'name="slot"' in answer.text


def test_another_branch_is_not_found_and_a_therapist_may_not(desk, client, spa):
    with nothing_stored():
        fields = {"full_name": "An", "service_id": spa.facial}
        assert post(desk, "/walk-ins", **fields, branch_id=spa.other_branch).status_code == 404
        assert desk.get(f"/walk-ins/new?branch_id={spa.other_branch}").status_code == 404
        login(client, "therapist")
        assert post(client, "/walk-ins", **fields).status_code == 403
        assert client.get("/walk-ins/new").status_code == 403


def test_the_typed_phone_says_whose_it_is(desk, spa):
    mai = make_customer("Lê Thị Mai", PHONE)
    make_card(mai, spa.facial, branch_id=spa.branch, sessions=3)
    answer = desk.get("/walk-ins/customer?phone=0987+654+321", headers=HTMX)
    assert text_of(answer).split() == ["Lê", "Thị", "Mai", "3", "sessions", "left"]
    for nobody in ("0987", "", "x"):
        assert text_of(desk.get("/walk-ins/customer", query_string={"phone": nobody}, headers=HTMX)).strip() == ""
    assert desk.get("/walk-ins/customer?phone=0987654321").location == "/walk-ins/new?phone=0987654321"
    assert "Lê Thị Mai" in desk.get("/walk-ins/new?phone=0987654321").text


def test_the_calendar_leads_to_it_and_its_address_opens_it(desk, client, spa):
    page = desk.get("/calendar?new=walk-in")
    assert re.search(r'href="/walk-ins/new" data-opens data-key="w"', page.text)
    assert 'hx-get="/walk-ins/new?"' in page.text
    login(client, "therapist")
    assert "/walk-ins/new" not in client.get("/calendar").text


def card_on(answer):
    """What the form says of the card: the one that is chosen, those that can be, and the words beside it."""
    select_ = re.search(r'<select[^>]* name="treatment_id".*?</select>', answer.text, re.S)
    options = re.findall(r'<option( selected)? value="(\d*)"', select_[0]) if select_ else []
    return next((value for selected, value in options if selected), None), [value for _, value in options]


def test_the_card_is_proposed_before_they_are_taken_in(desk, spa):
    mai = make_customer("Lê Thị Mai", PHONE)
    later = make_card(mai, spa.facial, branch_id=spa.branch, sessions=4)
    today = local_at(spa.branch, "10:07").astimezone().date()
    sooner = make_card(mai, None, branch_id=spa.branch, sessions=1, expiry_date=today + dt.timedelta(days=9))
    make_card(mai, spa.massage, branch_id=spa.branch)
    asked = {"phone": "0987654321", "service_id": spa.facial}

    answer = desk.get("/walk-ins/customer", query_string=asked, headers=HTMX)
    assert card_on(answer) == (str(sooner), ["", str(sooner), str(later)])
    assert "After this visit 0 left" in text_of(answer)
    assert f"This is the last session of card #{sooner}." in text_of(answer)
    assert 'id="walk-in-known"' in answer.text

    key = f"{mai}:{spa.facial}"
    other = desk.get("/walk-ins/customer", query_string={**asked, "card_for": key, "treatment_id": later}, headers=HTMX)
    assert card_on(other)[0] == str(later)
    assert "After this visit 3 left" in text_of(other)
    other = desk.get("/walk-ins/customer", query_string={**asked, "full_name": "Hoa"}, headers=HTMX)
    assert card_on(other) == (None, [])

    assert post(desk, "/walk-ins", **asked, card_for=key, treatment_id=later).status_code == 303
    assert post(desk, "/walk-ins", **asked, card_for=key, treatment_id="").status_code == 303
    with time_machine.travel(local_at(spa.branch, "13:07"), tick=False):
        # Chosen for another service: the screen never saw this one.
        assert post(desk, "/walk-ins", **asked, card_for=f"{mai}:{spa.massage}", treatment_id="").status_code == 303
    paid = db.session.execute(select(BookingItem.treatment_id).order_by(BookingItem.id)).scalars().all()
    assert paid == [later, None, sooner]


def test_a_card_that_cannot_pay_is_named_before_they_are_taken_in(desk, spa):
    mai = make_customer("Lê Thị Mai", PHONE)
    today = local_at(spa.branch, "10:07").astimezone().date()
    gone = make_card(mai, spa.facial, branch_id=spa.branch, expiry_date=today - dt.timedelta(days=1))
    asked = {"customer_id": mai, "service_id": spa.facial}
    answer = desk.get("/walk-ins/customer", query_string=asked, headers=HTMX)
    assert f"Card #{gone} is valid to" in text_of(answer)
    assert "before this visit" in text_of(answer)
    assert 'id="walk-in-known"' not in answer.text

    with nothing_stored():
        answer = post(desk, "/walk-ins", **asked, card_for=f"{mai}:{spa.facial}", treatment_id=gone)
    assert answer.status_code == 422
    assert "before this visit" in error_at(answer, "treatment_id")
