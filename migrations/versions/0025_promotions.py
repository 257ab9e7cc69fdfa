"""Take promotions with their codes, limits and uses.

Revision ID: 0025
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0018"
branch_labels = None
depends_on = None

# table → (name, rule)
CHECKS = {
    "promotions": (
        ("code", "code ~ '^[A-Z0-9-]{2,20}$'"),
        ("one_discount", "num_nonnulls(percent_bp, discount_amount) = 1"),
        ("percent", "percent_bp BETWEEN 1 AND 10000"),
        ("discount", "discount_amount > 0"),
        ("minimum", "minimum_amount >= 0"),
        ("window", "starts_on <= ends_on"),
        ("max_uses", "max_uses > 0"),
        ("max_uses_per_customer", "max_uses_per_customer > 0"),
        ("used_not_negative", "used_count >= 0"),
        ("used_within", "used_count <= max_uses"),
    ),
    "promotion_uses": (("discount", "discount_amount > 0"),),
}


def upgrade() -> None:
    op.create_table(
        "promotions",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("percent_bp", sa.SmallInteger(), nullable=True),
        sa.Column("discount_amount", sa.BigInteger(), nullable=True),
        sa.Column("minimum_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("max_uses", sa.BigInteger(), nullable=True),
        sa.Column("max_uses_per_customer", sa.BigInteger(), nullable=True),
        sa.Column("used_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        *_checks("promotions"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
        sa.UniqueConstraint("code", name=op.f("uq_promotions_code")),
    )
    op.create_table(
        "promotion_uses",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("promotion_id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("discount_amount", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        *_checks("promotion_uses"),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_promotion_uses_customer_id")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_promotion_uses_invoice_id")),
        sa.ForeignKeyConstraint(["promotion_id"], ["promotions.id"], name=op.f("fk_promotion_uses_promotion_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotion_uses")),
    )
    op.create_index(
        "uq_promotion_uses_live",
        "promotion_uses",
        ["invoice_id"],
        unique=True,
        postgresql_where=sa.text("released_at IS NULL"),
    )
    op.create_index("ix_promotion_uses_promotion_id", "promotion_uses", ["promotion_id", "customer_id"])
    op.create_index("ix_promotion_uses_customer_id", "promotion_uses", ["customer_id"])


def downgrade() -> None:
    op.drop_table("promotion_uses")
    op.drop_table("promotions")


def _checks(table: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(rule, name=op.f(f"ck_{table}_{name}")) for name, rule in CHECKS[table]]
