"""The set-up: what scheduling rests on. One frame (:mod:`frame`), and beside it one module per page."""

from spa_app.web.setup import (  # noqa: F401 - routes
    about,
    drawers,
    hours,
    plans,
    policies,
    products,
    promotions,
    rooms,
    services,
    templates,
    therapists,
)
