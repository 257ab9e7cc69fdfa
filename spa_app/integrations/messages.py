"""Messages to customers. No gateway is connected yet: the recording twin writes each to the log."""

from typing import Any

import structlog

log = structlog.get_logger()


def send(kind: str, payload: dict[str, Any]) -> None:
    """Send one message of the outbox. ``kind`` and ``payload`` are those of its row."""
    log.info("message_recorded", kind=kind, **payload)
