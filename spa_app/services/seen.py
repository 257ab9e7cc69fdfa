"""Whoever changes what somebody else has just changed is shown the fresh truth first."""

from typing import Any

from spa_app.errors import N_, ConflictError
from spa_app.queries.seen import stamp


def require_unchanged(state: Any, seen: str | None) -> None:
    """Raise :class:`ConflictError` unless ``seen`` is the stamp of ``state``, read under the caller's lock.

    None stands for callers who have looked at nothing and mean it whatever stands there.
    """
    if seen is not None and seen != stamp(state):
        raise ConflictError("changed_meanwhile", N_("Somebody else has just changed this. Here is how it stands now."))
