"""spa_app: the front desk of a spa."""

from flask import Flask

from spa_app import cli, models, web  # noqa: F401 - models fill the metadata that migrations compare
from spa_app.config import PROJECT_DIR, Settings, load_settings, sqlalchemy_url
from spa_app.embedded import embedded_database_url, embedded_redis_url, kept_secret_key
from spa_app.extensions import REPORTS, compress, db, migrate
from spa_app.jobs import outbox

# What each connection to the database asks for. A plan made for any value ("generic") cannot use a partial index whose
# condition is bound as a parameter, and PostgreSQL turns to one after a few executions: the calendar then took ten
# times as long. The pages read are in memory or on an SSD, where one at random costs about as much as the next.
# Queries name their tables from the one that they start at outwards: to try every other order of more than four of them
# would take the planner longer than the query.
CONNECTION_OPTIONS = " ".join(
    (
        "-c timezone=UTC",
        "-c lock_timeout=3s",
        "-c statement_timeout=30s",
        "-c plan_cache_mode=force_custom_plan",
        "-c random_page_cost=1.1",
        "-c join_collapse_limit=4",
        "-c jit=off",
    )
)

ENGINE_OPTIONS = {
    "pool_size": 8,
    "max_overflow": 8,
    # A connection that ended is found without a ping (extensions).
    "pool_pre_ping": False,
    # Each transaction says that it writes; what runs outside one only reads (extensions.Session).
    "connect_args": {"options": f"{CONNECTION_OPTIONS} -c default_transaction_read_only=on"},
    "execution_options": {"postgresql_readonly": False},
}


def create_app(settings: Settings | None = None) -> Flask:
    """The application, configured from the environment unless ``settings`` are given. Starts no server."""
    settings = settings or load_settings()
    app = Flask(
        "spa_app",
        root_path=str(PROJECT_DIR / "spa_app"),
        template_folder=str(PROJECT_DIR / "templates"),
        static_folder=str(PROJECT_DIR / "static"),
    )
    replica = settings.reports_database_url
    app.config.update(
        SETTINGS=settings,
        SECRET_KEY=settings.secret_key or kept_secret_key(settings.data_dir),
        SQLALCHEMY_DATABASE_URI=sqlalchemy_url(settings.database_url or embedded_database_url(settings.data_dir)),
        SQLALCHEMY_ENGINE_OPTIONS=ENGINE_OPTIONS,
        SQLALCHEMY_BINDS={REPORTS: {"url": sqlalchemy_url(replica), **ENGINE_OPTIONS}} if replica else {},
        REDIS_URL=settings.redis_url or embedded_redis_url(settings.data_dir),
        MAX_CONTENT_LENGTH=2 * 1024 * 1024,
        COMPRESS_MIN_SIZE=500,
    )
    db.init_app(app)
    migrate.init_app(app, db, directory=str(PROJECT_DIR / "migrations"))
    compress.init_app(app)
    outbox.hand_over_through(app.config["REDIS_URL"])
    web.init_app(app)
    cli.init_app(app)
    return app
