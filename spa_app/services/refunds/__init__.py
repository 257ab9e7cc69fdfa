"""Giving back what was paid: of an invoice, whole or in part, or what is left of a card. Rules: 1-product, *Money*.

What comes back is always credited first, by a credit note; from there it settles what is still to be paid, is handed
out, stays store credit, or pays for another plan. So never more comes back than was paid.
"""

from spa_app.services.refunds.cards import PAY_BY, exchange_card, refund_card, withdraw_refund
from spa_app.services.refunds.invoices import (
    Wish,
    choose_amounts,
    refund_invoice,
    require_refundable,
    require_within_limit,
)
from spa_app.services.refunds.withdrawing import withdraw_invoice_refund

__all__ = [
    "PAY_BY",
    "Wish",
    "choose_amounts",
    "exchange_card",
    "refund_card",
    "refund_invoice",
    "require_refundable",
    "require_within_limit",
    "withdraw_invoice_refund",
    "withdraw_refund",
]
