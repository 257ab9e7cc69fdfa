"""Invoices with their lines, payments and payouts, and the journal."""

from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import aliased

from spa_app.errors import N_
from spa_app.models import (
    Account,
    Branch,
    Customer,
    Invoice,
    InvoiceLine,
    JournalEntry,
    JournalLine,
    Payment,
    Payout,
    Plan,
    Product,
    Service,
    Staff,
    User,
)
from spa_app.queries.exports.table import Column, Scope, Table
from spa_app.queries.exports.words import (
    BOOKING_ID,
    BRANCH,
    CUSTOMER_ID,
    CUSTOMER_NAME,
    INVOICE_ID,
    RECORDED_AT,
    USER,
    currency,
)

_corrected, _replaced = aliased(Invoice), aliased(Invoice)
_NUMBER = N_("Number on the invoice")


def _invoices(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(Invoice)
        .join(Branch, Branch.id == Invoice.branch_id)
        .join(Customer, Customer.id == Invoice.customer_id)
        .outerjoin(_corrected, _corrected.id == Invoice.corrects_id)
        .outerjoin(_replaced, _replaced.id == Invoice.replaces_id)
        .outerjoin(User, User.id == Invoice.created_by_id)
        .where(*scope.on_days(Invoice.branch_id, Invoice.issued_at))
        .order_by(Invoice.id)
    )


def _lines(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(InvoiceLine)
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .outerjoin(Service, Service.id == InvoiceLine.service_id)
        .outerjoin(Plan, Plan.id == InvoiceLine.plan_id)
        .outerjoin(Product, Product.id == InvoiceLine.product_id)
        .outerjoin(Staff, Staff.id == InvoiceLine.staff_id)
        .where(*scope.on_days(Invoice.branch_id, Invoice.issued_at))
        .order_by(InvoiceLine.id)
    )


def _payments(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(Payment)
        .join(Branch, Branch.id == Payment.branch_id)
        .join(Invoice, Invoice.id == Payment.invoice_id)
        .outerjoin(User, User.id == Payment.actor_id)
        .where(*scope.on_days(Payment.branch_id, Payment.taken_at))
        .order_by(Payment.id)
    )


def _payouts(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(Payout)
        .join(Branch, Branch.id == Payout.branch_id)
        .join(Invoice, Invoice.id == Payout.invoice_id)
        .outerjoin(User, User.id == Payout.actor_id)
        .where(*scope.on_days(Payout.branch_id, Payout.given_at))
        .order_by(Payout.id)
    )


def _journal(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(JournalLine)
        .join(JournalEntry, JournalEntry.id == JournalLine.entry_id)
        .join(Branch, Branch.id == JournalEntry.branch_id)
        .join(Account, Account.id == JournalLine.account_id)
        .outerjoin(User, User.id == JournalEntry.actor_id)
        .where(*scope.on_dates(JournalEntry.branch_id, JournalEntry.posted_on))
        .order_by(JournalLine.id)
    )


INVOICES = Table(
    "invoices",
    N_("Invoices"),
    N_("Invoices and credit notes, by the day of issue"),
    (
        Column("invoice_id", Invoice.id, INVOICE_ID),
        Column("number", Invoice.number, _NUMBER),
        Column("kind", Invoice.kind, N_("invoice or credit_note")),
        Column("status", Invoice.status, N_("draft, open, partly_paid, paid or void")),
        Column("branch", Branch.code, BRANCH),
        Column("customer_id", Invoice.customer_id, CUSTOMER_ID),
        Column("full_name", Customer.full_name, CUSTOMER_NAME),
        Column("booking_id", Invoice.booking_id, BOOKING_ID),
        Column("total_amount", Invoice.total_amount, N_("Total, VAT in it")),
        Column("vat_amount", Invoice.vat_amount, N_("Of it, VAT")),
        Column("paid_amount", Invoice.paid_amount, N_("Paid so far")),
        Column("credited_amount", Invoice.credited_amount, N_("Taken back so far by credit notes")),
        currency(),
        Column("is_credited", Invoice.is_credited, N_("Whether credit notes took all of it back")),
        Column("corrects_number", _corrected.number, N_("The invoice that it corrects")),
        Column("corrects_id", Invoice.corrects_id, N_("The same by invoice_id")),
        Column("replaces_number", _replaced.number, N_("The bill that was changed into this one")),
        Column("replaces_id", Invoice.replaces_id, N_("The same by invoice_id")),
        Column("card_id", Invoice.treatment_id, N_("The card whose rest it gives back")),
        Column("reason", Invoice.reason, N_("Reason")),
        Column("issued_at", Invoice.issued_at, N_("When it was issued")),
        Column("voided_at", Invoice.voided_at, N_("When it was voided")),
        Column("user", User.username, USER),
    ),
    _invoices,
    zone=Branch.timezone,
)

INVOICE_LINES = Table(
    "invoice_lines",
    N_("Lines of the invoices"),
    N_("What each invoice is made up of, by its day of issue"),
    (
        Column("invoice_line_id", InvoiceLine.id, N_("Number of the line")),
        Column("invoice_id", InvoiceLine.invoice_id, INVOICE_ID),
        Column("number", Invoice.number, _NUMBER),
        Column("position", InvoiceLine.position, N_("Which line of the invoice it is")),
        Column("kind", InvoiceLine.kind, N_("service, plan, product, tip, fee, discount or gift_card")),
        Column("description", InvoiceLine.description, N_("Its text")),
        Column("quantity", InvoiceLine.quantity, N_("How many")),
        Column("amount", InvoiceLine.amount, N_("Amount of the line, VAT in it")),
        Column("vat_amount", InvoiceLine.vat_amount, N_("Of it, VAT")),
        currency(),
        Column("vat_rate_bp", InvoiceLine.vat_rate_bp, N_("VAT in hundredths of a percent: 800 is eight percent")),
        Column("service", Service.name, N_("Service")),
        Column("service_id", InvoiceLine.service_id, N_("The number of that service")),
        Column("plan", Plan.name, N_("Package")),
        Column("plan_id", InvoiceLine.plan_id, N_("The number of that package")),
        Column("product", Product.name, N_("Product")),
        Column("product_id", InvoiceLine.product_id, N_("The number of that product")),
        Column("therapist", Staff.full_name, N_("Whose tip it is")),
        Column("staff_id", InvoiceLine.staff_id, N_("The number of that therapist")),
        Column("discounts_id", InvoiceLine.discounts_id, N_("The line that this discount lowers (invoice_line_id)")),
        Column("discount_scope", InvoiceLine.discount_scope, N_("line: granted on that line; bill: on the whole bill")),
        Column("discount_bp", InvoiceLine.discount_bp, N_("The percentage granted, in hundredths of a percent")),
        Column("booking_item_id", InvoiceLine.booking_item_id, N_("The service of the visit that it belongs to")),
        Column("corrects_line_id", InvoiceLine.corrects_id, N_("The line that it takes back (invoice_line_id)")),
    ),
    _lines,
)

PAYMENTS = Table(
    "payments",
    N_("Payments"),
    N_("What was paid for invoices, in money or otherwise, by its day; deposits have files of their own"),
    (
        Column("payment_id", Payment.id, N_("Number of the payment")),
        Column("invoice_id", Payment.invoice_id, INVOICE_ID),
        Column("number", Invoice.number, _NUMBER),
        Column("branch", Branch.code, BRANCH),
        Column(
            "method",
            Payment.method,
            N_("cash, card, bank_transfer, e_wallet, or no money: gift_card, store_credit, deposit"),
        ),
        Column("amount", Payment.amount, N_("Amount paid")),
        Column("tendered_amount", Payment.tendered_amount, N_("What was handed over; above the amount: the change")),
        currency(),
        Column("reference", Payment.reference, N_("Reference of the card slip or transfer")),
        Column("credit_note_id", Payment.credit_note_id, N_("The credit note (invoice_id) that settled it: no money")),
        Column("taken_at", Payment.taken_at, N_("When it was taken")),
        Column(
            "drawer_session_id", Payment.drawer_session_id, N_("For cash: from which opening of a drawer to its close")
        ),
        Column("user", User.username, USER),
    ),
    _payments,
    zone=Branch.timezone,
)

PAYOUTS = Table(
    "payouts",
    N_("Payouts"),
    N_("Money handed out for credit notes, by its day"),
    (
        Column("payout_id", Payout.id, N_("Number of the payout")),
        Column("invoice_id", Payout.invoice_id, INVOICE_ID),
        Column("number", Invoice.number, N_("Number on the credit note")),
        Column("branch", Branch.code, BRANCH),
        Column("method", Payout.method, N_("cash, card, bank_transfer, e_wallet, or back onto the gift_card")),
        Column("amount", Payout.amount, N_("Amount handed out")),
        currency(),
        Column("reference", Payout.reference, N_("Reference of what went back by card, transfer or e-wallet")),
        Column("payment_id", Payout.payment_id, N_("The payment that went back by it")),
        Column("journal_entry_id", Payout.entry_id, N_("The entry of the journal that it was posted by")),
        Column("given_at", Payout.given_at, N_("When it was handed out")),
        Column(
            "drawer_session_id", Payout.drawer_session_id, N_("For cash: from which opening of a drawer to its close")
        ),
        Column("user", User.username, USER),
    ),
    _payouts,
    zone=Branch.timezone,
)

JOURNAL = Table(
    "journal",
    N_("Journal"),
    N_("Every line of the ledger, by the day it was posted on; the lines of an entry add up to zero"),
    (
        Column("journal_line_id", JournalLine.id, N_("Number of the line")),
        Column("journal_entry_id", JournalLine.entry_id, N_("Number of the entry that it belongs to")),
        Column("branch", Branch.code, BRANCH),
        Column("posted_on", JournalEntry.posted_on, N_("Day of the entry")),
        Column("event", JournalEntry.event, N_("What was posted: plan_sold, payment_taken …")),
        Column("account", Account.code, N_("Number of the account")),
        Column("account_name", Account.name, N_("Name of the account")),
        Column("amount", JournalLine.amount, N_("Debit above zero, credit below")),
        currency(),
        Column("card_id", JournalLine.treatment_id, N_("The card whose value it moves")),
        Column("customer_id", JournalLine.customer_id, N_("The customer whose store credit it moves")),
        Column("gift_card_id", JournalLine.gift_card_id, N_("The gift card whose balance it moves")),
        Column("deposit_id", JournalLine.deposit_id, N_("The deposit that it moves")),
        Column("invoice_id", JournalEntry.invoice_id, INVOICE_ID),
        Column("payment_id", JournalEntry.payment_id, N_("Number of the payment")),
        Column("card_history_id", JournalEntry.treatment_entry_id, N_("The change of a card that it belongs to")),
        Column("drawer_session_id", JournalEntry.drawer_session_id, N_("The opening of a drawer whose cash it moves")),
        Column("reverses_entry_id", JournalEntry.reverses_id, N_("The entry that it reverses (journal_entry_id)")),
        Column("user", User.username, USER),
        Column("created_at", JournalEntry.created_at, RECORDED_AT),
    ),
    _journal,
    zone=Branch.timezone,
)
