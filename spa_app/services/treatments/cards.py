"""The cards themselves: lock one, open one, and say why one cannot be used."""

import datetime as dt
from collections.abc import Iterable

from sqlalchemy import ARRAY, BigInteger, bindparam, func, select

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError
from spa_app.extensions import db
from spa_app.models import Branch, CustomerTreatment, Service
from spa_app.services.actor import Actor
from spa_app.services.treatments.history import Entry, append_entries
from spa_app.services.treatments.ways_out import EXTEND, OTHER_CARD, PAY_VISIT, UNFREEZE, sell_plan_way

_CARDS = (
    select(CustomerTreatment)
    .where(CustomerTreatment.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))
    .order_by(CustomerTreatment.id)
    .execution_options(populate_existing=True)
)


def lock_cards(treatment_ids: Iterable[int]) -> dict[int, CustomerTreatment]:
    """Lock cards by id in ascending order, and return them fresh. Ids that do not exist are missing from the result."""
    ids = sorted(set(treatment_ids))
    if not ids:
        return {}
    return {card.id: card for card in db.session.execute(_CARDS.with_for_update(), {"ids": ids}).scalars()}


def open_card(
    *,
    customer_id: int,
    branch: Branch,
    service_id: int | None,
    sessions: int,
    deferred_amount: int,
    expiry_date: dt.date,
    actor: Actor,
    plan_id: int | None = None,
    invoice_line_id: int | None = None,
    import_ref: str | None = None,
    reason: str = "",
) -> int:
    """Open a card with ``sessions`` free ones, and return its id. The caller posts ``deferred_amount`` (no VAT in it).

    A card brought in from elsewhere opens with the sessions that are left, since those used have no visit here.
    """
    card = CustomerTreatment(
        customer_id=customer_id,
        branch_id=branch.id,
        service_id=service_id,
        plan_id=plan_id,
        invoice_line_id=invoice_line_id,
        import_ref=import_ref,
        total_sessions=sessions,
        used_sessions=0,
        held_sessions=0,
        expired_sessions=0,
        deferred_amount=deferred_amount,
        recognised_amount=0,
        expired_amount=0,
        expiry_date=expiry_date,
        status="expired" if expiry_date < clock.today(branch.timezone) else "active",
    )
    db.session.add(card)
    db.session.flush()
    append_entries(card, [Entry("purchase", sessions)], actor=actor, reason=reason)
    return card.id


def check_usable(
    card: CustomerTreatment | None,
    *,
    customer_id: int,
    service_id: int,
    visit_on: dt.date,
    field: str,
) -> CustomerTreatment:
    """The card, if it can give a session to this customer's visit on the local date ``visit_on``.

    Raises :class:`InvalidError` at ``field``, with one message and ways out for each rule (1-product, *Bookings*).
    """
    if card is None:
        raise InvalidError("card_unknown", N_("There is no such card."), field=field, ways_out=(OTHER_CARD, PAY_VISIT))
    ways_out = (OTHER_CARD, PAY_VISIT, sell_plan_way(customer_id))
    if card.customer_id != customer_id:
        raise InvalidError(
            "card_of_other",
            N_("Card %(card)s belongs to another customer."),
            field=field,
            ways_out=ways_out,
            card=label(card),
        )
    if card.service_id not in (None, service_id):
        wanted = db.session.execute(select(Service.name).where(Service.id == service_id)).scalar()
        raise InvalidError(
            "card_wrong_service",
            N_("Card %(card)s does not cover %(service)s."),
            field=field,
            ways_out=ways_out,
            card=label(card),
            service=wanted,
        )
    refuse_stopped(card, field=field)
    if card.expiry_date < visit_on:
        raise InvalidError(
            "card_expired",
            N_("Card %(card)s is valid to %(date)s, which is before this visit."),
            field=field,
            ways_out=(EXTEND, PAY_VISIT, sell_plan_way(customer_id)),
            card=label(card),
            date=card.expiry_date,
        )
    return card


def cancel_unused_card(card: CustomerTreatment, *, actor: Actor, reason: str) -> None:
    """Take back a card of which nothing was used, because its sale is being voided; the caller reverses the ledger.

    Raises :class:`ConflictError` when sessions were used, reserved or expired.
    """
    if card.free_sessions != card.total_sessions:
        raise ConflictError(
            "card_in_use",
            N_("Sessions of card %(card)s are used or reserved: the sale can no longer be voided."),
            card=label(card),
        )
    value = card.deferred_amount
    card.cancelled_at = clock.now()
    card.deferred_amount = 0
    append_entries(card, [Entry("refund", -card.total_sessions, value)], actor=actor, reason=reason)


def refuse_stopped(
    card: CustomerTreatment, *, field: str, kind: type[InvalidError | ConflictError] = InvalidError
) -> None:
    if card.cancelled_at is not None:
        raise kind(
            "card_cancelled",
            N_("Card %(card)s is cancelled."),
            field=field,
            ways_out=(OTHER_CARD, PAY_VISIT, sell_plan_way(card.customer_id)),
            card=label(card),
        )
    if card.frozen_on is not None:
        raise kind(
            "card_frozen",
            N_("Card %(card)s has been frozen since %(date)s."),
            field=field,
            ways_out=(UNFREEZE, OTHER_CARD, PAY_VISIT),
            card=label(card),
            date=card.frozen_on,
        )


def label(card: CustomerTreatment) -> str:
    service = card.service_id and db.session.get_one(Service, card.service_id).name
    return f"#{card.id} {service}" if service else f"#{card.id}"
