"""What is to happen outside once a transaction has committed: a row written in it, handed to the worker after it."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import insert, or_, select, update

from spa_app import clock
from spa_app.errors import UndeliverableError
from spa_app.extensions import db
from spa_app.models import OutboxMessage
from spa_app.services.transaction import atomic, on_commit

Deliver = Callable[[str, dict[str, Any]], None]
# How long after a failed attempt the next one comes; after the last of them none does.
BACK_OFF = tuple(dt.timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360))
CLAIMED_FOR = dt.timedelta(minutes=5)  # longer than any attempt takes, time-outs of the network included
ERROR_LENGTH = 300
_hand_over: list[Callable[[int], object]] = []


def set_hand_over(hand_over: Callable[[int], object]) -> None:
    """Say who takes a message's id once it is committed (the job queue). What is not handed over is swept up later."""
    _hand_over[:] = [hand_over]


def add(kind: str, payload: dict[str, Any]) -> None:
    """Write a message in the caller's transaction, to be handed over after its commit."""
    message_id = db.session.execute(
        insert(OutboxMessage).returning(OutboxMessage.id), {"kind": kind, "payload": payload}
    ).scalar_one()
    for hand_over in _hand_over:
        on_commit(partial(hand_over, message_id))


def deliver(message_id: int, send: Deliver) -> bool:
    """Send one message through ``send(kind, payload)`` and mark it done. Returns whether it was this call that sent it.

    The message is claimed in a transaction of its own, so nothing is locked while ``send`` waits on the network; one
    that another worker is at, that is not due, or that is done, is left alone. If ``send`` raises, so does this: the
    message stays undone, and is due again after a while (:data:`BACK_OFF`). It is given up after the last attempt, and
    at once for :class:`UndeliverableError`. It is sent at least once, and twice only if the process dies between
    sending and committing.
    """
    message = _claim(message_id)
    if message is None:
        return False
    kind, payload, attempts = message
    try:
        send(kind, payload)
    except Exception as error:
        final = isinstance(error, UndeliverableError) or attempts > len(BACK_OFF)
        _mark(
            message_id,
            error=(str(error) or type(error).__name__)[:ERROR_LENGTH],
            failed_at=clock.now() if final else None,
            due_at=None if final else clock.now() + BACK_OFF[attempts - 1],
        )
        raise
    _mark(message_id, done_at=clock.now(), error="", due_at=None)
    return True


def list_undone(limit: int = 500) -> list[int]:
    """The ids of messages that are due and not yet sent, oldest first."""
    query = select(OutboxMessage.id).where(_is_due()).order_by(OutboxMessage.id).limit(limit)
    return list(db.session.execute(query).scalars())


def _is_due() -> Any:
    waiting = OutboxMessage.done_at.is_(None) & OutboxMessage.failed_at.is_(None)
    return waiting & or_(OutboxMessage.due_at.is_(None), OutboxMessage.due_at <= clock.now())


def _claim(message_id: int) -> tuple[str, dict[str, Any], int] | None:
    with atomic() as session:
        message = session.execute(
            select(OutboxMessage).where(OutboxMessage.id == message_id, _is_due()).with_for_update(skip_locked=True)
        ).scalar()
        if message is None:
            return None
        message.attempts += 1
        message.due_at = clock.now() + CLAIMED_FOR
        return message.kind, message.payload, message.attempts


def _mark(message_id: int, **values: Any) -> None:
    with atomic() as session:
        session.execute(update(OutboxMessage).where(OutboxMessage.id == message_id).values(values))
