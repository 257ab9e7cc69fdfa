"""The promotions of a spa, as they are set up, and the bills that hold them."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import Customer, Invoice, Promotion, PromotionUse
from spa_app.queries.setup import Stamped, columns_of

COLUMNS = (
    "code",
    "name",
    "percent_bp",
    "discount_amount",
    "minimum_amount",
    "starts_on",
    "ends_on",
    "max_uses",
    "max_uses_per_customer",
    "is_active",
)
MOST_BILLS = 50


@dataclass(frozen=True)
class PromotionSetup(Stamped):
    """A promotion as it is set up, on ``used_count`` bills now."""

    id: int
    values: dict[str, Any]
    used_count: int

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.values["name"])

    @property
    def state(self) -> dict[str, Any]:
        """What can be changed of it."""
        return {name: str(value) if isinstance(value, dt.date) else value for name, value in self.values.items()}


@dataclass(frozen=True)
class PromotionBill:
    """A bill that holds a promotion, or held it until it was taken back."""

    invoice_id: int
    number: str
    customer_name: str
    amount: int
    used_at: dt.datetime
    is_released: bool


def list_promotions(promotion_id: int | None = None) -> list[PromotionSetup]:
    """All promotions, those no longer offered last; or one."""
    query = select(Promotion).order_by(Promotion.is_active.desc(), Promotion.code)
    if promotion_id is not None:
        query = query.where(Promotion.id == promotion_id)
    rows = db.session.execute(query.execution_options(populate_existing=True)).scalars()
    return [PromotionSetup(row.id, columns_of(row, COLUMNS), row.used_count) for row in rows]


def list_bills(promotion_id: int, *, branch_ids: list[int]) -> list[PromotionBill]:
    """The latest bills with a promotion in these branches, fifty at most."""
    query = (
        select(
            Invoice.id,
            Invoice.number,
            Customer.full_name,
            PromotionUse.discount_amount,
            PromotionUse.used_at,
            PromotionUse.released_at.is_not(None),
        )
        .join(Invoice, Invoice.id == PromotionUse.invoice_id)
        .join(Customer, Customer.id == PromotionUse.customer_id)
        .where(PromotionUse.promotion_id == promotion_id, Invoice.branch_id.in_(branch_ids))
        .order_by(PromotionUse.id.desc())
        .limit(MOST_BILLS)
    )
    return [PromotionBill(*row) for row in db.session.execute(query)]
