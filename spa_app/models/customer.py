"""Who comes."""

import datetime as dt

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base


class Customer(Base):
    """A customer, known by phone (E.164).

    One phone belongs to one customer, unless the desk says that they share it: the others of the family then point at
    the first with ``shares_phone_with_id``. ``credit_amount`` caches the ledger's store credit, never below zero.
    ``import_ref`` is who they were in the file that they were imported from, so that it can be imported again.
    ``preferred_staff_id`` is the therapist whom they get where "anyone" is asked for and that one is free.
    ``merged_into_id`` is whom they turned out to be: that one has all that was theirs, and this row is only a signpost.
    Of one who is anonymised (``anonymised_at``) nothing personal is left; the books keep their visits and invoices.
    ``search_text`` is the name without accents and case, and the phone, with a space before each word: what the search
    box looks through. The phone sorts by code point, so that its index answers "begins with".
    """

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint("full_name <> ''", name="full_name"),
        CheckConstraint("phone ~ '^\\+[1-9][0-9]{6,14}$'", name="phone_e164"),
        CheckConstraint("credit_amount >= 0", name="credit"),
        CheckConstraint("shares_phone_with_id <> id", name="shares_phone_with_other"),
        CheckConstraint("merged_into_id <> id", name="merged_into_other"),
        CheckConstraint("merged_into_id IS NULL OR phone IS NULL", name="merged_has_no_phone"),
        UniqueConstraint("import_ref"),
        Index("uq_customers_phone", "phone", unique=True, postgresql_where=text("shares_phone_with_id IS NULL")),
        Index("ix_customers_phone", "phone"),
        Index("ix_customers_merged_into_id", "merged_into_id", postgresql_where=text("merged_into_id IS NOT NULL")),
        Index(
            "ix_customers_shares_phone_with_id",
            "shares_phone_with_id",
            postgresql_where=text("shares_phone_with_id IS NOT NULL"),
        ),
        Index(
            "ix_customers_birthday",
            text("CAST(EXTRACT(month FROM birth_date) * 100 + EXTRACT(day FROM birth_date) AS integer)"),
            postgresql_where=text("birth_date IS NOT NULL"),
        ),
        Index("ix_customers_phone_without_zeros", text("replace(phone, '0', '')")),
        Index("ix_customers_name", "search_text", postgresql_ops={"search_text": "text_pattern_ops"}),
        Index(
            "ix_customers_search_text",
            "search_text",
            postgresql_using="gin",
            postgresql_ops={"search_text": "gin_trgm_ops"},
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    full_name: Mapped[str]
    phone: Mapped[str | None] = mapped_column(Text(collation="C"))
    shares_phone_with_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"))
    email: Mapped[str | None]
    birth_date: Mapped[dt.date | None]
    allergies: Mapped[str] = mapped_column(server_default="")
    medical_note: Mapped[str] = mapped_column(server_default="")
    note: Mapped[str] = mapped_column(server_default="")
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    credit_amount: Mapped[int] = mapped_column(server_default=text("0"))
    import_ref: Mapped[str | None]
    preferred_staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"))
    anonymised_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    search_text: Mapped[str] = mapped_column(
        Computed("' ' || spa_fold(full_name) || ' ' || coalesce(phone, '')", persisted=True),
    )
