"""Drawers: opening them, cash paid in and out, the blind count at the close. Rules: 1-product, *Money*.

One lock decides, the branch's row. Whatever moves cash takes it FOR KEY SHARE before it looks for the open drawer
(:func:`session_for_cash`); closing a drawer takes it FOR UPDATE, then the session. The transaction of a close::

    SELECT … FROM branches … FOR UPDATE          -- waits for the cash that is being written, keeps out later cash
    SELECT … FROM drawer_sessions … FOR UPDATE   -- open still?
    SELECT sum(amount) …                         -- what is expected: its own snapshot, so all that was waited for
    INSERT INTO cash_movements, journal_entries  -- what is put away, what differs
    UPDATE drawer_sessions SET closed_at = …

So a payment is either wholly before the close, and counted, or after it, and in the next session. Where a lock was
forgotten, triggers refuse cash in a closed session and a close whose expected sum is not its cash.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Select, select, text
from sqlalchemy.dialects.postgresql import insert

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut, WrongStateError
from spa_app.extensions import db
from spa_app.models import Branch, CashMovement, Drawer, DrawerChoice, DrawerSession
from spa_app.queries.drawers import list_drawer_setups, sum_cash
from spa_app.services import audit, ledger
from spa_app.services.actor import Actor
from spa_app.services.ledger import Account, Posting
from spa_app.services.seen import require_unchanged
from spa_app.services.team import clean_name
from spa_app.services.texts import REASON_LENGTH, clean_text, required_reason
from spa_app.services.transaction import atomic

BIGGEST_AMOUNT = 10**12
MOST_NOTES = 100_000
# kind → the account at the other end, and what becomes of it there
OTHER_ENDS = {"paid_in": Account.SAFE, "drop": Account.SAFE, "expense": Account.PETTY_EXPENSES}


@dataclass(frozen=True)
class Count:
    """What lies in a drawer: how many of each note (by its worth in minor units), and what was counted otherwise."""

    notes: Mapping[int, int] = field(default_factory=dict)
    other_amount: int = 0

    @property
    def amount(self) -> int:
        """All of it, in minor units."""
        return sum(worth * number for worth, number in self.notes.items()) + self.other_amount

    def as_json(self) -> dict[str, int]:
        """What is stored of it: what there was any of."""
        counted = {str(worth): number for worth, number in self.notes.items() if number}
        return counted | ({"other": self.other_amount} if self.other_amount else {})


def session_for_cash(branch_id: int, actor: Actor) -> int | None:
    """The open session that this cash goes into or comes out of; joins the caller's transaction. None: no drawer.

    The drawer is the one that the user chose, else the one that they opened, else an open one, else the branch's first.
    Nobody is refused because nobody opened a drawer: it then opens itself, with the float that its last close left
    (``carried``), or with one that nobody knows. Locks the branch against closing. Raises :class:`ConflictError` where
    the day is closed.
    """
    branch = ledger.lock_against_closing(branch_id)
    ledger.require_open_day(branch)
    found = db.session.execute(
        select(Drawer.id, DrawerSession.id)
        .outerjoin(DrawerSession, (DrawerSession.drawer_id == Drawer.id) & DrawerSession.closed_at.is_(None))
        .outerjoin(DrawerChoice, (DrawerChoice.drawer_id == Drawer.id) & (DrawerChoice.user_id == actor.user_id))
        .where(Drawer.branch_id == branch_id, Drawer.is_active)
        .order_by(
            DrawerChoice.chosen_at.desc().nulls_last(),
            (DrawerSession.opened_by_id == actor.user_id).desc().nulls_last(),
            DrawerSession.id.is_(None),
            Drawer.id,
        )
        .limit(1)
    ).first()
    if found is None:
        return None
    drawer_id, session_id = found
    return session_id or _open_by_itself(drawer_id, actor)


def open_drawer(drawer_id: int, *, count: Count | None, actor: Actor) -> int:
    """Open a drawer with the float counted in it, and return the session's id. ``count=None``: nobody counted.

    What differs from the float that the last close left is posted as over or short. Locks the branch against closing,
    then the drawer. Raises :class:`ConflictError` while it is open, out of use, or the day is closed.
    """
    _check_count(count)
    with atomic() as session:
        drawer, branch = _known_drawer(drawer_id, actor)
        session.get_one(Drawer, drawer_id, with_for_update={"key_share": True}, populate_existing=True)
        if not drawer.is_active:
            raise _out_of_use()
        ledger.require_open_day(branch)
        if session.scalar(_open_session(drawer_id)) is not None:
            raise ConflictError("drawer_open", N_("This drawer is open already."))
        carried = _left_behind(drawer_id)
        counted = count.amount if count else None
        opening = carried if counted is None else counted
        row = DrawerSession(
            drawer_id=drawer_id,
            opened_by_id=actor.user_id,
            opened_as="counted" if count else "unknown" if carried is None else "carried",
            opening_float_amount=opening,
            opening_variance_amount=None if counted is None or carried is None else counted - carried,
        )
        session.add(row)
        session.flush()
        _post_variance(row.opening_variance_amount, row, branch, actor)
        audit.record(
            "drawer_opened",
            entity="drawer_session",
            entity_id=row.id,
            actor=actor,
            after={"drawer": drawer.name, "as": row.opened_as, "float": opening},
        )
        return row.id


def move_cash(session_id: int, *, kind: str, amount: int | None, reason: str, actor: Actor) -> int:
    """Pay cash into an open drawer or take some out, and return the session's id. ``kind`` is of OTHER_ENDS.

    Locks the branch against closing. Raises :class:`InvalidError` at the field, :class:`WrongStateError` once it is
    closed.
    """
    reason = required_reason(reason)
    if kind not in OTHER_ENDS:
        raise InvalidError("kind_unknown", N_("Choose where the cash goes."), field="kind")
    if amount is None or not 0 < amount <= BIGGEST_AMOUNT:
        raise InvalidError("amount_not_positive", N_("The amount must be more than zero."), field="amount")
    with atomic() as session:
        _, branch = _known_session(session_id, actor)
        row = session.get_one(DrawerSession, session_id, populate_existing=True)
        _require_open(row)
        _move(row, kind, amount, reason=reason, branch=branch, actor=actor)
        return session_id


def close_drawer(
    session_id: int, *, count: Count | None, left_amount: int | None, actor: Actor, reason: str = ""
) -> int:
    """Close a drawer with what was counted in it, and return the session's id. ``count=None``: nobody counted.

    Of what was counted, ``left_amount`` stays as the next float (None: all of it), the rest goes to the safe. Over or
    short is posted on the day on which the drawer was opened; nothing is posted for one that nobody counted, or whose
    float nobody knows. Locks the branch, then the session. Raises :class:`InvalidError` at the field,
    :class:`WrongStateError` once it is closed.
    """
    reason = clean_text(reason, field="reason", limit=REASON_LENGTH)
    _check_count(count)
    if count is not None and left_amount is not None and not 0 <= left_amount <= count.amount:
        raise InvalidError("left_too_much", N_("More cannot stay than was counted."), field="left_amount")
    with atomic() as session:
        branch_id = _branch_of(session_id, actor)
        branch = ledger.lock_for_closing(branch_id)
        row = session.execute(
            select(DrawerSession)
            .where(DrawerSession.id == session_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).scalar_one()
        close_locked(row, branch=branch, count=count, left_amount=left_amount, reason=reason, actor=actor)
        return session_id


def close_locked(
    row: DrawerSession, *, branch: Branch, count: Count | None, left_amount: int | None, reason: str, actor: Actor
) -> None:
    """As :func:`close_drawer`, for a caller who holds the locks of the branch and of the session."""
    _require_open(row)
    expected = expected_in(row)
    counted = count.amount if count else None
    left = counted if left_amount is None or counted is None else left_amount
    variance = None if counted is None or expected is None else counted - expected
    if counted is not None and left is not None and counted > left:
        _move(row, "closing_drop", counted - left, reason="", branch=branch, actor=actor)
    _post_variance(variance, row, branch, actor)
    # All at once: until here it is an open session, and the database holds it to that.
    row.expected_amount, row.counted_amount, row.variance_amount, row.left_amount = expected, counted, variance, left
    row.denominations = count.as_json() if count else None
    row.reason = reason
    row.closed_at, row.closed_by_id = clock.now(), actor.user_id
    db.session.flush()
    audit.record(
        "drawer_closed",
        entity="drawer_session",
        entity_id=row.id,
        actor=actor,
        after={"expected": expected, "counted": counted, "variance": row.variance_amount, "left": row.left_amount},
        reason=reason,
    )


def expected_in(row: DrawerSession) -> int | None:
    """What should be in an open drawer; None where nobody knows its float."""
    balance = sum_cash([row.id])[row.id].balance
    return None if row.opening_float_amount is None else row.opening_float_amount + balance


def explain_variance(session_id: int, *, reason: str, actor: Actor) -> int:
    """Say, once, why a count differed, and return the session's id. Locks the session."""
    reason = required_reason(reason)
    with atomic() as session:
        _branch_of(session_id, actor)
        row = session.get_one(DrawerSession, session_id, with_for_update={"key_share": True}, populate_existing=True)
        if not row.variance_amount or row.reason:
            raise WrongStateError("nothing_to_explain", N_("There is no variance left to explain."))
        row.reason = reason
        session.flush()
        audit.record("variance_explained", entity="drawer_session", entity_id=row.id, actor=actor, reason=reason)
        return session_id


def choose_drawer(drawer_id: int, *, actor: Actor) -> int:
    """Make this the drawer that the user works at in its branch, and return its id."""
    with atomic() as session:
        drawer, _ = _known_drawer(drawer_id, actor)
        if actor.user_id is None or not drawer.is_active:
            raise _out_of_use()
        row = insert(DrawerChoice).values(user_id=actor.user_id, drawer_id=drawer_id, chosen_at=clock.now())
        session.execute(
            row.on_conflict_do_update(
                index_elements=["user_id", "drawer_id"], set_={"chosen_at": row.excluded.chosen_at}
            )
        )
        audit.record("drawer_chosen", entity="drawer", entity_id=drawer_id, actor=actor)
        return drawer_id


def save_drawer(
    *,
    branch_id: int,
    name: str,
    actor: Actor,
    is_active: bool = True,
    drawer_id: int | None = None,
    seen: str | None = None,
) -> int:
    """Add a drawer, or change one, and return its id. A manager's act. Locks the branch.

    Raises :class:`ConflictError` for a name in use, for one that is open and is to go out of use, and where it is no
    longer as ``seen``.
    """
    actor.require_manager()
    actor.require_branch(branch_id)
    name = clean_name(name, field="name")
    with atomic() as session:
        ledger.lock_for_closing(branch_id)
        before = None
        if drawer_id is None:
            row = Drawer(branch_id=branch_id, name=name, is_active=is_active)
            session.add(row)
        else:
            known = list_drawer_setups(branch_id, drawer_id)
            if not known:
                raise NotFoundError("not_found", N_("There is no such thing in your branches."))
            before = known[0].state
            require_unchanged(before, seen)
            open_id = session.scalar(_open_session(drawer_id))
            if open_id is not None and not is_active:
                raise ConflictError(
                    "drawer_open",
                    N_("This drawer is open. Count and close it first."),
                    field="is_active",
                    ways_out=(count_way(open_id),),
                )
            row = session.get_one(Drawer, drawer_id, populate_existing=True)
            row.name, row.is_active = name, is_active
        session.flush()
        after = {"name": name, "is_active": is_active}
        audit.record("drawer_saved", entity="drawer", entity_id=row.id, actor=actor, before=before, after=after)
        return row.id


def count_way(session_id: int) -> WayOut:
    """The way out that leads to the count of an open drawer."""
    return WayOut("count_drawer", N_("Count the drawer"), {"session_id": session_id})


def _open_by_itself(drawer_id: int, actor: Actor) -> int:
    carried = _left_behind(drawer_id)
    row = insert(DrawerSession).values(
        drawer_id=drawer_id,
        opened_by_id=actor.user_id,
        opened_as="unknown" if carried is None else "carried",
        opening_float_amount=carried,
    )
    free = row.on_conflict_do_nothing(index_elements=["drawer_id"], index_where=text("closed_at IS NULL"))
    session_id = db.session.execute(free.returning(DrawerSession.id)).scalar()
    if session_id is None:  # another desk was faster; closing it again would have to wait for this transaction
        return db.session.execute(_open_session(drawer_id)).scalar_one()
    audit.record(
        "drawer_opened",
        entity="drawer_session",
        entity_id=session_id,
        actor=actor,
        after={"by_itself": True, "float": carried},
    )
    return session_id


def _move(row: DrawerSession, kind: str, amount: int, *, reason: str, branch: Branch, actor: Actor) -> None:
    db.session.add(
        CashMovement(
            drawer_session_id=row.id,
            branch_id=branch.id,
            kind=kind,
            amount=amount,
            reason=reason,
            actor_id=actor.user_id,
        )
    )
    db.session.flush()
    signed = amount if kind == "paid_in" else -amount
    ledger.post(
        "cash_moved",
        branch=branch,
        actor=actor,
        drawer_session_id=row.id,
        posted_on=_day_of(row, branch) if kind == "closing_drop" else None,
        postings=[Posting(Account.CASH, signed), Posting(OTHER_ENDS.get(kind, Account.SAFE), -signed)],
    )
    audit.record(
        "cash_moved",
        entity="drawer_session",
        entity_id=row.id,
        actor=actor,
        after={"kind": kind, "amount": amount},
        reason=reason,
    )


def _post_variance(amount: int | None, row: DrawerSession, branch: Branch, actor: Actor) -> None:
    if amount:
        ledger.post(
            "drawer_counted",
            branch=branch,
            actor=actor,
            drawer_session_id=row.id,
            posted_on=_day_of(row, branch),
            postings=[Posting(Account.CASH, amount), Posting(Account.OVER_SHORT, -amount)],
        )


def _day_of(row: DrawerSession, branch: Branch) -> dt.date:
    """The day whose report shows the session: that of its opening, unless its books are closed."""
    return ledger.first_open_day(branch.id, clock.local_date(row.opened_at, branch.timezone))


def _left_behind(drawer_id: int) -> int | None:
    query = select(DrawerSession.left_amount).where(
        DrawerSession.drawer_id == drawer_id, DrawerSession.closed_at.is_not(None)
    )
    return db.session.scalar(query.order_by(DrawerSession.opened_at.desc(), DrawerSession.id.desc()).limit(1))


def _open_session(drawer_id: int) -> Select[int]:
    return select(DrawerSession.id).where(DrawerSession.drawer_id == drawer_id, DrawerSession.closed_at.is_(None))


def _known_drawer(drawer_id: int, actor: Actor) -> tuple[Drawer, Branch]:
    drawer = db.session.get(Drawer, drawer_id)
    if drawer is None:
        raise NotFoundError("drawer_unknown", N_("There is no such drawer."))
    actor.require_branch(drawer.branch_id)
    return drawer, ledger.lock_against_closing(drawer.branch_id)


def _known_session(session_id: int, actor: Actor) -> tuple[int, Branch]:
    branch_id = _branch_of(session_id, actor)
    return branch_id, ledger.lock_against_closing(branch_id)


def _branch_of(session_id: int, actor: Actor) -> int:
    branch_id = db.session.scalar(
        select(Drawer.branch_id)
        .join(DrawerSession, DrawerSession.drawer_id == Drawer.id)
        .where(DrawerSession.id == session_id)
    )
    if branch_id is None:
        raise NotFoundError("drawer_unknown", N_("There is no such drawer."))
    actor.require_branch(branch_id)
    return branch_id


def _out_of_use() -> ConflictError:
    return ConflictError("drawer_inactive", N_("This drawer is out of use."))


def _require_open(row: DrawerSession) -> None:
    if row.closed_at is not None:
        raise WrongStateError("drawer_closed", N_("This drawer was closed already."))


def _check_count(count: Count | None) -> None:
    if count is None:
        return
    if any(worth < 1 or not 0 <= number <= MOST_NOTES for worth, number in count.notes.items()):
        raise InvalidError("count_invalid", N_("These cannot be so many notes."), field="other_amount")
    if not 0 <= count.other_amount <= BIGGEST_AMOUNT:
        raise InvalidError("count_invalid", N_("This amount is not possible."), field="other_amount")
