"""The jobs by which the clock keeps the house."""

import datetime as dt
import uuid

import time_machine
from sqlalchemy import select, text

from spa_app.extensions import db
from spa_app.jobs import nightly
from spa_app.models import IdempotencyKey
from spa_app.services import idempotency
from tests.factories import Spa, make_card, make_gift_card


def test_the_night_expires_in_every_branch_and_counts_the_cards(spa: Spa):
    for branch in (spa.branch, spa.other_branch):
        make_card(spa.customer, None, branch_id=branch, expiry_date=dt.date(2020, 1, 1))

    assert nightly.expire_due_treatments() == 2
    assert nightly.expire_due_treatments() == 0


def test_the_night_expires_gift_cards_and_counts_them(spa: Spa):
    for _ in range(2):
        make_gift_card(spa, expires_on=dt.date(2020, 1, 1))
    make_gift_card(spa)

    assert nightly.expire_due_gift_cards() == 2
    assert nightly.expire_due_gift_cards() == 0


def test_old_forms_are_forgotten_and_young_ones_are_not(spa: Spa):
    old, young = uuid.uuid4(), uuid.uuid4()
    for key in (old, young):
        idempotency.once(key, action="test", fingerprint="x", actor=spa.manager, work=lambda: 1)
    age = text("UPDATE idempotency_keys SET created_at = now() - interval '31 days' WHERE key = :key")
    db.session.execute(age, {"key": old})
    db.session.commit()

    assert nightly.forget_old_forms() == 1
    assert db.session.execute(select(IdempotencyKey.key)).scalars().all() == [young]


def test_a_month_later_every_form_is_forgotten(spa: Spa):
    idempotency.once(uuid.uuid4(), action="test", fingerprint="x", actor=spa.manager, work=lambda: 1)

    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(days=31)):
        assert nightly.forget_old_forms() == 1
