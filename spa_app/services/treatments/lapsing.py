"""What is not used by a card's last day."""

import datetime as dt

from sqlalchemy import ARRAY, BigInteger, and_, bindparam, case, func, or_, select, update

from spa_app import clock
from spa_app.extensions import db
from spa_app.models import Branch, CustomerTreatment
from spa_app.services import ledger
from spa_app.services.actor import Actor
from spa_app.services.ledger import Account
from spa_app.services.treatments.history import Entry, insert_entries, recognition, worth


def expire_due_batch(*, branch: Branch, on: dt.date, limit: int, actor: Actor) -> list[tuple[int, int, int]]:
    """Expire what is free on up to ``limit`` cards of a branch whose last day lies before the local date ``on``.

    Sessions reserved by a visit stay: it may have taken place in time and be completed late. Locks the cards by id,
    waiting for a desk that holds one. Returns (card id, sessions expired, amount that became breakage revenue) for each
    card that was due; an empty list when none is left. Written in bulk: a night can bring ten thousand cards. Posted on
    ``on``, or on the first day after it whose books are still open.

    A card of which nothing is free only has its status brought along, by the present date: ``on`` may lie ahead.
    """
    today = clock.today(branch.timezone)
    due = db.session.execute(
        select(CustomerTreatment)
        .where(
            CustomerTreatment.branch_id == branch.id,
            CustomerTreatment.expiry_date < on,
            CustomerTreatment.cancelled_at.is_(None),
            CustomerTreatment.frozen_on.is_(None),
            or_(
                CustomerTreatment.free_sessions > 0,
                and_(CustomerTreatment.status == "active", CustomerTreatment.expiry_date < today),
            ),
        )
        .order_by(CustomerTreatment.id)
        .limit(limit)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalars()
    done = [(card, card.free_sessions, worth(card, card.free_sessions)) for card in due]
    expiring = [(card, sessions, value) for card, sessions, value in done if sessions]
    if expiring:
        entry_ids = insert_entries(
            [card.id for card, _, _ in expiring],
            [Entry("expire", -sessions, value) for _, sessions, value in expiring],
            item_id=None,
            actor=actor,
            reason="",
        )
        ledger.post_many(
            "sessions_expired",
            branch=branch,
            actor=actor,
            posted_on=ledger.first_open_day(branch.id, on),
            entries=[
                (entry_id, recognition(card, value, Account.BREAKAGE_REVENUE))
                for entry_id, (card, _, value) in zip(entry_ids, expiring, strict=True)
            ],
        )
    if done:
        changes = (
            func.unnest(
                bindparam("ids", [card.id for card, _, _ in done], ARRAY(BigInteger)),
                bindparam("sessions", [sessions for _, sessions, _ in done], ARRAY(BigInteger)),
                bindparam("amounts", [value for _, _, value in done], ARRAY(BigInteger)),
            )
            .table_valued("id", "sessions", "amount")
            .render_derived(name="change")
        )
        db.session.execute(
            update(CustomerTreatment)
            .where(CustomerTreatment.id == changes.c.id)
            .values(
                expired_sessions=CustomerTreatment.expired_sessions + changes.c.sessions,
                expired_amount=CustomerTreatment.expired_amount + changes.c.amount,
                status=case(
                    (CustomerTreatment.used_sessions == CustomerTreatment.total_sessions, "completed"), else_="expired"
                ),
            ),
            execution_options={"synchronize_session": False},
        )
    return [(card.id, sessions, value) for card, sessions, value in done]
