"""Let rosters be drafted before they count, from usual shifts.

The shifts there are stay as they are: published. Their weeks get no row, so that who has no shift in one of them goes on
working whenever the branch is open, until a manager publishes that week.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

PERIOD = "tsrange('2000-01-03'::date + starts_at, '2000-01-03'::date + ends_at)"


def upgrade() -> None:
    op.create_table(
        "roster_weeks",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("monday", sa.Date(), nullable=False),
        sa.Column("has_draft", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_by_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("EXTRACT(isodow FROM monday) = 1", name=op.f("ck_roster_weeks_monday")),
        sa.CheckConstraint("has_draft OR published_at IS NOT NULL", name=op.f("ck_roster_weeks_something")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_roster_weeks_branch_id")),
        sa.ForeignKeyConstraint(["published_by_id"], ["users.id"], name=op.f("fk_roster_weeks_published_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roster_weeks")),
        sa.UniqueConstraint("branch_id", "monday", name=op.f("uq_roster_weeks_branch_id_monday")),
    )
    op.create_table(
        "draft_shifts",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("week_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.Column("weekday", sa.SmallInteger(), nullable=False),
        sa.Column("starts_at", sa.Time(), nullable=False),
        sa.Column("ends_at", sa.Time(), nullable=False),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name=op.f("ck_draft_shifts_weekday")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_draft_shifts_order")),
        postgresql.ExcludeConstraint(
            (sa.column("week_id"), "="),
            (sa.column("staff_id"), "="),
            (sa.column("weekday"), "="),
            (sa.literal_column(PERIOD), "&&"),
            using="gist",
            name="ex_draft_shifts_overlap",
        ),
        sa.ForeignKeyConstraint(["week_id"], ["roster_weeks.id"], name=op.f("fk_draft_shifts_week_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_draft_shifts_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft_shifts")),
    )
    op.create_table(
        "shift_templates",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_shift_templates_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift_templates")),
        sa.UniqueConstraint("branch_id", "name", name=op.f("uq_shift_templates_branch_id_name")),
    )
    op.create_table(
        "shift_template_periods",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("template_id", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", sa.Time(), nullable=False),
        sa.Column("ends_at", sa.Time(), nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_shift_template_periods_order")),
        postgresql.ExcludeConstraint(
            (sa.column("template_id"), "="),
            (sa.literal_column(PERIOD), "&&"),
            using="gist",
            name="ex_shift_template_periods_overlap",
        ),
        sa.ForeignKeyConstraint(
            ["template_id"], ["shift_templates.id"], name=op.f("fk_shift_template_periods_template_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift_template_periods")),
    )


def downgrade() -> None:
    """Take plans and usual shifts away; what was published stays."""
    for table in ("shift_template_periods", "shift_templates", "draft_shifts", "roster_weeks"):
        op.drop_table(table)
