"""The night's work: what is due, per branch and local midnight, however often, wherever and however rudely it runs."""

import datetime as dt
import multiprocessing
import os
import signal
import threading

import pytest
import time_machine
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from spa_app import clock, create_app
from spa_app.errors import InvalidError
from spa_app.extensions import db
from spa_app.models import CustomerTreatment, JobRun, TreatmentEntry
from spa_app.services import bookings, expiry, reconciliation
from spa_app.services.actor import SYSTEM
from spa_app.services.treatments import lapsing
from tests.books import assert_books_balance
from tests.factories import TIMEZONE, Spa, make_booking, make_branch, make_card, make_customer, tomorrow_at

YESTERDAY = -1


def _card(spa: Spa, *, days: int, sessions: int = 10, branch: int | None = None) -> int:
    """A card of ``sessions`` worth 925,926 without VAT, whose last day lies so many days from today."""
    today = clock.today(TIMEZONE)
    return make_card(
        make_customer(),
        spa.facial,
        branch_id=branch or spa.branch,
        sessions=sessions,
        expiry_date=today + dt.timedelta(days=days),
    )


def _entries(card: int) -> list[tuple[str, int, int]]:
    query = select(TreatmentEntry.kind, TreatmentEntry.sessions, TreatmentEntry.value_amount)
    rows = db.session.execute(query.where(TreatmentEntry.treatment_id == card).order_by(TreatmentEntry.id))
    return [tuple(row) for row in rows]


def test_a_card_is_valid_through_its_last_day_and_expires_on_the_next(spa: Spa):
    over, last_day = _card(spa, days=YESTERDAY), _card(spa, days=0)

    expiry.expire_due()

    assert _entries(over) == [("purchase", 10, 0), ("expire", -10, 925_926)]
    assert _entries(last_day) == [("purchase", 10, 0)]
    assert db.session.get_one(CustomerTreatment, over).status == "expired"
    assert db.session.get_one(CustomerTreatment, last_day).status == "active"
    assert_books_balance()


def test_what_was_used_stays_recognised_and_only_the_rest_breaks(spa: Spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=3, price=1_000_000)
    make_booking(spa, card=card, status="completed")

    (run, _) = expiry.expire_due(clock.today(TIMEZONE) + dt.timedelta(days=366))

    # 1,000,000 at 8 % holds 74,074 VAT; a third of 925,926 was recognised, the rest breaks.
    assert (run.cards, run.sessions, run.amount) == (1, 2, 617_284)
    assert [entry for entry in _entries(card) if entry[0] in ("punch", "expire")] == [
        ("punch", -1, 308_642),
        ("expire", -2, 617_284),
    ]
    assert_books_balance()


def test_a_session_reserved_for_a_visit_survives_the_night_and_can_still_be_punched(spa: Spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=2)
    booking = make_booking(spa, card=card, status="in_progress")

    expiry.expire_due(clock.today(TIMEZONE) + dt.timedelta(days=366))
    bookings.complete(booking, actor=SYSTEM)

    stored = db.session.get_one(CustomerTreatment, card)
    assert (stored.used_sessions, stored.held_sessions, stored.expired_sessions) == (1, 0, 1)
    assert stored.owed_amount == 0
    assert_books_balance()


def test_a_run_for_a_day_ahead_leaves_a_card_alone_of_which_nothing_is_free(spa: Spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=1)
    make_booking(spa, card=card)

    expiry.expire_due(clock.today(TIMEZONE) + dt.timedelta(days=366))

    assert db.session.get_one(CustomerTreatment, card).status == "active"
    assert_books_balance()


def test_a_session_that_comes_back_to_an_expired_card_expires_on_the_next_run(spa: Spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=2)
    booking = make_booking(spa, card=card)
    later = clock.today(TIMEZONE) + dt.timedelta(days=366)
    expiry.expire_due(later)

    bookings.cancel(booking, reason="ill", actor=SYSTEM)
    expiry.expire_due(later)

    assert db.session.get_one(CustomerTreatment, card).expired_sessions == 2
    assert_books_balance()


def test_frozen_cards_wait(spa: Spa):
    card = _card(spa, days=YESTERDAY)
    db.session.execute(
        text("UPDATE customer_treatments SET frozen_on = current_date, status = 'frozen' WHERE id = :id"), {"id": card}
    )
    db.session.commit()

    expiry.expire_due()

    assert _entries(card) == [("purchase", 10, 0)]


def test_midnight_is_each_branch_s_own(spa: Spa):
    saigon, berlin = make_branch(timezone="Asia/Ho_Chi_Minh"), make_branch(timezone="Europe/Berlin")
    # 23:30 UTC on the 10th: it is the 11th in Saigon (06:30) and in Berlin (00:30).
    with time_machine.travel(dt.datetime(2027, 1, 10, 23, 30, tzinfo=dt.UTC), tick=False):
        here = make_card(make_customer(), None, branch_id=saigon, expiry_date=dt.date(2027, 1, 10))
        there = make_card(make_customer(), None, branch_id=berlin, expiry_date=dt.date(2027, 1, 10))
    # Two hours before, Saigon was past its midnight and Berlin was not.
    with time_machine.travel(dt.datetime(2027, 1, 10, 21, 30, tzinfo=dt.UTC), tick=False):
        expiry.expire_due()
        after_first = [len(_entries(card)) for card in (here, there)]
    with time_machine.travel(dt.datetime(2027, 1, 10, 23, 30, tzinfo=dt.UTC), tick=False):
        expiry.expire_due()

    assert after_first == [2, 1]
    assert len(_entries(there)) == 2


def test_missed_nights_are_caught_up_and_a_second_run_changes_nothing(spa: Spa):
    cards = [_card(spa, days=-days) for days in (1, 3, 30)]

    first = expiry.expire_due()
    second = expiry.expire_due()

    assert [run.cards for run in first] == [3, 0]
    assert [run.cards for run in second] == [0, 0]
    assert [len(_entries(card)) for card in cards] == [2, 2, 2]


def test_each_run_is_on_record_and_adds_up(spa: Spa):
    _card(spa, days=YESTERDAY)
    expiry.expire_due()
    _card(spa, days=YESTERDAY)
    expiry.expire_due()

    run = db.session.execute(select(JobRun).where(JobRun.branch_id == spa.branch)).scalar_one()
    assert (run.cards, run.sessions, run.amount) == (2, 20, 2 * 925_926)
    assert run.finished_at is not None


def test_two_workers_at_once_share_the_work(app, spa: Spa, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(expiry, "BATCH", 3)
    cards = [_card(spa, days=YESTERDAY) for _ in range(20)]
    start = threading.Barrier(2)
    totals: list[int] = []

    def work() -> None:
        with app.app_context():
            start.wait()
            totals.append(sum(run.cards for run in expiry.expire_due()))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sum(totals) == 20
    assert all(len(_entries(card)) == 2 for card in cards)
    assert_books_balance()


def _expire_until_killed(settings, at_second_batch) -> None:
    app = create_app(settings)
    with app.app_context():
        expiry.BATCH = 4
        batch = expiry.treatments.expire_due_batch
        calls = []

        def counted(**kwargs):
            done = batch(**kwargs)
            calls.append(done)
            if len(calls) == 2:
                at_second_batch.set()  # written, not committed
                signal.pause()
            return done

        expiry.treatments.expire_due_batch = counted
        expiry.expire_due()


def test_a_run_killed_half_way_is_finished_by_the_next(settings, spa: Spa):
    cards = [_card(spa, days=YESTERDAY) for _ in range(10)]
    spawn = multiprocessing.get_context("spawn")
    at_second_batch = spawn.Event()
    worker = spawn.Process(target=_expire_until_killed, args=(settings, at_second_batch))
    worker.start()
    assert at_second_batch.wait(30)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()

    half = sum(len(_entries(card)) == 2 for card in cards)
    db.session.rollback()
    rest = sum(run.cards for run in expiry.expire_due())

    assert (half, rest) == (4, 6)
    run = db.session.execute(select(JobRun).where(JobRun.branch_id == spa.branch)).scalar_one()
    assert (run.cards, run.sessions) == (10, 100)
    assert reconciliation.list_faults() == []
    assert_books_balance()


def test_negative_control_without_the_lock_two_runs_would_expire_a_card_twice(app, spa: Spa, monkeypatch):
    """The card's row lock is what makes the second worker see that the first was there."""
    _card(spa, days=YESTERDAY)
    both_have_read = threading.Barrier(2)
    real_value = lapsing.worth
    monkeypatch.setattr(
        lapsing, "worth", lambda card, sessions: (both_have_read.wait(10), real_value(card, sessions))[1]
    )
    monkeypatch.setattr("sqlalchemy.sql.selectable.GenerativeSelect.with_for_update", lambda self, **_: self)
    errors: list[IntegrityError] = []

    def work() -> None:
        with app.app_context():
            try:
                expiry.expire_due()
            except IntegrityError as error:
                errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    # A constraint stops the twin, loudly: with the lock there is nothing to stop.
    (error,) = errors
    assert error.orig.diag.constraint_name == "ck_customer_treatments_value_within_deferred"


def test_tomorrow_s_visit_on_a_card_that_ends_today_is_refused_before_the_night_is(spa: Spa):
    """What the night would take cannot be promised by day: see check_usable."""
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, expiry_date=clock.today(TIMEZONE))
    with pytest.raises(InvalidError, match="valid to"):
        make_booking(spa, card=card, starts_at=tomorrow_at(spa.branch, "10:00"))


def test_looking_ahead_leaves_a_card_active_whose_sessions_are_all_reserved(spa: Spa):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=1)
    make_booking(spa, card=card)

    expiry.expire_due(clock.today(TIMEZONE) + dt.timedelta(days=400))

    assert db.session.get_one(CustomerTreatment, card).status == "active"
    assert_books_balance()
