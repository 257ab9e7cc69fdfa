"""Who changed what, when and from where."""

import json
from typing import Any

from sqlalchemy import text

from spa_app.extensions import db
from spa_app.models import AuditLog
from spa_app.services.actor import Actor

# Into the table, not the mapped class: SQLAlchemy's bulk insert of objects would cost as much again as the row.
_INSERT = AuditLog.__table__.insert()  # type: ignore[attr-defined]

_INSERT_MANY = text(
    """
    INSERT INTO audit_log (action, entity, entity_id, actor_id, ip, after)
    SELECT CAST(:action AS text), CAST(:entity AS text), one.entity_id, CAST(:actor_id AS bigint), CAST(:ip AS text),
           one.after
    FROM unnest(CAST(:entity_ids AS bigint[]), CAST(CAST(:values AS text[]) AS jsonb[]))
        WITH ORDINALITY AS one (entity_id, after, position)
    ORDER BY one.position
    """
)


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
        _INSERT,
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
        _INSERT_MANY,
        {
            "action": action,
            "entity": entity,
            "actor_id": actor.user_id,
            "ip": actor.ip,
            "entity_ids": list(after),
            "values": [json.dumps(values) for values in after.values()],
        },
    )
