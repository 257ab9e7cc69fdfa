"""What proves that something happened, and that it happened once: audit rows, idempotency keys, outbox, job runs."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base


class AuditLog(Base):
    """Who changed what, when, from where; append-only, but for what rows say of a customer who was anonymised since."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_entity", "entity", "entity_id"),
        Index("ix_audit_log_created_at", "created_at", postgresql_using="brin"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str]
    entity: Mapped[str]
    entity_id: Mapped[int]
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    ip: Mapped[str | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    reason: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class IdempotencyKey(Base):
    """A form that has been acted on, stored with the action itself. A replay is answered with ``result``."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at", postgresql_using="brin"),)

    key: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    action: Mapped[str]
    fingerprint: Mapped[str]
    result: Mapped[int | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


class OutboxMessage(Base):
    """Something to be done once the transaction that wrote it has committed.

    ``due_at``: not before then; empty means at once. While a worker is at it, it lies as far ahead as that may take;
    after an attempt that failed, as far as the next one, and ``error`` says why. ``failed_at``: there will be no other.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("kind IN ('booking_confirmed', 'booking_cancelled', 'paper_mailed')", name="kind"),
        CheckConstraint("done_at IS NULL OR failed_at IS NULL", name="end"),
        Index("ix_outbox_booking_id", text("CAST(payload ->> 'booking_id' AS bigint)")),
        Index(
            "ix_outbox_invoice_id",
            text("CAST(payload ->> 'invoice_id' AS bigint)"),
            postgresql_where=text("kind = 'paper_mailed'"),
        ),
        Index("ix_outbox_undone", "id", postgresql_where=text("done_at IS NULL")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[dt.datetime | None]
    due_at: Mapped[dt.datetime | None]
    failed_at: Mapped[dt.datetime | None]
    error: Mapped[str] = mapped_column(server_default="")


class JobRun(Base):
    """One run of a nightly job for one branch and local date; what it did is visible, and it is done once."""

    __tablename__ = "job_runs"
    __table_args__ = (
        UniqueConstraint("job", "branch_id", "run_for"),
        CheckConstraint("job IN ('expire_treatments', 'expire_gift_cards')", name="job"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str]
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    run_for: Mapped[dt.date]
    cards: Mapped[int] = mapped_column(server_default=text("0"))
    sessions: Mapped[int] = mapped_column(server_default=text("0"))
    amount: Mapped[int] = mapped_column(server_default=text("0"))
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]
