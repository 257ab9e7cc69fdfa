"""What a full day weighs on the wire, fonts, styles and scripts included, as the browser itself counts it."""

import datetime as dt

import pytest
from playwright.sync_api import Page, expect

from spa_app.services.bookings import ItemRequest
from spa_app.services.transaction import atomic
from tests.factories import Spa, make_booking, make_customer, make_staff, tomorrow_at

pytestmark = pytest.mark.browser
# 4-screens, *Measured*
FIRST_VISIT = 120_000
REPEAT = 20_000
THERAPISTS = ("Hồng", "Anh", "Hà", "Lan", "Trúc", "Yến", "Ngân", "Uyên", "Thảo", "Phượng", "Oanh", "Vy")
FAMILIES = ("Nguyễn Thị", "Trần Minh", "Lê Mỹ", "Phạm Ngọc", "Huỳnh Hoài")
VISITS = 150


@pytest.fixture
def full_day(spa: Spa) -> str:
    """Tomorrow with 150 visits of 12 therapists; its date."""
    opens_at = tomorrow_at(spa.branch, "08:00")
    with atomic():
        others = [make_staff(spa.branch, [spa.consultation], f"Nguyễn Thị {name}") for name in THERAPISTS[2:]]
        staff = [*spa.therapists, *others]
        for number in range(VISITS):
            turn, place = divmod(number, len(staff))
            name = f"{FAMILIES[number % len(FAMILIES)]} {THERAPISTS[(number // 5) % len(THERAPISTS)]}"
            make_booking(
                spa,
                ItemRequest(spa.consultation, staff[place]),
                starts_at=opens_at + dt.timedelta(hours=turn, minutes=5 * (place % 3)),
                customer_id=make_customer(name),
            )
    return opens_at.date().isoformat()


class Wire:
    """Counts the bytes that a page receives, headers included, as they come over the wire."""

    def __init__(self, page: Page) -> None:
        self.received: dict[str, float] = {}
        self.urls: dict[str, str] = {}
        session = page.context.new_cdp_session(page)
        session.on(
            "Network.responseReceived", lambda event: self.urls.update({event["requestId"]: event["response"]["url"]})
        )
        session.on("Network.loadingFinished", self._finish)
        session.send("Network.enable")

    def _finish(self, event: dict) -> None:
        url = self.urls.get(event["requestId"], "?")
        self.received[url] = self.received.get(url, 0) + event["encodedDataLength"]

    def count(self) -> float:
        """The bytes since the last count."""
        total = sum(self.received.values())
        self.heaviest = sorted(self.received.items(), key=lambda one: -one[1])[:8]
        self.received = {}
        return total


def test_a_full_day_is_light(page: Page, full_day: str):
    wire = Wire(page)

    page.goto(f"/calendar?date={full_day}", wait_until="networkidle")
    expect(page.locator(".cal-visit")).to_have_count(VISITS)
    first = wire.count()
    assert 0 < first <= FIRST_VISIT, f"{first:.0f} bytes: {wire.heaviest}"

    page.goto(f"/calendar?date={full_day}", wait_until="networkidle")
    expect(page.locator(".cal-visit")).to_have_count(VISITS)
    again = wire.count()
    assert 0 < again <= REPEAT, f"{again:.0f} bytes: {wire.heaviest}"
