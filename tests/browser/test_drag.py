"""The calendar by mouse and finger: a drag is one interaction, and what is refused stays where it was."""

import datetime as dt
import re
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from spa_app import clock
from spa_app.services import bookings
from spa_app.services.actor import SYSTEM
from spa_app.services.bookings import ItemRequest
from spa_app.web.times import format_local
from tests.factories import (
    TIMEZONE,
    Spa,
    make_booking,
    make_branch,
    make_customer,
    make_staff,
    make_user,
    tomorrow_at,
)
from tests.services.checks import rows

pytestmark = pytest.mark.browser
HOUR = 96  # pixels: twelve rows of half a rem
STEPS = 4  # positions between the two ends of a drag


class Hand:
    """A mouse, or (``touch``) a finger, on the calendar of a day; each drag is one interaction."""

    def __init__(self, page: Page, date: dt.date, query: str = "", *, touch: bool = False) -> None:
        self.page = page
        self.interactions = 0
        self.touch = page.context.new_cdp_session(page) if touch else None
        page.goto(f"/calendar?date={date.isoformat()}{query}")
        expect(page.locator(".cal-grid a[tabindex='0']")).to_have_count(1)

    def point(self, place: Locator, y: float = 0.5) -> tuple[float, float]:
        """The middle of a place in the grid, or so far down it."""
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        assert box
        return box["x"] + box["width"] / 2, box["y"] + (box["height"] * y if y <= 1 else box["height"] - 3)

    def press(self, at: tuple[float, float]) -> None:
        self.interactions += 1
        if self.touch:
            self._finger("touchStart", at)
            expect(self.page.locator(":root[data-dragging]")).to_have_count(1)
        else:
            self.page.mouse.move(*at)
            self.page.mouse.down()

    def carry(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        for step in range(1, STEPS + 1):
            at = tuple(a + (b - a) * step / STEPS for a, b in zip(begin, end, strict=True))
            if self.touch:
                self._finger("touchMove", at)
            else:
                self.page.mouse.move(*at)

    def release(self) -> None:
        if self.touch:
            self.touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        else:
            self.page.mouse.up()

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        self.press(begin)
        self.carry(begin, end)
        self.release()

    def _finger(self, kind: str, at: tuple[float, float]) -> None:
        assert self.touch
        self.touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": at[0], "y": at[1]}]})


@pytest.fixture
def visit(spa: Spa) -> int:
    """Tomorrow at 10:00: an hour's facial with Hồng in Room 1."""
    return make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"))


@pytest.fixture
def hand(page: Page, spa: Spa, visit: int) -> Hand:
    return Hand(page, _tomorrow(spa))


def _tomorrow(spa: Spa) -> dt.date:
    return tomorrow_at(spa.branch, "12:00").date()


def _block(page: Page, booking: int) -> Locator:
    return page.locator(f"#booking-{booking}")


def _slot(page: Page, label: str) -> Locator:
    return page.locator(f".cal-slot:has(a[aria-label='{label}, free'])")


def _wait_until(page: Page, condition: str) -> None:
    look = f"const look = () => ({condition}) ? done() : requestAnimationFrame(look); look();"
    page.evaluate(f"new Promise((done) => {{ {look} }})")


def _plan(booking: int) -> list[tuple[str, str, int]]:
    """Begin, end and therapist of each service of a visit."""
    found = rows(
        f"SELECT to_char(starts_at AT TIME ZONE '{TIMEZONE}', 'HH24:MI'), to_char(ends_at AT TIME ZONE '{TIMEZONE}',"
        " 'HH24:MI'), staff_id FROM booking_items WHERE booking_id = :id ORDER BY position",
        id=booking,
    )
    return [tuple(row) for row in found]


def test_a_stretch_of_free_time_becomes_a_booking(hand: Hand, spa: Spa):
    page = hand.page
    begin = hand.point(_slot(page, "09:00, Anh"))

    hand.drag(begin, (begin[0], begin[1] + HOUR * 1.25))

    form = page.locator("#panel #booking-form")
    expect(form.locator("[name=starts_at]")).to_have_value(re.compile("T09:00"))
    expect(form.locator("[name=items-0-staff_id]")).to_have_value(str(spa.therapists[1]))
    # An hour and a half is what the massage takes, and nothing else does.
    expect(form.locator("[name=items-0-service_id]")).to_have_value(str(spa.massage))
    assert hand.interactions == 1
    assert "minutes=90" in page.url
    page.reload()
    expect(form.locator("[name=items-0-service_id]")).to_have_value(str(spa.massage))


def test_drawing_upwards_begins_at_the_top_and_stops_at_what_is_taken(hand: Hand, spa: Spa):
    page = hand.page
    begin = hand.point(_slot(page, "12:00, Hồng"))

    hand.drag(begin, (begin[0], begin[1] - HOUR * 3))

    # The facial's clean-up is over at 11:10.
    expect(page.locator("#panel #booking-form [name=starts_at]")).to_have_value(re.compile("T11:10"))


def test_a_room_is_drawn_into_the_form_too(page: Page, spa: Spa, visit: int):
    hand = Hand(page, _tomorrow(spa), "&by=room")
    begin = hand.point(_slot(page, "13:00, Room 2"))

    hand.drag(begin, (begin[0], begin[1] + HOUR * 0.65))

    form = page.locator("#panel #booking-form")
    expect(form.locator("[name=items-0-resource_id]")).to_have_value(str(spa.rooms[1]))
    expect(form.locator("[name=items-0-service_id]")).to_have_value(str(spa.facial))


def test_a_click_still_opens_the_form_and_the_visit(hand: Hand, visit: int):
    _slot(hand.page, "13:00, Anh").click()
    expect(hand.page.locator("#panel #booking-form [name=items-0-service_id]")).to_have_value("")
    _block(hand.page, visit).click()
    expect(hand.page.locator(f"#panel #visit-{visit}")).to_be_visible()


def test_a_block_is_carried_to_another_time_and_therapist_and_the_move_is_undone(hand: Hand, spa: Spa, visit: int):
    page = hand.page
    begin = hand.point(_block(page, visit))
    to = hand.point(page.locator(".cal-col[aria-label='Anh'] .cal-head"))

    hand.press(begin)
    hand.carry(begin, (to[0], begin[1] + HOUR * 2 + 10))
    expect(page.locator(".cal-ghost")).to_have_text("12:00–13:00 · Anh")
    hand.release()

    expect(_block(page, visit).locator("a")).to_have_accessible_name(re.compile("^12:00–13:00.*Anh"))
    expect(page.locator(".cal-ghost")).to_have_count(0)
    assert _plan(visit) == [("12:00", "13:00", spa.therapists[1])]
    assert hand.interactions == 1
    expect(page.locator("#panel")).to_be_empty()
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(_block(page, visit).locator("a")).to_have_accessible_name(re.compile("^10:00–11:00.*Hồng"))
    assert _plan(visit) == [("10:00", "11:00", spa.therapists[0])]
    expect(page.locator("#panel")).to_be_empty()


def test_a_block_is_carried_to_another_room(page: Page, spa: Spa, visit: int):
    hand = Hand(page, _tomorrow(spa), "&by=room")
    begin = hand.point(_block(page, visit))
    to = hand.point(page.locator(".cal-col[aria-label='Room 2'] .cal-head"))

    hand.drag(begin, (to[0], begin[1]))

    expect(_block(page, visit).locator("a")).to_have_accessible_name(re.compile("^10:00–11:00.*Room 2"))
    assert rows("SELECT resource_id FROM booking_item_resources") == [(spa.rooms[1],)]


def test_the_lower_edge_changes_how_long_it_takes_and_back(hand: Hand, spa: Spa, visit: int):
    page = hand.page
    begin = hand.point(_block(page, visit), 2)

    hand.press(begin)
    hand.carry(begin, (begin[0], begin[1] + HOUR / 2))
    expect(page.locator(".cal-ghost")).to_have_text("10:00–11:30 · 90 min")
    hand.release()

    expect(_block(page, visit).locator("a")).to_have_accessible_name(re.compile("^10:00–11:30"))
    expect(page.locator("#toasts")).to_contain_text("Basic Facial now takes 90 min.")
    assert hand.interactions == 1
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(_block(page, visit).locator("a")).to_have_accessible_name(re.compile("^10:00–11:00"))


def test_a_refused_move_snaps_back_and_says_why_with_the_way_out(hand: Hand, spa: Spa, visit: int):
    item = ItemRequest(spa.facial, spa.therapists[1], spa.rooms[1])
    make_booking(spa, item, starts_at=tomorrow_at(spa.branch, "10:00"), customer_id=make_customer())
    page = hand.page
    begin = hand.point(_block(page, visit))
    to = hand.point(page.locator(".cal-col[aria-label='Anh'] .cal-head"))

    hand.drag(begin, (to[0], begin[1]))

    expect(page.locator("#panel [role=alert]")).to_contain_text("busy from 10:00 to 11:10. Next free: 11:15")
    expect(page.locator(".cal-ghost, [data-lifted]")).to_have_count(0)
    assert _plan(visit) == [("10:00", "11:00", spa.therapists[0])]
    assert f"booking={visit}" in page.url
    page.locator("#panel .free-times button").first.click()
    expect(_block(page, visit).locator("a")).to_have_accessible_name(re.compile("^11:15–12:15.*Anh"))


def test_a_stale_block_is_refused_and_a_form_that_is_being_filled_in_stays(hand: Hand, spa: Spa, visit: int):
    page = hand.page
    _slot(page, "13:00, Anh").click()
    page.locator("#customer_q").fill("mai")
    bookings.move(visit, starts_at=tomorrow_at(spa.branch, "15:00"), actor=SYSTEM)
    begin = hand.point(_block(page, visit))

    hand.drag(begin, (begin[0], begin[1] + HOUR))

    expect(page.locator("#toasts")).to_contain_text("Somebody else has just changed this visit.")
    expect(page.locator("#customer_q")).to_have_value("mai")
    expect(_block(page, visit).locator(".cal-visit__time")).to_have_text("15:00")


def test_escape_lets_go_and_the_panel_stays(hand: Hand, spa: Spa, visit: int):
    page = hand.page
    _block(page, visit).click()
    expect(page.locator(f"#panel #visit-{visit}")).to_be_visible()
    begin = hand.point(_block(page, visit))
    hand.press(begin)
    hand.carry(begin, (begin[0], begin[1] + HOUR))
    expect(page.locator(".cal-ghost")).to_have_count(1)

    page.keyboard.press("Escape")

    expect(page.locator(".cal-ghost, [data-lifted], [data-dragging]")).to_have_count(0)
    hand.release()
    expect(page.locator(f"#panel #visit-{visit}")).to_be_visible()
    assert rows("SELECT version FROM bookings") == [(1,)]


def test_news_waits_while_a_block_is_held(hand: Hand, spa: Spa, visit: int):
    other = make_booking(
        spa, ItemRequest(spa.consultation, spa.therapists[1]), starts_at=tomorrow_at(spa.branch, "16:00")
    )
    page = hand.page
    held: list[Route] = []
    page.route("**/calendar/grid*", lambda route: held.append(route))
    with page.expect_request("**/calendar/grid*"):
        page.evaluate("htmx.trigger('#calendar-poll', 'look')")
    begin = hand.point(_block(page, visit))
    hand.press(begin)
    hand.carry(begin, (begin[0], begin[1] + HOUR))
    with page.expect_response("**/calendar/grid*"):
        held[0].continue_()
    page.unroute("**/calendar/grid*")
    page.evaluate("htmx.trigger('#calendar-poll', 'look')")

    expect(page.locator(".cal-ghost")).to_have_text("11:00–12:00 · Hồng")
    expect(_block(page, other)).to_have_count(0)
    page.keyboard.press("Escape")

    expect(_block(page, other)).to_be_visible()
    hand.release()


def test_a_finger_rests_to_lift_and_otherwise_scrolls(log_in: Callable[..., Page], spa: Spa, visit: int):
    page = log_in("reception", has_touch=True, viewport={"width": 820, "height": 1180})
    hand = Hand(page, _tomorrow(spa), touch=True)
    begin = hand.point(_block(page, visit))

    hand.drag(begin, (begin[0], begin[1] + HOUR))

    expect(_block(page, visit).locator("a")).to_have_accessible_name(re.compile("^11:00–12:00"))
    assert hand.interactions == 1
    begin = hand.point(_block(page, visit))
    assert hand.touch
    hand._finger("touchStart", begin)
    hand.carry(begin, (begin[0], begin[1] - HOUR))
    hand.release()
    expect(page.locator(".cal-ghost, [data-lifted]")).to_have_count(0)
    _wait_until(page, "document.getElementById('calendar-scroll').scrollTop > 0")
    assert _plan(visit)[0][0] == "11:00"


def test_a_visit_of_two_services_goes_as_a_whole_in_time_and_service_by_service_to_a_therapist(page: Page, spa: Spa):
    items = [ItemRequest(spa.facial, spa.therapists[0]), ItemRequest(spa.consultation, spa.therapists[0])]
    visit = make_booking(spa, *items, starts_at=tomorrow_at(spa.branch, "10:00"))
    hand = Hand(page, _tomorrow(spa))
    second = page.locator(f"#booking-{visit}-2")
    begin = hand.point(second)

    hand.press(begin)
    hand.carry(begin, (begin[0], begin[1] + HOUR * 2))
    # It begins at 11:10: two hours on and on to the nearest quarter.
    expect(page.locator(".cal-ghost").last).to_have_text("13:15–13:45 · Hồng · the whole visit")
    hand.release()
    expect(second.locator("a")).to_have_accessible_name(re.compile("^13:15–13:45"))
    assert _plan(visit) == [("12:05", "13:05", spa.therapists[0]), ("13:15", "13:45", spa.therapists[0])]

    begin = hand.point(second)
    to = hand.point(page.locator(".cal-col[aria-label='Anh'] .cal-head"))
    hand.press(begin)
    hand.carry(begin, (to[0], begin[1]))
    expect(page.locator(".cal-ghost")).to_have_text("13:15–13:45 · Anh")
    hand.release()
    expect(second.locator("a")).to_have_accessible_name(re.compile("^13:15–13:45.*Anh"))
    assert [staff for *_, staff in _plan(visit)] == [spa.therapists[0], spa.therapists[1]]


def test_what_has_begun_or_is_over_is_not_taken_up(page: Page, spa: Spa):
    booking = make_booking(spa, status="in_progress")
    page.goto("/calendar")
    block = _block(page, booking)
    expect(block).to_be_visible()
    assert block.get_attribute("data-drag") is None
    box = block.bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + 120)

    expect(page.locator(".cal-ghost")).to_have_count(0)
    page.mouse.up()


def test_the_grid_scrolls_along_at_its_rim(page: Page, spa: Spa, visit: int):
    page.set_viewport_size({"width": 1366, "height": 560})
    hand = Hand(page, _tomorrow(spa))
    begin = hand.point(_block(page, visit))
    hand.press(begin)
    hand.carry(begin, (begin[0], 545))

    grid = "document.getElementById('calendar-scroll')"
    _wait_until(page, f"{grid}.scrollTop + {grid}.clientHeight >= {grid}.scrollHeight - 1")
    hand.release()

    # There the evening ends: Hồng is taken up to the last start at which a row is still on show, and refused in words.
    expect(page.locator("#panel [role=alert]")).to_contain_text("closes before the visit is over")


def test_a_drop_is_the_form_that_moves_the_visit(hand: Hand, spa: Spa, visit: int):
    page = hand.page
    ((item,),) = rows("SELECT id FROM booking_items")
    begin = hand.point(_block(page, visit))
    with page.expect_request(f"**/bookings/{visit}/move") as caught:
        hand.drag(begin, (begin[0], begin[1] + HOUR))

    sent = {name: values[0] for name, values in parse_qs(caught.value.post_data or "").items()}
    assert sent.pop("csrf_token")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", sent.pop("idempotency_key"))
    assert sent == {
        "version": "1",
        "item_id": str(item),
        "starts_at": format_local(tomorrow_at(spa.branch, "11:00"), TIMEZONE),
    }
    expect(_block(page, visit).locator(".cal-visit__time")).to_have_text("11:00")


def test_on_the_day_of_the_clock_change_what_is_shown_is_what_is_stored(log_in: Callable[..., Page], spa: Spa):
    berlin = make_branch(timezone="Europe/Berlin", opens="00:00", closes="08:00")
    make_user("receptionist", [berlin], username="berlin")
    therapist = make_staff(berlin, [spa.consultation], "Jule")
    today = clock.today("Europe/Berlin")
    change = next(date for date in _last_sundays_of_march(today.year) if date > today)
    visit = bookings.book(
        customer_id=spa.customer,
        branch_id=berlin,
        starts_at=clock.at_local(change, dt.time(1), "Europe/Berlin"),
        items=[ItemRequest(spa.consultation, therapist)],
        actor=SYSTEM,
    )
    page = log_in("berlin")
    hand = Hand(page, change)
    begin = hand.point(_block(page, visit))

    hand.press(begin)
    hand.carry(begin, (begin[0], begin[1] + HOUR * 2))
    # From one o'clock, two hours on is four: the clocks skip the hour from two to three.
    expect(page.locator(".cal-ghost")).to_have_text("04:00–04:30 · Jule")
    hand.release()

    expect(_block(page, visit).locator(".cal-visit__time")).to_have_text("04:00")
    assert rows("SELECT starts_at FROM bookings") == [(clock.at_local(change, dt.time(4), "Europe/Berlin"),)]


def _last_sundays_of_march(year: int) -> list[dt.date]:
    ends = [dt.date(one, 3, 31) for one in (year, year + 1)]
    return [end - dt.timedelta(days=(end.weekday() + 1) % 7) for end in ends]
