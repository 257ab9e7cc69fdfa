"""One log line for each request, and an id that ties together what a request logs."""

import re
import time
import uuid

import structlog
from flask import Flask, Response, g, request

log = structlog.stdlib.get_logger("spa_app.web")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_NOT_LOGGED = ("/healthz", "/readyz", "/static/")


def init_app(app: Flask) -> None:
    """Bind ``request_id`` (the caller's X-Request-ID if it is a plain word, else a new one) and log each answer."""
    app.before_request(_begin)
    app.after_request(_end)


def name_request(given: str) -> str:
    """The id of a request, and of all that is logged from here on: ``given`` if it is a plain word, else a new one."""
    request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def write(*, method: str, path: str, status: int, began: float) -> None:
    """Log an answer; ``began`` is when ``time.perf_counter()`` saw the request come."""
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    log.info("request", method=method, path=path, status=status, milliseconds=milliseconds)


def _begin() -> None:
    g.request_id = name_request(request.headers.get("X-Request-ID", ""))
    g.request_began = time.perf_counter()


def _end(response: Response) -> Response:
    # Neither is set when an earlier before_request function has already answered.
    if "request_id" in g:
        response.headers["X-Request-ID"] = g.request_id
        if not request.path.startswith(_NOT_LOGGED):
            # The path alone: a query string may hold a customer's name or phone.
            write(method=request.method, path=request.path, status=response.status_code, began=g.request_began)
    return response
