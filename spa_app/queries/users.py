"""Reads about users."""

from dataclasses import dataclass

from flask_login import UserMixin
from sqlalchemy import and_, or_, select, true

from spa_app.extensions import db
from spa_app.models import Branch, User, UserBranch


@dataclass(frozen=True)
class BranchRef:
    """As much of a branch as every page needs."""

    id: int
    code: str
    name: str
    timezone: str


@dataclass(frozen=True)
class SignedIn(UserMixin):
    """The user behind a request, with the active branches that are theirs (an owner's: all), by name."""

    id: int
    username: str
    full_name: str
    role: str
    locale: str | None
    theme: str
    staff_id: int | None
    branches: tuple[BranchRef, ...]

    @property
    def initials(self) -> str:
        """One or two letters for the menu."""
        words = self.full_name.split()
        return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()


def get_signed_in(user_id: int) -> SignedIn | None:
    """The active user with that id and their branches, in one query; None for anyone else."""
    rows = db.session.execute(
        select(
            User.id,
            User.username,
            User.full_name,
            User.role,
            User.locale,
            User.theme,
            User.staff_id,
            Branch.id.label("branch_id"),
            Branch.code,
            Branch.name,
            Branch.timezone,
        )
        .outerjoin(UserBranch, UserBranch.user_id == User.id)
        .outerjoin(Branch, and_(Branch.is_active, or_(User.role == "owner", Branch.id == UserBranch.branch_id)))
        .where(User.id == user_id, User.is_active == true())
        .order_by(Branch.name, Branch.id)
    ).all()
    if not rows:
        return None
    user = rows[0]
    found = {
        row.branch_id: BranchRef(row.branch_id, row.code, row.name, row.timezone)
        for row in rows
        if row.branch_id is not None
    }
    return SignedIn(
        id=user.id,
        username=user.username,
        full_name=user.full_name,
        role=user.role,
        locale=user.locale,
        theme=user.theme,
        staff_id=user.staff_id,
        branches=tuple(found.values()),
    )
