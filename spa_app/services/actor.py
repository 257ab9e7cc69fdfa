"""On whose behalf a service acts."""

from dataclasses import dataclass, field

from spa_app.errors import N_, NotAllowedError, NotFoundError


@dataclass(frozen=True)
class Actor:
    """A user, with the branches in which they work and the address they called from; or the system itself."""

    user_id: int | None
    role: str
    branch_ids: frozenset[int] = field(default_factory=frozenset)
    ip: str | None = None

    @property
    def is_manager(self) -> bool:
        """Whether corrections and other managers' acts are open to this actor."""
        return self.role in ("manager", "owner", "system")

    def works_in(self, branch_id: int) -> bool:
        """Whether that branch is one of the actor's."""
        return self.role == "system" or branch_id in self.branch_ids

    def require_branch(self, branch_id: int) -> None:
        """Raise :class:`NotFoundError` unless the actor works in that branch: what lies elsewhere does not show."""
        if not self.works_in(branch_id):
            raise NotFoundError("not_found", N_("There is no such thing in your branches."))

    def require_manager(self) -> None:
        """Raise :class:`NotAllowedError` unless a manager or owner acts."""
        if not self.is_manager:
            raise NotAllowedError("manager_only", N_("Only a manager can do this."))


SYSTEM = Actor(user_id=None, role="system")
