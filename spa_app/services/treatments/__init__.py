"""Treatment cards: the only place that writes their session history, and the counters that cache it.

What visits do to a card takes one that its caller holds locked (:func:`lock_cards`) and joins the caller's transaction;
what the desk does to the card itself (extend, freeze, share, transfer, adjust ...) takes its id, and locks it. Either
moves value in the ledger where there is any to move. Rules: 1-product, *Treatment cards*.
"""

from spa_app.services.treatments.adjusting import adjust_card, transfer_sessions
from spa_app.services.treatments.cards import (
    cancel_unused_card,
    check_usable,
    label,
    lock_card,
    lock_cards,
    open_card,
    resell_card,
)
from spa_app.services.treatments.lapsing import expire_due_batch
from spa_app.services.treatments.returning import (
    find_refund,
    require_refundable,
    take_back_rest,
    withdraw_refund_entry,
)
from spa_app.services.treatments.sessions import (
    forfeit_session,
    hold_session,
    is_held,
    punch_session,
    release_hold,
    return_session,
)
from spa_app.services.treatments.shares import share_card, unshare_card
from spa_app.services.treatments.validity import (
    extend_card,
    freeze_card,
    lengthen_card,
    may_extend,
    reactivate_card,
    unfreeze_card,
)
from spa_app.services.treatments.ways_out import sell_plan_way

__all__ = [
    "adjust_card",
    "cancel_unused_card",
    "check_usable",
    "expire_due_batch",
    "extend_card",
    "find_refund",
    "forfeit_session",
    "freeze_card",
    "hold_session",
    "is_held",
    "label",
    "lengthen_card",
    "lock_card",
    "lock_cards",
    "may_extend",
    "open_card",
    "punch_session",
    "reactivate_card",
    "release_hold",
    "require_refundable",
    "resell_card",
    "return_session",
    "sell_plan_way",
    "share_card",
    "take_back_rest",
    "transfer_sessions",
    "unfreeze_card",
    "unshare_card",
    "withdraw_refund_entry",
]
