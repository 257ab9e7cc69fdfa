"""Committed rows for tests: plain functions that need an application context and return ids.

What has rules (cards, bookings, invoices) is made by the services, so that the books balance from the start.
"""

import datetime as dt
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from flask.testing import FlaskClient
from sqlalchemy import select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import (
    Branch,
    BranchHours,
    Customer,
    CustomerTreatment,
    Drawer,
    DrawerSession,
    GiftCard,
    InvoiceLine,
    Plan,
    PlanBranch,
    PlanItem,
    Promotion,
    Resource,
    ResourceType,
    Service,
    ServiceResource,
    Staff,
    StaffSkill,
    User,
    UserBranch,
)
from spa_app.money import vat_within
from spa_app.services import billing, bookings, drawers, gift_card_desk, ledger, payments, stock, treatments, waitlist
from spa_app.services.actor import SYSTEM, Actor
from spa_app.services.bookings import ItemRequest
from spa_app.services.ledger import Account, Posting
from spa_app.services.transaction import atomic

# Where it is the hour after noon now: what a desk does "now", three hours ago or in three falls into opening hours
# and into today whenever the tests run. (The sign of these zones is the other way round: ``Etc/GMT-7`` is UTC+7.)
TIMEZONE = f"Etc/GMT{dt.datetime.now(dt.UTC).hour - 12:+d}"

PASSWORD = "correct horse battery"
_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
_serial = itertools.count(1)


@dataclass(frozen=True)
class Spa:
    """A branch that can work: two therapists and two rooms, who and which do for each of three services.

    ``facial`` takes 60 minutes and 10 of clean-up; ``massage`` 90, with 5 before and 15 after; ``consultation`` 30, no
    room and no buffers. ``plan`` is 10 × facial for 1,000,000 with 8 % VAT. The other branch has its own.
    """

    branch: int
    therapists: tuple[int, int]
    rooms: tuple[int, int]
    room_type: int
    facial: int
    massage: int
    consultation: int
    plan: int
    customer: int
    receptionist: Actor
    therapist: Actor
    manager: Actor
    owner: Actor
    other_branch: int
    other_therapist: int
    other_room: int
    other_receptionist: Actor


def make_spa() -> Spa:
    """Fill an empty database with a :class:`Spa`. User names: reception, therapist, manager, owner, reception7."""
    with atomic():
        branch, other = make_branch(code="Q1"), make_branch(code="Q7")
        room_type = make_resource_type("Treatment room")
        rooms = (make_room(branch, room_type, "Room 1"), make_room(branch, room_type, "Room 2"))
        facial = make_service("Basic Facial", minutes=60, after=10, price=450_000, room_types=[room_type])
        massage = make_service("Hot Stone", minutes=90, before=5, after=15, price=800_000, room_types=[room_type])
        consultation = make_service("Consultation", minutes=30, price=100_000)
        skills = (facial, massage, consultation)
        therapists = (make_staff(branch, skills, "Hồng"), make_staff(branch, skills, "Anh"))
        return Spa(
            branch=branch,
            therapists=therapists,
            rooms=rooms,
            room_type=room_type,
            facial=facial,
            massage=massage,
            consultation=consultation,
            plan=make_plan([(facial, 10)], price=1_000_000, name="10 × Basic Facial"),
            customer=make_customer("Lê Thị Mai"),
            receptionist=actor_of(make_user("receptionist", [branch], username="reception")),
            therapist=actor_of(make_user("therapist", [branch], username="therapist", staff_id=therapists[0])),
            manager=actor_of(make_user("manager", [branch], username="manager")),
            owner=actor_of(make_user("owner", username="owner")),
            other_branch=other,
            other_therapist=make_staff(other, skills, "Lan"),
            other_room=make_room(other, room_type, "Room 1"),
            other_receptionist=actor_of(make_user("receptionist", [other], username="reception7")),
        )


def make_branch(
    *, code: str | None = None, timezone: str = TIMEZONE, opens: str = "08:00", closes: str = "21:00"
) -> int:
    """A branch that is open every day, where it is shortly after noon now."""
    code = code or f"B{next(_serial)}"
    branch = _add(Branch(code=code, name=f"Spa {code}", timezone=timezone))
    with atomic() as session:
        session.add_all(
            BranchHours(
                branch_id=branch,
                weekday=weekday,
                opens_at=dt.time.fromisoformat(opens),
                closes_at=dt.time.fromisoformat(closes),
            )
            for weekday in range(7)
        )
    return branch


def set_policy(branch_id: int, **values: str | int) -> None:
    """Set a branch's policy columns, such as ``no_show_policy="fee", no_show_fee_bp=5_000``."""
    with atomic() as session:
        branch = session.get_one(Branch, branch_id)
        for name, value in values.items():
            setattr(branch, name, value)


def make_resource_type(name: str | None = None, kind: str = "room") -> int:
    """A type of room or equipment."""
    return _add(ResourceType(name=name or f"Type {next(_serial)}", kind=kind))


def make_room(branch_id: int, type_id: int, name: str | None = None, *, places: int = 1) -> int:
    """A room (or machine) of a type, with places for so many who come together."""
    name = name or f"Room {next(_serial)}"
    return _add(Resource(branch_id=branch_id, type_id=type_id, name=name, places=places))


def make_service(
    name: str | None = None,
    *,
    minutes: int = 60,
    before: int = 0,
    after: int = 0,
    price: int = 450_000,
    vat_rate_bp: int = 800,
    room_types: Iterable[int] = (),
) -> int:
    """A service, with the types of room that it needs."""
    service = _add(
        Service(
            name=name or f"Service {next(_serial)}",
            duration_minutes=minutes,
            buffer_before_minutes=before,
            buffer_after_minutes=after,
            price_amount=price,
            vat_rate_bp=vat_rate_bp,
        )
    )
    with atomic() as session:
        session.add_all(ServiceResource(service_id=service, type_id=type_id) for type_id in room_types)
    return service


def make_staff(branch_id: int, skills: Iterable[int] = (), name: str | None = None) -> int:
    """A therapist who performs the services ``skills``."""
    staff = _add(Staff(branch_id=branch_id, full_name=name or f"Therapist {next(_serial)}"))
    with atomic() as session:
        session.add_all(StaffSkill(staff_id=staff, service_id=service_id) for service_id in skills)
    return staff


def make_plan(
    items: Sequence[tuple[int | None, int]],
    *,
    price: int = 1_000_000,
    days: int | None = 365,
    months: int | None = None,
    from_first_visit: bool = False,
    bonus: int = 0,
    vat_rate_bp: int = 800,
    name: str | None = None,
    branch_ids: Iterable[int] = (),
) -> int:
    """A plan of ``(service id or None, sessions)``, with ``bonus`` more of each; valid for days, or else months.

    With ``branch_ids`` it is limited to these branches.
    """
    plan = _add(
        Plan(
            name=name or f"Plan {next(_serial)}",
            price_amount=price,
            vat_rate_bp=vat_rate_bp,
            validity_days=None if months else days,
            validity_months=months,
            from_first_visit=from_first_visit,
        )
    )
    for service_id, sessions in items:
        _add(PlanItem(plan_id=plan, service_id=service_id, sessions=sessions, bonus_sessions=bonus))
    with atomic() as session:
        session.add_all(PlanBranch(plan_id=plan, branch_id=branch_id) for branch_id in branch_ids)
    return plan


def make_product(
    branch_id: int, *, price: int = 200_000, vat_rate_bp: int = 1_000, on_hand: int = 10, name: str | None = None
) -> int:
    """A product with so many pieces in a branch."""
    values = {"name": name or f"Product {next(_serial)}", "sku": None, "price_amount": price}
    product = stock.save_product(
        values={**values, "vat_rate_bp": vat_rate_bp, "is_active": True},
        low_quantity=2,
        branch_id=branch_id,
        actor=SYSTEM,
    )
    if on_hand:
        stock.move_stock(product, branch_id=branch_id, kind="received", quantity=on_hand, actor=SYSTEM)
    return product


def make_promotion(code: str | None = None, **values: Any) -> int:
    """A promotion of 10 % for any bill, unless told otherwise."""
    discount = {} if "discount_amount" in values else {"percent_bp": 1_000}
    return _add(Promotion(code=code or f"CODE{next(_serial)}", **{"name": "Ten off", **discount, **values}))


def make_customer(full_name: str | None = None, phone: str | None = None) -> int:
    """A customer, with a phone number of their own unless one is given."""
    number = next(_serial)
    return _add(Customer(full_name=full_name or f"Customer {number}", phone=phone or f"+849{number:08d}"))


def make_user(
    role: str, branch_ids: Iterable[int] = (), *, username: str | None = None, staff_id: int | None = None
) -> int:
    """A login whose password is :data:`PASSWORD`."""
    username = username or f"user{next(_serial)}"
    user = _add(User(username=username, password_hash=_HASH, full_name=username.title(), role=role, staff_id=staff_id))
    with atomic() as session:
        session.add_all(UserBranch(user_id=user, branch_id=branch_id) for branch_id in branch_ids)
    return user


def actor_of(user_id: int) -> Actor:
    """The actor that a request of this user has."""
    user = db.session.get_one(User, user_id)
    mine = select(UserBranch.branch_id).where(UserBranch.user_id == user_id)
    query = select(Branch.id) if user.role == "owner" else mine
    return Actor(user.id, user.role, frozenset(db.session.execute(query).scalars()), ip="192.0.2.7")


def make_card(
    customer_id: int,
    service_id: int | None,
    *,
    branch_id: int,
    sessions: int = 10,
    price: int = 1_000_000,
    vat_rate_bp: int = 800,
    expiry_date: dt.date | None = None,
    actor: Actor = SYSTEM,
) -> int:
    """A card sold for ``price`` (VAT in it) and paid in cash; a date in the past is taken as it is."""
    with atomic() as session:
        plan = make_plan([(service_id, sessions)], price=price, vat_rate_bp=vat_rate_bp)
        if expiry_date is None:
            invoice = billing.sell_plan(customer_id=customer_id, plan_id=plan, branch_id=branch_id, actor=actor)
            payments.take_payment(invoice, method="cash", amount=price, actor=actor)
            return cards_of(invoice)[0]
        branch = session.get_one(Branch, branch_id)
        deferred = price - vat_within(price, vat_rate_bp)
        card = treatments.open_card(
            customer_id=customer_id,
            branch=branch,
            service_id=service_id,
            plan_id=plan,
            sessions=sessions,
            deferred_amount=deferred,
            expiry_date=expiry_date,
            actor=actor,
        )
        ledger.post(
            "cards_imported",
            branch=branch,
            actor=actor,
            postings=[
                Posting(Account.OPENING_BALANCE, deferred),
                Posting(Account.DEFERRED_REVENUE, -deferred, treatment_id=card),
            ],
        )
        return card


def cards_of(invoice_id: int) -> list[int]:
    """The cards that an invoice sold, in the order of the plan."""
    query = (
        select(CustomerTreatment.id)
        .join(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
        .where(InvoiceLine.invoice_id == invoice_id)
        .order_by(CustomerTreatment.id)
    )
    return list(db.session.execute(query).scalars())


@dataclass(frozen=True)
class SoldGiftCard:
    """A gift card with its code and the invoice that sold it."""

    id: int
    code: str
    invoice: int


def make_gift_card(
    spa: Spa,
    *,
    amount: int = 500_000,
    paid: int | None = None,
    customer_id: int | None = None,
    expires_on: dt.date | None = None,
    receiver_name: str = "",
) -> SoldGiftCard:
    """A gift card that was sold, and paid in cash unless ``paid`` says how much of it was.

    ``expires_on`` is taken as it is.
    """
    invoice = gift_card_desk.sell_gift_card(
        customer_id=customer_id or spa.customer,
        amount=amount,
        branch_id=spa.branch,
        receiver_name=receiver_name,
        actor=SYSTEM,
    )
    if paid is None or paid > 0:
        payments.take_payment(invoice, method="cash", amount=paid, actor=SYSTEM)
    with atomic() as session:
        card = session.execute(
            select(GiftCard)
            .join(InvoiceLine, InvoiceLine.id == GiftCard.invoice_line_id)
            .where(InvoiceLine.invoice_id == invoice)
        ).scalar_one()
        if expires_on is not None:
            card.expires_on = expires_on
        return SoldGiftCard(card.id, card.code, invoice)


def make_booking(
    spa: Spa,
    *items: ItemRequest,
    status: str = "confirmed",
    starts_at: dt.datetime | None = None,
    customer_id: int | None = None,
    card: int | None = None,
    actor: Actor = SYSTEM,
) -> int:
    """A visit brought to ``status``; of one facial by the first therapist in the first room, unless items are given.

    Starts at this minute unless told otherwise, so that it can be started. ``card`` prepays the facial.
    """
    default = ItemRequest(spa.facial, spa.therapists[0], spa.rooms[0], card)
    booking = bookings.book(
        customer_id=customer_id or spa.customer,
        branch_id=spa.branch,
        starts_at=starts_at or this_minute(),
        items=items or [default],
        actor=actor,
        tentative=status == "pending",
        override_hours=actor.is_manager,  # tests run at night too
    )
    if status in ("in_progress", "completed"):
        bookings.start(booking, actor=actor)
    if status == "completed":
        bookings.complete(booking, actor=actor)
    if status == "cancelled":
        bookings.cancel(booking, reason="changed plans", actor=actor)
    if status == "no_show":
        bookings.mark_no_show(booking, actor=actor)
    return booking


def make_drawer(branch_id: int, name: str | None = None, *, opening: int | None = None) -> int:
    """A drawer; with ``opening`` it is open, with a float counted of so much."""
    drawer = _add(Drawer(branch_id=branch_id, name=name or f"Drawer {next(_serial)}"))
    if opening is not None:
        drawers.open_drawer(drawer, count=drawers.Count(other_amount=opening), actor=SYSTEM)
    return drawer


def open_session_of(drawer_id: int) -> int:
    """The session of a drawer that is open."""
    query = select(DrawerSession.id).where(DrawerSession.drawer_id == drawer_id, DrawerSession.closed_at.is_(None))
    return db.session.execute(query).scalar_one()


def make_sale(spa: Spa, *, price: int = 500_000, customer_id: int | None = None) -> int:
    """An unpaid invoice: a plan sold for ``price``."""
    plan = make_plan([(spa.facial, 5)], price=price)
    return billing.sell_plan(
        customer_id=customer_id or spa.customer, plan_id=plan, branch_id=spa.branch, actor=spa.receptionist
    )


def make_party(
    spa: Spa,
    *guests: bookings.Guest,
    starts_at: dt.datetime | None = None,
    status: str = "confirmed",
    actor: Actor = SYSTEM,
) -> list[int]:
    """The visits of customers who come together; a facial each for the spa's customer and a new one, unless told."""
    if not guests:
        customers = (spa.customer, make_customer("Vũ Lan"))
        guests = tuple(bookings.Guest(one, [ItemRequest(spa.facial)]) for one in customers)
    visits = bookings.book_party(
        guests,
        branch_id=spa.branch,
        starts_at=starts_at or this_minute(),
        actor=actor,
        tentative=status == "pending",
    )
    if status in ("in_progress", "completed"):
        bookings.start_party(visits[0], actor=actor)
    if status == "completed":
        bookings.complete_party(visits[0], actor=actor)
    return visits


def make_entry(
    spa: Spa,
    *service_ids: int,
    customer_id: int | None = None,
    days: tuple[int, int] = (0, 14),
    actor: Actor | None = None,
    **wish: Any,
) -> int:
    """An entry of the waitlist, for a facial unless told otherwise; ``days`` from today to which, ``wish`` the rest."""
    today = clock.today(db.session.get_one(Branch, spa.branch).timezone)
    return waitlist.add_entry(
        branch_id=spa.branch,
        customer_id=customer_id or make_customer(),
        service_ids=service_ids or [spa.facial],
        first_on=today + dt.timedelta(days=days[0]),
        last_on=today + dt.timedelta(days=days[1]),
        actor=actor or spa.receptionist,
        **wish,
    )


def this_minute() -> dt.datetime:
    """The present instant without its seconds."""
    return clock.now().replace(second=0, microsecond=0)


def local_at(branch_id: int, time: str, *, days: int = 0) -> dt.datetime:
    """The instant at which the branch's clocks show ``time`` (``10:00``), so many days from today."""
    timezone = db.session.get_one(Branch, branch_id).timezone
    return clock.at_local(clock.today(timezone) + dt.timedelta(days=days), dt.time.fromisoformat(time), timezone)


def tomorrow_at(branch_id: int, time: str) -> dt.datetime:
    """The instant at which the branch's clocks show ``time`` (``10:00``) tomorrow."""
    return local_at(branch_id, time, days=1)


def login(client: FlaskClient, username: str) -> None:
    """Make ``client`` a session of that user, as a successful login leaves it; for sweeps over many roles."""
    with client.application.app_context():
        user_id = db.session.execute(select(User.id).where(User.username == username)).scalar_one()
    with client.session_transaction() as session:
        session.clear()
        session.permanent = True
        session["_user_id"] = str(user_id)
        session["_fresh"] = True


def _add(row: object) -> int:
    with atomic() as session:
        session.add(row)
        session.flush()
        return row.id
