"""Keep drawers, their cash and their counts; close days, after which nothing is posted on them.

Revision ID: 0032
Revises: 0031
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

# Each statement of a VOLATILE function has a snapshot of its own: what is looked for after the lock was waited for is
# seen. The foreign key's own lock would come too late, or not at all before this looks.
CLOSED_DAY = """
CREATE FUNCTION spa_refuse_closed_day() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed record;
BEGIN
    PERFORM 1 FROM branches WHERE id IN (SELECT branch_id FROM added) FOR KEY SHARE;
    IF TG_TABLE_NAME = 'journal_entries' THEN
        SELECT a.branch_id, c.closed_on INTO closed
        FROM (SELECT branch_id, min(posted_on) AS day FROM added GROUP BY branch_id) a
        CROSS JOIN LATERAL (SELECT max(closed_on) AS closed_on FROM day_closes
                            WHERE branch_id = a.branch_id AND reopened_at IS NULL) c
        WHERE a.day <= c.closed_on LIMIT 1;
    ELSE
        SELECT a.branch_id, c.closed_on INTO closed
        FROM (SELECT i.branch_id, min((i.issued_at AT TIME ZONE b.timezone)::date) AS day
              FROM added i JOIN branches b ON b.id = i.branch_id GROUP BY i.branch_id) a
        CROSS JOIN LATERAL (SELECT max(closed_on) AS closed_on FROM day_closes
                            WHERE branch_id = a.branch_id AND reopened_at IS NULL) c
        WHERE a.day <= c.closed_on LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION 'the books of branch % are closed through %', closed.branch_id, closed.closed_on
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_' || TG_TABLE_NAME || '_closed_day',
                  TABLE = TG_TABLE_NAME, DETAIL = closed.branch_id || ' ' || closed.closed_on;
    END IF;
    RETURN NULL;
END
$$
"""
CLOSED_DAY_TABLES = ("invoices", "journal_entries")

# The lock makes who closes the drawer wait for this cash, or this cash for the close.
OPEN_SESSION = """
CREATE FUNCTION spa_require_open_session() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    branch bigint;
BEGIN
    IF TG_TABLE_NAME = 'deposit_entries' THEN
        branch := (SELECT branch_id FROM deposits WHERE id = NEW.deposit_id);
    ELSE
        branch := NEW.branch_id;
    END IF;
    PERFORM 1 FROM drawer_sessions s JOIN drawers d ON d.id = s.drawer_id
    WHERE s.id = NEW.drawer_session_id AND s.closed_at IS NULL AND d.branch_id = branch FOR SHARE OF s;
    IF FOUND OR NOT EXISTS (SELECT FROM drawer_sessions WHERE id = NEW.drawer_session_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'drawer session % is closed, or of another branch', NEW.drawer_session_id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_' || TG_TABLE_NAME || '_open_session',
              TABLE = TG_TABLE_NAME;
END
$$
"""
CASH_TABLES = ("cash_movements", "deposit_entries", "deposits", "payments", "payouts")
TAKING_TABLES = ("deposit_entries", "deposits", "payments", "payouts")

KEEP_SESSION = """
CREATE FUNCTION spa_keep_drawer_session() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closing CONSTANT text[] := '{closed_at,closed_by_id,expected_amount,counted_amount,variance_amount,left_amount,'
                               'denominations,reason}';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.closed_at IS NULL AND to_jsonb(OLD) - closing = to_jsonb(NEW) - closing THEN
            RETURN NEW;
        ELSIF OLD.reason = '' AND to_jsonb(OLD) - 'reason' = to_jsonb(NEW) - 'reason' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'drawer session % stays as it was opened and closed', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_drawer_sessions_kept', TABLE = 'drawer_sessions';
END
$$
"""

EXPECTED = """
CREATE FUNCTION spa_check_drawer_session() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    taken bigint;
    moved bigint;
    put_away bigint;
BEGIN
    SELECT coalesce((SELECT sum(amount) FROM payments WHERE drawer_session_id = NEW.id), 0)
         - coalesce((SELECT sum(amount) FROM payouts WHERE drawer_session_id = NEW.id), 0)
         + coalesce((SELECT sum(amount) FROM deposits WHERE drawer_session_id = NEW.id), 0)
         + coalesce((SELECT sum(amount) FROM deposit_entries WHERE drawer_session_id = NEW.id), 0) INTO taken;
    SELECT coalesce(sum(CASE kind WHEN 'paid_in' THEN amount WHEN 'closing_drop' THEN 0 ELSE -amount END), 0),
           coalesce(sum(amount) FILTER (WHERE kind = 'closing_drop'), 0)
    INTO moved, put_away FROM cash_movements WHERE drawer_session_id = NEW.id;
    IF NEW.expected_amount IS DISTINCT FROM NEW.opening_float_amount + taken + moved
       OR put_away <> coalesce(NEW.counted_amount - NEW.left_amount, 0) THEN
        RAISE EXCEPTION 'drawer session %: what is expected in it is not the cash that moved', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_drawer_sessions_expected', TABLE = 'drawer_sessions';
    END IF;
    RETURN NULL;
END
$$
"""

# Who closes a day waits here for all that is being posted in the branch, and whoever posts later waits for the close.
DAY_TOTALS = """
CREATE FUNCTION spa_check_day_close() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    takings jsonb;
BEGIN
    PERFORM 1 FROM branches WHERE id = NEW.branch_id FOR UPDATE;
    SELECT coalesce(jsonb_object_agg(method, amount), '{}') INTO takings
    FROM (SELECT p.method, sum(p.amount) AS amount FROM journal_entries e JOIN payments p ON p.id = e.payment_id
          WHERE e.branch_id = NEW.branch_id AND e.posted_on = NEW.closed_on AND e.event = 'payment_taken'
          GROUP BY p.method) s;
    IF NEW.totals -> 'takings' IS DISTINCT FROM takings THEN
        RAISE EXCEPTION 'branch %, %: the takings of the report are not those of the day', NEW.branch_id, NEW.closed_on
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_day_closes_takings', TABLE = 'day_closes';
    END IF;
    RETURN NEW;
END
$$
"""
KEEP_DAY = """
CREATE FUNCTION spa_keep_day_close() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    reopening CONSTANT text[] := '{reopened_at,reopened_by_id,reopen_reason}';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.reopened_at IS NULL AND NEW.reopened_at IS NOT NULL
           AND to_jsonb(OLD) - reopening = to_jsonb(NEW) - reopening THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'Z-report % stays as it was printed', OLD.z_number
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_day_closes_kept', TABLE = 'day_closes';
END
$$
"""
FUNCTIONS = (
    "spa_keep_day_close",
    "spa_check_day_close",
    "spa_check_drawer_session",
    "spa_keep_drawer_session",
    "spa_require_open_session",
    "spa_refuse_closed_day",
)


def upgrade() -> None:
    op.execute(
        "ALTER TABLE branches ADD COLUMN close_with_open_invoices text NOT NULL DEFAULT 'warn',"
        " ADD CONSTRAINT ck_branches_close_with_open_invoices CHECK (close_with_open_invoices IN ('warn', 'block'))"
    )
    _create_tables()
    for table in (*TAKING_TABLES, "journal_entries"):
        op.add_column(table, sa.Column("drawer_session_id", sa.BigInteger(), nullable=True))
        key = f"fk_{table}_drawer_session_id"
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {key} FOREIGN KEY (drawer_session_id) REFERENCES drawer_sessions (id)"
            " NOT VALID"
        )
        # The column is empty yet; it is looked through without holding anybody up.
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {key}")
        op.create_index(
            f"ix_{table}_drawer_session_id",
            table,
            ["drawer_session_id"],
            postgresql_where=sa.text("drawer_session_id IS NOT NULL"),
        )
    for table in TAKING_TABLES:
        rule = f"ck_{table}_drawer"
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {rule} CHECK (drawer_session_id IS NULL OR method IS NOT DISTINCT FROM 'cash') NOT VALID"
        )
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {rule}")
    _create_triggers()


def downgrade() -> None:
    for table in CLOSED_DAY_TABLES:
        op.execute(f"DROP TRIGGER tr_{table}_closed_day ON {table}")
    for table in CASH_TABLES:
        op.execute(f"DROP TRIGGER tr_{table}_open_session ON {table}")
    for table in TAKING_TABLES:
        op.drop_constraint(op.f(f"ck_{table}_drawer"), table)
    for table in (*TAKING_TABLES, "journal_entries"):
        op.drop_column(table, "drawer_session_id")
    for table in ("day_closes", "cash_movements", "drawer_sessions", "drawer_choices", "drawers"):
        op.drop_table(table)
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}()")
    op.drop_column("branches", "close_with_open_invoices")


def _create_triggers() -> None:
    for function in (CLOSED_DAY, OPEN_SESSION, KEEP_SESSION, EXPECTED, DAY_TOTALS, KEEP_DAY):
        op.execute(function)
    for table in CLOSED_DAY_TABLES:
        op.execute(
            f"CREATE TRIGGER tr_{table}_closed_day AFTER INSERT ON {table} REFERENCING NEW TABLE AS added"
            " FOR EACH STATEMENT EXECUTE FUNCTION spa_refuse_closed_day()"
        )
    for table in CASH_TABLES:
        op.execute(
            f"CREATE TRIGGER tr_{table}_open_session BEFORE INSERT ON {table} FOR EACH ROW"
            " WHEN (NEW.drawer_session_id IS NOT NULL) EXECUTE FUNCTION spa_require_open_session()"
        )
    op.execute(
        "CREATE TRIGGER tr_cash_movements_append_only BEFORE UPDATE OR DELETE ON cash_movements"
        " FOR EACH ROW EXECUTE FUNCTION spa_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER tr_cash_movements_no_truncate BEFORE TRUNCATE ON cash_movements"
        " FOR EACH STATEMENT EXECUTE FUNCTION spa_refuse_change()"
    )
    op.execute(
        "CREATE TRIGGER tr_drawer_sessions_kept BEFORE UPDATE OR DELETE ON drawer_sessions"
        " FOR EACH ROW EXECUTE FUNCTION spa_keep_drawer_session()"
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER tr_drawer_sessions_expected AFTER INSERT OR UPDATE ON drawer_sessions"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.closed_at IS NOT NULL)"
        " EXECUTE FUNCTION spa_check_drawer_session()"
    )
    op.execute(
        "CREATE TRIGGER tr_day_closes_takings BEFORE INSERT ON day_closes"
        " FOR EACH ROW EXECUTE FUNCTION spa_check_day_close()"
    )
    op.execute(
        "CREATE TRIGGER tr_day_closes_kept BEFORE UPDATE OR DELETE ON day_closes"
        " FOR EACH ROW EXECUTE FUNCTION spa_keep_day_close()"
    )


def _create_tables() -> None:
    op.create_table(
        "drawers",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("name <> ''", name=op.f("ck_drawers_name")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_drawers_branch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drawers")),
        sa.UniqueConstraint("branch_id", "name", name=op.f("uq_drawers_branch_id_name")),
    )
    op.create_table(
        "drawer_choices",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("drawer_id", sa.BigInteger(), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["drawer_id"], ["drawers.id"], name=op.f("fk_drawer_choices_drawer_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_drawer_choices_user_id")),
        sa.PrimaryKeyConstraint("user_id", "drawer_id", name=op.f("pk_drawer_choices")),
    )
    op.create_table(
        "drawer_sessions",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("drawer_id", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("opened_by_id", sa.BigInteger(), nullable=True),
        sa.Column("opened_as", sa.Text(), nullable=False),
        sa.Column("opening_float_amount", sa.BigInteger(), nullable=True),
        sa.Column("opening_variance_amount", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("expected_amount", sa.BigInteger(), nullable=True),
        sa.Column("counted_amount", sa.BigInteger(), nullable=True),
        sa.Column("variance_amount", sa.BigInteger(), nullable=True),
        sa.Column("left_amount", sa.BigInteger(), nullable=True),
        sa.Column("denominations", postgresql.JSONB(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "(opened_as = 'unknown') = (opening_float_amount IS NULL)", name=op.f("ck_drawer_sessions_opening")
        ),
        sa.CheckConstraint("opened_as IN ('counted', 'carried', 'unknown')", name=op.f("ck_drawer_sessions_opened_as")),
        sa.CheckConstraint(
            "opening_variance_amount IS NULL OR opened_as = 'counted'", name=op.f("ck_drawer_sessions_opening_variance")
        ),
        sa.CheckConstraint(
            "CASE WHEN counted_amount IS NULL THEN num_nonnulls(left_amount, denominations) = 0 ELSE left_amount BETWEEN 0 AND counted_amount AND denominations IS NOT NULL END",
            name=op.f("ck_drawer_sessions_left"),
        ),
        sa.CheckConstraint(
            "closed_at IS NOT NULL OR num_nonnulls(closed_by_id, expected_amount, counted_amount, left_amount, denominations) = 0",
            name=op.f("ck_drawer_sessions_open"),
        ),
        sa.CheckConstraint("counted_amount >= 0", name=op.f("ck_drawer_sessions_counted")),
        sa.CheckConstraint("opening_float_amount >= 0", name=op.f("ck_drawer_sessions_opening_float")),
        sa.CheckConstraint(
            "variance_amount IS NOT DISTINCT FROM counted_amount - expected_amount",
            name=op.f("ck_drawer_sessions_variance"),
        ),
        sa.ForeignKeyConstraint(["closed_by_id"], ["users.id"], name=op.f("fk_drawer_sessions_closed_by_id")),
        sa.ForeignKeyConstraint(["drawer_id"], ["drawers.id"], name=op.f("fk_drawer_sessions_drawer_id")),
        sa.ForeignKeyConstraint(["opened_by_id"], ["users.id"], name=op.f("fk_drawer_sessions_opened_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drawer_sessions")),
    )
    op.create_index(
        "ix_drawer_sessions_drawer_id_opened_at", "drawer_sessions", ["drawer_id", "opened_at"], unique=False
    )
    op.create_index(
        "uq_drawer_sessions_open",
        "drawer_sessions",
        ["drawer_id"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "cash_movements",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("drawer_session_id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('paid_in', 'drop', 'expense', 'closing_drop')", name=op.f("ck_cash_movements_kind")
        ),
        sa.CheckConstraint("reason <> '' OR kind = 'closing_drop'", name=op.f("ck_cash_movements_reason")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_cash_movements_amount")),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_cash_movements_actor_id")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_cash_movements_branch_id")),
        sa.ForeignKeyConstraint(
            ["drawer_session_id"], ["drawer_sessions.id"], name=op.f("fk_cash_movements_drawer_session_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cash_movements")),
    )
    op.create_index("ix_cash_movements_branch_id_moved_at", "cash_movements", ["branch_id", "moved_at"], unique=False)
    op.create_index("ix_cash_movements_drawer_session_id", "cash_movements", ["drawer_session_id"], unique=False)
    op.create_table(
        "day_closes",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("closed_on", sa.Date(), nullable=False),
        sa.Column("z_number", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("totals", postgresql.JSONB(), nullable=False),
        sa.Column("open_invoices", sa.BigInteger(), nullable=False),
        sa.Column("open_amount", sa.BigInteger(), nullable=False),
        sa.Column("reopened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reopened_by_id", sa.BigInteger(), nullable=True),
        sa.Column("reopen_reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "CASE WHEN reopened_at IS NULL THEN reopened_by_id IS NULL AND reopen_reason = '' ELSE reopen_reason <> '' END",
            name=op.f("ck_day_closes_reopened"),
        ),
        sa.CheckConstraint("open_invoices >= 0 AND open_amount >= 0", name=op.f("ck_day_closes_open_invoices")),
        sa.CheckConstraint("z_number > 0", name=op.f("ck_day_closes_z_number")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_day_closes_branch_id")),
        sa.ForeignKeyConstraint(["closed_by_id"], ["users.id"], name=op.f("fk_day_closes_closed_by_id")),
        sa.ForeignKeyConstraint(["reopened_by_id"], ["users.id"], name=op.f("fk_day_closes_reopened_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_day_closes")),
        sa.UniqueConstraint("branch_id", "z_number", name=op.f("uq_day_closes_branch_id_z_number")),
    )
    op.create_index(
        "uq_day_closes_live",
        "day_closes",
        ["branch_id", "closed_on"],
        unique=True,
        postgresql_where=sa.text("reopened_at IS NULL"),
    )
