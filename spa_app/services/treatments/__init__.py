"""Treatment cards: the only place that writes their session history, and the counters that cache it.

Every function that changes a card takes one that its caller holds locked (:func:`lock_cards`), joins the caller's
transaction, and moves value in the ledger where sessions become revenue. Rules: 1-product, *Treatment cards*.
"""

from spa_app.services.treatments.cards import cancel_unused_card, check_usable, lock_cards, open_card
from spa_app.services.treatments.lapsing import expire_due_batch
from spa_app.services.treatments.sessions import (
    forfeit_session,
    hold_session,
    punch_session,
    release_hold,
    return_session,
)
from spa_app.services.treatments.ways_out import sell_plan_way

__all__ = [
    "cancel_unused_card",
    "check_usable",
    "expire_due_batch",
    "forfeit_session",
    "hold_session",
    "lock_cards",
    "open_card",
    "punch_session",
    "release_hold",
    "return_session",
    "sell_plan_way",
]
