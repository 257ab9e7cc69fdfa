"""Whether the process lives (`/healthz`) and whether it can do its work (`/readyz`)."""

from collections.abc import Callable
from functools import cache

import redis
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, Response, current_app, jsonify
from sqlalchemy.exc import SQLAlchemyError

from spa_app.extensions import db
from spa_app.web.security import public

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def healthz() -> Response:
    """200 whenever the process answers at all."""
    return jsonify(status="ok")


@bp.get("/readyz")
@public
def readyz() -> tuple[Response, int]:
    """200 if database and Redis answer and every migration has run; otherwise 503 with what is missing."""
    checks: dict[str, Callable[[], bool]] = {"database": _database, "redis": _redis, "migrations": _migrations}
    missing = [name for name, check in checks.items() if not check()]
    if missing:
        return jsonify(status="unavailable", missing=missing), 503
    return jsonify(status="ok", missing=[]), 200


def _database() -> bool:
    try:
        with db.engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except SQLAlchemyError:
        return False
    return True


def _redis() -> bool:
    client = redis.Redis.from_url(current_app.config["REDIS_URL"], socket_connect_timeout=2, socket_timeout=2)
    try:
        return bool(client.ping())
    except redis.exceptions.RedisError:
        return False
    finally:
        client.close()


def _migrations() -> bool:
    try:
        with db.engine.connect() as connection:
            return set(MigrationContext.configure(connection).get_current_heads()) == _heads()
    except SQLAlchemyError:
        return False


@cache
def _heads() -> set[str]:
    directory = current_app.extensions["migrate"].directory
    return set(ScriptDirectory(directory).get_heads())
