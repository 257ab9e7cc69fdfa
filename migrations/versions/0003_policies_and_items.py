"""Let policies charge fees, one item of a visit be cancelled, and no change of a visit be lost.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

EVENTS = (
    "event IN ('visit_invoiced', 'plan_sold', 'payment_taken', 'session_recognised', 'session_returned',"
    " 'sessions_expired', 'invoice_voided', 'invoice_credited', 'cards_imported'{more})"
)
OCCUPIES = "booking_status IN ('pending', 'confirmed', 'in_progress', 'completed')"
BRANCH_COLUMNS = (
    ("late_cancel_fee_bp", sa.SmallInteger()),
    ("late_cancel_fee_amount", sa.BigInteger()),
    ("no_show_fee_bp", sa.SmallInteger()),
    ("no_show_fee_amount", sa.BigInteger()),
)
BRANCH_CHECKS = (
    ("late_cancel_fee", "late_cancel_policy <> 'fee' OR num_nonnulls(late_cancel_fee_bp, late_cancel_fee_amount) = 1"),
    ("no_show_fee", "no_show_policy <> 'fee' OR num_nonnulls(no_show_fee_bp, no_show_fee_amount) = 1"),
    ("late_cancel_fee_bp", "late_cancel_fee_bp BETWEEN 1 AND 10000"),
    ("no_show_fee_bp", "no_show_fee_bp BETWEEN 1 AND 10000"),
    ("late_cancel_fee_amount", "late_cancel_fee_amount > 0"),
    ("no_show_fee_amount", "no_show_fee_amount > 0"),
    ("waiver_limit", "waiver_limit_amount >= 0"),
)

# Who read version 4 writes version 5: a second writer who read version 4 too would overwrite what the first one did.
VERSION = """
CREATE FUNCTION spa_check_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version = OLD.version + 1 THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'visit % was changed meanwhile', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_bookings_version', TABLE = 'bookings';
END
$$
"""


def upgrade() -> None:
    for name, kind in BRANCH_COLUMNS:
        op.add_column("branches", sa.Column(name, kind, nullable=True))
    op.add_column(
        "branches", sa.Column("waiver_limit_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    _allow_policies("'none', 'forfeit', 'fee'")
    for name, rule in BRANCH_CHECKS:
        op.create_check_constraint(op.f(f"ck_branches_{name}"), "branches", rule)

    op.execute("INSERT INTO accounts (id, code, name, kind) VALUES (4130, '4130', 'Fee revenue', 'revenue')")
    _allow_events(", 'fee_charged'")

    op.add_column("booking_items", sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True))
    _compute_occupies(f"{OCCUPIES} AND cancelled_at IS NULL")

    op.execute(VERSION)
    op.execute(
        "CREATE TRIGGER tr_bookings_version BEFORE UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION spa_check_version()"
    )


def downgrade() -> None:
    """Refused by the database where a fee was charged, or where an item cancelled alone left its time to another."""
    op.execute("DROP TRIGGER tr_bookings_version ON bookings")
    op.execute("DROP FUNCTION spa_check_version()")

    _compute_occupies(OCCUPIES)
    op.drop_column("booking_items", "cancelled_at")

    _allow_events("")
    op.execute("DELETE FROM accounts WHERE id = 4130")

    _allow_policies("'none', 'forfeit'")
    for name, _ in BRANCH_CHECKS:
        op.drop_constraint(op.f(f"ck_branches_{name}"), "branches")
    op.drop_column("branches", "waiver_limit_amount")
    for name, _ in BRANCH_COLUMNS:
        op.drop_column("branches", name)


def _allow_policies(policies: str) -> None:
    for name in ("late_cancel_policy", "no_show_policy"):
        op.drop_constraint(op.f(f"ck_branches_{name}"), "branches")
        op.create_check_constraint(op.f(f"ck_branches_{name}"), "branches", f"{name} IN ({policies})")


def _allow_events(more: str) -> None:
    op.drop_constraint(op.f("ck_journal_entries_event"), "journal_entries")
    op.create_check_constraint(op.f("ck_journal_entries_event"), "journal_entries", EVENTS.format(more=more))


def _compute_occupies(expression: str) -> None:
    """Make the generated column anew with all that hangs on it: SET EXPRESSION came with PostgreSQL 17 only."""
    op.drop_constraint("fk_booking_item_resources_item", "booking_item_resources")
    op.drop_constraint("uq_booking_items_id_occupies", "booking_items")
    op.drop_constraint("ex_booking_items_staff", "booking_items")
    op.drop_column("booking_items", "occupies")
    op.add_column(
        "booking_items", sa.Column("occupies", sa.Boolean(), sa.Computed(expression, persisted=True), nullable=False)
    )
    op.create_exclude_constraint(
        "ex_booking_items_staff",
        "booking_items",
        (sa.column("staff_id"), "="),
        (sa.column("occupied"), "&&"),
        where=sa.text("occupies"),
        using="gist",
    )
    op.create_unique_constraint("uq_booking_items_id_occupies", "booking_items", ["id", "occupies"])
    op.create_foreign_key(
        "fk_booking_item_resources_item",
        "booking_item_resources",
        "booking_items",
        ["booking_item_id", "occupies"],
        ["id", "occupies"],
        onupdate="CASCADE",
    )
