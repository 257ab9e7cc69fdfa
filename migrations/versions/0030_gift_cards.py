"""Sell, issue, redeem and expire gift cards.

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

# What a card was issued for, what is on it and what expired is what its history says, whenever either changes.
BALANCE = """
CREATE FUNCTION spa_check_gift_card() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    card bigint := CASE TG_TABLE_NAME WHEN 'gift_cards' THEN (to_jsonb(NEW) ->> 'id')::bigint
                                      ELSE (to_jsonb(NEW) ->> 'gift_card_id')::bigint END;
BEGIN
    PERFORM 1
    FROM gift_cards c
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount) FILTER (WHERE kind = 'issue'), 0) AS initial,
               coalesce(sum(amount), 0) AS balance,
               coalesce(-sum(amount) FILTER (WHERE kind IN ('expire', 'reactivate')), 0) AS expired
        FROM gift_card_entries WHERE gift_card_id = card
    ) h
    WHERE c.id = card AND (c.initial_amount, c.balance_amount, c.expired_amount) = (h.initial, h.balance, h.expired);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the balance of gift card % is not its history', card
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_gift_cards_balance', TABLE = 'gift_cards';
    END IF;
    RETURN NULL;
END
$$
"""
# (trigger, table, when, function)
TRIGGERS = (
    ("tr_gift_card_entries_append_only", "gift_card_entries", "BEFORE UPDATE OR DELETE", "ROW", "spa_refuse_change"),
    ("tr_gift_card_entries_no_truncate", "gift_card_entries", "BEFORE TRUNCATE", "STATEMENT", "spa_refuse_change"),
    (
        "tr_gift_cards_live_customer",
        "gift_cards",
        "BEFORE INSERT OR UPDATE OF customer_id",
        "ROW",
        "spa_require_live_customer",
    ),
)
AT_COMMIT = (
    ("tr_gift_cards_balance", "gift_cards", "INSERT OR UPDATE"),
    ("tr_gift_card_entries_balance", "gift_card_entries", "INSERT"),
)
JOBS = "job IN ('expire_treatments'{more})"


def upgrade() -> None:
    op.execute("INSERT INTO accounts (id, code, name, kind) VALUES (5130, '5130', 'Goodwill', 'expense')")
    op.add_column("branches", sa.Column("gift_card_months", sa.SmallInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_branches_gift_card_months"), "branches", "gift_card_months BETWEEN 1 AND 120")
    _create_tables()
    op.add_column("journal_lines", sa.Column("gift_card_id", sa.BigInteger(), nullable=True))
    # Old rows name no gift card; they are looked at without holding anybody up.
    op.execute(
        "ALTER TABLE journal_lines ADD CONSTRAINT fk_journal_lines_gift_card_id"
        " FOREIGN KEY (gift_card_id) REFERENCES gift_cards (id) NOT VALID"
    )
    op.execute("ALTER TABLE journal_lines VALIDATE CONSTRAINT fk_journal_lines_gift_card_id")
    op.create_index(
        "ix_journal_lines_gift_card_id",
        "journal_lines",
        ["gift_card_id"],
        postgresql_where=sa.text("gift_card_id IS NOT NULL"),
    )
    op.execute(BALANCE)
    for name, table, when, each, function in TRIGGERS:
        op.execute(f"CREATE TRIGGER {name} {when} ON {table} FOR EACH {each} EXECUTE FUNCTION {function}()")
    for name, table, events in AT_COMMIT:
        op.execute(
            f"CREATE CONSTRAINT TRIGGER {name} AFTER {events} ON {table} DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION spa_check_gift_card()"
        )
    _replace_jobs(", 'expire_gift_cards'")


def downgrade() -> None:
    """Refused by the database where a gift card was sold or expired: the former schema has no words for it."""
    _replace_jobs("")
    op.drop_column("journal_lines", "gift_card_id")
    op.drop_table("gift_card_entries")
    op.drop_table("gift_cards")
    op.execute("DROP FUNCTION spa_check_gift_card()")
    op.drop_column("branches", "gift_card_months")
    op.execute("DELETE FROM accounts WHERE id = 5130")


def _create_tables() -> None:
    op.create_table(
        "gift_cards",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("receiver_name", sa.Text(), server_default="", nullable=False),
        sa.Column("greeting", sa.Text(), server_default="", nullable=False),
        sa.Column("invoice_line_id", sa.BigInteger(), nullable=True),
        sa.Column("initial_amount", sa.BigInteger(), nullable=False),
        sa.Column("balance_amount", sa.BigInteger(), nullable=False),
        sa.Column("expired_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("code ~ '^[2-9A-HJKMNP-Z]{12}$'", name=op.f("ck_gift_cards_code")),
        sa.CheckConstraint("initial_amount > 0", name=op.f("ck_gift_cards_initial")),
        sa.CheckConstraint("balance_amount >= 0", name=op.f("ck_gift_cards_balance")),
        sa.CheckConstraint("expired_amount >= 0", name=op.f("ck_gift_cards_expired")),
        sa.CheckConstraint("cancelled_at IS NULL OR balance_amount = 0", name=op.f("ck_gift_cards_cancelled")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_gift_cards_branch_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_gift_cards_customer_id")),
        sa.ForeignKeyConstraint(["invoice_line_id"], ["invoice_lines.id"], name=op.f("fk_gift_cards_invoice_line_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_cards")),
        sa.UniqueConstraint("code", name=op.f("uq_gift_cards_code")),
        sa.UniqueConstraint("invoice_line_id", name=op.f("uq_gift_cards_invoice_line_id")),
    )
    op.create_index("ix_gift_cards_branch_id", "gift_cards", ["branch_id", "id"])
    op.create_index("ix_gift_cards_customer_id", "gift_cards", ["customer_id"])
    op.create_index(
        "ix_gift_cards_due", "gift_cards", ["branch_id", "expires_on"], postgresql_where=sa.text("balance_amount > 0")
    )
    op.create_table(
        "gift_card_entries",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("gift_card_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=True),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('issue', 'redeem', 'refund', 'expire', 'reactivate', 'extend', 'adjust', 'cancel')",
            name=op.f("ck_gift_card_entries_kind"),
        ),
        sa.CheckConstraint(
            "CASE WHEN kind IN ('issue', 'refund', 'reactivate') THEN amount > 0"
            " WHEN kind IN ('redeem', 'expire') THEN amount < 0"
            " WHEN kind = 'cancel' THEN amount <= 0"
            " WHEN kind = 'extend' THEN amount = 0 ELSE amount <> 0 END",
            name=op.f("ck_gift_card_entries_sign"),
        ),
        sa.CheckConstraint(
            "(kind IN ('redeem', 'refund')) = (payment_id IS NOT NULL)", name=op.f("ck_gift_card_entries_payment")
        ),
        sa.CheckConstraint(
            "kind IN ('extend', 'reactivate') OR expires_on IS NULL", name=op.f("ck_gift_card_entries_expires_on")
        ),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_gift_card_entries_actor_id")),
        sa.ForeignKeyConstraint(["gift_card_id"], ["gift_cards.id"], name=op.f("fk_gift_card_entries_gift_card_id")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_gift_card_entries_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gift_card_entries")),
    )
    op.create_index("ix_gift_card_entries_gift_card_id", "gift_card_entries", ["gift_card_id", "id"])
    op.create_index("ix_gift_card_entries_payment_id", "gift_card_entries", ["payment_id"])
    for kind, column in (("issue", "gift_card_id"), ("redeem", "payment_id")):
        op.create_index(
            f"uq_gift_card_entries_{kind}",
            "gift_card_entries",
            [column],
            unique=True,
            postgresql_where=sa.text(f"kind = '{kind}'"),
        )


def _replace_jobs(more: str) -> None:
    op.drop_constraint(op.f("ck_job_runs_job"), "job_runs")
    op.create_check_constraint(op.f("ck_job_runs_job"), "job_runs", JOBS.format(more=more))
