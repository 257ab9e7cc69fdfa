"""Customers: who they are, and who may be reached under which phone number.

Their locks leave foreign key checks alone (``key_share``): a desk that books for the customer meanwhile neither waits
nor is waited for in a circle.
"""

import datetime as dt
import re
from typing import Any

from sqlalchemy import insert, select, update

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut
from spa_app.extensions import db
from spa_app.models import Customer, Staff
from spa_app.services import audit, phones
from spa_app.services.actor import Actor
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

NAME_LENGTH = 200
NOTE_LENGTH = 4000
EMAIL_LENGTH = 254
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_AUDITED = (
    "full_name",
    "phone",
    "shares_phone_with_id",
    "email",
    "birth_date",
    "allergies",
    "note",
    "preferred_staff_id",
)


def create_customer(
    *,
    full_name: str,
    actor: Actor,
    phone: str | None = None,
    shares_phone: bool = False,
    email: str | None = None,
    birth_date: dt.date | None = None,
    allergies: str = "",
    note: str = "",
    preferred_staff_id: int | None = None,
) -> int:
    """Add a customer and return their id. ``phone`` is taken as people write it (:func:`phones.normalise`).

    A number that another customer has is refused with :class:`ConflictError` ``phone_taken``, which names them, unless
    ``shares_phone`` says that both are reached there. ``preferred_staff_id``: whom they get where "anyone" is asked
    for. Raises :class:`InvalidError` at the field that cannot be right.
    """
    values = clean_details(full_name=full_name, email=email, birth_date=birth_date, allergies=allergies, note=note)
    values["phone"] = phones.normalise(phone)
    values["preferred_staff_id"] = preferred_staff_id
    with atomic() as session:
        _check_therapist(preferred_staff_id, actor=actor)
        values["shares_phone_with_id"] = _phone_shared_with(values["phone"], shares_phone=shares_phone)
        customer_id = session.execute(insert(Customer).values(values).returning(Customer.id)).scalar_one()
        audit.record(
            "customer_created", entity="customer", entity_id=customer_id, actor=actor, after=audited_values(values)
        )
    return customer_id


def update_customer(
    customer_id: int,
    *,
    full_name: str,
    actor: Actor,
    phone: str | None = None,
    shares_phone: bool = False,
    email: str | None = None,
    birth_date: dt.date | None = None,
    allergies: str = "",
    note: str = "",
    preferred_staff_id: int | None = None,
) -> None:
    """Replace a customer's details. Locks the customer. Raises as :func:`create_customer` does.

    Who keeps their number keeps how they share it. When the first of a family leaves a shared number, the one who has
    been on it longest becomes its first, and the others share with them.
    """
    values = clean_details(full_name=full_name, email=email, birth_date=birth_date, allergies=allergies, note=note)
    values["phone"] = phones.normalise(phone)
    values["preferred_staff_id"] = preferred_staff_id
    with atomic() as session:
        customer = session.get(Customer, customer_id, with_for_update={"key_share": True}, populate_existing=True)
        if customer is None:
            raise NotFoundError("not_found", N_("There is no such customer."))
        require_live(customer)
        before = {name: getattr(customer, name) for name in _AUDITED}
        if preferred_staff_id != customer.preferred_staff_id:
            _check_therapist(preferred_staff_id, actor=actor)
        values["shares_phone_with_id"] = customer.shares_phone_with_id
        if values["phone"] != customer.phone:
            _hand_on_phone(customer)
            values["shares_phone_with_id"] = _phone_shared_with(values["phone"], shares_phone=shares_phone)
        changed = {name for name in _AUDITED if before[name] != values[name]}
        if not changed:
            return
        for name in changed:
            setattr(customer, name, values[name])
        session.flush()
        audit.record(
            "customer_updated",
            entity="customer",
            entity_id=customer_id,
            actor=actor,
            before=audited_values({name: before[name] for name in changed}),
            after=audited_values({name: values[name] for name in changed}),
        )


def add_imported_customers(rows: list[dict[str, Any]], *, actor: Actor) -> list[int]:
    """Add many customers, whose details are clean, in the caller's transaction; their ids in the order of ``rows``."""
    if not rows:
        return []
    statement = insert(Customer).returning(Customer.id, sort_by_parameter_order=True)
    ids = db.session.scalars(statement, rows, execution_options={"render_nulls": True}).all()
    audit.record_many(
        "customer_imported",
        entity="customer",
        actor=actor,
        after={
            customer_id: audited_values({name: row[name] for name in _AUDITED if name in row})
            for customer_id, row in zip(ids, rows, strict=True)
        },
    )
    return list(ids)


def fill_in_details(customer_id: int, values: dict[str, Any], *, actor: Actor) -> None:
    """Write clean details, which were empty so far, in the caller's transaction."""
    db.session.execute(update(Customer).where(Customer.id == customer_id).values(values))
    audit.record(
        "customer_updated", entity="customer", entity_id=customer_id, actor=actor, after=audited_values(values)
    )


def clean_details(
    *, full_name: str, email: str | None, birth_date: dt.date | None, allergies: str, note: str
) -> dict[str, Any]:
    """What is typed about a customer, tidied to how it is stored. Raises :class:`InvalidError` at the field."""
    name = clean_name(full_name)
    address = clean_text(email or "", field="email", limit=EMAIL_LENGTH).lower()
    if address and not _EMAIL.fullmatch(address):
        raise InvalidError("email_invalid", N_("This is not an e-mail address."), field="email")
    # A day of grace: the customer's own day may have begun where the server's has not.
    if birth_date and not dt.date(1900, 1, 1) <= birth_date <= clock.now().date() + dt.timedelta(days=1):
        raise InvalidError("birth_date_invalid", N_("This cannot be a date of birth."), field="birth_date")
    return {
        "full_name": name,
        "email": address or None,
        "birth_date": birth_date,
        "allergies": clean_text(allergies, field="allergies", limit=NOTE_LENGTH),
        "note": clean_text(note, field="note", limit=NOTE_LENGTH),
    }


def clean_name(full_name: str) -> str:
    """A name, composed (NFC) and with single spaces. Raises :class:`InvalidError` at ``full_name``."""
    name = " ".join(clean_text(full_name, field="full_name", limit=NAME_LENGTH, lines=False).split())
    if not name:
        raise InvalidError("name_missing", N_("Please give a name."), field="full_name")
    return name


def require_live(customer: Customer) -> None:
    """Raise :class:`ConflictError` for one who lives on in another, with the way there, or who is anonymised."""
    if customer.merged_into_id is not None:
        raise ConflictError(
            "customer_merged",
            N_("This customer was merged with another. Go on with that one; nothing was changed here."),
            ways_out=(
                WayOut("open_survivor", N_("Open the customer who was kept"), {"customer_id": customer.merged_into_id}),
            ),
        )
    if customer.anonymised_at is not None:
        raise ConflictError(
            "customer_anonymised", N_("This customer is anonymised: nothing about them can be written any more.")
        )


def lock_two(one_id: int, other_id: int) -> tuple[Customer, Customer]:
    """Lock two customers by id against everything, new rows that name them included, and return them in that order.

    Raises :class:`NotFoundError` where one is not there, :class:`InvalidError` for one and the same.
    """
    found = {
        customer.id: customer
        for customer in db.session.scalars(
            select(Customer)
            .where(Customer.id.in_((one_id, other_id)))
            .order_by(Customer.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    }
    if {one_id, other_id} - found.keys():
        raise NotFoundError("not_found", N_("There is no such customer."))
    if one_id == other_id:
        raise InvalidError("same_customer", N_("This is one and the same customer."))
    return found[one_id], found[other_id]


def leave_phone(customer: Customer) -> None:
    """Take a locked customer off their number; who shared it with them keeps it."""
    _hand_on_phone(customer)
    customer.phone = None
    customer.shares_phone_with_id = None
    db.session.flush()


def take_over_phone(heir: Customer, customer: Customer) -> None:
    """Let ``heir`` have the number of ``customer``, and their place among those who share it. Both are locked."""
    phone, shared_with = customer.phone, customer.shares_phone_with_id
    customer.phone = None
    customer.shares_phone_with_id = None
    db.session.flush()
    heir.phone = phone
    heir.shares_phone_with_id = shared_with
    db.session.flush()
    db.session.execute(
        update(Customer).where(Customer.shares_phone_with_id == customer.id).values(shares_phone_with_id=heir.id)
    )


def audited_values(values: dict[str, Any]) -> dict[str, Any]:
    """Values of a customer as they go into the audit log."""
    return {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in values.items()}


def _check_therapist(staff_id: int | None, *, actor: Actor) -> None:
    """Refuse whom the actor could not choose. A wish that stands may be for one who has left, or works elsewhere."""
    if staff_id is None:
        return
    branch_id = db.session.scalar(select(Staff.branch_id).where(Staff.id == staff_id, Staff.is_active))
    if branch_id is None or (actor.role != "system" and branch_id not in actor.branch_ids):
        raise InvalidError(
            "staff_unknown", N_("There is no such therapist in your branches."), field="preferred_staff_id"
        )


def _phone_shared_with(phone: str | None, *, shares_phone: bool) -> int | None:
    """The customer whose number it first was, where the number is shared; ``None`` where it is free.

    Locks that customer, so that they cannot leave the number meanwhile. Two who take a free number at once are told
    apart by ``uq_customers_phone``.
    """
    if phone is None:
        return None
    holder = db.session.execute(
        select(Customer.id, Customer.full_name)
        .where(Customer.phone == phone, Customer.shares_phone_with_id.is_(None))
        .with_for_update(key_share=True)
    ).one_or_none()
    if holder is None:
        return None
    if shares_phone:
        return holder.id
    raise ConflictError(
        "phone_taken",
        N_("%(name)s already has this phone number."),
        field="phone",
        ways_out=(
            WayOut("open_customer", N_("Open %(name)s"), {"customer_id": holder.id, "name": holder.full_name}),
            WayOut("share_phone", N_("They share this phone")),
        ),
        name=holder.full_name,
        customer_id=holder.id,
    )


def _hand_on_phone(customer: Customer) -> None:
    """Let the next in the family be the first on the number that ``customer`` is leaving."""
    family = db.session.scalars(
        select(Customer.id)
        .where(Customer.shares_phone_with_id == customer.id)
        .order_by(Customer.id)
        .with_for_update(key_share=True)
    ).all()
    if not family:
        return
    customer.phone = None
    db.session.flush()
    heir, *others = family
    db.session.execute(update(Customer).where(Customer.id == heir).values(shares_phone_with_id=None))
    if others:
        db.session.execute(update(Customer).where(Customer.id.in_(others)).values(shares_phone_with_id=heir))
