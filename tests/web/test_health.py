"""Liveness and readiness."""

from dataclasses import replace

import psycopg
import pytest

from spa_app import create_app
from spa_app.config import Settings
from spa_app.embedded.kept import free_port
from spa_app.extensions import db


def test_healthz_answers(client):
    response = client.get("/healthz")

    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_readyz_is_ready(client):
    response = client.get("/readyz")

    assert (response.status_code, response.json) == (200, {"status": "ok", "missing": []})


@pytest.mark.parametrize(
    ("broken", "missing"),
    [
        ({"database_url": "postgresql://spa@127.0.0.1:{port}/spa"}, ["database", "migrations"]),
        ({"redis_url": "redis://127.0.0.1:{port}/0"}, ["redis"]),
    ],
)
def test_readyz_names_what_does_not_answer(settings: Settings, broken, missing):
    port = free_port()
    app = create_app(replace(settings, **{name: url.format(port=port) for name, url in broken.items()}))

    response = app.test_client().get("/readyz")

    with app.app_context():
        db.engine.dispose()
    assert (response.status_code, response.json) == (503, {"status": "unavailable", "missing": missing})


def test_readyz_names_missing_migrations(settings: Settings, fresh_database):
    url = fresh_database()
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM alembic_version")
    app = create_app(replace(settings, database_url=url))

    response = app.test_client().get("/readyz")

    with app.app_context():
        db.engine.dispose()
    assert (response.status_code, response.json["missing"]) == (503, ["migrations"])


def test_an_answer_carries_the_callers_request_id(client):
    assert client.get("/healthz", headers={"X-Request-ID": "desk-2.4711"}).headers["X-Request-ID"] == "desk-2.4711"


def test_a_strange_request_id_is_replaced(client):
    given = client.get("/healthz", headers={"X-Request-ID": "a b<script>"}).headers["X-Request-ID"]

    assert len(given) == 32
    assert given.isalnum()
