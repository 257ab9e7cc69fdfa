"""A gift card itself: how it comes to be, its lock, its history, and whether it was paid for."""

import datetime as dt

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut
from spa_app.extensions import db
from spa_app.models import Branch, GiftCard, GiftCardEntry, Invoice, InvoiceLine, valid_through
from spa_app.models.gift_card import new_code
from spa_app.money import Money
from spa_app.services.actor import Actor
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

BIGGEST_AMOUNT = 10**12
NAME_LENGTH = 120
GREETING_LENGTH = 300


def issue_for(
    line: InvoiceLine,
    *,
    branch: Branch,
    customer_id: int,
    actor: Actor,
    receiver_name: str = "",
    greeting: str = "",
) -> int:
    """Make the gift card that an invoice line (of kind ``gift_card``, VAT 0) sells, and return its id.

    To be called once the invoice is written and before it is posted, for ``billing.credit_lines`` names the card on the
    ledger's line. It can be used once the invoice is paid in full. Raises :class:`InvalidError` at ``amount``,
    ``receiver_name`` or ``greeting``.
    """
    card = open_card(
        branch=branch,
        amount=line.amount,
        customer_id=customer_id,
        invoice_line_id=line.id,
        receiver_name=receiver_name,
        greeting=greeting,
        actor=actor,
    )
    return card.id


def open_card(
    *,
    branch: Branch,
    amount: int,
    customer_id: int | None,
    receiver_name: str,
    greeting: str,
    actor: Actor,
    invoice_line_id: int | None = None,
    reason: str = "",
) -> GiftCard:
    """A new card with ``amount`` minor units on it, good for as long as the branch says; the caller posts it."""
    if not 0 < amount <= BIGGEST_AMOUNT:
        raise InvalidError("amount_impossible", N_("This amount is not possible."), field="amount")
    with atomic() as session:
        card = GiftCard(
            code=new_code(),
            branch_id=branch.id,
            customer_id=customer_id,
            receiver_name=clean_text(receiver_name, field="receiver_name", limit=NAME_LENGTH, lines=False),
            greeting=clean_text(greeting, field="greeting", limit=GREETING_LENGTH),
            invoice_line_id=invoice_line_id,
            initial_amount=amount,
            balance_amount=0,
            expired_amount=0,
            expires_on=last_day(branch),
        )
        session.add(card)
        session.flush()
        append_entry(card, "issue", amount, actor=actor, reason=reason)
        return card


def last_day(branch: Branch) -> dt.date | None:
    """Until when a card that is sold in the branch today can be used; None: for ever."""
    months = branch.gift_card_months
    return None if months is None else valid_through(clock.today(branch.timezone), None, months)


def append_entry(
    card: GiftCard,
    kind: str,
    amount: int,
    *,
    actor: Actor,
    reason: str = "",
    payment_id: int | None = None,
    expires_on: dt.date | None = None,
) -> None:
    """Write a row of a card's history, and bring its balance along by the database's own arithmetic.

    So the constraint (``ck_gift_cards_balance``) holds even for one who read the balance too early.
    """
    db.session.add(
        GiftCardEntry(
            gift_card_id=card.id,
            kind=kind,
            amount=amount,
            payment_id=payment_id,
            expires_on=expires_on,
            actor_id=actor.user_id,
            reason=reason,
        )
    )
    card.balance_amount = GiftCard.balance_amount + amount
    if kind in ("expire", "reactivate"):
        card.expired_amount = GiftCard.expired_amount - amount
    db.session.flush()


def lock_card(gift_card_id: int, *, actor: Actor) -> GiftCard:
    """Lock a card and return it fresh. Raises :class:`NotFoundError` for one of another branch or none."""
    card = db.session.execute(
        select(GiftCard).where(GiftCard.id == gift_card_id).with_for_update().execution_options(populate_existing=True)
    ).scalar()
    if card is None:
        raise NotFoundError("gift_card_missing", N_("There is no such gift card."))
    actor.require_branch(card.branch_id)
    return card


def require_paid(card: GiftCard) -> None:
    """Raise :class:`ConflictError`, with the way to its invoice, while what a card was sold for is not paid in full.

    An invoice that is paid stays so, or is credited, which takes the card with it: so its lock is not needed.
    """
    sale = db.session.execute(
        select(Invoice)
        .join(InvoiceLine, InvoiceLine.invoice_id == Invoice.id)
        .where(InvoiceLine.id == card.invoice_line_id)
        .execution_options(populate_existing=True)
    ).scalar()
    if sale is not None and sale.due_amount > 0:
        raise ConflictError(
            "gift_card_unpaid",
            N_("Gift card %(card)s can be used once it is paid for: %(due)s is left to pay on invoice %(number)s."),
            field="gift_card_code",
            ways_out=(
                WayOut("open_invoice", N_("Open its invoice"), {"invoice_id": sale.id, "branch_id": sale.branch_id}),
            ),
            card=label(card),
            due=Money(sale.due_amount),
            number=sale.number,
        )


def label(card: GiftCard) -> str:
    """What a card is called where not everybody may read its code: the end of it."""
    return f"…{card.code[-4:]}"


def local_today(card: GiftCard) -> dt.date:
    """The present date by the clocks of the card's branch."""
    return clock.today(db.session.get_one(Branch, card.branch_id).timezone)


def open_way(card: GiftCard) -> WayOut:
    """To the card's page, where a manager can give it more time."""
    return WayOut("open_gift_card", N_("Open the gift card"), {"gift_card_id": card.id, "branch_id": card.branch_id})
