"""Let a bill hold products with a stock, tips that name whose they are, and discounts; and let it be changed.

Revision ID: 0033
Revises: 0032
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

# table, column, what it names
REFERENCES = (
    ("invoices", "replaces_id", "invoices"),
    ("invoice_lines", "product_id", "products"),
    ("invoice_lines", "staff_id", "staff"),
    ("invoice_lines", "discounts_id", "invoice_lines"),
)
# table, name, rule, of columns that are new
CHECKS = (
    ("branches", "discount_limit", "discount_limit_bp BETWEEN 0 AND 10000"),
    ("invoices", "replaces", "replaces_id IS NULL OR kind = 'invoice'"),
    ("invoice_lines", "product", "product_id IS NULL OR kind = 'product'"),
    ("invoice_lines", "tip", "staff_id IS NULL OR kind = 'tip'"),
    (
        "invoice_lines",
        "discount",
        "num_nonnulls(discounts_id, discount_scope, discount_bp) = 0 OR kind = 'discount'",
    ),
    ("invoice_lines", "discount_scope", "discount_scope IN ('line', 'bill', 'promotion')"),
    ("invoice_lines", "discount_bp", "discount_bp BETWEEN 1 AND 10000"),
)


def upgrade() -> None:
    _create_tables()
    op.add_column(
        "branches", sa.Column("discount_limit_bp", sa.SmallInteger(), server_default=sa.text("0"), nullable=False)
    )
    for table, column, _ in REFERENCES:
        op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=True))
    op.add_column("invoice_lines", sa.Column("discount_scope", sa.Text(), nullable=True))
    op.add_column("invoice_lines", sa.Column("discount_bp", sa.SmallInteger(), nullable=True))
    # The columns are empty so far; old rows are looked at without holding anybody up.
    for table, column, target in REFERENCES:
        name = f"fk_{table}_{column}"
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({column}) REFERENCES {target} (id) NOT VALID"
        )
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    for table, name, rule in CHECKS:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name} CHECK ({rule}) NOT VALID")
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT ck_{table}_{name}")
    op.create_index(
        "uq_invoices_replaces_id",
        "invoices",
        ["replaces_id"],
        unique=True,
        postgresql_where=sa.text("replaces_id IS NOT NULL"),
    )
    # What an issued invoice may not change grows by what it replaces.
    _change_issued("treatment_id", "treatment_id, {row}.replaces_id")


def downgrade() -> None:
    _change_issued("treatment_id, {row}.replaces_id", "treatment_id")
    op.drop_index("uq_invoices_replaces_id", "invoices")
    for table, name, _ in CHECKS:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{name}")
    op.drop_table("stock_movements")
    op.drop_table("product_stocks")
    for column in ("discount_bp", "discount_scope"):
        op.drop_column("invoice_lines", column)
    for table, column, _ in reversed(REFERENCES):
        op.drop_column(table, column)
    op.drop_column("branches", "discount_limit_bp")
    op.drop_table("products")


def _change_issued(old: str, new: str) -> None:
    """Replace a part of the trigger's function as it stands: what else it has come to guard stays guarded."""
    source = op.get_bind().scalar(sa.text("SELECT pg_get_functiondef(CAST('spa_refuse_issued_change' AS regproc))"))
    for row in ("OLD", "NEW"):
        before = f"{row}.{old.format(row=row)}"
        assert before in source, before
        source = source.replace(before, f"{row}.{new.format(row=row)}")
    op.execute(sa.text(source.replace(":", "\\:")))


def _create_tables() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("price_amount", sa.BigInteger(), nullable=False),
        sa.Column("vat_rate_bp", sa.SmallInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("sku <> ''", name=op.f("ck_products_sku")),
        sa.CheckConstraint("price_amount >= 0", name=op.f("ck_products_price")),
        sa.CheckConstraint("vat_rate_bp BETWEEN 0 AND 10000", name=op.f("ck_products_vat_rate")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("name", name=op.f("uq_products_name")),
        sa.UniqueConstraint("sku", name=op.f("uq_products_sku")),
    )
    op.create_table(
        "product_stocks",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("branch_id", sa.BigInteger(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("low_quantity", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("on_hand >= 0", name=op.f("ck_product_stocks_on_hand")),
        sa.CheckConstraint("low_quantity >= 0", name=op.f("ck_product_stocks_low")),
        sa.ForeignKeyConstraint(["branch_id"], ["branches.id"], name=op.f("fk_product_stocks_branch_id")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_product_stocks_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product_stocks")),
        sa.UniqueConstraint("product_id", "branch_id", name=op.f("uq_product_stocks_product_id_branch_id")),
    )
    op.create_table(
        "stock_movements",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("stock_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("invoice_line_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind IN ('sold', 'returned', 'received', 'counted', 'written_off')", name=op.f("ck_stock_movements_kind")
        ),
        sa.CheckConstraint(
            "CASE WHEN kind IN ('sold', 'written_off') THEN quantity < 0"
            " WHEN kind IN ('returned', 'received') THEN quantity > 0 ELSE true END",
            name=op.f("ck_stock_movements_sign"),
        ),
        sa.CheckConstraint(
            "(kind IN ('sold', 'returned')) = (invoice_line_id IS NOT NULL)", name=op.f("ck_stock_movements_line_named")
        ),
        sa.ForeignKeyConstraint(["actor_id"], ["users.id"], name=op.f("fk_stock_movements_actor_id")),
        sa.ForeignKeyConstraint(
            ["invoice_line_id"], ["invoice_lines.id"], name=op.f("fk_stock_movements_invoice_line_id")
        ),
        sa.ForeignKeyConstraint(["stock_id"], ["product_stocks.id"], name=op.f("fk_stock_movements_stock_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_movements")),
    )
    op.create_index("ix_stock_movements_stock_id", "stock_movements", ["stock_id", "id"])
    op.create_index(
        "ix_stock_movements_invoice_line_id",
        "stock_movements",
        ["invoice_line_id"],
        postgresql_where=sa.text("invoice_line_id IS NOT NULL"),
    )
    for when, events, each in (("append_only", "UPDATE OR DELETE", "ROW"), ("no_truncate", "TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER tr_stock_movements_{when} BEFORE {events} ON stock_movements"
            f" FOR EACH {each} EXECUTE FUNCTION spa_refuse_change()"
        )
