"""Users: who may log in, and what they prefer."""

from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import func, select

from spa_app.errors import N_, InvalidError
from spa_app.extensions import db
from spa_app.models import ROLES, User, UserBranch
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.transaction import atomic

# OWASP's second argon2id profile (19 MiB, 2 passes): about 20 ms here, and eight logins at once stay within 152 MiB.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Verified when there is no such user, so that the answer takes as long as for a wrong password.
NOBODY = HASHER.hash("nobody")
PASSWORD_MIN = 10


def authenticate(username: str, password: str, ip: str | None) -> int | None:
    """The id of the active user with that name and password, or None. Either is written into the audit log.

    Takes as long whether or not the name exists. Renews the hash when its cost parameters have changed.
    """
    with atomic():
        user = db.session.execute(
            select(User).where(func.lower(User.username) == username.strip().lower())
        ).scalar_one_or_none()
        known = _verify(user.password_hash if user else NOBODY, password) and user is not None and user.is_active
        if user is None:
            return None
        actor = Actor(user_id=user.id, role=user.role, ip=ip)
        audit.record("login" if known else "login_failed", entity="user", entity_id=user.id, actor=actor)
        if not known:
            return None
        if HASHER.check_needs_rehash(user.password_hash):
            user.password_hash = HASHER.hash(password)
        return user.id


def create_user(
    *,
    username: str,
    password: str,
    full_name: str,
    role: str,
    actor: Actor,
    branch_ids: Iterable[int] = (),
    locale: str | None = None,
    staff_id: int | None = None,
) -> int:
    """Add a login and return its id. ``branch_ids`` are the branches in which they work; an owner needs none.

    Raises :class:`NotAllowedError` unless a manager or owner acts (a manager makes no owner),
    :class:`InvalidError` for a bad name, role or password, and ConflictError for a name in use.
    """
    actor.require_manager()
    username = username.strip().lower()
    full_name = full_name.strip()
    if not username or len(username) > 60:
        raise InvalidError("username_invalid", N_("Give a user name of up to 60 characters."), field="username")
    if not full_name or len(full_name) > 120:
        raise InvalidError("name_invalid", N_("Give a name of up to 120 characters."), field="full_name")
    if role not in ROLES or (role == "owner" and actor.role == "manager"):
        raise InvalidError("role_invalid", N_("This role cannot be given."), field="role")
    branches = sorted(set(branch_ids))
    for branch_id in branches:
        actor.require_branch(branch_id)
    check_password(password)
    with atomic() as session:
        user = User(
            username=username,
            password_hash=HASHER.hash(password),
            full_name=full_name,
            role=role,
            locale=locale,
            staff_id=staff_id,
        )
        session.add(user)
        session.flush()
        session.add_all(UserBranch(user_id=user.id, branch_id=branch_id) for branch_id in branches)
        audit.record(
            "create",
            entity="user",
            entity_id=user.id,
            actor=actor,
            after={"username": username, "full_name": full_name, "role": role, "branch_ids": branches},
        )
        return user.id


def check_password(password: str) -> None:
    """Raise :class:`InvalidError` unless the password is long enough to be one, and short enough to hash."""
    if not PASSWORD_MIN <= len(password) <= 200:
        raise InvalidError(
            "password_length", N_("A password has %(least)s to 200 characters."), field="password", least=PASSWORD_MIN
        )


def set_preferences(user_id: int, *, locale: str | None = None, theme: str | None = None) -> None:
    """Keep the user's language (``en``, ``vi``) or theme (``system``, ``light``, ``dark``); None leaves it as it is."""
    with atomic() as session:
        user = session.get_one(User, user_id)
        if locale:
            user.locale = locale
        if theme:
            user.theme = theme


def _verify(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
