"""A week of work: planned apart, published as a whole, copied, and what it does to what can be booked."""

import datetime as dt

import pytest

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotAllowedError, NotFoundError
from spa_app.extensions import db
from spa_app.queries import rosters as queries
from spa_app.services import blocks, bookings, rosters
from spa_app.services.actor import SYSTEM
from spa_app.services.rosters import Cell
from spa_app.services.scheduling import find_slots
from spa_app.services.scheduling_needs import Wish
from tests import factories
from tests.factories import TIMEZONE
from tests.services.checks import rows

WEEK = dt.timedelta(days=7)


@pytest.fixture(autouse=True)
def _context(app):
    with app.app_context():
        yield


def next_monday() -> dt.date:
    today = clock.today(TIMEZONE)
    return today - dt.timedelta(days=today.weekday()) + WEEK


def times(*periods: str) -> list[tuple[dt.time, dt.time]]:
    return [tuple(dt.time.fromisoformat(one) for one in period.split("-")) for period in periods]


def plan(spa, *days, staff=0, periods=("08:00-15:00",), monday=None, actor=None, seen=None):
    cells = [Cell(spa.therapists[staff], day, seen) for day in days]
    return rosters.plan_cells(
        branch_id=spa.branch,
        monday=monday or next_monday(),
        cells=cells,
        periods=times(*periods),
        actor=actor or spa.manager,
    )


def publish(spa, monday=None, seen=None):
    rosters.publish_week(branch_id=spa.branch, monday=monday or next_monday(), actor=spa.manager, seen=seen)


def week(spa, monday=None):
    db.session.rollback()
    return queries.get_week(spa.branch, monday or next_monday())


def slots(spa, date, staff=None, time="08:00"):
    found = find_slots(
        [Wish(spa.consultation, staff)],
        branch_id=spa.branch,
        since=clock.at_local(date, dt.time.fromisoformat(time), TIMEZONE),
        limit=1,
    )
    return [(one.starts_at.astimezone(dt.UTC), one.staff_id) for one in found]


def at(date, time):
    return clock.at_local(date, dt.time.fromisoformat(time), TIMEZONE)


def test_a_draft_is_not_seen_by_what_is_offered_until_it_is_published(spa):
    monday = next_monday()
    plan(spa, 0, periods=("12:00-20:00",))
    assert slots(spa, monday) == [(at(monday, "08:00"), spa.therapists[0])]  # both work whenever it is open

    publish(spa)

    assert slots(spa, monday) == [(at(monday, "12:00"), spa.therapists[0])]
    # The other one has no shift in a published week: off, all week long.
    assert slots(spa, monday, spa.therapists[1]) == [(at(monday + WEEK, "08:00"), spa.therapists[1])]
    assert week(spa).draft is None
    ((before, after),) = rows("SELECT before, after FROM audit_log WHERE action = 'roster_published'")
    assert before == {"published": False, "shifts": {}}
    assert after["shifts"] == {f"{spa.therapists[0]}/0": [["12:00", "20:00"]]}


def test_what_counts_stays_while_a_published_week_is_planned_anew(spa):
    monday = next_monday()
    plan(spa, 0, 1)
    publish(spa)
    plan(spa, 0, periods=())
    plan(spa, 1, periods=("09:00-12:00", "14:00-18:00"))

    now = week(spa)
    first = spa.therapists[0]
    assert now.published == {(first, day): tuple(times("08:00-15:00")) for day in (0, 1)}
    assert now.draft == {(first, 1): tuple(times("09:00-12:00", "14:00-18:00"))}
    assert now.changes() == [(first, 0), (first, 1)]
    assert slots(spa, monday)[0][0] == at(monday, "08:00")

    rosters.discard_draft(branch_id=spa.branch, monday=monday, actor=spa.manager)
    assert week(spa).draft is None
    assert week(spa).published == now.published


def test_a_week_taken_back_becomes_a_draft_and_is_open_again(spa):
    monday = next_monday()
    plan(spa, 2)
    publish(spa)
    assert slots(spa, monday)[0][0] == at(monday + dt.timedelta(days=2), "08:00")

    rosters.unpublish_week(branch_id=spa.branch, monday=monday, actor=spa.manager)

    assert slots(spa, monday)[0][0] == at(monday, "08:00")
    assert week(spa).draft == {(spa.therapists[0], 2): tuple(times("08:00-15:00"))}
    with pytest.raises(ConflictError) as refused:
        rosters.unpublish_week(branch_id=spa.branch, monday=monday, actor=spa.manager)
    assert refused.value.code == "not_published"


def test_shifts_from_before_there_were_rosters_count_as_published(spa):
    first, second = spa.therapists
    rosters.set_shifts(staff_id=first, works_on=next_monday(), periods=times("10:00-12:00"), actor=SYSTEM)
    before = week(spa)
    assert (before.id, before.draft, before.is_published) == (None, None, False)
    assert queries.bound_staff(before, spa.therapists) == [first]  # the second still works whenever it is open

    plan(spa, 1, staff=1)

    assert week(spa).draft == {
        (first, 0): tuple(times("10:00-12:00")),
        (second, 1): tuple(times("08:00-15:00")),
    }


@pytest.mark.parametrize("only_empty", [False, True])
def test_copying_follows_its_rule(spa, only_empty):
    monday, first, second = next_monday(), *spa.therapists
    plan(spa, 0, 1, 2)
    publish(spa)
    plan(spa, 3, 4, staff=1, periods=("12:00-20:00",))  # a draft in the source is what its editors see: it counts
    target = monday + WEEK
    plan(spa, 0, monday=target, periods=("09:00-10:00",))
    plan(spa, 6, monday=target, periods=("09:00-10:00",))
    rosters.set_exception(branch_id=spa.branch, happens_on=target + dt.timedelta(days=1), periods=[], actor=SYSTEM)
    away = at(target + dt.timedelta(days=3), "00:00"), at(target + dt.timedelta(days=4), "00:00")
    blocks.block_time(staff_id=second, starts_at=away[0], ends_at=away[1], kind="leave", actor=SYSTEM)

    copied, left_out = rosters.copy_week(
        branch_id=spa.branch, monday=target, source=monday, only_empty=only_empty, actor=spa.manager
    )

    early, late = tuple(times("08:00-15:00")), tuple(times("12:00-20:00"))
    own = tuple(times("09:00-10:00"))
    expected = {(first, 2): early, (second, 4): late}
    expected |= {(first, 0): own, (first, 6): own} if only_empty else {(first, 0): early}
    assert week(spa, target).draft == expected
    assert (copied, left_out) == ((2, 2) if only_empty else (3, 2))
    assert rows("SELECT count(*) FROM blocked_times") == [(1,)]  # leave is neither copied nor touched


@pytest.mark.parametrize(("source", "code"), [(0, "same_week"), (3, "source_empty")])
def test_there_must_be_something_to_copy(spa, source, code):
    with pytest.raises(InvalidError) as refused:
        rosters.copy_week(
            branch_id=spa.branch,
            monday=next_monday(),
            source=next_monday() + source * WEEK,
            only_empty=False,
            actor=spa.manager,
        )
    assert (refused.value.code, refused.value.field) == (code, "source")
    assert week(spa).id is None


def test_the_second_of_two_managers_sees_the_first_ones_cell(spa):
    seen = week(spa).cell_stamp(spa.therapists[0], 0)
    plan(spa, 0, seen=seen)

    with pytest.raises(ConflictError) as refused:
        plan(spa, 0, periods=("12:00-20:00",), seen=seen)
    assert refused.value.code == "changed_meanwhile"
    plan(spa, 0, seen=seen)  # the same wish as the first one's is no conflict
    plan(spa, 1, seen=seen)  # nor is another cell

    old = week(spa).stamp
    plan(spa, 5)
    for act in (rosters.publish_week, rosters.discard_draft):
        with pytest.raises(ConflictError) as refused:
            act(branch_id=spa.branch, monday=next_monday(), actor=spa.manager, seen=old)
        assert refused.value.code == "changed_meanwhile"
    publish(spa, seen=week(spa).stamp)


def test_visits_that_publishing_leaves_off_shift_are_listed_and_stay(spa):
    monday = next_monday()
    inside, outside, across = (
        factories.make_booking(spa, starts_at=at(monday, time), customer_id=factories.make_customer())
        for time in ("09:00", "16:00", "12:00")
    )
    # Two periods that touch are one stretch of work; a visit across their seam is within it.
    plan(spa, 0, periods=("08:00-12:30", "12:30-15:00"))

    def off_shift(of):
        return [one.booking_id for one in queries.list_off_shift(of, monday, TIMEZONE, spa.therapists, clock.now())]

    assert off_shift(week(spa).planned) == [outside]
    publish(spa)
    assert off_shift(week(spa).published) == [outside]
    assert rows("SELECT count(*) FROM bookings WHERE status = 'confirmed'") == [(3,)]
    bookings.cancel(outside, reason="moved", actor=spa.manager)
    assert off_shift(week(spa).published) == []
    assert {inside, across}


def test_a_shift_over_the_change_of_clocks_is_as_long_as_it_really_is(spa):
    berlin = factories.make_branch(timezone="Europe/Berlin", opens="00:00", closes="23:00")
    sunday = dt.date(2027, 3, 28)  # at 2:00 the clocks go to 3:00
    one = factories.make_staff(berlin, [spa.consultation], "Uta")
    monday = sunday - dt.timedelta(days=6)
    rosters.plan_cells(
        branch_id=berlin, monday=monday, cells=[Cell(one, 6)], periods=times("00:00-04:00"), actor=SYSTEM
    )
    rosters.publish_week(branch_id=berlin, monday=monday, actor=SYSTEM)
    found = find_slots(
        [Wish(spa.consultation)],
        branch_id=berlin,
        since=clock.at_local(monday, dt.time(), "Europe/Berlin"),
        limit=20,
    )
    # Three hours by real time: six visits of half an hour, the last start at 3:30 summer time.
    starts = [one.starts_at for one in found if one.starts_at < dt.datetime(2027, 3, 28, 22, tzinfo=dt.UTC)]
    assert starts[0] == dt.datetime(2027, 3, 27, 23, tzinfo=dt.UTC)
    assert starts[-1] == dt.datetime(2027, 3, 28, 1, 30, tzinfo=dt.UTC)


def test_a_week_may_cross_months_and_years(spa):
    monday = dt.date(2026, 12, 28)
    plan(spa, 0, 6, monday=monday)
    publish(spa, monday)
    query = "SELECT works_on FROM staff_shifts ORDER BY works_on"
    assert rows(query) == [(dt.date(2026, 12, 28),), (dt.date(2027, 1, 3),)]
    assert week(spa, dt.date(2027, 1, 1)).published == week(spa, monday).published


def test_only_managers_of_the_branch_plan_and_only_its_therapists(spa):
    with pytest.raises(NotAllowedError):
        plan(spa, 0, actor=spa.receptionist)
    cells = [Cell(spa.other_therapist, 0)]
    with pytest.raises(NotFoundError):
        rosters.plan_cells(
            branch_id=spa.branch, monday=next_monday(), cells=cells, periods=times("08:00-12:00"), actor=spa.manager
        )
    with pytest.raises(NotFoundError):
        rosters.plan_cells(
            branch_id=spa.other_branch,
            monday=next_monday(),
            cells=cells,
            periods=times("08:00-12:00"),
            actor=spa.manager,
        )
    with pytest.raises(NotFoundError):
        plan(spa, 7)
    with pytest.raises(InvalidError):
        plan(spa, 0, monday=next_monday() + dt.timedelta(days=1))
    for periods in (("12:00-12:00",), ("08:00-12:00", "11:00-13:00")):
        with pytest.raises(InvalidError):
            plan(spa, 0, periods=periods)
    assert rows("SELECT count(*) FROM draft_shifts") == [(0,)]
