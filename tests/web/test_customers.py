"""The customers' pages: who may, what is answered, and that both kinds of client get the same."""

import re
import uuid

import pytest
from sqlalchemy import select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Customer
from tests import factories
from tests.services.checks import execute

HTMX = {"HX-Request": "true"}


@pytest.fixture
def spa(app):
    with app.app_context():
        spa = factories.make_spa()
        db.session.remove()
    return spa


@pytest.fixture
def desk(app, client, spa):
    return sign_in(app, client, "reception")


def sign_in(app, client, username):
    with app.app_context():
        factories.login(client, username)
        db.session.remove()
    return client


def form(**fields):
    return {"full_name": "Trần Thị Hoa", "idempotency_key": str(uuid.uuid4())} | fields


def stored(app):
    with app.app_context():
        return db.session.execute(select(Customer.full_name, Customer.phone).order_by(Customer.id)).all()


@pytest.mark.parametrize("username", ["reception", "manager", "owner"])
def test_the_desk_adds_and_edits_customers(app, client, spa, username):
    sign_in(app, client, username)

    added = client.post("/customers", data=form(phone="0912 345 678"))
    assert added.status_code == 303
    page = client.get(added.headers["Location"])
    assert "Trần Thị Hoa" in page.text
    assert "0912 345 678" in page.text
    edited = client.post(added.headers["Location"], data=form(full_name="Trần Hoà", phone="0912 345 678"))

    assert edited.status_code == 303
    assert stored(app)[-1] == ("Trần Hoà", "+84912345678")


def test_a_therapist_may_not(app, client, spa):
    sign_in(app, client, "therapist")

    answers = [
        client.get("/customers"),
        client.get(f"/customers/{spa.customer}"),
        client.post("/customers", data=form()),
        client.post(f"/customers/{spa.customer}", data=form()),
    ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert len(stored(app)) == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"full_name": ""}, "full_name"),
        ({"full_name": "x" * 201}, "full_name"),
        ({"full_name": "Hoa\u202e"}, "full_name"),
        ({"phone": "12ab"}, "phone"),
        ({"birth_date": "31/02/2000"}, "birth_date"),
        ({"birth_date": "2999-01-01"}, "birth_date"),
        ({"email": "nobody"}, "email"),
    ],
)
@pytest.mark.parametrize("headers", [{}, HTMX])
def test_bad_input_is_422_at_its_field(app, desk, spa, fields, field, headers):
    for address in ("/customers", f"/customers/{spa.customer}"):
        answer = desk.post(address, data=form(**fields), headers=headers)

        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text
    assert len(stored(app)) == 1


def test_a_form_without_its_key_is_422(app, desk):
    assert desk.post("/customers", data={"full_name": "Hoa"}).status_code == 422
    assert len(stored(app)) == 1


def test_a_replay_is_answered_with_the_first_result(app, desk):
    fields = form(phone="0912345678")

    first, second = desk.post("/customers", data=fields), desk.post("/customers", data=fields)

    assert first.headers["Location"] == second.headers["Location"]
    assert len(stored(app)) == 2
    assert desk.post("/customers", data=fields | {"full_name": "Other"}).status_code == 409


def test_a_taken_phone_is_409_with_both_ways_out(app, desk):
    first = desk.post("/customers", data=form(phone="0912345678")).headers["Location"]

    refused = desk.post("/customers", data=form(full_name="Lê Nam", phone="912345678"))

    assert refused.status_code == 409
    assert f'href="{first}"' in refused.text
    assert 'name="shares_phone" value="y"' in refused.text
    shared = desk.post("/customers", data=form(full_name="Lê Nam", phone="912345678", shares_phone="y"))
    assert shared.status_code == 303
    assert "Trần Thị Hoa" in desk.get(shared.headers["Location"]).text


def test_search_answers_a_page_or_the_list(desk, spa):
    page = desk.get("/customers?q=mai le")
    partial = desk.get("/customers?q=mai le", headers=HTMX | {"HX-Target": "customers"})
    menu = desk.get("/customers?q=mai", headers=HTMX | {"HX-Target": "search-results"})

    for answer in (page, partial, menu):
        assert f'href="/customers/{spa.customer}"' in answer.text
        assert answer.headers["Vary"].find("HX-Request") >= 0
        assert answer.headers["Cache-Control"] == "no-store"
    assert "<html" in page.text
    assert "<html" not in partial.text
    assert desk.get("/customers?q=", headers=HTMX | {"HX-Target": "search-results"}).text == ""


def test_nobody_found_leads_to_a_new_customer_with_what_was_typed(desk):
    nobody = desk.get("/customers?q=0977 000 000").text
    link = re.search(r'href="(/customers/new\?q=[^"]+)"', nobody)[1]

    assert 'value="0977 000 000"' in desk.get(link).text
    assert 'value="Hoa"' in desk.get("/customers/new?q=Hoa").text


def test_what_is_typed_is_never_markup(desk):
    assert "<script>x" not in desk.get("/customers?q=<script>x").text
    added = desk.post("/customers", data=form(full_name="<script>x</script>"))
    assert "<script>x" not in desk.get(added.headers["Location"]).text


def test_unknown_customers_are_404(desk):
    assert desk.get("/customers/999999").status_code == 404
    assert desk.post("/customers/999999", data=form()).status_code == 404
    assert desk.get("/customers/99999999999999999999").status_code == 404


def test_birthdays_stand_on_the_list_by_week_or_month_and_at_a_visit(app, desk, spa):
    today = clock.today(factories.TIMEZONE)
    with app.app_context():
        execute("UPDATE customers SET birth_date = :day WHERE id = :id", day=today.replace(year=1992), id=spa.customer)
        visit = factories.make_booking(spa)
    page = desk.get("/customers").text
    assert "Birthdays this week" in page
    assert "Birthday today" in page
    month = desk.get(f"/customers?birthdays={today.month}").text
    assert f"Birthdays in {today:%B}" in month
    assert "Birthday today" in month
    assert "Nobody whose date of birth is known." in desk.get(f"/customers?birthdays={today.month % 12 + 1}").text
    for nonsense in ("13", "0", "x", "²"):
        assert "Birthdays this week" in desk.get("/customers", query_string={"birthdays": nonsense}).text
    assert "Birthday" not in desk.get("/customers?q=mai").text
    assert "Birthday today" in desk.get(f"/bookings/{visit}").text
