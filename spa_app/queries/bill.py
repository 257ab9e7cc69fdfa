"""What a bill is made of and what the form of one offers."""

from dataclasses import dataclass

from sqlalchemy import and_, func, select

from spa_app.extensions import db
from spa_app.models import BookingItem, InvoiceLine, Plan, Product, ProductStock, Promotion, PromotionUse, Staff
from spa_app.models.bill import Bill, Discount, Tip, Ware


@dataclass(frozen=True)
class WareChoice:
    """Something that can be sold. ``on_hand``: how many the branch has, None for what has no stock."""

    kind: str
    id: int
    name: str
    price_amount: int
    on_hand: int | None = None


@dataclass(frozen=True)
class Therapist:
    """Whose a tip can be. ``amount`` is what their services in the visit cost."""

    id: int
    full_name: str
    amount: int = 0


def list_wares(branch_id: int) -> list[WareChoice]:
    """The packages and products for sale in a branch, by kind and name. Two statements."""
    plans = select(Plan.id, Plan.name, Plan.price_amount).where(Plan.is_active).order_by(Plan.name)
    products = (
        select(Product.id, Product.name, Product.price_amount, func.coalesce(ProductStock.on_hand, 0))
        .outerjoin(ProductStock, and_(ProductStock.product_id == Product.id, ProductStock.branch_id == branch_id))
        .where(Product.is_active)
        .order_by(Product.name)
    )
    return [
        *(WareChoice("product", *row) for row in db.session.execute(products)),
        *(WareChoice("plan", *row) for row in db.session.execute(plans)),
    ]


def list_therapists(branch_id: int) -> list[Therapist]:
    """The therapists who work in a branch."""
    query = (
        select(Staff.id, Staff.full_name)
        .where(Staff.branch_id == branch_id, Staff.is_active)
        .order_by(Staff.position, Staff.id)
    )
    return [Therapist(*row) for row in db.session.execute(query)]


def list_visit_therapists(booking_id: int | None) -> list[Therapist]:
    """The therapists of a visit, in the order in which they work, with the list prices of their services."""
    if booking_id is None:
        return []
    query = (
        select(Staff.id, Staff.full_name, func.sum(BookingItem.price_amount))
        .join(BookingItem, BookingItem.staff_id == Staff.id)
        .where(BookingItem.booking_id == booking_id, BookingItem.cancelled_at.is_(None))
        .group_by(Staff.id)
        .order_by(func.min(BookingItem.position))
    )
    return [Therapist(row[0], row[1], int(row[2])) for row in db.session.execute(query)]


def read_bill(invoice_id: int) -> Bill:
    """What was put on an issued bill beside its services, as its lines tell."""
    query = select(InvoiceLine).where(InvoiceLine.invoice_id == invoice_id).order_by(InvoiceLine.position)
    lines = db.session.execute(query).scalars().all()
    cuts = [line for line in lines if line.kind == "discount"]
    code = db.session.scalar(
        select(Promotion.code)
        .join(PromotionUse, PromotionUse.promotion_id == Promotion.id)
        .where(PromotionUse.invoice_id == invoice_id, PromotionUse.released_at.is_(None))
    )
    own = {line.discounts_id: _discount([line]) for line in cuts if line.discount_scope == "line"}
    whole = [line for line in cuts if line.discount_scope == "bill"]
    tips: dict[int, int] = {}
    for line in lines:
        if line.kind == "tip" and line.staff_id:
            tips[line.staff_id] = tips.get(line.staff_id, 0) + line.amount
    return Bill(
        wares=tuple(
            Ware(line.kind, line.plan_id or line.product_id or 0, line.quantity, own.get(line.id))
            for line in lines
            if line.kind in ("plan", "product")
        ),
        service_discounts={
            line.booking_item_id: own[line.id]
            for line in lines
            if line.kind == "service" and line.booking_item_id and line.id in own
        },
        discount=_discount(whole) if whole else None,
        reason=next((line.description for line in cuts if line.discount_scope != "promotion"), ""),
        code=code or "",
        tip=_tip(tips),
    )


def _discount(lines: list[InvoiceLine]) -> Discount:
    return Discount(lines[0].discount_bp, 0 if lines[0].discount_bp else -sum(line.amount for line in lines))


def _tip(by_staff: dict[int, int]) -> Tip:
    if len(by_staff) == 1:
        return Tip(sum(by_staff.values()), staff_ids=tuple(by_staff))
    return Tip(split="typed", typed=by_staff) if by_staff else Tip()
