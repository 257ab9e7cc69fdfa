"""The export page: who may take what, that the files hold it, and that it is known who took them."""

import csv
import datetime as dt
import io

import openpyxl
import pytest
from sqlalchemy import select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import AuditLog
from spa_app.queries.exports import TABLES
from tests.factories import TIMEZONE, login, make_booking, make_card, make_customer, tomorrow_at

EVIL = '=HYPERLINK("http://evil.example","Mai")'


@pytest.fixture
def trade(spa):
    """A visit on a card today and one tomorrow, by somebody with a wicked name; somebody whom no branch knows."""
    evil = make_customer(EVIL, "+84912345678")
    make_customer("Nobody's")
    card = make_card(evil, spa.facial, branch_id=spa.branch, sessions=3, price=500_000)
    make_booking(spa, status="completed", card=card, customer_id=evil)
    make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00"), customer_id=evil)
    return spa


def take(client, username, **changes):
    login(client, username)
    data = {"what": "customers", "branch": "all", "format": "csv"} | changes
    # Buffered: as a server does, the file is closed behind the answer.
    return client.post("/reports/export", data=data, buffered=True)


def rows_of(answer):
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))


def of(spa, **more):
    return {"branch": str(spa.branch), **more}


def test_a_manager_takes_the_customers_of_the_branch_and_no_others(client, trade):
    (row,) = rows_of(take(client, "manager", **of(trade)))

    assert row["full_name"] == f"'{EVIL}"
    assert row["phone"] == "'+84912345678"
    assert row["currency"] == "VND"


def test_an_owner_takes_everybody(client, trade):
    assert {row["full_name"] for row in rows_of(take(client, "owner"))} == {"Lê Thị Mai", f"'{EVIL}", "Nobody's"}


@pytest.mark.parametrize("username", ["reception", "therapist"])
def test_others_take_nothing(client, trade, username):
    assert take(client, username, **of(trade)).status_code == 403
    assert client.get("/reports/export").status_code == 403


def test_another_branch_is_no_choice(client, trade):
    answer = take(client, "manager", branch=str(trade.other_branch))

    assert answer.status_code == 422
    assert take(client, "manager", branch="all").status_code == 422  # only one: there is nothing to choose
    assert db.session.scalars(select(AuditLog).where(AuditLog.action == "data_exported")).all() == []


@pytest.mark.parametrize("what", TABLES)
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_every_table_is_there_in_each_format(client, trade, what, kind):
    answer = take(client, "owner", what=what, format=kind)

    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].endswith(f"{what}_all_{clock.today(TIMEZONE)}.{kind}")
    if kind == "csv":
        header = next(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))
    else:
        header = [cell.value for cell in openpyxl.load_workbook(io.BytesIO(answer.data)).active[1]]
    assert header == [column.name for column in TABLES[what].columns]


def test_a_period_is_of_the_branchs_own_days(client, trade):
    today = clock.today(TIMEZONE)
    tomorrow = today + dt.timedelta(days=1)

    assert len(rows_of(take(client, "manager", what="bookings", **of(trade)))) == 2
    (now,) = rows_of(take(client, "manager", what="bookings", to=str(today), **of(trade)))
    (then,) = rows_of(take(client, "manager", what="bookings", **{"from": str(tomorrow)}, **of(trade)))
    assert (now["status"], then["status"]) == ("completed", "confirmed")
    starts_at = dt.datetime.fromisoformat(then["starts_at"])
    assert starts_at == tomorrow_at(trade.branch, "10:00")
    assert starts_at.utcoffset() is not None
    assert then["starts_at"].startswith(f"{tomorrow}T10:00:00")
    assert rows_of(take(client, "manager", what="journal", **{"from": str(tomorrow)}, **of(trade))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"what": "passwords"},
        {"what": "cards", "format": "ics"},
        {"format": "exe"},
        {"from": "2026-05-02", "to": "2026-05-01"},
        {"from": "1066-01-01"},
        {"to": "9999-12-31"},
        {"from": "yesterday"},
    ],
)
def test_what_there_is_not_is_said_at_its_field(client, trade, changes):
    answer = take(client, "owner", **changes)

    assert answer.status_code == 422
    assert b"field__error" in answer.data


def test_visits_are_a_calendar(client, trade):
    answer = take(client, "manager", what="bookings", format="ics", **of(trade))

    assert answer.mimetype == "text/calendar"
    lines = answer.data.replace(b"\r\n ", b"").decode().split("\r\n")
    assert lines.count("BEGIN:VEVENT") == 2
    assert f"DTSTART:{tomorrow_at(trade.branch, '10:00'):%Y%m%dT%H%M%SZ}" in lines


def test_it_is_known_who_took_what(client, trade):
    take(client, "manager", what="bookings", to="2030-01-01", **of(trade))

    row = db.session.scalars(select(AuditLog).where(AuditLog.action == "data_exported")).one()
    assert (row.actor_id, row.ip) == (trade.manager.user_id, "127.0.0.1")
    assert row.after == {
        "what": ["bookings"],
        "formats": ["csv"],
        "branches": [trade.branch],
        "from": None,
        "to": "2030-01-01",
        "rows": 2,
    }


def test_the_page_says_what_each_column_is(client, trade):
    login(client, "manager")

    page = client.get("/reports/export").text

    for table in TABLES.values():
        for column in table.columns:
            assert f"<code>{column.name}</code>" in page
