"""The set-up: what scheduling rests on. One frame (:mod:`frame`), and beside it one module per page."""

from spa_app.web.setup import about, drawers, hours, plans, policies, promotions, rooms, services, templates, therapists  # noqa: F401 - routes
