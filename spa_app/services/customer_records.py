"""What is kept about a customer's health, tags and family; and the record of who looked at what is nobody else's."""

from collections.abc import Iterable

from sqlalchemy import delete, insert, select

from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import RELATIONS, Booking, BookingItem, Customer, CustomerLink, RecordAccess, TreatmentNote, User
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.customers import NOTE_LENGTH, lock_two, require_live
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

MOST_TAGS = 12
TAG_LENGTH = 30


def lock_live_customer(customer_id: int) -> Customer:
    """Lock a customer's row, which leaves foreign key checks alone, and return them fresh.

    Raises :class:`NotFoundError`, and :class:`ConflictError` for one who was merged or anonymised.
    """
    customer = db.session.get(Customer, customer_id, with_for_update={"key_share": True}, populate_existing=True)
    if customer is None:
        raise NotFoundError("not_found", N_("There is no such customer."))
    require_live(customer)
    return customer


def set_health(customer_id: int, *, allergies: str, medical_note: str, actor: Actor) -> int:
    """Replace what is known of a customer's health; the customer's id. Locks the customer."""
    values: dict[str, object] = {
        "allergies": clean_text(allergies, field="allergies", limit=NOTE_LENGTH),
        "medical_note": clean_text(medical_note, field="medical_note", limit=NOTE_LENGTH),
    }
    return _change(customer_id, values, "customer_health_changed", actor=actor)


def set_tags(customer_id: int, *, tags: str, actor: Actor) -> int:
    """Replace a customer's tags, written with commas between them; the customer's id. Locks the customer."""
    names: dict[str, str] = {}
    for written in tags.split(","):
        name = " ".join(clean_text(written, field="tags", limit=TAG_LENGTH, lines=False).split())
        if name:
            names.setdefault(name.casefold(), name)
    if len(names) > MOST_TAGS:
        raise InvalidError("tags_many", N_("At most %(limit)d tags are possible."), field="tags", limit=MOST_TAGS)
    return _change(customer_id, {"tags": sorted(names.values())}, "customer_tagged", actor=actor)


def add_treatment_note(booking_id: int, *, body: str, actor: Actor) -> int:
    """Write down what was done and seen in a visit; the note's id. A therapist writes for visits of their own.

    Locks the customer. Raises :class:`NotFoundError` for a visit that the actor may not know of.
    """
    body = clean_text(body, field="body", limit=NOTE_LENGTH)
    if not body:
        raise InvalidError("note_missing", N_("Write a few words first."), field="body")
    with atomic() as session:
        booking = session.get(Booking, booking_id)
        if booking is None or not (actor.role != "therapist" or _treats(booking_id, actor)):
            raise NotFoundError("booking_unknown", N_("There is no such visit."))
        actor.require_branch(booking.branch_id)
        lock_live_customer(booking.customer_id)
        note_id: int = session.execute(
            insert(TreatmentNote).returning(TreatmentNote.id),
            {"booking_id": booking_id, "author_id": actor.user_id, "body": body},
        ).scalar_one()
        audit.record("treatment_note_added", entity="booking", entity_id=booking_id, actor=actor)
        return note_id


def record_access(customer_id: int, what: str, *, actor: Actor, file_id: int | None = None) -> None:
    """Note that the actor looks at a customer's ``allergies``, ``health``, ``notes``, ``files``, or at one ``file``."""
    with atomic() as session:
        session.execute(
            insert(RecordAccess),
            {
                "customer_id": customer_id,
                "what": what,
                "file_id": file_id,
                "actor_id": actor.user_id,
                "ip": actor.ip,
            },
        )


def record_looks(looks: Iterable[tuple[int, str]], *, actor: Actor) -> None:
    """Note that the actor looks at several customers, each with what they look at: see :func:`record_access`."""
    rows = [
        {"customer_id": customer_id, "what": what, "actor_id": actor.user_id, "ip": actor.ip}
        for customer_id, what in sorted(looks)
    ]
    with atomic() as session:
        session.execute(insert(RecordAccess).values(rows))


def link_customers(customer_id: int, relative_id: int, *, relation: str, actor: Actor) -> int:
    """Note that ``relative_id`` is the ``relation`` of ``customer_id``; the link's id. Locks both customers by id.

    ``relation`` is one of ``RELATIONS``, or ``child``. Raises :class:`ConflictError` where they are linked already.
    """
    if relation not in (*RELATIONS, "child"):
        raise InvalidError("relation_unknown", N_("Choose how they are related."), field="relation")
    with atomic() as session:
        for customer in lock_two(customer_id, relative_id):
            require_live(customer)
        one, other = (customer_id, relative_id) if relation == "child" else (relative_id, customer_id)
        stored = "parent" if relation == "child" else relation
        link_id: int = session.execute(
            insert(CustomerLink).returning(CustomerLink.id),
            {"customer_id": one, "relative_id": other, "relation": stored},
        ).scalar_one()
        audit.record(
            "customers_linked",
            entity="customer",
            entity_id=customer_id,
            actor=actor,
            after={"relative_id": relative_id, "relation": relation},
        )
        return link_id


def unlink_customers(customer_id: int, link_id: int, *, actor: Actor) -> int:
    """Take a link away; the customer's id. One that is gone already changes nothing."""
    with atomic() as session:
        gone = session.execute(
            delete(CustomerLink)
            .where(
                CustomerLink.id == link_id,
                (CustomerLink.customer_id == customer_id) | (CustomerLink.relative_id == customer_id),
            )
            .returning(CustomerLink.customer_id, CustomerLink.relative_id, CustomerLink.relation)
        ).one_or_none()
        if gone is not None:
            audit.record(
                "customers_unlinked",
                entity="customer",
                entity_id=customer_id,
                actor=actor,
                before=dict(gone._mapping),
            )
        return customer_id


def _change(customer_id: int, values: dict[str, object], action: str, *, actor: Actor) -> int:
    with atomic() as session:
        customer = lock_live_customer(customer_id)
        before = {name: getattr(customer, name) for name in values if getattr(customer, name) != values[name]}
        if before:
            for name in before:
                setattr(customer, name, values[name])
            session.flush()
            audit.record(
                action,
                entity="customer",
                entity_id=customer_id,
                actor=actor,
                before=before,
                after={name: values[name] for name in before},
            )
        return customer_id


def _treats(booking_id: int, actor: Actor) -> bool:
    mine = select(User.staff_id).where(User.id == actor.user_id).scalar_subquery()
    query = select(BookingItem.id).where(BookingItem.booking_id == booking_id, BookingItem.staff_id == mine).limit(1)
    return db.session.scalar(query) is not None
