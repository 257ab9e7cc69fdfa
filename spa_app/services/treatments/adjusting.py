"""Sessions that a manager adds to a card or takes off it, and sessions that move to another customer's card."""

from sqlalchemy import select

from spa_app.errors import N_, ConflictError, InvalidError, WayOut
from spa_app.extensions import db
from spa_app.models import Branch, Customer, CustomerTreatment, Invoice, InvoiceLine
from spa_app.money import Money
from spa_app.services import audit, ledger
from spa_app.services.actor import Actor
from spa_app.services.ledger import Account, Posting
from spa_app.services.texts import required_reason
from spa_app.services.transaction import atomic
from spa_app.services.treatments.cards import label, lock_card, lock_cards, require_card_status
from spa_app.services.treatments.history import Entry, append_operation, worth
from spa_app.services.treatments.ways_out import refund_way

MOST_SESSIONS = 1000


def adjust_card(treatment_id: int, *, sessions: int, reason: str, actor: Actor) -> int:
    """Add free sessions to a card, or (negative) take some off, and return its id. A manager's act; locks the card.

    No money moves: added sessions bring no value of their own but share what is left, and those taken off leave theirs
    to the rest. So the opposite adjustment is the way back. Raises :class:`ConflictError` for more than are free, and
    for the last ones that value hangs on (refund them), :class:`WrongStateError` unless active or used up.
    """
    with atomic():
        reason = required_reason(reason)
        actor.require_manager()
        card = lock_card(treatment_id, actor=actor)
        require_card_status(card, "active", "completed")
        if sessions == 0:
            raise InvalidError("sessions_missing", N_("Choose at least one session."), field="sessions")
        if card.total_sessions + sessions > MOST_SESSIONS:
            raise InvalidError(
                "sessions_out_of_range",
                N_("A card can hold up to %(most)s sessions."),
                field="sessions",
                most=MOST_SESSIONS,
            )
        _require_free(card, -sessions)
        if card.used_sessions + card.expired_sessions == card.total_sessions + sessions and card.owed_amount:
            raise ConflictError(
                "value_would_remain",
                N_("These are the last sessions of card %(card)s, and %(owed)s is owed on them: refund them instead."),
                field="sessions",
                ways_out=(refund_way(card),),
                card=label(card),
                owed=Money(card.owed_amount),
            )
        before = card.total_sessions
        append_operation(card, Entry("adjust", sessions), actor=actor, reason=reason)
        audit.record(
            "card_adjusted",
            entity="treatment",
            entity_id=card.id,
            actor=actor,
            before={"total_sessions": before},
            after={"total_sessions": card.total_sessions},
            reason=reason,
        )
        return card.id


def transfer_sessions(
    treatment_id: int, *, customer_id: int, reason: str, actor: Actor, sessions: int | None = None
) -> int:
    """Give free sessions of a card (all, unless told how many) to another customer, and return that customer's card.

    Their value and price lot go along: the card is a new one with the same expiry, or the very card they once came
    from, when they go back. Locks both cards by id. Raises :class:`InvalidError` at the field,
    :class:`WrongStateError` unless active, :class:`ConflictError` for more than are free or a card not yet paid for.
    """
    with atomic() as session:
        reason = required_reason(reason)
        origin_id = session.scalar(select(CustomerTreatment.origin_id).where(CustomerTreatment.id == treatment_id))
        cards = lock_cards(one for one in (treatment_id, origin_id) if one)
        card = lock_card(treatment_id, actor=actor)
        require_card_status(card, "active")
        if session.get(Customer, customer_id) is None:
            raise InvalidError("customer_unknown", N_("Choose a customer."), field="customer_id")
        if customer_id == card.customer_id:
            raise InvalidError("own_card", N_("This is the card's own customer."), field="customer_id")
        _require_paid(card)
        sessions = card.free_sessions if sessions is None else sessions
        if sessions < 1:
            raise InvalidError("sessions_missing", N_("Choose at least one session."), field="sessions")
        _require_free(card, sessions)
        value = worth(card, sessions)
        origin = cards.get(origin_id) if origin_id else None
        goes_back = origin is not None and origin.customer_id == customer_id and origin.cancelled_at is None
        target = origin if origin is not None and goes_back else _twin(card, customer_id)
        out_id = append_operation(card, Entry("transfer_out", -sessions, value), actor=actor, reason=reason)
        arrived = Entry("transfer_in", sessions, -value, counterpart_id=out_id)
        append_operation(target, arrived, actor=actor, reason=reason)
        ledger.post(
            "sessions_transferred",
            branch=session.get_one(Branch, card.branch_id),
            actor=actor,
            treatment_entry_id=out_id,
            postings=[
                Posting(Account.DEFERRED_REVENUE, value, treatment_id=card.id),
                Posting(Account.DEFERRED_REVENUE, -value, treatment_id=target.id),
            ],
        )
        facts = {"from": card.id, "to": target.id, "sessions": sessions, "amount": value}
        for one in (card, target):
            audit.record(
                "sessions_transferred", entity="treatment", entity_id=one.id, actor=actor, after=facts, reason=reason
            )
        return target.id


def _twin(card: CustomerTreatment, customer_id: int) -> CustomerTreatment:
    """An empty card of the same kind, price lot, branches and validity for another customer."""
    waits = card.expiry_date is None
    twin = CustomerTreatment(
        customer_id=customer_id,
        branch_id=card.branch_id,
        service_id=card.service_id,
        plan_id=card.plan_id,
        invoice_line_id=card.invoice_line_id,
        origin_id=card.id,
        total_sessions=0,
        used_sessions=0,
        held_sessions=0,
        expired_sessions=0,
        deferred_amount=0,
        recognised_amount=0,
        expired_amount=0,
        branch_ids=card.branch_ids,
        expiry_date=card.expiry_date,
        # A validity that has begun goes on, and does not begin anew with the other customer's first visit.
        validity_days=card.validity_days if waits else None,
        validity_months=card.validity_months if waits else None,
        status="active",
    )
    db.session.add(twin)
    db.session.flush()
    return twin


def _require_free(card: CustomerTreatment, sessions: int) -> None:
    if sessions > card.free_sessions:
        raise ConflictError(
            "too_few_free",
            N_("Only %(free)s sessions of card %(card)s are free."),
            field="sessions",
            free=card.free_sessions,
            card=label(card),
        )


def _require_paid(card: CustomerTreatment) -> None:
    invoice = db.session.execute(
        select(Invoice).join(InvoiceLine).where(InvoiceLine.id == card.invoice_line_id)
    ).scalar()
    if invoice is not None and invoice.due_amount:
        raise ConflictError(
            "card_unpaid",
            N_("%(due)s of invoice %(number)s, which sold card %(card)s, is still to be paid: take it first."),
            ways_out=(WayOut("pay_due", N_("Take what is left"), {"invoice_id": invoice.id}),),
            due=Money(invoice.due_amount),
            number=invoice.number,
            card=label(card),
        )
