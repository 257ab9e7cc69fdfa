"""Giving back what is left of a card: as store credit, as money, or toward another plan. Rules: 1-product, *Money*.

What comes back is always credited first, by a credit note; from there it settles what is still to be paid on the sale,
is handed out, or pays for the other plan. So never more comes back than was paid. Locks: the card → the invoice that
sold it → the customer → the invoice counter.
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
    Payout,
    Plan,
    Service,
    TreatmentEntry,
)
from spa_app.models.refund import BASES, Refund, work_out
from spa_app.money import Money
from spa_app.queries.refunds import get_refund_facts
from spa_app.services import audit, drawers, ledger, treatments
from spa_app.services.actor import Actor
from spa_app.services.billing import lock_customer, lock_invoice, next_number, sell_plan
from spa_app.services.ledger import METHOD_ACCOUNTS, Account, Posting
from spa_app.services.payments import REFERENCE_LENGTH, take_payment
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
            _pay_out(note, refund.rest_amount, pay_by, reference, actor=actor)
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
        note = lock_invoice(posted.invoice_id, actor=actor)
        customer = lock_customer(note.customer_id)
        if session.scalar(select(Payout.id).where(Payout.invoice_id == note.id)):
            raise ConflictError(
                "refund_paid_out",
                N_("The money of refund %(number)s was handed out, so it cannot be taken back."),
                ways_out=(treatments.sell_plan_way(card.customer_id),),
                number=note.number,
            )
        credit = -note.total_amount
        if customer.credit_amount < credit:
            raise ConflictError(
                "refund_spent",
                N_("Of the credit of refund %(number)s, %(spent)s is spent, so it cannot be taken back."),
                ways_out=(treatments.sell_plan_way(card.customer_id),),
                number=note.number,
                spent=Money(credit - customer.credit_amount),
            )
        customer.credit_amount = Customer.credit_amount - credit
        note.status = "void"
        note.voided_at = clock.now()
        branch = session.get_one(Branch, card.branch_id)
        ledger.reverse("refund_withdrawn", entry_id=posted.id, branch=branch, actor=actor, invoice_id=note.id)
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
    sale_id = db.session.scalar(select(InvoiceLine.invoice_id).where(InvoiceLine.id == card.invoice_line_id))
    if sale_id is not None:
        lock_invoice(sale_id, actor=actor)
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
        note = _credit(card, sale_id, refund, entry_id, rate=facts.vat_rate_bp, reason=reason, actor=actor)
        if sale_id is not None and refund.due_part:
            take_payment(sale_id, method="store_credit", amount=refund.due_part, actor=actor)
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


def _credit(
    card: CustomerTreatment, sale_id: int | None, refund: Refund, entry_id: int, *, rate: int, reason: str, actor: Actor
) -> Invoice:
    branch = db.session.get_one(Branch, card.branch_id)
    customer = lock_customer(card.customer_id)
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
        corrects_id=sale_id,
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


def _pay_out(note: Invoice, amount: int, method: str, reference: str, *, actor: Actor) -> None:
    """Hand out store credit that a credit note has just given, as money."""
    branch = db.session.get_one(Branch, note.branch_id)
    customer = lock_customer(note.customer_id)
    customer.credit_amount = Customer.credit_amount - amount
    db.session.add(
        Payout(
            invoice_id=note.id,
            branch_id=note.branch_id,
            method=method,
            amount=amount,
            reference=reference,
            drawer_session_id=drawers.session_for_cash(note.branch_id, actor) if method == "cash" else None,
            actor_id=actor.user_id,
        )
    )
    db.session.flush()
    ledger.post(
        "credit_paid_out",
        branch=branch,
        actor=actor,
        invoice_id=note.id,
        postings=[
            Posting(Account.STORE_CREDIT, amount, customer_id=note.customer_id),
            Posting(METHOD_ACCOUNTS[method], -amount),
        ],
    )
    audit.record(
        "credit_paid_out",
        entity="invoice",
        entity_id=note.id,
        actor=actor,
        after={"method": method, "amount": amount, "reference": reference},
    )


def _name(card: CustomerTreatment) -> str:
    """What the credit note's line is called: the plan, else the service, as they are called today."""
    plan = db.session.get(Plan, card.plan_id) if card.plan_id else None
    service = db.session.get(Service, card.service_id) if card.service_id else None
    return plan.name if plan else service.name if service else f"#{card.id}"
