"""The day sheet: who stands on it with what, who may see which, and that it stays cheap."""

import pytest
from sqlalchemy import event

from spa_app.extensions import db
from spa_app.models import Booking, Customer
from spa_app.services import bookings
from spa_app.services.actor import SYSTEM
from spa_app.services.availability import Span
from spa_app.services.bookings import ItemRequest, Mark
from spa_app.services.scheduling_facts import Absence
from tests.factories import (
    local_at,
    login,
    make_booking,
    make_card,
    make_customer,
    make_user,
    tomorrow_at,
)
from tests.services.checks import rows
from tests.web.visits import get, text_of


def _sheet(client, spa, **query):
    day = tomorrow_at(spa.branch, "12:00").date().isoformat()
    return client.get("/calendar/sheet", query_string={"date": day, **query})


def _part(answer, staff):
    start = answer.text.index(f'id="sheet-{staff}"')
    return answer.text[start : answer.text.index("</tbody>", start)]


@pytest.fixture
def day(spa):
    """Hồng: a prepaid facial at 10:00 and, before it, a tentative one; Anh: one that is cancelled."""
    mai = get(Customer, spa.customer)
    mai.phone, mai.allergies = "+84987654321", "Lavender"
    db.session.commit()
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=10)
    hong, anh = spa.therapists
    booking = bookings.book(
        customer_id=spa.customer,
        branch_id=spa.branch,
        starts_at=tomorrow_at(spa.branch, "10:00"),
        items=[ItemRequest(spa.facial, hong, spa.rooms[1], card)],
        note="quiet <b>room</b>",
        actor=SYSTEM,
    )
    make_booking(
        spa,
        ItemRequest(spa.consultation, hong),
        starts_at=tomorrow_at(spa.branch, "09:00"),
        status="pending",
        customer_id=make_customer("Trần An"),
    )
    gone = make_booking(
        spa,
        ItemRequest(spa.consultation, anh),
        starts_at=tomorrow_at(spa.branch, "15:00"),
        customer_id=make_customer("Võ Ba"),
    )
    bookings.cancel(gone, reason="ill", actor=SYSTEM)
    return booking


def test_it_says_what_the_desk_needs_in_the_order_of_time(desk, spa, day):
    answer = _sheet(desk, spa)
    assert answer.status_code == 200
    part = _part(answer, spa.therapists[0])
    for words in ("10:00–11:00", "Lê Thị Mai", "0987 654 321", "Basic Facial", "Room 2", "Allergy: Lavender"):
        assert words in part
    assert "quiet &lt;b&gt;room&lt;/b&gt;" in part
    assert "9 left, 1 reserved" in part
    assert "Trần An</b> (Tentative)" in part
    assert part.index("09:00") < part.index("10:00")
    assert "2 visits" in part


def test_who_has_nothing_has_lines_to_write_and_what_is_given_up_is_not_on_it(desk, spa, day):
    answer = _sheet(desk, spa)
    part = _part(answer, spa.therapists[1])
    assert "No visits on this day" in part
    assert part.count('class="sheet__blank"') == 2
    assert "Võ Ba" not in answer.text


def test_a_service_cancelled_alone_is_not_on_it(desk, spa, day):
    hong, anh = spa.therapists
    at = tomorrow_at(spa.branch, "17:00")
    both = make_booking(spa, ItemRequest(spa.facial, hong), ItemRequest(spa.consultation, anh), starts_at=at)
    assert "Consultation" in _part(_sheet(desk, spa), anh)
    last = rows("SELECT max(id) FROM booking_items WHERE booking_id = :id", id=both)[0][0]
    bookings.cancel_item(both, last, version=get(Booking, both).version, actor=SYSTEM)
    sheet = _sheet(desk, spa)
    assert "Consultation" not in _part(sheet, anh)
    assert "17:00–18:00" in _part(sheet, hong)


def test_it_says_who_needs_another_therapist_or_room(desk, spa, day):
    words = ("Needs another therapist", "Needs another room")
    assert not any(word in _sheet(desk, spa).text for word in words)
    at = tomorrow_at(spa.branch, "09:30"), tomorrow_at(spa.branch, "12:00")  # when that of 09:00 is over
    for number, owner in enumerate(({"staff_id": spa.therapists[0]}, {"resource_id": spa.rooms[1]})):
        mark = Mark(("sick", "blocked")[number], "why")
        bookings.apply_substitutes(Absence(Span(*at), **owner), [], mark=mark, actor=SYSTEM)
        text = _part(_sheet(desk, spa), spa.therapists[0])
        early, late = text[: text.index("10:00–11:00")], text[text.index("10:00–11:00") :]
        assert [word in late for word in words] == [True, number == 1]
        assert not any(word in early for word in words)


def test_the_head_names_branch_date_and_moment_and_stands_in_the_tables_head(desk, spa):
    answer = _sheet(desk, spa, date="2027-03-01")
    head = answer.text[answer.text.index("<thead>") : answer.text.index("</thead>")]
    assert "Spa Q1" in head
    assert "Monday, March 1, 2027" in head
    assert "Printed " in head


def test_a_completed_visit_is_ticked(desk, spa):
    make_booking(spa, status="completed")
    today = local_at(spa.branch, "12:00").date().isoformat()
    assert "sheet__box--done" in _sheet(desk, spa, date=today).text
    assert "sheet__box--done" not in _sheet(desk, spa).text


def test_a_therapist_sees_their_own_day_without_phones(client, spa, day):
    login(client, "therapist")
    answer = _sheet(client, spa)
    assert "Lê Thị Mai" in _part(answer, spa.therapists[0])
    assert f'id="sheet-{spa.therapists[1]}"' not in answer.text
    assert "0987" not in answer.text
    assert "Phone" not in text_of(answer)

    make_user("therapist", [spa.branch], username="nobody")
    login(client, "nobody")
    assert "Mai" not in _sheet(client, spa).text


def test_another_branch_and_a_date_that_is_none(desk, spa):
    assert _sheet(desk, spa, branch=spa.other_branch).status_code == 404
    assert _sheet(desk, spa, branch="x").status_code == 404
    assert _sheet(desk, spa, date="2026-02-30").status_code == 422


def test_another_branch_of_the_owner(client, spa, day):
    login(client, "owner")
    answer = _sheet(client, spa, branch=spa.other_branch)
    assert "Spa Q7" in answer.text
    assert "Lê Thị Mai" not in answer.text
    assert f"branch={spa.other_branch}" in answer.text


def test_the_calendar_leads_to_it(desk, spa):
    assert 'href="/calendar/sheet?date=2027-03-01"' in desk.get("/calendar?date=2027-03-01").text


def test_a_full_day_takes_as_many_statements_as_an_empty_one(desk, spa):
    statements: list[str] = []

    def note(*args):
        statements.append(args[2])

    counts = []
    for times in ((), ("08:00", "10:00", "12:00", "14:00", "16:00")):
        for time in times:
            for therapist in spa.therapists:
                make_booking(spa, ItemRequest(spa.facial, therapist), starts_at=tomorrow_at(spa.branch, time))
        statements.clear()
        event.listen(db.engine, "before_cursor_execute", note)
        assert _sheet(desk, spa).status_code == 200
        event.remove(db.engine, "before_cursor_execute", note)
        counts.append(len(statements))
    # Who is logged in; then the team, and the visits.
    assert counts[0] == counts[1] <= 4
