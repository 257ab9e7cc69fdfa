"""Find the invoices of a visit, the void and the credited ones too, without reading all there are.

Revision ID: 0009
Revises: 0005
"""

from alembic import op

revision = "0009"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Sales wait while it is built: some tenths of a second for half a million invoices.
    op.create_index("ix_invoices_booking_id", "invoices", ["booking_id"])


def downgrade() -> None:
    op.drop_index("ix_invoices_booking_id", table_name="invoices")
