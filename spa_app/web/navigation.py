"""The rail and the search box: what there is, and who may see it. A page that is not registered is left out."""

from dataclasses import dataclass

from flask import Flask, current_app, request, url_for
from flask_babel import gettext
from flask_login import current_user

from spa_app.errors import N_

DESK = ("receptionist", "manager", "owner")
MANAGERS = ("manager", "owner")
EVERYONE = ("receptionist", "therapist", "manager", "owner")
# endpoint, label, icon, roles, the blueprints whose pages belong to it
RAIL = (
    (
        "calendar.day",
        N_("Calendar"),
        "calendar-days",
        EVERYONE,
        ("calendar", "bookings", "blocks", "affected", "walk_ins", "series", "waitlist", "deposits"),
    ),
    ("customers.index", N_("Customers"), "users", DESK, ("customers", "treatments", "cards")),
    ("invoices.index", N_("Sales"), "receipt", DESK, ("invoices", "sales", "day_close", "gift_cards", "store_credit")),
    ("rosters.week", N_("Roster"), "calendar-clock", EVERYONE, ("rosters",)),
    ("reports.index", N_("Reports"), "chart-column", MANAGERS, ("reports",)),
    ("setup.index", N_("Set-up"), "settings", MANAGERS, ("setup", "audit")),
)
SEARCH = ("search.results", "customers.index")


@dataclass(frozen=True)
class Item:
    """One link of the rail."""

    url: str
    label: str
    icon: str
    current: bool


def init_app(app: Flask) -> None:
    """Give templates the rail, the start page and the address of the search."""
    app.jinja_env.globals.update(navigation=navigation, home_url=home_url, search_url=search_url)


def navigation() -> list[Item]:
    """The links that this user may follow."""
    role = current_user.role if current_user.is_authenticated else ""
    return [
        Item(url_for(endpoint), gettext(label), icon, request.blueprint in blueprints)
        for endpoint, label, icon, roles, blueprints in RAIL
        if role in roles and endpoint in current_app.view_functions
    ]


def home_url() -> str:
    """Where a user starts: the first page of their rail, else the root."""
    return next((item.url for item in navigation()), "/")


def search_url() -> str | None:
    """Where the one search box asks; None while there is nothing to search, or for a role that may not."""
    if not current_user.is_authenticated or current_user.role not in DESK:
        return None
    return next((url_for(endpoint) for endpoint in SEARCH if endpoint in current_app.view_functions), None)
