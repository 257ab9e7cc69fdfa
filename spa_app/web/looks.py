"""The log of who read what is nobody else's: a template that shows it says so, and one statement stores it all.

A badge is no look. Health, notes and files have pages of their own, which log each look themselves.
"""

from flask import Flask, Response, g

from spa_app.services.customer_records import record_looks
from spa_app.web.security import current_actor


def init_app(app: Flask) -> None:
    """Let templates say ``{{ looked_at(customer_id, "allergies") }}``, and log it before the page goes out."""
    app.jinja_env.globals["looked_at"] = _remember
    app.after_request(_store)


def _remember(customer_id: int, what: str) -> str:
    g.setdefault("looks", set()).add((customer_id, what))
    return ""


def _store(response: Response) -> Response:
    looks = g.pop("looks", None)
    if looks:
        record_looks(looks, actor=current_actor())
    return response
