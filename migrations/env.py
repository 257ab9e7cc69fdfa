"""How migrations run: one at a time, and never waiting long for a lock that keeps the front desk waiting behind it."""

from alembic import context
from flask import current_app
from sqlalchemy import create_engine, pool, text

import spa_app.models  # noqa: F401 - fills the metadata
from spa_app.config import sqlalchemy_url
from spa_app.embedded import database_server
from spa_app.extensions import Base
from spa_app.privileges import grant

# Any number will do, as long as nothing else in this database locks it.
_ADVISORY_LOCK = 7_305_111


def run_migrations_offline() -> None:
    """Print the statements (``--sql``) instead of running them."""
    context.configure(
        url=current_app.config["SQLALCHEMY_DATABASE_URI"], target_metadata=Base.metadata, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online() -> None:
    """Run against the configured database; the embedded one is started for this if it does not run."""
    with database_server(current_app.config["SETTINGS"]) as url:
        engine = create_engine(sqlalchemy_url(url), poolclass=pool.NullPool)
        with engine.connect() as connection:
            # Two deployments at once: the second waits here, and then finds nothing left to do.
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
            connection.execute(text("SET lock_timeout = '4s'"))
            connection.execute(text("SET statement_timeout = '60s'"))
            connection.commit()
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                transaction_per_migration=True,
                **current_app.extensions["migrate"].configure_args,
            )
            with context.begin_transaction():
                context.run_migrations()
            with connection.begin():
                grant(connection)
        engine.dispose()


if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
