"""Know who works when, what is blocked and why, and on which dates a branch keeps other hours.

A room may be needed for a part of a service, so its stretch no longer follows the item through the foreign key.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "staff_shifts",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.Column("works_on", sa.Date(), nullable=False),
        sa.Column("starts_at", sa.Time(), nullable=False),
        sa.Column("ends_at", sa.Time(), nullable=False),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_staff_shifts_order")),
        postgresql.ExcludeConstraint(
            (sa.column("staff_id"), "="),
            (sa.literal_column("tsrange(works_on + starts_at, works_on + ends_at)"), "&&"),
            using="gist",
            name="ex_staff_shifts_overlap",
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_staff_shifts_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_shifts")),
    )
    op.create_index("ix_staff_shifts_staff_id", "staff_shifts", ["staff_id", "works_on"], unique=False)
    op.create_table(
        "blocked_times",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("resource_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("num_nonnulls(staff_id, resource_id) = 1", name=op.f("ck_blocked_times_one_thing")),
        sa.CheckConstraint(
            "CASE WHEN staff_id IS NULL THEN kind IN ('closed', 'maintenance', 'blocked')"
            " ELSE kind IN ('leave', 'sick', 'break', 'blocked') END",
            name=op.f("ck_blocked_times_kind"),
        ),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_blocked_times_order")),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_blocked_times_created_by_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_blocked_times_resource_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_blocked_times_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocked_times")),
    )
    for column in ("staff_id", "resource_id"):
        op.create_index(
            f"ix_blocked_times_{column}",
            "blocked_times",
            [column, "ends_at"],
            unique=False,
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_table(
        "branch_exceptions",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("happens_on", sa.Date(), nullable=False),
        sa.Column("opens_at", sa.Time(), nullable=True),
        sa.Column("closes_at", sa.Time(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("(opens_at IS NULL) = (closes_at IS NULL)", name=op.f("ck_branch_exceptions_both_times")),
        sa.CheckConstraint("opens_at < closes_at", name=op.f("ck_branch_exceptions_order")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_branch_exceptions_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branch_exceptions")),
    )
    op.create_index(
        "uq_branch_exceptions_branch_id_happens_on_opens_at",
        "branch_exceptions",
        ["branch_id", "happens_on", "opens_at"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.add_column("customers", sa.Column("preferred_staff_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key("fk_customers_preferred_staff_id", "customers", "staff", ["preferred_staff_id"], ["id"])
    op.add_column(
        "service_resources", sa.Column("from_minutes", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("service_resources", sa.Column("length_minutes", sa.SmallInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_service_resources_from"), "service_resources", "from_minutes >= 0")
    op.create_check_constraint(op.f("ck_service_resources_length"), "service_resources", "length_minutes > 0")
    op.create_check_constraint(
        op.f("ck_service_resources_part_has_length"),
        "service_resources",
        "length_minutes IS NOT NULL OR from_minutes = 0",
    )
    op.create_unique_constraint("uq_booking_items_id_occupies", "booking_items", ["id", "occupies"])
    op.drop_constraint("fk_booking_item_resources_item", "booking_item_resources")
    op.drop_constraint("uq_booking_items_id_occupied_occupies", "booking_items")
    op.create_foreign_key(
        "fk_booking_item_resources_item",
        "booking_item_resources",
        "booking_items",
        ["booking_item_id", "occupies"],
        ["id", "occupies"],
        onupdate="CASCADE",
    )


def downgrade() -> None:
    """Take it away again. A room that was needed for a part of a service is held for the whole: that may not fit."""
    op.drop_constraint("fk_booking_item_resources_item", "booking_item_resources")
    op.execute(
        "UPDATE booking_item_resources r SET occupied = i.occupied FROM booking_items i"
        " WHERE i.id = r.booking_item_id AND r.occupied <> i.occupied"
    )
    op.create_unique_constraint(
        "uq_booking_items_id_occupied_occupies", "booking_items", ["id", "occupied", "occupies"]
    )
    op.drop_constraint("uq_booking_items_id_occupies", "booking_items")
    op.create_foreign_key(
        "fk_booking_item_resources_item",
        "booking_item_resources",
        "booking_items",
        ["booking_item_id", "occupied", "occupies"],
        ["id", "occupied", "occupies"],
        onupdate="CASCADE",
    )
    for name in ("part_has_length", "length", "from"):
        op.drop_constraint(op.f(f"ck_service_resources_{name}"), "service_resources")
    op.drop_column("service_resources", "length_minutes")
    op.drop_column("service_resources", "from_minutes")
    op.drop_constraint("fk_customers_preferred_staff_id", "customers")
    op.drop_column("customers", "preferred_staff_id")
    for table in ("branch_exceptions", "blocked_times", "staff_shifts"):
        op.drop_table(table)
