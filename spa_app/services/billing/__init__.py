"""Invoices and credit notes; only the credit notes of refunded cards are written elsewhere, in ``refunds.cards``.

Rules: 1-product, *Money*. Every function joins the caller's transaction or makes its own, and posts to the ledger what
it did.
"""

from spa_app.services.billing.changing import change_bill, granted_amount, require_changeable, service_lines
from spa_app.services.billing.composing import Composed, compose, require_grantable
from spa_app.services.billing.crediting import count_credit, settle_due, write_credit_note
from spa_app.services.billing.issuing import (
    STATUS_WORDS,
    Line,
    credit_lines,
    issue,
    list_lines,
    lock_customer,
    lock_invoice,
    next_number,
)
from spa_app.services.billing.selling import charge_fee, invoice_visit, sell, sell_plan
from spa_app.services.billing.withdrawing import void_sale, withdraw_visit_invoice

__all__ = [
    "STATUS_WORDS",
    "Composed",
    "Line",
    "change_bill",
    "charge_fee",
    "compose",
    "count_credit",
    "credit_lines",
    "granted_amount",
    "invoice_visit",
    "issue",
    "list_lines",
    "lock_customer",
    "lock_invoice",
    "next_number",
    "require_changeable",
    "require_grantable",
    "sell",
    "sell_plan",
    "service_lines",
    "settle_due",
    "void_sale",
    "withdraw_visit_invoice",
    "write_credit_note",
]
