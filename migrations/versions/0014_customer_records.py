"""Merge, link and anonymise customers; keep treatment notes, files, and who looked at them.

Revision ID: 0014
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0007"
branch_labels = None
depends_on = None

# What may still be written for one who lives on in another, or of whom nothing personal is left, is only what the
# books need. The lock waits for a merge that is under way, and then sees what became of the customer.
LIVE_CUSTOMER = """
CREATE FUNCTION spa_require_live_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM customers
    WHERE id = NEW.customer_id AND merged_into_id IS NULL AND (anonymised_at IS NULL OR TG_TABLE_NAME = 'invoices')
    FOR KEY SHARE;
    IF FOUND OR NOT EXISTS (SELECT FROM customers WHERE id = NEW.customer_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'customer % was merged or anonymised', NEW.customer_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_' || TG_TABLE_NAME || '_live_customer',
              TABLE = TG_TABLE_NAME;
END
$$
"""
CUSTOMER_CHECKS = (
    ("merged_into_other", "merged_into_id <> id"),
    ("merged_has_no_phone", "merged_into_id IS NULL OR phone IS NULL"),
)
LIVE_CUSTOMER_TABLES = ("bookings", "customer_files", "customer_treatments", "invoices", "waitlist_entries")

# An issued invoice follows its customer through a merge, and back when that is undone; nowhere else.
INVOICE_CUSTOMER = """
CREATE FUNCTION spa_check_invoice_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM customer_merges
    WHERE undone_at IS NULL AND least(survivor_id, merged_id) = least(OLD.customer_id, NEW.customer_id)
      AND greatest(survivor_id, merged_id) = greatest(OLD.customer_id, NEW.customer_id);
    IF FOUND OR OLD.status = 'draft' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'invoice % is issued: it stays with its customer', OLD.number
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_invoices_customer', TABLE = 'invoices';
END
$$
"""

# An entry of a card may have closed_by_id filled in, once; what an audit row says of an anonymised customer may be
# taken out of it; nothing else in these tables ever changes.
REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION spa_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'treatment_entries' AND TG_OP = 'UPDATE' THEN
        IF OLD.closed_by_id IS NULL AND NEW.closed_by_id IS NOT NULL
           AND to_jsonb(OLD) - 'closed_by_id' = to_jsonb(NEW) - 'closed_by_id' THEN
            RETURN NEW;
        END IF;
    END IF;{more}
    RAISE EXCEPTION '% only grows: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_' || TG_TABLE_NAME || '_append_only', TABLE = TG_TABLE_NAME;
END
$$
"""
REDACTION = """
    IF TG_TABLE_NAME = 'audit_log' AND TG_OP = 'UPDATE' THEN
        IF to_jsonb(OLD) - '{before,after,reason}'::text[] = to_jsonb(NEW) - '{before,after,reason}'::text[]
           AND EXISTS (
               SELECT FROM customers WHERE anonymised_at IS NOT NULL AND id = CASE OLD.entity
                   WHEN 'customer' THEN OLD.entity_id
                   WHEN 'booking' THEN (SELECT customer_id FROM bookings WHERE id = OLD.entity_id)
                   WHEN 'waitlist_entry' THEN (SELECT customer_id FROM waitlist_entries WHERE id = OLD.entity_id) END
           ) THEN
            RETURN NEW;
        END IF;
    END IF;"""


def upgrade() -> None:
    op.add_column("customers", sa.Column("medical_note", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "customers", sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False)
    )
    op.add_column("customers", sa.Column("merged_into_id", sa.BigInteger(), nullable=True))
    op.add_column("customers", sa.Column("anonymised_at", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key("fk_customers_merged_into_id", "customers", "customers", ["merged_into_id"], ["id"])
    for name, rule in CUSTOMER_CHECKS:
        op.create_check_constraint(op.f(f"ck_customers_{name}"), "customers", rule)
    for column in ("merged_into_id", "shares_phone_with_id"):
        op.create_index(
            f"ix_customers_{column}", "customers", [column], postgresql_where=sa.text(f"{column} IS NOT NULL")
        )
    op.create_index(
        "ix_customers_name", "customers", ["search_text"], postgresql_ops={"search_text": "text_pattern_ops"}
    )
    op.create_index("ix_customers_phone_without_zeros", "customers", [sa.text("replace(phone, '0', '')")])
    op.create_index(
        "ix_journal_lines_customer_id",
        "journal_lines",
        ["customer_id"],
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index("ix_outbox_booking_id", "outbox", [sa.text("CAST(payload ->> 'booking_id' AS bigint)")])
    _create_tables()

    op.execute(LIVE_CUSTOMER)
    for table in LIVE_CUSTOMER_TABLES:
        op.execute(
            f"CREATE TRIGGER tr_{table}_live_customer BEFORE INSERT OR UPDATE OF customer_id ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION spa_require_live_customer()"
        )
    op.execute(INVOICE_CUSTOMER)
    op.execute(
        "CREATE TRIGGER tr_invoices_customer BEFORE UPDATE OF customer_id ON invoices FOR EACH ROW"
        " WHEN (OLD.customer_id <> NEW.customer_id) EXECUTE FUNCTION spa_check_invoice_customer()"
    )
    _change_function("spa_refuse_issued_change", (("OLD.customer_id, ", ""), ("NEW.customer_id, ", "")))
    op.execute(REFUSE_CHANGE.format(more=REDACTION))
    op.execute(
        "CREATE TRIGGER tr_record_accesses_append_only BEFORE UPDATE OR DELETE ON record_accesses"
        " FOR EACH ROW EXECUTE FUNCTION spa_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER tr_record_accesses_no_truncate BEFORE TRUNCATE ON record_accesses"
        " FOR EACH STATEMENT EXECUTE FUNCTION spa_refuse_change()"
    )
    _change_events("])))", ", 'credit_moved'::text])))")


def downgrade() -> None:
    """Refused by the database where a merge has moved store credit. Who was merged stays merged."""
    _change_events(", 'credit_moved'::text])))", "])))")
    for name in ("record_accesses", "customer_files", "treatment_notes", "customer_links", "distinct_customers"):
        op.drop_table(name)
    op.execute(REFUSE_CHANGE.format(more=""))
    _change_function(
        "spa_refuse_issued_change",
        (
            ("(OLD.branch_id, ", "(OLD.branch_id, OLD.customer_id, "),
            ("(NEW.branch_id, ", "(NEW.branch_id, NEW.customer_id, "),
        ),
    )
    op.execute("DROP TRIGGER tr_invoices_customer ON invoices")
    op.execute("DROP FUNCTION spa_check_invoice_customer()")
    for table in LIVE_CUSTOMER_TABLES:
        if table != "customer_files":  # gone already
            op.execute(f"DROP TRIGGER tr_{table}_live_customer ON {table}")
    op.execute("DROP FUNCTION spa_require_live_customer()")
    op.drop_table("customer_merges")
    op.drop_index("ix_outbox_booking_id", table_name="outbox")
    op.drop_index("ix_journal_lines_customer_id", table_name="journal_lines")
    for name in ("phone_without_zeros", "name", "shares_phone_with_id"):
        op.drop_index(f"ix_customers_{name}", table_name="customers")
    for name in ("anonymised_at", "merged_into_id", "tags", "medical_note"):
        op.drop_column("customers", name)


def _change_function(name: str, changes: tuple[tuple[str, str], ...]) -> None:
    """Replace parts of a function as it stands: what else it has come to guard stays guarded."""
    source = op.get_bind().scalar(sa.text("SELECT pg_get_functiondef(CAST(:name AS regproc))"), {"name": name})
    for old, new in changes:
        assert old in source, (name, old)
        source = source.replace(old, new)
    op.execute(sa.text(source.replace(":", "\\:")))


def _change_events(old: str, new: str) -> None:
    """Replace a part of the rule for a journal entry's events, whichever of them there are by now."""
    rule = op.get_bind().scalar(
        sa.text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_journal_entries_event'")
    )
    assert rule.endswith(old), rule
    op.execute("ALTER TABLE journal_entries DROP CONSTRAINT ck_journal_entries_event")
    changed = rule.removesuffix(old) + new
    op.execute(
        sa.text(f"ALTER TABLE journal_entries ADD CONSTRAINT ck_journal_entries_event {changed}".replace(":", "\\:"))
    )


def _create_tables() -> None:
    op.create_table(
        "customer_merges",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("survivor_id", sa.BigInteger(), nullable=False),
        sa.Column("merged_id", sa.BigInteger(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("kept", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("moved", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("credit_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("merged_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("survivor_id <> merged_id", name=op.f("ck_customer_merges_two")),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_customer_merges_actor_id")),
        sa.ForeignKeyConstraint(["merged_id"], ["customers.id"], name=op.f("fk_customer_merges_merged_id")),
        sa.ForeignKeyConstraint(["survivor_id"], ["customers.id"], name=op.f("fk_customer_merges_survivor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_merges")),
    )
    op.create_index("ix_customer_merges_survivor_id", "customer_merges", ["survivor_id"])
    op.create_index(
        "uq_customer_merges_open",
        "customer_merges",
        ["merged_id"],
        unique=True,
        postgresql_where=sa.text("undone_at IS NULL"),
    )
    op.create_table(
        "distinct_customers",
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("second_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("first_id <> second_id", name=op.f("ck_distinct_customers_two")),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_distinct_customers_actor_id")),
        sa.ForeignKeyConstraint(["first_id"], ["customers.id"], name=op.f("fk_distinct_customers_first_id")),
        sa.ForeignKeyConstraint(["second_id"], ["customers.id"], name=op.f("fk_distinct_customers_second_id")),
        sa.PrimaryKeyConstraint("first_id", "second_id", name=op.f("pk_distinct_customers")),
    )
    op.create_table(
        "customer_links",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("relative_id", sa.BigInteger(), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("customer_id <> relative_id", name=op.f("ck_customer_links_two")),
        sa.CheckConstraint(
            "relation IN ('parent', 'spouse', 'sibling', 'other')", name=op.f("ck_customer_links_relation")
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_customer_links_customer_id")),
        sa.ForeignKeyConstraint(["relative_id"], ["customers.id"], name=op.f("fk_customer_links_relative_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_links")),
    )
    op.create_index("ix_customer_links_customer_id", "customer_links", ["customer_id"])
    op.create_index("ix_customer_links_relative_id", "customer_links", ["relative_id"])
    op.create_index(
        "uq_customer_links_pair",
        "customer_links",
        [sa.text("least(customer_id, relative_id)"), sa.text("greatest(customer_id, relative_id)")],
        unique=True,
    )
    op.create_table(
        "treatment_notes",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("booking_id", sa.BigInteger(), nullable=False),
        sa.Column("author_id", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("body <> ''", name=op.f("ck_treatment_notes_body")),
        sa.ForeignKeyConstraint(["author_id"], ["users.id"], name=op.f("fk_treatment_notes_author_id")),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_treatment_notes_booking_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_treatment_notes")),
    )
    op.create_index("ix_treatment_notes_booking_id", "treatment_notes", ["booking_id"])
    op.create_table(
        "customer_files",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_as", sa.Uuid(), nullable=False),
        sa.Column("caption", sa.Text(), server_default="", nullable=False),
        sa.Column("uploaded_by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('photo', 'consent')", name=op.f("ck_customer_files_kind")),
        sa.CheckConstraint(
            "media_type IN ('image/jpeg', 'image/png', 'image/webp', 'application/pdf')",
            name=op.f("ck_customer_files_media_type"),
        ),
        sa.CheckConstraint("size_bytes > 0", name=op.f("ck_customer_files_size")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_customer_files_customer_id")),
        sa.ForeignKeyConstraint(["uploaded_by_id"], ["users.id"], name=op.f("fk_customer_files_uploaded_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_files")),
    )
    op.create_index("ix_customer_files_customer_id", "customer_files", ["customer_id"])
    op.create_index("uq_customer_files_stored_as", "customer_files", ["stored_as"], unique=True)
    op.create_table(
        "record_accesses",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("file_id", sa.BigInteger(), nullable=True),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("ip", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "what IN ('allergies', 'health', 'notes', 'files', 'file')", name=op.f("ck_record_accesses_what")
        ),
        sa.CheckConstraint("(what = 'file') = (file_id IS NOT NULL)", name=op.f("ck_record_accesses_file")),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_record_accesses_actor_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_record_accesses_customer_id")),
        sa.ForeignKeyConstraint(["file_id"], ["customer_files.id"], name=op.f("fk_record_accesses_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_accesses")),
    )
    op.create_index("ix_record_accesses_customer_id", "record_accesses", ["customer_id", "id"])
