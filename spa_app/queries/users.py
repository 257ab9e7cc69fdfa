"""Reads about users."""

from dataclasses import dataclass

from flask_login import UserMixin
from sqlalchemy import text

from spa_app.extensions import db
from spa_app.queries.snapshot import SNAPSHOT

# Plain SQL: every request runs it.
_SIGNED_IN = text(
    f"""
    SELECT u.id, u.username, u.full_name, u.role, u.locale, u.theme, u.staff_id,
           b.id AS branch_id, b.code, b.name, b.timezone, {SNAPSHOT} AS snapshot
    FROM users u
    LEFT JOIN user_branches ub ON ub.user_id = u.id
    LEFT JOIN branches b ON b.is_active AND (u.role = 'owner' OR b.id = ub.branch_id)
    WHERE u.id = :user_id AND u.is_active
    ORDER BY b.name, b.id
    """  # noqa: S608 - a constant of ours
)


@dataclass(frozen=True)
class BranchRef:
    """As much of a branch as every page needs."""

    id: int
    code: str
    name: str
    timezone: str


@dataclass(frozen=True)
class SignedIn(UserMixin):
    """The user behind a request, with the active branches that are theirs (an owner's: all), by name.

    ``snapshot`` names the state of the database in which this was read (queries/snapshot.py).
    """

    id: int
    username: str
    full_name: str
    role: str
    locale: str | None
    theme: str
    staff_id: int | None
    branches: tuple[BranchRef, ...]
    snapshot: str

    @property
    def initials(self) -> str:
        """One or two letters for the menu."""
        words = self.full_name.split()
        return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()


def get_signed_in(user_id: int) -> SignedIn | None:
    """The active user with that id and their branches, in one query; None for anyone else."""
    rows = db.session.execute(_SIGNED_IN, {"user_id": user_id}).all()
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
        snapshot=user.snapshot,
    )
