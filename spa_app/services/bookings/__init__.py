"""Visits, from booking to undoing: asks scheduling for places, treatments for sessions and billing for invoices."""

from spa_app.services.bookings.affected import AffectedList, AffectedVisit, find_affected
from spa_app.services.bookings.booking import ItemRequest, book
from spa_app.services.bookings.holding import hold_place, release_hold
from spa_app.services.bookings.items import add_item, cancel_item, change_item, change_payment
from spa_app.services.bookings.moving import find_moves, move
from spa_app.services.bookings.party import (
    Guest,
    arrive_party,
    book_party,
    cancel_party,
    complete_party,
    find_party_slots,
    move_party,
    start_party,
)
from spa_app.services.bookings.paying import Settlement
from spa_app.services.bookings.progress import arrive, complete, confirm, lines_to_pay, start
from spa_app.services.bookings.reversal import cancel, mark_no_show, undo_cancel, undo_complete
from spa_app.services.bookings.series import SeriesDate, SeriesRefusedError, SeriesRequest, book_series, preview_series
from spa_app.services.bookings.substitution import Mark, Substitution, apply_substitutes
from spa_app.services.bookings.walk_in import list_meant, take_walk_in

__all__ = [
    "AffectedList",
    "AffectedVisit",
    "Guest",
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
    "arrive_party",
    "book",
    "book_party",
    "book_series",
    "cancel",
    "cancel_item",
    "cancel_party",
    "change_item",
    "change_payment",
    "complete",
    "complete_party",
    "confirm",
    "find_affected",
    "find_moves",
    "find_party_slots",
    "hold_place",
    "lines_to_pay",
    "list_meant",
    "mark_no_show",
    "move",
    "move_party",
    "preview_series",
    "release_hold",
    "start",
    "start_party",
    "take_walk_in",
    "undo_cancel",
    "undo_complete",
]
