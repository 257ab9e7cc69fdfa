"""Let the history of an imported card hold the sessions used before: a punch without a visit, which says so.

Revision ID: 0017
Revises: 0014
"""

from alembic import op

revision = "0017"
down_revision = "0014"
branch_labels = None
depends_on = None

NAME = "ck_treatment_entries_visit_named"
OLD = "kind NOT IN ('hold', 'release', 'punch', 'unpunch') OR booking_item_id IS NOT NULL"
NEW = (
    "booking_item_id IS NOT NULL OR kind NOT IN ('hold', 'release', 'punch', 'unpunch')"
    " OR (kind = 'punch' AND reason <> '')"
)


def upgrade() -> None:
    _replace(NEW)
    # Every row obeys the stricter rule, and is looked at without holding anybody up.
    op.execute(f"ALTER TABLE treatment_entries VALIDATE CONSTRAINT {NAME}")


def downgrade() -> None:
    # Rows of imported cards would break the old rule; it holds for what is written from now on.
    _replace(OLD)


def _replace(rule: str) -> None:
    op.execute(f"ALTER TABLE treatment_entries DROP CONSTRAINT {NAME}")
    op.execute(f"ALTER TABLE treatment_entries ADD CONSTRAINT {NAME} CHECK ({rule}) NOT VALID")
