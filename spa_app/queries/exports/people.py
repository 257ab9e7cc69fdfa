"""Customers, their cards, and the cards' history."""

from typing import Any

from sqlalchemy import Select, case, func, or_, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from spa_app.errors import N_
from spa_app.models import (
    Booking,
    Branch,
    Customer,
    CustomerTreatment,
    Invoice,
    InvoiceLine,
    Plan,
    Service,
    Staff,
    TreatmentEntry,
    TreatmentShare,
    User,
)
from spa_app.queries.exports.table import Column, Scope, Table
from spa_app.queries.exports.words import (
    BRANCH,
    CARD_ID,
    CUSTOMER_ID,
    CUSTOMER_NAME,
    CUSTOMER_PHONE,
    RECORDED_AT,
    USER,
    currency,
)

_FREE = (
    CustomerTreatment.total_sessions
    - CustomerTreatment.used_sessions
    - CustomerTreatment.held_sessions
    - CustomerTreatment.expired_sessions
)
_anywhere = aliased(Branch)
_GOOD_IN = (
    select(func.array_to_string(func.array_agg(aggregate_order_by(_anywhere.code, _anywhere.code)), "; "))
    .where(_anywhere.id == func.any(CustomerTreatment.branch_ids))
    .scalar_subquery()
)
_OWED = CustomerTreatment.deferred_amount - CustomerTreatment.recognised_amount - CustomerTreatment.expired_amount
_SHARED_WITH = (
    select(func.string_agg(func.concat(TreatmentShare.customer_id, ":", TreatmentShare.session_limit), " "))
    .where(TreatmentShare.treatment_id == CustomerTreatment.id, TreatmentShare.ended_by_id.is_(None))
    .scalar_subquery()
)


def _customers(query: Select[Any], scope: Scope) -> Select[Any]:
    query = query.select_from(Customer).outerjoin(Staff, Staff.id == Customer.preferred_staff_id)
    if scope.branches:
        # Customers are the whole spa's: a branch's are those who had something there.
        query = query.where(
            or_(
                *[
                    select(true())
                    .where(model.customer_id == Customer.id, model.branch_id.in_(scope.branch_ids))
                    .exists()
                    for model in (Booking, CustomerTreatment, Invoice)
                ]
            )
        )
    # Who was first on a shared phone comes before those who share it, as an import wants it.
    return query.order_by(Customer.shares_phone_with_id.is_not(None), Customer.id)


def _cards(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(CustomerTreatment)
        .join(Customer, Customer.id == CustomerTreatment.customer_id)
        .join(Branch, Branch.id == CustomerTreatment.branch_id)
        .outerjoin(Service, Service.id == CustomerTreatment.service_id)
        .outerjoin(Plan, Plan.id == CustomerTreatment.plan_id)
        .outerjoin(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
        .outerjoin(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(*scope.of_branch(CustomerTreatment.branch_id))
        .order_by(CustomerTreatment.id)
    )


def _history(query: Select[Any], scope: Scope) -> Select[Any]:
    return (
        query.select_from(TreatmentEntry)
        .join(CustomerTreatment, CustomerTreatment.id == TreatmentEntry.treatment_id)
        .join(Branch, Branch.id == CustomerTreatment.branch_id)
        .outerjoin(User, User.id == TreatmentEntry.actor_id)
        .where(*scope.on_days(CustomerTreatment.branch_id, TreatmentEntry.created_at))
        .order_by(TreatmentEntry.id)
    )


CUSTOMERS = Table(
    "customers",
    N_("Customers"),
    N_("Everybody on record, as of now; of a branch: who had a visit, a card or an invoice there"),
    (
        Column("customer_id", Customer.id, CUSTOMER_ID),
        Column("full_name", Customer.full_name, N_("Name")),
        Column("phone", Customer.phone, N_("Phone number with its country code")),
        Column(
            "shares_phone",
            case((Customer.shares_phone_with_id.is_not(None), "yes")),
            N_("yes: the number is another customer's too, who had it first"),
        ),
        Column("shares_phone_with_id", Customer.shares_phone_with_id, N_("Who had the number first (customer_id)")),
        Column("email", Customer.email, N_("E-mail address")),
        Column("birth_date", Customer.birth_date, N_("Date of birth")),
        Column("allergies", Customer.allergies, N_("Allergies: keep them as safe as a medical file")),
        Column("medical_note", Customer.medical_note, N_("Medical note: keep it as safe as a medical file")),
        Column("note", Customer.note, N_("Note")),
        Column("tags", func.array_to_string(Customer.tags, "; "), N_("Tags")),
        Column("merged_into_id", Customer.merged_into_id, N_("The customer whom this record was merged into")),
        Column("anonymised_at", Customer.anonymised_at, N_("When the record was made anonymous")),
        Column("preferred_therapist", Staff.full_name, N_("The therapist whom they prefer")),
        Column("preferred_therapist_id", Customer.preferred_staff_id, N_("The number of that therapist")),
        Column("credit_amount", Customer.credit_amount, N_("Store credit that is left")),
        currency(),
        Column("import_ref", Customer.import_ref, N_("Mark of the import that brought it")),
        Column("created_at", Customer.created_at, RECORDED_AT),
    ),
    _customers,
    has_days=False,
)

CARDS = Table(
    "cards",
    N_("Treatment cards"),
    N_("Every card as it stands now"),
    (
        Column("card_id", CustomerTreatment.id, CARD_ID),
        Column("customer_id", CustomerTreatment.customer_id, CUSTOMER_ID),
        Column("full_name", Customer.full_name, CUSTOMER_NAME),
        Column("phone", Customer.phone, CUSTOMER_PHONE),
        Column("branch", Branch.code, BRANCH),
        Column("service", func.coalesce(Service.name, "*"), N_("The service that it is good for; *: any service")),
        Column("good_in", _GOOD_IN, N_("The branches in which it is good, where that is not all of them")),
        Column("service_id", CustomerTreatment.service_id, N_("The number of that service")),
        Column("plan", Plan.name, N_("The package that it came with")),
        Column("plan_id", CustomerTreatment.plan_id, N_("The number of that package")),
        Column("invoice_number", Invoice.number, N_("The invoice that sold it")),
        Column("invoice_line_id", CustomerTreatment.invoice_line_id, N_("The line of that invoice")),
        Column("origin_card_id", CustomerTreatment.origin_id, N_("The card that its sessions were transferred from")),
        Column("status", CustomerTreatment.status, N_("active, completed, expired, frozen or cancelled")),
        Column("total_sessions", CustomerTreatment.total_sessions, N_("Sessions in all")),
        Column("used_sessions", CustomerTreatment.used_sessions, N_("Sessions used, forfeited ones too")),
        Column("held_sessions", CustomerTreatment.held_sessions, N_("Sessions reserved by visits to come")),
        Column("expired_sessions", CustomerTreatment.expired_sessions, N_("Sessions that expired")),
        Column("free_sessions", _FREE, N_("Sessions that can still be booked")),
        Column("net_value", CustomerTreatment.deferred_amount, N_("What the sessions were sold for, without VAT")),
        Column("recognised_amount", CustomerTreatment.recognised_amount, N_("Of it, revenue of used sessions")),
        Column("expired_amount", CustomerTreatment.expired_amount, N_("Of it, revenue of expired sessions")),
        Column("owed_amount", _OWED, N_("Of it, still owed to the customer")),
        currency(),
        Column("expiry_date", CustomerTreatment.expiry_date, N_("Last day on which it is valid")),
        Column(
            "validity_days", CustomerTreatment.validity_days, N_("Days that it will be valid from its first visit on")
        ),
        Column("validity_months", CustomerTreatment.validity_months, N_("The same in months")),
        Column("frozen_on", CustomerTreatment.frozen_on, N_("Since when it has been frozen")),
        Column("shared_with", _SHARED_WITH, N_("Who else may use it, as customer_id:sessions")),
        Column("cancelled_at", CustomerTreatment.cancelled_at, N_("When it was cancelled")),
        Column("import_ref", CustomerTreatment.import_ref, N_("Mark of the import that brought it")),
        Column("created_at", CustomerTreatment.created_at, RECORDED_AT),
    ),
    _cards,
    zone=Branch.timezone,
    has_days=False,
)

CARD_HISTORY = Table(
    "card_history",
    N_("History of the cards"),
    N_("Each change of a card, never edited; the sessions of a card add up to those that can be booked"),
    (
        Column("card_history_id", TreatmentEntry.id, N_("Number of the change")),
        Column("card_id", TreatmentEntry.treatment_id, CARD_ID),
        Column("customer_id", CustomerTreatment.customer_id, CUSTOMER_ID),
        Column("branch", Branch.code, BRANCH),
        Column("kind", TreatmentEntry.kind, N_("What happened: purchase, hold, release, punch …")),
        Column("sessions", TreatmentEntry.sessions, N_("What it does to the sessions that can be booked")),
        Column(
            "value_amount",
            TreatmentEntry.value_amount,
            N_("What left the value of the card with it, without VAT (below zero: what came)"),
        ),
        currency(),
        Column("days", TreatmentEntry.days, N_("By how many days the expiry moved")),
        Column("booking_item_id", TreatmentEntry.booking_item_id, N_("The service of the visit that it belongs to")),
        Column("counterpart_id", TreatmentEntry.counterpart_id, N_("The transfer that it answers (card_history_id)")),
        Column("closed_by_id", TreatmentEntry.closed_by_id, N_("The change that undid it (card_history_id)")),
        Column("reason", TreatmentEntry.reason, N_("Reason")),
        Column("user", User.username, USER),
        Column("created_at", TreatmentEntry.created_at, RECORDED_AT),
    ),
    _history,
    zone=Branch.timezone,
)
