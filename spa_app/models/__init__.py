"""What is stored, one module per aggregate."""

from spa_app.models.audit import AuditLog, IdempotencyKey, JobRun, OutboxMessage
from spa_app.models.billing import PAYMENT_METHODS, Invoice, InvoiceCounter, InvoiceLine, Payment, Payout
from spa_app.models.booking import STATUSES, Booking, BookingItem, BookingItemResource, Party
from spa_app.models.branch import Branch, BranchHours
from spa_app.models.cash import DENOMINATIONS, CashMovement, DayClose, Drawer, DrawerChoice, DrawerSession
from spa_app.models.catalog import Plan, PlanBranch, PlanItem, Service, ServiceResource
from spa_app.models.customer import Customer
from spa_app.models.customer_records import (
    FILE_KINDS,
    MEDIA_TYPES,
    RELATIONS,
    CustomerFile,
    CustomerLink,
    CustomerMerge,
    DistinctCustomers,
    RecordAccess,
    TreatmentNote,
)
from spa_app.models.deposit import MONEY_METHODS, Deposit, DepositEntry
from spa_app.models.gift_card import GiftCard, GiftCardEntry
from spa_app.models.ledger import Account, JournalEntry, JournalLine
from spa_app.models.paper import PAPERS, Print
from spa_app.models.promotion import Promotion, PromotionUse
from spa_app.models.schedule import (
    RESOURCE_KINDS,
    STAFF_KINDS,
    BlockedTime,
    BranchException,
    DraftShift,
    RosterWeek,
    ShiftTemplate,
    ShiftTemplatePeriod,
    StaffShift,
)
from spa_app.models.staff import Resource, ResourceType, Staff, StaffSkill
from spa_app.models.stock import Product, ProductStock, StockMovement
from spa_app.models.treatment import CustomerTreatment, TreatmentEntry, TreatmentShare, derive_status, valid_through
from spa_app.models.user import ROLES, User, UserBranch
from spa_app.models.waitlist import EVERY_DAY, WaitlistEntry, WaitlistService

__all__ = [
    "DENOMINATIONS",
    "EVERY_DAY",
    "FILE_KINDS",
    "MEDIA_TYPES",
    "MONEY_METHODS",
    "PAPERS",
    "PAYMENT_METHODS",
    "RELATIONS",
    "RESOURCE_KINDS",
    "ROLES",
    "STAFF_KINDS",
    "STATUSES",
    "Account",
    "AuditLog",
    "BlockedTime",
    "Booking",
    "BookingItem",
    "BookingItemResource",
    "Branch",
    "BranchException",
    "BranchHours",
    "CashMovement",
    "Customer",
    "CustomerFile",
    "CustomerLink",
    "CustomerMerge",
    "CustomerTreatment",
    "DayClose",
    "Deposit",
    "DepositEntry",
    "DistinctCustomers",
    "DraftShift",
    "Drawer",
    "DrawerChoice",
    "DrawerSession",
    "GiftCard",
    "GiftCardEntry",
    "IdempotencyKey",
    "Invoice",
    "InvoiceCounter",
    "InvoiceLine",
    "JobRun",
    "JournalEntry",
    "JournalLine",
    "OutboxMessage",
    "Party",
    "Payment",
    "Payout",
    "Plan",
    "PlanBranch",
    "PlanItem",
    "Print",
    "Product",
    "ProductStock",
    "Promotion",
    "PromotionUse",
    "RecordAccess",
    "Resource",
    "ResourceType",
    "RosterWeek",
    "Service",
    "ServiceResource",
    "ShiftTemplate",
    "ShiftTemplatePeriod",
    "Staff",
    "StaffShift",
    "StaffSkill",
    "StockMovement",
    "TreatmentEntry",
    "TreatmentNote",
    "TreatmentShare",
    "User",
    "UserBranch",
    "WaitlistEntry",
    "WaitlistService",
    "derive_status",
    "valid_through",
]
