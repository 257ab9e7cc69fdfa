"""The set-up: what scheduling rests on. One frame (:mod:`frame`), and beside it one module per page."""

from spa_app.web.setup import about, hours, plans, policies, products, rooms, services, templates, therapists  # noqa: F401
