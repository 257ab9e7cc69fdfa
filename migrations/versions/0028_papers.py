"""Record which papers were printed, say why a message was not sent, and give a branch its tax number.

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

KINDS = "kind IN ('booking_confirmed', 'booking_cancelled'{more})"


def upgrade() -> None:
    op.add_column("branches", sa.Column("tax_code", sa.Text(), server_default="", nullable=False))
    op.create_check_constraint(op.f("ck_branches_tax_code"), "branches", "tax_code ~ '^[0-9A-Z-]{0,20}$'")

    op.add_column("outbox", sa.Column("due_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("outbox", sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("outbox", sa.Column("error", sa.Text(), server_default="", nullable=False))
    # Both are looked at without holding anybody up.
    _replace_kinds(", 'paper_mailed'")
    op.execute("ALTER TABLE outbox ADD CONSTRAINT ck_outbox_end CHECK (done_at IS NULL OR failed_at IS NULL) NOT VALID")
    op.execute("ALTER TABLE outbox VALIDATE CONSTRAINT ck_outbox_kind")
    op.execute("ALTER TABLE outbox VALIDATE CONSTRAINT ck_outbox_end")
    op.create_index(
        "ix_outbox_invoice_id",
        "outbox",
        [sa.text("CAST(payload ->> 'invoice_id' AS bigint)")],
        postgresql_where=sa.text("kind = 'paper_mailed'"),
    )

    op.create_table(
        "prints",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("paper", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("paid_amount", sa.BigInteger(), nullable=False),
        sa.Column("copy_number", sa.SmallInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("printed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("copy_number >= 0", name=op.f("ck_prints_copy_number")),
        sa.CheckConstraint("paper IN ('receipt', 'a4')", name=op.f("ck_prints_paper")),
        sa.CheckConstraint("way IN ('print', 'pdf', 'email')", name=op.f("ck_prints_way")),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_prints_actor_id")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_prints_invoice_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prints")),
        sa.UniqueConstraint(
            "invoice_id",
            "paper",
            "paid_amount",
            "copy_number",
            name=op.f("uq_prints_invoice_id_paper_paid_amount_copy_number"),
        ),
    )
    op.execute(
        "CREATE TRIGGER tr_prints_append_only BEFORE UPDATE OR DELETE ON prints"
        " FOR EACH ROW EXECUTE FUNCTION spa_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER tr_prints_no_truncate BEFORE TRUNCATE ON prints"
        " FOR EACH STATEMENT EXECUTE FUNCTION spa_refuse_change()"
    )


def downgrade() -> None:
    """What was to be mailed is forgotten, sent or not."""
    op.drop_table("prints")
    op.drop_index("ix_outbox_invoice_id", table_name="outbox")
    op.execute("DELETE FROM outbox WHERE kind = 'paper_mailed'")
    op.drop_constraint("ck_outbox_end", "outbox")
    _replace_kinds("")
    op.execute("ALTER TABLE outbox VALIDATE CONSTRAINT ck_outbox_kind")
    for column in ("error", "failed_at", "due_at"):
        op.drop_column("outbox", column)
    op.drop_constraint("ck_branches_tax_code", "branches")
    op.drop_column("branches", "tax_code")


def _replace_kinds(more: str) -> None:
    op.execute("ALTER TABLE outbox DROP CONSTRAINT ck_outbox_kind")
    op.execute(f"ALTER TABLE outbox ADD CONSTRAINT ck_outbox_kind CHECK ({KINDS.format(more=more)}) NOT VALID")
