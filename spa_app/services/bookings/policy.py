"""What becomes of the sessions of a visit that does not take place, what its branch takes, and who may waive it."""

from spa_app.errors import N_, InvalidError, NotAllowedError
from spa_app.models import Booking, Branch
from spa_app.models.policy import NOTHING, Policy, Taking
from spa_app.money import Money
from spa_app.services import audit, billing, treatments
from spa_app.services.actor import Actor
from spa_app.services.bookings.visit import list_items, lock_cards_of
from spa_app.services.texts import REASON_LENGTH, clean_text

LATE_CANCEL_FEE = N_("Late cancellation fee")
NO_SHOW_FEE = N_("No-show fee")


def give_up(
    booking: Booking,
    policy: Policy,
    *,
    branch: Branch,
    fee: str,
    reason: str,
    waive_reason: str | None,
    actor: Actor,
) -> Taking:
    """Do what a policy says with a visit that does not take place, and return what it took.

    Reserved sessions go back, or are forfeited; a fee is invoiced under the name ``fee``. A ``waive_reason`` (None: not
    waived) sets the policy aside, which is audited. The caller holds the booking locked; locks its cards by id, then
    the invoice counter. Raises :class:`InvalidError` at ``waive_reason``, :class:`NotAllowedError` above the branch's
    limit.
    """
    items = list_items(booking.id)
    taking = policy.takes((item.price_amount, item.treatment_id is not None) for item in items)
    if taking and waive_reason is not None:
        _waive(booking, taking, branch=branch, reason=waive_reason, actor=actor)
        taking = NOTHING
    for item, card in lock_cards_of(items):
        if taking.kind == "forfeit":
            treatments.forfeit_session(card, item_id=item.id, branch=branch, actor=actor, reason=reason)
        else:
            treatments.release_hold(card, item_id=item.id, actor=actor, reason=reason)
    if taking.kind == "fee":
        billing.charge_fee(
            branch=branch,
            customer_id=booking.customer_id,
            booking_id=booking.id,
            description=fee,
            amount=taking.amount,
            actor=actor,
        )
    return taking


def _waive(booking: Booking, taking: Taking, *, branch: Branch, reason: str, actor: Actor) -> None:
    reason = clean_text(reason, field="waive_reason", limit=REASON_LENGTH)
    if not reason:
        raise InvalidError("waive_reason_missing", N_("Say why it is waived, in a few words."), field="waive_reason")
    if taking.amount > branch.waiver_limit_amount and not actor.is_manager:
        raise NotAllowedError(
            "waiver_above_limit",
            N_("This is worth %(amount)s: more than %(limit)s only a manager can waive. Nothing was changed."),
            field="waive",
            amount=Money(taking.amount),
            limit=Money(branch.waiver_limit_amount),
        )
    audit.record(
        "policy_waived",
        entity="booking",
        entity_id=booking.id,
        actor=actor,
        after={"policy": taking.kind, "amount": taking.amount, "sessions": taking.sessions},
        reason=reason,
    )
