"""The poll that finds nothing new, answered in front of the application."""

import time

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from spa_app import clock
from spa_app.config import Settings
from spa_app.extensions import db
from spa_app.models import User
from spa_app.queries import snapshot
from spa_app.queries.calendar_revision import get_revision
from spa_app.queries.snapshot import get_snapshot
from spa_app.services.transaction import atomic
from spa_app.web.calendar import routes, unchanged
from tests.factories import TIMEZONE, Spa, login, make_booking

HTMX = {"HX-Request": "true"}


@pytest.fixture
def poll(client: FlaskClient, spa: Spa, monkeypatch: pytest.MonkeyPatch):
    """Poll today; the answer, and whether the application itself gave it."""
    login(client, "reception")
    today = clock.today(TIMEZONE)
    asked: list[str] = []
    through = unchanged.note_unchanged
    monkeypatch.setattr(routes, "note_unchanged", lambda seen: (asked.append(seen), through(seen)))

    def ask(*, revision: str | None = None, date: bool = True, headers: dict[str, str] | None = None):
        revision = revision or get_revision(spa.branch, today, timezone=TIMEZONE)
        address = f"/calendar/grid?revision={revision}" + (f"&date={today.isoformat()}" if date else "")
        before = len(asked)
        answer = client.get(address, headers={**HTMX, **(headers or {})})
        return answer, len(asked) > before

    return ask


def _settle(poll) -> None:
    """Poll until the answer comes from the front; PostgreSQL's own housekeeping may come between."""
    for _ in range(5):
        answer, whole_way = poll()
        assert answer.status_code == 204
        if not whole_way:
            return
    raise AssertionError("every poll went the whole way")


def test_nothing_new_is_said_again_with_the_same_headers(poll):
    first, whole_way = poll()
    assert whole_way
    _settle(poll)

    again, whole_way = poll(headers={"X-Request-ID": "desk-1-poll-7"})

    assert (again.status_code, again.data, whole_way) == (204, b"", False)
    assert again.headers["X-Request-ID"] == "desk-1-poll-7"
    own = {"X-Request-ID", "Set-Cookie"}
    assert {name: value for name, value in again.headers if name not in own} == {
        name: value for name, value in first.headers if name not in own
    }


def test_a_commit_is_news_at_once(poll, client, spa: Spa):
    _settle(poll)
    revision = get_revision(spa.branch, clock.today(TIMEZONE), timezone=TIMEZONE)

    booking = make_booking(spa)

    answer, _ = poll(revision=revision)
    assert answer.status_code == 200
    assert f'id="booking-{booking}"' in answer.text


def test_who_is_locked_out_is_told_so_at_once(poll):
    _settle(poll)

    with atomic() as session:
        session.execute(update(User).where(User.username == "reception").values(is_active=False))

    assert poll()[0].status_code == 401


def test_another_login_and_none_are_asked_who_they_are(poll, client: FlaskClient):
    _settle(poll)
    client.post("/logout")

    assert poll()[0].status_code == 401

    login(client, "manager")
    assert poll()[1], "the manager was answered as the receptionist"


def test_after_a_minute_the_application_answers_itself(poll, monkeypatch: pytest.MonkeyPatch):
    _settle(poll)
    now = time.monotonic()

    monkeypatch.setattr(unchanged.time, "monotonic", lambda: now + unchanged.KEPT_FOR)

    assert poll()[1]


def test_without_a_date_midnight_is_news(poll):
    for _ in range(3):
        answer, noted = poll(date=False)
        assert (answer.status_code, noted) == (204, False)


def test_a_connection_that_was_cut_is_renewed(app: Flask, settings: Settings):
    with app.app_context():
        db.engine.dispose()  # one connection in the pool, and no other
        assert get_snapshot() is not None
        with psycopg.connect(settings.database_url or "", autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state = 'idle' AND query LIKE 'SELECT concat_ws%'"
            )

        assert get_snapshot() is not None


def test_a_connection_that_is_cut_under_way_is_thrown_away(app: Flask, monkeypatch: pytest.MonkeyPatch):
    with app.app_context():
        with monkeypatch.context() as patch:
            patch.setattr(snapshot, "SNAPSHOT", "pg_terminate_backend(pg_backend_pid())")
            assert get_snapshot() is None
        assert get_snapshot() is not None
