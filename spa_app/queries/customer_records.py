"""A customer's family, treatment notes, files, and who looked at them."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, func, select

from spa_app.extensions import db
from spa_app.models import Booking, Customer, CustomerFile, CustomerLink, RecordAccess, TreatmentNote, User

MOST_NOTES = 50
ACCESSES_PER_PAGE = 25


@dataclass(frozen=True)
class Relative:
    """Somebody who belongs to the customer: their ``parent``, ``child``, ``spouse``, ``sibling`` or ``other``."""

    link_id: int
    id: int
    full_name: str
    phone: str | None
    relation: str


@dataclass(frozen=True)
class Health:
    """What is known of a customer's health."""

    id: int
    full_name: str
    allergies: str
    medical_note: str


@dataclass(frozen=True)
class Note:
    """A treatment note with its visit."""

    id: int
    booking_id: int
    starts_at: dt.datetime
    author: str | None
    body: str
    created_at: dt.datetime


@dataclass(frozen=True)
class File:
    """A photo or a consent form."""

    id: int
    kind: str
    media_type: str
    size_bytes: int
    stored_as: uuid.UUID
    caption: str
    uploaded_by: str | None
    created_at: dt.datetime

    @property
    def is_image(self) -> bool:
        """Whether a browser can show it within a page."""
        return self.media_type.startswith("image/")


@dataclass(frozen=True)
class Access:
    """Who looked at what, when and from where."""

    seen_at: dt.datetime
    what: str
    actor: str | None
    ip: str | None


def list_family(customer_id: int) -> list[Relative]:
    """Those who belong to the customer, parents first. One statement."""
    is_theirs = CustomerLink.relative_id == customer_id
    relation = case(
        (is_theirs, CustomerLink.relation), (CustomerLink.relation == "parent", "child"), else_=CustomerLink.relation
    )
    rows = db.session.execute(
        select(CustomerLink.id, Customer.id, Customer.full_name, Customer.phone, relation)
        .join(Customer, Customer.id == case((is_theirs, CustomerLink.customer_id), else_=CustomerLink.relative_id))
        .where(is_theirs | (CustomerLink.customer_id == customer_id))
        .order_by(func.strpos("parent spouse sibling child other", relation), Customer.full_name)
    )
    return [Relative(*row) for row in rows]


def get_health(customer_id: int) -> Health | None:
    """A customer's allergies and medical note."""
    row = db.session.execute(
        select(Customer.id, Customer.full_name, Customer.allergies, Customer.medical_note).where(
            Customer.id == customer_id
        )
    ).one_or_none()
    return Health(*row) if row else None


def list_notes(customer_id: int) -> list[Note]:
    """The treatment notes of a customer's visits, the newest first; fifty at most. One statement."""
    rows = db.session.execute(
        select(
            TreatmentNote.id,
            Booking.id,
            Booking.starts_at,
            User.full_name,
            TreatmentNote.body,
            TreatmentNote.created_at,
        )
        .join(Booking, Booking.id == TreatmentNote.booking_id)
        .outerjoin(User, User.id == TreatmentNote.author_id)
        .where(Booking.customer_id == customer_id)
        .order_by(Booking.starts_at.desc(), TreatmentNote.id.desc())
        .limit(MOST_NOTES)
    )
    return [Note(*row) for row in rows]


def list_files(customer_id: int) -> list[File]:
    """A customer's files that were not deleted, the newest first. One statement."""
    return [File(*row) for row in db.session.execute(_files().where(CustomerFile.customer_id == customer_id))]


def get_file(customer_id: int, file_id: int) -> File | None:
    """One file of a customer, unless it was deleted."""
    query = _files().where(CustomerFile.customer_id == customer_id, CustomerFile.id == file_id)
    row = db.session.execute(query).one_or_none()
    return File(*row) if row else None


def list_accesses(customer_id: int, page: int = 1) -> list[Access]:
    """Who looked at the customer's records, the newest first; with those of whom was merged into them."""
    merged = select(Customer.id).where(Customer.merged_into_id == customer_id)
    rows = db.session.execute(
        select(RecordAccess.seen_at, RecordAccess.what, User.full_name, RecordAccess.ip)
        .outerjoin(User, User.id == RecordAccess.actor_id)
        .where((RecordAccess.customer_id == customer_id) | RecordAccess.customer_id.in_(merged))
        .order_by(RecordAccess.id.desc())
        .limit(ACCESSES_PER_PAGE)
        .offset((page - 1) * ACCESSES_PER_PAGE)
    )
    return [Access(*row) for row in rows]


def _files() -> Select[*tuple[Any, ...]]:
    return (
        select(
            CustomerFile.id,
            CustomerFile.kind,
            CustomerFile.media_type,
            CustomerFile.size_bytes,
            CustomerFile.stored_as,
            CustomerFile.caption,
            User.full_name,
            CustomerFile.created_at,
        )
        .outerjoin(User, User.id == CustomerFile.uploaded_by_id)
        .where(CustomerFile.deleted_at.is_(None))
        .order_by(CustomerFile.id.desc())
    )
