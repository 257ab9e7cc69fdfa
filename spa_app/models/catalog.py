"""What is for sale: services by the visit, and plans of prepaid sessions."""

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base


class Service(Base):
    """What is sold by the visit. Prices include VAT; ``vat_rate_bp`` is in basis points (800 = 8 %)."""

    __tablename__ = "services"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("duration_minutes BETWEEN 5 AND 720", name="duration"),
        CheckConstraint("buffer_before_minutes BETWEEN 0 AND 120", name="buffer_before"),
        CheckConstraint("buffer_after_minutes BETWEEN 0 AND 120", name="buffer_after"),
        CheckConstraint("price_amount >= 0", name="price"),
        CheckConstraint("vat_rate_bp BETWEEN 0 AND 10000", name="vat_rate"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    duration_minutes: Mapped[int] = mapped_column(SmallInteger)
    buffer_before_minutes: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    buffer_after_minutes: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    price_amount: Mapped[int]
    vat_rate_bp: Mapped[int] = mapped_column(SmallInteger)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))


class ServiceResource(Base):
    """A type of room or machine that a service needs: for its whole length, clean-up in, or for a part of it.

    A part begins ``from_minutes`` after the service does and takes ``length_minutes``; without a length the need is for
    the whole. How many there are of a type is how many resources the branch has of it.
    """

    __tablename__ = "service_resources"
    __table_args__ = (
        CheckConstraint("from_minutes >= 0", name="from"),
        CheckConstraint("length_minutes > 0", name="length"),
        CheckConstraint("length_minutes IS NOT NULL OR from_minutes = 0", name="part_has_length"),
    )

    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True)
    type_id: Mapped[int] = mapped_column(ForeignKey("resource_types.id"), primary_key=True)
    from_minutes: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    length_minutes: Mapped[int | None] = mapped_column(SmallInteger)


class Plan(Base):
    """A package for sale. Its price, with VAT, is shared among its items by their list prices.

    Its cards are valid for so many days or months, from the day of the purchase or ``from_first_visit``.
    """

    __tablename__ = "plans"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("price_amount >= 0", name="price"),
        CheckConstraint("vat_rate_bp BETWEEN 0 AND 10000", name="vat_rate"),
        CheckConstraint("validity_days BETWEEN 1 AND 3650", name="validity"),
        CheckConstraint("validity_months BETWEEN 1 AND 120", name="validity_months"),
        CheckConstraint("num_nonnulls(validity_days, validity_months) = 1", name="validity_unit"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price_amount: Mapped[int]
    vat_rate_bp: Mapped[int] = mapped_column(SmallInteger)
    validity_days: Mapped[int | None] = mapped_column(SmallInteger)
    validity_months: Mapped[int | None] = mapped_column(SmallInteger)
    from_first_visit: Mapped[bool] = mapped_column(server_default=text("false"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))


class PlanBranch(Base):
    """A branch in which a plan is sold and its cards are good. A plan without such rows is good in every branch."""

    __tablename__ = "plan_branches"

    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"), primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"), primary_key=True)


class PlanItem(Base):
    """So many sessions of one service in a plan, bonus ones on top; of any service where ``service_id`` is empty."""

    __tablename__ = "plan_items"
    __table_args__ = (
        Index(
            "uq_plan_items_plan_id_service_id", "plan_id", "service_id", unique=True, postgresql_nulls_not_distinct=True
        ),
        CheckConstraint("sessions BETWEEN 1 AND 1000", name="sessions"),
        CheckConstraint("bonus_sessions BETWEEN 0 AND 1000", name="bonus"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("plans.id"))
    service_id: Mapped[int | None] = mapped_column(ForeignKey("services.id"))
    sessions: Mapped[int] = mapped_column(SmallInteger)
    bonus_sessions: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
