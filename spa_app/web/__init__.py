"""The web: blueprints, forms, errors, security. Holds no rules."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the blueprints and everything that runs around a request."""
