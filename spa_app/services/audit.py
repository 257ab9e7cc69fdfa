"""Who changed what, when and from where."""

from typing import Any

from sqlalchemy import insert

from spa_app.extensions import db
from spa_app.models import AuditLog
from spa_app.services.actor import Actor


def record(
    action: str,
    *,
    entity: str,
    entity_id: int,
    actor: Actor,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Add a row to the audit log, in the caller's transaction. Values must be JSON."""
    db.session.execute(
        insert(AuditLog),
        {
            "action": action,
            "entity": entity,
            "entity_id": entity_id,
            "actor_id": actor.user_id,
            "ip": actor.ip,
            "before": before,
            "after": after,
            "reason": reason,
        },
    )


def record_many(action: str, *, entity: str, actor: Actor, after: dict[int, dict[str, Any]]) -> None:
    """Add one row for each entity, in the caller's transaction: ``after`` is what became of it, by its id."""
    db.session.execute(
        insert(AuditLog),
        [
            {
                "action": action,
                "entity": entity,
                "entity_id": entity_id,
                "actor_id": actor.user_id,
                "ip": actor.ip,
                "after": values,
            }
            for entity_id, values in after.items()
        ],
    )
