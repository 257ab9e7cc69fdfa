"""Products for sale, and how many of each a branch has: a history that only grows, and the count that caches it."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base


class Product(Base):
    """What is sold over the counter. The price includes VAT; ``vat_rate_bp`` is in basis points (800 = 8 %)."""

    __tablename__ = "products"
    __table_args__ = (
        UniqueConstraint("name"),
        UniqueConstraint("sku"),
        CheckConstraint("sku <> ''", name="sku"),
        CheckConstraint("price_amount >= 0", name="price"),
        CheckConstraint("vat_rate_bp BETWEEN 0 AND 10000", name="vat_rate"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    sku: Mapped[str | None]
    price_amount: Mapped[int]
    vat_rate_bp: Mapped[int] = mapped_column(SmallInteger)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))


class ProductStock(Base):
    """How many pieces of a product a branch has: a cache of its movements, whose lock guards them.

    It counts as low from ``low_quantity`` pieces down.
    """

    __tablename__ = "product_stocks"
    __table_args__ = (
        UniqueConstraint("product_id", "branch_id"),
        CheckConstraint("on_hand >= 0", name="on_hand"),
        CheckConstraint("low_quantity >= 0", name="low"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    on_hand: Mapped[int] = mapped_column(server_default=text("0"))
    low_quantity: Mapped[int] = mapped_column(server_default=text("0"))


class StockMovement(Base):
    """One change of a stock, never edited: ``quantity`` pieces came (or, negative, went).

    What is sold and what comes back name the line of the invoice that sold it. A count writes what it found too much or
    too little, which may be nothing.
    """

    __tablename__ = "stock_movements"
    __table_args__ = (
        CheckConstraint("kind IN ('sold', 'returned', 'received', 'counted', 'written_off')", name="kind"),
        CheckConstraint(
            "CASE WHEN kind IN ('sold', 'written_off') THEN quantity < 0"
            " WHEN kind IN ('returned', 'received') THEN quantity > 0 ELSE true END",
            name="sign",
        ),
        CheckConstraint("(kind IN ('sold', 'returned')) = (invoice_line_id IS NOT NULL)", name="line_named"),
        Index("ix_stock_movements_stock_id", "stock_id", "id"),
        Index(
            "ix_stock_movements_invoice_line_id",
            "invoice_line_id",
            postgresql_where=text("invoice_line_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    stock_id: Mapped[int] = mapped_column(ForeignKey("product_stocks.id"))
    kind: Mapped[str]
    quantity: Mapped[int]
    invoice_line_id: Mapped[int | None] = mapped_column(ForeignKey("invoice_lines.id"))
    reason: Mapped[str] = mapped_column(server_default="")
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
