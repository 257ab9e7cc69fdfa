"""One card on the web: its page, who may do what, and what a refusal leaves."""

import datetime as dt
import re

import pytest
import time_machine
from sqlalchemy import func, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import CustomerTreatment, Invoice, Payout, TreatmentEntry, TreatmentShare
from spa_app.services import expiry, treatments
from tests.books import assert_books_balance
from tests.factories import login, make_booking, make_card, make_customer, make_plan
from tests.web.visits import HTMX, error_at, get, nothing_stored, post, text_of


@pytest.fixture
def card(spa):
    """10 × facial, one used, seen by the receptionist."""
    card = make_card(spa.customer, spa.facial, branch_id=spa.branch)
    make_booking(spa, card=card, status="completed")
    return card


@pytest.fixture
def manager(client, spa):
    login(client, "manager")
    return client


def expiry_of(card):
    return get(CustomerTreatment, card).expiry_date


def entries(card):
    query = select(TreatmentEntry.kind).where(TreatmentEntry.treatment_id == card).order_by(TreatmentEntry.id)
    return list(db.session.execute(query).scalars())


def test_a_card_tells_its_history_and_offers_what_is_open(desk, spa, card):
    page = desk.get(f"/treatments/{card}")
    said = text_of(page)

    assert page.status_code == 200
    for words in ("Used", "Reserved", "Opened", "One session", "₫92,592", "₫833,334"):
        assert words in said
    assert re.findall(r"\?do=([a-z-]+)", page.text) == ["extend", "freeze", "share", "transfer"]
    assert f'href="/treatments/{card}"' in desk.get(f"/customers/{spa.customer}").text


def test_a_manager_is_offered_more(manager, card):
    page = manager.get(f"/treatments/{card}").text

    assert re.findall(r"\?do=([a-z-]+)", page) == [
        "extend",
        "freeze",
        "share",
        "transfer",
        "adjust",
        "exchange",
        "refund",
    ]


@pytest.mark.parametrize("act", ["extend", "freeze", "share", "transfer", "adjust", "exchange", "refund", "nonsense"])
def test_each_act_has_its_form_as_page_and_partial(manager, card, act):
    url = f"/treatments/{card}?do={act}&q=a"

    for headers in ({}, {"HX-Request": "true", "HX-Target": "main"}):
        page = manager.get(url, headers=headers)
        assert page.status_code == 200
        assert (f'action="/treatments/{card}/{act}"' in page.text) is (act != "nonsense")


def test_extending_by_a_plain_form_and_by_htmx(desk, card):
    before = expiry_of(card)

    plain = post(desk, f"/treatments/{card}/extend", expiry_date=before + dt.timedelta(days=10), reason="was ill")
    partial = post(desk, f"/treatments/{card}/extend", HTMX, expiry_date=before + dt.timedelta(days=20), reason="ill")

    assert (plain.status_code, plain.location) == (303, f"/treatments/{card}")
    assert partial.status_code == 204
    assert f'"/treatments/{card}"' in partial.headers["HX-Location"]
    assert expiry_of(card) == before + dt.timedelta(days=20)


def test_a_replay_extends_once(desk, card):
    fields = {"expiry_date": expiry_of(card) + dt.timedelta(days=10), "reason": "ill"}
    key = "0d9c1f5e-6a3b-4c8e-9b1d-3f2a7c5e8d10"

    answers = [post(desk, f"/treatments/{card}/extend", key=key, **fields).status_code for _ in range(3)]

    assert answers == [303, 303, 303]
    assert entries(card).count("extend") == 1


def test_refusals_stand_at_their_fields_and_store_nothing(desk, spa, card):
    extend = f"/treatments/{card}/extend"
    mother = make_customer()
    with nothing_stored():
        late = post(desk, extend, expiry_date=expiry_of(card) + dt.timedelta(days=31), reason="x")
        empty = post(desk, extend, expiry_date="", reason="")
        past = post(desk, extend, expiry_date="2020-01-01", reason="x")
        unfrozen = post(desk, f"/treatments/{card}/unfreeze")
        nobody = post(desk, f"/treatments/{card}/transfer", customer_id="", sessions="1", reason="x")
        stranger = post(desk, f"/treatments/{card}/share", customer_id="4711")
        blank = post(desk, f"/treatments/{card}/share", customer_id=" ")
        many = post(desk, f"/treatments/{card}/transfer", customer_id=mother, sessions="10", reason="x")

    assert (late.status_code, "30 days in all" in error_at(late, "expiry_date")) == (403, True)
    assert (empty.status_code, error_at(empty, "reason")) == (422, "Say why, in a few words.")
    assert error_at(empty, "expiry_date") == "Choose a date."
    assert past.status_code == 422
    assert (unfrozen.status_code, "is active" in text_of(unfrozen)) == (409, True)
    assert (nobody.status_code, stranger.status_code, blank.status_code) == (422, 422, 422)
    assert (many.status_code, "Only 9 sessions" in error_at(many, "sessions")) == (409, True)


def test_freezing_and_unfreezing(desk, spa, card):
    post(desk, f"/treatments/{card}/freeze", reason="abroad")
    frozen = desk.get(f"/treatments/{card}").text
    post(desk, f"/treatments/{card}/unfreeze")

    assert 'data-status="frozen"' in frozen
    assert re.findall(r"\?do=([a-z-]+)", frozen) == ["unfreeze"]
    assert entries(card)[-2:] == ["freeze", "unfreeze"]


def test_transferring_finds_the_customer_first(desk, spa, card):
    mother = make_customer("Trần Thị Hoa")

    found = desk.get(f"/treatments/{card}?do=transfer&q=hoa").text
    answer = post(desk, f"/treatments/{card}/transfer", customer_id=mother, sessions="4", reason="for her mother")

    assert f'value="{mother}"' in found
    hers = db.session.execute(select(CustomerTreatment).where(CustomerTreatment.customer_id == mother)).scalar_one()
    assert answer.location == f"/treatments/{hers.id}"
    page = text_of(desk.get(answer.location))
    assert "Transferred from" in page
    assert "Lê Thị Mai" in page
    assert f'value="{spa.customer}"' in desk.get(f"{answer.location}?do=transfer").text  # the way back is offered
    assert_books_balance()


def test_a_shared_card_is_offered_to_its_family(desk, spa, card):
    mother = make_customer("Trần Thị Hoa")
    post(desk, f"/treatments/{card}/share", customer_id=mother, session_limit="1")

    booking = desk.get(f"/bookings/new?customer_id={mother}&service_id={spa.facial}").text
    assert "shared by Lê Thị Mai" in booking
    assert "Trần Thị Hoa" in desk.get(f"/customers/{spa.customer}").text
    assert "Lê Thị Mai" in desk.get(f"/customers/{mother}").text
    make_booking(spa, card=card, customer_id=mother, starts_at=clock.now() + dt.timedelta(days=1))
    assert "shared by" not in desk.get(f"/bookings/new?customer_id={mother}&service_id={spa.facial}").text

    assert post(desk, f"/treatments/{card}/unshare", customer_id=mother).status_code == 303
    assert post(desk, f"/treatments/{card}/unshare", customer_id=mother).status_code == 404
    share = db.session.execute(select(TreatmentShare)).scalar_one()
    assert share.ended_by_id is not None


def test_a_refund_is_worked_out_before_it_is_done(manager, spa, card):
    shown = manager.get(f"/treatments/{card}?do=refund&basis=list_price&fee_amount=10.000")
    said = text_of(shown)

    for words in ("9 sessions left", "₫833,334", "VAT back ₫66,666", "₫450,000 instead of ₫99,999", "-₫10,000"):
        assert words in said
    # 900,000 − (450,000 − 99,999) − 10,000
    assert "Comes back ₫539,999" in said
    fields = dict(
        re.findall(r'<input type="hidden" name="(basis|fee_amount|shown_amount)" value="([^"]*)"', shown.text)
    )
    assert fields == {"basis": "list_price", "fee_amount": "10,000", "shown_amount": "539999"}
    answer = post(manager, f"/treatments/{card}/refund", **fields, pay_by="cash", reason="moves away")

    assert (answer.status_code, answer.location) == (303, f"/treatments/{card}")
    assert db.session.execute(select(Payout.amount)).scalar_one() == 539_999
    page = text_of(manager.get(answer.location))
    assert "Refunded" in page
    assert "the rest refunded" in page
    note = db.session.scalar(select(func.max(Invoice.id)).where(Invoice.kind == "credit_note"))
    paper = text_of(manager.get(f"/invoices/{note}"))
    for words in ("Used sessions at the list price", "Refund fee", "-₫539,999"):
        assert words in paper
    assert_books_balance()


def test_sums_that_have_changed_meanwhile_are_shown_anew(manager, spa, card):
    make_booking(spa, card=card, status="completed", starts_at=clock.now() - dt.timedelta(hours=3))

    with nothing_stored():
        answer = post(
            manager,
            f"/treatments/{card}/refund",
            basis="pro_rata",
            fee_amount="0",
            shown_amount="900000",
            pay_by="cash",
            reason="x",
        )

    assert answer.status_code == 409
    assert 'name="shown_amount" value="800001"' in answer.text
    assert "Look at them again" in text_of(answer)


def test_a_refund_as_credit_can_be_taken_back(manager, card):
    post(manager, f"/treatments/{card}/refund", basis="pro_rata", fee_amount="", pay_by="store_credit", reason="x")
    refunded = manager.get(f"/treatments/{card}").text
    post(manager, f"/treatments/{card}/withdraw-refund", reason="stays")

    assert re.findall(r"\?do=([a-z-]+)", refunded) == ["withdraw-refund"]
    assert get(CustomerTreatment, card).status == "active"


def test_an_exchange_leads_to_the_new_invoice(manager, spa, card):
    dear = make_plan([(spa.massage, 10)], price=5_000_000)

    answer = post(manager, f"/treatments/{card}/exchange", plan_id=dear, fee_amount="0", reason="wants more")

    new = db.session.scalar(select(func.max(Invoice.id)).where(Invoice.kind == "invoice"))
    assert (answer.status_code, answer.location) == (303, f"/invoices/{new}")
    assert get(Invoice, new).paid_amount == 900_000


def test_adjusting_and_reactivating(manager, spa, card):
    post(manager, f"/treatments/{card}/adjust", sessions="2", reason="a gift")
    assert get(CustomerTreatment, card).total_sessions == 12
    with time_machine.travel(clock.now() + dt.timedelta(days=366), tick=True):
        expiry.expire_due()
        login(manager, "manager")
        page = manager.get(f"/treatments/{card}").text
        assert re.findall(r"\?do=([a-z-]+)", page) == ["reactivate"]
        to = clock.now().date() + dt.timedelta(days=30)
        post(manager, f"/treatments/{card}/reactivate", expiry_date=to, reason="a good customer")
    assert (get(CustomerTreatment, card).status, expiry_of(card)) == ("active", to)


@pytest.mark.parametrize("act", ["adjust", "refund", "exchange", "reactivate", "withdraw-refund"])
def test_the_desk_leaves_these_to_managers(desk, card, act):
    with nothing_stored():
        assert post(desk, f"/treatments/{card}/{act}", reason="x").status_code == 403


def test_another_branch_sees_no_such_card(client, spa, card):
    login(client, "reception7")

    assert client.get(f"/treatments/{card}").status_code == 404
    assert post(client, f"/treatments/{card}/freeze", reason="x").status_code == 404
    assert f'href="/treatments/{card}"' not in client.get(f"/customers/{spa.customer}").text


def test_a_long_history_has_pages(desk, spa, card):
    for number in range(20):
        treatments.freeze_card(card, reason=f"pause {number}", actor=spa.receptionist)
        treatments.unfreeze_card(card, actor=spa.receptionist)
    db.session.remove()

    assert "Page 1 of 2" in text_of(desk.get(f"/treatments/{card}"))
    assert "Opened" in text_of(desk.get(f"/treatments/{card}?page=2"))


def test_a_plan_for_sale_tells_its_bonus_and_validity(desk, spa):
    make_plan([(spa.facial, 10)], bonus=2, months=6, from_first_visit=True, name="Buy 10 get 2")

    page = text_of(desk.get(f"/customers/{spa.customer}/treatments"))

    assert "10 × Basic Facial and 2 free · valid 6 months, from the first visit" in page
