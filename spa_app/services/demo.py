"""Demo data: one working spa to try things in. Made only on request and only in an empty database."""

import datetime as dt
import random
from typing import Any

from sqlalchemy import exists, select, text, update

from spa_app import clock
from spa_app.errors import DomainError
from spa_app.extensions import db
from spa_app.models import (
    Booking,
    Branch,
    BranchHours,
    Customer,
    CustomerTreatment,
    DrawerSession,
    Invoice,
    OutboxMessage,
    Plan,
    PlanItem,
    Product,
    Resource,
    ResourceType,
    Service,
    ServiceResource,
    Staff,
    StaffShift,
    StaffSkill,
)
from spa_app.models.bill import Bill, Discount, Tip, Ware
from spa_app.services import (
    blocks,
    bookings,
    day_close,
    deposits,
    drawers,
    ledger,
    payments,
    rosters,
    shift_templates,
    stock,
    users,
    waitlist,
)
from spa_app.services.actor import SYSTEM, Actor
from spa_app.services.billing import change_bill, sell, sell_plan
from spa_app.services.bookings import ItemRequest
from spa_app.services.demo_gift_cards import add_gift_cards
from spa_app.services.drawers import Count
from spa_app.services.ledger import Account, Posting
from spa_app.services.rosters import Cell
from spa_app.services.transaction import atomic, attempt

# name, minutes, clean-up minutes, price in đồng, type of room
SERVICES = (
    ("Basic Facial", 60, 10, 450_000, "Facial room"),
    ("Deep Cleansing Facial", 75, 10, 650_000, "Facial room"),
    ("Swedish Massage", 60, 15, 500_000, "Massage room"),
    ("Hot Stone Massage", 90, 15, 800_000, "Massage room"),
    ("Herbal Foot Soak", 45, 5, 280_000, "Foot chair"),
    ("Gel Manicure", 45, 5, 250_000, "Nail table"),
)
PLANS = (
    ("10 × Basic Facial", 3_600_000, 365, (("Basic Facial", 10),)),
    ("5 × Swedish Massage", 2_125_000, 180, (("Swedish Massage", 5),)),
    ("Glow and Relax", 5_400_000, 365, (("Deep Cleansing Facial", 6), ("Hot Stone Massage", 3))),
    ("20 sessions of anything", 8_800_000, 730, ((None, 20),)),
)
# name, article number, price in đồng, pieces, low from so many down
PRODUCTS = (
    ("Sunscreen SPF 50", "SC-50", 420_000, 24, 5),
    ("Hyaluronic serum", "SR-HA", 680_000, 12, 4),
    ("Massage oil 200 ml", "OIL-200", 250_000, 3, 4),
    ("Sheet mask", "MASK", 45_000, 80, 20),
)
ROOMS = (
    ("Facial 1", "Facial room"),
    ("Facial 2", "Facial room"),
    ("Facial 3", "Facial room"),
    ("Massage 1", "Massage room"),
    ("Massage 2", "Massage room"),
    ("Massage 3", "Massage room"),
    ("Foot chair 1", "Foot chair"),
    ("Foot chair 2", "Foot chair"),
    ("Nail table 1", "Nail table"),
    ("Nail table 2", "Nail table"),
)
ROOMS_FOR_TWO = ("Facial 3", "Massage 3")
USUAL_SHIFTS = (
    ("Ca sáng", ((dt.time(8), dt.time(17)),)),
    ("Ca chiều", ((dt.time(12), dt.time(21)),)),
    ("Ca gãy", ((dt.time(8), dt.time(12)), (dt.time(16), dt.time(21)))),
)
THERAPISTS = ("Nguyễn Thị Hồng", "Trần Minh Anh", "Lê Thu Hà", "Phạm Ngọc Lan", "Võ Thanh Trúc", "Đặng Kim Yến")
SURNAMES = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Huỳnh", "Phan", "Vũ", "Võ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô")
MIDDLE = ("Thị", "Ngọc", "Thanh", "Minh", "Thu", "Kim", "Bảo", "Quỳnh", "Mỹ", "Hoài")
GIVEN = ("Anh", "Hương", "Linh", "Mai", "Trang", "Thảo", "Vy", "Yến", "Hạnh", "Ngân", "Phượng", "Tú", "Oanh", "Uyên")
USERS = (
    ("reception", "Lễ tân Mai", "receptionist"),
    ("therapist", "Nguyễn Thị Hồng", "therapist"),
    ("manager", "Quản lý Hạnh", "manager"),
    ("owner", "Chủ spa Bích", "owner"),
)


def load_demo_data(*, timezone: str) -> bool:
    """Fill an empty database with one branch, its people, rooms, services, customers, cards and a day of visits.

    Returns whether it did; a database that has any branch is left alone. Holds an advisory lock, so that two starts at
    once load it once.
    """
    with atomic() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext('spa_app demo data'))"))
        if session.scalar(select(exists().select_from(Branch))):
            return False
        dice = random.Random(20260101)  # noqa: S311 - the same demo every time
        branch = _branch(timezone)
        other = Branch(code="Q7", name="Spa Quận 7", timezone=timezone)
        session.add(other)
        session.flush()
        add_hours(other)
        services = add_catalogue()
        _people(branch, services)
        _rosters(branch)
        manager = Actor(add_users(branch), "manager", frozenset({branch.id}))
        _drawers(branch, manager)
        customers = _customers(dice)
        _cards(dice, branch, customers, manager)
        _day(dice, branch, services, customers, manager)
        _products(branch, manager)
        _bills(branch, customers, manager)
        _settle(dice, manager)
        add_gift_cards(branch, customers, manager)
        _deposits(manager)
        _waitlist(dice, branch, services, customers, manager)
        # As if they had been booked in good time.
        session.execute(update(Booking).values(entered_late=False, version=Booking.version + 1))
        # Nobody is to hear of visits that are only for show.
        session.execute(update(OutboxMessage).values(done_at=clock.now()))
        return True


def _branch(timezone: str) -> Branch:
    branch = Branch(
        code="Q1",
        name="Spa Quận 1",
        timezone=timezone,
        address="12 Nguyễn Huệ, Quận 1",
        phone="+842838221234",
        bank_bin="970436",
        bank_account="0011001234567",  # nobody's
        bank_holder="CONG TY SPA DEMO",
        late_cancel_policy="fee",
        late_cancel_fee_bp=5_000,
        waiver_limit_amount=200_000,
        discount_limit_bp=1_000,
        gift_card_months=12,
    )
    db.session.add(branch)
    db.session.flush()
    add_hours(branch)
    types = {name: ResourceType(name=name, kind="room") for name in dict.fromkeys(kind for _, kind in ROOMS)}
    db.session.add_all(types.values())
    db.session.flush()
    db.session.add_all(
        Resource(
            branch_id=branch.id,
            type_id=types[kind].id,
            name=name,
            position=position,
            places=2 if name in ROOMS_FOR_TWO else 1,
        )
        for position, (name, kind) in enumerate(ROOMS)
    )
    return branch


def add_hours(branch: Branch) -> None:
    """Open a branch every day from 8 to 21 o'clock."""
    db.session.add_all(
        BranchHours(branch_id=branch.id, weekday=weekday, opens_at=dt.time(8), closes_at=dt.time(21))
        for weekday in range(7)
    )


def add_catalogue() -> dict[str, Service]:
    """Add the services, each with the type of room that it needs (those exist), and the plans; services by name."""
    types = {kind.name: kind.id for kind in db.session.execute(select(ResourceType)).scalars()}
    services = {}
    for name, minutes, clean_up, price, kind in SERVICES:
        service = Service(
            name=name, duration_minutes=minutes, buffer_after_minutes=clean_up, price_amount=price, vat_rate_bp=800
        )
        db.session.add(service)
        db.session.flush()
        db.session.add(ServiceResource(service_id=service.id, type_id=types[kind]))
        services[name] = service
    for name, price, days, items in PLANS:
        plan = Plan(name=name, price_amount=price, vat_rate_bp=800, validity_days=days)
        db.session.add(plan)
        db.session.flush()
        db.session.add_all(
            PlanItem(plan_id=plan.id, service_id=services[item].id if item else None, sessions=sessions)
            for item, sessions in items
        )
    db.session.flush()
    return services


def _people(branch: Branch, services: dict[str, Service]) -> None:
    for position, name in enumerate(THERAPISTS):
        one = Staff(branch_id=branch.id, full_name=name, position=position)
        db.session.add(one)
        db.session.flush()
        db.session.add_all(StaffSkill(staff_id=one.id, service_id=service.id) for service in services.values())
    db.session.flush()


def _rosters(branch: Branch) -> None:
    """Two rotas: last week to the next published, the week after as a draft; one therapist is away, one at lunch."""
    for name, periods in USUAL_SHIFTS:
        shift_templates.save_template(branch_id=branch.id, name=name, periods=periods, actor=SYSTEM)
    staff = db.session.execute(select(Staff).order_by(Staff.position)).scalars().all()
    today = clock.today(branch.timezone)
    monday = today - dt.timedelta(days=today.weekday())
    for week in range(-1, 3):
        begins = monday + dt.timedelta(weeks=week)
        for shift, (_, periods) in enumerate(USUAL_SHIFTS[:2]):
            cells = [
                Cell(one.id, weekday)
                for number, one in enumerate(staff)
                for weekday in range(7)
                if (number + begins.isocalendar().week) % 2 == shift
                # Everybody has one day off a week, never one of the three that the demo shows.
                and (weekday != number % 7 or abs((begins + dt.timedelta(days=weekday) - today).days) <= 1)
            ]
            rosters.plan_cells(branch_id=branch.id, monday=begins, cells=cells, periods=periods, actor=SYSTEM)
        if week < 2:
            rosters.publish_week(branch_id=branch.id, monday=begins, actor=SYSTEM)

    def at(days: int, hour: int) -> dt.datetime:
        return clock.at_local(today + dt.timedelta(days=days), dt.time(hour), branch.timezone)

    blocks.block_time(
        staff_id=staff[-1].id, starts_at=at(2, 0), ends_at=at(5, 0), kind="leave", reason="Nghỉ phép", actor=SYSTEM
    )
    blocks.block_time(
        staff_id=staff[0].id, starts_at=at(0, 13), ends_at=at(0, 14), kind="break", reason="Ăn trưa", actor=SYSTEM
    )


def add_users(branch: Branch) -> int:
    """Add the demo logins (3-contract), all but the owner in ``branch``; returns the manager's id."""
    therapist = db.session.execute(select(Staff.id).order_by(Staff.position)).scalars().first()
    ids = {}
    for username, full_name, role in USERS:
        ids[username] = users.create_user(
            username=username,
            password=f"{username}-demo",
            full_name=full_name,
            role=role,
            branch_ids=[branch.id] if role != "owner" else [],
            staff_id=therapist if role == "therapist" else None,
            actor=SYSTEM,
        )
    return ids["manager"]


def _drawers(branch: Branch, manager: Actor) -> None:
    """A drawer that was a little short last night, with that day closed, and that is open now, its float counted."""
    today = clock.today(branch.timezone)
    yesterday = today - dt.timedelta(days=1)
    drawer_id = drawers.save_drawer(branch_id=branch.id, name="Quầy lễ tân", actor=manager)
    last_night = DrawerSession(
        drawer_id=drawer_id,
        opened_at=clock.at_local(yesterday, dt.time(7, 50), branch.timezone),
        opened_by_id=manager.user_id,
        opened_as="counted",
        opening_float_amount=2_000_000,
        closed_at=clock.at_local(yesterday, dt.time(21, 10), branch.timezone),
        closed_by_id=manager.user_id,
        expected_amount=2_000_000,
        counted_amount=1_980_000,
        variance_amount=-20_000,
        left_amount=1_980_000,
        denominations={"500000": 2, "200000": 4, "50000": 3, "10000": 3},
        reason="Thối nhầm tiền cho khách",
    )
    db.session.add(last_night)
    db.session.flush()
    ledger.post(
        "drawer_counted",
        branch=branch,
        actor=manager,
        drawer_session_id=last_night.id,
        posted_on=yesterday,
        postings=[Posting(Account.CASH, -20_000), Posting(Account.OVER_SHORT, 20_000)],
    )
    day_close.close_day(branch.id, on=yesterday, uncounted=False, actor=manager)
    drawers.open_drawer(drawer_id, count=Count({500_000: 2, 200_000: 4, 50_000: 3, 10_000: 3}), actor=manager)


def _customers(dice: random.Random) -> list[int]:
    rows = [
        Customer(
            full_name=f"{dice.choice(SURNAMES)} {dice.choice(MIDDLE)} {dice.choice(GIVEN)}",
            phone=f"+849{number:08d}",
            allergies="Dị ứng tinh dầu sả" if number % 11 == 3 else "",
        )
        for number in range(12345600, 12345680)
    ]
    db.session.add_all(rows)
    db.session.flush()
    return [row.id for row in rows]


def _cards(dice: random.Random, branch: Branch, customers: list[int], manager: Actor) -> None:
    plans = db.session.execute(select(Plan).order_by(Plan.id)).scalars().all()
    for customer_id in customers[:40]:
        plan = dice.choice(plans)
        invoice_id = sell_plan(customer_id=customer_id, plan_id=plan.id, branch_id=branch.id, actor=manager)
        if dice.random() < 0.9:
            payments.take_payment(invoice_id, method="cash", amount=plan.price_amount, actor=manager)


def _day(
    dice: random.Random, branch: Branch, services: dict[str, Service], customers: list[int], manager: Actor
) -> None:
    """Visits for today and the two days around it, some on cards, some of today's already over."""
    staff = db.session.execute(select(Staff.id).order_by(Staff.position)).scalars().all()
    cards = {
        (card.customer_id, card.service_id): card.id for card in db.session.execute(select(CustomerTreatment)).scalars()
    }
    shifts = {
        (one.staff_id, one.works_on): (
            clock.at_local(one.works_on, one.starts_at, branch.timezone),
            clock.at_local(one.works_on, one.ends_at, branch.timezone),
        )
        for one in db.session.execute(select(StaffShift)).scalars()
    }
    now = clock.now()
    today = clock.today(branch.timezone)
    for offset in (-1, 0, 1):
        date = today + dt.timedelta(days=offset)
        guests = dice.sample(customers, len(customers))  # nobody is in two rooms at once
        for staff_id in staff:
            begins_at, ends_at = shifts[staff_id, date]
            at = begins_at + dt.timedelta(minutes=15 * dice.randrange(4))
            while at < ends_at - dt.timedelta(hours=1):
                service = dice.choice(list(services.values()))
                customer_id = guests.pop()
                card = cards.get((customer_id, service.id)) or cards.get((customer_id, None))
                _visit(at, now, branch, customer_id, ItemRequest(service.id, staff_id, None, card), manager)
                at += dt.timedelta(minutes=service.duration_minutes + 15 + 15 * dice.randrange(5))


def _visit(
    at: dt.datetime, now: dt.datetime, branch: Branch, customer_id: int, item: ItemRequest, manager: Actor
) -> None:
    try:
        with attempt():
            booking_id = bookings.book(
                customer_id=customer_id, branch_id=branch.id, starts_at=at, items=[item], actor=manager
            )
    except DomainError:
        return  # no room or session is free then: the demo day has a gap there
    if at < now:
        bookings.arrive(booking_id, actor=manager)
        bookings.start(booking_id, actor=manager)
    if at < now - dt.timedelta(minutes=90):
        bookings.complete(booking_id, actor=manager)


def _products(branch: Branch, manager: Actor) -> None:
    for name, sku, price, pieces, low in PRODUCTS:
        product_id = stock.save_product(
            values={"name": name, "sku": sku, "price_amount": price, "vat_rate_bp": 1_000, "is_active": True},
            low_quantity=low,
            branch_id=branch.id,
            actor=manager,
        )
        stock.move_stock(product_id, branch_id=branch.id, kind="received", quantity=pieces, actor=manager)


def _bills(branch: Branch, customers: list[int], manager: Actor) -> None:
    """A tip, a discount and products on some bills, and a sale without a visit."""
    products = db.session.execute(select(Product.id).order_by(Product.id)).scalars().all()
    query = select(Invoice.id).where(Invoice.status == "open", Invoice.booking_id.is_not(None)).order_by(Invoice.id)
    additions = (
        Bill(tip=Tip(50_000)),
        Bill(discount=Discount(share_bp=1_000), reason="Khách quen"),
        Bill(wares=(Ware("product", products[0]),), tip=Tip(100_000)),
    )
    for invoice_id, bill in zip(db.session.execute(query).scalars().all(), additions, strict=False):
        change_bill(invoice_id, bill=bill, actor=manager)
    bill = Bill(
        wares=(Ware("product", products[1]), Ware("product", products[3], 5, Discount(share_bp=2_000))),
        reason="Sinh nhật",
    )
    sell(customer_id=customers[-1], branch_id=branch.id, bill=bill, actor=manager)


def _settle(dice: random.Random, manager: Actor) -> None:
    """Most customers have paid for their visit; the last few are still at the desk."""
    query = select(Invoice.id).where(Invoice.status == "open", Invoice.booking_id.is_not(None)).order_by(Invoice.id)
    unpaid = db.session.execute(query).scalars().all()
    for invoice_id in unpaid[: len(unpaid) * 5 // 6]:
        method = dice.choice(("cash", "cash", "card", "bank_transfer"))
        reference = "" if method == "cash" else f"{dice.randrange(10**6):06d}"
        payments.take_payment(invoice_id, method=method, amount=None, reference=reference, actor=manager)


def _deposits(actor: Actor) -> None:
    """Two visits that lie ahead were paid for in part."""
    ahead = select(Booking.id).where(Booking.status == "confirmed", Booking.starts_at > clock.now())
    visits = db.session.execute(ahead.order_by(Booking.id).limit(2)).scalars().all()
    for booking_id, (method, reference) in zip(visits, (("cash", ""), ("bank_transfer", "FT2631")), strict=False):
        deposits.take_deposit(booking_id, method=method, amount=200_000, reference=reference, actor=actor)


def _waitlist(
    dice: random.Random, branch: Branch, services: dict[str, Service], customers: list[int], manager: Actor
) -> None:
    """Three customers would come if there were room: any time, in the afternoon, at the week-end."""
    today = clock.today(branch.timezone)
    wishes: tuple[dict[str, Any], ...] = ({}, {"from_time": dt.time(14)}, {"weekdays": 0b110_0000})
    for wish in wishes:
        waitlist.add_entry(
            branch_id=branch.id,
            customer_id=dice.choice(customers),
            service_ids=[dice.choice([one.id for one in services.values()])],
            first_on=today,
            last_on=today + dt.timedelta(days=14),
            actor=manager,
            **wish,
        )
