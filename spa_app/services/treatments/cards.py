"""The cards themselves: lock one, open one, and say why one cannot be used."""

import datetime as dt
from collections.abc import Iterable

from sqlalchemy import ARRAY, BigInteger, bindparam, func, select

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, Word, WrongStateError
from spa_app.extensions import db
from spa_app.models import Branch, CustomerTreatment, PlanBranch, Service, TreatmentShare, derive_status
from spa_app.money import split
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.treatments.history import Entry, append_entries, append_operation
from spa_app.services.treatments.ways_out import (
    OTHER_CARD,
    PAY_VISIT,
    extend_way,
    sell_plan_way,
    share_way,
    unfreeze_way,
)

STATUS_WORDS = {
    "active": N_("active"),
    "completed": N_("used up"),
    "expired": N_("expired"),
    "frozen": N_("frozen"),
    "cancelled": N_("cancelled"),
}

USED_BEFORE = "Used before the import"

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


def lock_card(treatment_id: int, *, actor: Actor) -> CustomerTreatment:
    """Lock one card and return it fresh. Raises :class:`NotFoundError` for one of another branch or none."""
    card = lock_cards([treatment_id]).get(treatment_id)
    if card is None:
        raise NotFoundError("card_unknown", N_("There is no such card."))
    actor.require_branch(card.branch_id)
    return card


def open_card(
    *,
    customer_id: int,
    branch: Branch,
    service_id: int | None,
    sessions: int,
    deferred_amount: int,
    expiry_date: dt.date | None,
    actor: Actor,
    validity_days: int | None = None,
    validity_months: int | None = None,
    branch_ids: list[int] | None = None,
    plan_id: int | None = None,
    invoice_line_id: int | None = None,
    import_ref: str | None = None,
    reason: str = "",
    used_sessions: int = 0,
    used_amount: int = 0,
) -> int:
    """Open a card of ``sessions``, and return its id. The caller posts ``deferred_amount`` (no VAT in it).

    One without an ``expiry_date`` is valid for so many days or months from its first visit on. Of a card brought in
    from elsewhere, ``used_sessions`` were punched there: they are in its history without a visit, and what they were
    worth (``used_amount`` of ``deferred_amount``) is neither owed nor posted here. One of a plan keeps the branches
    that this is limited to (else ``branch_ids``); raises :class:`InvalidError` where ``branch`` is none of them.
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
        validity_days=validity_days,
        validity_months=validity_months,
        branch_ids=_branches_of_plan(plan_id, branch) if plan_id else branch_ids,
        status="active",
    )
    db.session.add(card)
    db.session.flush()
    append_entries(card, [Entry("purchase", sessions)], actor=actor, reason=reason)
    if used_sessions:
        punches = [Entry("punch", -1, value) for value in split(used_amount, [1] * used_sessions)]
        append_entries(card, punches, actor=actor, reason=USED_BEFORE)
    return card.id


def _branches_of_plan(plan_id: int, branch: Branch) -> list[int] | None:
    query = select(PlanBranch.branch_id).where(PlanBranch.plan_id == plan_id).order_by(PlanBranch.branch_id)
    limited = list(db.session.execute(query).scalars())
    if limited and branch.id not in limited:
        raise InvalidError(
            "plan_elsewhere",
            N_("This package is only sold in %(branches)s."),
            field="plan_id",
            branches=_branch_names(limited),
        )
    return limited or None


def _branch_names(branch_ids: Iterable[int]) -> str:
    query = select(Branch.name).where(Branch.id.in_(branch_ids)).order_by(Branch.name)
    return ", ".join(db.session.execute(query).scalars())


def find_share(card: CustomerTreatment, customer_id: int) -> TreatmentShare | None:
    """What of the card is shared with a customer at present, if anything."""
    query = select(TreatmentShare).where(
        TreatmentShare.treatment_id == card.id,
        TreatmentShare.customer_id == customer_id,
        TreatmentShare.ended_by_id.is_(None),
    )
    return db.session.execute(query).scalar()


def _was_shared(card: CustomerTreatment, customer_id: int) -> bool:
    query = select(TreatmentShare.id).where(
        TreatmentShare.treatment_id == card.id, TreatmentShare.customer_id == customer_id
    )
    return db.session.execute(query.limit(1)).first() is not None


def check_usable(
    card: CustomerTreatment | None,
    *,
    customer_id: int,
    service_id: int,
    branch_id: int,
    visit_on: dt.date,
    field: str,
    kind: type[InvalidError | ConflictError] = InvalidError,
) -> CustomerTreatment:
    """The card, if it can give a session to this customer's visit to the branch on its local date ``visit_on``.

    Raises ``kind`` at ``field``, with one message and ways out for each rule (1-product, *Bookings*): a conflict where
    the card was right when the visit was booked.
    """
    if card is None:
        raise kind("card_unknown", N_("There is no such card."), field=field, ways_out=(OTHER_CARD, PAY_VISIT))
    ways_out = (OTHER_CARD, PAY_VISIT, sell_plan_way(customer_id))
    if card.customer_id != customer_id and find_share(card, customer_id) is None:
        if _was_shared(card, customer_id):
            raise kind(
                "card_unshared",
                N_("Card %(card)s is no longer shared with this customer."),
                field=field,
                ways_out=(*ways_out, share_way(card)),
                card=label(card),
            )
        raise kind(
            "card_of_other",
            N_("Card %(card)s belongs to another customer."),
            field=field,
            ways_out=ways_out,
            card=label(card),
        )
    if card.service_id not in (None, service_id):
        wanted = db.session.execute(select(Service.name).where(Service.id == service_id)).scalar()
        raise kind(
            "card_wrong_service",
            N_("Card %(card)s does not cover %(service)s."),
            field=field,
            ways_out=ways_out,
            card=label(card),
            service=wanted,
        )
    if card.branch_ids is not None and not card.is_good_in(branch_id):
        raise kind(
            "card_wrong_branch",
            N_("Card %(card)s is only good in %(branches)s."),
            field=field,
            ways_out=ways_out,
            card=label(card),
            branches=_branch_names(card.branch_ids),
        )
    refuse_stopped(card, field=field, kind=kind)
    if card.expiry_date is not None and card.expiry_date < visit_on:
        raise kind(
            "card_expired",
            N_("Card %(card)s is valid to %(date)s, which is before this visit."),
            field=field,
            ways_out=(extend_way(card), *ways_out),
            card=label(card),
            date=card.expiry_date,
        )
    return card


def cancel_unused_card(card: CustomerTreatment, *, actor: Actor, reason: str) -> None:
    """Take back a card of which nothing was used, because its sale is being voided; the caller reverses the ledger.

    Raises :class:`ConflictError` when sessions were used, reserved or expired.
    """
    if card.free_sessions != card.total_sessions or card.cancelled_at is not None:
        raise ConflictError(
            "card_in_use",
            N_("Sessions of card %(card)s are used or reserved: the sale can no longer be voided."),
            card=label(card),
        )
    card.cancelled_at = clock.now()
    append_operation(card, Entry("refund", -card.total_sessions, card.deferred_amount), actor=actor, reason=reason)


def resell_card(card: CustomerTreatment, *, invoice_line_id: int, sold_for: int, sells_for: int, actor: Actor) -> None:
    """Have a card go on as sold by another line, for ``sells_for`` instead of ``sold_for`` (no VAT in either).

    Its history stays. The caller holds the card locked, and moves the ledger. Raises :class:`ConflictError` for another
    price once sessions were used, expired, transferred or refunded: what they were worth is in the books already.
    """
    by = sells_for - sold_for
    gone = card.used_sessions + card.expired_sessions
    if by and (gone or card.deferred_amount != sold_for or card.cancelled_at is not None):
        raise ConflictError(
            "card_price_fixed",
            N_("Sessions of card %(card)s are used already, so its price stays. Leave its discount as it was."),
            field="discount",
            card=label(card),
        )
    before = {"invoice_line_id": card.invoice_line_id, "deferred_amount": card.deferred_amount}
    card.invoice_line_id = invoice_line_id
    card.deferred_amount += by
    db.session.flush()
    audit.record(
        "card_resold",
        entity="treatment",
        entity_id=card.id,
        actor=actor,
        before=before,
        after={"invoice_line_id": invoice_line_id, "deferred_amount": card.deferred_amount},
    )


def require_card_status(card: CustomerTreatment, *allowed: str) -> None:
    """Raise :class:`WrongStateError`, naming the present status, unless it is one of ``allowed``.

    The status is what the facts give on the present day of the card's branch, even before the nightly run.
    """
    status = derive_status(card, local_today(card))
    if status not in allowed:
        ways = {"frozen": (unfreeze_way(card),), "expired": (extend_way(card),)}
        raise WrongStateError(
            "card_status",
            N_("Card %(card)s is %(status)s, so that is not possible. Nothing was changed."),
            ways_out=ways.get(status, ()),
            card=label(card),
            status=Word(STATUS_WORDS[status]),
        )


def local_today(card: CustomerTreatment) -> dt.date:
    """The present date by the clocks of the card's branch."""
    return clock.today(db.session.get_one(Branch, card.branch_id).timezone)


def refuse_stopped(
    card: CustomerTreatment, *, field: str, kind: type[InvalidError | ConflictError] = InvalidError
) -> None:
    """Raise ``kind`` at ``field``, with ways out, for a card that is cancelled or frozen."""
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
            ways_out=(unfreeze_way(card), OTHER_CARD, PAY_VISIT, sell_plan_way(card.customer_id)),
            card=label(card),
            date=card.frozen_on,
        )


def label(card: CustomerTreatment) -> str:
    """How a refusal calls the card: its number and its service."""
    service = card.service_id and db.session.get_one(Service, card.service_id).name
    return f"#{card.id} {service}" if service else f"#{card.id}"
