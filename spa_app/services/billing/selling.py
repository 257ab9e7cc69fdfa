"""What brings an invoice about: a completed visit, a fee by policy, a plan that is sold."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from spa_app import clock
from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.models import Branch, Customer, Plan, PlanItem, Service, valid_through
from spa_app.money import split
from spa_app.services import audit, ledger, treatments
from spa_app.services.actor import Actor
from spa_app.services.billing.issuing import Line, credit_lines, issue
from spa_app.services.ledger import Account, Posting
from spa_app.services.transaction import atomic


def invoice_visit(*, branch: Branch, customer_id: int, booking_id: int, lines: Sequence[Line], actor: Actor) -> int:
    """Issue the invoice of a completed visit for what its cards do not cover, and return its id.

    The caller holds the booking's lock. Raises :class:`ConflictError` when the visit has a live invoice already.
    """
    invoice, rows = issue(branch=branch, customer_id=customer_id, booking_id=booking_id, lines=lines, actor=actor)
    ledger.post(
        "visit_invoiced",
        branch=branch,
        actor=actor,
        invoice_id=invoice.id,
        postings=[Posting(Account.RECEIVABLE, invoice.total_amount), *credit_lines(rows)],
    )
    return invoice.id


def charge_fee(
    *, branch: Branch, customer_id: int, booking_id: int, description: str, amount: int, actor: Actor
) -> int:
    """Issue the invoice of what a policy takes for a visit that does not take place, and return its id.

    ``amount`` is in minor units and holds no VAT: the fee makes good a loss, nothing is supplied for it.
    ``description`` is a msgid, translated where it is shown. The caller holds the booking's lock. Raises
    :class:`ConflictError` when the visit has a live invoice already.
    """
    invoice, _ = issue(
        branch=branch,
        customer_id=customer_id,
        booking_id=booking_id,
        lines=[Line("fee", description, amount, 0)],
        actor=actor,
    )
    ledger.post(
        "fee_charged",
        branch=branch,
        actor=actor,
        invoice_id=invoice.id,
        postings=[Posting(Account.RECEIVABLE, amount), Posting(Account.FEE_REVENUE, -amount)],
    )
    audit.record(
        "fee_charged",
        entity="invoice",
        entity_id=invoice.id,
        actor=actor,
        after={"booking_id": booking_id, "amount": amount},
    )
    return invoice.id


def sell_plan(*, customer_id: int, plan_id: int, branch_id: int, actor: Actor) -> int:
    """Sell a plan: one invoice, and a card for each service in it, its value shared by list price.

    Returns the invoice's id.
    Raises :class:`NotFoundError` for an unknown customer, :class:`InvalidError` for a plan that is not for sale.
    """
    with atomic() as session:
        actor.require_branch(branch_id)
        branch = session.get_one(Branch, branch_id)
        if session.get(Customer, customer_id) is None:
            raise NotFoundError("customer_unknown", N_("There is no such customer."))
        plan = session.get(Plan, plan_id)
        if plan is None or not plan.is_active:
            raise InvalidError("plan_unknown", N_("This package is not for sale."), field="plan_id")
        items = session.execute(
            select(
                PlanItem.service_id,
                (PlanItem.sessions + PlanItem.bonus_sessions).label("sessions"),
                Service.price_amount,
            )
            .outerjoin(Service, Service.id == PlanItem.service_id)
            .where(PlanItem.plan_id == plan.id)
            .order_by(PlanItem.id)
        ).all()
        if not items:
            raise InvalidError("plan_empty", N_("This package holds no sessions yet."), field="plan_id")
        invoice, [sold] = issue(
            branch=branch,
            customer_id=customer_id,
            lines=[Line("plan", plan.name, plan.price_amount, plan.vat_rate_bp, plan_id=plan.id)],
            actor=actor,
        )
        # A session of "any service" has no list price; it weighs as much as the dearest priced one in the plan.
        dearest = max((item.price_amount or 0 for item in items), default=0) or 1
        shares = split(
            invoice.total_amount - invoice.vat_amount,
            [item.sessions * (dearest if item.price_amount is None else item.price_amount) for item in items],
        )
        today = clock.today(branch.timezone)
        # The card keeps what it was sold with: the plan may change or be retired.
        validity: dict[str, Any] = (
            {"expiry_date": None, "validity_days": plan.validity_days, "validity_months": plan.validity_months}
            if plan.from_first_visit
            else {"expiry_date": valid_through(today, plan.validity_days, plan.validity_months)}
        )
        cards = [
            treatments.open_card(
                customer_id=customer_id,
                branch=branch,
                service_id=item.service_id,
                plan_id=plan.id,
                invoice_line_id=sold.id,
                sessions=item.sessions,
                deferred_amount=share,
                actor=actor,
                **validity,
            )
            for item, share in zip(items, shares, strict=True)
        ]
        ledger.post(
            "plan_sold",
            branch=branch,
            actor=actor,
            invoice_id=invoice.id,
            postings=[
                Posting(Account.RECEIVABLE, invoice.total_amount),
                *(
                    Posting(Account.DEFERRED_REVENUE, -share, treatment_id=card_id)
                    for card_id, share in zip(cards, shares, strict=True)
                ),
                Posting(Account.VAT, -invoice.vat_amount),
            ],
        )
        audit.record(
            "plan_sold",
            entity="invoice",
            entity_id=invoice.id,
            actor=actor,
            after={"plan_id": plan.id, "cards": cards, "amount": invoice.total_amount},
        )
        return invoice.id
