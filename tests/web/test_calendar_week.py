"""/calendar?view=week: seven days of one therapist, who may see whose, and when a poll has news."""

import datetime as dt
import re
from html import unescape

import pytest
import time_machine
from sqlalchemy import event

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import BlockedTime, BranchException, Staff, StaffShift
from spa_app.queries.week import get_week_revision, monday_of
from spa_app.services import bookings
from spa_app.services.actor import SYSTEM
from spa_app.services.bookings import ItemRequest
from spa_app.services.transaction import atomic
from tests.factories import (
    TIMEZONE,
    login,
    make_booking,
    make_branch,
    make_customer,
    make_staff,
    make_user,
)

HTMX = {"HX-Request": "true"}


def monday() -> dt.date:
    """Of next week, so that none of its days is today."""
    return monday_of(clock.today(TIMEZONE)) + dt.timedelta(weeks=1)


def at(spa, day: int, time: str) -> dt.datetime:
    return clock.at_local(monday() + dt.timedelta(days=day), dt.time.fromisoformat(time), TIMEZONE)


def address(spa, *, staff: int | None = None, path: str = "/calendar", date: dt.date | None = None, **further) -> str:
    staff_id = spa.therapists[0] if staff is None else staff
    query = {"view": "week", "staff_id": staff_id, "date": (date or monday()).isoformat(), **further}
    return path + "?" + "&".join(f"{name}={value}" for name, value in query.items())


def columns(html: str) -> dict[str, str]:
    """What each day's column holds, by its name."""
    parts = re.split(r'role="row" aria-label="(.*?)"', html)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def blocks(html: str) -> list[list[str]]:
    """The ids of the visits in each column."""
    return [re.findall(r'id="(booking-[\d-]+)" data-status', one) for one in columns(html).values()]


def words(day: int) -> str:
    return (monday() + dt.timedelta(days=day)).strftime("%a %-d %b")


def second(spa) -> ItemRequest:
    return ItemRequest(spa.facial, spa.therapists[1], spa.rooms[1])


def test_each_day_has_its_column_with_that_therapists_visits(desk, spa):
    one = make_booking(spa, starts_at=at(spa, 1, "10:00"))
    other = make_booking(spa, starts_at=at(spa, 6, "20:00"))
    make_booking(spa, second(spa), starts_at=at(spa, 1, "10:00"))
    make_booking(spa, starts_at=at(spa, 7, "10:00"))

    html = desk.get(address(spa, date=monday() + dt.timedelta(days=3))).text

    assert list(columns(html)) == [words(day) for day in range(7)]
    assert blocks(html) == [[], [f"booking-{one}"], [], [], [], [], [f"booking-{other}"]]
    assert f'aria-label="{words(1)}, 10:00–11:00, Lê Thị Mai, Basic Facial, Hồng, Room 1, Confirmed' in html
    assert re.findall(r'class="(cal-visit r[^"]*)"', html) == ["cal-visit r24 s12 a2", "cal-visit r144 s12 a2"]


def test_a_free_time_books_that_therapist_on_that_day(desk, spa):
    html = columns(desk.get(address(spa)).text)

    tuesday = monday() + dt.timedelta(days=1)
    url = f"/bookings/new?staff_id={spa.therapists[0]}&amp;starts_at={tuesday.isoformat()}T09:15"
    assert f'href="{url}" aria-label="09:15, {words(1)}, free"' in html[words(1)]
    ids = re.findall(r' id="([^"]+)"', desk.get(address(spa)).text)
    assert len(ids) == len(set(ids))


def test_closed_days_special_hours_shifts_and_leave(desk, spa):
    days = [monday() + dt.timedelta(days=day) for day in range(7)]
    with atomic() as session:
        session.add(BranchException(branch_id=spa.branch, happens_on=days[0], reason="Tết"))
        session.add(
            BranchException(
                branch_id=spa.branch,
                happens_on=days[1],
                opens_at=dt.time(10),
                closes_at=dt.time(12),
                reason="Fire drill",
            )
        )
        session.add(StaffShift(staff_id=spa.therapists[0], works_on=days[2], starts_at=dt.time(8), ends_at=dt.time(12)))
        session.add(
            BlockedTime(
                staff_id=spa.therapists[0],
                kind="leave",
                reason="wedding",
                starts_at=at(spa, 3, "00:00"),
                ends_at=at(spa, 5, "00:00"),
            )
        )

    html = columns(desk.get(address(spa)).text)

    said = [unescape(re.search(r'cal-head__name"[^>]* title="(.*?)"', one)[1]) for one in html.values()]
    assert said[0].endswith(": Closed, Tết")
    assert said[1].endswith(": Fire drill")
    assert [re.findall(r'class="cal-closed (.*?)"', one) for one in list(html.values())[:3]] == [
        ["r0 s156"],
        ["r0 s24", "r48 s108"],
        [],
    ]
    # From eight to twelve on Wednesday; no other day of a week with shifts.
    assert re.findall(r'class="cal-off (.*?)"', html[words(2)]) == ["r48 s108"]
    assert re.findall(r'class="cal-off (.*?)"', html[words(5)]) == ["r0 s156"]
    for day in (3, 4):
        assert f'aria-label="00:00–00:00, {words(day)}, Leave: wedding"' in html[words(day)]
    assert "free" not in html[words(3)]
    assert "free" in html[words(2)]


def test_the_present_is_marked_on_its_own_day_only(desk, spa):
    today = clock.today(TIMEZONE)

    html = desk.get(address(spa, date=today)).text

    marked = [name for name, one in columns(html).items() if "cal-now" in one]
    assert marked == [today.strftime("%a %-d %b")]
    assert html.count('id="calendar-now"') == 1
    assert html.count('aria-current="date"') == 2  # the day's heading, and "Today"
    assert "cal-now" not in desk.get(address(spa)).text


def test_headings_lead_from_day_to_week_and_back(desk, spa):
    day = desk.get(f"/calendar?date={monday().isoformat()}").text
    links = [unescape(url) for url in re.findall(r'<a class="cal-head__name" href="(.*?)"', day)]
    assert links == [
        f"/calendar?date={monday().isoformat()}&view=week&by=therapist&staff_id={one}" for one in spa.therapists
    ]

    week = desk.get(links[1]).text
    assert f'<option value="{spa.therapists[1]}" selected>Anh</option>' in week
    assert [unescape(url) for url in re.findall(r'<a class="cal-head__name" href="(.*?)"', week)] == [
        f"/calendar?date={(monday() + dt.timedelta(days=day)).isoformat()}&view=day&by=therapist" for day in range(7)
    ]
    back, today, on = (
        unescape(re.search(rf'href="([^"]*)"[^>]* data-key="{re.escape(key)}"', week)[1]) for key in "[t]"
    )
    assert (
        back == f"/calendar?date={monday() - dt.timedelta(weeks=1)}&view=week&by=therapist&staff_id={spa.therapists[1]}"
    )
    assert f"date={clock.today(TIMEZONE)}" in today
    assert f"date={monday() + dt.timedelta(weeks=1)}" in on
    assert 'class="cal-head__name" href' not in desk.get("/calendar?by=room").text


def test_the_first_therapist_is_shown_unless_one_is_named(desk, spa):
    html = desk.get("/calendar?view=week").text

    assert f'<option value="{spa.therapists[0]}" selected>' in html
    assert f'data-url="/calendar?date={clock.today(TIMEZONE)}&amp;view=week&amp;by=therapist&amp;staff_id=' in html


@pytest.mark.parametrize("path", ["/calendar", "/calendar/grid"])
@pytest.mark.parametrize("named", ["999999", "x", "-1", "²", "99999999999999999999"])
def test_whom_the_branch_does_not_know_is_not_there(desk, spa, path, named):
    assert desk.get(f"{path}?view=week&staff_id={named}").status_code == 404
    assert desk.get(f"{path}?view=week&staff_id={spa.other_therapist}").status_code == 404


def test_who_has_left_or_helps_out_has_a_week_too(desk, spa):
    booking = make_booking(spa, starts_at=at(spa, 2, "10:00"))
    with atomic() as session:
        session.get_one(Staff, spa.therapists[0]).is_active = False
    assert blocks(desk.get(address(spa)).text)[2] == [f"booking-{booking}"]

    guest = make_staff(spa.branch, [spa.facial], "Thu")
    visit = make_booking(spa, ItemRequest(spa.facial, guest), starts_at=at(spa, 2, "12:00"))
    with atomic() as session:
        session.get_one(Staff, guest).branch_id = spa.other_branch
    assert blocks(desk.get(address(spa, staff=guest)).text)[2] == [f"booking-{visit}"]


def test_a_therapist_sees_their_own_week_whoever_is_asked_for(client, spa):
    own = make_booking(spa, starts_at=at(spa, 2, "10:00"))
    make_booking(spa, second(spa), starts_at=at(spa, 2, "10:00"))
    login(client, "therapist")

    for query in (address(spa), address(spa, staff=spa.therapists[1]), f"/calendar?view=week&date={monday()}"):
        html = client.get(query).text
        assert blocks(html)[2] == [f"booking-{own}"]
        assert "/bookings/new" not in html
        assert "Anh" not in html
        assert 'name="staff_id"' not in html


def test_a_therapists_login_without_a_therapist_sees_nobody(client, spa):
    with atomic() as session:
        session.connection().exec_driver_sql("UPDATE users SET staff_id = NULL WHERE username = 'therapist'")
    login(client, "therapist")

    answer = client.get("/calendar?view=week")

    assert (answer.status_code, "Nobody to show here" in answer.text) == (200, True)


def test_a_visit_of_two_services_shows_what_is_this_therapists(desk, spa):
    booking = make_booking(
        spa,
        ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]),
        ItemRequest(spa.massage, spa.therapists[1], spa.rooms[1]),
        ItemRequest(spa.consultation, spa.therapists[0]),
        starts_at=at(spa, 0, "10:00"),
    )

    assert blocks(desk.get(address(spa)).text)[0] == [f"booking-{booking}", f"booking-{booking}-2"]


def test_the_panel_of_the_week_keeps_whose_it_is(desk, spa):
    booking = make_booking(spa, starts_at=at(spa, 0, "10:00"))
    shown = f"http://localhost{address(spa)}&new=1&starts_at=2030-01-01T10:00"

    panel = desk.get(f"/bookings/{booking}", headers={**HTMX, "HX-Target": "panel", "HX-Current-URL": shown}).text

    close = unescape(re.search(r'href="([^"]*)"[^>]* data-panel-close', panel)[1])
    assert close == address(spa)


CHANGES = {
    "booked": lambda spa, booking: make_booking(spa, starts_at=at(spa, 6, "14:00")),
    "moved": lambda spa, booking: bookings.move(booking, starts_at=at(spa, 3, "12:00"), actor=SYSTEM),
    "another therapist": lambda spa, booking: bookings.move(
        booking, starts_at=at(spa, 0, "10:00"), staff_id=spa.therapists[1], actor=SYSTEM
    ),
    "special hours": lambda spa, booking: _add(
        BranchException(branch_id=spa.branch, happens_on=monday() + dt.timedelta(days=6), reason="Tết")
    ),
    "shift": lambda spa, booking: _add(
        StaffShift(
            staff_id=spa.therapists[0],
            works_on=monday() + dt.timedelta(days=6),
            starts_at=dt.time(8),
            ends_at=dt.time(12),
        )
    ),
    "leave": lambda spa, booking: _add(
        BlockedTime(
            staff_id=spa.therapists[0], kind="leave", starts_at=at(spa, 6, "08:00"), ends_at=at(spa, 6, "12:00")
        )
    ),
}


def _add(row: object) -> None:
    with atomic() as session:
        session.add(row)


@pytest.mark.parametrize("change", CHANGES)
def test_a_poll_tells_of_each_change_of_the_week_and_else_of_nothing(desk, spa, change):
    booking = make_booking(spa, starts_at=at(spa, 0, "10:00"))
    page = desk.get(address(spa)).text
    revision = re.search(r'name="revision" id="calendar-revision" value="(\w+)"', page)[1]
    poll = unescape(re.search(r'id="calendar-poll"[^>]* hx-get="(.*?)"', page)[1]) + f"&revision={revision}"

    unchanged = desk.get(poll, headers=HTMX)
    CHANGES[change](spa, booking)
    changed = desk.get(poll, headers=HTMX)

    assert (unchanged.status_code, unchanged.data) == (204, b"")
    assert changed.status_code == 200
    assert "<html" not in changed.text
    assert f'value="{revision}"' not in changed.text
    assert 'id="calendar-summary" hx-swap-oob="true"' in changed.text


def _revision(spa) -> str:
    db.session.rollback()
    return get_week_revision(spa.branch, monday(), spa.therapists[0], timezone=TIMEZONE)


def test_another_weeks_and_another_therapists_visits_are_no_news(spa):
    make_booking(spa, starts_at=at(spa, 0, "10:00"))
    before = _revision(spa)

    make_booking(spa, customer_id=make_customer(), starts_at=at(spa, 7, "10:00"))
    make_booking(spa, customer_id=make_customer(), starts_at=at(spa, -1, "10:00"))
    make_booking(spa, second(spa), customer_id=make_customer(), starts_at=at(spa, 0, "10:00"))

    assert _revision(spa) == before


def _statements(work) -> list[str]:
    seen: list[str] = []

    def note(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return [one for one in seen if one.lstrip().upper().startswith("SELECT")]


def test_a_full_week_takes_as_many_statements_as_an_empty_one(desk, spa):
    counts = [len(_statements(lambda: desk.get(address(spa))))]
    for day in range(7):
        for hour in (8, 10, 12, 14, 16):
            make_booking(
                spa,
                ItemRequest(spa.consultation, spa.therapists[0]),
                customer_id=make_customer(),
                starts_at=at(spa, day, f"{hour:02}:00"),
            )
    counts.append(len(_statements(lambda: desk.get(address(spa)))))

    # Who is logged in; then hours, therapists, revision, rosters and visits.
    assert counts == [6, 6]


def test_a_poll_without_news_reads_the_revision_once(desk, spa):
    make_booking(spa, starts_at=at(spa, 0, "10:00"))
    poll = address(spa, path="/calendar/grid", revision=_revision(spa))
    db.session.rollback()

    answers: list[int] = []
    counts = [len(_statements(lambda: answers.append(desk.get(poll, headers=HTMX).status_code))) for _ in range(5)]

    assert answers == [204] * 5
    # Who is logged in; then the revision. Neither once that was answered in this very state of the database.
    assert set(counts) <= {0, 1, 2}
    assert 0 in counts


@pytest.mark.parametrize(
    ("date", "hours", "labels"),
    [
        ("2027-03-28", 23, ["00:00", "01:00", "02:00", "03:00", "04:00"]),
        ("2027-10-31", 25, ["00:00", "01:00", "02:00", "02:00", "03:00"]),
    ],
)
def test_the_week_in_which_the_clocks_change(client, spa, date, hours, labels):
    sunday = dt.date.fromisoformat(date)
    with time_machine.travel(dt.datetime.combine(sunday, dt.time(6), dt.UTC) - dt.timedelta(days=10), tick=False):
        branch = make_branch(timezone="Europe/Berlin", opens="00:00", closes="23:00")
        staff = make_staff(branch, [spa.consultation], "Uwe")
        make_user("manager", [branch], username="berlin")
        ids = []
        for day in range(7):
            date = sunday - dt.timedelta(days=6 - day)
            ids.append(
                bookings.book(
                    customer_id=spa.customer,
                    branch_id=branch,
                    starts_at=clock.at_local(date, dt.time(10), "Europe/Berlin"),
                    items=[ItemRequest(spa.consultation, staff)],
                    actor=SYSTEM,
                )
            )
        login(client, "berlin")
        html = client.get(f"/calendar?view=week&date={sunday}").text

    assert blocks(html) == [[f"booking-{one}"] for one in ids]
    # Ten o'clock is at one height on all days.
    assert len(set(re.findall(r'class="cal-visit (r\d+ s\d+)', html))) == 1
    assert re.findall(r'class="cal-hour r\d+ s12">(.*?)<', html)[:5] == labels
    names = list(columns(html))
    assert f"{hours} hours: the clocks change" in columns(html)[names[-1]]
    assert all("the clocks change" not in columns(html)[name] for name in names[:-1])
    offered = {name: re.findall(r'aria-label="(\d\d:\d\d), [^"]*, free"', columns(html)[name]) for name in names}
    assert [offered[names[0]].count("02:30"), offered[names[-1]].count("02:30")] == [1, 0 if hours == 23 else 2]
