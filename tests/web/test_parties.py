"""Booking several who come together, what their panels and pages show, and what is done with all of them at once."""

import re

import pytest

from spa_app.models import Booking, Customer, Party
from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest
from spa_app.web.times import format_local
from tests.factories import (
    TIMEZONE,
    login,
    make_booking,
    make_card,
    make_customer,
    make_party,
    make_room,
    make_staff,
    tomorrow_at,
)
from tests.services.checks import rows
from tests.web.visits import HTMX, error_at, get, nothing_stored, post, text_of, undo_in, visit_fields


@pytest.fixture
def desk(client, spa):
    login(client, "reception")
    return client


@pytest.fixture
def lan(spa):
    return make_customer("Vũ Lan", "+84909111222")


@pytest.fixture
def party(spa):
    return make_party(spa, starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.receptionist)


def guest_fields(spa, customer_id, **changes):
    fields = {"guests-0-customer_id": customer_id, "guests-0-items-0-service_id": spa.facial}
    return visit_fields(spa, **{**fields, **changes})


def local(spa, time):
    return format_local(tomorrow_at(spa.branch, time), TIMEZONE)


def statuses():
    return [status for (status,) in rows("SELECT status FROM bookings ORDER BY id")]


def test_two_are_booked_with_one_post(desk, spa, lan):
    answer = post(desk, "/bookings", **guest_fields(spa, lan))

    assert answer.status_code == 303
    first, second = rows("SELECT id FROM bookings ORDER BY id")
    assert answer.location.endswith(f"/bookings/{first[0]}")
    assert rows("SELECT customer_id FROM bookings ORDER BY id") == [(spa.customer,), (lan,)]
    page = desk.get(f"/bookings/{first[0]}")
    assert f'href="/bookings/{second[0]}"' in page.text
    assert "Vũ Lan" in text_of(page)


def test_a_double_click_books_once(desk, spa, lan):
    key = "7b0f4b3c-9c2e-4b5e-8f6e-1d1c2b3a4f5e"
    first = post(desk, "/bookings", key=key, **guest_fields(spa, lan))
    second = post(desk, "/bookings", key=key, **guest_fields(spa, lan))

    assert first.location == second.location
    assert rows("SELECT count(*) FROM parties") == [(1,)]


def test_a_guest_is_added_with_the_visits(desk, spa):
    fields = guest_fields(spa, "", **{"guests-0-full_name": "Vũ Lan", "guests-0-phone": "0909111222"})

    assert post(desk, "/bookings", **fields).status_code == 303
    assert rows("SELECT c.full_name FROM bookings b JOIN customers c ON c.id = b.customer_id ORDER BY b.id") == [
        ("Lê Thị Mai",),
        ("Vũ Lan",),
    ]


def test_what_is_wrong_with_a_guest_stands_at_their_field(desk, spa, lan):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    taken = get(Customer, lan).phone
    wrong = [
        ({"guests-0-customer_id": ""}, "guests-0-customer_q", 422),
        ({"guests-0-items-0-service_id": ""}, "guests-0-items-0-service_id", 422),
        ({"guests-0-items-0-service_id": "x"}, "guests-0-items-0-service_id", 422),
        ({"guests-0-items-0-treatment_id": card}, "guests-0-items-0-treatment_id", 422),
        ({"guests-0-customer_id": "", "guests-0-full_name": "X", "guests-0-phone": taken}, "guests-0-phone", 409),
        ({"guests-0-items-0-staff_id": spa.other_therapist}, "guests-0-items-0-staff_id", 422),
    ]
    for changes, at, status in wrong:
        with nothing_stored():
            answer = post(desk, "/bookings", **guest_fields(spa, lan, **changes))
        assert answer.status_code == status, changes
        assert error_at(answer, at)


def test_ways_out_for_a_guests_card_are_buttons_of_theirs(desk, spa, lan):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)

    answer = post(desk, "/bookings", **guest_fields(spa, lan, **{"guests-0-items-0-treatment_id": card}))

    assert 'value="guests-0-pay-0"' in answer.text
    assert f'href="/customers/{lan}/treatments"' in answer.text


def test_none_is_booked_where_all_do_not_fit_and_free_times_are_offered(desk, spa, lan):
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))

    with nothing_stored():
        answer = post(desk, "/bookings", **guest_fields(spa, lan))

    assert answer.status_code == 409
    assert f'value="{local(spa, "11:15")}"' in answer.text
    assert f'value="{local(spa, "11:00")}"' not in answer.text


def test_the_same_customer_twice_is_refused(desk, spa):
    with nothing_stored():
        answer = post(desk, "/bookings", **guest_fields(spa, spa.customer))

    assert answer.status_code == 422
    assert "already one of the guests" in text_of(answer)


def test_seven_guests_are_one_too_many(desk, spa):
    fields = {}
    for number in range(7):
        fields |= {
            f"guests-{number}-customer_id": make_customer(),
            f"guests-{number}-items-0-service_id": spa.consultation,
        }
    fields = guest_fields(spa, make_customer(), **fields)
    with nothing_stored():
        answer = post(desk, "/bookings", **fields)
    assert answer.status_code == 422
    assert "2 to 6 guests" in text_of(answer)


def test_the_form_adds_and_removes_guests_and_their_services(desk, spa, lan):
    fields = visit_fields(spa)
    answer = post(desk, "/bookings/form", **fields, do="add-guest")
    assert 'name="guests-0-customer_q"' in answer.text
    # For the same service as the first, mostly.
    assert re.search(rf'name="guests-0-items-0-service_id".*?<option selected value="{spa.facial}"', answer.text, re.S)

    answer = post(desk, "/bookings/form", **guest_fields(spa, lan), do="guests-0-add-item")
    assert 'name="guests-0-items-1-service_id"' in answer.text
    more = {"guests-0-items-1-service_id": spa.massage}
    answer = post(desk, "/bookings/form", **guest_fields(spa, lan, **more), do="guests-0-remove-0")
    assert 'name="guests-0-items-1-service_id"' not in answer.text
    assert re.search(rf'name="guests-0-items-0-service_id".*?<option selected value="{spa.massage}"', answer.text, re.S)

    answer = post(desk, "/bookings/form", **guest_fields(spa, lan), do="guests-0-forget-customer")
    assert 'name="guests-0-customer_q"' in answer.text
    answer = post(desk, "/bookings/form", **guest_fields(spa, lan), do="guests-0-remove-guest")
    assert "guests-0-" not in answer.text
    searched = {"guests-0-customer_q": "vu lan"}
    answer = post(desk, "/bookings/form", **guest_fields(spa, "", **searched), do="guests-0-find")
    assert f'name="guests-0-customer_id" value="{lan}"' in answer.text


def test_guests_are_found_while_their_name_is_typed(desk, spa, lan):
    answer = desk.get("/bookings/customers?place=panel&guest=guests-0-&guests-0-customer_q=lan", headers=HTMX)

    assert f'name="guests-0-customer_id" value="{lan}"' in answer.text


def test_offered_times_fit_all_guests(desk, spa, lan):
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))

    answer = post(desk, "/bookings/form", **guest_fields(spa, lan))

    assert f'value="{local(spa, "11:15")}"' in answer.text
    assert f'name="slot" value="{local(spa, "10:00")}"' not in answer.text


def test_a_move_takes_the_others_along_unless_told_otherwise(desk, spa, party):
    first, second = party
    assert post(desk, f"/bookings/{first}/move", starts_at=local(spa, "12:00")).status_code == 303
    assert [get(Booking, one).starts_at for one in party] == [tomorrow_at(spa.branch, "12:00")] * 2

    answer = post(desk, f"/bookings/{second}/move", starts_at=local(spa, "14:00"), only_this="y")
    assert answer.status_code == 303
    assert [get(Booking, one).starts_at for one in party] == [
        tomorrow_at(spa.branch, "12:00"),
        tomorrow_at(spa.branch, "14:00"),
    ]


def test_a_move_on_top_of_what_was_not_seen_of_the_others_is_refused(desk, spa, party):
    first, second = party
    page = desk.get(f"/bookings/{first}", headers=HTMX)
    assert f'name="seen" type="hidden" value="{second}.1"' in page.text
    bookings.move(second, starts_at=tomorrow_at(spa.branch, "10:15"), actor=spa.receptionist)

    with nothing_stored():
        answer = post(
            desk, f"/bookings/{first}/move", HTMX, starts_at=local(spa, "12:00"), version="1", seen=f"{second}.1"
        )

    assert answer.status_code == 409
    assert "Somebody else has just changed" in text_of(answer)
    for nonsense in ("x", "1", "1.2.3", "9" * 30 + ".1"):
        answer = post(desk, f"/bookings/{first}/move", HTMX, starts_at=local(spa, "12:00"), seen=nonsense)
        assert answer.status_code == 422


def test_where_the_party_does_not_fit_times_for_all_are_offered(desk, spa, party):
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "12:00"), customer_id=make_customer())

    answer = post(desk, f"/bookings/{party[0]}/move", HTMX, starts_at=local(spa, "11:30"))

    assert answer.status_code == 409
    assert f'name="starts_at" value="{local(spa, "13:15")}"' in answer.text
    assert 'name="only_this" value="y"' not in answer.text


def plan():
    return rows("SELECT booking_id, staff_id, starts_at, ends_at FROM booking_items ORDER BY id")


@pytest.mark.parametrize(
    ("drop", "moved"),
    [
        ({"starts_at": "12:00"}, 2),
        ({"starts_at": "12:00", "staff": True}, 2),
        ({"starts_at": "12:00", "only_this": "y"}, 1),
        ({"starts_at": "10:00", "staff": True}, 1),
        ({"starts_at": "10:00", "minutes": 90}, 1),
        ({"starts_at": "12:00", "minutes": 90, "staff": True}, 2),
    ],
)
def test_what_is_dragged_takes_the_others_along_in_time_only_and_is_taken_back(desk, spa, party, drop, moved):
    third = make_staff(spa.branch, [spa.facial])
    first, _second = party
    before = plan()
    ((item,),) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=first)
    fields = {**drop, "starts_at": local(spa, drop["starts_at"]), "item_id": item, "version": 1}
    if fields.pop("staff", False):
        fields["staff_id"] = third

    answer = post(desk, f"/bookings/{first}/move", HTMX, **fields)

    assert answer.status_code == 200
    assert sum(old != new for old, new in zip(before, plan(), strict=True)) == moved
    where, back = undo_in(answer)
    assert desk.post(where, data=back, headers=HTMX).status_code == 200
    assert plan() == before
    assert rows("SELECT version FROM bookings ORDER BY id") == [(3,), (3 if moved == 2 else 1,)]


def test_a_move_is_not_taken_back_over_what_another_desk_did_with_the_others(desk, spa, party):
    first, second = party
    answer = post(desk, f"/bookings/{first}/move", HTMX, starts_at=local(spa, "12:00"))
    bookings.move(second, starts_at=tomorrow_at(spa.branch, "12:15"), actor=spa.receptionist)

    where, back = undo_in(answer)
    with nothing_stored():
        assert desk.post(where, data=back, headers=HTMX).status_code == 409


def test_the_times_that_are_offered_keep_what_was_asked_of_one_visit(desk, spa, party):
    first, second = party
    ((busy,),) = rows("SELECT staff_id FROM booking_items WHERE booking_id = :id", id=second)
    make_booking(spa, ItemRequest(spa.consultation, busy), starts_at=tomorrow_at(spa.branch, "12:00"))
    ((item,),) = rows("SELECT id FROM booking_items WHERE booking_id = :id", id=first)
    wanted = {"item_id": item, "minutes": 90, "version": 1}

    answer = post(desk, f"/bookings/{first}/move", HTMX, starts_at=local(spa, "11:30"), **wanted)

    assert answer.status_code == 409
    offered = re.findall(r'<form[^>]*action="/bookings/\d+/move".*?</form>', answer.text, re.S)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', offered[0]))
    assert fields["starts_at"] == local(spa, "12:30")
    assert (fields["item_id"], fields["minutes"], fields["seen"]) == (str(item), "90", f"{second}.1")
    assert desk.post(f"/bookings/{first}/move", data=fields).status_code == 303
    assert [ends for *_, ends in plan()[:2]] == [tomorrow_at(spa.branch, one) for one in ("14:00", "13:30")]


def test_all_arrive_start_are_completed_and_checked_out_one_after_the_other(desk, spa):
    first, _second = make_party(spa)
    page = desk.get(f"/bookings/{first}", headers=HTMX)
    assert "All are here" in text_of(page)
    for action, after in (("arrive", "confirmed"), ("start", "in_progress"), ("complete", "completed")):
        assert post(desk, f"/bookings/{first}/{action}", HTMX, together="y").status_code == 200
        assert statuses() == [after] * 2

    page = desk.get(f"/bookings/{first}", headers=HTMX)
    assert "450,000" in text_of(page)
    (mine,), (other,) = rows("SELECT id FROM invoices ORDER BY booking_id")
    checkout = desk.get(f"/invoices/{mine}", headers=HTMX)
    assert f'href="/invoices/{other}" hx-get="/invoices/{other}"' in checkout.text
    post(desk, f"/invoices/{other}/payments", method="cash", amount="450000")
    assert f'href="/invoices/{other}"' not in desk.get(f"/invoices/{mine}", headers=HTMX).text


def test_each_can_arrive_start_and_be_cancelled_alone(desk, spa):
    first, second = make_party(spa)
    post(desk, f"/bookings/{first}/start", HTMX)
    assert statuses() == ["in_progress", "confirmed"]
    post(desk, f"/bookings/{second}/cancel", HTMX, reason="ill")
    assert statuses() == ["in_progress", "cancelled"]
    assert "Complete all" not in text_of(desk.get(f"/bookings/{first}", headers=HTMX))


def test_all_can_be_cancelled(desk, spa, party):
    assert post(desk, f"/bookings/{party[1]}/cancel", reason="ill", together="y").status_code == 303
    assert statuses() == ["cancelled"] * 2


def test_calendar_list_and_day_sheet_say_who_comes_along(desk, spa, party):
    make_room(spa.branch, spa.room_type)
    make_staff(spa.branch, [spa.facial])
    day = tomorrow_at(spa.branch, "10:00").date().isoformat()
    alone = make_booking(spa, starts_at=tomorrow_at(spa.branch, "14:00"), customer_id=make_customer("Ngô Tú"))
    for url in (f"/calendar?date={day}", f"/calendar?date={day}&view=list", f"/calendar/sheet?date={day}"):
        text = desk.get(url).text
        assert "With Vũ Lan" in text, url
        assert "With Lê Thị Mai" in text, url
        assert "With Ngô" not in text
    assert get(Booking, alone).party_id is None


def test_a_visit_alone_has_nothing_of_a_party(desk, spa):
    visit = make_booking(spa)
    page = desk.get(f"/bookings/{visit}").text

    assert not re.search("Together with|All are here|only_this|name=.together", page)
    assert rows("SELECT count(*) FROM parties") == [(0,)]
    assert Party.__tablename__ == "parties"


def test_a_party_of_another_branch_is_not_to_be_found(client, spa):
    first, _ = make_party(spa)
    login(client, "reception7")
    for action in ("arrive", "start", "complete"):
        assert post(client, f"/bookings/{first}/{action}", together="y").status_code == 404
    assert statuses() == ["confirmed"] * 2


def test_guests_who_share_a_room_stand_side_by_side_in_its_column(desk, spa):
    make_room(spa.branch, spa.room_type, "Suite", places=2)
    at = tomorrow_at(spa.branch, "10:00")
    first, second = make_party(spa, starts_at=at)
    url = f"/calendar?date={at.date().isoformat()}&by=room"

    for visit, lane in ((first, "l1 of2"), (second, "l2 of2")):
        assert re.search(rf'class="cal-visit [^"]*cal-lane {lane}"[^>]* id="booking-{visit}"', desk.get(url).text)
    post(desk, f"/bookings/{second}/cancel", reason="ill")
    assert "cal-lane" not in desk.get(url).text
    assert "cal-lane" not in desk.get(url.replace("room", "therapist")).text
