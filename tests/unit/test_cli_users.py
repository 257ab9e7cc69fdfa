"""flask create-user: a login on a fresh installation, and one sentence for each thing that is wrong."""

import pytest
from flask import Flask
from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import User
from tests.factories import Spa, actor_of

GOOD = ["create-user", "lan", "--role", "receptionist", "--name", "Phạm Ngọc Lan", "--branch", "Q1"]


def _run(app: Flask, *args: str):
    return app.test_cli_runner().invoke(args=[*args, "--password", "a long password"])


def test_a_login_is_added(app: Flask, spa: Spa):
    result = _run(app, *GOOD)

    assert result.exit_code == 0
    user = db.session.execute(select(User).where(User.username == "lan")).scalar_one()
    assert actor_of(user.id).branch_ids == frozenset({spa.branch})


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([*GOOD[:-1], "XX"], "There is no branch XX."),
        (GOOD[:-2], "A receptionist needs at least one --branch."),
        ([GOOD[0], "reception", *GOOD[2:]], "Another user already has this name."),
    ],
)
def test_what_is_wrong_is_one_sentence(app: Flask, spa: Spa, args: list[str], sentence: str):
    result = _run(app, *args)

    assert result.exit_code == 1
    assert str(result.exception) == sentence or sentence in result.output
