"""Whose birthday it is this week, or in a month; the leap day included."""

import datetime as dt

import pytest

from spa_app.extensions import db
from spa_app.queries.birthdays import days_to_birthday, list_birthdays_in, list_birthdays_soon
from tests import factories
from tests.services.checks import execute


@pytest.fixture
def born(spa):
    def born(name, date):
        customer = factories.make_customer(name)
        execute("UPDATE customers SET birth_date = :date WHERE id = :id", date=dt.date.fromisoformat(date), id=customer)
        return customer

    return born


def names(found):
    return [(one.full_name, one.falls_on.isoformat()) for one in found]


def test_a_week_from_today_on_in_order_and_over_the_new_year(born):
    for name, date in (("An", "1990-01-02"), ("Bình", "2001-12-30"), ("Chi", "1985-01-06"), ("Dũng", "1970-12-29")):
        born(name, date)
    gone = born("Gone", "1990-12-31")
    execute("UPDATE customers SET anonymised_at = now() WHERE id = :id", id=gone)

    found = list_birthdays_soon(dt.date(2026, 12, 30))

    assert names(found) == [("Bình", "2026-12-30"), ("An", "2027-01-02")]
    assert names(list_birthdays_in(12, 2026)) == [("Dũng", "2026-12-29"), ("Bình", "2026-12-30")]


@pytest.mark.parametrize(("year", "day"), [(2027, "2027-03-01"), (2028, "2028-02-29")])
def test_the_leap_day_is_the_first_of_march_in_other_years(born, year, day):
    born("Lan", "2000-02-29")
    on = dt.date.fromisoformat(day)
    assert names(list_birthdays_soon(on)) == [("Lan", day)]
    assert names(list_birthdays_in(on.month, year)) == [("Lan", day)]
    assert days_to_birthday(dt.date(2000, 2, 29), on - dt.timedelta(days=2)) == 2


def test_an_index_finds_them(spa):
    execute(
        "INSERT INTO customers (full_name, birth_date)"
        " SELECT 'C' || n, date '1950-01-01' + n * 7 FROM generate_series(1, 5000) n"
    )
    execute("ANALYZE customers")
    seen = []

    def note(conn, cursor, statement, parameters, *_):
        seen.append((statement, parameters))

    db.event.listen(db.engine, "before_cursor_execute", note)
    try:
        list_birthdays_soon(dt.date(2026, 5, 4))
    finally:
        db.event.remove(db.engine, "before_cursor_execute", note)
    statement, parameters = seen[-1]
    with db.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
    assert any("ix_customers_birthday" in line for line in plan), plan
