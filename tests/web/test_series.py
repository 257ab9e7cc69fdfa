"""The form of a series: the report before anything is booked, what is booked, and what is refused."""

import datetime as dt
import re
import uuid

import pytest
from sqlalchemy import func, select

from spa_app.extensions import db
from spa_app.models import Booking, BookingItem
from spa_app.web.times import format_local
from tests.factories import TIMEZONE, login, make_booking, make_card, make_customer, tomorrow_at
from tests.web.visits import error_at, nothing_stored, post, text_of

WEEK = dt.timedelta(weeks=1)
MAIN = {"HX-Request": "true", "HX-Target": "main", "HX-Current-URL": "http://localhost/bookings/series"}


@pytest.fixture
def fields(spa):
    return {
        "customer_id": spa.customer,
        "service_id": spa.facial,
        "staff_id": spa.therapists[0],
        "starts_at": format_local(tomorrow_at(spa.branch, "10:00"), TIMEZONE),
        "every_weeks": "1",
        "count": "3",
    }


@pytest.fixture
def in_the_way(spa):
    return make_booking(spa, starts_at=tomorrow_at(spa.branch, "10:00") + WEEK, customer_id=make_customer())


def _count():
    db.session.rollback()
    return db.session.execute(select(func.count()).select_from(Booking)).scalar_one()


def test_a_preview_reports_each_date_and_stores_nothing(desk, spa, fields, in_the_way):
    with nothing_stored():
        answer = post(desk, "/bookings/series", **fields, do="preview")
    assert answer.status_code == 200
    assert re.findall(r'data-fits="(\w+)"', answer.text) == ["true", "false", "true"]
    said = text_of(answer)
    assert "2 of 3 dates fit" in said
    assert "The therapist is busy from 10:00 to 11:10." in said
    week_later = (tomorrow_at(spa.branch, "10:00") + WEEK).date().isoformat()
    times = re.findall(r'name="take" value="(.*?)"', answer.text)
    assert times == [f"{week_later}T{time}" for time in ("08:15", "08:30", "08:45", "11:15", "11:30", "11:45")]
    assert "Book only the 2 that fit" in said


def test_all_dates_are_booked_and_lead_to_the_customer(desk, spa, fields):
    preview = post(desk, "/bookings/series", **fields, do="preview")
    assert "Book all 3 visits" in preview.text
    key = str(uuid.uuid4())
    for _ in range(2):
        answer = post(desk, "/bookings/series", key=key, **fields)
        assert (answer.status_code, answer.location) == (303, f"/customers/{spa.customer}")
    assert _count() == 3
    assert "3 visits are booked." in desk.get(answer.location).text


def test_a_date_that_does_not_fit_refuses_all_unless_told_otherwise(desk, spa, fields, in_the_way):
    with nothing_stored():
        answer = post(desk, "/bookings/series", **fields)
    assert answer.status_code == 409
    assert "1 of 3 dates do not fit. Nothing was booked yet." in text_of(answer)
    assert 'name="book_fitting"' in answer.text
    assert post(desk, "/bookings/series", **fields, book_fitting="y").status_code == 303
    assert _count() == 3


def test_another_time_is_taken_kept_and_booked(desk, spa, fields, in_the_way):
    week_later = (tomorrow_at(spa.branch, "10:00") + WEEK).date().isoformat()
    with nothing_stored():
        taken = post(desk, "/bookings/series", **fields, take=f"{week_later}T11:15")
        assert re.findall(r'name="times" value="(.*?)"', taken.text) == [f"{week_later}T11:15"]
        assert "3 of 3 dates fit" in text_of(taken)
        assert "Back to 10:00" in text_of(taken)
        again = post(desk, "/bookings/series", **fields, times=f"{week_later}T11:15", take=f"{week_later}T11:30")
        assert re.findall(r'name="times" value="(.*?)"', again.text) == [f"{week_later}T11:30"]
        back = post(desk, "/bookings/series", **fields, times=f"{week_later}T11:15", leave=week_later)
        assert 'name="times"' not in back.text
        assert "2 of 3 dates fit" in text_of(back)
        looked = post(desk, "/bookings/series", **fields, times=f"{week_later}T11:15", do="preview")
        assert re.findall(r'name="times" value="(.*?)"', looked.text) == [f"{week_later}T11:15"]

    assert post(desk, "/bookings/series", **fields, times=f"{week_later}T11:15").status_code == 303

    first = tomorrow_at(spa.branch, "10:00")
    starts = db.session.execute(
        select(Booking.starts_at).where(Booking.customer_id == spa.customer).order_by(Booking.starts_at)
    )
    assert list(starts.scalars()) == [first, first + WEEK + dt.timedelta(minutes=75), first + 2 * WEEK]


def test_a_time_that_was_taken_meanwhile_is_refused_with_others(desk, spa, fields, in_the_way):
    week_later = (tomorrow_at(spa.branch, "10:00") + WEEK).date().isoformat()
    for chosen in (f"{week_later}T10:30", f"{week_later}T03:00"):
        with nothing_stored():
            answer = post(desk, "/bookings/series", **fields, times=chosen)
        assert answer.status_code == 409
        assert 'name="take"' in answer.text
        assert f'name="leave" value="{week_later}"' in answer.text


def test_times_of_dates_that_are_not_in_the_series_are_forgotten(desk, spa, fields):
    elsewhere = (tomorrow_at(spa.branch, "10:00") + dt.timedelta(days=1)).date().isoformat()
    answer = post(desk, "/bookings/series", **fields, times=f"{elsewhere}T11:15", do="preview")
    assert (answer.status_code, 'name="times"' in answer.text) == (200, False)
    for odd in ("soon", f"{elsewhere}T99:00", "x" * 5000):
        for name in ("times", "take"):
            with nothing_stored():
                assert post(desk, "/bookings/series", **fields, **{name: odd}).status_code == 422


def test_their_card_is_chosen_and_what_it_cannot_pay_is_said(desk, spa, fields):
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch, sessions=2)
    preview = post(desk, "/bookings/series", **fields, do="preview")
    assert re.search(rf'<option selected value="{card}">', preview.text)
    assert re.findall(r'data-fits="(\w+)"', preview.text) == ["true", "true", "false"]
    assert "has no session left" in text_of(preview)
    paid = {**fields, "treatment_id": card, "card_for": f"{spa.customer}:{spa.facial}", "pay_rest": "y"}
    assert "Paid at the desk" in text_of(post(desk, "/bookings/series", **paid, do="preview"))
    assert post(desk, "/bookings/series", **paid).status_code == 303
    found = db.session.execute(select(BookingItem.treatment_id).order_by(BookingItem.starts_at)).scalars().all()
    assert found == [card, card, None]


def test_an_htmx_client_is_sent_on(desk, spa, fields):
    answer = post(desk, "/bookings/series", MAIN, **fields)
    assert answer.status_code == 204
    assert f"/customers/{spa.customer}" in answer.headers["HX-Location"]


@pytest.mark.parametrize("do", ["preview", ""])
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"count": "27"}, "count"),
        ({"count": "0"}, "count"),
        ({"count": "x"}, "count"),
        ({"count": "99999999999999999999"}, "count"),
        ({"every_weeks": ""}, "every_weeks"),
        ({"every_weeks": "-1"}, "every_weeks"),
        ({"starts_at": "soon"}, "starts_at"),
        ({"starts_at": "2020-01-01T10:00"}, "starts_at"),
        ({"service_id": ""}, "service_id"),
        ({"service_id": "9223372036854775807"}, "service_id"),
        ({"treatment_id": "987654", "card_for": ""}, "treatment_id"),
        ({"customer_id": ""}, "customer_q"),
        ({"customer_id": "987654"}, "customer_q"),
        ({"note": "x" * 2001}, "note"),
    ],
)
def test_what_cannot_be_right_is_refused_at_its_field(desk, spa, fields, changes, field, do):
    if "treatment_id" in changes:
        make_card(spa.customer, spa.facial, branch_id=spa.branch)
        changes = {**changes, "card_for": f"{spa.customer}:{spa.facial}"}
    with nothing_stored():
        answer = post(desk, "/bookings/series", **{**fields, **changes}, do=do)
    assert answer.status_code == 422
    assert error_at(answer, field)


def test_a_therapist_of_another_branch_is_refused_at_the_field(desk, spa, fields):
    with nothing_stored():
        answer = post(desk, "/bookings/series", **{**fields, "staff_id": spa.other_therapist})
    assert answer.status_code == 422
    assert error_at(answer, "staff_id") == "This therapist does not perform Basic Facial here."


def test_another_branch_is_not_found_and_a_therapist_may_not(desk, client, spa, fields):
    with nothing_stored():
        assert post(desk, "/bookings/series", **fields, branch_id=spa.other_branch).status_code == 404
        login(client, "therapist")
        assert post(client, "/bookings/series", **fields).status_code == 403
        assert client.get("/bookings/series").status_code == 403


def test_the_form_is_begun_from_the_customer_and_finds_one(desk, spa):
    assert f'href="/bookings/series?customer_id={spa.customer}"' in desk.get(f"/customers/{spa.customer}").text
    begun = desk.get(f"/bookings/series?customer_id={spa.customer}")
    assert "Lê Thị Mai" in begun.text
    assert re.search(r'name="count"[^>]*value="6"', begun.text)
    found = desk.get("/bookings/series?customer_q=mai")
    assert f"customer_id={spa.customer}" in found.text
    assert "Nobody found" in desk.get("/bookings/series?customer_q=zzz").text
    assert desk.get("/bookings/series?starts_at=soon").status_code == 422
