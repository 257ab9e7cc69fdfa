"""The desk's drawers: opened, counted blind and closed by plain forms; each refusal as its status says."""

import re
import uuid
from dataclasses import replace

import pytest

from spa_app.extensions import db
from spa_app.models import Drawer, DrawerSession, Payment
from spa_app.services import drawers, payments
from spa_app.services.drawers import Count
from tests.books import assert_books_balance
from tests.factories import login, make_drawer, make_sale, open_session_of


@pytest.fixture(autouse=True)
def _books(spa):
    yield
    assert_books_balance()


@pytest.fixture
def till(spa):
    """An open drawer with a float of 1,000,000 and 734,500 of cash."""
    drawer = make_drawer(spa.branch, "Till", opening=1_000_000)
    payments.take_payment(
        make_sale(spa, price=734_500), method="cash", amount=734_500, tendered_amount=800_000, actor=spa.receptionist
    )
    return drawer


def post(client, path, **data):
    return client.post(path, data={"idempotency_key": uuid.uuid4(), **data})


def stored(session_id):
    db.session.rollback()
    return db.session.get_one(DrawerSession, session_id, populate_existing=True)


def test_a_drawer_is_opened_with_what_was_counted(desk, spa):
    drawer = make_drawer(spa.branch, "Till")

    answer = post(desk, f"/drawers/{drawer}/open", note_500000="1", note_100000="3", other_amount="12.000")

    assert (answer.status_code, answer.location) == (303, "/drawers")
    assert stored(open_session_of(drawer)).opening_float_amount == 812_000
    assert "Till is open." in desk.get("/drawers").text


def test_a_drawer_is_opened_without_a_count_only_when_that_is_said(desk, spa):
    drawer = make_drawer(spa.branch)

    answer = post(desk, f"/drawers/{drawer}/open")
    assert answer.status_code == 422
    assert "or say that nobody has counted" in answer.text
    assert post(desk, f"/drawers/{drawer}/open", uncounted="y").status_code == 303
    assert stored(open_session_of(drawer)).opened_as == "unknown"
    assert post(desk, f"/drawers/{drawer}/open", note_500000="1").status_code == 409


def test_whoever_counts_never_sees_what_is_expected_before(desk, till, spa):
    session = open_session_of(till)
    seen = re.compile(r"1734500|1,734,500|734,500|1000000|1,000,000")
    pages = ["/drawers", *(f"/drawers/sessions/{session}{more}" for more in ("", "/count", "/move"))]

    for page in pages:
        answer = desk.get(page)
        assert answer.status_code == 200
        assert not seen.search(answer.text), page
    assert not seen.search(post(desk, f"/drawers/sessions/{session}/count", note_500000="3", do="sum").text)
    assert not seen.search(post(desk, f"/drawers/sessions/{session}/count", note_500000="x").text)
    login(desk, "manager")
    for more in ("", "?format=csv"):
        told = desk.get(f"/day-close{more}").text
        assert "Still open" in told
        assert not re.search(r"1734500|1,734,500|1000000|1,000,000", told)


def test_the_server_adds_up_without_scripts_and_stores_nothing(desk, till):
    session = open_session_of(till)

    answer = post(desk, f"/drawers/sessions/{session}/count", note_500000="3", other_amount="500", do="sum")

    assert answer.status_code == 200
    assert "₫1,500,500" in answer.text
    assert stored(session).closed_at is None


def test_a_count_closes_the_drawer_and_then_tells(desk, till):
    session = open_session_of(till)

    answer = post(
        desk,
        f"/drawers/sessions/{session}/count",
        note_500000="3",
        note_200000="1",
        other_amount="30.000",
        left_amount="1.000.000",
    )

    assert (answer.status_code, answer.location) == (303, f"/drawers/sessions/{session}")
    page = desk.get(answer.location).text
    assert "₫4,500 short" in page
    assert "₫1,734,500" in page
    assert "3 × ₫500,000" in page
    assert "Say why the count differs" in page
    assert post(desk, f"/drawers/sessions/{session}/reason", reason=" ").status_code == 422
    assert post(desk, f"/drawers/sessions/{session}/reason", reason="wrong change").status_code == 303
    assert "wrong change" in desk.get(answer.location).text
    late = post(desk, f"/drawers/sessions/{session}/reason", reason="another story")
    assert late.status_code == 409
    assert "another story" not in desk.get(answer.location).text


def test_a_drawer_closed_uncounted_says_so(desk, till):
    session = open_session_of(till)
    assert post(desk, f"/drawers/sessions/{session}/count").status_code == 422
    answer = post(desk, f"/drawers/sessions/{session}/count", uncounted="y", note_500000="3", reason="power cut")

    assert answer.status_code == 303
    assert "Nobody has counted this drawer" in desk.get(answer.location).text
    assert "Not counted" in desk.get("/drawers").text
    assert stored(session).counted_amount is None


def test_a_drawer_is_closed_once_and_a_replay_is_answered_as_the_first(desk, till):
    session = open_session_of(till)
    data = {"idempotency_key": uuid.uuid4(), "note_500000": "2"}
    first = desk.post(f"/drawers/sessions/{session}/count", data=data)
    again = desk.post(f"/drawers/sessions/{session}/count", data=data)
    late = post(desk, f"/drawers/sessions/{session}/count", note_500000="3")

    assert (first.status_code, again.status_code, late.status_code) == (303, 303, 409)
    assert "was closed already" in late.text
    assert stored(session).counted_amount == 1_000_000
    assert desk.get(f"/drawers/sessions/{session}/count").status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("note_500000", "-1"),
        ("note_500000", "many"),
        ("note_1000", "1000000"),
        ("other_amount", "1.5"),
        ("left_amount", "9.000.000"),
    ],
)
def test_what_cannot_be_counted_is_refused_at_its_field(desk, till, field, value):
    session = open_session_of(till)
    answer = post(desk, f"/drawers/sessions/{session}/count", **{"note_500000": "1", field: value})

    assert answer.status_code == 422
    assert re.search(rf'id="{field}-error"', answer.text)
    assert stored(session).closed_at is None


def test_cash_is_paid_in_and_out_with_a_reason(desk, till):
    session = open_session_of(till)
    path = f"/drawers/sessions/{session}/move"
    assert post(desk, path, kind="drop", amount="500.000", reason="").status_code == 422
    assert post(desk, path, kind="loan", amount="500.000", reason="x").status_code == 422
    assert post(desk, path, kind="drop", amount="0", reason="x").status_code == 422
    for kind, amount in (("paid_in", "200.000"), ("drop", "500.000"), ("expense", "34.500")):
        assert post(desk, path, kind=kind, amount=amount, reason="flowers").status_code == 303
    page = desk.get(f"/drawers/sessions/{session}").text
    assert page.count("flowers") == 3
    post(desk, f"/drawers/sessions/{session}/count", note_200000="7")
    assert stored(session).variance_amount == 0
    assert post(desk, path, kind="drop", amount="1", reason="late").status_code == 409


def test_a_user_chooses_the_drawer_once(desk, spa):
    make_drawer(spa.branch, "Front", opening=0)
    back = make_drawer(spa.branch, "Back", opening=0)
    assert "Use Back" in desk.get("/drawers").text

    assert post(desk, f"/drawers/{back}/choose").status_code == 303

    page = desk.get("/drawers").text
    assert page.count("Your cash goes in here") == 1
    assert "Use Back" not in page
    post(desk, f"/invoices/{make_sale(spa)}/payments", method="cash", amount="500000")
    assert db.session.scalar(db.select(Payment.drawer_session_id)) == open_session_of(back)


def test_another_branchs_drawers_are_not_there(desk, spa):
    drawer = make_drawer(spa.other_branch, "Theirs", opening=0)
    session = open_session_of(drawer)

    assert "Theirs" not in desk.get("/drawers").text
    assert desk.get(f"/drawers?branch={spa.other_branch}").status_code == 404
    for path in (f"/drawers/{drawer}/open", *(f"/drawers/sessions/{session}{one}" for one in ("", "/count", "/move"))):
        assert desk.get(path).status_code == 404, path
    for path in (
        f"/drawers/{drawer}/open",
        f"/drawers/{drawer}/choose",
        *(f"/drawers/sessions/{session}/{one}" for one in ("count", "move", "reason")),
    ):
        data = {"uncounted": "y", "kind": "drop", "amount": "1", "reason": "x"}
        assert post(desk, path, **data).status_code == 404, path


def test_a_therapist_has_no_drawer(client, spa, till):
    login(client, "therapist")
    assert client.get("/drawers").status_code == 403
    assert post(client, f"/drawers/sessions/{open_session_of(till)}/count", uncounted="y").status_code == 403


def test_drawers_are_set_up_by_managers(client, spa):
    login(client, "manager")
    assert post(client, "/setup/drawers", name="Till", is_active="y").status_code == 303
    assert post(client, "/setup/drawers", name="Till", is_active="y").status_code == 409
    drawer = db.session.scalar(db.select(Drawer.id))
    page = client.get(f"/setup/drawers/{drawer}").text
    seen = re.search(r'name="seen" value="([^"]+)"', page)[1]
    drawers.open_drawer(drawer, count=Count(), actor=spa.receptionist)

    refused = post(client, f"/setup/drawers/{drawer}", name="Till", seen=seen)
    assert (refused.status_code, "Count and close it first" in refused.text) == (409, True)
    assert post(client, f"/setup/drawers/{drawer}", name="Front", is_active="y", seen=seen).status_code == 303
    assert post(client, f"/setup/drawers/{drawer}", name="Back", is_active="y", seen=seen).status_code == 409
    assert "Front" in client.get("/setup/drawers").text


def test_a_currency_has_its_own_notes(desk, app, spa, monkeypatch):
    monkeypatch.setitem(app.config, "SETTINGS", replace(app.config["SETTINGS"], currency="EUR"))
    drawer = make_drawer(spa.branch)
    assert "€200.00" in desk.get(f"/drawers/{drawer}/open").text

    assert post(desk, f"/drawers/{drawer}/open", note_20000="1", note_5="3", other_amount="1.50").status_code == 303
    assert stored(open_session_of(drawer)).opening_float_amount == 20_165


def test_a_currency_without_notes_is_counted_as_a_sum(desk, app, spa, monkeypatch):
    monkeypatch.setitem(app.config, "SETTINGS", replace(app.config["SETTINGS"], currency="CHF"))
    drawer = make_drawer(spa.branch)

    assert post(desk, f"/drawers/{drawer}/open", other_amount="10.00").status_code == 303
    assert stored(open_session_of(drawer)).opening_float_amount == 1_000
