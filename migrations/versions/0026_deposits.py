"""Take deposits for visits, and name the account to which a branch's transfers go.

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

CHECKS = {
    "branches": (
        ("bank_bin", "bank_bin ~ '^[0-9]{6}$'"),
        ("bank_account", "bank_account ~ '^[0-9A-Z]{4,19}$'"),
        ("bank", "num_nonnulls(bank_bin, bank_account) <> 1"),
    ),
    "deposits": (
        ("amount", "amount > 0"),
        ("balance_not_negative", "balance_amount >= 0"),
        ("method", "method IN ('cash', 'card', 'bank_transfer', 'e_wallet')"),
        ("reference", "method NOT IN ('card', 'bank_transfer') OR reference <> ''"),
    ),
    "deposit_entries": (
        ("kind", "kind IN ('taken', 'used', 'returned')"),
        ("sign", "CASE kind WHEN 'taken' THEN amount > 0 ELSE amount < 0 END"),
        ("payment", "kind <> 'used' OR payment_id IS NOT NULL"),
        ("returned_by", "(kind = 'returned') = (method IS NOT NULL)"),
        ("method", "method IN ('cash', 'card', 'bank_transfer', 'e_wallet', 'store_credit')"),
        ("reference", "method NOT IN ('card', 'bank_transfer') OR reference <> ''"),
        ("reason", "kind <> 'returned' OR reason <> ''"),
    ),
}
BALANCE = """
CREATE FUNCTION spa_check_deposit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    deposit bigint := CASE TG_TABLE_NAME WHEN 'deposits' THEN (to_jsonb(NEW) ->> 'id')::bigint
                                         ELSE (to_jsonb(NEW) ->> 'deposit_id')::bigint END;
BEGIN
    PERFORM 1 FROM deposits d WHERE d.id = deposit
        AND d.amount = (SELECT coalesce(sum(amount), 0) FROM deposit_entries WHERE deposit_id = deposit AND kind = 'taken')
        AND d.balance_amount = (SELECT coalesce(sum(amount), 0) FROM deposit_entries WHERE deposit_id = deposit);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the balance of deposit % is not the sum of its entries', deposit
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_deposits_balance', TABLE = 'deposits';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    for column in ("bank_bin", "bank_account"):
        op.add_column("branches", sa.Column(column, sa.Text(), nullable=True))
    op.add_column("branches", sa.Column("bank_holder", sa.Text(), server_default="", nullable=False))
    for name, rule in CHECKS["branches"]:
        op.create_check_constraint(op.f(f"ck_branches_{name}"), "branches", rule)
    op.create_table(
        "deposits",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("booking_id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance_amount", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), server_default="", nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        *_checks("deposits"),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_deposits_actor_id")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_deposits_booking_id")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_deposits_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deposits")),
    )
    op.create_index("ix_deposits_booking_id", "deposits", ["booking_id"])
    op.create_index("ix_deposits_branch_id_taken_at", "deposits", ["branch_id", "taken_at"])
    op.create_table(
        "deposit_entries",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("deposit_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=True),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        *_checks("deposit_entries"),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_deposit_entries_actor_id")),
        sa.ForeignKeyConstraint(["deposit_id"], ["deposits.id"], name=op.f("fk_deposit_entries_deposit_id")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_deposit_entries_payment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deposit_entries")),
    )
    op.create_index("ix_deposit_entries_deposit_id", "deposit_entries", ["deposit_id"])
    op.create_index(
        "ix_deposit_entries_returned",
        "deposit_entries",
        ["created_at"],
        postgresql_where=sa.text("kind = 'returned'"),
    )
    op.execute(BALANCE)
    for table, events in (("deposits", "INSERT OR UPDATE"), ("deposit_entries", "INSERT")):
        op.execute(
            f"CREATE CONSTRAINT TRIGGER tr_{table}_balance AFTER {events} ON {table} DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION spa_check_deposit()"
        )
    for when, each in (("append_only BEFORE UPDATE OR DELETE", "ROW"), ("no_truncate BEFORE TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER tr_deposit_entries_{when} ON deposit_entries"
            f" FOR EACH {each} EXECUTE FUNCTION spa_refuse_change()"
        )
    # Null throughout: no row is looked at. The index is built of nothing, after one look at every line.
    op.add_column("journal_lines", sa.Column("deposit_id", sa.BigInteger(), nullable=True))
    op.execute(
        "ALTER TABLE journal_lines ADD CONSTRAINT fk_journal_lines_deposit_id"
        " FOREIGN KEY (deposit_id) REFERENCES deposits (id) NOT VALID"
    )
    op.execute("ALTER TABLE journal_lines VALIDATE CONSTRAINT fk_journal_lines_deposit_id")
    op.create_index(
        "ix_journal_lines_deposit_id",
        "journal_lines",
        ["deposit_id"],
        postgresql_where=sa.text("deposit_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Deposits and what was posted for them would lose each other: only where none was ever taken."""
    op.execute("DO $$ BEGIN IF EXISTS (SELECT FROM deposits) THEN RAISE 'there are deposits'; END IF; END $$")
    op.drop_column("journal_lines", "deposit_id")
    op.drop_table("deposit_entries")
    op.drop_table("deposits")
    op.execute("DROP FUNCTION spa_check_deposit()")
    for column in ("bank_holder", "bank_account", "bank_bin"):
        op.drop_column("branches", column)


def _checks(table: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}")) for name, rule in CHECKS[table]]
