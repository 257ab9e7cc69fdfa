"""That a backup was made or put back, in the audit log."""

from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.transaction import atomic


def record_backup(*, made_at: str, files: int, actor: Actor) -> None:
    """Somebody took along all that is stored."""
    _record("backup_made", made_at, files, actor)


def record_restore(*, made_at: str, files: int, actor: Actor) -> None:
    """What is stored is what was stored at ``made_at``."""
    _record("backup_restored", made_at, files, actor)


def _record(action: str, made_at: str, files: int, actor: Actor) -> None:
    with atomic():
        audit.record(action, entity="backup", entity_id=0, actor=actor, after={"made_at": made_at, "files": files})
