"""A real Chromium before the real application, which serves the test database on a port of its own."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import select
from werkzeug.serving import make_server

from spa_app.extensions import db
from spa_app.models import User
from tests.factories import Spa

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK_PC = {"width": 1366, "height": 768}
expect.set_options(timeout=10_000)


@pytest.fixture(scope="session")
def site(app: Flask) -> Iterator[str]:
    """The address of the application, served by threads of this very process."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or whichever is there; ``CHROMIUM`` names another."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, "No Chromium or Chrome was found: install the package chromium."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def log_in(app: Flask, chromium: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """Open a page as the user of that name: ``log_in("reception")``; further options are the browser context's.

    Fails the test afterwards when the page has logged an error, such as something that the CSP refused.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def make(username: str, **options: object) -> Page:
        context = chromium.new_context(**{"viewport": DESK_PC, "base_url": site, **options})
        contexts.append(context)
        context.add_cookies([{"name": app.config["SESSION_COOKIE_NAME"], "value": _cookie(username), "url": site}])
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        return page

    def _cookie(username: str) -> str:
        with app.app_context():
            user_id = db.session.execute(select(User.id).where(User.username == username)).scalar_one()
            db.session.remove()
        session = {"_user_id": str(user_id), "_fresh": True, "_permanent": True}
        return str(app.session_interface.get_signing_serializer(app).dumps(session))

    yield make
    for context in contexts:
        context.close()
    # A refused form answers 4xx on purpose, and Chromium logs that as an error of the network; htmx logs each request
    # that is cut short because the page is left.
    harmless = ("Failed to load resource", "htmx:afterRequest", "htmx:sendAbort", "htmx:sendError")
    assert [fault for fault in faults if not any(one in fault for one in harmless)] == []


@pytest.fixture
def page(spa: Spa, log_in: Callable[..., Page]) -> Page:
    """A page of the receptionist of ``spa``, at the size of a desk PC."""
    return log_in("reception")
