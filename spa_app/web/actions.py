"""What every POST that changes something goes through."""

from collections.abc import Callable

from spa_app.services import idempotency
from spa_app.web.forms import fingerprint, posted_key
from spa_app.web.security import current_actor


def run_once(action: str, work: Callable[[], int]) -> int:
    """Do what the posted form asks for, once per idempotency key, and return the id that ``work`` returns.

    A replay gets the first run's id and does nothing. Raises what ``work`` raises, with nothing stored.
    """
    return idempotency.once(posted_key(), action=action, fingerprint=fingerprint(), actor=current_actor(), work=work)
