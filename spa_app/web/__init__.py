"""The web: blueprints, forms, errors, security. Holds no rules."""

from flask import Flask

from spa_app.extensions import db
from spa_app.web import (
    assets,
    errors,
    filters,
    forms,
    health,
    htmx,
    i18n,
    looks,
    navigation,
    proxy,
    request_log,
    security,
    store_credit,
)
from spa_app.web.affected import routes as affected
from spa_app.web.auth import routes as auth
from spa_app.web.blocks import routes as blocks
from spa_app.web.bookings import items as _items  # noqa: F401 - its routes
from spa_app.web.bookings import new as bookings
from spa_app.web.bookings import series, walk_in
from spa_app.web.bookings import slots as _slots  # noqa: F401 - its route
from spa_app.web.calendar import routes as calendar
from spa_app.web.calendar import sheet, unchanged
from spa_app.web.customers import duplicates as _duplicates  # noqa: F401 - its routes
from spa_app.web.customers import files as _files  # noqa: F401 - its routes
from spa_app.web.customers import records as _records  # noqa: F401 - its routes
from spa_app.web.customers import routes as customers
from spa_app.web.day_close import drawers as _drawers  # noqa: F401 - its routes
from spa_app.web.day_close import routes as day_close
from spa_app.web.deposits import routes as deposits
from spa_app.web.gift_cards import routes as gift_cards
from spa_app.web.invoices import e_invoice as _e_invoice  # noqa: F401 - its routes
from spa_app.web.invoices import papers as _papers  # noqa: F401 - its routes
from spa_app.web.invoices import refunds as _refunds  # noqa: F401 - its routes
from spa_app.web.invoices import routes as invoices
from spa_app.web.invoices import transfers as _transfers  # noqa: F401 - its routes
from spa_app.web.reports import exports as _exports  # noqa: F401 - its routes
from spa_app.web.reports import ledger as _ledger  # noqa: F401 - its routes
from spa_app.web.reports import liability as _liability  # noqa: F401 - its routes
from spa_app.web.reports import routes as reports
from spa_app.web.rosters import leave as _leave  # noqa: F401 - its routes
from spa_app.web.rosters import routes as rosters
from spa_app.web.sales import routes as sales
from spa_app.web.setup import frame as setup
from spa_app.web.treatments import acts as _acts  # noqa: F401 - its routes
from spa_app.web.treatments import card as cards
from spa_app.web.treatments import routes as treatments
from spa_app.web.waitlist import routes as waitlist

# Of those that stand in front of the application, the last one sees a request first.
PARTS = (
    request_log,
    security,
    i18n,
    filters,
    forms,
    htmx,
    errors,
    navigation,
    unchanged,
    assets,
    looks,
    proxy,
)
AREAS = (
    affected,
    auth,
    blocks,
    bookings,
    calendar,
    cards,
    customers,
    day_close,
    gift_cards,
    deposits,
    health,
    invoices,
    reports,
    rosters,
    sales,
    series,
    setup,
    sheet,
    store_credit,
    treatments,
    waitlist,
    walk_in,
)


def init_app(app: Flask) -> None:
    """Register the blueprints and everything that runs around a request."""
    app.before_request(_read_without_transactions)
    for part in PARTS:
        part.init_app(app)
    for area in AREAS:
        app.register_blueprint(area.bp)


def _read_without_transactions() -> None:
    db.session().info["reads"] = True
