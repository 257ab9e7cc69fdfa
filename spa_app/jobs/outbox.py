"""Sending what transactions have left in the outbox."""

from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue

from spa_app.integrations import messages
from spa_app.jobs import mails
from spa_app.jobs.schedule import QUEUE
from spa_app.services import outbox

log = structlog.get_logger()


def deliver(message_id: int) -> bool:
    """Send one message of the outbox; one that is done, or not due, is left alone.

    One that cannot be sent comes up again when it is due, in a sweep; whether Redis or the worker dies does not matter.
    """
    try:
        return outbox.deliver(message_id, send)
    except Exception as error:
        log.warning("outbox_not_delivered", message_id=message_id, error=str(error))
        return False


def send(kind: str, payload: dict[str, Any]) -> None:
    """Send what is a mail as a mail, and the rest as a message."""
    if kind == "paper_mailed":
        mails.send_paper(payload)
    else:
        messages.send(kind, payload)


def sweep() -> int:
    """Send what was never handed over (Redis was away) and what is due again, and return how many those were.

    One that cannot be sent does not keep back those behind it.
    """
    return sum(deliver(message_id) for message_id in outbox.list_undone())


def hand_over_through(redis_url: str) -> None:
    """Have committed messages enqueued at once. Redis being away loses nothing: the sweep finds them."""
    queue = Queue(QUEUE, connection=Redis.from_url(redis_url, socket_connect_timeout=0.5, socket_timeout=0.5))

    def hand_over(message_id: int) -> None:
        try:
            queue.enqueue(deliver, message_id, result_ttl=60)
        except RedisError as error:
            log.warning("outbox_not_handed_over", message_id=message_id, error=str(error))

    outbox.set_hand_over(hand_over)
