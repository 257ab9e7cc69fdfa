"""Tidying up the places that were held for somebody and not confirmed in time."""

from spa_app.services import holds


def end_lapsed_holds() -> int:
    """End the holds whose time has passed, and return how many those were: their sessions go back to the cards."""
    return holds.end_all_lapsed()
