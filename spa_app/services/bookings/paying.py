"""How a service of a visit is paid: by a card or by the customer, and otherwise when its card can no longer pay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, DomainError, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import Booking, BookingItem, Branch, CustomerTreatment, InvoiceLine
from spa_app.services import audit, billing, holds, treatments
from spa_app.services.actor import Actor
from spa_app.services.bookings.visit import list_resource_ids


@dataclass(frozen=True)
class Settlement:
    """How a service is paid whose card gave out.

    ``how`` is ``desk`` (the customer pays), ``card`` or ``plan`` (another card, or a package sold now: ``target_id``),
    or what makes its own card good again: ``extend`` and ``unfreeze``.
    """

    how: str
    target_id: int | None = None


def pay_by(booking: Booking, item: BookingItem, treatment_id: int | None, *, branch: Branch, actor: Actor) -> None:
    """Let a card pay for an item from now on, or (None) the customer: the old card's hold goes back, the new one's is
    taken.

    The caller holds the booking's lock. Locks the cards by id. Raises :class:`InvalidError` at ``treatment_id``.
    """
    old_id = item.treatment_id
    if treatment_id:
        holds.end_lapsed_of(booking.customer_id)
    cards = treatments.lock_cards(one for one in (old_id, treatment_id) if one)
    if treatment_id:
        treatments.check_usable(
            cards.get(treatment_id),
            customer_id=booking.customer_id,
            service_id=item.service_id,
            branch_id=branch.id,
            visit_on=clock.local_date(item.starts_at, branch.timezone),
            field="treatment_id",
        )
    is_held = old_id is not None and treatments.is_held(item.id)
    if old_id == treatment_id and (is_held or not old_id):
        return
    if old_id and is_held:
        treatments.release_hold(cards[old_id], item_id=item.id, actor=actor, reason="paid otherwise")
    item.treatment_id = treatment_id
    db.session.flush()
    if treatment_id:
        treatments.hold_session(
            cards[treatment_id], item_id=item.id, customer_id=booking.customer_id, actor=actor, field="treatment_id"
        )


def settle(
    booking: Booking,
    items: Sequence[BookingItem],
    settlements: Mapping[int, Settlement],
    *,
    branch: Branch,
    reason: str,
    actor: Actor,
) -> None:
    """Have the services of a visit, by their ids, paid as ``settlements`` say.

    The caller holds the booking's lock. Locks all cards by id before a package is sold, which locks the invoice
    counter. Raises :class:`NotFoundError` for a service that is not in the visit, and at the item's field what selling,
    extending, unfreezing or the card itself refuses.
    """
    known = {item.id: item for item in items}
    if not settlements.keys() <= known.keys():
        raise NotFoundError("item_unknown", N_("This service is no longer part of the visit."))
    if any(one.how == "card" for one in settlements.values()):
        holds.end_lapsed_of(booking.customer_id)
    others = [one.target_id for one in settlements.values() if one.how == "card"]
    treatments.lock_cards(one for one in (*(item.treatment_id for item in items), *others) if one)
    for item_id, settlement in sorted(settlements.items()):
        item = known[item_id]
        try:
            _settle(booking, item, settlement, branch=branch, reason=reason, actor=actor)
        except DomainError as error:
            error.field = payment_field(item)
            raise


def payment_field(item: BookingItem) -> str:
    """How a refusal calls the field that says how an item is paid."""
    return f"items-{item.position - 1}-treatment_id"


def item_facts(item: BookingItem) -> dict[str, Any]:
    """What the audit log keeps of an item."""
    return {
        "item_id": item.id,
        "service_id": item.service_id,
        "staff_id": item.staff_id,
        "resource_ids": sorted(list_resource_ids(item)),
        "treatment_id": item.treatment_id,
        "starts_at": item.starts_at.isoformat(),
        "ends_at": item.ends_at.isoformat(),
        "cancelled": item.cancelled_at is not None,
    }


def _settle(
    booking: Booking, item: BookingItem, settlement: Settlement, *, branch: Branch, reason: str, actor: Actor
) -> None:
    before = item_facts(item)
    match settlement.how, settlement.target_id, item.treatment_id:
        case "desk", None, _:
            pay_by(booking, item, None, branch=branch, actor=actor)
        case "card", int(card_id), _:
            pay_by(booking, item, card_id, branch=branch, actor=actor)
        case "plan", int(plan_id), _:
            invoice_id = billing.sell_plan(
                customer_id=booking.customer_id, plan_id=plan_id, branch_id=branch.id, actor=actor
            )
            pay_by(booking, item, _card_sold(invoice_id, item.service_id), branch=branch, actor=actor)
        case "extend", None, int(card_id):
            visit_on = clock.local_date(item.starts_at, branch.timezone)
            treatments.lengthen_card(card_id, visit_on=visit_on, reason=reason, actor=actor)
        case "unfreeze", None, int(card_id):
            treatments.unfreeze_card(card_id, reason=reason, actor=actor)
        case _:
            raise InvalidError("settlement_unknown", N_("Choose how this service is paid."), field="treatment_id")
    if item.treatment_id != before["treatment_id"]:
        audit.record(
            "booking_item_payment_changed",
            entity="booking",
            entity_id=booking.id,
            actor=actor,
            before=before,
            after=item_facts(item),
        )


def _card_sold(invoice_id: int, service_id: int) -> int:
    """The card of a sale that covers a service: its own before one of any service."""
    query = (
        select(CustomerTreatment.id)
        .join(InvoiceLine, InvoiceLine.id == CustomerTreatment.invoice_line_id)
        .where(
            InvoiceLine.invoice_id == invoice_id,
            (CustomerTreatment.service_id == service_id) | CustomerTreatment.service_id.is_(None),
        )
        .order_by(CustomerTreatment.service_id, CustomerTreatment.id)
    )
    card_id = db.session.execute(query.limit(1)).scalar()
    if card_id is None:
        raise InvalidError("plan_wrong_service", N_("This package does not cover the service."), field="treatment_id")
    return card_id
