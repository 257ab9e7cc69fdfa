"""The policies at the desk: told beforehand, waived by those who may, and brought back."""

import pytest

from spa_app.models import Booking
from spa_app.services import payments
from tests.factories import login, make_booking, make_card, set_policy, tomorrow_at
from tests.services.checks import invoice_of, rows
from tests.web.visits import HTMX, error_at, get, nothing_stored, post, text_of


@pytest.fixture
def fees(spa):
    set_policy(
        spa.branch,
        late_cancel_policy="fee",
        late_cancel_fee_bp=5_000,
        no_show_policy="fee",
        no_show_fee_amount=200_000,
        waiver_limit_amount=210_000,
    )
    return spa


FIELDS = {"cancel": {"reason": "ill"}, "no-show": {}}


def test_the_forms_say_beforehand_what_the_policy_takes(desk, client, fees):
    booking = make_booking(fees)
    page = desk.get(f"/bookings/{booking}")
    said = text_of(page)
    assert "This is late. By the branch's policy: A fee of ₫225,000 is charged and invoiced." in said
    assert "By the branch's policy for a no-show: A fee of ₫200,000 is charged and invoiced." in said
    assert "Above ₫210,000 a manager can waive it." in said
    assert 'id="cancel-waive"' not in page.text
    assert 'id="no-show-waive"' in page.text
    login(client, "manager")
    assert 'id="cancel-waive"' in client.get(f"/bookings/{booking}").text


def test_a_visit_of_another_day_is_cancelled_without_a_word_of_a_fee(desk, fees):
    booking = make_booking(fees, starts_at=tomorrow_at(fees.branch, "10:00"))
    assert "By the branch" not in text_of(desk.get(f"/bookings/{booking}"))


def test_the_forfeited_sessions_are_counted(desk, spa):
    set_policy(spa.branch, late_cancel_policy="forfeit")
    booking = make_booking(spa, card=make_card(spa.customer, spa.facial, branch_id=spa.branch))
    assert "1 reserved session is forfeited." in text_of(desk.get(f"/bookings/{booking}"))


@pytest.mark.parametrize("headers", [None, HTMX])
@pytest.mark.parametrize(("action", "fee"), [("cancel", "₫225,000"), ("no-show", "₫200,000")])
def test_a_fee_is_told_shown_and_taken(desk, fees, action, fee, headers):
    booking = make_booking(fees)
    answer = post(desk, f"/bookings/{booking}/{action}", headers, **FIELDS[action])
    assert answer.status_code == (200 if headers else 303)
    page = answer if headers else desk.get(answer.location)
    assert f"A fee of {fee} is charged." in text_of(page)
    assert f"Left to pay {fee}" in text_of(page)
    invoice = invoice_of(booking)
    assert f'class="button button--primary" href="/invoices/{invoice}"' in page.text
    name = "Late cancellation fee" if action == "cancel" else "No-show fee"
    assert name in text_of(desk.get(f"/invoices/{invoice}"))
    assert name in text_of(desk.get(f"/invoices/{invoice}/receipt"))


@pytest.mark.parametrize("headers", [None, HTMX])
def test_the_desk_waives_with_a_reason(desk, fees, headers):
    booking = make_booking(fees)
    for reason in ("", "  "):
        with nothing_stored():
            answer = post(desk, f"/bookings/{booking}/no-show", headers, waive="y", waive_reason=reason)
        assert answer.status_code == 422
        assert "Say why it is waived" in error_at(answer, "no-show-waive_reason")
        assert '<details class="booking-fold" open>' in answer.text
    with nothing_stored():
        long = post(desk, f"/bookings/{booking}/no-show", headers, waive="y", waive_reason="x" * 501)
    assert long.status_code == 422
    post(desk, f"/bookings/{booking}/no-show", headers, waive="y", waive_reason="a good customer")
    assert get(Booking, booking).status == "no_show"
    assert rows("SELECT count(*) FROM invoices") == [(0,)]


@pytest.mark.parametrize("headers", [None, HTMX])
def test_above_the_limit_a_manager_waives(desk, client, fees, headers):
    booking = make_booking(fees)
    fields = {"reason": "ill", "waive": "y", "waive_reason": "ill"}
    with nothing_stored():
        answer = post(desk, f"/bookings/{booking}/cancel", headers, **fields)
    assert answer.status_code == 403
    assert "more than ₫210,000 only a manager can waive" in text_of(answer)
    login(client, "manager")
    assert post(client, f"/bookings/{booking}/cancel", headers, **fields).status_code == (200 if headers else 303)
    assert rows("SELECT count(*) FROM invoices") == [(0,)]


def test_a_paid_fee_is_brought_back_by_a_manager_only(desk, client, fees):
    booking = make_booking(fees, status="no_show")
    assert f"/bookings/{booking}/undo-cancel" in desk.get(f"/bookings/{booking}").text
    payments.take_payment(invoice_of(booking), method="cash", amount=None, actor=fees.receptionist)
    page = desk.get(f"/bookings/{booking}")
    assert f"/bookings/{booking}/undo-cancel" not in page.text
    assert "The fee was paid: a manager can bring the visit back." in text_of(page)
    with nothing_stored():
        assert post(desk, f"/bookings/{booking}/undo-cancel").status_code == 403
    login(client, "manager")
    assert post(client, f"/bookings/{booking}/undo-cancel").status_code == 303
    assert "Credit note" in client.get(f"/bookings/{booking}").text
