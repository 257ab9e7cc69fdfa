"""/affected, and what calendar, blocked times and the visit's panel say of an absence."""

import datetime as dt
import re
import uuid

import pytest

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Customer
from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest
from spa_app.services.transaction import atomic
from tests import factories
from tests.factories import TIMEZONE, login
from tests.services.checks import rows

HTMX = {"HX-Request": "true", "HX-Target": "panel"}


def tomorrow() -> dt.date:
    return clock.today(TIMEZONE) + dt.timedelta(days=1)


def stretch(spa, **changes):
    day = tomorrow().isoformat()
    return {"staff_id": spa.therapists[0], "from": f"{day}T08:00", "to": f"{day}T21:00", **changes}


def look(client, spa, headers=None, **changes):
    return client.get("/affected", query_string=stretch(spa, **changes), headers=headers)


def drawn(html):
    """What a browser would post of the list as it was drawn."""
    fields = dict(re.findall(r'name="(version-\d+)" value="(\d+)"', html))
    for name, options in re.findall(
        r'<select class="input" id="item-\d+" name="(item-\d+)">(.*?)</select>', html, re.S
    ):
        fields[name] = re.search(r'value="(\d*)" selected', options)[1]
    return fields


def post(client, spa, fields, headers=None, key=None, **changes):
    data = {"idempotency_key": key or uuid.uuid4(), "mark": "y", "kind": "sick", **stretch(spa), **fields, **changes}
    return client.post("/affected", data={k: v for k, v in data.items() if v is not None}, headers=headers)


@pytest.fixture
def visit(spa):
    return factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, "10:00"))


@pytest.fixture
def left(spa):
    """A visit that nobody else can take, because the other therapist has one then."""
    at = factories.tomorrow_at(spa.branch, "15:00")
    factories.make_booking(spa, ItemRequest(spa.facial, spa.therapists[1], spa.rooms[1]), starts_at=at)
    return factories.make_booking(spa, starts_at=at)


def staff_of(booking):
    return rows("SELECT staff_id FROM booking_items WHERE booking_id = :id", id=booking)[0][0]


def test_the_desk_hands_a_day_over_and_sees_what_is_left(desk, spa, visit, left):
    page = look(desk, spa)
    assert page.status_code == 200
    assert "1 of 2 visits can be taken over" in page.text
    assert all(word in page.text for word in ("Hồng is absent", "Lê Thị Mai", "tel:+849", "Nobody is free then"))
    # The customer can be moved to a free time, which the form of the visit then has filled in.
    move = re.search(rf'href="(/bookings/{left}\?starts_at=[^"]+)"', page.text)[1].replace("&amp;", "&")
    assert re.search(r'<details class="booking-fold" open>\s*<summary data-key="m"', desk.get(move).text)
    assert re.search(r'id="move-starts_at"[^>]*value="([^"]+)"', desk.get(move).text)[1] in move

    answer = post(desk, spa, drawn(page.text), reason="Fever")

    assert answer.status_code == 303
    assert (staff_of(visit), staff_of(left)) == (spa.therapists[1], spa.therapists[0])
    after = desk.get(answer.location).text
    assert "Hồng: marked in the calendar. 1 visit has been taken over." in after
    assert ("Marked in the calendar" in after, 'name="mark"' in after, "Hand over" in after) == (True, False, False)
    assert "0 of 1 visits" in after
    calendar = desk.get(f"/calendar?date={tomorrow()}").text
    assert re.search(rf'id="booking-{left}".*?cal-flag--away', calendar, re.S)
    assert calendar.count('<i class="cal-flag cal-flag--away">') == 2  # the visit and the legend
    assert "Lê Thị Mai, Basic Facial, Hồng, Room 1, Confirmed, Needs another therapist" in calendar
    assert "Needs another therapist</span>" in desk.get(f"/calendar?date={tomorrow()}&view=list").text
    blocked = desk.get(f"/blocks?date={tomorrow()}").text
    assert "1 visit needs somebody else" in blocked
    link = re.search(r'href="(/affected[^"]+)"', desk.get(f"/bookings/{left}").text)[1].replace("&amp;", "&")
    assert "0 of 1 visits" in desk.get(link).text
    assert "/affected" not in desk.get(f"/bookings/{visit}").text


def test_the_desk_may_choose_otherwise_or_leave_it(desk, spa, visit):
    lan = factories.make_staff(spa.branch, [spa.facial], "Lan")
    html = look(desk, spa).text
    fields = drawn(html)
    (name,) = (one for one in fields if one.startswith("item-"))
    assert fields[name] == str(spa.therapists[1])

    assert post(desk, spa, {**fields, name: ""}, mark=None).status_code == 422
    assert post(desk, spa, {**fields, name: ""}).status_code == 303
    assert staff_of(visit) == spa.therapists[0]
    assert post(desk, spa, {**fields, name: lan}, mark=None).status_code == 303
    assert staff_of(visit) == lan
    assert len(rows("SELECT id FROM blocked_times")) == 1


def test_what_changed_meanwhile_gives_the_fresh_list(desk, spa, visit):
    fields = drawn(look(desk, spa).text)
    bookings.move(visit, starts_at=factories.tomorrow_at(spa.branch, "12:00"), actor=spa.receptionist)

    answer = post(desk, spa, fields, reason="Fever", headers=HTMX)

    assert answer.status_code == 409
    assert "Somebody else has just changed one of these visits" in answer.text
    assert ("12:00–13:00" in answer.text, 'value="Fever"' in answer.text) == (True, True)
    assert "bookings-changed" in answer.headers["HX-Trigger"]
    assert rows("SELECT id FROM blocked_times") == []
    fresh = drawn(answer.text)
    assert fresh != fields
    done = post(desk, spa, fresh, headers=HTMX)
    assert (done.status_code, "Nobody is affected" in done.text) == (200, True)
    assert "bookings-changed" in done.headers["HX-Trigger"]


def test_somebody_who_is_taken_meanwhile_is_named(desk, spa, visit):
    fields = drawn(look(desk, spa).text)
    at = factories.tomorrow_at(spa.branch, "10:30")
    factories.make_booking(spa, ItemRequest(spa.facial, spa.therapists[1]), starts_at=at)

    answer = post(desk, spa, fields)

    assert (answer.status_code, "Anh is no longer free for Lê Thị Mai." in answer.text) == (409, True)
    assert "Nobody is free then" in answer.text


def test_a_double_click_hands_over_once(desk, spa, visit):
    fields, key = drawn(look(desk, spa).text), uuid.uuid4()

    answers = [post(desk, spa, fields, key=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    assert rows("SELECT version FROM bookings") == [(2,)]
    assert len(rows("SELECT id FROM blocked_times")) == 1


def test_a_closed_room(desk, spa, visit):
    room = {"staff_id": "", "resource_id": spa.rooms[0]}
    page = look(desk, spa, **room).text
    assert all(word in page for word in ("Room 1 is closed", "Other room", "Mark closed and change rooms", "Hồng"))

    assert post(desk, spa, drawn(page), kind="closed", **room).status_code == 303

    assert rows("SELECT resource_id FROM booking_item_resources") == [(spa.rooms[1],)]
    assert rows("SELECT kind FROM blocked_times") == [("closed",)]


def test_a_visit_left_in_a_closed_room_shows(desk, spa, visit):
    room = {"staff_id": "", "resource_id": spa.rooms[0]}

    post(desk, spa, {}, kind="maintenance", **room)

    for by in ("room", "therapist"):
        assert "Confirmed, Needs another room" in desk.get(f"/calendar?date={tomorrow()}&by={by}").text
    assert "Room 1 is closed then" in desk.get(f"/bookings/{visit}").text


def test_nobody_is_affected(desk, spa):
    page = look(desk, spa).text

    assert ("Nobody is affected" in page, "Mark absent" in page) == (True, True)
    assert post(desk, spa, {}).status_code == 303
    assert "Marked in the calendar" in look(desk, spa).text


def test_the_customers_wish_is_told(desk, spa, visit):
    with atomic() as session:
        session.get_one(Customer, spa.customer).preferred_staff_id = spa.therapists[0]
    assert "Wishes for Hồng" in look(desk, spa).text
    with atomic() as session:
        session.get_one(Customer, spa.customer).preferred_staff_id = spa.therapists[1]
    assert "Anh · whom the customer wishes for" in look(desk, spa).text


def test_a_visit_in_the_way_of_a_block_leads_here(desk, spa, visit):
    form = {"what": f"staff-{spa.therapists[0]}", "kind": "leave", "starts_at": f"{tomorrow()}T08:00"}
    answer = desk.post(
        "/blocks", data={"idempotency_key": uuid.uuid4(), **form, "ends_at": f"{tomorrow()}T12:00", "reason": ""}
    )

    assert answer.status_code == 409
    link = re.search(r'href="(/affected[^"]+)"', answer.text)[1].replace("&amp;", "&")
    assert "1 of 1 visits" in desk.get(link).text


def test_the_times_of_a_day_are_filled_in(desk, spa, visit):
    today, page = clock.today(TIMEZONE), look(desk, spa, **{"from": None, "to": None, "date": tomorrow().isoformat()})
    assert f'value="{tomorrow()}T00:00"' in page.text
    assert f'value="{tomorrow() + dt.timedelta(days=1)}T00:00"' in page.text
    now = desk.get(f"/affected?staff_id={spa.therapists[0]}").text
    found = re.search(r'id="starts_at"[^>]*value="([^"]+)"', now) or re.search(r'name="from"[^>]*value="([^"]+)"', now)
    assert found[1] > f"{today}T00:00"
    assert (
        f'href="/affected?staff_id={spa.therapists[0]}&amp;date={tomorrow()}"'
        in desk.get(f"/calendar?date={tomorrow()}").text
    )
    loads = desk.get(f"/calendar?date={tomorrow()}&new=absence&staff_id={spa.therapists[0]}").text
    assert f'hx-get="/affected?staff_id={spa.therapists[0]}&amp;date={tomorrow()}"' in loads


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"staff_id": ""}, 422, "Choose a therapist or a room."),
        ({"resource_id": 1}, 422, "Choose a therapist or a room."),
        ({"staff_id": "x"}, 422, "Not a valid choice."),
        ({"staff_id": 4711}, 404, ""),
        ({"from": "x"}, 422, "Not a valid date and time."),
        ({"to": f"{tomorrow()}T07:00"}, 422, "The end must come after the beginning."),
        ({"to": "2199-01-01T00:00"}, 422, "Block a year at most"),
    ],
)
def test_what_cannot_be_is_refused(desk, spa, visit, changes, status, says):
    seen = look(desk, spa, **changes)
    assert (seen.status_code, says in seen.text) == (status, True)

    answer = post(desk, spa, {}, **changes)

    assert (answer.status_code, says in answer.text) == (status, True)
    assert rows("SELECT id FROM blocked_times") == []


@pytest.mark.parametrize("fields", [{"item-1": "x"}, {"item-1": "1"}, {"item-1": "1", "version-1": "-1"}])
def test_a_choice_that_cannot_be_read_is_refused(desk, spa, visit, fields):
    answer = post(desk, spa, fields)

    assert (answer.status_code, "Not a valid choice." in answer.text) == (422, True)
    assert (staff_of(visit), rows("SELECT id FROM blocked_times")) == (spa.therapists[0], [])


def test_it_is_the_desks_of_that_branch(client, desk, spa, visit):
    login(client, "reception7")
    assert look(client, spa).status_code == 404
    assert post(client, spa, {}).status_code == 404
    login(client, "therapist")
    assert (look(client, spa).status_code, post(client, spa, {}).status_code) == (403, 403)
    assert "/affected" not in client.get(f"/calendar?date={tomorrow()}").text
    assert rows("SELECT id FROM blocked_times") == []
    db.session.rollback()
