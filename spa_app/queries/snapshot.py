"""A name for the state in which a statement sees the database: what was read in it may be kept until it ends."""

# Equal values mean that nothing was committed in between: PostgreSQL's snapshot lists which transactions can be seen.
SNAPSHOT = "concat_ws(' ', current_database(), pg_postmaster_start_time(), pg_current_snapshot())"
