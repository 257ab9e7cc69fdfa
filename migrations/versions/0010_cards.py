"""Let cards be extended, frozen, transferred, shared, adjusted, refunded and reactivated, and begin at a first visit.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

EVENTS = (
    "event IN ('visit_invoiced', 'plan_sold', 'payment_taken', 'session_recognised', 'session_returned',"
    " 'sessions_expired', 'invoice_voided', 'invoice_credited', 'cards_imported', 'fee_charged'{more})"
)
MORE_EVENTS = ", 'sessions_transferred', 'sessions_reactivated', 'card_refunded', 'refund_withdrawn', 'credit_paid_out'"
KINDS = (
    "kind IN ('purchase', 'hold', 'release', 'punch', 'unpunch', 'forfeit', 'expire', 'adjust', 'extend', 'freeze',"
    " 'unfreeze', 'transfer_in', 'transfer_out', 'refund'{more})"
)
SIGN = (
    "CASE WHEN kind IN ('purchase', 'transfer_in'{gains}) THEN sessions > 0"
    " WHEN kind IN ('release', 'unpunch') THEN sessions = 1"
    " WHEN kind IN ('hold', 'punch', 'forfeit') THEN sessions = -1"
    " WHEN kind IN ('expire', 'transfer_out') THEN sessions < 0"
    " WHEN kind IN ('extend', 'freeze', 'unfreeze'{neutral}) THEN sessions = 0"
    " {rest} END"
)

OLD_SIGN = {"gains": "", "neutral": "", "rest": "WHEN kind = 'refund' THEN sessions <= 0 ELSE sessions <> 0"}
NEW_SIGN = {
    "gains": ", 'reactivate'",
    "neutral": ", 'share', 'unshare'",
    "rest": "ELSE kind = 'refund' OR sessions <> 0",
}

# What is compared of a card, and of a credit note, grows by what this revision adds: see 0001.
COUNTERS = """
CREATE OR REPLACE FUNCTION spa_check_counters() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    card bigint := CASE TG_TABLE_NAME WHEN 'customer_treatments' THEN (to_jsonb(NEW) ->> 'id')::bigint
                                      ELSE (to_jsonb(NEW) ->> 'treatment_id')::bigint END;
BEGIN
    PERFORM 1
    FROM customer_treatments c
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(sessions) FILTER (
                   WHERE kind IN ('purchase', 'adjust', 'transfer_in', 'transfer_out', 'refund')), 0) AS total,
               coalesce(-sum(sessions) FILTER (WHERE kind IN ('punch', 'unpunch', 'forfeit')), 0) AS used,
               coalesce(-sum(sessions) FILTER (WHERE kind IN ('hold', 'release')), 0) AS held,
               coalesce(-sum(sessions) FILTER (WHERE kind {expired}), 0) AS expired
        FROM treatment_entries WHERE treatment_id = card
    ) h
    WHERE c.id = card AND (c.total_sessions, c.used_sessions, c.held_sessions, c.expired_sessions)
                        = (h.total, h.used, h.held, h.expired);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the counters of treatment % are not its history', card
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_customer_treatments_counters',
                  TABLE = 'customer_treatments';
    END IF;
    RETURN NULL;
END
$$
"""
ISSUED = """
CREATE OR REPLACE FUNCTION spa_refuse_issued_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.status = 'draft'
        OR (OLD.branch_id, OLD.customer_id, OLD.booking_id, OLD.kind, OLD.number, OLD.total_amount, OLD.vat_amount,
            OLD.corrects_id, OLD.issued_at{old})
           IS NOT DISTINCT FROM
           (NEW.branch_id, NEW.customer_id, NEW.booking_id, NEW.kind, NEW.number, NEW.total_amount, NEW.vat_amount,
            NEW.corrects_id, NEW.issued_at{new})) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'invoice % is issued: % is refused', OLD.number, TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_invoices_issued', TABLE = 'invoices';
END
$$
"""

# table → (name, rule), of columns that are new
CHECKS = (
    ("branches", "extend_limit", "extend_limit_days >= 0"),
    ("plans", "validity_months", "validity_months BETWEEN 1 AND 120"),
    ("plans", "validity_unit", "num_nonnulls(validity_days, validity_months) = 1"),
    ("plan_items", "bonus", "bonus_sessions BETWEEN 0 AND 1000"),
    ("customer_treatments", "validity_days", "validity_days BETWEEN 1 AND 3650"),
    ("customer_treatments", "validity_months", "validity_months BETWEEN 1 AND 120"),
    (
        "customer_treatments",
        "validity_unit",
        "num_nonnulls(validity_days, validity_months) < 2"
        " AND num_nonnulls(expiry_date, validity_days, validity_months) > 0",
    ),
    ("treatment_entries", "days", "(kind IN ('extend', 'unfreeze', 'reactivate')) = (days IS NOT NULL)"),
    ("treatment_entries", "counterpart", "(kind = 'transfer_in') = (counterpart_id IS NOT NULL)"),
    ("invoices", "card_refund", "treatment_id IS NULL OR kind = 'credit_note'"),
)

CREDIT_NOTE_RULES = {
    "credit_note_corrects": (
        "(kind = 'credit_note') = (corrects_id IS NOT NULL)",
        "CASE kind WHEN 'credit_note' THEN num_nonnulls(corrects_id, treatment_id) > 0 ELSE corrects_id IS NULL END",
    ),
    "credit_note_negative": ("kind = 'invoice' OR total_amount < 0", "kind = 'invoice' OR total_amount <= 0"),
}


def upgrade() -> None:
    op.add_column(
        "branches", sa.Column("extend_limit_days", sa.SmallInteger(), server_default=sa.text("30"), nullable=False)
    )
    op.add_column("plans", sa.Column("validity_months", sa.SmallInteger(), nullable=True))
    op.add_column(
        "plans",
        sa.Column("from_first_visit", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.alter_column("plans", "validity_days", nullable=True)
    op.add_column(
        "plan_items", sa.Column("bonus_sessions", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)
    )
    for name in ("validity_days", "validity_months"):
        op.add_column("customer_treatments", sa.Column(name, sa.SmallInteger(), nullable=True))
    _add_reference("customer_treatments", "origin_id", "customer_treatments")
    op.create_index(
        "ix_customer_treatments_origin_id",
        "customer_treatments",
        ["origin_id"],
        postgresql_where=sa.text("origin_id IS NOT NULL"),
    )
    op.alter_column("customer_treatments", "expiry_date", nullable=True)
    op.add_column("treatment_entries", sa.Column("days", sa.SmallInteger(), nullable=True))
    _add_reference("treatment_entries", "counterpart_id", "treatment_entries")
    _add_reference("invoices", "treatment_id", "customer_treatments")
    _replace("treatment_entries", "kind", KINDS.format(more=", 'reactivate', 'share', 'unshare'"))
    _replace("treatment_entries", "sign", SIGN.format(**NEW_SIGN))
    for table, name, rule in CHECKS:
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, rule)
    op.create_index(
        "uq_treatment_entries_counterpart_id",
        "treatment_entries",
        ["counterpart_id"],
        unique=True,
        postgresql_where=sa.text("counterpart_id IS NOT NULL"),
    )

    for name, (_, rule) in CREDIT_NOTE_RULES.items():
        _replace("invoices", name, rule)
    op.drop_index("uq_invoices_corrects_id", "invoices")
    op.create_index(
        "uq_invoices_corrects_id",
        "invoices",
        ["corrects_id"],
        unique=True,
        postgresql_where=sa.text("treatment_id IS NULL"),
    )
    op.create_index(
        "ix_invoices_refunded",
        "invoices",
        ["treatment_id"],
        postgresql_where=sa.text("treatment_id IS NOT NULL"),
    )
    _create_tables()
    _replace("journal_entries", "event", EVENTS.format(more=MORE_EVENTS))
    op.execute(COUNTERS.format(expired="IN ('expire', 'reactivate')"))
    op.execute(ISSUED.format(old=", OLD.treatment_id", new=", NEW.treatment_id"))


def downgrade() -> None:
    """Refused by the database where something happened to a card that the former schema has no words for."""
    op.execute(ISSUED.format(old="", new=""))
    op.execute(COUNTERS.format(expired="= 'expire'"))
    _replace("journal_entries", "event", EVENTS.format(more=""))
    op.drop_table("payouts")
    op.drop_table("treatment_shares")
    op.drop_index("ix_invoices_refunded", "invoices")
    op.drop_index("uq_invoices_corrects_id", "invoices")
    op.create_index("uq_invoices_corrects_id", "invoices", ["corrects_id"], unique=True)
    for name, (rule, _) in CREDIT_NOTE_RULES.items():
        _replace("invoices", name, rule)
    op.drop_index("uq_treatment_entries_counterpart_id", "treatment_entries")
    for table, name, _ in CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
    _replace("treatment_entries", "sign", SIGN.format(**OLD_SIGN))
    _replace("treatment_entries", "kind", KINDS.format(more=""))
    op.drop_column("invoices", "treatment_id")
    op.drop_column("treatment_entries", "counterpart_id")
    op.drop_column("treatment_entries", "days")
    op.alter_column("customer_treatments", "expiry_date", nullable=False)
    for name in ("origin_id", "validity_months", "validity_days"):
        op.drop_column("customer_treatments", name)
    op.drop_column("plan_items", "bonus_sessions")
    op.alter_column("plans", "validity_days", nullable=False)
    op.drop_column("plans", "from_first_visit")
    op.drop_column("plans", "validity_months")
    op.drop_column("branches", "extend_limit_days")


def _create_tables() -> None:
    op.create_table(
        "treatment_shares",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("treatment_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("session_limit", sa.SmallInteger(), nullable=True),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("ended_by_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("session_limit BETWEEN 1 AND 1000", name=op.f("ck_treatment_shares_limit")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_treatment_shares_customer_id")),
        sa.ForeignKeyConstraint(
            ["ended_by_id"], ["treatment_entries.id"], name=op.f("fk_treatment_shares_ended_by_id")
        ),
        sa.ForeignKeyConstraint(["entry_id"], ["treatment_entries.id"], name=op.f("fk_treatment_shares_entry_id")),
        sa.ForeignKeyConstraint(
            ["treatment_id"], ["customer_treatments.id"], name=op.f("fk_treatment_shares_treatment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_treatment_shares")),
    )
    op.create_index(
        "uq_treatment_shares_live",
        "treatment_shares",
        ["treatment_id", "customer_id"],
        unique=True,
        postgresql_where=sa.text("ended_by_id IS NULL"),
    )
    op.create_index("ix_treatment_shares_customer_id", "treatment_shares", ["customer_id"])
    op.create_table(
        "payouts",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), server_default="", nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payouts_amount")),
        sa.CheckConstraint("method IN ('cash', 'bank_transfer')", name=op.f("ck_payouts_method")),
        sa.CheckConstraint("method <> 'bank_transfer' OR reference <> ''", name=op.f("ck_payouts_reference")),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_payouts_actor_id")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_payouts_branch_id")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_payouts_invoice_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payouts")),
    )
    op.create_index("ix_payouts_branch_id_given_at", "payouts", ["branch_id", "given_at"])
    op.create_index("uq_payouts_invoice_id", "payouts", ["invoice_id"], unique=True)
    op.execute(
        "CREATE TRIGGER tr_payouts_append_only BEFORE UPDATE OR DELETE ON payouts"
        " FOR EACH ROW EXECUTE FUNCTION spa_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER tr_payouts_no_truncate BEFORE TRUNCATE ON payouts"
        " FOR EACH STATEMENT EXECUTE FUNCTION spa_refuse_change()"
    )


def _add_reference(table: str, column: str, target: str) -> None:
    op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f(f"fk_{table}_{column}"), table, target, [column], ["id"])


def _replace(table: str, name: str, rule: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
    op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, rule)
