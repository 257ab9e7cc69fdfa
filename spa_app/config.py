"""Typed settings, read once from the environment. A bad one stops the start with one clear sentence."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from babel.numbers import get_currency_name, is_currency
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from spa_app.errors import ConfigError
from spa_app.integrations.email import is_smtp_url

PROJECT_DIR = Path(__file__).resolve().parent.parent
LOCALES = ("en", "vi")


@dataclass(frozen=True)
class Settings:
    """Every knob that the environment has (3-contract, *Environment*)."""

    data_dir: Path
    database_url: str | None  # None: the embedded server of data_dir
    redis_url: str | None  # None: the embedded server of data_dir
    secret_key: str | None  # None: the one that `make run` keeps in data_dir
    currency: str
    locale: str
    timezone: str
    port: int
    web_workers: int
    log_format: str
    smtp_url: str | None


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the environment. Raises :class:`ConfigError` naming the variable that cannot be used, and why."""
    database_url = environ.get("DATABASE_URL") or None
    if database_url and not (
        re.match(r"postgres(ql)?(\+psycopg)?://", database_url) and _can_be_parsed(make_url, database_url)
    ):
        raise ConfigError("DATABASE_URL must look like postgresql://user@host:port/name.")
    redis_url = environ.get("REDIS_URL") or None
    if redis_url and not (re.match(r"(rediss?|unix)://", redis_url) and _can_be_parsed(_port, redis_url)):
        raise ConfigError("REDIS_URL must look like redis://host:port/0 or unix:///path/to/socket.")
    currency = environ.get("SPA_CURRENCY", "VND")
    if not is_currency(currency) or not get_currency_name(currency):
        raise ConfigError(f"SPA_CURRENCY={currency} is not a currency code such as VND or EUR.")
    timezone = environ.get("SPA_TIMEZONE", "Asia/Ho_Chi_Minh")
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"SPA_TIMEZONE={timezone} is not a time zone such as Asia/Ho_Chi_Minh.") from error
    data_dir = Path(environ.get("SPA_DATA_DIR") or PROJECT_DIR / ".data").expanduser().resolve()
    smtp_url = environ.get("SMTP_URL") or None
    if smtp_url and not is_smtp_url(smtp_url):
        raise ConfigError("SMTP_URL must look like smtp://user:password@host:587?from=desk@spa.example.")
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        redis_url=redis_url,
        secret_key=environ.get("SECRET_KEY") or None,
        currency=currency,
        locale=_one_of(environ, "SPA_LOCALE", "en", LOCALES),
        timezone=timezone,
        port=_whole(environ, "PORT", 8000, 1, 65535),
        web_workers=_whole(environ, "WEB_WORKERS", 2, 1, 64),
        log_format=_one_of(environ, "LOG_FORMAT", "console", ("json", "console")),
        smtp_url=smtp_url,
    )


def sqlalchemy_url(database_url: str) -> str:
    """The same database, through psycopg 3."""
    return re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql+psycopg://", database_url)


def _can_be_parsed(parse: Callable[[str], object], url: str) -> bool:
    """Whether the library that will be given the address can read it: a port that is no number, say, it cannot."""
    try:
        parse(url)
    except (ValueError, ArgumentError):
        return False
    return True


def _port(url: str) -> int | None:
    return urlsplit(url).port


def _one_of(environ: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = environ.get(name) or default
    if value not in allowed:
        raise ConfigError(f"{name}={value} must be one of {', '.join(allowed)}.")
    return value


def _whole(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ConfigError(f"{name}={text} must be a whole number from {least} to {most}.")
    return int(text)
