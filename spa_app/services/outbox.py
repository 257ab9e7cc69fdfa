"""What is to happen outside once a transaction has committed: a row written in it, handed to the worker after it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import insert, select

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import OutboxMessage
from spa_app.services.transaction import atomic, on_commit

Deliver = Callable[[str, dict[str, Any]], None]
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

    Locks the message; one that another worker holds, or that is done, is left alone. If ``send`` raises, the message
    stays undone: it is sent at least once, and twice only if the process dies between sending and committing.
    """
    with atomic() as session:
        message = session.execute(
            select(OutboxMessage)
            .where(OutboxMessage.id == message_id, OutboxMessage.done_at.is_(None))
            .with_for_update(skip_locked=True)
        ).scalar()
        if message is None:
            return False
        send(message.kind, message.payload)
        message.attempts += 1
        message.done_at = clock.now()
        return True


def list_undone(limit: int = 500) -> list[int]:
    """The ids of messages not yet sent, oldest first."""
    query = select(OutboxMessage.id).where(OutboxMessage.done_at.is_(None)).order_by(OutboxMessage.id).limit(limit)
    return list(db.session.execute(query).scalars())
