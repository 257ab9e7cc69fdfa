"""The models and the migrations describe one schema, and the way down is the way up backwards."""

from dataclasses import replace

import flask_migrate
import psycopg
import pytest
import sqlalchemy as sa

from spa_app import create_app
from spa_app.config import sqlalchemy_url
from spa_app.extensions import Base, db
from tests.conftest import throw_away_databases

EVERYTHING = """
    SELECT conrelid::regclass::text || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype <> 't'
    UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT table_name || '.' || column_name,
        data_type || ' ' || is_nullable || coalesce(' default ' || column_default, '')
        || coalesce(generation_expression, '')
    FROM information_schema.columns WHERE table_schema = 'public'"""
TRIGGERS = """
    SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT proname, prosrc FROM pg_proc WHERE proname LIKE 'spa\\_%'"""


def _snapshot(url: str, query: str = EVERYTHING) -> dict[str, str]:
    with psycopg.connect(url) as connection:
        return {name: text for name, text in connection.execute(query) if "alembic_version" not in name}


@pytest.fixture
def bare_database(postgres):
    with throw_away_databases(postgres, "template0") as make:
        yield make()


def test_models_and_migrations_agree_to_the_letter(fresh_database, bare_database):
    migrated = fresh_database()
    (fold,) = (text for name, text in _snapshot(migrated, TRIGGERS).items() if name == "spa_fold")
    with psycopg.connect(bare_database) as connection:
        for extension in ("btree_gist", "pg_trgm", "unaccent"):
            connection.execute(f"CREATE EXTENSION {extension}")
        connection.execute(
            f"CREATE FUNCTION spa_fold(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $${fold}$$"
        )
    engine = sa.create_engine(sqlalchemy_url(bare_database))
    Base.metadata.create_all(engine)
    engine.dispose()

    assert _snapshot(bare_database) == _snapshot(migrated)


def test_downgrade_takes_all_away_and_upgrade_brings_it_back(settings, fresh_database):
    url = fresh_database()
    before = {**_snapshot(url), **_snapshot(url, TRIGGERS)}
    app = create_app(replace(settings, database_url=url))

    with app.app_context():
        flask_migrate.downgrade(revision="base")
        assert {**_snapshot(url), **_snapshot(url, TRIGGERS)} == {}
        flask_migrate.upgrade()
        db.engine.dispose()

    assert {**_snapshot(url), **_snapshot(url, TRIGGERS)} == before
