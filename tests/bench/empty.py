"""The least that a Flask application can do."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def nothing() -> tuple[str, int]:
    """An answer without a body, like the one to a poll that finds nothing new."""
    return "", 204
