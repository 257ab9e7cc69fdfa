"""Products, and what came and went of each."""

from typing import Any

from sqlalchemy import Select

from spa_app.errors import N_
from spa_app.models import Branch, Product, ProductStock, StockMovement, User
from spa_app.queries.exports.table import Column, Scope, Table
from spa_app.queries.exports.words import BRANCH, RECORDED_AT, USER, currency

_PRODUCT_ID = N_("Number of the product")


def _products(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(ProductStock)
        .join(Product, Product.id == ProductStock.product_id)
        .join(Branch, Branch.id == ProductStock.branch_id)
        .where(*scope.of_branch(ProductStock.branch_id))
        .order_by(ProductStock.id)
    )


def _movements(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(StockMovement)
        .join(ProductStock, ProductStock.id == StockMovement.stock_id)
        .join(Branch, Branch.id == ProductStock.branch_id)
        .outerjoin(User, User.id == StockMovement.actor_id)
        .where(*scope.on_days(ProductStock.branch_id, StockMovement.created_at))
        .order_by(StockMovement.id)
    )


PRODUCTS = Table(
    "products",
    N_("Products"),
    N_("What is sold over the counter, with the stock of each branch"),
    (
        Column("stock_id", ProductStock.id, N_("Number of the stock")),
        Column("product_id", ProductStock.product_id, _PRODUCT_ID),
        Column("name", Product.name, N_("Its name")),
        Column("sku", Product.sku, N_("Article number")),
        Column("branch", Branch.code, BRANCH),
        Column("price_amount", Product.price_amount, N_("Price, VAT in it")),
        currency(),
        Column("vat_rate_bp", Product.vat_rate_bp, N_("VAT in hundredths of a percent: 800 is eight percent")),
        Column("on_hand", ProductStock.on_hand, N_("How many are on hand")),
        Column("low_quantity", ProductStock.low_quantity, N_("From how many down it is low")),
        Column("is_active", Product.is_active, N_("Whether it is for sale")),
    ),
    _products,
    has_days=False,
)

STOCK_MOVEMENTS = Table(
    "stock_movements",
    N_("Movements of the stock"),
    N_("What came and went of each product, by its day"),
    (
        Column("movement_id", StockMovement.id, N_("Number of the movement")),
        Column("stock_id", StockMovement.stock_id, N_("Number of the stock")),
        Column("product_id", ProductStock.product_id, _PRODUCT_ID),
        Column("branch", Branch.code, BRANCH),
        Column("kind", StockMovement.kind, N_("sold, returned, received, counted or written_off")),
        Column("quantity", StockMovement.quantity, N_("How many came; below zero: went")),
        Column("invoice_line_id", StockMovement.invoice_line_id, N_("The line of the invoice that sold it")),
        Column("reason", StockMovement.reason, N_("Reason")),
        Column("created_at", StockMovement.created_at, RECORDED_AT),
        Column("user", User.username, USER),
    ),
    _movements,
    zone=Branch.timezone,
)
