"""Lay down every table, constraint and trigger of the first release.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

EXTENSIONS = ("btree_gist", "pg_trgm", "unaccent")

# The id of an account is its code, so that posting needs no look-up.
ACCOUNTS = (
    ("1110", "Cash", "asset"),
    ("1120", "Card payments", "asset"),
    ("1130", "Bank", "asset"),
    ("1140", "E-wallets", "asset"),
    ("1310", "Receivables", "asset"),
    ("2110", "Deferred revenue", "liability"),
    ("2120", "VAT payable", "liability"),
    ("2130", "Store credit", "liability"),
    ("3110", "Opening balances", "equity"),
    ("4110", "Service revenue", "revenue"),
    ("4120", "Breakage revenue", "revenue"),
)

APPEND_ONLY = ("treatment_entries", "invoice_lines", "payments", "journal_entries", "journal_lines", "audit_log")

FOLD = """
CREATE FUNCTION spa_fold(value text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT lower(public.unaccent('public.unaccent'::regdictionary, normalize(value, NFC)))
$$
"""

# An entry of a card may have closed_by_id filled in, once; nothing else in these tables ever changes.
REFUSE_CHANGE = """
CREATE FUNCTION spa_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'treatment_entries' AND TG_OP = 'UPDATE' THEN
        IF OLD.closed_by_id IS NULL AND NEW.closed_by_id IS NOT NULL
           AND to_jsonb(OLD) - 'closed_by_id' = to_jsonb(NEW) - 'closed_by_id' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% only grows: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_' || TG_TABLE_NAME || '_append_only', TABLE = TG_TABLE_NAME;
END
$$
"""

BALANCED = """
CREATE FUNCTION spa_check_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entry bigint := CASE TG_TABLE_NAME WHEN 'journal_entries' THEN (to_jsonb(NEW) ->> 'id')::bigint
                                       ELSE (to_jsonb(NEW) ->> 'entry_id')::bigint END;
BEGIN
    PERFORM 1 FROM journal_lines WHERE entry_id = entry HAVING sum(amount) = 0 AND count(*) >= 2;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'journal entry % does not sum to zero', entry
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_journal_entries_balanced', TABLE = 'journal_entries';
    END IF;
    RETURN NULL;
END
$$
"""

COUNTERS = """
CREATE FUNCTION spa_check_counters() RETURNS trigger LANGUAGE plpgsql AS $$
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
               coalesce(-sum(sessions) FILTER (WHERE kind = 'expire'), 0) AS expired
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
CREATE FUNCTION spa_refuse_issued_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.status = 'draft'
        OR (OLD.branch_id, OLD.customer_id, OLD.booking_id, OLD.kind, OLD.number, OLD.total_amount, OLD.vat_amount,
            OLD.corrects_id, OLD.issued_at)
           IS NOT DISTINCT FROM
           (NEW.branch_id, NEW.customer_id, NEW.booking_id, NEW.kind, NEW.number, NEW.total_amount, NEW.vat_amount,
            NEW.corrects_id, NEW.issued_at)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'invoice % is issued: % is refused', OLD.number, TG_OP
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_invoices_issued', TABLE = 'invoices';
END
$$
"""

INVOICE_SUMS = """
CREATE FUNCTION spa_check_invoice_sums() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    invoice bigint := CASE TG_TABLE_NAME WHEN 'invoices' THEN (to_jsonb(NEW) ->> 'id')::bigint
                                         ELSE (to_jsonb(NEW) ->> 'invoice_id')::bigint END;
BEGIN
    PERFORM 1 FROM invoices i WHERE i.id = invoice
        AND (i.total_amount, i.vat_amount) = (
            SELECT coalesce(sum(amount), 0), coalesce(sum(vat_amount), 0) FROM invoice_lines WHERE invoice_id = invoice)
        AND i.paid_amount = (SELECT coalesce(sum(amount), 0) FROM payments WHERE invoice_id = invoice);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'invoice % is not the sum of its lines and payments', invoice
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_invoices_sums', TABLE = 'invoices';
    END IF;
    RETURN NULL;
END
$$
"""

# (trigger, table, events, function): checked when the transaction commits.
AT_COMMIT = (
    ("tr_journal_entries_balanced", "journal_entries", "INSERT", "spa_check_balanced"),
    ("tr_journal_lines_balanced", "journal_lines", "INSERT", "spa_check_balanced"),
    ("tr_customer_treatments_counters", "customer_treatments", "INSERT OR UPDATE", "spa_check_counters"),
    ("tr_treatment_entries_counters", "treatment_entries", "INSERT", "spa_check_counters"),
    ("tr_invoices_sums", "invoices", "INSERT OR UPDATE", "spa_check_invoice_sums"),
    ("tr_invoice_lines_sums", "invoice_lines", "INSERT", "spa_check_invoice_sums"),
    ("tr_payments_sums", "payments", "INSERT", "spa_check_invoice_sums"),
)

FUNCTIONS = (REFUSE_CHANGE, BALANCED, COUNTERS, ISSUED, INVOICE_SUMS)


def upgrade() -> None:
    for extension in EXTENSIONS:
        op.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
    op.execute(FOLD)
    create_tables()
    for function in FUNCTIONS:
        op.execute(function)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER tr_{table}_append_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION spa_refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER tr_{table}_no_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION spa_refuse_change()"
        )
    op.execute(
        "CREATE TRIGGER tr_invoices_issued BEFORE UPDATE OR DELETE ON invoices"
        " FOR EACH ROW EXECUTE FUNCTION spa_refuse_issued_change()"
    )
    for name, table, events, function in AT_COMMIT:
        op.execute(
            f"CREATE CONSTRAINT TRIGGER {name} AFTER {events} ON {table} DEFERRABLE INITIALLY DEFERRED"
            f" FOR EACH ROW EXECUTE FUNCTION {function}()"
        )
    accounts = sa.table("accounts", sa.column("id"), sa.column("code"), sa.column("name"), sa.column("kind"))
    op.bulk_insert(
        accounts, [{"id": int(code), "code": code, "name": name, "kind": kind} for code, name, kind in ACCOUNTS]
    )


def downgrade() -> None:
    """Take everything away. The extensions stay: others may use them."""
    for table in TABLES:
        op.execute(f"DROP TABLE {table} CASCADE")
    for function in (
        "spa_refuse_change",
        "spa_check_balanced",
        "spa_check_counters",
        "spa_refuse_issued_change",
        "spa_check_invoice_sums",
    ):
        op.execute(f"DROP FUNCTION {function}()")
    op.execute("DROP FUNCTION spa_fold(text)")


TABLES = (
    "accounts",
    "branches",
    "customers",
    "outbox",
    "plans",
    "resource_types",
    "services",
    "branch_hours",
    "invoice_counters",
    "job_runs",
    "plan_items",
    "resources",
    "service_resources",
    "staff",
    "staff_skills",
    "users",
    "audit_log",
    "bookings",
    "idempotency_keys",
    "user_branches",
    "invoices",
    "invoice_lines",
    "payments",
    "customer_treatments",
    "booking_items",
    "booking_item_resources",
    "treatment_entries",
    "journal_entries",
    "journal_lines",
)


def create_tables() -> None:

    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('asset', 'liability', 'equity', 'revenue', 'expense')", name=op.f("ck_accounts_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("code", name=op.f("uq_accounts_code")),
    )
    op.create_table(
        "branches",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("late_cancel_minutes", sa.SmallInteger(), server_default=sa.text("120"), nullable=False),
        sa.Column("late_cancel_policy", sa.Text(), server_default="none", nullable=False),
        sa.Column("no_show_policy", sa.Text(), server_default="none", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("code ~ '^[A-Z0-9]{1,8}$'", name=op.f("ck_branches_code")),
        sa.CheckConstraint("late_cancel_policy IN ('none', 'forfeit')", name=op.f("ck_branches_late_cancel_policy")),
        sa.CheckConstraint("no_show_policy IN ('none', 'forfeit')", name=op.f("ck_branches_no_show_policy")),
        sa.CheckConstraint("late_cancel_minutes >= 0", name=op.f("ck_branches_late_cancel_minutes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branches")),
        sa.UniqueConstraint("code", name=op.f("uq_branches_code")),
    )
    op.create_table(
        "customers",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(collation="C"), nullable=True),
        sa.Column("shares_phone_with_id", sa.BigInteger(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("birth_date", sa.Date(), nullable=True),
        sa.Column("allergies", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("credit_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("import_ref", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "search_text",
            sa.Text(),
            sa.Computed("' ' || spa_fold(full_name) || ' ' || coalesce(phone, '')", persisted=True),
            nullable=False,
        ),
        sa.CheckConstraint("full_name <> ''", name=op.f("ck_customers_full_name")),
        sa.CheckConstraint("phone ~ '^\\+[1-9][0-9]{6,14}$'", name=op.f("ck_customers_phone_e164")),
        sa.CheckConstraint("credit_amount >= 0", name=op.f("ck_customers_credit")),
        sa.CheckConstraint("shares_phone_with_id <> id", name=op.f("ck_customers_shares_phone_with_other")),
        sa.ForeignKeyConstraint(
            ["shares_phone_with_id"], ["customers.id"], name=op.f("fk_customers_shares_phone_with_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("import_ref", name=op.f("uq_customers_import_ref")),
    )
    op.create_index("ix_customers_phone", "customers", ["phone"], unique=False)
    op.create_index(
        "ix_customers_search_text",
        "customers",
        ["search_text"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )
    op.create_index(
        "uq_customers_phone",
        "customers",
        ["phone"],
        unique=True,
        postgresql_where=sa.text("shares_phone_with_id IS NULL"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('booking_confirmed', 'booking_cancelled')", name=op.f("ck_outbox_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_undone", "outbox", ["id"], unique=False, postgresql_where=sa.text("done_at IS NULL"))
    op.create_table(
        "plans",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price_amount", sa.BigInteger(), nullable=False),
        sa.Column("vat_rate_bp", sa.SmallInteger(), nullable=False),
        sa.Column("validity_days", sa.SmallInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("price_amount >= 0", name=op.f("ck_plans_price")),
        sa.CheckConstraint("validity_days BETWEEN 1 AND 3650", name=op.f("ck_plans_validity")),
        sa.CheckConstraint("vat_rate_bp BETWEEN 0 AND 10000", name=op.f("ck_plans_vat_rate")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
        sa.UniqueConstraint("name", name=op.f("uq_plans_name")),
    )
    op.create_table(
        "resource_types",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('room', 'equipment')", name=op.f("ck_resource_types_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_types")),
        sa.UniqueConstraint("name", name=op.f("uq_resource_types_name")),
    )
    op.create_table(
        "services",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("duration_minutes", sa.SmallInteger(), nullable=False),
        sa.Column("buffer_before_minutes", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("buffer_after_minutes", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("price_amount", sa.BigInteger(), nullable=False),
        sa.Column("vat_rate_bp", sa.SmallInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("buffer_after_minutes BETWEEN 0 AND 120", name=op.f("ck_services_buffer_after")),
        sa.CheckConstraint("buffer_before_minutes BETWEEN 0 AND 120", name=op.f("ck_services_buffer_before")),
        sa.CheckConstraint("duration_minutes BETWEEN 5 AND 720", name=op.f("ck_services_duration")),
        sa.CheckConstraint("price_amount >= 0", name=op.f("ck_services_price")),
        sa.CheckConstraint("vat_rate_bp BETWEEN 0 AND 10000", name=op.f("ck_services_vat_rate")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_services")),
        sa.UniqueConstraint("name", name=op.f("uq_services_name")),
    )
    op.create_table(
        "branch_hours",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("weekday", sa.SmallInteger(), nullable=False),
        sa.Column("opens_at", sa.Time(), nullable=False),
        sa.Column("closes_at", sa.Time(), nullable=False),
        sa.CheckConstraint("opens_at < closes_at", name=op.f("ck_branch_hours_order")),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name=op.f("ck_branch_hours_weekday")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_branch_hours_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_branch_hours")),
        sa.UniqueConstraint(
            "branch_id", "weekday", "opens_at", name=op.f("uq_branch_hours_branch_id_weekday_opens_at")
        ),
    )
    op.create_table(
        "invoice_counters",
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("year", sa.SmallInteger(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_invoice_counters_branch_id")),
        sa.PrimaryKeyConstraint("branch_id", "year", name=op.f("pk_invoice_counters")),
    )
    op.create_table(
        "job_runs",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("run_for", sa.Date(), nullable=False),
        sa.Column("cards", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sessions", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("job IN ('expire_treatments')", name=op.f("ck_job_runs_job")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_job_runs_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_runs")),
        sa.UniqueConstraint("job", "branch_id", "run_for", name=op.f("uq_job_runs_job_branch_id_run_for")),
    )
    op.create_table(
        "plan_items",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=True),
        sa.Column("sessions", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("sessions BETWEEN 1 AND 1000", name=op.f("ck_plan_items_sessions")),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_plan_items_plan_id")),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_plan_items_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan_items")),
    )
    op.create_index(
        "uq_plan_items_plan_id_service_id",
        "plan_items",
        ["plan_id", "service_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "resources",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("type_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_resources_branch_id")),
        sa.ForeignKeyConstraint(["type_id"], ["resource_types.id"], name=op.f("fk_resources_type_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resources")),
        sa.UniqueConstraint("branch_id", "name", name=op.f("uq_resources_branch_id_name")),
    )
    op.create_table(
        "service_resources",
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("type_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_service_resources_service_id")),
        sa.ForeignKeyConstraint(["type_id"], ["resource_types.id"], name=op.f("fk_service_resources_type_id")),
        sa.PrimaryKeyConstraint("service_id", "type_id", name=op.f("pk_service_resources")),
    )
    op.create_table(
        "staff",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("position", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_staff_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
    )
    op.create_index("ix_staff_branch_id", "staff", ["branch_id", "position"], unique=False)
    op.create_table(
        "staff_skills",
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_staff_skills_service_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_staff_skills_staff_id")),
        sa.PrimaryKeyConstraint("staff_id", "service_id", name=op.f("pk_staff_skills")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("theme", sa.Text(), server_default="system", nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("locale IN ('en', 'vi')", name=op.f("ck_users_locale")),
        sa.CheckConstraint("role IN ('receptionist', 'therapist', 'manager', 'owner')", name=op.f("ck_users_role")),
        sa.CheckConstraint("theme IN ('system', 'light', 'dark')", name=op.f("ck_users_theme")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_users_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("uq_users_username", "users", [sa.literal_column("lower(username)")], unique=True)
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("ip", sa.Text(), nullable=True),
        sa.Column("before", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_audit_log_actor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_created_at", "audit_log", ["created_at"], unique=False, postgresql_using="brin")
    op.create_index("ix_audit_log_entity", "audit_log", ["entity", "entity_id"], unique=False)
    op.create_table(
        "bookings",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("entered_late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status <> 'cancelled' OR cancel_reason <> ''", name=op.f("ck_bookings_cancel_reason")),
        sa.CheckConstraint(
            "status IN ('pending', 'confirmed', 'in_progress', 'completed', 'cancelled', 'no_show')",
            name=op.f("ck_bookings_status"),
        ),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_bookings_branch_id")),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_bookings_created_by_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_bookings_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bookings")),
        sa.UniqueConstraint("id", "status", name=op.f("uq_bookings_id_status")),
    )
    op.create_index("ix_bookings_branch_id_starts_at", "bookings", ["branch_id", "starts_at"], unique=False)
    op.create_index("ix_bookings_customer_id", "bookings", ["customer_id", "starts_at"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("result", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_idempotency_keys_actor_id")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        "ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False, postgresql_using="brin"
    )
    op.create_table(
        "user_branches",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_user_branches_branch_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_branches_user_id")),
        sa.PrimaryKeyConstraint("user_id", "branch_id", name=op.f("pk_user_branches")),
    )
    op.create_table(
        "invoices",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("booking_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), server_default="invoice", nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("total_amount", sa.BigInteger(), nullable=False),
        sa.Column("vat_amount", sa.BigInteger(), nullable=False),
        sa.Column("paid_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_credited", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("corrects_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(kind = 'credit_note') = (corrects_id IS NOT NULL)", name=op.f("ck_invoices_credit_note_corrects")
        ),
        sa.CheckConstraint("(status = 'void') = (voided_at IS NOT NULL)", name=op.f("ck_invoices_void")),
        sa.CheckConstraint(
            "kind = 'credit_note' OR (paid_amount >= 0 AND paid_amount <= total_amount)", name=op.f("ck_invoices_paid")
        ),
        sa.CheckConstraint(
            "kind = 'credit_note' OR CASE status WHEN 'paid' THEN paid_amount = total_amount WHEN 'partly_paid' THEN paid_amount > 0 AND paid_amount < total_amount ELSE paid_amount = 0 END",
            name=op.f("ck_invoices_status_follows_payments"),
        ),
        sa.CheckConstraint("kind = 'invoice' OR total_amount < 0", name=op.f("ck_invoices_credit_note_negative")),
        sa.CheckConstraint("kind IN ('invoice', 'credit_note')", name=op.f("ck_invoices_kind")),
        sa.CheckConstraint(
            "status IN ('draft', 'open', 'partly_paid', 'paid', 'void')", name=op.f("ck_invoices_status")
        ),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name=op.f("fk_invoices_booking_id")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_invoices_branch_id")),
        sa.ForeignKeyConstraint(["corrects_id"], ["invoices.id"], name=op.f("fk_invoices_corrects_id")),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_invoices_created_by_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_invoices_customer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("number", name=op.f("uq_invoices_number")),
    )
    op.create_index("ix_invoices_branch_id_issued_at", "invoices", ["branch_id", "issued_at"], unique=False)
    op.create_index("ix_invoices_customer_id", "invoices", ["customer_id", "issued_at"], unique=False)
    op.create_index("uq_invoices_corrects_id", "invoices", ["corrects_id"], unique=True)
    op.create_index(
        "uq_invoices_live_booking",
        "invoices",
        ["booking_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'invoice' AND status <> 'void' AND NOT is_credited"),
    )
    op.create_table(
        "invoice_lines",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("quantity", sa.SmallInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("vat_amount", sa.BigInteger(), nullable=False),
        sa.Column("vat_rate_bp", sa.SmallInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=True),
        sa.Column("plan_id", sa.BigInteger(), nullable=True),
        sa.Column("booking_item_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('service', 'plan', 'product', 'tip', 'fee', 'discount')", name=op.f("ck_invoice_lines_kind")
        ),
        sa.CheckConstraint("quantity <> 0", name=op.f("ck_invoice_lines_quantity")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_invoice_lines_invoice_id")),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_invoice_lines_plan_id")),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_invoice_lines_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice_lines")),
        sa.UniqueConstraint("invoice_id", "position", name=op.f("uq_invoice_lines_invoice_id_position")),
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("tendered_amount", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), server_default="", nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "method IN ('cash', 'card', 'bank_transfer', 'e_wallet', 'store_credit')", name=op.f("ck_payments_method")
        ),
        sa.CheckConstraint(
            "method NOT IN ('card', 'bank_transfer') OR reference <> ''", name=op.f("ck_payments_reference")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payments_amount")),
        sa.CheckConstraint("tendered_amount >= amount", name=op.f("ck_payments_tendered")),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_payments_actor_id")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_payments_branch_id")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_payments_invoice_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
    )
    op.create_index("ix_payments_branch_id_taken_at", "payments", ["branch_id", "taken_at"], unique=False)
    op.create_index("ix_payments_invoice_id", "payments", ["invoice_id"], unique=False)
    op.create_table(
        "customer_treatments",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=True),
        sa.Column("plan_id", sa.BigInteger(), nullable=True),
        sa.Column("invoice_line_id", sa.BigInteger(), nullable=True),
        sa.Column("import_ref", sa.Text(), nullable=True),
        sa.Column("total_sessions", sa.SmallInteger(), nullable=False),
        sa.Column("used_sessions", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("held_sessions", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("expired_sessions", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("deferred_amount", sa.BigInteger(), nullable=False),
        sa.Column("recognised_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("expired_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("expiry_date", sa.Date(), nullable=False),
        sa.Column("frozen_on", sa.Date(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('active', 'completed', 'expired', 'frozen', 'cancelled')",
            name=op.f("ck_customer_treatments_status"),
        ),
        sa.CheckConstraint("deferred_amount >= 0", name=op.f("ck_customer_treatments_deferred_not_negative")),
        sa.CheckConstraint("expired_sessions >= 0", name=op.f("ck_customer_treatments_expired_not_negative")),
        sa.CheckConstraint("held_sessions >= 0", name=op.f("ck_customer_treatments_held_not_negative")),
        sa.CheckConstraint(
            "recognised_amount + expired_amount <= deferred_amount",
            name=op.f("ck_customer_treatments_value_within_deferred"),
        ),
        sa.CheckConstraint(
            "recognised_amount >= 0 AND expired_amount >= 0", name=op.f("ck_customer_treatments_spent_not_negative")
        ),
        sa.CheckConstraint("total_sessions >= 0", name=op.f("ck_customer_treatments_total_not_negative")),
        sa.CheckConstraint(
            "used_sessions + held_sessions + expired_sessions <= total_sessions",
            name=op.f("ck_customer_treatments_within_total"),
        ),
        sa.CheckConstraint("used_sessions >= 0", name=op.f("ck_customer_treatments_used_not_negative")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_customer_treatments_branch_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_customer_treatments_customer_id")),
        sa.ForeignKeyConstraint(
            ["invoice_line_id"], ["invoice_lines.id"], name=op.f("fk_customer_treatments_invoice_line_id")
        ),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("fk_customer_treatments_plan_id")),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_customer_treatments_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_treatments")),
        sa.UniqueConstraint("import_ref", name=op.f("uq_customer_treatments_import_ref")),
    )
    op.create_index("ix_customer_treatments_customer_id", "customer_treatments", ["customer_id"], unique=False)
    op.create_index(
        "ix_customer_treatments_due",
        "customer_treatments",
        ["branch_id", "expiry_date"],
        unique=False,
        postgresql_where=sa.text("used_sessions + held_sessions + expired_sessions < total_sessions"),
    )
    op.create_index("ix_customer_treatments_invoice_line_id", "customer_treatments", ["invoice_line_id"], unique=False)
    op.create_table(
        "booking_items",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("booking_id", sa.BigInteger(), nullable=False),
        sa.Column("booking_status", sa.Text(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("staff_id", sa.BigInteger(), nullable=False),
        sa.Column("treatment_id", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occupied", postgresql.TSTZRANGE(), nullable=False),
        sa.Column(
            "occupies",
            sa.Boolean(),
            sa.Computed("booking_status IN ('pending', 'confirmed', 'in_progress', 'completed')", persisted=True),
            nullable=False,
        ),
        sa.Column("price_amount", sa.BigInteger(), nullable=False),
        sa.Column("vat_rate_bp", sa.SmallInteger(), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("staff_id"), "="),
            (sa.column("occupied"), "&&"),
            where=sa.text("occupies"),
            using="gist",
            name="ex_booking_items_staff",
        ),
        sa.CheckConstraint(
            "occupied @> tstzrange(starts_at, ends_at)", name=op.f("ck_booking_items_occupied_covers_visit")
        ),
        sa.CheckConstraint("price_amount >= 0", name=op.f("ck_booking_items_price")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_booking_items_order")),
        sa.ForeignKeyConstraint(
            ["booking_id", "booking_status"],
            ["bookings.id", "bookings.status"],
            name="fk_booking_items_booking",
            onupdate="CASCADE",
        ),
        sa.ForeignKeyConstraint(["service_id"], ["services.id"], name=op.f("fk_booking_items_service_id")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_booking_items_staff_id")),
        sa.ForeignKeyConstraint(
            ["treatment_id"], ["customer_treatments.id"], name=op.f("fk_booking_items_treatment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_booking_items")),
        sa.UniqueConstraint("id", "occupied", "occupies", name=op.f("uq_booking_items_id_occupied_occupies")),
    )
    op.create_index("ix_booking_items_booking_id", "booking_items", ["booking_id", "position"], unique=False)
    op.create_index("ix_booking_items_starts_at", "booking_items", ["starts_at"], unique=False)
    op.create_index(
        "ix_booking_items_treatment_id",
        "booking_items",
        ["treatment_id"],
        unique=False,
        postgresql_where=sa.text("treatment_id IS NOT NULL"),
    )
    op.create_table(
        "booking_item_resources",
        sa.Column("booking_item_id", sa.BigInteger(), nullable=False),
        sa.Column("resource_id", sa.BigInteger(), nullable=False),
        sa.Column("occupied", postgresql.TSTZRANGE(), nullable=False),
        sa.Column("occupies", sa.Boolean(), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("resource_id"), "="),
            (sa.column("occupied"), "&&"),
            where=sa.text("occupies"),
            using="gist",
            name="ex_booking_item_resources_resource",
        ),
        sa.ForeignKeyConstraint(
            ["booking_item_id", "occupied", "occupies"],
            ["booking_items.id", "booking_items.occupied", "booking_items.occupies"],
            name="fk_booking_item_resources_item",
            onupdate="CASCADE",
        ),
        sa.ForeignKeyConstraint(["resource_id"], ["resources.id"], name=op.f("fk_booking_item_resources_resource_id")),
        sa.PrimaryKeyConstraint("booking_item_id", "resource_id", name=op.f("pk_booking_item_resources")),
    )
    op.create_table(
        "treatment_entries",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("treatment_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sessions", sa.SmallInteger(), nullable=False),
        sa.Column("value_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("booking_item_id", sa.BigInteger(), nullable=True),
        sa.Column("closed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "CASE WHEN kind IN ('purchase', 'transfer_in') THEN sessions > 0 WHEN kind IN ('release', 'unpunch') THEN sessions = 1 WHEN kind IN ('hold', 'punch', 'forfeit') THEN sessions = -1 WHEN kind IN ('expire', 'transfer_out') THEN sessions < 0 WHEN kind IN ('extend', 'freeze', 'unfreeze') THEN sessions = 0 WHEN kind = 'refund' THEN sessions <= 0 ELSE sessions <> 0 END",
            name=op.f("ck_treatment_entries_sign"),
        ),
        sa.CheckConstraint(
            "kind IN ('purchase', 'hold', 'release', 'punch', 'unpunch', 'forfeit', 'expire', 'adjust', 'extend', 'freeze', 'unfreeze', 'transfer_in', 'transfer_out', 'refund')",
            name=op.f("ck_treatment_entries_kind"),
        ),
        sa.CheckConstraint(
            "kind NOT IN ('hold', 'release', 'punch', 'unpunch') OR booking_item_id IS NOT NULL",
            name=op.f("ck_treatment_entries_visit_named"),
        ),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_treatment_entries_actor_id")),
        sa.ForeignKeyConstraint(
            ["booking_item_id"], ["booking_items.id"], name=op.f("fk_treatment_entries_booking_item_id")
        ),
        sa.ForeignKeyConstraint(
            ["closed_by_id"], ["treatment_entries.id"], name=op.f("fk_treatment_entries_closed_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["treatment_id"], ["customer_treatments.id"], name=op.f("fk_treatment_entries_treatment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_treatment_entries")),
    )
    op.create_index("ix_treatment_entries_booking_item_id", "treatment_entries", ["booking_item_id"], unique=False)
    op.create_index(
        "ix_treatment_entries_created_at", "treatment_entries", ["created_at"], unique=False, postgresql_using="brin"
    )
    op.create_index("ix_treatment_entries_treatment_id", "treatment_entries", ["treatment_id", "id"], unique=False)
    op.create_index(
        "uq_treatment_entries_live_hold",
        "treatment_entries",
        ["booking_item_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'hold' AND closed_by_id IS NULL"),
    )
    op.create_index(
        "uq_treatment_entries_live_punch",
        "treatment_entries",
        ["booking_item_id"],
        unique=True,
        postgresql_where=sa.text("kind IN ('punch', 'forfeit') AND closed_by_id IS NULL"),
    )
    op.create_table(
        "journal_entries",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("posted_on", sa.Date(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=True),
        sa.Column("payment_id", sa.BigInteger(), nullable=True),
        sa.Column("treatment_entry_id", sa.BigInteger(), nullable=True),
        sa.Column("reverses_id", sa.BigInteger(), nullable=True),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "event IN ('visit_invoiced', 'plan_sold', 'payment_taken', 'session_recognised', 'session_returned', 'sessions_expired', 'invoice_voided', 'invoice_credited', 'cards_imported')",
            name=op.f("ck_journal_entries_event"),
        ),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_journal_entries_actor_id")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_journal_entries_branch_id")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_journal_entries_invoice_id")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_journal_entries_payment_id")),
        sa.ForeignKeyConstraint(["reverses_id"], ["journal_entries.id"], name=op.f("fk_journal_entries_reverses_id")),
        sa.ForeignKeyConstraint(
            ["treatment_entry_id"], ["treatment_entries.id"], name=op.f("fk_journal_entries_treatment_entry_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_entries")),
    )
    op.create_index(
        "ix_journal_entries_branch_id_posted_on", "journal_entries", ["branch_id", "posted_on"], unique=False
    )
    op.create_index("ix_journal_entries_invoice_id", "journal_entries", ["invoice_id"], unique=False)
    op.create_table(
        "journal_lines",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("treatment_id", sa.BigInteger(), nullable=True),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_journal_lines_amount")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_journal_lines_account_id")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_journal_lines_customer_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["journal_entries.id"], name=op.f("fk_journal_lines_entry_id")),
        sa.ForeignKeyConstraint(
            ["treatment_id"], ["customer_treatments.id"], name=op.f("fk_journal_lines_treatment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_lines")),
    )
    op.create_index("ix_journal_lines_account_id", "journal_lines", ["account_id"], unique=False)
    op.create_index("ix_journal_lines_entry_id", "journal_lines", ["entry_id"], unique=False)
    op.create_index("ix_journal_lines_treatment_id", "journal_lines", ["treatment_id"], unique=False)
    op.create_foreign_key(
        "fk_invoice_lines_booking_item_id", "invoice_lines", "booking_items", ["booking_item_id"], ["id"]
    )
