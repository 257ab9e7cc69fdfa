"""Payments for issued invoices: the only place that writes them. Rules: 1-product, *Money*."""

from spa_app.errors import N_, ConflictError, InvalidError, WayOut, Word, WrongStateError
from spa_app.models import PAYMENT_METHODS, Branch, Customer, Payment
from spa_app.money import Money
from spa_app.services import audit, deposits, gift_cards, ledger
from spa_app.services.actor import Actor
from spa_app.services.billing import STATUS_WORDS, lock_customer, lock_invoice
from spa_app.services.ledger import METHOD_ACCOUNTS, Account, Posting
from spa_app.services.texts import clean_text
from spa_app.services.transaction import atomic

REFERENCE_LENGTH = 100


def take_payment(
    invoice_id: int,
    *,
    method: str,
    amount: int | None,
    actor: Actor,
    reference: str = "",
    tendered_amount: int | None = None,
    gift_card_code: str = "",
) -> int:
    """Take ``amount`` minor units for an invoice and return the payment's id.

    Locks the invoice, then the gift card, the deposits or the customer whose credit pays. ``amount=None`` takes what
    is left. ``tendered_amount`` is the cash handed over; the change is what exceeds ``amount``. ``gift_card_code``
    names the card that pays, as typed. Raises :class:`InvalidError` at the field for an unknown method, a missing
    reference, a code that is none or an amount below one, :class:`WrongStateError` when nothing is to be paid, and
    :class:`ConflictError` for more than is left to pay, or than the gift card, deposits or store credit hold.
    """
    reference = clean_text(reference, field="reference", limit=REFERENCE_LENGTH, lines=False)
    with atomic() as session:
        invoice = lock_invoice(invoice_id, actor=actor)
        if amount is None and invoice.due_amount > 0:
            amount = invoice.due_amount
        _check_payment(method=method, amount=amount, reference=reference, tendered_amount=tendered_amount)
        if amount is None or invoice.due_amount < 1:
            raise WrongStateError(
                "not_payable",
                N_("Invoice %(number)s is %(status)s: nothing is left to pay."),
                number=invoice.number,
                status=Word(STATUS_WORDS[invoice.status]),
            )
        if amount > invoice.due_amount:
            raise ConflictError(
                "overpaid",
                N_("Only %(due)s is left to pay. Give change for cash; nothing was taken."),
                field="amount",
                ways_out=(WayOut("pay_due", N_("Take what is left"), {"invoice_id": invoice.id}),),
                due=Money(invoice.due_amount),
            )
        branch = session.get_one(Branch, invoice.branch_id)
        card = gift_cards.lock_for_payment(gift_card_code, amount) if method == "gift_card" else None
        if method == "store_credit":
            _spend_credit(invoice.customer_id, amount)
        used = deposits.use_deposits(invoice, amount) if method == "deposit" else []
        payment = Payment(
            invoice_id=invoice.id,
            branch_id=invoice.branch_id,
            method=method,
            amount=amount,
            tendered_amount=tendered_amount or amount,
            reference=gift_cards.label(card) if card else reference,
            actor_id=actor.user_id,
        )
        session.add(payment)
        invoice.paid_amount += amount
        invoice.status = "paid" if invoice.paid_amount == invoice.total_amount else "partly_paid"
        session.flush()
        if card:
            gift_cards.redeem(card, payment_id=payment.id, amount=amount, actor=actor)
        deposits.record_use(used, payment)
        account = METHOD_ACCOUNTS[method]
        named = [Posting(account, part, deposit_id=deposit_id) for deposit_id, part in used]
        credit_of = invoice.customer_id if method == "store_credit" else None
        ledger.post(
            "payment_taken",
            branch=branch,
            actor=actor,
            invoice_id=invoice.id,
            payment_id=payment.id,
            postings=[
                *(named or [Posting(account, amount, customer_id=credit_of, gift_card_id=card.id if card else None)]),
                Posting(Account.RECEIVABLE, -amount),
            ],
        )
        audit.record(
            "payment_taken",
            entity="invoice",
            entity_id=invoice.id,
            actor=actor,
            after={"method": method, "amount": amount, "status": invoice.status},
        )
        return payment.id


def _check_payment(*, method: str, amount: int | None, reference: str, tendered_amount: int | None) -> None:
    if method not in PAYMENT_METHODS:
        raise InvalidError("method_unknown", N_("Choose how the customer pays."), field="method")
    if amount is not None and amount < 1:
        raise InvalidError("amount_not_positive", N_("The amount must be more than zero."), field="amount")
    if method in ("card", "bank_transfer") and not reference:
        raise InvalidError("reference_missing", N_("Card and transfer need a reference."), field="reference")
    if tendered_amount is not None and (method != "cash" or tendered_amount < (amount or 0)):
        raise InvalidError(
            "tendered_too_small", N_("The cash handed over does not cover the amount."), field="tendered_amount"
        )


def _spend_credit(customer_id: int, amount: int) -> None:
    customer = lock_customer(customer_id)
    if customer.credit_amount < amount:
        raise ConflictError(
            "no_credit",
            N_("The store credit is %(credit)s: choose another way for the rest."),
            field="amount",
            credit=Money(customer.credit_amount),
        )
    # By the database's own arithmetic: so the constraint holds even for one who read it too early.
    customer.credit_amount = Customer.credit_amount - amount
