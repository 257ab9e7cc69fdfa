"""Treatment cards: one customer's prepaid sessions, and the append-only history that every counter is a cache of."""

import datetime as dt

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from spa_app import clock
from spa_app.extensions import Base


class CustomerTreatment(Base):
    """A treatment card: prepaid sessions of one service, or of any service where ``service_id`` is empty.

    Counters are caches of :class:`TreatmentEntry` and the amounts caches of the ledger; the database bounds both and
    ``flask reconcile`` recomputes them. ``deferred_amount`` is what the sessions were sold for without VAT; owed is
    ``deferred_amount - recognised_amount - expired_amount``. ``branch_id`` is where it was sold; the card is valid
    through ``expiry_date`` by that branch's clocks. One whose validity begins with its first visit has no date until
    then, and keeps its own ``validity_days`` or ``validity_months``. ``branch_ids`` are the branches in which it is
    good, as its plan said when it was sold; None: in every one. ``origin_id`` is the card that its sessions were
    transferred from; the price lot, ``invoice_line_id``, comes along.
    """

    __tablename__ = "customer_treatments"
    __table_args__ = (
        CheckConstraint("total_sessions >= 0", name="total_not_negative"),
        CheckConstraint("used_sessions >= 0", name="used_not_negative"),
        CheckConstraint("held_sessions >= 0", name="held_not_negative"),
        CheckConstraint("expired_sessions >= 0", name="expired_not_negative"),
        CheckConstraint("used_sessions + held_sessions + expired_sessions <= total_sessions", name="within_total"),
        CheckConstraint("deferred_amount >= 0", name="deferred_not_negative"),
        CheckConstraint("recognised_amount >= 0 AND expired_amount >= 0", name="spent_not_negative"),
        CheckConstraint("recognised_amount + expired_amount <= deferred_amount", name="value_within_deferred"),
        CheckConstraint("validity_days BETWEEN 1 AND 3650", name="validity_days"),
        CheckConstraint("validity_months BETWEEN 1 AND 120", name="validity_months"),
        CheckConstraint(
            "num_nonnulls(validity_days, validity_months) < 2"
            " AND num_nonnulls(expiry_date, validity_days, validity_months) > 0",
            name="validity_unit",
        ),
        CheckConstraint("cardinality(branch_ids) > 0", name="branches"),
        CheckConstraint("status IN ('active', 'completed', 'expired', 'frozen', 'cancelled')", name="status"),
        UniqueConstraint("import_ref"),
        Index("ix_customer_treatments_customer_id", "customer_id"),
        Index("ix_customer_treatments_invoice_line_id", "invoice_line_id"),
        Index("ix_customer_treatments_origin_id", "origin_id", postgresql_where=text("origin_id IS NOT NULL")),
        Index(
            "ix_customer_treatments_due",
            "branch_id",
            "expiry_date",
            postgresql_where=text("used_sessions + held_sessions + expired_sessions < total_sessions"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    service_id: Mapped[int | None] = mapped_column(ForeignKey("services.id"))
    plan_id: Mapped[int | None] = mapped_column(ForeignKey("plans.id"))
    invoice_line_id: Mapped[int | None] = mapped_column(ForeignKey("invoice_lines.id"))
    origin_id: Mapped[int | None] = mapped_column(ForeignKey("customer_treatments.id"))
    import_ref: Mapped[str | None]
    total_sessions: Mapped[int] = mapped_column(SmallInteger)
    used_sessions: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    held_sessions: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    expired_sessions: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    deferred_amount: Mapped[int]
    recognised_amount: Mapped[int] = mapped_column(server_default=text("0"))
    expired_amount: Mapped[int] = mapped_column(server_default=text("0"))
    expiry_date: Mapped[dt.date | None]
    validity_days: Mapped[int | None] = mapped_column(SmallInteger)
    validity_months: Mapped[int | None] = mapped_column(SmallInteger)
    branch_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    frozen_on: Mapped[dt.date | None]
    cancelled_at: Mapped[dt.datetime | None]
    status: Mapped[str] = mapped_column(server_default="active")
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())

    @hybrid_property
    def free_sessions(self) -> int:
        """Sessions that neither a visit has used, nor a booking reserved, nor the calendar taken."""
        return self.total_sessions - self.used_sessions - self.held_sessions - self.expired_sessions

    def is_good_in(self, branch_id: int) -> bool:
        """Whether visits to a branch can be paid with it."""
        return self.branch_ids is None or branch_id in self.branch_ids

    @property
    def owed_amount(self) -> int:
        """What the spa still owes on this card, without VAT, in minor units."""
        return self.deferred_amount - self.recognised_amount - self.expired_amount


class TreatmentEntry(Base):
    """One change of a card, never edited. ``sessions`` is what the change does to the free sessions.

    ``used = -sum(punch, unpunch, forfeit)``, ``held = -sum(hold, release)``,
    ``expired = -sum(expire, reactivate)``, and ``total = sum(purchase, adjust, transfer_in, transfer_out, refund)``.
    ``value_amount`` is what left the card's liability with it (negative: what came back), in minor units without VAT.
    ``days`` is by how much the expiry moved. A refund that is withdrawn is one with its sign turned round, and a
    transfer_in names in ``counterpart_id`` the transfer_out that it answers. A hold is closed, and a punch or refund
    taken back, by the entry that ``closed_by_id`` names: the one column that may still be filled in, once.
    """

    __tablename__ = "treatment_entries"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('purchase', 'hold', 'release', 'punch', 'unpunch', 'forfeit', 'expire', 'adjust', 'extend',"
            " 'freeze', 'unfreeze', 'transfer_in', 'transfer_out', 'refund', 'reactivate', 'share', 'unshare')",
            name="kind",
        ),
        CheckConstraint(
            "CASE WHEN kind IN ('purchase', 'transfer_in', 'reactivate') THEN sessions > 0"
            " WHEN kind IN ('release', 'unpunch') THEN sessions = 1"
            " WHEN kind IN ('hold', 'punch', 'forfeit') THEN sessions = -1"
            " WHEN kind IN ('expire', 'transfer_out') THEN sessions < 0"
            " WHEN kind IN ('extend', 'freeze', 'unfreeze', 'share', 'unshare') THEN sessions = 0"
            " ELSE kind = 'refund' OR sessions <> 0 END",
            name="sign",
        ),
        CheckConstraint(
            # A session used before its card was imported has no visit here; its row says so.
            "booking_item_id IS NOT NULL OR kind NOT IN ('hold', 'release', 'punch', 'unpunch')"
            " OR (kind = 'punch' AND reason <> '')",
            name="visit_named",
        ),
        CheckConstraint("(kind IN ('extend', 'unfreeze', 'reactivate')) = (days IS NOT NULL)", name="days"),
        CheckConstraint("(kind = 'transfer_in') = (counterpart_id IS NOT NULL)", name="counterpart"),
        Index(
            "uq_treatment_entries_counterpart_id",
            "counterpart_id",
            unique=True,
            postgresql_where=text("counterpart_id IS NOT NULL"),
        ),
        Index(
            "uq_treatment_entries_live_punch",
            "booking_item_id",
            unique=True,
            postgresql_where=text("kind IN ('punch', 'forfeit') AND closed_by_id IS NULL"),
        ),
        Index(
            "uq_treatment_entries_live_hold",
            "booking_item_id",
            unique=True,
            postgresql_where=text("kind = 'hold' AND closed_by_id IS NULL"),
        ),
        Index("ix_treatment_entries_treatment_id", "treatment_id", "id"),
        Index("ix_treatment_entries_booking_item_id", "booking_item_id"),
        Index("ix_treatment_entries_created_at", "created_at", postgresql_using="brin"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    treatment_id: Mapped[int] = mapped_column(ForeignKey("customer_treatments.id"))
    kind: Mapped[str]
    sessions: Mapped[int] = mapped_column(SmallInteger)
    value_amount: Mapped[int] = mapped_column(server_default=text("0"))
    days: Mapped[int | None] = mapped_column(SmallInteger)
    counterpart_id: Mapped[int | None] = mapped_column(ForeignKey("treatment_entries.id"))
    booking_item_id: Mapped[int | None] = mapped_column(ForeignKey("booking_items.id"))
    closed_by_id: Mapped[int | None] = mapped_column(ForeignKey("treatment_entries.id"))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())


def valid_through(date: dt.date, days: int | None, months: int | None) -> dt.date:
    """The last day of a validity of so many days, or months, that begins on ``date``."""
    return date + dt.timedelta(days=days) if days is not None else clock.add_months(date, months or 0)


class TreatmentShare(Base):
    """Who else may book on a card, until the entry ``ended_by_id``: ``session_limit`` sessions in all, or any free one.

    How many of them are used follows from the holds and punches of that customer's visits.
    """

    __tablename__ = "treatment_shares"
    __table_args__ = (
        CheckConstraint("session_limit BETWEEN 1 AND 1000", name="limit"),
        Index(
            "uq_treatment_shares_live",
            "treatment_id",
            "customer_id",
            unique=True,
            postgresql_where=text("ended_by_id IS NULL"),
        ),
        Index("ix_treatment_shares_customer_id", "customer_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    treatment_id: Mapped[int] = mapped_column(ForeignKey("customer_treatments.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    session_limit: Mapped[int | None] = mapped_column(SmallInteger)
    entry_id: Mapped[int] = mapped_column(ForeignKey("treatment_entries.id"))
    ended_by_id: Mapped[int | None] = mapped_column(ForeignKey("treatment_entries.id"))


def derive_status(card: CustomerTreatment, today: dt.date) -> str:
    """The status that the facts give a card on ``today``, a date of its branch (1-product, *Treatment cards*)."""
    if card.cancelled_at is not None:
        return "cancelled"
    if card.frozen_on is not None:
        return "frozen"
    if card.used_sessions == card.total_sessions:
        return "completed"
    is_over = card.expiry_date is not None and card.expiry_date < today
    return "expired" if is_over or card.expired_sessions else "active"
