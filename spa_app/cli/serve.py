"""The three processes of production: web, worker, scheduler. Each is also a child of `up`."""

import os
import signal
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from redis import Redis
from rq import Queue, Worker

from spa_app.cli.servers import with_servers
from spa_app.config import Settings
from spa_app.embedded.kept import port_is_free
from spa_app.embedded.process import die_with_parent, wait_until
from spa_app.errors import ConfigError
from spa_app.extensions import db
from spa_app.jobs.schedule import QUEUE, Scheduler
from spa_app.log import configure_logging

_THREADS = 4


@click.command()
@with_appcontext
def serve() -> None:
    """Serve the pages on 127.0.0.1:PORT (gunicorn, WEB_WORKERS processes)."""
    settings: Settings = current_app.config["SETTINGS"]
    configure_logging(settings.log_format)
    if not current_app.config["SECRET_KEY"]:
        raise ConfigError("SECRET_KEY is not set: sessions cannot be signed without one.")
    # Workers whose master was killed let go of the port within a second or two.
    if not wait_until(lambda: port_is_free(settings.port), 3):
        raise ConfigError(f"Port {settings.port} of 127.0.0.1 is taken by another program; set PORT to a free one.")
    with with_servers(redis=True) as app:
        _Gunicorn(app, settings).run()


@click.command()
@with_appcontext
def worker() -> None:
    """Run the queued jobs, and retry those that failed when their time comes."""
    configure_logging(current_app.config["SETTINGS"].log_format)
    with with_servers(redis=True) as app:
        # What the worker forks (each job, its timer) must not outlive it.
        os.register_at_fork(after_in_child=lambda: die_with_parent(signal.SIGTERM))
        connection = Redis.from_url(app.config["REDIS_URL"])
        _AppWorker([Queue(QUEUE, connection=connection)], connection=connection, app=app).work(
            logging_level="WARNING", with_scheduler=True
        )


@click.command()
@with_appcontext
def scheduler() -> None:
    """Enqueue what is due by the clock; several may run, each job is enqueued once."""
    configure_logging(current_app.config["SETTINGS"].log_format)
    with with_servers(redis=True) as app:
        Scheduler(Redis.from_url(app.config["REDIS_URL"])).start()  # type: ignore[no-untyped-call]


commands = [serve, worker, scheduler]


class _Gunicorn(BaseApplication):
    """gunicorn around an application that exists already, so that its workers share its memory."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        options = {
            "bind": f"127.0.0.1:{self.settings.port}",
            "workers": self.settings.web_workers,
            "worker_class": "gthread",
            "threads": _THREADS,
            "keepalive": 15,  # a calendar asks every ten seconds: not on a new connection each time
            "graceful_timeout": 10,
            "control_socket_disable": True,
            "logger_class": _GunicornLog,
            "post_fork": self._after_fork,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return self.app

    def _after_fork(self, _arbiter: object, _worker: object) -> None:
        with self.app.app_context():
            db.engine.dispose(close=False)


class _GunicornLog(Logger):
    """gunicorn's messages through the handlers of ``configure_logging``; requests are logged by the application."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.setLevel("WARNING")


class _AppWorker(Worker):
    """An RQ worker that runs each job in an application context of its own, on connections of its own."""

    def __init__(self, *args: Any, app: Flask, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._app = app

    def perform_job(self, *args: Any, **kwargs: Any) -> bool:
        with self._app.app_context():
            db.engine.dispose(close=False)
            return super().perform_job(*args, **kwargs)
