"""A user who can log in; forms need no token (one test turns the tokens on)."""

from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient

from spa_app.extensions import db
from spa_app.models import Branch
from spa_app.services.actor import SYSTEM
from spa_app.services.transaction import atomic
from spa_app.services.users import create_user
from tests.factories import TIMEZONE, Spa, login


@dataclass(frozen=True)
class Someone:
    """A stored user and what they type to log in."""

    id: int
    branch_ids: tuple[int, ...]
    username: str
    password: str

    @property
    def credentials(self) -> dict[str, str]:
        return {"username": self.username, "password": self.password}


@pytest.fixture(autouse=True)
def _forms_without_tokens(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "WTF_CSRF_ENABLED", False)


@pytest.fixture
def user(app: Flask) -> Someone:
    """A receptionist of two branches; a third is not theirs."""
    with app.app_context():
        with atomic() as session:
            branches = [
                Branch(code=code, name=name, timezone=TIMEZONE)
                for code, name in (("Q1", "Quận 1"), ("Q7", "Quận 7"), ("HN", "Hà Nội"))
            ]
            session.add_all(branches)
            session.flush()
            ids = tuple(branch.id for branch in branches)
        user_id = create_user(
            username="Reception",
            password="a long password",
            full_name="Trần Thu Hà",
            role="receptionist",
            branch_ids=ids[:2],
            actor=SYSTEM,
        )
        db.session.remove()
    return Someone(user_id, ids, "reception", "a long password")


@pytest.fixture
def desk(client: FlaskClient, spa: Spa) -> FlaskClient:
    """A browser in which the receptionist of the small spa is logged in."""
    login(client, "reception")
    return client
