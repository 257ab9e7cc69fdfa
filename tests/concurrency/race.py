"""Many clients at once, made to meet where it hurts: each with its own thread, database connection and transaction."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy.sql.selectable import Select

from spa_app.errors import DomainError
from spa_app.extensions import db
from tests.concurrency.table import GUARDS

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
PATIENCE = 60  # seconds after which a race counts as stuck


@dataclass(frozen=True)
class Outcome:
    """What one client was answered: a result, or an error."""

    result: Any = None
    error: Exception | None = None

    @property
    def said(self) -> str:
        """``done``, the code of the refusal, or the error's name where it is no refusal."""
        if self.error is None:
            return "done"
        return self.error.code if isinstance(self.error, DomainError) else type(self.error).__name__


class Gate:
    """Stops the clients between their reading and their writing until every one has read, or waits for another's lock.

    So the window of the race is as wide as it can be, without guessing how long anything takes.
    """

    def __init__(self) -> None:
        self._open = threading.Event()
        self._mutex = threading.Lock()
        self.inside = 0

    def stop_here(self) -> None:
        """Called by a client in the middle of its transaction."""
        with self._mutex:
            self.inside += 1
        assert self._open.wait(PATIENCE), "the other clients never came"

    def open(self) -> None:
        """Let everyone through, now and from now on."""
        self._open.set()


def stop_after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, gate: Gate | None = None) -> Gate:
    """Put a gate (a new one, or one that stands elsewhere too) behind a function that reads what decides."""
    gate = gate or Gate()
    read = getattr(owner, name)

    def read_and_stop(*args: Any, **kwargs: Any) -> Any:
        answer = read(*args, **kwargs)
        gate.stop_here()
        return answer

    monkeypatch.setattr(owner, name, read_and_stop)
    return gate


def take_off_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every SELECT … FOR UPDATE a plain SELECT."""
    monkeypatch.setattr(Select, "with_for_update", lambda self, **_: self)


def run(app: Flask, url: str, clients: Sequence[Callable[[], Any]], gate: Gate) -> list[Outcome]:
    """Let all clients go at once, open the gate when nobody else can come to it, and return what each was answered."""
    outcomes: list[Outcome | None] = [None] * len(clients)
    start = threading.Barrier(len(clients))
    finished = threading.Semaphore(0)

    def work(number: int) -> None:
        with app.app_context():
            try:
                start.wait(PATIENCE)
                outcomes[number] = Outcome(result=clients[number]())
            except Exception as error:
                outcomes[number] = Outcome(error=error)
            finally:
                db.session.remove()
                finished.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    done = 0
    with psycopg.connect(url, autocommit=True) as observer:
        while done < len(clients):
            waiting = observer.execute(WAITING).fetchone()[0]
            if gate.inside + waiting + done >= len(clients):
                gate.open()
            done += finished.acquire(timeout=0.01)
    for thread in threads:
        thread.join(PATIENCE)
    assert gate.inside, "no client ever came to the gate: the race was not where the test looks"
    return [outcome for outcome in outcomes if outcome is not None]


def summary(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many clients were answered what."""
    return dict(sorted(Counter(outcome.said for outcome in outcomes).items()))


def take_off(guards: str, url: str, constraints: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Take off what ``guards`` leaves out: the locks of this process, or by ``constraints`` those of the database."""
    if guards in ("locks only", "neither"):
        with psycopg.connect(url) as connection:
            for statement in constraints:
                connection.execute(statement)
    if guards in ("constraints only", "neither"):
        take_off_locks(monkeypatch)


def judge(
    name: str,
    guards: str,
    outcomes: Sequence[Outcome],
    faults: Sequence[str],
    refusals: frozenset[str],
    record_property: Callable[[str, object], None],
) -> None:
    """Enter a race of which one may win into the table, and hold it to that; without guards the check must fail."""
    said = summary(outcomes)
    result = f"{len(outcomes)} clients: " + ", ".join(f"{count} {word}" for word, count in said.items())
    record_property("race", (name, guards, f"{result}; {len(faults)} faults"))
    if guards == "neither":
        assert faults, said
        assert said["done"] > 1
        return
    assert list(faults) == []
    assert said["done"] == 1, said
    if guards == GUARDS[0]:
        assert said.keys() <= {"done"} | refusals
