"""Deposits: taken for a visit, used at its checkout, given back otherwise. Rules: 1-product, *Money*.

A deposit is owed to the customer of its visit until then. Locks: the booking or the invoice → the deposits by id → the
customer.
"""

from sqlalchemy import select

from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut, WrongStateError
from spa_app.extensions import db
from spa_app.models import MONEY_METHODS, Booking, Branch, Customer, Deposit, DepositEntry, Invoice, Payment
from spa_app.money import Money
from spa_app.queries.deposits import usable_deposits
from spa_app.services import audit, drawers, ledger
from spa_app.services.actor import Actor
from spa_app.services.billing import lock_customer
from spa_app.services.bookings.visit import lock_booking
from spa_app.services.ledger import METHOD_ACCOUNTS, Account, Posting
from spa_app.services.texts import clean_text, required_reason
from spa_app.services.transaction import atomic

REFERENCE_LENGTH = 100
LIVE = ("pending", "confirmed", "in_progress")


def take_deposit(booking_id: int, *, method: str, amount: int, actor: Actor, reference: str = "") -> int:
    """Take ``amount`` minor units for a visit that lies ahead or is under way, and return the deposit's id.

    Locks the booking. Raises :class:`InvalidError` at the field for an unknown method, a missing reference or an amount
    below one, and :class:`WrongStateError` once the visit is over (pay its invoice instead).
    """
    reference = _reference(method, reference, field="reference")
    if amount < 1:
        raise InvalidError("amount_not_positive", N_("The amount must be more than zero."), field="amount")
    with atomic() as session:
        booking = lock_booking(booking_id, actor=actor)
        if booking.status not in LIVE:
            raise WrongStateError(
                "visit_over", N_("This visit is over: a deposit is taken before it, its invoice is paid after it.")
            )
        deposit = Deposit(
            booking_id=booking.id,
            branch_id=booking.branch_id,
            method=method,
            amount=amount,
            balance_amount=amount,
            reference=reference,
            drawer_session_id=drawers.session_for_cash(booking.branch_id, actor) if method == "cash" else None,
            actor_id=actor.user_id,
        )
        session.add(deposit)
        session.flush()
        session.add(DepositEntry(deposit_id=deposit.id, kind="taken", amount=amount, actor_id=actor.user_id))
        session.flush()
        ledger.post(
            "deposit_taken",
            branch=session.get_one(Branch, booking.branch_id),
            actor=actor,
            postings=[
                Posting(METHOD_ACCOUNTS[method], amount),
                Posting(Account.DEPOSITS, -amount, deposit_id=deposit.id),
            ],
        )
        audit.record(
            "deposit_taken",
            entity="deposit",
            entity_id=deposit.id,
            actor=actor,
            after={"booking_id": booking.id, "method": method, "amount": amount},
        )
        return deposit.id


def use_deposits(invoice: Invoice, amount: int) -> list[tuple[int, int]]:
    """Take ``amount`` minor units off the deposits that may pay an invoice: (deposit's id, its part) of each used.

    The caller holds the invoice's lock, and tells with which payment it was (:func:`record_use`). Locks the deposits by
    id; the oldest is used first. Raises :class:`ConflictError` at ``amount`` where they do not cover it.
    """
    query = (
        select(Deposit)
        .where(Deposit.id.in_(usable_deposits(invoice.booking_id, invoice.customer_id)))
        .order_by(Deposit.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    deposits = db.session.execute(query).scalars().all()
    there = sum(deposit.balance_amount for deposit in deposits)
    if there < amount:
        raise ConflictError(
            "no_deposit",
            N_("The deposit is %(there)s: choose another way for the rest."),
            field="amount",
            there=Money(there),
        )
    used: list[tuple[int, int]] = []
    for deposit in deposits:
        part = min(deposit.balance_amount, amount - sum(one for _, one in used))
        if part:
            # By the database's own arithmetic: so the constraint holds even for one who read it too early.
            deposit.balance_amount = Deposit.balance_amount - part
            used.append((deposit.id, part))
    return used


def record_use(used: list[tuple[int, int]], payment: Payment) -> None:
    """Write down which payment used parts of deposits."""
    db.session.add_all(
        DepositEntry(deposit_id=deposit_id, kind="used", amount=-part, payment_id=payment.id, actor_id=payment.actor_id)
        for deposit_id, part in used
    )
    db.session.flush()


def return_deposit(
    deposit_id: int, *, method: str, reason: str, actor: Actor, amount: int | None = None, reference: str = ""
) -> int:
    """Give a deposit back (all that is left, unless told otherwise), and return its id.

    ``method`` is how: as money, which is a manager's act, or as the customer's store credit. Locks the deposit, for
    store credit the customer too. Raises :class:`InvalidError` at the field, :class:`ConflictError` for more than is
    left or nothing at all, :class:`NotAllowedError`.
    """
    reason = required_reason(reason)
    with atomic() as session:
        deposit = session.execute(
            select(Deposit).where(Deposit.id == deposit_id).with_for_update().execution_options(populate_existing=True)
        ).scalar()
        if deposit is None:
            raise NotFoundError("deposit_unknown", N_("There is no such deposit."))
        actor.require_branch(deposit.branch_id)
        if method != "store_credit":
            actor.require_manager()
            reference = _reference(method, reference, field="reference")
        amount = deposit.balance_amount if amount is None else amount
        if deposit.balance_amount == 0:
            raise ConflictError("deposit_used", N_("Nothing is left of this deposit."))
        if not 1 <= amount <= deposit.balance_amount:
            raise ConflictError(
                "deposit_too_small",
                N_("%(there)s is left of this deposit."),
                field="amount",
                ways_out=(WayOut("open_booking", N_("Open the visit"), {"booking_id": deposit.booking_id}),),
                there=Money(deposit.balance_amount),
            )
        deposit.balance_amount = Deposit.balance_amount - amount
        session.add(
            DepositEntry(
                deposit_id=deposit.id,
                kind="returned",
                amount=-amount,
                method=method,
                reference=reference,
                reason=reason,
                drawer_session_id=drawers.session_for_cash(deposit.branch_id, actor) if method == "cash" else None,
                actor_id=actor.user_id,
            )
        )
        customer_id = None
        if method == "store_credit":
            customer_id = session.execute(
                select(Booking.customer_id).where(Booking.id == deposit.booking_id)
            ).scalar_one()
            customer = lock_customer(customer_id)
            customer.credit_amount = Customer.credit_amount + amount
        session.flush()
        ledger.post(
            "deposit_returned",
            branch=session.get_one(Branch, deposit.branch_id),
            actor=actor,
            postings=[
                Posting(Account.DEPOSITS, amount, deposit_id=deposit.id),
                Posting(METHOD_ACCOUNTS[method], -amount, customer_id=customer_id),
            ],
        )
        audit.record(
            "deposit_returned",
            entity="deposit",
            entity_id=deposit.id,
            actor=actor,
            after={"method": method, "amount": amount},
            reason=reason,
        )
        return deposit.id


def _reference(method: str, reference: str, *, field: str) -> str:
    if method not in MONEY_METHODS:
        raise InvalidError("method_unknown", N_("Choose how the customer pays."), field="method")
    reference = clean_text(reference, field=field, limit=REFERENCE_LENGTH, lines=False)
    if method in ("card", "bank_transfer") and not reference:
        raise InvalidError("reference_missing", N_("Card and transfer need a reference."), field=field)
    return "" if method == "cash" else reference
