"""Every action on a visit in every status: what it leads to, or that it is refused with the present status named."""

from functools import partial

import pytest

from spa_app.errors import InvalidError, NotFoundError, WrongStateError
from spa_app.services import bookings
from spa_app.services.bookings import ItemRequest
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, refused, rows, status_of

STATUSES = ("pending", "confirmed", "in_progress", "completed", "cancelled", "no_show")
# action: (the statuses it may start from, where it leads, the audit row it leaves)
ACTIONS = {
    "confirm": (("pending",), "confirmed", "booking_confirmed"),
    "arrive": (("confirmed",), "confirmed", "booking_arrived"),
    "start": (("confirmed",), "in_progress", "booking_started"),
    "complete": (("in_progress",), "completed", "booking_completed"),
    "cancel": (("pending", "confirmed", "in_progress"), "cancelled", "booking_cancelled"),
    "mark_no_show": (("confirmed",), "no_show", "booking_no_show"),
    "undo_complete": (("completed",), "in_progress", "booking_completion_undone"),
    "undo_cancel": (("cancelled", "no_show"), "confirmed", "booking_cancellation_undone"),
    "move": (("pending", "confirmed"), None, "booking_moved"),
}


def _act(spa, action, booking, actor=None):
    extra = {"cancel": {"reason": "ill"}, "move": {"starts_at": factories.tomorrow_at(spa.branch, "15:00")}}
    return partial(getattr(bookings, action), booking, actor=actor or spa.receptionist, **extra.get(action, {}))


@pytest.mark.parametrize("prepaid", [True, False], ids=["on a card", "to pay"])
@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_leads_on_or_is_refused(spa, action, status, prepaid):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch) if prepaid else None
    booking = factories.make_booking(spa, status=status, card=card)
    starts_from, leads_to, audit = ACTIONS[action]
    act = _act(spa, action, booking)
    version = rows("SELECT version FROM bookings")[0][0]

    if status in starts_from:
        assert act() == booking
        assert status_of(booking) == (leads_to or status)
        assert audited()[-1] == audit
        assert rows("SELECT version FROM bookings") == [(version + 1,)]
    else:
        with refused("wrong_status", WrongStateError) as caught:
            act()
        assert caught.value.params["present"] == status
    assert rows("SELECT count(*) FROM booking_items WHERE booking_status <> :s", s=status_of(booking)) == [(0,)]
    assert_books_balance()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_visit_of_another_branch_does_not_exist(spa, action):
    booking = factories.make_booking(spa, status=ACTIONS[action][0][0])

    with refused("not_found", NotFoundError):
        _act(spa, action, booking, spa.other_receptionist)()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_visit_that_never_was_does_not_exist(spa, action):
    with refused("booking_unknown", NotFoundError):
        _act(spa, action, 4711)()


@pytest.mark.parametrize("action", ["arrive", "start"])
def test_a_visit_begins_on_its_day_at_the_earliest(spa, action):
    booking = factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, "10:00"))

    with refused("not_today", WrongStateError):
        _act(spa, action, booking)()


def test_a_no_show_is_one_only_after_the_start(spa):
    booking = factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, "10:00"))

    with refused("not_yet", WrongStateError):
        bookings.mark_no_show(booking, actor=spa.receptionist)


@pytest.mark.parametrize(
    ("reason", "code"), [("", "reason_missing"), ("   ", "reason_missing"), ("x" * 501, "too_long")]
)
def test_cancelling_wants_a_reason(spa, reason, code):
    booking = factories.make_booking(spa)

    with refused(code, InvalidError, field="reason"):
        bookings.cancel(booking, reason=reason, actor=spa.receptionist)


def test_the_second_arrival_changes_nothing(spa):
    booking = factories.make_booking(spa)
    bookings.arrive(booking, actor=spa.receptionist)
    first = rows("SELECT arrived_at, version FROM bookings")

    bookings.arrive(booking, actor=spa.receptionist)

    assert rows("SELECT arrived_at, version FROM bookings") == first
    assert audited() == ["booking_created", "booking_arrived"]


def test_stamps_are_set_on_the_way(spa):
    booking = factories.make_booking(spa)

    bookings.start(booking, actor=spa.receptionist)
    bookings.complete(booking, actor=spa.receptionist)

    stamps = "SELECT arrived_at IS NOT NULL, started_at IS NOT NULL, completed_at IS NOT NULL FROM bookings"
    assert rows(stamps) == [(True, True, True)]
    bookings.undo_complete(booking, actor=spa.receptionist)
    assert rows(stamps) == [(True, True, False)]


def test_messages_leave_for_what_the_customer_should_know(spa):
    first = factories.make_booking(spa, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    tentative = factories.make_booking(spa, status="pending", starts_at=factories.tomorrow_at(spa.branch, "12:00"))
    late = factories.make_booking(
        spa, ItemRequest(spa.consultation), starts_at=factories.local_at(spa.branch, "10:00", days=-2)
    )

    bookings.confirm(tentative, actor=spa.receptionist)
    bookings.cancel(first, reason="ill", actor=spa.receptionist)

    sent = rows("SELECT kind, (payload ->> 'booking_id')::int FROM outbox ORDER BY id")
    assert sent == [("booking_confirmed", first), ("booking_confirmed", tentative), ("booking_cancelled", first)]
    assert late not in [booking for _, booking in sent]
