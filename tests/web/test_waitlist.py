"""The waitlist's pages and forms, as a plain client and as HTMX see them."""

import datetime as dt
import re
import uuid

import pytest
import time_machine

from spa_app import clock
from spa_app.services import blocks, bookings
from tests.factories import Spa, local_at, login, make_booking, make_entry, tomorrow_at
from tests.services.checks import rows, status_of
from tests.web.visits import HTMX


def _post(desk, url, **data):
    return desk.post(url, data={"idempotency_key": uuid.uuid4(), **data})


def _form(spa: Spa, **changes):
    today = local_at(spa.branch, "00:00").date()
    last = local_at(spa.branch, "12:00", days=7).date()
    return {
        "customer_id": spa.customer,
        "services-0": spa.facial,
        "first_on": today.isoformat(),
        "last_on": last.isoformat(),
        "weekdays": [0, 1, 2, 3, 4, 5, 6],
        **changes,
    }


def _moment(desk, entry: int) -> str:
    page = desk.get("/waitlist").text
    part = page[page.index(f'id="entry-{entry}"') :]
    return re.search(r'name="starts_at" value="([^"]+)"', part)[1]


def test_an_empty_list_says_what_to_do(desk):
    page = desk.get("/waitlist")
    assert page.status_code == 200
    assert "Nobody is waiting" in page.text


def test_put_on_the_list_changed_withdrawn_and_put_back(desk, spa: Spa):
    answer = _post(desk, "/waitlist", **_form(spa, from_time="09:00", until_time="12:00", weekdays=[0, 1, 2, 3, 4, 5]))
    assert (answer.status_code, answer.location) == (303, "/waitlist")
    ((entry, weekdays, version),) = rows("SELECT id, weekdays, version FROM waitlist_entries")
    assert weekdays == 0b011_1111
    assert "09:00–12:00" in desk.get("/waitlist").text

    assert 'value="1"' in desk.get(f"/waitlist/{entry}").text
    changed = _post(desk, f"/waitlist/{entry}", **_form(spa, version=version, note="rings back"))
    assert changed.status_code == 303
    stale = _post(desk, f"/waitlist/{entry}", **_form(spa, version=version))
    assert stale.status_code == 409
    assert "rings back" in stale.text

    assert _post(desk, f"/waitlist/{entry}/withdraw", reason="").status_code == 422
    assert _post(desk, f"/waitlist/{entry}/withdraw", reason="ill").status_code == 303
    assert rows("SELECT status, withdraw_reason FROM waitlist_entries") == [("withdrawn", "ill")]
    assert _post(desk, f"/waitlist/{entry}/withdraw", reason="ill").status_code == 409
    assert _post(desk, f"/waitlist/{entry}/put-back").status_code == 303
    assert rows("SELECT status FROM waitlist_entries") == [("waiting",)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"services-0": ""}, "Choose a service."),
        ({"customer_id": ""}, "Choose a customer."),
        ({"last_on": "2020-01-01"}, "lies in the past"),
        ({"last_on": "soon"}, "Not a valid date value."),
        ({"weekdays": []}, "Choose at least one day of the week."),
        ({"from_time": "12:00", "until_time": "11:00"}, "The end must come after the beginning."),
        ({"from_time": "25:00"}, "Not a valid time value."),
        ({"weekdays": ["9"]}, "Mon"),
        ({"services-0": "x"}, "Not a valid choice."),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_stored(desk, spa: Spa, changes, words):
    answer = _post(desk, "/waitlist", **_form(spa, **changes))
    assert answer.status_code == 422
    assert words in answer.text
    assert rows("SELECT count(*) FROM waitlist_entries") == [(0,)]


def test_somebody_new_is_added_with_it(desk, spa: Spa):
    data = _form(spa, customer_id="", full_name="Trần An", phone="0987 654 321")
    assert _post(desk, "/waitlist", **data).status_code == 303
    assert rows("SELECT full_name FROM customers c JOIN waitlist_entries w ON w.customer_id = c.id") == [("Trần An",)]
    again = _post(desk, "/waitlist", **_form(spa, customer_id="", full_name="Ai", phone="0987 654 321"))
    assert again.status_code == 409
    assert "phone" in again.text
    assert rows("SELECT count(*) FROM waitlist_entries") == [(1,)]


def test_the_booking_form_is_taken_over_as_typed(desk, spa: Spa):
    typed = {
        "customer_id": spa.customer,
        "starts_at": "2031-05-06T10:00",
        "items-0-service_id": spa.massage,
        "items-0-staff_id": spa.therapists[1],
        "items-1-service_id": spa.facial,
        "note": "by the window",
    }
    page = _post(desk, "/waitlist/form", **typed).text
    assert "Lê Thị Mai" in page
    assert f'selected value="{spa.massage}"' in page
    assert f'selected value="{spa.facial}"' in page
    assert f'selected value="{spa.therapists[1]}"' in page
    assert 'value="2031-05-06"' in page
    assert "by the window" in page
    assert rows("SELECT count(*) FROM waitlist_entries") == [(0,)]


def test_a_place_is_held_confirmed_and_leads_to_the_visit(desk, spa: Spa):
    entry = make_entry(spa, days=(1, 3))
    held = _post(desk, f"/waitlist/{entry}/hold", starts_at=_moment(desk, entry))
    assert held.status_code == 303
    booking = int(held.location.rsplit("/", 1)[1])
    page = desk.get(held.location).text
    assert "Release the place" in page
    assert "by Reception" in page
    assert "Cancel …" not in page
    listed = desk.get("/waitlist").text
    assert 'data-state="held"' in listed
    assert _post(desk, f"/bookings/{booking}/confirm").status_code == 303
    assert status_of(booking) == "confirmed"
    assert "Open the visit" in desk.get(f"/waitlist/{entry}").text


def test_a_refused_hold_shows_the_fresh_list(desk, spa: Spa):
    entry = make_entry(spa, days=(1, 3), staff_id=spa.therapists[0])
    moment = _moment(desk, entry)
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "08:00"))
    answer = _post(desk, f"/waitlist/{entry}/hold", starts_at=moment)
    assert answer.status_code == 409
    assert "busy" in answer.text
    assert moment not in answer.text
    assert _post(desk, f"/waitlist/{entry}/hold", starts_at="x").status_code == 422


def test_a_lapsed_hold_says_so_and_offers_the_place_to_who_waits(desk, spa: Spa):
    entry = make_entry(spa, days=(1, 1))
    booking = bookings.hold_place(entry, starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.receptionist)
    with time_machine.travel(clock.now() + dt.timedelta(minutes=11), tick=False):
        login(desk, "reception")
        answer = _post(desk, f"/bookings/{booking}/confirm")
        assert answer.status_code == 409
        assert "is free again" in answer.text
        page = desk.get(f"/bookings/{booking}").text
        assert "No longer held" in page
        assert "1 waiting customer fits this time" in page
        assert f"/waitlist/{entry}/hold" in page
        day = desk.get(f"/calendar?date={local_at(spa.branch, '12:00', days=1).date()}").text
        assert f"booking-{booking}" not in day


def test_the_calendar_shows_who_holds_a_place_until_when_and_its_revision_turns_with_time(desk, spa: Spa):
    entry = make_entry(spa, days=(1, 1))
    booking = bookings.hold_place(entry, starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.receptionist)
    url = f"/calendar/grid?date={local_at(spa.branch, '12:00', days=1).date()}"
    first = desk.get(url).text
    assert re.search(rf'cal-visit--held[^>]*id="booking-{booking}"', first)
    assert re.search(r"Held until \d\d:\d\d · Reception", first)
    revision = re.search(r'name="revision"[^>]* value="([^"]+)"', first)[1]
    assert desk.get(f"{url}&revision={revision}").status_code == 204
    with time_machine.travel(clock.now() + dt.timedelta(minutes=11), tick=False):
        login(desk, "reception")
        fresh = desk.get(f"{url}&revision={revision}")
        assert fresh.status_code == 200
        assert f'id="booking-{booking}"' not in fresh.text


def test_cancelling_moving_and_freeing_time_say_who_fits(desk, spa: Spa):
    visit = make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))
    make_entry(spa, days=(1, 1))
    make_entry(spa, days=(1, 1), staff_id=spa.therapists[0])
    moved = _post(
        desk,
        f"/bookings/{visit}/move",
        starts_at=f"{local_at(spa.branch, '12:00', days=2).date()}T10:00",
        version=1,
    )
    assert moved.status_code == 303
    toast = desk.get("/customers").text
    assert "2 waiting customers fit this time" in toast
    link = re.search(r'href="(/waitlist/matches[^"]+)"', toast)[1].replace("&amp;", "&")
    assert "2 waiting customers fit this time" in desk.get(link).text

    cancelled = _post(desk, f"/bookings/{visit}/cancel", reason="ill")
    assert cancelled.status_code == 303
    other = make_booking(spa, starts_at=tomorrow_at(spa.branch, "14:00"))
    page = desk.post(
        f"/bookings/{other}/cancel",
        data={"idempotency_key": uuid.uuid4(), "reason": "ill"},
        headers=HTMX,
    ).text
    assert "2 waiting customers fit this time" in page

    at = tomorrow_at(spa.branch, "18:00")
    block = blocks.block_time(
        staff_id=spa.therapists[0],
        starts_at=at,
        ends_at=at + dt.timedelta(hours=1),
        kind="break",
        actor=spa.receptionist,
    )
    _post(desk, f"/blocks/{block}/delete")
    assert "2 waiting customers fit this time" in desk.get("/customers").text


def test_a_free_time_says_who_waits_for_it(desk, spa: Spa):
    date = local_at(spa.branch, "12:00", days=1).date()
    url = f"/bookings/new?starts_at={date}T10:00&staff_id={spa.therapists[0]}"
    assert "/waitlist/matches" not in desk.get(url).text
    make_entry(spa, days=(1, 1))
    page = desk.get(url).text
    assert "1 waiting customer fits this time" in page
    link = re.search(r'href="(/waitlist/matches[^"]+)"', page)[1].replace("&amp;", "&")
    assert desk.get(link).status_code == 200
    assert desk.get("/waitlist/matches?starts_at=x&ends_at=y").status_code == 422


def test_the_calendar_counts_who_fits_on_its_day(desk, spa: Spa):
    url = f"/waitlist/count?date={local_at(spa.branch, '12:00', days=1).date()}"
    assert desk.get(url).text == ""
    make_entry(spa, days=(1, 1))
    assert "1 fits on this day" in desk.get(url).text
    assert desk.get("/waitlist/count?date=x").status_code == 422


def test_the_customer_page_shows_what_they_wait_for(desk, spa: Spa):
    make_entry(spa, customer_id=spa.customer)
    page = desk.get(f"/customers/{spa.customer}").text
    assert "On the waitlist" in page
    assert f"/waitlist/new?customer_id={spa.customer}" in page


def test_a_visit_that_fell_through_can_be_waited_for_again(desk, spa: Spa):
    entry = make_entry(spa, days=(1, 1))
    booking = bookings.hold_place(entry, starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.receptionist)
    bookings.confirm(booking, actor=spa.receptionist)
    bookings.cancel(booking, reason="ill", actor=spa.receptionist)
    assert f"/waitlist/{entry}/put-back" in desk.get(f"/bookings/{booking}").text
    assert _post(desk, f"/waitlist/{entry}/put-back").status_code == 303
    assert f"/waitlist/{entry}/put-back" not in desk.get(f"/bookings/{booking}").text


def test_another_branch_knows_nothing_of_it(client, spa: Spa):
    entry = make_entry(spa)
    booking = bookings.hold_place(entry, starts_at=tomorrow_at(spa.branch, "10:00"), actor=spa.receptionist)
    login(client, "reception7")
    assert client.get(f"/waitlist/{entry}").status_code == 404
    assert "Nobody is waiting" in client.get("/waitlist").text
    for path in ("", "/withdraw", "/put-back", "/hold"):
        assert _post(client, f"/waitlist/{entry}{path}", reason="x").status_code == 404
    assert _post(client, f"/bookings/{booking}/release").status_code == 404
