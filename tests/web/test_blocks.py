"""/blocks, and what the calendar and the booking form make of shifts and blocked time."""

import datetime as dt
import re
import uuid

import pytest

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch
from spa_app.queries.calendar_revision import get_revision
from spa_app.services import rosters
from tests import factories
from tests.factories import TIMEZONE, login
from tests.services.checks import rows

HTMX = {"HX-Request": "true", "HX-Target": "panel"}


def tomorrow() -> dt.date:
    return clock.today(TIMEZONE) + dt.timedelta(days=1)


def post(client, address, headers=None, **fields):
    return client.post(address, data={"idempotency_key": uuid.uuid4(), **fields}, headers=headers)


def fields(spa, **changes):
    day = tomorrow().isoformat()
    return {
        "what": f"staff-{spa.therapists[0]}",
        "kind": "break",
        "starts_at": f"{day}T12:00",
        "ends_at": f"{day}T13:00",
        "reason": "Lunch",
        **changes,
    }


def calendar(client, query=""):
    answer = client.get(f"/calendar?date={tomorrow()}{query}")
    assert answer.status_code == 200
    return answer.text


def test_the_desk_blocks_time_sees_it_and_frees_it(desk, spa):
    answer = post(desk, "/blocks", **fields(spa))

    assert (answer.status_code, answer.location) == (303, f"/blocks?date={tomorrow()}")
    (block,) = rows("SELECT id FROM blocked_times")[0]
    assert "Lunch" in desk.get(answer.location).text
    html = calendar(desk)
    assert re.search(rf'id="block-{block}"><a href="/blocks\?date={tomorrow()}"[^>]*><span>Break: Lunch<', html)
    # Nothing is offered in it, but right before and after it.
    column = re.findall(rf"staff_id={spa.therapists[0]}&amp;starts_at={tomorrow()}T(\d\d:\d\d)", html)
    assert {"11:45", "13:00"} <= set(column)
    assert not {"12:00", "12:15", "12:30", "12:45"} & set(column)
    assert "Lunch" not in calendar(desk, "&by=room")

    answer = post(desk, f"/blocks/{block}/delete", headers=HTMX)

    assert (answer.status_code, rows("SELECT id FROM blocked_times")) == (200, [])
    assert "bookings-changed" in answer.headers["HX-Trigger"]
    assert "Lunch" not in calendar(desk)


def test_a_room_is_closed_and_shows_in_its_column(desk, spa):
    post(desk, "/blocks", **fields(spa, what=f"room-{spa.rooms[1]}", kind="maintenance", reason="Pipes"))

    assert "Maintenance: Pipes" in calendar(desk, "&by=room")
    assert "Pipes" not in calendar(desk)


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"what": ""}, 422, "required"),
        ({"what": "staff-x"}, 422, "Choose a therapist or a room."),
        ({"what": "room-99999999999999999999"}, 422, "Choose a therapist or a room."),
        ({"kind": "closed"}, 422, "Choose another kind."),
        ({"kind": "x"}, 422, "Not a valid choice"),
        ({"ends_at": "12:00"}, 422, "Not a valid date and time."),
        ({"kind": "blocked", "reason": ""}, 422, "Say why, in a few words."),
        ({"what": "staff-4711"}, 404, ""),
    ],
)
def test_a_block_that_cannot_be_is_refused_at_its_field(desk, spa, changes, status, says):
    answer = post(desk, "/blocks", **fields(spa, **changes))

    assert (answer.status_code, says in answer.text) == (status, True)
    assert rows("SELECT id FROM blocked_times") == []


def test_a_visit_in_the_way_is_named(desk, spa):
    factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, "12:00"))

    answer = post(desk, "/blocks", **fields(spa))

    assert answer.status_code == 409
    assert "Lê Thị Mai is booked there" in answer.text


def test_another_branchs_block_is_not_there(client, desk, spa):
    post(desk, "/blocks", **fields(spa))
    login(client, "reception7")

    assert "Lunch" not in client.get(f"/blocks?date={tomorrow()}").text
    assert post(client, f"/blocks/{rows('SELECT id FROM blocked_times')[0][0]}/delete").status_code == 404
    assert post(client, "/blocks", **fields(spa)).status_code == 404


def test_a_therapist_sees_their_own_block_and_no_link(client, desk, spa):
    post(desk, "/blocks", **fields(spa))
    login(client, "therapist")

    html = calendar(client)

    assert "<span>Break: Lunch</span>" in html
    assert "/blocks" not in html
    assert client.get("/blocks").status_code == 403


def test_time_off_shift_is_shaded_and_not_offered(desk, spa):
    shift = [(dt.time(9), dt.time(12))]
    rosters.set_shifts(staff_id=spa.therapists[0], works_on=tomorrow(), periods=shift, actor=spa.manager)

    html = calendar(desk)

    assert html.count('class="cal-off ') == 2
    column = re.findall(rf"staff_id={spa.therapists[0]}&amp;starts_at={tomorrow()}T(\d\d:\d\d)", html)
    assert (min(column), max(column)) == ("09:00", "11:45")


def test_every_change_of_the_roster_changes_the_revision(app, spa):
    def revision():
        db.session.rollback()
        return get_revision(spa.branch, tomorrow(), timezone=TIMEZONE)

    seen = [revision()]
    rosters.set_shifts(
        staff_id=spa.therapists[0], works_on=tomorrow(), periods=[(dt.time(9), dt.time(12))], actor=spa.manager
    )
    seen.append(revision())
    rosters.set_exception(branch_id=spa.branch, happens_on=tomorrow(), periods=[], actor=spa.manager)
    seen.append(revision())
    assert len(set(seen)) == 3
    assert db.session.get_one(Branch, spa.branch).timezone == TIMEZONE


def test_the_free_times_are_those_of_the_whole_visit(desk, spa):
    at = factories.tomorrow_at(spa.branch, "11:00")
    factories.make_booking(spa, starts_at=at)
    form = {
        "customer_id": spa.customer,
        "starts_at": f"{tomorrow()}T08:00",
        "items-0-service_id": spa.massage,
        "items-0-staff_id": spa.therapists[1],
        "items-1-service_id": spa.facial,
        "items-1-staff_id": spa.therapists[0],
    }

    offered = re.findall(r'name="slot" value="([^"]+)"', post(desk, "/bookings/form", **form).text)

    # The massage alone would fit at 8:15 too; the facial after it would then run into the visit at 11.
    assert offered[0] == f"{tomorrow()}T08:00"
    assert f"{tomorrow()}T08:15" not in offered
    assert post(desk, "/bookings", **{**form, "starts_at": offered[1]}).status_code == 303


def test_a_manager_books_outside_the_hours_by_a_box_that_others_do_not_have(client, desk, spa):
    form = {"customer_id": spa.customer, "starts_at": f"{tomorrow()}T07:00", "items-0-service_id": spa.facial}
    box = 'name="override_hours"'
    assert box not in desk.get("/bookings/new").text
    answer = post(desk, "/bookings", **form)
    assert (answer.status_code, "A manager can put it outside the hours" in answer.text) == (422, True)
    assert post(desk, "/bookings", **form, override_hours="y").status_code == 403

    login(client, "manager")
    assert box in client.get("/bookings/new").text
    assert post(client, "/bookings", **form).status_code == 422
    booked = post(client, "/bookings", **form, override_hours="y")
    assert booked.status_code == 303
    moved = {"starts_at": f"{tomorrow()}T22:00"}
    assert box in client.get(booked.location).text
    assert post(client, f"{booked.location}/move", **moved).status_code == 422
    assert post(client, f"{booked.location}/move", **moved, override_hours="y").status_code == 303
    assert rows("SELECT count(*) FROM audit_log WHERE action = 'booking_hours_overridden'") == [(2,)]
