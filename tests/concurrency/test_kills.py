"""kill -9 of web, worker and PostgreSQL in the middle of load: what was acknowledged is there, and all of it once.

The whole of `up`, as a spa runs it, on a PostgreSQL with its crash safety on. Each client works like a browser whose
user tries again: the same form, with the same key, until it is answered.
"""

import os
import random
import re
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import flask_migrate
import httpx
import psycopg
import pytest
from flask import Flask

from spa_app import create_app
from spa_app.config import PROJECT_DIR
from spa_app.embedded import EmbeddedPostgres, EmbeddedRedis
from spa_app.embedded.kept import free_port
from spa_app.embedded.process import end, wait_until
from spa_app.extensions import db
from spa_app.jobs import outbox
from spa_app.services.reconciliation import list_faults
from tests import factories
from tests.books import find_faults
from tests.services.checks import rows
from tests.unit.test_commands import COMMAND, clean_environment

CLIENTS = 4
PATIENCE = 60.0  # seconds until a client gives an act up
EVERYTHING = ("serve", "worker", "postgres")

# What a completed and paid visit must have, once each.
ONCE = """
    SELECT b.id, b.status,
           (SELECT count(*) FROM audit_log a WHERE a.entity = 'booking' AND a.entity_id = b.id
                AND a.action = 'booking_completed'),
           (SELECT count(*) FROM treatment_entries e JOIN booking_items t ON t.id = e.booking_item_id
                WHERE t.booking_id = b.id AND e.kind = 'punch'),
           (SELECT count(*) FROM invoices i WHERE i.booking_id = b.id),
           (SELECT count(*) FROM payments p JOIN invoices i ON i.id = p.invoice_id
                WHERE i.booking_id = b.id AND p.reference = 'visit ' || b.id)
    FROM bookings b ORDER BY b.id
"""


@dataclass
class Running:
    """`up` on a data folder of its own."""

    folder: Path
    port: int
    log: Path
    process: subprocess.Popen | None = None

    def start(self) -> None:
        env = clean_environment(self.folder, PORT=str(self.port), WEB_WORKERS="2")
        with self.log.open("a") as out:
            self.process = subprocess.Popen([*COMMAND, "up"], cwd=PROJECT_DIR, env=env, stdout=out, stderr=out)

    def kill(self, *names: str) -> None:
        """Kill these, and what they have forked, without a warning."""
        for pid in [pid for name in names for pid in self._pids(name)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _pids(self, name: str) -> list[int]:
        if name in ("postgres", "redis"):
            server = EmbeddedPostgres(self.folder) if name == "postgres" else EmbeddedRedis(self.folder)
            return [server.pid] if server.pid else []
        if name == "up":
            return [self.process.pid]
        listing = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        ours = [line.split(None, 2) for line in listing.splitlines()]
        family = {self.process.pid}
        for _ in range(3):  # children, and what they have forked
            family |= {int(pid) for pid, parent, _ in ours if int(parent) in family}
        return [int(pid) for pid, _, command in ours if int(pid) in family and command.endswith(f"wsgi {name}")]


@dataclass
class Load:
    """Clients that start, complete and pay visits, each visit by one of them."""

    port: int
    token: str
    cookies: dict[str, str]
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: int = 0
    interrupted: int = 0
    failed: bool = False

    def work(self, visit: int) -> None:
        """Bring a visit from its start to its payment."""
        try:
            self._work(visit)
        except BaseException:
            self.failed = True
            raise

    def _work(self, visit: int) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", cookies=self.cookies, timeout=20) as browser:
            self._act(browser, f"/bookings/{visit}/start")
            self._act(browser, f"/bookings/{visit}/complete")
            page = self._ask(browser, "GET", f"/bookings/{visit}", 200).text
            invoice = re.search(r"/invoices/(\d+)", page)[1]
            paid = {"method": "card", "amount": "100000", "reference": f"visit {visit}"}
            self._act(browser, f"/invoices/{invoice}/payments", **paid)

    def _act(self, browser: httpx.Client, path: str, **fields: str) -> None:
        form = {"csrf_token": self.token, "idempotency_key": str(uuid.uuid4()), **fields}
        self._ask(browser, "POST", path, 303, data=form)
        with self.lock:
            self.done += 1

    def _ask(self, browser: httpx.Client, method: str, path: str, expected: int, **options) -> httpx.Response:
        """Ask until there is an answer; nothing but the ``expected`` one, and being away, is true here."""
        answers: list[httpx.Response] = []

        def answered() -> bool:
            try:
                answer = browser.request(method, path, **options)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                answers.append(answer)
                return True
            with self.lock:
                self.interrupted += 1
            return False

        assert wait_until(answered, PATIENCE), f"{method} {path} was never answered"
        assert answers[0].status_code == expected, f"{method} {path}: {answers[0].status_code} {answers[0].text[:2000]}"
        return answers[0]


def _book_visits(app: Flask, count: int) -> list[int]:
    """Visits of the last days: a prepaid consultation and one to pay."""
    with app.app_context():
        flask_migrate.upgrade()
        spa = factories.make_spa()
        card = factories.make_card(spa.customer, spa.consultation, branch_id=spa.branch, sessions=count)
        visits = []
        for number in range(count):
            day, hour = divmod(number // 2, 12)
            therapist = spa.therapists[number % 2]
            visits.append(
                factories.make_booking(
                    spa,
                    factories.ItemRequest(spa.consultation, therapist, None, card),
                    factories.ItemRequest(spa.consultation, therapist),
                    starts_at=factories.local_at(spa.branch, f"{8 + hour:02}:00", days=-1 - day),
                )
            )
        db.session.remove()
        db.engine.dispose()
    return visits


def _log_in(port: int) -> tuple[str, dict[str, str]]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as browser:

        def token(path: str) -> str:
            return re.search(r'name="csrf_token"[^>]*value="([^"]+)"', browser.get(path).text)[1]

        form = {"csrf_token": token("/login"), "username": "reception", "password": factories.PASSWORD}
        assert browser.post("/login", data=form).status_code == 303
        return token("/customers/new"), dict(browser.cookies)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def _spa(folder: Path, log: Path, settings, visits: int) -> Iterator[tuple[Running, Flask, list[int]]]:
    """`up` with visits to be done, and an application that looks at its database from outside."""
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    app = create_app(replace(settings, data_dir=folder, database_url=postgres.url))
    booked = _book_visits(app, visits)
    postgres.stop()
    running = Running(folder, free_port(), log)
    running.start()
    try:
        assert wait_until(lambda: _is_ready(running.port), 60), log.read_text()[-3000:]
        yield running, app, booked
    finally:
        end(running.process.pid, signal.SIGTERM, seconds=40, child=running.process)
        with app.app_context():
            db.engine.dispose()


def _missing(visits: list[int]) -> list[tuple]:
    """The visits that are not completed and paid, or more than once."""
    return [row for row in rows(ONCE) if row[0] in visits and row[1:] != ("completed", 1, 1, 1, 1)]


def _prove(folder: Path, log: Path, settings, record_property, *, visits: int, kills: list[tuple[str, ...]]) -> None:
    """Kill these sets of processes, one after the other, while the visits are done; then look at the books."""
    with _spa(folder, log, settings, visits) as (running, app, booked):
        load = Load(running.port, *_log_in(running.port))
        acts = 3 * visits
        with ThreadPoolExecutor(CLIENTS) as pool:
            work = [pool.submit(load.work, visit) for visit in booked]
            for number, victims in enumerate(kills, 1):
                wanted = acts * number // (len(kills) + 1)
                assert wait_until(lambda wanted=wanted: load.done >= wanted or load.failed, 2 * PATIENCE)
                running.kill(*victims)
                if "up" in victims:
                    running.process.wait()
                    running.start()
            for one in work:
                one.result()
        assert wait_until(lambda: _is_ready(running.port), 60), log.read_text()[-3000:]
        with app.app_context():
            outbox.sweep()
            undone = rows("SELECT count(*) FROM outbox WHERE done_at IS NULL")[0][0]
            faults = [*find_faults(), *(fault.text for fault in list_faults())]
            missing = _missing(booked)
            words = f"{len(kills)} × kill -9, {acts} acts, {load.interrupted} tries unanswered: {len(missing)} wrong"
            record_property("race", ("killed in the middle of load", "one transaction for each act", words))
            assert (load.done, missing, faults, undone) == (acts, [], [], 0)
            assert load.interrupted, "nothing was in the middle of anything"
            # The same look finds a visit that lost its payment.
            with psycopg.connect(app.config["SETTINGS"].database_url) as connection:
                connection.execute("SET session_replication_role = replica")
                connection.execute("DELETE FROM payments WHERE reference = %s", (f"visit {booked[0]}",))
            assert [row[0] for row in _missing(booked)] == booked[:1]


def test_nothing_is_lost_or_doubled_when_everything_is_killed_once(open_folder, tmp_path, settings, record_property):
    _prove(open_folder(), tmp_path / "log", settings, record_property, visits=16, kills=[EVERYTHING])


@pytest.mark.prove
def test_nothing_is_lost_or_doubled_when_it_is_killed_again_and_again(open_folder, tmp_path, settings, record_property):
    dice = random.Random(20260101)
    kills = [dice.choice([("serve",), ("worker",), ("postgres",), ("redis",), EVERYTHING]) for _ in range(6)]
    kills += [("up",), ("up", *EVERYTHING)]
    _prove(open_folder(), tmp_path / "log", settings, record_property, visits=120, kills=kills)
