"""What belongs to a customer beside their details: merges, family, treatment notes, files, and who looked at them."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

RELATIONS = ("parent", "spouse", "sibling", "other")
FILE_KINDS = ("photo", "consent")
MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp", "application/pdf")


class CustomerMerge(Base):
    """Two customers who were one: ``merged_id`` lives on in ``survivor_id``.

    ``before`` holds the details of both as they were, ``kept`` those that the survivor was given, and ``moved`` the ids
    of the rows that went over, by ``table.column``: what :func:`undo_merge` needs.
    """

    __tablename__ = "customer_merges"
    __table_args__ = (
        CheckConstraint("survivor_id <> merged_id", name="two"),
        Index("uq_customer_merges_open", "merged_id", unique=True, postgresql_where=text("undone_at IS NULL")),
        Index("ix_customer_merges_survivor_id", "survivor_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    survivor_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    merged_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    before: Mapped[dict[str, Any]] = mapped_column(JSONB)
    kept: Mapped[dict[str, Any]] = mapped_column(JSONB)
    moved: Mapped[dict[str, Any]] = mapped_column(JSONB)
    credit_amount: Mapped[int] = mapped_column(server_default=text("0"))
    reason: Mapped[str] = mapped_column(server_default="")
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    merged_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    undone_at: Mapped[dt.datetime | None]


class DistinctCustomers(Base):
    """Two customers who look alike and are not the same: the desk said so. The smaller id stands first."""

    __tablename__ = "distinct_customers"
    __table_args__ = (CheckConstraint("first_id <> second_id", name="two"),)

    first_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), primary_key=True)
    second_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), primary_key=True)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class CustomerLink(Base):
    """``customer_id`` is the ``relation`` of ``relative_id``: their parent, spouse, sibling, or near to them."""

    __tablename__ = "customer_links"
    __table_args__ = (
        CheckConstraint("customer_id <> relative_id", name="two"),
        CheckConstraint("relation IN ('parent', 'spouse', 'sibling', 'other')", name="relation"),
        Index(
            "uq_customer_links_pair",
            text("least(customer_id, relative_id)"),
            text("greatest(customer_id, relative_id)"),
            unique=True,
        ),
        Index("ix_customer_links_customer_id", "customer_id"),
        Index("ix_customer_links_relative_id", "relative_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    relative_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    relation: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class TreatmentNote(Base):
    """What was done and seen in a visit, by who treated; it goes wherever the visit goes."""

    __tablename__ = "treatment_notes"
    __table_args__ = (
        CheckConstraint("body <> ''", name="body"),
        Index("ix_treatment_notes_booking_id", "booking_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[int] = mapped_column(ForeignKey("bookings.id"))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    body: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class CustomerFile(Base):
    """A photo or a signed consent form. The bytes lie below the data folder under ``stored_as``, a random name.

    A deleted one keeps its row, with who deleted it and why in the audit log; its bytes are gone.
    """

    __tablename__ = "customer_files"
    __table_args__ = (
        CheckConstraint("kind IN ('photo', 'consent')", name="kind"),
        CheckConstraint(
            "media_type IN ('image/jpeg', 'image/png', 'image/webp', 'application/pdf')", name="media_type"
        ),
        CheckConstraint("size_bytes > 0", name="size"),
        Index("uq_customer_files_stored_as", "stored_as", unique=True),
        Index("ix_customer_files_customer_id", "customer_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    kind: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    stored_as: Mapped[uuid.UUID]
    caption: Mapped[str] = mapped_column(server_default="")
    uploaded_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[dt.datetime | None]


class RecordAccess(Base):
    """Somebody looked at what is nobody else's business; append-only."""

    __tablename__ = "record_accesses"
    __table_args__ = (
        CheckConstraint("what IN ('allergies', 'health', 'notes', 'files', 'file')", name="what"),
        CheckConstraint("(what = 'file') = (file_id IS NOT NULL)", name="file"),
        Index("ix_record_accesses_customer_id", "customer_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    what: Mapped[str]
    file_id: Mapped[int | None] = mapped_column(ForeignKey("customer_files.id"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    ip: Mapped[str | None]
    seen_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
