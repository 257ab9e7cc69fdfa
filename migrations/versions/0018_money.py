"""Give the ledger the accounts and events of gift cards, tips, deposits, products and drawers.

Revision ID: 0018
Revises: 0017
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ACCOUNTS = (
    (1150, "Safe", "asset"),
    (2140, "Gift cards", "liability"),
    (2150, "Tips payable", "liability"),
    (2160, "Deposits", "liability"),
    (4140, "Product revenue", "revenue"),
    (5110, "Cash over and short", "expense"),
    (5120, "Petty expenses", "expense"),
)
MORE_EVENTS = (
    ", 'sale_invoiced', 'invoice_refunded', 'gift_cards_expired', 'gift_card_adjusted', 'deposit_taken',"
    " 'deposit_returned', 'deposit_kept', 'cash_moved', 'drawer_counted'"
)
# table, constraint → rule, with room for what this revision adds
RULES = {
    ("journal_entries", "event"): (
        "event IN ('visit_invoiced', 'plan_sold', 'payment_taken', 'session_recognised', 'session_returned',"
        " 'sessions_expired', 'invoice_voided', 'invoice_credited', 'cards_imported', 'fee_charged',"
        " 'sessions_transferred', 'sessions_reactivated', 'card_refunded', 'refund_withdrawn', 'credit_paid_out',"
        " 'credit_moved'{more})",
        MORE_EVENTS,
    ),
    ("invoice_lines", "kind"): (
        "kind IN ('service', 'plan', 'product', 'tip', 'fee', 'discount'{more})",
        ", 'gift_card'",
    ),
    ("payments", "method"): (
        "method IN ('cash', 'card', 'bank_transfer', 'e_wallet', 'store_credit'{more})",
        ", 'gift_card', 'deposit'",
    ),
}


def upgrade() -> None:
    rows = ", ".join(f"({code}, '{code}', '{name}', '{kind}')" for code, name, kind in ACCOUNTS)
    op.execute(f"INSERT INTO accounts (id, code, name, kind) VALUES {rows}")
    for (table, name), (rule, more) in RULES.items():
        _replace(table, name, rule.format(more=more))


def downgrade() -> None:
    """Refused by the database where something happened that the former schema has no words for."""
    for (table, name), (rule, _) in RULES.items():
        _replace(table, name, rule.format(more=""))
    op.execute(f"DELETE FROM accounts WHERE id IN ({', '.join(str(code) for code, _, _ in ACCOUNTS)})")


def _replace(table: str, name: str, rule: str) -> None:
    constraint = f"ck_{table}_{name}"
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    # Old rows obey the wider rule; it is looked at without holding anybody up.
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} CHECK ({rule}) NOT VALID")
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}")
