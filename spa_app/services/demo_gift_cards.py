"""Gift cards of the demo: one just sold, one half used, one expired, one that nobody has paid for yet."""

import datetime as dt

from sqlalchemy import select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch, GiftCard, Invoice, InvoiceLine
from spa_app.services import gift_card_desk, gift_cards, payments
from spa_app.services.actor import SYSTEM, Actor


def add_gift_cards(branch: Branch, customers: list[int], manager: Actor) -> None:
    """Sell four gift cards in the branch; the half used one has paid for part of an open bill."""
    sold = _sell(branch, customers[3], 500_000, "Nguyễn Bảo Vy", "Chúc mừng sinh nhật! Thương, Mai", manager)
    _sell(branch, customers[4], 1_000_000, "Trần Mỹ Linh", "", manager, is_paid=False)
    over = _sell(branch, customers[5], 300_000, "Lê Thu Trang", "", manager)
    half = _sell(branch, customers[6], 1_000_000, "Phạm Kim Oanh", "Cảm ơn chị nhiều!", manager)
    bill = db.session.scalars(
        select(Invoice.id)
        .where(Invoice.status == "open", Invoice.booking_id.is_not(None), Invoice.total_amount >= 250_000)
        .order_by(Invoice.id)
    ).first()
    if bill is not None:
        payments.take_payment(bill, method="gift_card", amount=250_000, gift_card_code=half.code, actor=manager)
    today = clock.today(branch.timezone)
    over.expires_on = today - dt.timedelta(days=1)
    sold.expires_on = clock.add_months(today, 12)
    db.session.flush()
    gift_cards.expire_due_batch(branch=branch, on=today, limit=10, actor=SYSTEM)


def _sell(
    branch: Branch, customer_id: int, amount: int, receiver: str, greeting: str, actor: Actor, *, is_paid: bool = True
) -> GiftCard:
    invoice = gift_card_desk.sell_gift_card(
        customer_id=customer_id,
        amount=amount,
        branch_id=branch.id,
        receiver_name=receiver,
        greeting=greeting,
        actor=actor,
    )
    if is_paid:
        payments.take_payment(invoice, method="cash", amount=None, actor=actor)
    lines = select(InvoiceLine.id).where(InvoiceLine.invoice_id == invoice)
    return db.session.execute(select(GiftCard).where(GiftCard.invoice_line_id.in_(lines))).scalar_one()
