"""Finding a customer, and their page."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, String, Subquery, and_, case, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Branch, Customer, CustomerTreatment, Invoice, Service, Staff
from spa_app.queries.birthdays import days_to_birthday

HOME_CODE = "84"  # of the numbers that are typed without their country
NEWEST = 5_000  # customers who are looked through one by one, in case the words are common
CANDIDATES = 1_000  # matches out of all customers, by index, that are ranked
OFTEN_NO_SHOW = 2  # in the last 365 days
# Who was merged is found as whom they were merged into, and who is anonymised not at all.
LIVE = and_(Customer.merged_into_id.is_(None), Customer.anonymised_at.is_(None))


@dataclass(frozen=True)
class FoundCustomer:
    """A line of the search results. ``free_sessions`` counts what can still be booked on the customer's cards."""

    id: int
    full_name: str
    phone: str | None
    has_allergies: bool
    free_sessions: int


@dataclass(frozen=True)
class Visit:
    """A visit on the customer's page; ``services`` in the order in which they are given."""

    id: int
    starts_at: dt.datetime
    status: str  # ``held``: the place is only held for them
    branch_name: str
    timezone: str
    services: tuple[str, ...]


@dataclass(frozen=True)
class CustomerProfile:
    """Who a customer is and what the desk should know before greeting them."""

    id: int
    full_name: str
    phone: str | None
    email: str | None
    birth_date: dt.date | None
    allergies: str
    note: str
    tags: tuple[str, ...]
    credit_amount: int
    created_at: dt.datetime
    merged_into_id: int | None
    anonymised_at: dt.datetime | None
    phone_shared_with: tuple[tuple[int, str], ...]  # id and name of the others who are reached there
    is_first_visit: bool
    no_shows: int  # in the last 365 days
    birthday_in_days: int | None  # 0 to 7, otherwise None
    preferred_staff: tuple[int, str] | None  # id and name
    upcoming: tuple[Visit, ...]
    past: tuple[Visit, ...]

    @property
    def is_often_no_show(self) -> bool:
        """Whether the desk should confirm a visit by telephone first."""
        return self.no_shows >= OFTEN_NO_SHOW


def find_customers(q: str, limit: int = 20) -> list[FoundCustomer]:
    """Customers by part of the name (no accents, no case, any word order), by phone, ``#card`` or invoice number.

    First who is meant exactly (phone, card, invoice); then whose name begins with the words; who has them as whole
    words; as beginnings of words; anywhere; within each, by name. Where that many are found among the :data:`NEWEST`
    customers, older ones are not looked for: so many need another word anyhow, and common words stay fast. Takes at
    most five statements.
    """
    text = " ".join(q.replace("\x00", " ").split())[:100]
    if not text:
        return []
    ids: dict[int, None] = dict.fromkeys(_named_exactly(text))
    if len(ids) < limit and not text.startswith("#"):
        digits = re.sub(r"\D", "", text)
        typed_phone = digits and re.fullmatch(r"[+\d\s().-]+", text)
        more = _by_phone(text, digits, limit) if typed_phone else _by_words(text, limit)
        ids.update(dict.fromkeys(more))
    return _found(list(ids)[:limit])


def find_by_phone(phone: str) -> list[FoundCustomer]:
    """Everybody who is reached at this number (E.164), first whose it was before the others came to share it."""
    holders = select(Customer.id).where(Customer.phone == phone)
    return _found(list(db.session.scalars(holders.order_by(Customer.shares_phone_with_id.is_not(None), Customer.id))))


def find_survivor(customer_id: int) -> int | None:
    """Whom a customer was merged into, if they were."""
    return db.session.scalar(select(Customer.merged_into_id).where(Customer.id == customer_id))


def list_newest_customers(limit: int = 20) -> list[FoundCustomer]:
    """Those who were added last, the newest first."""
    return _found(list(db.session.scalars(select(Customer.id).where(LIVE).order_by(Customer.id.desc()).limit(limit))))


def get_customer(
    customer_id: int, *, branch_ids: Iterable[int], now: dt.datetime, today: dt.date, limit: int = 20
) -> CustomerProfile | None:
    """A customer's page, or ``None``. Visits are those in ``branch_ids``, at most ``limit`` on either side of ``now``.

    ``today`` is the date of the branch that is looked from. Takes six statements.
    """
    found = db.session.execute(
        select(Customer, Staff.full_name)
        .outerjoin(Staff, Staff.id == Customer.preferred_staff_id)
        .where(Customer.id == customer_id)
    ).one_or_none()
    if found is None:
        return None
    customer, therapist = found
    counts = db.session.execute(
        select(
            func.count().filter(Booking.status == "completed").label("completed"),
            func.count()
            .filter(and_(Booking.status == "no_show", Booking.starts_at > now - dt.timedelta(days=365)))
            .label("no_shows"),
        ).where(Booking.customer_id == customer_id)
    ).one()
    came_before = db.session.execute(
        select(literal(1))
        .where(CustomerTreatment.customer_id == customer_id, CustomerTreatment.import_ref.is_not(None))
        .limit(1)
    ).scalar()
    shared = (
        db.session.execute(
            select(Customer.id, Customer.full_name)
            .where(Customer.phone == customer.phone, Customer.id != customer_id)
            .order_by(Customer.full_name, Customer.id)
        ).all()
        if customer.phone
        else []
    )
    ahead = or_(Booking.starts_at >= now, Booking.status == "in_progress")
    still = Booking.status.in_(("pending", "confirmed", "in_progress"))
    branches = list(branch_ids)
    upcoming = _visits(customer_id, branches, and_(ahead, still), Booking.starts_at.asc(), limit)
    past = _visits(customer_id, branches, ~and_(ahead, still), Booking.starts_at.desc(), limit)
    return CustomerProfile(
        id=customer.id,
        full_name=customer.full_name,
        phone=customer.phone,
        email=customer.email,
        birth_date=customer.birth_date,
        allergies=customer.allergies,
        note=customer.note,
        tags=tuple(customer.tags),
        credit_amount=customer.credit_amount,
        created_at=customer.created_at,
        merged_into_id=customer.merged_into_id,
        anonymised_at=customer.anonymised_at,
        phone_shared_with=tuple((other.id, other.full_name) for other in shared),
        is_first_visit=not counts.completed and not came_before,
        no_shows=counts.no_shows,
        birthday_in_days=days_to_birthday(customer.birth_date, today),
        preferred_staff=(customer.preferred_staff_id, therapist) if customer.preferred_staff_id else None,
        upcoming=upcoming,
        past=past,
    )


def list_therapists(branch_ids: Iterable[int]) -> list[tuple[int, str]]:
    """(id, name) of whom a customer can prefer; the branch stands with the name where there are several."""
    branches = list(branch_ids)
    rows = db.session.execute(
        select(Staff.id, Staff.full_name, Branch.name)
        .join(Branch, Branch.id == Staff.branch_id)
        .where(Staff.branch_id.in_(branches), Staff.is_active)
        .order_by(Branch.name, Branch.id, Staff.position, Staff.id)
    )
    return [(id_, f"{name} · {branch}" if len(branches) > 1 else name) for id_, name, branch in rows]


def _named_exactly(text: str) -> list[int]:
    if card := re.fullmatch(r"#\s?(\d{1,18})", text):
        query = select(CustomerTreatment.customer_id).where(CustomerTreatment.id == int(card[1]))
    elif re.search(r"\d", text):
        query = select(Invoice.customer_id).where(Invoice.number == text.upper())
    else:
        return []
    return list(db.session.scalars(query))


def _by_phone(text: str, digits: str, limit: int) -> list[int]:
    """By the whole number first, then by how it begins, then by any part of it."""
    home = "+" + HOME_CODE
    if text.startswith("+") or digits.startswith("00"):
        beginnings, part = ["+" + digits.removeprefix("00")], digits.removeprefix("00")
    elif digits.startswith("0"):
        beginnings, part = [home + digits[1:]], digits
    else:
        beginnings, part = [home + digits], digits
        if digits.startswith(HOME_CODE):
            beginnings.insert(0, "+" + digits)
    begins = or_(*(Customer.phone.like(_inline(start + "%")) for start in beginnings))
    whole = case((Customer.phone.in_(beginnings), 0), else_=1)
    # A shorter number sorts before a longer one that begins alike, so the whole number is among the first in any case.
    first = select(Customer.id).where(begins).order_by(Customer.phone, Customer.id).limit(limit).subquery()
    ids = list(
        db.session.scalars(
            select(Customer.id)
            .where(Customer.id.in_(select(first.c.id)))
            .order_by(whole, Customer.search_text, Customer.id)
        )
    )
    if len(ids) < limit:
        ids = list(dict.fromkeys([*ids, *_search([f"%{part}%"], [], limit, everywhere=len(part) > 2)]))
    return ids


def _by_words(text: str, limit: int) -> list[int]:
    folded: str = db.session.execute(select(func.spa_fold(text))).scalar_one()
    words = list(dict.fromkeys(word for word in re.split(r"[\W_]+", folded) if word))
    if not words:
        return []
    # One or two letters inside a word are in no trigram, and mean little: they are looked for where words begin.
    patterns = [f"%{word}%" if len(word) > 2 else f"% {word}%" for word in words]
    return _search(patterns, words, limit, everywhere=True)


def _search(patterns: list[str], words: list[str], limit: int, *, everywhere: bool) -> list[int]:
    """The best ``limit`` among the newest customers; where they are fewer, among all (``everywhere``)."""
    searched = select(Customer.id, Customer.search_text).where(LIVE)
    newest = searched.order_by(Customer.id.desc()).limit(NEWEST).subquery()
    ids = list(db.session.scalars(_best(newest, words, limit).where(_each(newest.c.search_text, patterns))))
    if len(ids) < limit and everywhere:
        found = searched.where(_each(Customer.search_text, patterns)).limit(CANDIDATES).subquery()
        ids = list(db.session.scalars(_best(found, words, limit)))
    return ids


def _best(rows: Subquery, words: list[str], limit: int) -> Select[int]:
    name = rows.c.search_text
    rank = case(
        (name.like(_inline(f" {' '.join(words)} %")), 0),
        (_each(name, [f"% {word} %" for word in words]), 1),
        (_each(name, [f"% {word}%" for word in words]), 2),
        else_=3,
    )
    return select(rows.c.id).order_by(rank, name, rows.c.id).limit(limit)


def _each(text: ColumnElement[str] | InstrumentedAttribute[str], patterns: list[str]) -> ColumnElement[bool]:
    return and_(true(), *(text.like(_inline(pattern)) for pattern in patterns))


def _inline(pattern: str) -> ColumnElement[str]:
    """A pattern of letters, digits and ``%``, as a literal: the plan depends on it, so that none is kept."""
    return literal(pattern, String(), literal_execute=True)


def _found(ids: list[int]) -> list[FoundCustomer]:
    if not ids:
        return []
    free = (
        select(func.coalesce(func.sum(CustomerTreatment.free_sessions), 0))
        .where(CustomerTreatment.customer_id == Customer.id, CustomerTreatment.status == "active")
        .correlate(Customer)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(Customer.id, Customer.full_name, Customer.phone, Customer.allergies != "", free).where(
            Customer.id.in_(ids), LIVE
        )
    )
    by_id = {row[0]: FoundCustomer(*row) for row in rows}
    return [by_id[customer_id] for customer_id in ids if customer_id in by_id]


def _visits(
    customer_id: int, branch_ids: list[int], condition: ColumnElement[bool], order: ColumnElement[Any], limit: int
) -> tuple[Visit, ...]:
    services = (
        select(
            func.coalesce(func.string_agg(Service.name, aggregate_order_by(literal("\n"), BookingItem.position)), "")
        )
        .select_from(BookingItem)
        .join(Service, Service.id == BookingItem.service_id)
        .where(BookingItem.booking_id == Booking.id, BookingItem.cancelled_at.is_(None))
        .correlate(Booking)
        .scalar_subquery()
    )
    rows = db.session.execute(
        select(
            Booking.id,
            Booking.starts_at,
            case((Booking.held_until.is_not(None), "held"), else_=Booking.status),
            Branch.name,
            Branch.timezone,
            services,
        )
        .join(Branch, Branch.id == Booking.branch_id)
        .where(Booking.customer_id == customer_id, Booking.branch_id.in_(branch_ids), condition)
        .where(Booking.is_shown(clock.now()))
        .order_by(order, Booking.id)
        .limit(limit)
    )
    return tuple(
        Visit(id_, starts_at, status, branch, timezone, tuple((names or "").split("\n")))
        for id_, starts_at, status, branch, timezone, names in rows
    )
