"""Each test begins with an empty database: the two tests here leave rows for each other."""

import pytest
from sqlalchemy import func, select, text

from spa_app.extensions import db
from spa_app.models import Account, AuditLog


@pytest.mark.parametrize("turn", [1, 2])
def test_rows_of_another_test_are_gone_and_reference_rows_are_back(app, turn):
    assert db.session.scalar(select(func.count()).select_from(AuditLog)) == 0
    assert db.session.scalar(select(func.count()).select_from(Account)) > 5

    db.session.execute(text("DELETE FROM accounts WHERE code = (SELECT min(code) FROM accounts)"))
    db.session.execute(text("INSERT INTO audit_log (action, entity, entity_id) VALUES ('test', 'test', 1)"))
    db.session.commit()
