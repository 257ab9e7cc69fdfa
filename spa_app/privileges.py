"""What the application may do in its database when it connects as the role ``spa_app`` instead of the tables' owner.

A table's owner can switch its triggers off, and so could whatever runs with the owner's rights. ``spa_app`` owns
nothing: it reads and writes rows, but in a table that only grows it cannot change or delete one even if every trigger
were gone (:data:`_CHANGES` are the exceptions), and it cannot touch the triggers, the tables or the chart of accounts.
Migrations run as the owner and grant this anew each time, so a new table needs nothing of its own.
"""

from sqlalchemy import Connection, text

ROLE = "spa_app"
# Reference rows and the mark of the migrations: to be read only.
_READ_ONLY = ("accounts", "alembic_version")
_GROWS = """
    SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE p.proname = 'spa_refuse_change' AND NOT t.tgisinternal ORDER BY 1
"""
_ALL = (
    f"GRANT USAGE ON SCHEMA public TO {ROLE}",
    f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ROLE}",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}",
    f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {ROLE}",
)
# What may change in tables that only grow, by their names; triggers see to it that nothing else does.
_CHANGES = {
    "audit_log": f"GRANT UPDATE (before, after, reason) ON audit_log TO {ROLE}",  # when a customer is anonymised
    "treatment_entries": f"GRANT UPDATE (closed_by_id) ON treatment_entries TO {ROLE}",  # filled in later, once
}


def grant(connection: Connection) -> bool:
    """Give the role its rights on what there is now; returns whether there is such a role. Commits nothing."""
    if not connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": ROLE}):
        return False
    for statement in _ALL:
        connection.execute(text(statement))
    growing = connection.execute(text(_GROWS)).scalars().all()
    for table in growing:
        connection.execute(text(f"REVOKE UPDATE, DELETE ON {table} FROM {ROLE}"))
        if table in _CHANGES:
            connection.execute(text(_CHANGES[table]))
    for table in _READ_ONLY:
        if connection.scalar(text("SELECT to_regclass(:table)"), {"table": table}):
            connection.execute(text(f"REVOKE INSERT, UPDATE, DELETE ON {table} FROM {ROLE}"))
    return True
