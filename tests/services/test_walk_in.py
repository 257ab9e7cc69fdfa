"""Walk-ins: who it is, when it begins, what pays; and what is asked before anything is stored."""

import datetime as dt

import pytest
import time_machine

from spa_app import clock
from spa_app.errors import InvalidError, NotFoundError, SlotTakenError
from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, counters, refused, rows

PHONE = "+84987654321"


@pytest.fixture(autouse=True)
def _during_the_day(spa):
    """Twenty seconds into 10:07 at the branch."""
    with time_machine.travel(factories.tomorrow_at(spa.branch, "10:07") + dt.timedelta(seconds=20), tick=False):
        yield


@pytest.fixture
def walk_in(spa):
    def walk_in(**said):
        said = {"branch_id": spa.branch, "service_id": spa.facial, "actor": spa.receptionist, **said}
        return bookings.take_walk_in(**said)

    return walk_in


def visit(booking):
    return rows(
        "SELECT customer_id, status, starts_at, arrived_at IS NOT NULL, entered_late FROM bookings WHERE id = :id",
        id=booking,
    )[0]


def customers():
    return rows("SELECT full_name, phone, shares_phone_with_id FROM customers ORDER BY id")


def test_it_begins_this_minute_and_they_are_here(spa, walk_in):
    booking = walk_in(full_name="Trần An")

    assert customers()[-1] == ("Trần An", None, None)
    (_, status, starts_at, arrived, late) = visit(booking)
    assert (status, starts_at, arrived, late) == (
        "confirmed",
        factories.local_at(spa.branch, "10:07"),
        True,
        False,
    )
    assert audited() == ["booking_created", "booking_arrived"]


def test_the_first_who_is_free_does_it_in_the_first_free_room(spa, walk_in):
    factories.make_booking(spa, ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0]))

    booking = walk_in(full_name="An")

    assert rows(
        "SELECT i.staff_id, r.resource_id FROM booking_items i"
        " JOIN booking_item_resources r ON r.booking_item_id = i.id WHERE i.booking_id = :id",
        id=booking,
    ) == [(spa.therapists[1], spa.rooms[1])]


@pytest.mark.parametrize("name", ["", "le thi  MAI", "Lê Thị Mai"])
def test_a_known_phone_is_that_customer(spa, walk_in, name):
    mai = factories.make_customer("Lê Thị Mai", PHONE)
    before = customers()

    assert visit(walk_in(phone="098 765 43 21", full_name=name))[0] == mai
    assert customers() == before


def test_another_name_on_a_known_phone_is_asked_about(spa, walk_in):
    mai = factories.make_customer("Lê Thị Mai", PHONE)

    with refused("phone_known", field="phone", ways_out=("choose_customer", "share_phone")) as caught:
        walk_in(phone=PHONE, full_name="Mai")
    assert caught.value.ways_out[0].params == {"customer_id": mai, "name": "Lê Thị Mai"}

    daughter = visit(walk_in(phone=PHONE, full_name="Mai", shares_phone=True))[0]
    assert customers()[-1] == ("Mai", PHONE, mai)
    # From then on the name tells which of them it is, and without one it is asked.
    assert visit(walk_in(phone=PHONE, full_name="mai", service_id=spa.consultation))[0] == daughter
    with refused("phone_known", field="phone", ways_out=("choose_customer", "choose_customer", "share_phone")):
        walk_in(phone=PHONE, service_id=spa.consultation)


def test_somebody_else_on_the_phone_needs_a_name(spa, walk_in):
    factories.make_customer("Lê Thị Mai", PHONE)

    with refused("name_missing", InvalidError, field="full_name"):
        walk_in(phone=PHONE, shares_phone=True)
    with refused("name_missing", InvalidError, field="full_name"):
        walk_in()
    with refused("phone_invalid", InvalidError, field="phone"):
        walk_in(phone="12", full_name="An")


def test_the_card_that_fits_and_expires_first_pays(spa, walk_in):
    later = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    today = clock.today(factories.TIMEZONE)
    sooner = factories.make_card(
        spa.customer, None, branch_id=spa.branch, expiry_date=today + dt.timedelta(days=5), sessions=1
    )
    factories.make_card(spa.customer, spa.massage, branch_id=spa.branch, expiry_date=today + dt.timedelta(days=2))

    walk_in(customer_id=spa.customer)
    assert (counters(sooner)[2], counters(later)[2]) == (1, 0)
    walk_in(customer_id=spa.customer)
    assert (counters(sooner)[2], counters(later)[2]) == (1, 1)
    assert_books_balance()


def test_nobody_free_is_refused_with_the_next_time_and_no_customer_is_added(spa, walk_in):
    for therapist in spa.therapists:
        factories.make_booking(spa, ItemRequest(spa.facial, therapist))

    with refused("staff_busy", SlotTakenError, field="starts_at", ways_out=("choose_slot",)) as caught:
        walk_in(full_name="An", phone=PHONE)
    following = caught.value.params["next"]
    assert following == factories.local_at(spa.branch, "11:30")

    booking = walk_in(full_name="An", phone=PHONE, starts_at=following)
    assert visit(booking)[2:4] == (following, True)


def test_a_time_that_has_passed_means_now_and_tomorrow_they_are_not_here_yet(spa, walk_in):
    past = walk_in(full_name="An", starts_at=factories.local_at(spa.branch, "09:00"))
    ahead = walk_in(full_name="Ba", starts_at=factories.tomorrow_at(spa.branch, "09:00"))

    assert visit(past)[2:4] == (factories.local_at(spa.branch, "10:07"), True)
    assert visit(ahead)[2:4] == (factories.tomorrow_at(spa.branch, "09:00"), False)


def test_a_closed_house_and_another_branch_are_refused(spa, walk_in):
    closing = time_machine.travel(factories.local_at(spa.branch, "20:30"), tick=False)
    with closing, refused("branch_closed", InvalidError, field="starts_at", ways_out=("choose_slot", "override_hours")):
        walk_in(full_name="An")
    with refused("not_found", NotFoundError):
        walk_in(full_name="An", branch_id=spa.other_branch)
    with refused("service_unknown", InvalidError, field="items-0-service_id"):
        walk_in(full_name="An", service_id=987_654)
