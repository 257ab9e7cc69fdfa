"""Gift cards: the only place that writes their history, and the balance that caches it.

A gift card is owed to whoever brings its code (account 2140, each line naming the card) until it is spent, expires or
is taken back. It is a multi-purpose voucher: what it will buy, and at which rate of VAT, is not known when it is sold.
So its sale holds no VAT; the VAT falls due with what it pays for, on that invoice (Directive 2006/112/EC, Articles
30a(3) and 30b(2), as amended by Directive (EU) 2016/1065).

What invoices and payments do joins the caller's transaction and returns the ledger's line to be posted with theirs; who
calls holds the invoice locked. What the desk does to a card by itself stands in ``gift_card_desk``. Lock order: invoice
→ gift cards by id → customer.
"""

from spa_app.services.gift_cards.cards import (
    append_entry,
    issue_for,
    label,
    last_day,
    local_today,
    lock_card,
    open_card,
    require_paid,
)
from spa_app.services.gift_cards.lapsing import expire_due_batch
from spa_app.services.gift_cards.spending import lock_for_payment, look_at, put_back, redeem
from spa_app.services.gift_cards.withdrawing import cancel_sold, give_again, lock_of, lock_unused, take_back

__all__ = [
    "append_entry",
    "cancel_sold",
    "expire_due_batch",
    "give_again",
    "issue_for",
    "label",
    "last_day",
    "local_today",
    "lock_card",
    "lock_for_payment",
    "lock_of",
    "lock_unused",
    "look_at",
    "open_card",
    "put_back",
    "redeem",
    "require_paid",
    "take_back",
]
