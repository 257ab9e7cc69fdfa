"""Store credit that a credit note gave, handed out as money: the only place that writes payouts."""

from spa_app.extensions import db
from spa_app.models import Branch, Customer, Invoice, Payout
from spa_app.services import audit, drawers, gift_cards, ledger
from spa_app.services.actor import Actor
from spa_app.services.billing import lock_customer
from spa_app.services.ledger import METHOD_ACCOUNTS, Account, Posting


def pay_out(
    note: Invoice, amount: int, method: str, *, actor: Actor, reference: str = "", payment_id: int | None = None
) -> None:
    """Hand out ``amount`` minor units of what a credit note has just given; ``payment_id`` is what goes back by it.

    Locks the customer, and a gift card onto which it goes. The database refuses more than the note gives, and more than
    the payment brought.
    """
    branch = db.session.get_one(Branch, note.branch_id)
    drawer_session_id = drawers.session_for_cash(note.branch_id, actor) if method == "cash" else None
    customer = lock_customer(note.customer_id)
    customer.credit_amount = Customer.credit_amount - amount
    db.session.flush()
    if method == "gift_card" and payment_id is not None:
        goes_to = gift_cards.put_back(payment_id, amount=amount, reason=note.reason, actor=actor)
    else:
        goes_to = Posting(METHOD_ACCOUNTS[method], -amount)
    entry_id = ledger.post(
        "credit_paid_out",
        branch=branch,
        actor=actor,
        invoice_id=note.id,
        postings=[
            Posting(Account.STORE_CREDIT, amount, customer_id=note.customer_id),
            goes_to,
        ],
    )
    db.session.add(
        Payout(
            invoice_id=note.id,
            branch_id=note.branch_id,
            method=method,
            amount=amount,
            reference=reference,
            drawer_session_id=drawer_session_id,
            actor_id=actor.user_id,
            payment_id=payment_id,
            entry_id=entry_id,
        )
    )
    db.session.flush()
    audit.record(
        "credit_paid_out",
        entity="invoice",
        entity_id=note.id,
        actor=actor,
        after={"method": method, "amount": amount, "reference": reference},
    )
