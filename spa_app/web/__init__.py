"""The web: blueprints, forms, errors, security. Holds no rules."""

from flask import Flask

from spa_app.web import health, request_log


def init_app(app: Flask) -> None:
    """Register the blueprints and everything that runs around a request."""
    request_log.init_app(app)
    app.register_blueprint(health.blueprint)
