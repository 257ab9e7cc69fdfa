"""Let an account be summed up from its index alone.

Revision ID: 0029
Revises: 0028
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Concurrently: the journal is the longest table there is, and sales go on while it is read.
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_journal_lines_account_id_entry_id",
            "journal_lines",
            ["account_id", "entry_id"],
            postgresql_include=["amount", "treatment_id"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index("ix_journal_lines_account_id", "journal_lines", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_journal_lines_account_id",
            "journal_lines",
            ["account_id"],
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.drop_index(
            "ix_journal_lines_account_id_entry_id", "journal_lines", postgresql_concurrently=True, if_exists=True
        )
