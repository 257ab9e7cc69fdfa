"""What is left on a gift card after its last day."""

import datetime as dt

from sqlalchemy import or_, select

from spa_app.extensions import db
from spa_app.models import Branch, GiftCard, Invoice, InvoiceLine
from spa_app.services import ledger
from spa_app.services.actor import Actor
from spa_app.services.gift_cards.cards import append_entry
from spa_app.services.ledger import Account, Posting


def expire_due_batch(*, branch: Branch, on: dt.date, limit: int, actor: Actor) -> list[tuple[int, int]]:
    """Expire up to ``limit`` cards of a branch whose last day lies before the local date ``on``.

    What was on them becomes breakage revenue, in one journal entry with a line for each card. A card that nobody has
    paid for yet stays: its sale can still be voided. Locks the cards by id, waiting for a desk that holds one. Returns
    (card id, amount) of each; an empty list when none is left.
    """
    paid = (
        select(InvoiceLine.id)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(InvoiceLine.id == GiftCard.invoice_line_id, Invoice.status == "paid")
        .exists()
    )
    due = db.session.execute(
        select(GiftCard)
        .where(
            GiftCard.branch_id == branch.id,
            GiftCard.expires_on < on,
            GiftCard.balance_amount > 0,
            or_(GiftCard.invoice_line_id.is_(None), paid),
        )
        .order_by(GiftCard.id)
        .limit(limit)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalars()
    done = [(card, card.balance_amount) for card in due]
    for card, amount in done:
        append_entry(card, "expire", -amount, actor=actor)
    ledger.post(
        "gift_cards_expired",
        branch=branch,
        actor=actor,
        posted_on=on,
        postings=[
            *(Posting(Account.GIFT_CARDS, amount, gift_card_id=card.id) for card, amount in done),
            Posting(Account.BREAKAGE_REVENUE, -sum(amount for _, amount in done)),
        ],
    )
    return [(card.id, amount) for card, amount in done]
