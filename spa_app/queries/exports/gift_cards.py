"""Gift cards and their history."""

from typing import Any

from sqlalchemy import Select

from spa_app.errors import N_
from spa_app.models import Branch, Customer, GiftCard, GiftCardEntry, Invoice, InvoiceLine, User
from spa_app.queries.exports.table import Column, Scope, Table
from spa_app.queries.exports.words import BRANCH, CUSTOMER_NAME, RECORDED_AT, USER, currency

GIFT_CARD_ID = N_("Number of the gift card")


def _gift_cards(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(GiftCard)
        .join(Branch, Branch.id == GiftCard.branch_id)
        .outerjoin(Customer, Customer.id == GiftCard.customer_id)
        .outerjoin(InvoiceLine, InvoiceLine.id == GiftCard.invoice_line_id)
        .outerjoin(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(*scope.of_branch(GiftCard.branch_id))
        .order_by(GiftCard.id)
    )


def _history(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(GiftCardEntry)
        .join(GiftCard, GiftCard.id == GiftCardEntry.gift_card_id)
        .join(Branch, Branch.id == GiftCard.branch_id)
        .outerjoin(User, User.id == GiftCardEntry.actor_id)
        .where(*scope.on_days(GiftCard.branch_id, GiftCardEntry.created_at))
        .order_by(GiftCardEntry.id)
    )


GIFT_CARDS = Table(
    "gift_cards",
    N_("Gift cards"),
    N_("Every gift card as it stands now"),
    (
        Column("gift_card_id", GiftCard.id, GIFT_CARD_ID),
        Column("code", GiftCard.code, N_("Its code: whoever has it can use the card")),
        Column("branch", Branch.code, BRANCH),
        Column("customer_id", GiftCard.customer_id, N_("Number of the customer who bought it")),
        Column("full_name", Customer.full_name, CUSTOMER_NAME),
        Column("receiver_name", GiftCard.receiver_name, N_("Whom it is for")),
        Column("greeting", GiftCard.greeting, N_("The greeting on it")),
        Column("invoice_number", Invoice.number, N_("The invoice that sold it; empty: given away")),
        Column("invoice_line_id", GiftCard.invoice_line_id, N_("The line of that invoice")),
        Column("initial_amount", GiftCard.initial_amount, N_("What it was issued for")),
        Column("balance_amount", GiftCard.balance_amount, N_("What is left on it")),
        Column("expired_amount", GiftCard.expired_amount, N_("What expired on it")),
        currency(),
        Column("expires_on", GiftCard.expires_on, N_("Last day on which it is valid; empty: for ever")),
        Column("cancelled_at", GiftCard.cancelled_at, N_("When it was cancelled")),
        Column("created_at", GiftCard.created_at, RECORDED_AT),
    ),
    _gift_cards,
    zone=Branch.timezone,
    has_days=False,
)

GIFT_CARD_HISTORY = Table(
    "gift_card_history",
    N_("History of the gift cards"),
    N_("Each change of a gift card, never edited; the amounts of a card add up to what is left on it"),
    (
        Column("gift_card_history_id", GiftCardEntry.id, N_("Number of the change")),
        Column("gift_card_id", GiftCardEntry.gift_card_id, GIFT_CARD_ID),
        Column("branch", Branch.code, BRANCH),
        Column("kind", GiftCardEntry.kind, N_("What happened: issue, redeem, refund, expire …")),
        Column("amount", GiftCardEntry.amount, N_("What it does to what is left")),
        currency(),
        Column("payment_id", GiftCardEntry.payment_id, N_("Number of the payment")),
        Column("expires_on", GiftCardEntry.expires_on, N_("Until when it is valid from then on")),
        Column("reason", GiftCardEntry.reason, N_("Reason")),
        Column("user", User.username, USER),
        Column("created_at", GiftCardEntry.created_at, RECORDED_AT),
    ),
    _history,
    zone=Branch.timezone,
)
