"""What the factories make is whole, committed, and known to the web."""

import pytest
from flask import request_finished
from flask_login import current_user
from sqlalchemy import text

from spa_app.extensions import db
from tests import factories
from tests.books import assert_books_balance, find_faults


@pytest.mark.parametrize("status", ["pending", "confirmed", "in_progress", "completed", "cancelled", "no_show"])
@pytest.mark.parametrize("prepaid", [True, False])
def test_a_visit_of_any_status_leaves_the_books_balanced(spa, status, prepaid):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch) if prepaid else None

    booking = factories.make_booking(spa, status=status, card=card)

    query = text("SELECT status FROM bookings WHERE id = :id")
    assert db.session.execute(query, {"id": booking}).scalar_one() == status
    assert_books_balance()


def test_a_fault_in_the_books_is_found(spa):
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)

    with db.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE customer_treatments SET used_sessions = 1 WHERE id = :id"), {"id": card})

    assert [fault.split(":")[0] for fault in find_faults()] == ["the counters of a card are not its history"]


def test_a_client_becomes_the_user_that_logs_in(app, client, spa):
    seen = []

    def note(sender, **_):
        seen.append(current_user.username if current_user.is_authenticated else None)

    with request_finished.connected_to(note, app):
        client.get("/login")
        for username in ("reception", "owner"):
            factories.login(client, username)
            client.get("/login")

    assert seen == [None, "reception", "owner"]
