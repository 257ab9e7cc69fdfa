"""A form is acted on once, however often it is sent."""

import datetime as dt
import uuid
from collections.abc import Callable

from sqlalchemy import delete, select, text

from spa_app import clock
from spa_app.errors import N_, ConflictError
from spa_app.extensions import db
from spa_app.models import IdempotencyKey
from spa_app.services.actor import Actor
from spa_app.services.transaction import atomic, in_transaction

KEPT_FOR = dt.timedelta(days=30)  # no browser sends a form again after so long

# Plain SQL: every form that is posted runs these two.
_CLAIM = text(
    "INSERT INTO idempotency_keys (key, actor_id, action, fingerprint) VALUES (:key, :actor_id, :action, :fingerprint)"
    " ON CONFLICT DO NOTHING RETURNING key"
)
_KEEP_RESULT = text("UPDATE idempotency_keys SET result = :result WHERE key = :key")


def once(key: uuid.UUID, *, action: str, fingerprint: str, actor: Actor, work: Callable[[], int]) -> int:
    """Do ``work`` in one transaction with the key that proves it; a replay gets the id that the first run returned.

    A twin that is still under way is waited for (its key row is locked). A refused attempt leaves no key behind. Raises
    :class:`ConflictError` when the key was used for something else, and whatever ``work`` raises.
    """

    def claim_and_work() -> int:
        claimed = db.session.execute(
            _CLAIM, {"key": key, "actor_id": actor.user_id, "action": action, "fingerprint": fingerprint}
        ).scalar()
        if claimed is None:
            return _first_result(key, action=action, fingerprint=fingerprint, actor=actor)
        result = work()
        db.session.execute(_KEEP_RESULT, {"key": key, "result": result})
        return result

    return in_transaction(claim_and_work)


def forget_old() -> int:
    """Forget the keys of forms sent more than a month ago, and return how many those were."""
    with atomic() as session:
        old = delete(IdempotencyKey).where(IdempotencyKey.created_at < clock.now() - KEPT_FOR)
        return len(session.execute(old.returning(IdempotencyKey.key)).all())


def _first_result(key: uuid.UUID, *, action: str, fingerprint: str, actor: Actor) -> int:
    first = db.session.execute(select(IdempotencyKey).where(IdempotencyKey.key == key)).scalar_one()
    if (first.action, first.fingerprint, first.actor_id) != (
        action,
        fingerprint,
        actor.user_id,
    ) or first.result is None:
        raise ConflictError("form_used", N_("This form has already been used for something else. Open it again."))
    return first.result
