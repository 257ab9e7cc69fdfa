"""The same through the front door: real server processes, real requests, fifty at once."""

import os
import re
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from spa_app import create_app
from spa_app.config import PROJECT_DIR
from spa_app.embedded.kept import free_port
from spa_app.embedded.process import wait_until
from spa_app.extensions import db
from tests import factories
from tests.books import find_faults
from tests.concurrency.race import WAITING
from tests.conftest import throw_away_databases
from tests.services.checks import invoice_of

CLIENTS = 50
PROCESSES = 2


@dataclass(frozen=True)
class Served:
    """Server processes on a database of their own, which this process sees too, and a browser that has logged in."""

    app: object
    spa: factories.Spa
    database_url: str
    browser: httpx.Client

    def token(self, path: str) -> str:
        """The CSRF token of a page's forms."""
        return re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.browser.get(path).text)[1]


@pytest.fixture(scope="module")
def served(settings, postgres, tmp_path_factory) -> Iterator[Served]:
    port = free_port()
    with throw_away_databases(postgres) as make:
        url = make()
        app = create_app(replace(settings, database_url=url))
        with app.app_context():
            spa = factories.make_spa()
            db.session.remove()
        env = os.environ | {
            "DATABASE_URL": url,
            "REDIS_URL": settings.redis_url,
            "SECRET_KEY": "only for tests",
            "PORT": str(port),
            "WEB_WORKERS": str(PROCESSES),
            "SPA_DATA_DIR": str(tmp_path_factory.mktemp("served")),
        }
        log = tmp_path_factory.mktemp("log") / "serve.log"
        with log.open("w") as out:
            server = subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", "serve"],
                cwd=PROJECT_DIR,
                env=env,
                stdout=out,
                stderr=out,
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as browser:
                assert wait_until(lambda: server.poll() is not None or _answers(browser), 30), log.read_text()
                served = Served(app, spa, url, browser)
                answer = browser.post(
                    "/login",
                    data={
                        "csrf_token": served.token("/login"),
                        "username": "reception",
                        "password": factories.PASSWORD,
                    },
                )
                assert answer.status_code == 303, log.read_text()
                yield served
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
            with app.app_context():
                db.engine.dispose()


def _answers(browser: httpx.Client) -> bool:
    try:
        return browser.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _post_at_once(served: Served, path: str, forms: list[dict], locked: str) -> list[httpx.Response]:
    """Send all forms while the row that they need is locked, and let go of it when several wait for it."""
    with (
        psycopg.connect(served.database_url) as holder,
        psycopg.connect(served.database_url, autocommit=True) as observer,
        ThreadPoolExecutor(len(forms)) as pool,
    ):
        holder.execute(locked)
        answers = [pool.submit(served.browser.post, path, data=form) for form in forms]
        assert wait_until(lambda: observer.execute(WAITING).fetchone()[0] >= PROCESSES + 1, 10)
        holder.rollback()
        return [answer.result() for answer in answers]


def test_fifty_requests_complete_one_visit_once(served, record_property):
    with served.app.app_context():
        spa = served.spa
        card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
        items = [
            factories.ItemRequest(spa.facial, spa.therapists[0], None, card),
            factories.ItemRequest(spa.consultation, spa.therapists[0]),
        ]
        booking = factories.make_booking(spa, *items, status="in_progress")
        db.session.remove()
    token = served.token(f"/bookings/{booking}")
    forms = [{"csrf_token": token, "idempotency_key": str(uuid.uuid4())} for _ in range(CLIENTS)]

    answers = _post_at_once(
        served, f"/bookings/{booking}/complete", forms, f"SELECT FROM bookings WHERE id = {booking} FOR UPDATE"
    )

    statuses = Counter(answer.status_code for answer in answers)
    with served.app.app_context():
        punches = db.session.scalar(sa.text("SELECT count(*) FROM treatment_entries WHERE kind = 'punch'"))
        invoices = db.session.scalar(sa.text("SELECT count(*) FROM invoices WHERE booking_id IS NOT NULL"))
        faults = find_faults()
    record_property(
        "race",
        (
            "complete one visit, through HTTP",
            "locks and constraints",
            f"{CLIENTS} clients: {dict(statuses)}; {punches} punch, {invoices} invoice; {len(faults)} faults",
        ),
    )
    assert statuses == {303: 1, 409: CLIENTS - 1}
    assert (punches, invoices, faults) == (1, 1, [])
    assert all("This visit is completed" in answer.text for answer in answers if answer.status_code == 409)


@pytest.mark.parametrize("same_form", [True, False])
def test_fifty_requests_take_one_payment(served, record_property, same_form):
    with served.app.app_context():
        at = factories.local_at(served.spa.branch, "10:00", days=-2 if same_form else -1)
        invoice = invoice_of(factories.make_booking(served.spa, status="completed", starts_at=at))
        db.session.remove()
    token = served.token(f"/invoices/{invoice}")
    form = {"csrf_token": token, "method": "cash", "amount": "450.000"}
    key = str(uuid.uuid4())
    forms = [form | {"idempotency_key": key if same_form else str(uuid.uuid4())} for _ in range(CLIENTS)]

    answers = _post_at_once(
        served, f"/invoices/{invoice}/payments", forms, f"SELECT FROM invoices WHERE id = {invoice} FOR UPDATE"
    )

    said = Counter((answer.status_code, urlsplit(answer.headers.get("Location", "")).path) for answer in answers)
    with served.app.app_context():
        count = sa.text("SELECT count(*) FROM payments WHERE invoice_id = :id")
        paid = db.session.scalar(count, {"id": invoice})
        faults = find_faults()
    name = "identical payment posts" if same_form else "pay one invoice in full, by different forms"
    words = dict(Counter(answer.status_code for answer in answers))
    record_property(
        "race", (f"{name}, through HTTP", "locks and constraints", f"{CLIENTS} clients: {words}; {paid} payment")
    )
    assert (paid, faults) == (1, [])
    if same_form:
        assert len(said) == 1
        assert words == {303: CLIENTS}
    else:
        assert words == {303: 1, 409: CLIENTS - 1}
