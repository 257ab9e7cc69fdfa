"""Products, and how many of each a branch has."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, select

from spa_app.extensions import db
from spa_app.models import Invoice, InvoiceLine, Product, ProductStock, StockMovement, User
from spa_app.queries.setup import Stamped, columns_of

PRODUCT_COLUMNS = ("name", "sku", "price_amount", "vat_rate_bp", "is_active")
MOST_MOVEMENTS = 30


@dataclass(frozen=True)
class ProductSetup(Stamped):
    """A product with its stock in one branch."""

    id: int
    values: dict[str, Any]
    on_hand: int
    low_quantity: int

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.values["name"])

    @property
    def is_low(self) -> bool:
        """Whether it should be ordered: for sale, and no more on hand than the branch wants to be told of."""
        return bool(self.values["is_active"]) and self.on_hand <= self.low_quantity

    @property
    def state(self) -> dict[str, Any]:
        """What can be changed of it; the stock moves by itself."""
        return {**self.values, "low_quantity": self.low_quantity}


@dataclass(frozen=True)
class Movement:
    """A movement of a stock, with the invoice that it came from, if it did."""

    kind: str
    quantity: int
    reason: str
    at: dt.datetime
    who: str | None
    invoice_id: int | None
    number: str | None


def list_products(branch_id: int, product_id: int | None = None) -> list[ProductSetup]:
    """All products with the stock of a branch, those no longer for sale last; or one."""
    query = (
        select(
            Product,
            func.coalesce(ProductStock.on_hand, 0),
            func.coalesce(ProductStock.low_quantity, 0),
        )
        .outerjoin(ProductStock, and_(ProductStock.product_id == Product.id, ProductStock.branch_id == branch_id))
        .order_by(Product.is_active.desc(), Product.name)
    )
    if product_id is not None:
        query = query.where(Product.id == product_id)
    return [
        ProductSetup(row.id, columns_of(row, PRODUCT_COLUMNS), on_hand, low)
        for row, on_hand, low in db.session.execute(query.execution_options(populate_existing=True))
    ]


def list_movements(product_id: int, branch_id: int) -> list[Movement]:
    """The latest movements of a product in a branch, the newest first."""
    query = (
        select(
            StockMovement.kind,
            StockMovement.quantity,
            StockMovement.reason,
            StockMovement.created_at,
            User.full_name,
            Invoice.id,
            Invoice.number,
        )
        .join(ProductStock, ProductStock.id == StockMovement.stock_id)
        .outerjoin(User, User.id == StockMovement.actor_id)
        .outerjoin(InvoiceLine, InvoiceLine.id == StockMovement.invoice_line_id)
        .outerjoin(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(ProductStock.product_id == product_id, ProductStock.branch_id == branch_id)
        .order_by(StockMovement.id.desc())
        .limit(MOST_MOVEMENTS)
    )
    return [Movement(*row) for row in db.session.execute(query)]
