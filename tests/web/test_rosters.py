"""/roster: who sees which roster, and managers' planning as plain forms and beside the grid."""

import datetime as dt
import html
import re
import uuid

import pytest

from spa_app import clock
from spa_app.extensions import db
from spa_app.queries import rosters as queries
from spa_app.services import rosters, shift_templates
from spa_app.services.rosters import Cell
from tests import factories
from tests.factories import TIMEZONE, login
from tests.services.checks import rows


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


def next_monday() -> dt.date:
    today = clock.today(TIMEZONE)
    return today + dt.timedelta(days=7 - today.weekday())


def post(client, address, headers=None, **fields):
    data = {"idempotency_key": uuid.uuid4(), "week": next_monday().isoformat(), **fields}
    return client.post(f"/roster{address}", data=data, headers=headers)


def page(client, **query):
    answer = client.get("/roster", query_string={"week": next_monday().isoformat(), **query})
    assert answer.status_code == 200
    return answer.text


def cell(client, spa, weekday=0, staff=0):
    """What the checkbox of a cell carries now."""
    return re.search(rf'value="({spa.therapists[staff]}:{weekday}:[0-9a-f]+)"', page(client))[1]


def stamp(client):
    return re.search(r'name="seen" value="([0-9a-f]{16})"', page(client))[1]


def times(*periods):
    return [tuple(dt.time.fromisoformat(one) for one in period.split("-")) for period in periods]


def plan(app, spa, weekday=0, periods=("08:00-15:00",), publish=False):
    with app.app_context():
        about = {"branch_id": spa.branch, "monday": next_monday(), "actor": spa.manager}
        rosters.plan_cells(cells=[Cell(spa.therapists[0], weekday)], periods=times(*periods), **about)
        if publish:
            rosters.publish_week(**about)
        db.session.remove()


def shifts():
    return rows("SELECT staff_id, weekday, starts_at, ends_at FROM draft_shifts ORDER BY 1, 2, 3")


def test_a_manager_plans_a_cell_with_several_periods(manager, spa):
    answer = post(
        manager,
        "/cell",
        **{
            "cells": cell(manager, spa),
            "periods-from": ["08:00", "14:00", ""],
            "periods-to": ["12:00", "18:30", ""],
        },
    )

    assert (answer.status_code, answer.location) == (303, f"/roster?week={next_monday()}&branch={spa.branch}")
    first = spa.therapists[0]
    assert shifts() == [(first, 0, *times("08:00-12:00")[0]), (first, 0, *times("14:00-18:30")[0])]
    html = page(manager)
    assert "08–12" in html
    assert "14–18:30" in html
    assert "8.5 h" in html
    assert "Only managers see it" in html


@pytest.mark.parametrize(
    ("begins", "ends", "says"),
    [
        (["08:00"], [""], "Give both times, or neither."),
        (["25:00"], ["26:00"], "Not a valid time value."),
        (["12:00"], ["08:00"], "The end must come after the beginning."),
        (["08:00", "11:00"], ["12:00", "13:00"], "Two of these periods overlap."),
    ],
)
def test_what_cannot_be_is_refused_at_the_field(manager, spa, begins, ends, says):
    for headers in (None, {"HX-Request": "true", "HX-Target": "panel"}):
        answer = post(
            manager, "/cell", headers, **{"cells": cell(manager, spa), "periods-from": begins, "periods-to": ends}
        )
        assert answer.status_code == 422
        assert says in answer.text
        assert f'value="{begins[0]}"' in answer.text  # as typed
    assert shifts() == []


def test_the_second_manager_sees_what_the_first_one_did(app, manager, spa):
    old = cell(manager, spa)
    plan(app, spa)

    answer = post(
        manager,
        "/cell",
        {"HX-Request": "true", "HX-Target": "panel"},
        **{"cells": old, "periods-from": ["12:00"], "periods-to": ["20:00"]},
    )

    assert answer.status_code == 409
    assert "Somebody else has just changed this" in answer.text
    assert 'value="08:00"' in answer.text  # the fresh truth in the form, and the grid beside it
    assert 'hx-swap-oob="innerHTML:#roster"' in answer.text
    assert shifts() == [(spa.therapists[0], 0, *times("08:00-15:00")[0])]


def test_a_usual_shift_goes_into_several_days_at_once(app, manager, spa):
    with app.app_context():
        early = shift_templates.save_template(
            branch_id=spa.branch, name="Early", periods=times("08:00-15:00"), actor=spa.manager
        )
    chosen = [cell(manager, spa, weekday) for weekday in (0, 1, 4)]

    answer = post(manager, "/cells", {"HX-Request": "true", "HX-Target": "main"}, cells=chosen, template_id=early)

    assert answer.status_code == 200
    assert answer.text.count('class="roster__shift"') == 3
    assert [row[1] for row in shifts()] == [0, 1, 4]
    post(manager, "/cells", cells=[cell(manager, spa, 1)], off="1")
    assert [row[1] for row in shifts()] == [0, 4]
    assert post(manager, "/cells", template_id=early).status_code == 422
    assert post(manager, "/cells", cells=chosen, template_id=999).status_code == 422


def test_the_summary_names_what_changes_and_who_is_left_off_shift(app, manager, spa):
    with app.app_context():
        at = clock.at_local(next_monday(), dt.time(16), TIMEZONE)
        booking = factories.make_booking(spa, starts_at=at)
    plan(app, spa, publish=True)
    plan(app, spa, periods=("09:00-15:00",))

    html = manager.get(f"/roster/publish?week={next_monday()}").text
    assert "1 visit would lie outside the shifts" in html
    assert f"/bookings/{booking}" in html
    first = spa.therapists[0]
    monday = next_monday()
    assert f"/affected?staff_id={first}&amp;from={monday}T16:00&amp;to={monday}T17:00" in html
    assert re.search(r"<td>08–15</td><td class=\"strong\">09–15</td>", html)
    assert "not to be booked in it: Anh" in html

    answer = post(manager, "/publish", seen=stamp(manager))
    assert answer.status_code == 303
    assert "1 visit lies outside the shifts that count" in page(manager)
    assert rows("SELECT status FROM bookings") == [("confirmed",)]


def test_publishing_what_somebody_changed_meanwhile_shows_the_fresh_summary(app, manager, spa):
    plan(app, spa)
    old = stamp(manager)
    plan(app, spa, weekday=1)

    answer = post(manager, "/publish", seen=old)

    assert answer.status_code == 409
    assert "Somebody else has just changed this" in answer.text
    assert "The draft has 2 shifts." in answer.text
    assert rows("SELECT count(*) FROM staff_shifts") == [(0,)]
    assert post(manager, "/discard", seen=old).status_code == 409
    assert post(manager, "/discard", seen=stamp(manager)).status_code == 303
    assert shifts() == []


def test_the_same_publish_sent_twice_publishes_once(app, manager, spa):
    plan(app, spa)
    key, seen = uuid.uuid4(), stamp(manager)
    answers = [post(manager, "/publish", seen=seen, idempotency_key=key).status_code for _ in range(2)]
    assert answers == [303, 303]
    assert rows("SELECT count(*) FROM audit_log WHERE action = 'roster_published'") == [(1,)]
    assert post(manager, "/unpublish", seen=stamp(manager)).status_code == 303
    assert rows("SELECT count(*) FROM staff_shifts") == [(0,)]


def test_a_copied_week_says_what_was_left_out(app, manager, spa):
    plan(app, spa, publish=True)
    plan(app, spa, weekday=1)
    target = next_monday() + dt.timedelta(days=7)
    with app.app_context():
        rosters.set_exception(branch_id=spa.branch, happens_on=target, periods=[], actor=spa.manager)

    html = page(manager, week=target)
    assert re.search(rf'name="source"[^>]*value="{next_monday()}"', html)  # the week before, unless told otherwise
    seen = re.search(r'name="seen" value="([0-9a-f]{16})"', html)[1]
    answer = post(manager, "/copy", week=target, source=next_monday().isoformat(), seen=seen)
    assert answer.status_code == 303
    html = manager.get(answer.location).text
    assert "1 shift copied. 1 left out: closed or on leave." in html
    assert post(manager, "/copy", week=target, source=target.isoformat()).status_code == 422
    assert post(manager, "/copy", week=target, source="x").status_code == 422
    assert post(manager, "/copy", week=target, source=next_monday().isoformat(), seen=seen).status_code == 409


def test_the_desk_reads_what_counts_and_a_therapist_their_own_row(app, client, spa):
    plan(app, spa, publish=True)
    plan(app, spa, weekday=1, periods=("20:00-21:00",))
    login(client, "reception")
    html = page(client)
    assert "08–15" in html
    assert "20–21" not in html  # a draft
    assert "Hồng" in html
    assert "Anh" in html
    assert 'action="/roster/cells"' not in html
    assert 'name="cells"' not in html
    login(client, "therapist")
    html = page(client)
    assert "Hồng" in html
    assert "Anh" not in re.sub(r"(?s)<header.*?</header>", "", html)


def test_another_branch_is_not_there(manager, spa):
    assert manager.get(f"/roster?branch={spa.other_branch}").status_code == 404
    assert manager.get(f"/roster/cell?staff_id={spa.other_therapist}&weekday=0").status_code == 404
    assert post(manager, "/copy", branch=spa.other_branch, source="2026-01-01").status_code == 404
    foreign = f"{spa.other_therapist}:0:{'0' * 16}"
    assert post(manager, "/cell", cells=foreign, off="1").status_code == 404
    assert post(manager, "/cells", cells=[cell(manager, spa), foreign], off="1").status_code == 404
    assert shifts() == []
    assert manager.get("/roster?week=tomorrow").status_code == 422


def test_leave_is_recorded_shown_and_cancelled(manager, spa):
    monday = next_monday()
    fields = {
        "staff_id": spa.therapists[0],
        "kind": "leave",
        "first": monday.isoformat(),
        "last": (monday + dt.timedelta(days=1)).isoformat(),
        "reason": "Wedding",
    }
    assert post(manager, "/leave", **fields).status_code == 303
    ((block, starts_at, ends_at),) = rows("SELECT id, starts_at, ends_at FROM blocked_times")
    assert (starts_at, ends_at) == (
        clock.day_bounds(monday, TIMEZONE)[0],
        clock.day_bounds(monday + dt.timedelta(days=1), TIMEZONE)[1],
    )
    assert "Wedding" in manager.get("/roster/leave").text
    assert page(manager).count('class="roster__leave"') == 2
    assert post(manager, f"/leave/{block}/delete").status_code == 303
    assert rows("SELECT count(*) FROM blocked_times") == [(0,)]


def test_visits_in_the_way_of_leave_are_listed_and_nothing_is_recorded(app, manager, spa):
    monday = next_monday()
    with app.app_context():
        at = clock.at_local(monday, dt.time(16), TIMEZONE)
        booking = factories.make_booking(spa, starts_at=at)
    fields = {"staff_id": spa.therapists[0], "kind": "sick", "first": monday, "last": monday}

    answer = post(manager, "/leave", **fields, begins="12:00")

    assert answer.status_code == 409
    assert f"/bookings/{booking}" in answer.text
    after = monday + dt.timedelta(days=1)
    assert f"/affected?staff_id={spa.therapists[0]}&amp;from={monday}T12:00&amp;to={after}T00:00" in answer.text
    assert rows("SELECT count(*) FROM blocked_times") == [(0,)]
    # There it is recorded in one step, as what it was meant to be.
    named = post(manager, "/leave", **{**fields, "kind": "leave"}, reason="Tết & home")
    there = manager.get(html.unescape(re.search(r'href="(/affected[^"]+reason=[^"]+)"', named.text)[1])).text
    assert re.search(r'<option selected value="leave"|<option value="leave" selected|selected[^>]*value="leave"', there)
    assert 'value="Tết &amp; home"' in there
    assert post(manager, "/leave", **fields, ends="12:00").status_code == 303
    answer = post(manager, "/leave", **{**fields, "last": monday - dt.timedelta(days=3)})
    assert answer.status_code == 422
    assert "The end must come after the beginning." in answer.text
    assert post(manager, "/leave", **{**fields, "staff_id": spa.other_therapist}).status_code == 404


def test_the_calendar_shades_by_a_published_week(app, manager, spa):
    monday = next_monday()
    before = manager.get(f"/calendar?date={monday}").text
    offered = rf"staff_id={spa.therapists[1]}&amp;starts_at={monday}T10:00"
    assert re.search(offered, before)
    plan(app, spa, publish=True)
    after = manager.get(f"/calendar?date={monday}").text
    assert not re.search(offered, after)  # no shift in a published week: off
    assert re.search(rf"staff_id={spa.therapists[0]}&amp;starts_at={monday}T10:00", after)
    with app.app_context():
        assert queries.get_week(spa.branch, monday).is_published
