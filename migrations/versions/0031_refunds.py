"""Let a part of an invoice be refunded, by several credit notes, to the ways it was paid, and never more than was paid.

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# What came back for an invoice is what its credit notes say, one side of "never more than was paid"; the other is
# ck_invoices_credited. Whoever writes a note raises credited_amount, so that two of them wait for each other there.
# Before this revision, a part that was never paid was written off with the whole invoice, without being settled.
CREDITED = """
CREATE FUNCTION spa_check_credited() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoice bigint := coalesce(NEW.corrects_id, CASE NEW.kind WHEN 'invoice' THEN NEW.id END);
BEGIN
    PERFORM 1
    FROM invoices i
    CROSS JOIN LATERAL (
        SELECT coalesce(-sum(total_amount), 0) AS amount FROM invoices WHERE corrects_id = i.id AND status <> 'void'
    ) n
    WHERE i.id = invoice AND i.credited_amount <> n.amount
      AND NOT (i.is_credited AND i.credited_amount = i.paid_amount AND n.amount = i.total_amount);
    IF FOUND THEN
        RAISE EXCEPTION 'what was credited of invoice % is not what its credit notes say', invoice
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_invoices_credited', TABLE = 'invoices';
    END IF;
    RETURN NULL;
END
$$
"""
LINES = """
CREATE FUNCTION spa_check_lines_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1
    FROM invoice_lines l
    JOIN invoices o ON o.id = NEW.invoice_id
    CROSS JOIN LATERAL (
        SELECT -sum(b.amount) * sign(l.amount) AS amount, -sum(b.vat_amount) * sign(l.amount) AS vat_amount
        FROM invoice_lines b JOIN invoices n ON n.id = b.invoice_id AND n.status <> 'void'
        WHERE b.corrects_id = l.id
    ) back
    WHERE l.id = NEW.corrects_id AND l.kind = NEW.kind AND l.invoice_id = o.corrects_id
      AND coalesce(back.amount, 0) BETWEEN 0 AND abs(l.amount)
      AND coalesce(back.vat_amount, 0) BETWEEN 0 AND abs(l.vat_amount);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'more of invoice line % comes back than it was', NEW.corrects_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_invoice_lines_back', TABLE = 'invoice_lines';
    END IF;
    RETURN NULL;
END
$$
"""
PAID_BACK = """
CREATE FUNCTION spa_check_paid_back() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    note bigint := coalesce((to_jsonb(NEW) ->> 'credit_note_id')::bigint, (to_jsonb(NEW) ->> 'invoice_id')::bigint);
BEGIN
    PERFORM 1 FROM invoices n
    WHERE n.id = note AND n.kind = 'credit_note' AND n.status <> 'void'
      AND (SELECT coalesce(sum(amount), 0) FROM payouts WHERE invoice_id = n.id)
        + (SELECT coalesce(sum(amount), 0) FROM payments WHERE credit_note_id = n.id) <= -n.total_amount
      AND NOT EXISTS (
          SELECT FROM payouts o JOIN payments p ON p.id = o.payment_id
          WHERE o.invoice_id = n.id
            AND (p.invoice_id <> n.corrects_id OR p.method <> o.method
                 OR p.amount < (SELECT sum(amount) FROM payouts WHERE payment_id = p.id)));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'more is handed out for credit note % than it gives, or than its payment brought', note
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_payouts_paid_back', TABLE = 'payouts';
    END IF;
    RETURN NULL;
END
$$
"""
FUNCTIONS = (CREDITED, LINES, PAID_BACK)
# (trigger, table, event, on which rows, function): checked when the transaction commits.
AT_COMMIT = (
    ("tr_invoices_credited", "invoices", "INSERT", "NEW.kind = 'credit_note' OR NEW.credited_amount <> 0", "credited"),
    (
        "tr_invoices_credited_changed",
        "invoices",
        "UPDATE",
        "NEW.kind = 'credit_note' OR (NEW.credited_amount, NEW.is_credited) <> (OLD.credited_amount, OLD.is_credited)",
        "credited",
    ),
    ("tr_invoice_lines_back", "invoice_lines", "INSERT", "NEW.corrects_id IS NOT NULL", "lines_back"),
    ("tr_payouts_paid_back", "payouts", "INSERT", "true", "paid_back"),
    ("tr_payments_paid_back", "payments", "INSERT", "NEW.credit_note_id IS NOT NULL", "paid_back"),
)

# table, constraint → the rule before and after
RULES = {
    ("payouts", "method"): (
        "method IN ('cash', 'bank_transfer')",
        "method IN ('cash', 'card', 'bank_transfer', 'e_wallet', 'gift_card')",
    ),
    ("payouts", "reference"): (
        "method <> 'bank_transfer' OR reference <> ''",
        "method IN ('cash', 'gift_card') OR reference <> ''",
    ),
}
# table, constraint → rule
CHECKS = {
    ("branches", "refund_limit"): "refund_limit_amount >= 0",
    ("invoices", "credited"): "kind = 'credit_note' OR (credited_amount >= 0 AND credited_amount <= paid_amount)",
    ("invoices", "wholly_credited"): (
        "kind = 'credit_note' OR CASE WHEN is_credited"
        " THEN credited_amount = paid_amount AND (credited_amount > 0 OR total_amount = 0)"
        " ELSE credited_amount < total_amount OR total_amount = 0 END"
    ),
    ("payments", "settlement"): "credit_note_id IS NULL OR method = 'store_credit'",
}
# (table, column, of which table, index)
REFERENCES = (
    ("invoice_lines", "corrects_id", "invoice_lines"),
    ("payments", "credit_note_id", "invoices"),
    ("payouts", "payment_id", "payments"),
    ("payouts", "entry_id", "journal_entries"),
)

# A card's refunds count; so does what was paid of an invoice that was taken back with its visit.
COUNT_CREDITED = """
    UPDATE invoices i
    SET credited_amount = CASE WHEN i.is_credited THEN i.paid_amount ELSE n.amount END,
        is_credited = i.is_credited OR n.amount = i.total_amount
    FROM (SELECT corrects_id, -sum(total_amount) AS amount FROM invoices
          WHERE corrects_id IS NOT NULL AND status <> 'void' GROUP BY corrects_id) n
    WHERE n.corrects_id = i.id AND n.amount > 0
"""
NAME_ENTRIES = """
    UPDATE payouts p SET entry_id = e.id
    FROM journal_entries e WHERE e.invoice_id = p.invoice_id AND e.event = 'credit_paid_out'
"""


def upgrade() -> None:
    op.add_column(
        "branches", sa.Column("refund_limit_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column(
        "invoices", sa.Column("credited_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    for table, column, _ in REFERENCES:
        op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=True))
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.execute(COUNT_CREDITED)
    op.execute("ALTER TABLE payouts DISABLE TRIGGER tr_payouts_append_only")
    op.execute(NAME_ENTRIES)
    op.execute("ALTER TABLE payouts ENABLE TRIGGER tr_payouts_append_only")
    op.alter_column("payouts", "entry_id", nullable=False)
    for table, column, target in REFERENCES:
        name = op.f(f"fk_{table}_{column}")
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({column}) REFERENCES {target} (id) NOT VALID"
        )
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    for (table, name), (_, rule) in RULES.items():
        _replace(table, name, rule)
    for (table, name), rule in CHECKS.items():
        _add(table, name, rule)
    op.drop_index("uq_invoices_corrects_id", "invoices")
    op.create_index(
        "ix_invoices_corrects_id", "invoices", ["corrects_id"], postgresql_where=sa.text("corrects_id IS NOT NULL")
    )
    op.drop_index("uq_payouts_invoice_id", "payouts")
    op.create_index("ix_payouts_invoice_id", "payouts", ["invoice_id"])
    for table, column, _ in REFERENCES[:3]:
        op.create_index(f"ix_{table}_{column}", table, [column], postgresql_where=sa.text(f"{column} IS NOT NULL"))
    op.create_index("ix_payouts_entry_id", "payouts", ["entry_id"])
    for function in FUNCTIONS:
        op.execute(function)
    for name, table, event, rows, function in AT_COMMIT:
        op.execute(
            f"CREATE CONSTRAINT TRIGGER {name} AFTER {event} ON {table} DEFERRABLE INITIALLY DEFERRED"
            f" FOR EACH ROW WHEN ({rows}) EXECUTE FUNCTION spa_check_{function}()"
        )


def downgrade() -> None:
    """Refused by the database where an invoice has several credit notes, or one of them several payouts."""
    for name, table, *_ in AT_COMMIT:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    for function in ("credited", "lines_back", "paid_back"):
        op.execute(f"DROP FUNCTION spa_check_{function}()")
    op.drop_index("ix_payouts_invoice_id", "payouts")
    op.create_index("uq_payouts_invoice_id", "payouts", ["invoice_id"], unique=True)
    op.drop_index("ix_invoices_corrects_id", "invoices")
    op.create_index(
        "uq_invoices_corrects_id",
        "invoices",
        ["corrects_id"],
        unique=True,
        postgresql_where=sa.text("treatment_id IS NULL"),
    )
    for table, name in CHECKS:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
    for (table, name), (rule, _) in RULES.items():
        _replace(table, name, rule)
    for table, column, _ in reversed(REFERENCES):
        op.drop_column(table, column)
    op.drop_column("invoices", "credited_amount")
    op.drop_column("branches", "refund_limit_amount")


def _replace(table: str, name: str, rule: str) -> None:
    op.drop_constraint(op.f(f"ck_{table}_{name}"), table)
    _add(table, name, rule)


def _add(table: str, name: str, rule: str) -> None:
    # Old rows obey it; they are looked at without holding anybody up.
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name} CHECK ({rule}) NOT VALID")
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}")
