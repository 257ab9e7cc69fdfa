"""Let a plan be limited to some branches, and its cards keep the branches they were sold for; find birthdays.

Revision ID: 0027
Revises: 0026
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

NAME = "ck_customer_treatments_branches"


def upgrade() -> None:
    op.create_table(
        "plan_branches",
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_plan_branches_branch_id")),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_plan_branches_plan_id")),
        sa.PrimaryKeyConstraint("plan_id", "branch_id", name=op.f("pk_plan_branches")),
    )
    op.add_column("customer_treatments", sa.Column("branch_ids", sa.ARRAY(sa.BigInteger()), nullable=True))
    op.execute(f"ALTER TABLE customer_treatments ADD CONSTRAINT {NAME} CHECK (cardinality(branch_ids) > 0) NOT VALID")
    # No card has any yet, and each is looked at without holding anybody up.
    op.execute(f"ALTER TABLE customer_treatments VALIDATE CONSTRAINT {NAME}")
    op.create_index(
        "ix_customers_birthday",
        "customers",
        [sa.text("CAST(EXTRACT(month FROM birth_date) * 100 + EXTRACT(day FROM birth_date) AS integer)")],
        postgresql_where=sa.text("birth_date IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_customers_birthday", "customers")
    op.drop_constraint(NAME, "customer_treatments")
    op.drop_column("customer_treatments", "branch_ids")
    op.drop_table("plan_branches")
