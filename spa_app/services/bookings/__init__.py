"""Visits, from booking to undoing: asks scheduling for places, treatments for sessions and billing for invoices."""

from spa_app.services.bookings.affected import AffectedList, AffectedVisit, find_affected
from spa_app.services.bookings.booking import ItemRequest, book, find_moves, move
from spa_app.services.bookings.holding import hold_place, release_hold
from spa_app.services.bookings.items import add_item, cancel_item, change_item, change_payment
from spa_app.services.bookings.paying import Settlement
from spa_app.services.bookings.progress import arrive, complete, confirm, start
from spa_app.services.bookings.reversal import cancel, mark_no_show, undo_cancel, undo_complete
from spa_app.services.bookings.series import SeriesDate, SeriesRefusedError, SeriesRequest, book_series, preview_series
from spa_app.services.bookings.substitution import Mark, Substitution, apply_substitutes
from spa_app.services.bookings.walk_in import take_walk_in

__all__ = [
    "AffectedList",
    "AffectedVisit",
    "ItemRequest",
    "Mark",
    "SeriesDate",
    "SeriesRefusedError",
    "SeriesRequest",
    "Settlement",
    "Substitution",
    "add_item",
    "apply_substitutes",
    "arrive",
    "book",
    "book_series",
    "cancel",
    "cancel_item",
    "change_item",
    "change_payment",
    "complete",
    "confirm",
    "find_affected",
    "find_moves",
    "hold_place",
    "mark_no_show",
    "move",
    "preview_series",
    "release_hold",
    "start",
    "take_walk_in",
    "undo_cancel",
    "undo_complete",
]
