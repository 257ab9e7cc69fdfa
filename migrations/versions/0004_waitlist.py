"""Keep a waitlist, and let a desk hold a freed place for somebody on it for a few minutes.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CHECKS = (
    ("hold", "held_until IS NULL OR status IN ('pending', 'cancelled')"),
    ("holder", "(held_until IS NULL) = (held_by_id IS NULL)"),
)


def upgrade() -> None:
    op.create_table(
        "waitlist_entries",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("first_on", sa.Date(), nullable=False),
        sa.Column("last_on", sa.Date(), nullable=False),
        sa.Column("weekdays", sa.SmallInteger(), server_default=sa.text("127"), nullable=False),
        sa.Column("from_time", sa.Time(), nullable=True),
        sa.Column("until_time", sa.Time(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("withdraw_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('waiting', 'booked', 'withdrawn')", name=op.f("ck_waitlist_entries_status")),
        sa.CheckConstraint(
            "(status = 'withdrawn') = (withdraw_reason <> '')", name=op.f("ck_waitlist_entries_withdraw_reason")
        ),
        sa.CheckConstraint("first_on <= last_on", name=op.f("ck_waitlist_entries_dates")),
        sa.CheckConstraint("weekdays BETWEEN 1 AND 127", name=op.f("ck_waitlist_entries_weekdays")),
        sa.CheckConstraint("from_time < until_time", name=op.f("ck_waitlist_entries_times")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_waitlist_entries_branch_id")),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_waitlist_entries_created_by_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_waitlist_entries_customer_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_waitlist_entries_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waitlist_entries")),
    )
    op.create_index(
        "ix_waitlist_entries_waiting",
        "waitlist_entries",
        ["branch_id", "last_on"],
        postgresql_where=sa.text("status = 'waiting'"),
    )
    op.create_index("ix_waitlist_entries_customer_id", "waitlist_entries", ["customer_id"])
    op.create_table(
        "waitlist_services",
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["waitlist_entries.id"], name=op.f("fk_waitlist_services_entry_id")),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_waitlist_services_service_id")),
        sa.PrimaryKeyConstraint("entry_id", "position", name=op.f("pk_waitlist_services")),
    )

    op.add_column("bookings", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("bookings", sa.Column("held_by_id", sa.BigInteger(), nullable=True))
    op.add_column("bookings", sa.Column("waitlist_entry_id", sa.BigInteger(), nullable=True))
    for column, table in (("held_by_id", "users"), ("waitlist_entry_id", "waitlist_entries")):
        op.create_foreign_key(op.f(f"fk_bookings_{column}"), "bookings", table, [column], ["id"])
    for name, rule in CHECKS:
        op.create_check_constraint(op.f(f"ck_bookings_{name}"), "bookings", rule)
    op.create_index(
        "uq_bookings_live_waitlist_entry",
        "bookings",
        ["waitlist_entry_id"],
        unique=True,
        postgresql_where=sa.text("status NOT IN ('cancelled', 'no_show')"),
    )
    op.create_index(
        "ix_bookings_held_until",
        "bookings",
        ["held_until"],
        postgresql_where=sa.text("status = 'pending' AND held_until IS NOT NULL"),
    )


def downgrade() -> None:
    """A place that is held at that moment stays, as a tentative visit; who waited is forgotten."""
    op.drop_index("ix_bookings_held_until", "bookings")
    op.drop_index("uq_bookings_live_waitlist_entry", "bookings")
    for name, _ in CHECKS:
        op.drop_constraint(op.f(f"ck_bookings_{name}"), "bookings")
    for column in ("waitlist_entry_id", "held_by_id", "held_until"):
        op.drop_column("bookings", column)
    op.drop_table("waitlist_services")
    op.drop_table("waitlist_entries")
