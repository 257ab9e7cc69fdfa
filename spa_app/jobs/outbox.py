"""Sending what transactions have left in the outbox."""

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Retry

from spa_app.integrations.messages import send
from spa_app.jobs.schedule import QUEUE
from spa_app.services import outbox

log = structlog.get_logger()
RETRY = Retry(max=3, interval=[10, 60, 300])


def deliver(message_id: int) -> bool:
    """Send one message of the outbox; one that is done already is left alone."""
    return outbox.deliver(message_id, send)


def sweep() -> int:
    """Send what was committed but never handed over (Redis was away), and return how many that were.

    One that cannot be sent stays for the next sweep, and does not keep back those behind it.
    """
    return sum(_try_to_deliver(message_id) for message_id in outbox.list_undone())


def hand_over_through(redis_url: str) -> None:
    """Have committed messages enqueued at once. Redis being away loses nothing: the sweep finds them."""
    queue = Queue(QUEUE, connection=Redis.from_url(redis_url, socket_connect_timeout=0.5, socket_timeout=0.5))

    def hand_over(message_id: int) -> None:
        try:
            queue.enqueue(deliver, message_id, retry=RETRY, result_ttl=60)
        except RedisError as error:
            log.warning("outbox_not_handed_over", message_id=message_id, error=str(error))

    outbox.set_hand_over(hand_over)


def _try_to_deliver(message_id: int) -> bool:
    try:
        return deliver(message_id)
    except Exception:
        log.exception("outbox_not_delivered", message_id=message_id)
        return False
