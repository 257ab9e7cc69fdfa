"""One visit, as its panel shows it."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, BigInteger, DateTime, Select, and_, bindparam, exists, func, select, text
from sqlalchemy.orm import aliased

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    BookingItem,
    BookingItemResource,
    Branch,
    Customer,
    CustomerTreatment,
    Deposit,
    Invoice,
    Resource,
    Service,
    Staff,
    TreatmentEntry,
    User,
    WaitlistEntry,
)
from spa_app.models.policy import NOTHING, Policy, Taking
from spa_app.queries.birthdays import days_to_birthday
from spa_app.queries.customers import OFTEN_NO_SHOW
from spa_app.queries.invoice_lists import DUE
from spa_app.queries.parties import Mate, list_mates

# The queries are built once: to build a panel's anew would be a third of its time.
_BOOKING_ID = bindparam("booking_id", type_=BigInteger)
_IDS = ARRAY(BigInteger)
# Plain SQL: every visit that is booked reads it.
_CUSTOMER_NAME = text(
    "SELECT c.full_name FROM customers c JOIN bookings b ON b.customer_id = c.id WHERE b.id = :booking_id"
)


@dataclass(frozen=True)
class VisitCustomer:
    """Who comes, and what the desk should know before greeting them."""

    id: int
    full_name: str
    phone: str | None
    allergies: str
    is_first_visit: bool
    no_shows: int  # in the last 365 days
    preferred_staff_id: int | None
    preferred_staff_name: str | None
    owed_amount: int  # on all their invoices
    birth_date: dt.date | None

    def birthday_in_days(self, today: dt.date) -> int | None:
        """How many days to their birthday, if they are few."""
        return days_to_birthday(self.birth_date, today)

    @property
    def is_often_no_show(self) -> bool:
        """Whether the desk should confirm a visit by telephone first."""
        return self.no_shows >= OFTEN_NO_SHOW


@dataclass(frozen=True)
class VisitCard:
    """The card that pays for an item. ``left_before`` and ``left_after`` are free sessions around this very item.

    ``state`` is what became of the item's session: ``hold``, ``punch``, ``forfeit``, or None where it went back.
    """

    id: int
    service_name: str | None  # None: good for any service
    total: int
    used: int
    held: int
    expired: int
    forfeited: int
    expiry_date: dt.date | None  # None: begins with the first visit
    state: str | None
    left_before: int
    left_after: int

    @property
    def squares(self) -> list[str]:
        """The state of each session, in the order in which they are drawn."""
        counts = (
            ("used", self.used - self.forfeited),
            ("forfeited", self.forfeited),
            ("reserved", self.held),
            ("free", self.total - self.used - self.held - self.expired),
            ("expired", self.expired),
        )
        return [state for state, count in counts for _ in range(count)]


@dataclass(frozen=True)
class VisitItem:
    """One service of the visit, with who, where and how it is paid."""

    id: int
    position: int
    service_id: int
    service_name: str
    staff_id: int
    staff_name: str
    resources: tuple[tuple[int, str], ...]  # id and name
    starts_at: dt.datetime
    ends_at: dt.datetime
    price_amount: int
    is_cancelled: bool
    card: VisitCard | None

    @property
    def minutes(self) -> int:
        """How long it takes, without clean-up."""
        return (self.ends_at - self.starts_at) // dt.timedelta(minutes=1)


@dataclass(frozen=True)
class VisitInvoice:
    """An invoice of the visit, or a credit note that takes one back."""

    id: int
    number: str
    kind: str
    status: str
    is_credited: bool
    total_amount: int
    paid_amount: int

    @property
    def due_amount(self) -> int:
        """What is left to pay."""
        settled = self.status == "void" or self.kind == "credit_note" or self.is_credited
        return 0 if settled else self.total_amount - self.paid_amount


@dataclass(frozen=True)
class Visit:
    """A booking with everything that its panel tells. ``actions`` are those that its state allows at ``as_of``.

    ``items`` are the services that stand; those taken out one by one are the ``cancelled_items``.
    """

    id: int
    branch_id: int
    branch_name: str
    timezone: str
    status: str
    version: int
    starts_at: dt.datetime
    note: str
    entered_late: bool
    arrived_at: dt.datetime | None
    started_at: dt.datetime | None
    completed_at: dt.datetime | None
    cancelled_at: dt.datetime | None
    cancel_reason: str
    created_at: dt.datetime
    created_by: str | None
    late_cancel_minutes: int
    late_cancel_policy: str
    late_cancel_fee_bp: int | None
    late_cancel_fee_amount: int | None
    no_show_policy: str
    no_show_fee_bp: int | None
    no_show_fee_amount: int | None
    waiver_limit_amount: int
    party_id: int | None
    held_until: dt.datetime | None  # set: the place is, or was, only held, by held_by
    held_by: str | None
    waitlist_entry_id: int | None
    waitlist_status: str | None
    deposit_amount: int  # what is left of what was paid ahead
    as_of: dt.datetime
    customer: VisitCustomer
    items: tuple[VisitItem, ...]
    cancelled_items: tuple[VisitItem, ...]
    invoices: tuple[VisitInvoice, ...]
    mates: tuple[Mate, ...]  # the others of the party

    @property
    def with_names(self) -> list[str]:
        """Who comes along."""
        return [mate.full_name for mate in self.mates if mate.comes]

    def can_reach_all(self, action: str) -> bool:
        """Whether the same can be done with the visit of somebody else of the party."""
        statuses = {
            "arrive": ("confirmed",),
            "start": ("confirmed",),
            "complete": ("in_progress",),
            "move": ("pending", "confirmed"),
            "cancel": ("pending", "confirmed", "in_progress"),
        }
        return any(
            mate.status in statuses.get(action, ()) and not (action == "arrive" and mate.arrived_at)
            for mate in self.mates
        )

    @property
    def ends_at(self) -> dt.datetime:
        """When the last service is over."""
        return max((item.ends_at for item in self.items), default=self.starts_at)

    @property
    def is_over(self) -> bool:
        """Whether its time has passed, so that the desk no longer moves it."""
        return self.ends_at <= self.as_of

    @property
    def visit_on(self) -> dt.date:
        """The date by the branch's calendar."""
        return clock.local_date(self.starts_at, self.timezone)

    @property
    def is_future_day(self) -> bool:
        """Whether its local day has not begun, so that it cannot be started yet."""
        return self.visit_on > clock.local_date(self.as_of, self.timezone)

    @property
    def invoice(self) -> VisitInvoice | None:
        """The invoice that counts: neither void nor credited."""
        live = (one for one in self.invoices if one.kind == "invoice" and one.status != "void" and not one.is_credited)
        return next(live, None)

    @property
    def due_amount(self) -> int:
        """What the customer has to pay for this visit as things stand, in minor units; cards cover the rest."""
        if self.status in ("completed", "cancelled", "no_show"):
            return sum(invoice.due_amount for invoice in self.invoices)
        return sum(item.price_amount for item in self.items if item.card is None)

    @property
    def has_card(self) -> bool:
        """Whether a card pays for any of it."""
        return any(item.card for item in self.items)

    @property
    def taken_if_cancelled(self) -> Taking:
        """What the branch's policy takes when the visit is cancelled now."""
        if self.as_of <= self.starts_at - dt.timedelta(minutes=self.late_cancel_minutes):
            return NOTHING
        policy = Policy(self.late_cancel_policy, self.late_cancel_fee_bp, self.late_cancel_fee_amount)
        return policy.takes(self._priced)

    @property
    def taken_if_no_show(self) -> Taking:
        """What the branch's policy takes when the customer does not come."""
        return Policy(self.no_show_policy, self.no_show_fee_bp, self.no_show_fee_amount).takes(self._priced)

    @property
    def _priced(self) -> list[tuple[int, bool]]:
        return [(item.price_amount, item.card is not None) for item in self.items]

    @property
    def actions(self) -> tuple[str, ...]:
        """What may be done next, the usual next step first (1-product, *Bookings*)."""
        if self.held_until is not None:
            return ("confirm", "move", "release") if self.is_held else ()
        if self.status == "pending":
            return ("confirm", "move", "cancel")
        if self.status == "confirmed":
            steps = () if self.is_future_day else (("start",) if self.arrived_at else ("arrive", "start"))
            missed = ("no-show",) if self.as_of >= self.starts_at else ()
            return (*steps, "move", *missed, "cancel")
        if self.status == "in_progress":
            return ("complete", "cancel")
        return ("undo-complete",) if self.status == "completed" else ("undo-cancel",)

    def can_be_moved(self, *, by_manager: bool) -> bool:
        """Whether it may still go to another time or place: what is over is corrected by a manager only."""
        return "move" in self.actions and (by_manager or not self.is_over)

    @property
    def is_held(self) -> bool:
        """Whether the place is only held, and still is."""
        return self.status == "pending" and self.held_until is not None and self.held_until > self.as_of

    @property
    def shown_status(self) -> str:
        """The status as the screen has it, which tells a held place, and one that was, from a visit."""
        return self.status if self.held_until is None else "held" if self.is_held else "hold_over"

    @property
    def can_put_back(self) -> bool:
        """Whether the entry of the waitlist that led to this visit can wait again."""
        gave_up = self.status in ("cancelled", "no_show") and self.held_until is None
        return gave_up and self.waitlist_status == "booked"

    @property
    def can_edit_items(self) -> bool:
        """Whether services can be added, changed and cancelled one by one."""
        return self.status in ("pending", "confirmed") and self.shown_status != "hold_over"

    @property
    def can_change_payment(self) -> bool:
        """Whether a card can still take over from the customer, or the customer from a card."""
        return self.can_edit_items or self.status == "in_progress"

    @property
    def undo_needs_manager(self) -> bool:
        """Whether taking back what was done would credit an invoice on which money was taken."""
        return self.invoice is not None and self.invoice.paid_amount > 0

    def is_treated_by(self, staff_id: int | None) -> bool:
        """Whether that member of staff performs any of the services."""
        return staff_id is not None and any(item.staff_id == staff_id for item in self.items)


@cache
def _visit_query() -> Select[Any]:
    holder = aliased(User)
    return (
        select(
            Booking.id,
            Booking.branch_id,
            Branch.name.label("branch_name"),
            Branch.timezone,
            Booking.status,
            Booking.version,
            Booking.starts_at,
            Booking.note,
            Booking.entered_late,
            Booking.arrived_at,
            Booking.started_at,
            Booking.completed_at,
            Booking.cancelled_at,
            Booking.cancel_reason,
            Booking.created_at,
            User.full_name.label("created_by"),
            Branch.late_cancel_minutes,
            Branch.late_cancel_policy,
            Branch.late_cancel_fee_bp,
            Branch.late_cancel_fee_amount,
            Branch.no_show_policy,
            Branch.no_show_fee_bp,
            Branch.no_show_fee_amount,
            Branch.waiver_limit_amount,
            Booking.party_id,
            Booking.held_until,
            holder.full_name.label("held_by"),
            Booking.waitlist_entry_id,
            WaitlistEntry.status.label("waitlist_status"),
            select(func.coalesce(func.sum(Deposit.balance_amount), 0))
            .where(Deposit.booking_id == Booking.id)
            .scalar_subquery()
            .label("deposit_amount"),
        )
        .add_columns(*_customer_columns())
        .join(Branch, Branch.id == Booking.branch_id)
        .join(Customer, Customer.id == Booking.customer_id)
        .outerjoin(User, User.id == Booking.created_by_id)
        .outerjoin(holder, holder.id == Booking.held_by_id)
        .outerjoin(WaitlistEntry, WaitlistEntry.id == Booking.waitlist_entry_id)
        .where(Booking.id == _BOOKING_ID, Booking.branch_id == func.any(bindparam("branch_ids", type_=_IDS)))
    )


def get_booking(booking_id: int, *, branch_ids: Iterable[int]) -> Visit | None:
    """The visit, or None where there is none in ``branch_ids``. Takes four statements, and one more for a party."""
    values = {"booking_id": booking_id, "branch_ids": list(branch_ids), "no_shows_since": _no_shows_since()}
    row = db.session.execute(_visit_query(), values).one_or_none()
    if row is None:
        return None
    items = _items(booking_id)
    told: list[tuple[str, Any]] = list(row._asdict().items())
    return Visit(
        **dict(told[:30]),
        as_of=clock.now(),
        customer=VisitCustomer(*(value for _, value in told[30:])),
        items=tuple(item for item in items if not item.is_cancelled),
        cancelled_items=tuple(item for item in items if item.is_cancelled),
        invoices=_invoices(booking_id),
        mates=list_mates(booking_id) if row.party_id else (),
    )


def get_customer_name(booking_id: int) -> str:
    """The name of a visit's customer."""
    return str(db.session.execute(_CUSTOMER_NAME, {"booking_id": booking_id}).scalar_one())


def get_visit_customer(customer_id: int) -> VisitCustomer | None:
    """Who a visit is being booked for, or None. Takes one statement."""
    values = {"customer_id": customer_id, "no_shows_since": _no_shows_since()}
    row = db.session.execute(_customer_query(), values).one_or_none()
    return VisitCustomer(*row) if row else None


@cache
def _customer_query() -> Select[Any]:
    return select(*_customer_columns()).where(Customer.id == bindparam("customer_id", type_=BigInteger))


def _no_shows_since() -> dt.datetime:
    return clock.now() - dt.timedelta(days=365)


def _customer_columns() -> tuple[Any, ...]:
    other, wished = aliased(Booking), aliased(Staff)
    came = exists().where(other.customer_id == Customer.id, other.status == "completed")
    imported = exists().where(CustomerTreatment.customer_id == Customer.id, CustomerTreatment.import_ref.is_not(None))
    no_shows = (
        select(func.count())
        .select_from(other)
        .where(
            other.customer_id == Customer.id,
            other.status == "no_show",
            other.starts_at > bindparam("no_shows_since", type_=DateTime(timezone=True)),
        )
        .scalar_subquery()
    )
    return (
        Customer.id.label("customer_id"),
        Customer.full_name,
        Customer.phone,
        Customer.allergies,
        and_(~came, ~imported).label("is_first_visit"),
        no_shows.label("no_shows"),
        Customer.preferred_staff_id,
        select(wished.full_name)
        .where(wished.id == Customer.preferred_staff_id)
        .scalar_subquery()
        .label("preferred_staff_name"),
        select(func.coalesce(func.sum(Invoice.total_amount - Invoice.paid_amount), 0))
        .where(Invoice.customer_id == Customer.id, DUE)
        .scalar_subquery()
        .label("owed_amount"),
        Customer.birth_date,
    )


@cache
def _items_query() -> Select[*tuple[Any, ...]]:
    covered = aliased(Service)
    state = (
        select(TreatmentEntry.kind)
        .where(
            TreatmentEntry.booking_item_id == BookingItem.id,
            TreatmentEntry.kind.in_(("hold", "punch", "forfeit")),
            TreatmentEntry.closed_by_id.is_(None),
        )
        .limit(1)
        .scalar_subquery()
    )
    forfeited = (
        select(func.count())
        .select_from(TreatmentEntry)
        .where(
            TreatmentEntry.treatment_id == CustomerTreatment.id,
            TreatmentEntry.kind == "forfeit",
            TreatmentEntry.closed_by_id.is_(None),
        )
        .scalar_subquery()
    )
    return (
        select(
            BookingItem.id,
            BookingItem.position,
            BookingItem.service_id,
            Service.name.label("service_name"),
            BookingItem.staff_id,
            Staff.full_name.label("staff_name"),
            BookingItem.starts_at,
            BookingItem.ends_at,
            BookingItem.price_amount,
            BookingItem.cancelled_at.is_not(None).label("is_cancelled"),
            CustomerTreatment.id.label("card_id"),
            covered.name.label("card_service"),
            CustomerTreatment.total_sessions,
            CustomerTreatment.used_sessions,
            CustomerTreatment.held_sessions,
            CustomerTreatment.expired_sessions,
            forfeited.label("forfeited"),
            CustomerTreatment.expiry_date,
            state.label("state"),
        )
        .join(Service, Service.id == BookingItem.service_id)
        .join(Staff, Staff.id == BookingItem.staff_id)
        .outerjoin(CustomerTreatment, CustomerTreatment.id == BookingItem.treatment_id)
        .outerjoin(covered, covered.id == CustomerTreatment.service_id)
        .where(BookingItem.booking_id == _BOOKING_ID)
        .order_by(BookingItem.position)
    )


@cache
def _resources_query() -> Select[int, int, str]:
    return (
        select(BookingItemResource.booking_item_id, Resource.id, Resource.name)
        .join(Resource, Resource.id == BookingItemResource.resource_id)
        .where(BookingItemResource.booking_item_id == func.any(bindparam("item_ids", type_=_IDS)))
        .order_by(Resource.position, Resource.id)
    )


def _items(booking_id: int) -> tuple[VisitItem, ...]:
    rows = db.session.execute(_items_query(), {"booking_id": booking_id}).all()
    resources: dict[int, list[tuple[int, str]]] = {}
    for item_id, resource_id, name in db.session.execute(_resources_query(), {"item_ids": [row.id for row in rows]}):
        resources.setdefault(item_id, []).append((resource_id, name))
    # Several services of one visit may stand on one card: the earlier one has the later ones' sessions still before it.
    later = Counter(row.card_id for row in rows if row.card_id and row.state)
    items = []
    for row in rows:
        card = None
        if row.card_id is not None:
            taken = 1 if row.state else 0
            later[row.card_id] -= taken
            free = row.total_sessions - row.used_sessions - row.held_sessions - row.expired_sessions
            after = free + later[row.card_id]
            card = VisitCard(
                id=row.card_id,
                service_name=row.card_service,
                total=row.total_sessions,
                used=row.used_sessions,
                held=row.held_sessions,
                expired=row.expired_sessions,
                forfeited=row.forfeited,
                expiry_date=row.expiry_date,
                state=row.state,
                left_before=after + taken,
                left_after=after,
            )
        items.append(
            VisitItem(
                id=row.id,
                position=row.position,
                service_id=row.service_id,
                service_name=row.service_name,
                staff_id=row.staff_id,
                staff_name=row.staff_name,
                resources=tuple(resources.get(row.id, ())),
                starts_at=row.starts_at,
                ends_at=row.ends_at,
                price_amount=row.price_amount,
                is_cancelled=row.is_cancelled,
                card=card,
            )
        )
    return tuple(items)


@cache
def _invoices_query() -> Select[int, str, str, str, bool, int, int]:
    return (
        select(
            Invoice.id,
            Invoice.number,
            Invoice.kind,
            Invoice.status,
            Invoice.is_credited,
            Invoice.total_amount,
            Invoice.paid_amount,
        )
        .where(Invoice.booking_id == _BOOKING_ID)
        .order_by(Invoice.id.desc())
    )


def _invoices(booking_id: int) -> tuple[VisitInvoice, ...]:
    rows = db.session.execute(_invoices_query(), {"booking_id": booking_id})
    return tuple(VisitInvoice(*row) for row in rows)
