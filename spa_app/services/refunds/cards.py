"""Giving back what is left of a card: as store credit, as money, or toward another plan. Rules: 1-product, *Money*.

Locks: the card → the invoice that sold it → the customer → the promotion that it holds → the invoice counter.
"""

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError
from spa_app.extensions import db
from spa_app.models import (
    Branch,
    Customer,
    CustomerTreatment,
    Invoice,
    InvoiceLine,
    JournalEntry,
    Plan,
    Service,
    TreatmentEntry,
)
from spa_app.models.refund import BASES, Refund, work_out
from spa_app.money import Money
from spa_app.queries.refunds import get_refund_facts
from spa_app.services import audit, ledger, promotions, treatments
from spa_app.services.actor import Actor
from spa_app.services.billing import count_credit, lock_customer, lock_invoice, next_number, sell_plan, settle_due
from spa_app.services.ledger import Account, Posting
from spa_app.services.payments import REFERENCE_LENGTH, take_payment
from spa_app.services.refunds.paying_out import pay_out
from spa_app.services.refunds.withdrawing import take_credit_back
from spa_app.services.texts import clean_text, required_reason
from spa_app.services.transaction import atomic

PAY_BY = ("store_credit", "cash", "bank_transfer")
SURCHARGE = N_("Used sessions at the list price")
FEE = N_("Refund fee")


def refund_card(
    treatment_id: int,
    *,
    basis: str,
    fee_amount: int,
    pay_by: str,
    shown_amount: int | None,
    reason: str,
    actor: Actor,
    reference: str = "",
) -> int:
    """Give back what the free sessions of a card are worth, and return its id. A manager's act.

    ``basis`` and ``fee_amount`` (minor units) are as in :func:`work_out`; ``pay_by`` is one of :data:`PAY_BY`.
    ``shown_amount`` is what the customer was told that they get: another sum is refused (:class:`ConflictError`).
    Raises :class:`WrongStateError` unless the card is active, :class:`ConflictError` while sessions are reserved or
    none is free, :class:`InvalidError` at the field.
    """
    with atomic():
        reason = required_reason(reason)
        reference = clean_text(reference, field="reference", limit=REFERENCE_LENGTH, lines=False)
        if pay_by not in PAY_BY:
            raise InvalidError("method_unknown", N_("Choose how the money goes back."), field="pay_by")
        if pay_by == "bank_transfer" and not reference:
            raise InvalidError("reference_missing", N_("A transfer needs a reference."), field="reference")
        card = treatments.lock_card(treatment_id, actor=actor)
        note, refund = _refund(card, basis, fee_amount, shown_amount, reason=reason, actor=actor)
        if note is not None and refund.rest_amount and pay_by != "store_credit":
            pay_out(note, refund.rest_amount, pay_by, reference=reference, actor=actor)
        return card.id


def exchange_card(
    treatment_id: int,
    *,
    plan_id: int,
    branch_id: int,
    fee_amount: int,
    shown_amount: int | None,
    reason: str,
    actor: Actor,
) -> int:
    """Take a card back pro rata and sell its customer another plan, and return the new sale's invoice id.

    What the card is worth pays for the new plan; what exceeds that is store credit, what is missing is to be paid. A
    manager's act. Raises what :func:`refund_card` and :func:`sell_plan` raise.
    """
    with atomic() as session:
        reason = required_reason(reason)
        card = treatments.lock_card(treatment_id, actor=actor)
        _, refund = _refund(card, "pro_rata", fee_amount, shown_amount, reason=reason, actor=actor)
        invoice_id = sell_plan(customer_id=card.customer_id, plan_id=plan_id, branch_id=branch_id, actor=actor)
        price = session.get_one(Invoice, invoice_id).total_amount
        if paid := min(refund.rest_amount, price):
            take_payment(invoice_id, method="store_credit", amount=paid, actor=actor)
        return invoice_id


def withdraw_refund(treatment_id: int, *, reason: str, actor: Actor) -> int:
    """Take the latest refund of a card back while its credit is still there, and return the card's id.

    A manager's act: the sessions are on the card again, and its credit note is void. Raises :class:`ConflictError`
    where there is no refund to withdraw, its money was handed out, or its credit was spent.
    """
    with atomic() as session:
        reason = required_reason(reason)
        actor.require_manager()
        card = treatments.lock_card(treatment_id, actor=actor)
        entry = treatments.find_refund(card)
        posted = session.execute(
            select(JournalEntry).where(
                JournalEntry.treatment_entry_id == (entry.id if entry else None), JournalEntry.event == "card_refunded"
            )
        ).scalar()
        if entry is not None and not entry.value_amount:
            _reopen(card, entry, note_id=None, credit=0, reason=reason, actor=actor)
            return card.id
        if entry is None or posted is None or posted.invoice_id is None:
            raise ConflictError(
                "no_refund", N_("There is no refund of card %(card)s to take back."), card=treatments.label(card)
            )
        sale = _lock_sale(card, actor=actor)
        note = lock_invoice(posted.invoice_id, actor=actor)
        credit = take_credit_back(
            note, sale, entry_id=posted.id, ways_out=(treatments.sell_plan_way(card.customer_id),), actor=actor
        )
        _reopen(card, entry, note_id=note.id, credit=credit, reason=reason, actor=actor)
        return card.id


def _reopen(
    card: CustomerTreatment, refund: TreatmentEntry, *, note_id: int | None, credit: int, reason: str, actor: Actor
) -> None:
    treatments.withdraw_refund_entry(card, refund, actor=actor, reason=reason)
    audit.record(
        "refund_withdrawn",
        entity="treatment",
        entity_id=card.id,
        actor=actor,
        after={"credit_note_id": note_id, "sessions": -refund.sessions, "store_credit": -credit},
        reason=reason,
    )


def _refund(
    card: CustomerTreatment, basis: str, fee_amount: int, shown_amount: int | None, *, reason: str, actor: Actor
) -> tuple[Invoice | None, Refund]:
    """Turn what is left of a locked card into store credit; the credit note is None where it was worth nothing."""
    actor.require_manager()
    treatments.require_refundable(card)
    if basis not in BASES:
        raise InvalidError("basis_unknown", N_("Choose how the used sessions count."), field="basis")
    sale = _lock_sale(card, actor=actor)
    facts = get_refund_facts(card)
    if basis == "list_price" and facts.list_price is None:
        raise InvalidError("no_list_price", N_("A card for any service has no list price."), field="basis")
    refund = work_out(facts, basis=basis, fee_amount=fee_amount)
    if refund.fee_amount < fee_amount:
        raise InvalidError(
            "fee_too_high",
            N_("The fee cannot exceed what is left: %(left)s."),
            field="fee_amount",
            left=Money(refund.gross_amount - refund.surcharge_amount),
        )
    if shown_amount is not None and shown_amount != refund.rest_amount:
        raise ConflictError(
            "refund_changed",
            N_("The sums have changed meanwhile: %(rest)s comes back now. Look at them again."),
            rest=Money(refund.rest_amount),
        )
    sessions = card.free_sessions
    entry_id = treatments.take_back_rest(card, actor=actor, reason=reason)
    note = None
    if refund.gross_amount:
        note = _credit(card, sale, refund, entry_id, rate=facts.vat_rate_bp, reason=reason, actor=actor)
        if sale is not None and refund.due_part:
            branch = db.session.get_one(Branch, sale.branch_id)
            settle_due(sale, refund.due_part, note=note, branch=branch, actor=actor)
        if sale is not None:
            count_credit(sale, refund.credit_amount)
    audit.record(
        "card_refunded",
        entity="treatment",
        entity_id=card.id,
        actor=actor,
        after={
            "credit_note_id": note.id if note else None,
            "sessions": sessions,
            "basis": basis,
            "gross": refund.gross_amount,
            "surcharge": refund.surcharge_amount,
            "fee": refund.fee_amount,
            "settles": refund.due_part,
            "comes_back": refund.rest_amount,
        },
        reason=reason,
    )
    return note, refund


def _lock_sale(card: CustomerTreatment, *, actor: Actor) -> Invoice | None:
    """Lock the invoice that sold a card; an imported one has none."""
    sale_id = db.session.scalar(select(InvoiceLine.invoice_id).where(InvoiceLine.id == card.invoice_line_id))
    return lock_invoice(sale_id, actor=actor) if sale_id is not None else None


def _credit(
    card: CustomerTreatment,
    sale: Invoice | None,
    refund: Refund,
    entry_id: int,
    *,
    rate: int,
    reason: str,
    actor: Actor,
) -> Invoice:
    branch = db.session.get_one(Branch, card.branch_id)
    customer = lock_customer(card.customer_id)
    if sale is not None and sale.credited_amount + refund.credit_amount == sale.total_amount:
        promotions.release(sale.id)
    lines = [
        ("plan", _name(card), -refund.gross_amount, -refund.vat_amount, rate),
        ("fee", SURCHARGE, refund.surcharge_amount, refund.surcharge_vat, rate),
        ("fee", FEE, refund.fee_amount, 0, 0),
    ]
    kept = [line for line in lines if line[2]]
    vat = sum(line[3] for line in kept)
    note = Invoice(
        branch_id=branch.id,
        customer_id=card.customer_id,
        kind="credit_note",
        number=next_number(branch),
        status="paid",
        total_amount=-refund.credit_amount,
        vat_amount=vat,
        paid_amount=0,
        corrects_id=sale.id if sale else None,
        treatment_id=card.id,
        reason=reason,
        issued_at=clock.now(),
        created_by_id=actor.user_id,
    )
    customer.credit_amount = Customer.credit_amount + refund.credit_amount
    db.session.add(note)
    db.session.flush()
    db.session.add_all(
        InvoiceLine(
            invoice_id=note.id,
            position=position,
            kind=kind,
            description=description,
            quantity=-1 if kind == "plan" else 1,
            amount=amount,
            vat_amount=line_vat,
            vat_rate_bp=line_rate,
            plan_id=card.plan_id if kind == "plan" else None,
        )
        for position, (kind, description, amount, line_vat, line_rate) in enumerate(kept, start=1)
    )
    db.session.flush()
    ledger.post(
        "card_refunded",
        branch=branch,
        actor=actor,
        invoice_id=note.id,
        treatment_entry_id=entry_id,
        postings=[
            Posting(Account.DEFERRED_REVENUE, refund.owed_amount, treatment_id=card.id),
            Posting(Account.VAT, -vat),
            Posting(Account.FEE_REVENUE, -(refund.surcharge_amount - refund.surcharge_vat + refund.fee_amount)),
            Posting(Account.STORE_CREDIT, -refund.credit_amount, customer_id=card.customer_id),
        ],
    )
    return note


def _name(card: CustomerTreatment) -> str:
    """What the credit note's line is called: the plan, else the service, as they are called today."""
    plan = db.session.get(Plan, card.plan_id) if card.plan_id else None
    service = db.session.get(Service, card.service_id) if card.service_id else None
    return plan.name if plan else service.name if service else f"#{card.id}"
