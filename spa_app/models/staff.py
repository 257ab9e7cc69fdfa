"""Who and what a visit needs: therapists with their skills, rooms and equipment by type."""

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base


class Staff(Base):
    """A bookable member of staff. ``branch_id`` is their home branch, in which they can be booked."""

    __tablename__ = "staff"
    __table_args__ = (Index("ix_staff_branch_id", "branch_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    full_name: Mapped[str]
    position: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))


class StaffSkill(Base):
    """A service that a member of staff may perform."""

    __tablename__ = "staff_skills"

    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"), primary_key=True)


class ResourceType(Base):
    """What rooms or machines are alike: any facial room will do for a facial."""

    __tablename__ = "resource_types"
    __table_args__ = (UniqueConstraint("name"), CheckConstraint("kind IN ('room', 'equipment')", name="kind"))

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]


class Resource(Base):
    """One room or one machine of a branch. ``places``: how many guests who come together it takes; strangers never."""

    __tablename__ = "resources"
    __table_args__ = (
        UniqueConstraint("branch_id", "name"),
        CheckConstraint("places BETWEEN 1 AND 20", name="places"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    type_id: Mapped[int] = mapped_column(ForeignKey("resource_types.id"))
    name: Mapped[str]
    position: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    places: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
