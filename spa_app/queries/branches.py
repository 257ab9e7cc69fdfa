"""The branches."""

from dataclasses import dataclass

from sqlalchemy import select

from spa_app.extensions import db
from spa_app.models import Branch


@dataclass(frozen=True)
class BranchChoice:
    """A branch to choose from."""

    id: int
    code: str
    name: str
    timezone: str


def list_branches() -> list[BranchChoice]:
    """The branches at work, the oldest first."""
    rows = db.session.execute(
        select(Branch.id, Branch.code, Branch.name, Branch.timezone).where(Branch.is_active).order_by(Branch.id)
    )
    return [BranchChoice(*row) for row in rows]
