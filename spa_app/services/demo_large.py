"""A large spa to measure on: three branches, three years of visits, half a million of them, with balanced books.

Everything that is a matter of routine is made by the steps of :mod:`spa_app.services.demo_large_sql`, set by set,
since half a million calls of the services would take hours.
"""

import itertools

from sqlalchemy import exists, select, text

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch, Plan, PlanItem, Resource, ResourceType, Service, ServiceResource, Staff, StaffSkill
from spa_app.services import demo, reconciliation
from spa_app.services.demo_large_sql import CHECKED_AT_COMMIT, STEPS
from spa_app.services.transaction import atomic

# code, name, therapists; each therapist has a room
BRANCHES = (("Q1", "Spa Quận 1", 12), ("Q3", "Spa Quận 3", 30), ("Q7", "Spa Quận 7", 12))
ROOM_TYPES = ("Facial room", "Massage room", "Foot chair", "Nail table")
# One service for each type of room that fits into an hour with its clean-up, so that a day can be full.
HOURLY = ("Express Facial", "Neck and Shoulder Massage", "Herbal Foot Soak", "Gel Manicure")
ANYTHING = "10 sessions of anything"
VISITS_A_DAY = 150  # in each branch
DAYS_AHEAD = 14  # today is the first of them
VISITS = 500_000


def load_large_demo_data(*, timezone: str, fraction: float = 1.0) -> bool:
    """Fill an empty database: ``fraction`` × 500,000 visits, a tenth as many customers, a fifth as many cards.

    Each day holds 150 visits per branch whatever the fraction; a smaller one has fewer days behind it. Returns whether
    it did; a database that has any branch is left alone. The triggers that check books row by row when a transaction
    commits are off while it loads; foreign keys and all other constraints stay. In their place the whole of the books
    is reconciled at the end. Raises ``RuntimeError`` if that finds a fault.
    """
    days_back = max(30, round((VISITS * fraction) / (VISITS_A_DAY * len(BRANCHES))) - DAYS_AHEAD)
    visits = (days_back + DAYS_AHEAD) * VISITS_A_DAY * len(BRANCHES)
    today = clock.today(timezone)
    with atomic() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext('spa_app demo data'))"))
        if session.scalar(select(exists().select_from(Branch))):
            return False
        manager_id = _add_places(timezone)
        for setting in ("statement_timeout = 0", "work_mem = '256MB'", "jit = off"):
            session.execute(text(f"SET LOCAL {setting}"))
        _switch_triggers("DISABLE")
        for step in STEPS:
            session.execute(
                text(step),
                {
                    "visits": visits,
                    "customers": visits // 10,
                    "cards": visits // 5,
                    "per_day": VISITS_A_DAY,
                    "days_back": days_back,
                    "today": today,
                    "timezone": timezone,
                    "manager_id": manager_id,
                    "hourly": list(HOURLY),
                    "anything": ANYTHING,
                    "surnames": list(demo.SURNAMES),
                    "middle": list(demo.MIDDLE),
                    "given": list(demo.GIVEN),
                },
            )
        _switch_triggers("ENABLE")
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("RESET statement_timeout"))
    faults = reconciliation.list_faults()
    if faults:
        raise RuntimeError(f"{len(faults)} faults in the large demo data, the first: {faults[0].text}")
    return True


def _switch_triggers(how: str) -> None:
    for table in CHECKED_AT_COMMIT:
        db.session.execute(text(f"ALTER TABLE {table} {how} TRIGGER USER"))


def _add_places(timezone: str) -> int:
    """Branches, rooms, services, plans, therapists and logins; returns the manager's id."""
    types = [ResourceType(name=name, kind="room") for name in ROOM_TYPES]
    db.session.add_all(types)
    db.session.flush()
    services = demo.add_catalogue()
    for name, kind, price in (("Express Facial", 0, 320_000), ("Neck and Shoulder Massage", 1, 350_000)):
        services[name] = Service(
            name=name, duration_minutes=45, buffer_after_minutes=10, price_amount=price, vat_rate_bp=800
        )
        db.session.add(services[name])
        db.session.flush()
        db.session.add(ServiceResource(service_id=services[name].id, type_id=types[kind].id))
    for sold in (*HOURLY, None):
        one = services[sold] if sold else None
        plan = Plan(
            name=f"10 × {one.name}, any day" if one else ANYTHING,
            price_amount=8 * one.price_amount if one else 2_600_000,
            vat_rate_bp=800,
            validity_days=365,
        )
        db.session.add(plan)
        db.session.flush()
        db.session.add(PlanItem(plan_id=plan.id, service_id=one.id if one else None, sessions=10))
    names = itertools.cycle(demo.THERAPISTS)
    branches = []
    for code, name, therapists in BRANCHES:
        branch = Branch(code=code, name=name, timezone=timezone)
        db.session.add(branch)
        db.session.flush()
        demo.add_hours(branch)
        branches.append(branch)
        for position in range(therapists):
            person = Staff(branch_id=branch.id, full_name=f"{next(names)} {position + 1}", position=position)
            type_ = types[position % len(types)]
            room = Resource(
                branch_id=branch.id, type_id=type_.id, name=f"{type_.name} {position + 1}", position=position
            )
            db.session.add_all([person, room])
            db.session.flush()
            db.session.add_all(StaffSkill(staff_id=person.id, service_id=service.id) for service in services.values())
    db.session.flush()
    return demo.add_users(branches[0])
