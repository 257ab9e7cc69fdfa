"""Let several customers come together, and share a room that has a place for each.

Revision ID: 0007
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0010"
branch_labels = None
depends_on = None

# Whoever claims to belong to a party must: only then may they be in a room together with others.
CHECK_CLAIM = """
CREATE FUNCTION spa_check_party() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The status of the visit comes by here too, and must not make it wait for its rooms.
    IF TG_OP = 'UPDATE' AND (NEW.party_id, NEW.place, NEW.resource_id, NEW.booking_item_id)
        IS NOT DISTINCT FROM (OLD.party_id, OLD.place, OLD.resource_id, OLD.booking_item_id) THEN
        RETURN NEW;
    END IF;
    IF NEW.party_id IS DISTINCT FROM (
        SELECT b.party_id FROM booking_items i JOIN bookings b ON b.id = i.booking_id WHERE i.id = NEW.booking_item_id
    ) THEN
        RAISE EXCEPTION 'item % is not of party %', NEW.booking_item_id, NEW.party_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_booking_item_resources_party',
                TABLE = 'booking_item_resources';
    END IF;
    IF NEW.place > (SELECT places FROM resources WHERE id = NEW.resource_id FOR SHARE) THEN
        RAISE EXCEPTION 'resource % has no place %', NEW.resource_id, NEW.place
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_booking_item_resources_party',
                TABLE = 'booking_item_resources';
    END IF;
    RETURN NEW;
END
$$
"""
# What rooms share hangs on who belongs together: a visit comes into the world in its party, and stays in it.
KEEP_PARTY = """
CREATE FUNCTION spa_keep_party() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.party_id IS NOT DISTINCT FROM OLD.party_id THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'visit % stays in its party', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_bookings_party', TABLE = 'bookings';
END
$$
"""
# A room loses a place only when nobody is to lie in it any more.
KEEP_PLACES = """
CREATE FUNCTION spa_keep_places() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM booking_item_resources
        WHERE resource_id = NEW.id AND place > NEW.places AND occupies AND upper(occupied) > now()
    ) THEN
        RAISE EXCEPTION 'a visit takes more places of resource % than %', NEW.id, NEW.places
            USING ERRCODE = 'check_violation', CONSTRAINT = 'tr_resources_places', TABLE = 'resources';
    END IF;
    RETURN NEW;
END
$$
"""


# An exclusion constraint cannot be built beside the work that goes on, as an index can: building it takes its table for
# itself, and a minute or two for each 600,000 rows, which is longer than a statement may otherwise take.
TAKE_YOUR_TIME = "SET LOCAL statement_timeout = 0"


def upgrade() -> None:
    op.execute(TAKE_YOUR_TIME)
    op.create_table(
        "parties",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_parties_created_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parties")),
    )
    op.add_column("bookings", sa.Column("party_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_bookings_party_id"), "bookings", "parties", ["party_id"], ["id"])
    op.create_index("ix_bookings_party_id", "bookings", ["party_id"], postgresql_where=sa.text("party_id IS NOT NULL"))
    op.add_column("resources", sa.Column("places", sa.SmallInteger(), server_default=sa.text("1"), nullable=False))
    op.create_check_constraint(op.f("ck_resources_places"), "resources", "places BETWEEN 1 AND 20")

    op.add_column("booking_item_resources", sa.Column("party_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "booking_item_resources", sa.Column("place", sa.SmallInteger(), server_default=sa.text("1"), nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_booking_item_resources_place"),
        "booking_item_resources",
        "place = 1 OR (place > 1 AND party_id IS NOT NULL)",
    )
    op.drop_constraint("ex_booking_item_resources_resource", "booking_item_resources")
    op.create_exclude_constraint(
        "ex_booking_item_resources_resource",
        "booking_item_resources",
        (sa.column("resource_id"), "="),
        (sa.column("occupied"), "&&"),
        (sa.literal_column("coalesce(party_id, -booking_item_id)"), "<>"),
        where=sa.text("occupies"),
        using="gist",
    )
    op.create_exclude_constraint(
        "ex_booking_item_resources_place",
        "booking_item_resources",
        (sa.column("resource_id"), "="),
        (sa.column("place"), "="),
        (sa.column("occupied"), "&&"),
        where=sa.text("occupies AND party_id IS NOT NULL"),
        using="gist",
    )
    for function in (CHECK_CLAIM, KEEP_PARTY, KEEP_PLACES):
        op.execute(function)
    op.execute(
        "CREATE TRIGGER tr_booking_item_resources_party BEFORE INSERT OR UPDATE ON booking_item_resources"
        " FOR EACH ROW WHEN (NEW.party_id IS NOT NULL) EXECUTE FUNCTION spa_check_party()"
    )
    op.execute(
        "CREATE TRIGGER tr_bookings_party BEFORE UPDATE OF party_id ON bookings"
        " FOR EACH ROW EXECUTE FUNCTION spa_keep_party()"
    )
    op.execute(
        "CREATE TRIGGER tr_resources_places BEFORE UPDATE OF places ON resources"
        " FOR EACH ROW WHEN (NEW.places < OLD.places) EXECUTE FUNCTION spa_keep_places()"
    )


def downgrade() -> None:
    """Refused by the database where guests share a room."""
    op.execute(TAKE_YOUR_TIME)
    op.execute("DROP TRIGGER tr_resources_places ON resources")
    op.execute("DROP TRIGGER tr_bookings_party ON bookings")
    op.execute("DROP TRIGGER tr_booking_item_resources_party ON booking_item_resources")
    for function in ("spa_check_party", "spa_keep_party", "spa_keep_places"):
        op.execute(f"DROP FUNCTION {function}()")
    op.drop_constraint("ex_booking_item_resources_place", "booking_item_resources")
    op.drop_constraint("ex_booking_item_resources_resource", "booking_item_resources")
    op.create_exclude_constraint(
        "ex_booking_item_resources_resource",
        "booking_item_resources",
        (sa.column("resource_id"), "="),
        (sa.column("occupied"), "&&"),
        where=sa.text("occupies"),
        using="gist",
    )
    op.drop_constraint(op.f("ck_booking_item_resources_place"), "booking_item_resources")
    op.drop_column("booking_item_resources", "place")
    op.drop_column("booking_item_resources", "party_id")
    op.drop_constraint(op.f("ck_resources_places"), "resources")
    op.drop_column("resources", "places")
    op.drop_index("ix_bookings_party_id", "bookings")
    op.drop_constraint(op.f("fk_bookings_party_id"), "bookings")
    op.drop_column("bookings", "party_id")
    op.drop_table("parties")
