"""The night's work."""

import structlog

from spa_app.services import expiry, idempotency

log = structlog.get_logger()


def expire_due_treatments() -> int:
    """Expire what is due in every branch, and return how many cards that were. Enqueued by the clock, day and night."""
    runs = expiry.expire_due()
    for run in runs:
        if run.cards:
            log.info(
                "treatments_expired",
                branch=run.branch_name,
                on=run.on.isoformat(),
                cards=run.cards,
                sessions=run.sessions,
                amount=run.amount,
            )
    return sum(run.cards for run in runs)


def expire_due_gift_cards() -> int:
    """Expire what is due on gift cards in every branch, and return how many those were. Enqueued as for treatments."""
    runs = expiry.expire_due_gift_cards()
    for run in runs:
        if run.cards:
            log.info(
                "gift_cards_expired", branch=run.branch_name, on=run.on.isoformat(), cards=run.cards, amount=run.amount
            )
    return sum(run.cards for run in runs)


def forget_old_forms() -> int:
    """Forget the idempotency keys that nobody will send again, and return how many those were."""
    return idempotency.forget_old()
