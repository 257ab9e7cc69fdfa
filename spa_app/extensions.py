"""The Flask extensions, created bare so that any module may import them without importing the application."""

import datetime as dt
from functools import cache
from typing import Any

from flask_babel import Babel
from flask_compress import Compress
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import BigInteger, DateTime, Engine, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, registry


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

    A page then saves the round trips of BEGIN and ROLLBACK, and a ROLLBACK would make psycopg forget every statement it
    has prepared on the connection. PostgreSQL refuses whatever such a session would write (``default_transaction_read_
    only``), so that it stays true that only ``atomic()`` commits.
    """

    def get_bind(self, *args: Any, **kwargs: Any) -> Any:
        """The engine, set to autocommit where this session only reads."""
        engine = super().get_bind(*args, **kwargs)
        only_reads = self.info.get("reads") and not self.info.get("atomic") and isinstance(engine, Engine)
        return _reading(engine) if only_reads else engine


@cache
def _reading(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


db = SQLAlchemy(model_class=Base, session_options={"class_": Session})
migrate = Migrate()
login_manager = LoginManager()
csrf = CSRFProtect()
babel = Babel()
compress = Compress()
limiter = Limiter(key_func=get_remote_address)
