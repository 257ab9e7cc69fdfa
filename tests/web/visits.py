"""What the web tests of visits share."""

import re
import uuid
from contextlib import contextmanager
from html import unescape

from sqlalchemy import func, select

from spa_app.extensions import db
from spa_app.models import CustomerTreatment
from spa_app.web.times import format_local
from tests.factories import (
    TIMEZONE,
    local_at,
    tomorrow_at,
)

HTMX = {"HX-Request": "true", "HX-Target": "panel", "HX-Current-URL": "http://localhost/calendar?date=2030-01-01&new=1"}
STEPS = ("confirm", "arrive", "start", "complete", "no-show", "undo-complete", "undo-cancel", "cancel", "move")


def counts():
    """The number of rows in every table."""
    db.session.rollback()
    return {
        table.name: db.session.execute(select(func.count()).select_from(table)).scalar_one()
        for table in db.metadata.sorted_tables
    }


@contextmanager
def nothing_stored():
    before = counts()
    yield
    assert counts() == before


def get(entity, id_):
    db.session.expire_all()
    return db.session.get_one(entity, id_)


def post(client, url, headers=None, *, key=None, **fields):
    fields = {name.replace("__", "-"): value for name, value in fields.items() if value is not None}
    return client.post(url, data={"idempotency_key": key or str(uuid.uuid4()), **fields}, headers=headers)


def undo_in(answer):
    """Where the newest toast's undo goes, and its fields; None where it offers none."""
    toast = answer.text[answer.text.rindex("data-toast>") :]
    form = re.search(r'<form method="post" action="([^"]+)".*?</form>', toast, re.S)
    return (form[1], dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form[0]))) if form else None


def visit_fields(spa, **changes):
    fields = {
        "customer_id": spa.customer,
        "starts_at": format_local(tomorrow_at(spa.branch, "10:00"), TIMEZONE),
        "items-0-service_id": spa.facial,
        "items-0-staff_id": "",
        "items-0-resource_id": "",
        "items-0-treatment_id": "",
        "note": "",
    }
    return {**fields, **changes}


def text_of(answer):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)))


def error_at(answer, id_):
    """What stands at a field as its error."""
    found = re.search(rf'id="{re.escape(id_)}-error">.*?<span>(.*?)</span>', answer.text, re.S)
    assert found, f"no error at {id_}: {text_of(answer)[:600]}"
    return unescape(found[1])


def freeze(card, spa):
    get(CustomerTreatment, card).frozen_on = local_at(spa.branch, "00:00").date()
    db.session.commit()
