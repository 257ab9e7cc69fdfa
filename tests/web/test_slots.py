"""/slots for visits of several services: JSON, page and the booking form's own buttons; and whom a customer prefers."""

import datetime as dt
import re
from html import unescape

import pytest

from spa_app.models import Customer
from spa_app.services import customers
from spa_app.services.actor import SYSTEM
from spa_app.services.bookings import ItemRequest
from tests.factories import login, make_booking, make_customer, make_staff, tomorrow_at
from tests.web.visits import HTMX, get, post, visit_fields

JSON = {"Accept": "application/json"}


@pytest.fixture
def day(spa):
    return tomorrow_at(spa.branch, "12:00").date().isoformat()


def ask(desk, **query):
    return desk.get(
        "/slots", query_string={name.replace("__", "-"): value for name, value in query.items()}, headers=JSON
    )


def prefer(spa, staff_id):
    customers.update_customer(spa.customer, full_name="Lê Thị Mai", preferred_staff_id=staff_id, actor=spa.receptionist)


def chosen(html, field):
    select = re.search(rf'<select[^>]* name="{field}".*?</select>', html, re.S)[0]
    found = re.search(r'<option selected value="(\d*)"', select)
    return int(found[1]) if found and found[1] else None


def test_several_services_follow_one_another(desk, spa, day):
    # The first therapist is free from 09:10, for an hour and fifty minutes: not enough for both services.
    for time in ("08:00", "11:00"):
        make_booking(spa, starts_at=tomorrow_at(spa.branch, time), customer_id=make_customer())
    services = [spa.facial, spa.massage]

    one = ask(desk, service_id=spa.facial, staff_id=spa.therapists[0], date=day)
    both = ask(desk, service_id=services, staff_id=spa.therapists[0], date=day)
    shared = ask(desk, service_id=services, staff_id=[spa.therapists[0], spa.therapists[1]], date=day)

    assert one.json["slots"][0]["starts_at"] == f"{day}T09:15"
    assert both.json["slots"][0]["starts_at"] == f"{day}T12:15"
    assert [item["staff_id"] for item in both.json["slots"][0]["items"]] == [spa.therapists[0]] * 2
    assert shared.json["slots"][0]["starts_at"] == f"{day}T09:15"
    assert shared.json["slots"][0]["items"] == [
        {"service_id": spa.facial, "staff_id": spa.therapists[0], "staff_name": "Hồng"},
        {"service_id": spa.massage, "staff_id": spa.therapists[1], "staff_name": "Anh"},
    ]
    assert shared.json["slots"][0]["staff_name"] == "Hồng, Anh"


def test_what_is_offered_can_be_booked(desk, spa, day):
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "09:30"), customer_id=make_customer())
    items = {
        "items-0-service_id": spa.massage,
        "items-0-staff_id": spa.therapists[0],
        "items-0-resource_id": spa.rooms[0],
        "items-1-service_id": spa.facial,
        "items-1-staff_id": spa.therapists[0],
    }

    slots = desk.get("/slots", query_string={**items, "date": day}, headers=JSON).json["slots"]

    assert len(slots) == 5
    starts_at = slots[0]["starts_at"]
    assert post(desk, "/bookings", **visit_fields(spa, **items, starts_at=starts_at)).status_code == 303


def test_the_items_of_the_form_and_repeated_services_are_the_same_question(desk, spa, day):
    named = {
        "items-0-service_id": spa.facial,
        "items-7-service_id": spa.consultation,
        "items-7-staff_id": spa.therapists[1],
    }
    repeated = ask(desk, service_id=[spa.facial, spa.consultation], staff_id=["", spa.therapists[1]], date=day)

    assert desk.get("/slots", query_string={**named, "date": day}, headers=JSON).json == repeated.json


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("service_id={facial}&service_id=x", 422),
        ("service_id={facial}&service_id=", 422),
        ("items-0-service_id={facial}&items-1-staff_id=1", 422),
        ("service_id={facial}&service_id=987654321", 404),
        ("items-0-service_id={facial}&items-0-resource_id=x", 422),
        ("items-0-service_id={facial}&customer_id=x", 422),
        ("items-0-service_id={facial}&customer_id=987654321", 200),
        ("service_id={facial}&branch_id={other}", 404),
        ("&".join(["service_id={facial}"] * 11), 422),
        ("&".join(["service_id={facial}"] * 500), 422),
    ],
)
def test_malformed_questions(desk, spa, query, status):
    url = "/slots?" + query.format(facial=spa.facial, other=spa.other_branch)
    for headers in ({}, HTMX, {"HX-Request": "true", "HX-Target": "slots"}, JSON):
        assert desk.get(url, headers=headers).status_code == status, headers


def test_a_time_on_the_page_leads_to_the_form_with_all_of_it(desk, spa, day):
    query = {"service_id": [spa.facial, spa.consultation], "date": day, "customer_id": spa.customer}
    page = desk.get("/slots", query_string=query).text
    link = unescape(re.search(r'<a class="button button--small free-time" href="(.*?)"', page)[1])

    form = desk.get(link).text

    assert [chosen(form, f"items-{number}-service_id") for number in (0, 1)] == [spa.facial, spa.consultation]
    assert 'name="items-2-service_id"' not in form
    assert "Lê Thị Mai" in form
    assert f'value="{day}T08:00"' in form


def test_the_booking_form_leads_to_later_days_and_gets_them_as_its_own_buttons(desk, spa, day):
    items = {"items-0-service_id": spa.facial, "items-1-service_id": spa.massage}
    form = desk.get("/bookings/new", query_string={**items, "starts_at": f"{day}T10:00"}, headers=HTMX).text
    later = unescape(re.search(r'id="slots-later"[^>]* hx-get="(.*?)"', form)[1])
    after = (dt.date.fromisoformat(day) + dt.timedelta(days=1)).isoformat()

    answer = desk.get(later, headers={"HX-Request": "true", "HX-Target": "slots"})

    assert answer.status_code == 200
    times = re.findall(r'name="slot" value="(.*?)"', answer.text)
    assert times == [f"{after}T{time}" for time in ("08:00", "08:15", "08:30", "08:45", "09:00")]
    assert 'hx-target="#panel"' in answer.text
    assert 'hx-swap-oob="innerHTML:#announce">Free times from' in answer.text
    assert "<html" in desk.get(later).text


def test_a_full_fortnight_says_so_in_place(desk, spa):
    alone = make_staff(spa.branch, [], "Thu")
    url = f"/slots?service_id={spa.facial}&staff_id={alone}"

    answer = desk.get(url, headers={"HX-Request": "true", "HX-Target": "slots"})

    assert "No free time in the next two weeks" in answer.text
    assert 'id="slots-later"' not in answer.text


def test_a_preferred_therapist_is_kept_and_shown(desk, spa):
    url = f"/customers/{spa.customer}"
    fields = {"full_name": "Lê Thị Mai", "preferred_staff_id": spa.therapists[1]}

    assert post(desk, url, **fields).status_code == 303
    page = desk.get(url).text
    assert "<dt>Preferred therapist</dt><dd>Anh</dd>" in page
    assert chosen(page, "preferred_staff_id") == spa.therapists[1]
    assert post(desk, url, full_name="Lê Thị Mai", preferred_staff_id="").status_code == 303
    assert get(Customer, spa.customer).preferred_staff_id is None
    added = post(desk, "/customers", full_name="Trần An", preferred_staff_id=spa.therapists[0])
    assert "<dt>Preferred therapist</dt><dd>Hồng</dd>" in desk.get(added.location).text


@pytest.mark.parametrize("staff", ["other", 987654321, "x"])
def test_whom_the_desk_does_not_know_cannot_be_preferred(desk, spa, staff):
    staff = spa.other_therapist if staff == "other" else staff
    for url in ("/customers", f"/customers/{spa.customer}"):
        answer = post(desk, url, full_name="Lê Thị Mai", preferred_staff_id=staff)
        assert answer.status_code == 422
        assert 'id="preferred_staff_id-error"' in answer.text
    assert get(Customer, spa.customer).preferred_staff_id is None


def test_a_wish_from_another_branch_outlives_an_edit(desk, spa):
    customers.update_customer(
        spa.customer, full_name="Lê Thị Mai", preferred_staff_id=spa.other_therapist, actor=SYSTEM
    )
    page = desk.get(f"/customers/{spa.customer}").text
    assert "<dt>Preferred therapist</dt><dd>Lan</dd>" in page

    fields = {"full_name": "Lê Thị Mai Hương", "preferred_staff_id": chosen(page, "preferred_staff_id")}
    assert post(desk, f"/customers/{spa.customer}", **fields).status_code == 303
    assert get(Customer, spa.customer).preferred_staff_id == spa.other_therapist


def test_the_form_begins_with_whom_the_customer_prefers(desk, spa):
    prefer(spa, spa.therapists[1])
    form = desk.get(f"/bookings/new?customer_id={spa.customer}&service_id={spa.facial}").text

    assert chosen(form, "items-0-staff_id") == spa.therapists[1]
    assert "Prefers Anh" in form
    named = desk.get(f"/bookings/new?customer_id={spa.customer}&service_id={spa.facial}&staff_id={spa.therapists[0]}")
    assert chosen(named.text, "items-0-staff_id") == spa.therapists[0]


def test_anyone_stays_anyone_once_the_desk_has_said_so(desk, spa):
    prefer(spa, spa.therapists[1])
    fields = visit_fields(spa, **{"items-0-card_for": f"{spa.customer}:{spa.facial}"})

    assert chosen(post(desk, "/bookings/form", **fields).text, "items-0-staff_id") is None
    changed = post(desk, "/bookings/form", **{**fields, "items-0-service_id": spa.massage})
    assert chosen(changed.text, "items-0-staff_id") == spa.therapists[1]


def test_the_wish_goes_with_the_customer_who_had_it(desk, spa):
    prefer(spa, spa.therapists[1])
    fields = visit_fields(spa, **{"items-0-card_for": f"{spa.customer}:{spa.facial}"})
    theirs = {**fields, "items-0-staff_id": spa.therapists[1], "customer_id": make_customer("Trần An")}

    assert chosen(post(desk, "/bookings/form", **theirs).text, "items-0-staff_id") is None
    own = {**theirs, "items-0-staff_id": spa.therapists[0]}
    assert chosen(post(desk, "/bookings/form", **own).text, "items-0-staff_id") == spa.therapists[0]
    for key in ("x:1", f"{10**30}:1", ":", ""):
        odd = {**theirs, "items-0-card_for": key}
        assert post(desk, "/bookings/form", **odd).status_code == 200


def test_who_does_not_perform_the_service_is_not_put_in(desk, spa):
    prefer(spa, make_staff(spa.branch, [spa.consultation], "Thu"))
    form = desk.get(f"/bookings/new?customer_id={spa.customer}&service_id={spa.facial}").text

    assert chosen(form, "items-0-staff_id") is None


def test_anyone_is_whom_the_customer_prefers(desk, spa, day):
    prefer(spa, spa.therapists[1])
    asked = ask(desk, service_id=spa.facial, date=day, customer_id=spa.customer)
    assert {slot["staff_id"] for slot in asked.json["slots"]} == {spa.therapists[1]}
    busy = ItemRequest(spa.facial, spa.therapists[1], spa.rooms[1])
    make_booking(spa, busy, starts_at=tomorrow_at(spa.branch, "08:00"), customer_id=make_customer())
    asked = ask(desk, service_id=spa.facial, date=day, customer_id=spa.customer)
    assert asked.json["slots"][0]["staff_id"] == spa.therapists[0]


def test_a_therapist_may_not_ask(client, spa):
    login(client, "therapist")
    assert client.get(f"/slots?service_id={spa.facial}&service_id={spa.massage}").status_code == 403
