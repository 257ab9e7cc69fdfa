"""Promotions, and the bills that they are on."""

from typing import Any

from sqlalchemy import Select

from spa_app.errors import N_
from spa_app.models import Branch, Customer, Invoice, Promotion, PromotionUse
from spa_app.queries.exports.table import Column, Scope, Table
from spa_app.queries.exports.words import BRANCH, CUSTOMER_ID, CUSTOMER_NAME, INVOICE_ID, currency

_PROMOTION_ID = N_("Number of the promotion")
_CODE = N_("The code of the promotion")


def _promotions(query: Select[Any], scope: Scope) -> Select[Any]:
    return query.select_from(Promotion).order_by(Promotion.id)  # they are good in every branch


def _uses(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(PromotionUse)
        .join(Promotion, Promotion.id == PromotionUse.promotion_id)
        .join(Invoice, Invoice.id == PromotionUse.invoice_id)
        .join(Branch, Branch.id == Invoice.branch_id)
        .join(Customer, Customer.id == PromotionUse.customer_id)
        .where(*scope.on_days(Invoice.branch_id, PromotionUse.used_at))
        .order_by(PromotionUse.id)
    )


PROMOTIONS = Table(
    "promotions",
    N_("Promotions"),
    N_("Every promotion as it stands now; they are good in all branches"),
    (
        Column("promotion_id", Promotion.id, _PROMOTION_ID),
        Column("code", Promotion.code, _CODE),
        Column("name", Promotion.name, N_("Its name")),
        Column("percent_bp", Promotion.percent_bp, N_("What it takes off, in hundredths of a percent")),
        Column("discount_amount", Promotion.discount_amount, N_("Or what it takes off as an amount")),
        Column("minimum_amount", Promotion.minimum_amount, N_("What the bill must come to")),
        currency(),
        Column("starts_on", Promotion.starts_on, N_("First day on which it is valid")),
        Column("ends_on", Promotion.ends_on, N_("Last day on which it is valid")),
        Column("max_uses", Promotion.max_uses, N_("How often it can be used; empty: any number")),
        Column("max_uses_per_customer", Promotion.max_uses_per_customer, N_("How often by one customer")),
        Column("used_count", Promotion.used_count, N_("How often it is used so far")),
        Column("is_active", Promotion.is_active, N_("Whether it can be used")),
    ),
    _promotions,
    has_days=False,
)

PROMOTION_USES = Table(
    "promotion_uses",
    N_("Uses of the promotions"),
    N_("The bills that promotions are or were on, by the day of the use"),
    (
        Column("promotion_use_id", PromotionUse.id, N_("Number of the use")),
        Column("promotion_id", PromotionUse.promotion_id, _PROMOTION_ID),
        Column("code", Promotion.code, _CODE),
        Column("branch", Branch.code, BRANCH),
        Column("customer_id", PromotionUse.customer_id, CUSTOMER_ID),
        Column("full_name", Customer.full_name, CUSTOMER_NAME),
        Column("invoice_id", PromotionUse.invoice_id, INVOICE_ID),
        Column("number", Invoice.number, N_("Number on the invoice")),
        Column("discount_amount", PromotionUse.discount_amount, N_("What it took off that bill")),
        currency(),
        Column("used_at", PromotionUse.used_at, N_("When it was used")),
        Column("released_at", PromotionUse.released_at, N_("When the use was given back")),
    ),
    _uses,
    zone=Branch.timezone,
)
