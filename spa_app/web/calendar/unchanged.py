"""The poll of a calendar, in front of the application: "nothing new" is said again while nothing was committed."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask, request

from spa_app.queries.snapshot import get_snapshot
from spa_app.web import request_log

PATH = "/calendar/grid"
KEPT_FOR = 60.0  # seconds: logins run out, and sessions are prolonged, by the application itself
MOST_KEPT = 500
_SAW = "spa_app.calendar_saw"

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Answer:
    snapshot: str
    until: float
    headers: Headers


class Unchanged:
    """Answers 204 to a poll that the application has just answered so, in the very state of the database.

    All that the answer hangs on is in that comparison: who is logged in and what they asked (cookies and query), and
    everything stored, their rights included. Whatever differs, and one poll a minute, goes the whole way. Every desk
    asks every ten seconds, and nearly always in vain.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._serve = app.wsgi_app
        self._kept: dict[tuple[str, str], _Answer] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The WSGI application."""
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "GET":
            return self._serve(environ, start_response)
        key = environ.get("HTTP_COOKIE", ""), environ["QUERY_STRING"]
        kept = self._kept.get(key)
        began = time.perf_counter()
        if kept is not None and time.monotonic() < kept.until and kept.snapshot == self._snapshot():
            request_id = request_log.name_request(environ.get("HTTP_X_REQUEST_ID", ""))
            start_response("204 NO CONTENT", [*kept.headers, ("X-Request-ID", request_id)])
            request_log.write(method="GET", path=PATH, status=204, began=began)
            return []
        said: Headers = []

        def hear(status: str, headers: Headers, exc_info: Any = None) -> Any:
            said[:] = headers
            return start_response(status, headers, exc_info)

        body = self._serve(environ, hear)
        # A cookie that is set will be another's key.
        if _SAW in environ and not any(name == "Set-Cookie" for name, _ in said):
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            headers = [(name, value) for name, value in said if name != "X-Request-ID"]
            self._kept[key] = _Answer(environ[_SAW], time.monotonic() + KEPT_FOR, headers)
        return body

    def _snapshot(self) -> str | None:
        with self._app.app_context():
            return get_snapshot()


def init_app(app: Flask) -> None:
    """Put it in front of the application."""
    app.wsgi_app = Unchanged(app)  # type: ignore[method-assign]


def note_unchanged(snapshot: str) -> None:
    """Say that this request's answer is "nothing new" whenever the database is in the state ``snapshot``."""
    request.environ[_SAW] = snapshot
