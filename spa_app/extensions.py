"""The Flask extensions, created bare so that any module may import them without importing the application."""

import datetime as dt
import select
from functools import cache
from typing import Any

import psycopg
from flask_babel import Babel
from flask_compress import Compress
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import BigInteger, DateTime, Engine, MetaData, Text, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, registry
from sqlalchemy.pool import Pool

REPORTS = "reports"  # the engine of the replica, if the installation has one


class Base(DeclarativeBase):
    """Every constraint gets a name from here, so that services can map a violated one to the field it belongs to."""

    registry = registry(
        metadata=MetaData(
            naming_convention={
                "pk": "pk_%(table_name)s",
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_name)s",
            }
        ),
        type_annotation_map={int: BigInteger, str: Text, dt.datetime: DateTime(timezone=True)},
    )


class Session(FlaskSession):
    """A session that may read without a transaction: ``info["reads"]`` says so, until ``info["atomic"]`` does not.

    ``info["reports"]`` says that what it reads is a report, which a replica may answer where there is one.

    A page then saves the round trips of BEGIN and ROLLBACK, and a ROLLBACK would make psycopg forget every statement it
    has prepared on the connection. PostgreSQL refuses whatever such a session would write (``default_transaction_read_
    only``), so that it stays true that only ``atomic()`` commits.
    """

    def get_bind(self, *args: Any, **kwargs: Any) -> Any:
        """The engine, set to autocommit where this session only reads."""
        engine = super().get_bind(*args, **kwargs)
        if not self.info.get("reads") or self.info.get("atomic") or not isinstance(engine, Engine):
            return engine
        return _reading(self._db.engines.get(REPORTS, engine) if self.info.get("reports") else engine)


@cache
def _reading(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@event.listens_for(Pool, "checkout")
def _renew_what_ended(connection: Any, *_: object) -> None:
    """Replace a pooled connection that the server has closed: after its restart no request need fail for that.

    A look at the socket costs microseconds where a ping would cost a round trip. A server has nothing to say to a
    client that asks nothing, unless it goes away; only one that has said something is asked.
    """
    poller = select.poll()
    try:
        poller.register(connection.fileno(), select.POLLIN)
        if poller.poll(0):
            connection.execute("SELECT 1")
            connection.rollback()
    except psycopg.Error as error:
        raise DisconnectionError from error


db = SQLAlchemy(model_class=Base, session_options={"class_": Session})
migrate = Migrate()
login_manager = LoginManager()
csrf = CSRFProtect()
babel = Babel()
compress = Compress()
limiter = Limiter(key_func=get_remote_address)
