"""Giving an absent therapist's visits away, while others book the substitute, change a visit, or do the very same."""

import datetime as dt
from functools import partial

import pytest
import sqlalchemy as sa

from spa_app.extensions import db
from spa_app.services import bookings, scheduling
from spa_app.services.availability import Span
from spa_app.services.bookings import ItemRequest, Mark, Substitution, substitution
from spa_app.services.bookings import items as bookings_items
from spa_app.services.bookings import moving as bookings_moving
from spa_app.services.scheduling_facts import Absence
from spa_app.services.transaction import in_transaction
from tests import factories
from tests.books import find_faults
from tests.concurrency import race
from tests.concurrency.table import EACH_GUARD
from tests.concurrency.test_races import STAFF_OVERLAP, VERSION, make_app
from tests.concurrency.test_visit_races import LIVE_ENTRIES, Client, Race, hold
from tests.factories import Spa

TAKEN = frozenset({"changed_meanwhile", "substitute_taken", "staff_busy"})


def hand_over_or_book_the_substitute(spa: Spa, number: int) -> list[Client]:
    """Half of the desks give the visit to the one substitute, half book that substitute for somebody else."""
    at, give = _ill(spa)
    item = ItemRequest(spa.consultation, spa.therapists[1])
    book = partial(
        bookings.book,
        customer_id=factories.make_customer(),
        branch_id=spa.branch,
        starts_at=at,
        items=[item],
        actor=spa.receptionist,
    )
    return [give, book] * (number // 2)


def hand_over_or_move(spa: Spa, number: int) -> list[Client]:
    """Half of the desks give the visit away, half move what they saw to another hour."""
    at, give = _ill(spa)
    (booking,) = db.session.execute(sa.text("SELECT id FROM bookings")).scalars()
    later = at + dt.timedelta(hours=2)
    move = partial(bookings.move, booking, starts_at=later, version=1, actor=spa.receptionist)
    return [give, move] * (number // 2)


def hand_over_or_cancel(spa: Spa, number: int) -> list[Client]:
    """Half of the desks give both services away, half cancel one of them."""
    _, give = _ill(spa, ItemRequest(spa.consultation, spa.therapists[0]))
    ((booking, item),) = db.session.execute(sa.text("SELECT booking_id, id FROM booking_items WHERE position = 2"))
    cancel = partial(bookings.cancel_item, booking, item, version=1, actor=spa.receptionist)
    return [give, cancel] * (number // 2)


def hand_over_at_every_desk(spa: Spa, number: int) -> list[Client]:
    """All saw the same list."""
    _, give = _ill(spa)
    return [give] * number


RACES = [
    Race(
        "hand an absent therapist's visit over, or book the substitute",
        hand_over_or_book_the_substitute,
        ((scheduling, "busy_now"),),
        (VERSION, *STAFF_OVERLAP),
        TAKEN,
    ),
    Race(
        "hand an absent therapist's visit over, or move it",
        hand_over_or_move,
        ((substitution, "load_bench"), (bookings_moving, "list_items")),
        (VERSION, *STAFF_OVERLAP),
        TAKEN,
    ),
    Race(
        "hand an absent therapist's visit over, or cancel a service of it",
        hand_over_or_cancel,
        ((substitution, "load_bench"), (bookings_items, "list_items")),
        (VERSION, *LIVE_ENTRIES),
        TAKEN,
    ),
    Race(
        "hand an absent therapist's visit over at every desk",
        hand_over_at_every_desk,
        ((substitution, "load_bench"),),
        (VERSION, *STAFF_OVERLAP),
        TAKEN,
    ),
]


@pytest.mark.parametrize("guards", EACH_GUARD)
@pytest.mark.parametrize("which", RACES, ids=lambda one: one.clients.__name__)
def test_one_of_many_wins(which, guards, settings, fresh_database, monkeypatch, record_property):
    hold(which, guards, settings, fresh_database(), monkeypatch, record_property)


@pytest.mark.parametrize("locked", [True, False])
def test_nothing_is_booked_into_an_absence(locked, settings, fresh_database, monkeypatch, record_property):
    """Some mark an absence over whatever is booked, some book: a visit that it does not know of is a fault."""
    number = 50 if locked else 6
    url = fresh_database()
    app = make_app(settings, url, number)
    with app.app_context():
        spa = factories.make_spa()
        at = factories.tomorrow_at(spa.branch, "10:00")
        mark = partial(bookings.apply_substitutes, _away(spa), [], mark=Mark("sick"), actor=spa.receptionist)
        item = ItemRequest(spa.consultation, spa.therapists[0])
        book = partial(
            bookings.book,
            customer_id=spa.customer,
            branch_id=spa.branch,
            starts_at=at,
            items=[item],
            actor=spa.receptionist,
        )
        db.session.remove()
    clients = [mark, book] * (number // 2)
    gate = race.stop_after(monkeypatch, scheduling, "busy_now")
    race.stop_after(monkeypatch, substitution, "is_marked", gate)
    if not locked:
        race.take_off_locks(monkeypatch)

    outcomes = race.run(app, url, [partial(in_transaction, client) for client in clients], gate)

    with app.app_context():
        faults = find_faults()
        db.engine.dispose()
    said = race.summary(outcomes)
    guards = "locks only" if locked else "neither"
    result = f"{number} clients: " + ", ".join(f"{count} {word}" for word, count in said.items())
    record_property("race", ("mark an absence, or book into it", guards, f"{result}; {len(faults)} faults"))
    if not locked:
        assert faults, said
        return
    assert faults == []
    marked = [one for one, client in zip(outcomes, clients, strict=True) if client is mark and one.said == "done"]
    assert len(marked) == 1, said
    assert said.keys() <= {"done", "already_marked", "on_leave", "staff_busy"}
    assert said["done"] <= 2


def _away(spa: Spa) -> Absence:
    at = partial(factories.tomorrow_at, spa.branch)
    return Absence(Span(at("08:00"), at("21:00")), staff_id=spa.therapists[0])


def _ill(spa: Spa, *more: ItemRequest):
    """When a visit of the ill therapist begins, and what hands it over as it was first seen."""
    at = factories.tomorrow_at(spa.branch, "10:00")
    factories.make_booking(spa, ItemRequest(spa.consultation, spa.therapists[0]), *more, starts_at=at)
    found = bookings.find_affected(_away(spa), actor=spa.receptionist)
    chosen = [Substitution(one.item.item_id, one.item.version, one.proposed_id) for one in found.visits]
    return at, partial(bookings.apply_substitutes, _away(spa), chosen, actor=spa.receptionist)
