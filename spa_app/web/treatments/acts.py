"""/treatments/<id>/extend and so on: what a desk does to a card. Each answers with the card's page."""

from collections.abc import Callable
from typing import Any

from flask import url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import ConflictError, InvalidError, NotAllowedError
from spa_app.queries.treatments import list_plans_for_sale
from spa_app.services import refunds, treatments
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.htmx import redirect, refresh, toast
from spa_app.web.navigation import DESK, MANAGERS
from spa_app.web.security import current_actor, roles
from spa_app.web.treatments.card import bp, card_page, enter
from spa_app.web.treatments.forms import (
    AdjustForm,
    DateForm,
    ExchangeForm,
    ReasonForm,
    RefundForm,
    ShareForm,
    TransferForm,
    UnfreezeForm,
)


@bp.post("/<int:treatment_id>/extend")
@roles(*DESK)
def extend(treatment_id: int) -> ResponseReturnValue:
    """Make the card valid to ``expiry_date``: ``reason``."""
    form = DateForm()
    return _act(
        treatment_id,
        "extend",
        form,
        lambda said: treatments.extend_card(treatment_id, expiry_date=form.expiry_date.data, **said),
        _("The card is extended."),
    )


@bp.post("/<int:treatment_id>/freeze")
@roles(*DESK)
def freeze(treatment_id: int) -> ResponseReturnValue:
    """Stop the card's time: ``reason``."""
    form = ReasonForm()
    return _act(
        treatment_id,
        "freeze",
        form,
        lambda said: treatments.freeze_card(treatment_id, **said),
        _("The card is frozen."),
    )


@bp.post("/<int:treatment_id>/unfreeze")
@roles(*DESK)
def unfreeze(treatment_id: int) -> ResponseReturnValue:
    """Let the card's time go on."""
    form = UnfreezeForm()
    return _act(
        treatment_id,
        "unfreeze",
        form,
        lambda said: treatments.unfreeze_card(treatment_id, **said),
        _("The card can be used again."),
    )


@bp.post("/<int:treatment_id>/reactivate")
@roles(*MANAGERS)
def reactivate(treatment_id: int) -> ResponseReturnValue:
    """Bring the expired sessions back, valid to ``expiry_date``: ``reason``."""
    form = DateForm()
    return _act(
        treatment_id,
        "reactivate",
        form,
        lambda said: treatments.reactivate_card(treatment_id, expiry_date=form.expiry_date.data, **said),
        _("The expired sessions are back on the card."),
    )


@bp.post("/<int:treatment_id>/adjust")
@roles(*MANAGERS)
def adjust(treatment_id: int) -> ResponseReturnValue:
    """Add ``sessions``, or take some off with a minus: ``reason``."""
    form = AdjustForm()
    return _act(
        treatment_id,
        "adjust",
        form,
        lambda said: treatments.adjust_card(treatment_id, sessions=form.sessions.data, **said),
        _("The sessions are adjusted."),
    )


@bp.post("/<int:treatment_id>/transfer")
@roles(*DESK)
def transfer(treatment_id: int) -> ResponseReturnValue:
    """Give ``sessions`` (empty: all that are free) to ``customer_id``: ``reason``."""
    form = TransferForm()
    return _act(
        treatment_id,
        "transfer",
        form,
        lambda said: treatments.transfer_sessions(
            treatment_id, customer_id=form.customer_id.data or 0, sessions=form.sessions.data, **said
        ),
        _("The sessions are on this card now."),
    )


@bp.post("/<int:treatment_id>/share")
@roles(*DESK)
def share(treatment_id: int) -> ResponseReturnValue:
    """Let ``customer_id`` book on the card, ``session_limit`` sessions at most (empty: any that is free)."""
    form = ShareForm()
    return _act(
        treatment_id,
        "share",
        form,
        lambda said: treatments.share_card(
            treatment_id, customer_id=form.customer_id.data or 0, session_limit=form.session_limit.data, **said
        ),
        _("The card is shared."),
    )


@bp.post("/<int:treatment_id>/unshare")
@roles(*DESK)
def unshare(treatment_id: int) -> ResponseReturnValue:
    """Let ``customer_id`` book on the card no longer."""
    form = ShareForm()
    return _act(
        treatment_id,
        "share",
        form,
        lambda said: treatments.unshare_card(treatment_id, customer_id=form.customer_id.data or 0, **said),
        _("The card is no longer shared with this customer."),
    )


@bp.post("/<int:treatment_id>/refund")
@roles(*MANAGERS)
def refund(treatment_id: int) -> ResponseReturnValue:
    """Give the rest back on the terms ``basis`` and ``fee_amount``, by ``pay_by`` with ``reference``: ``reason``."""
    form = RefundForm()
    return _act(
        treatment_id,
        "refund",
        form,
        lambda said: refunds.refund_card(
            treatment_id,
            basis=form.basis.data,
            fee_amount=form.fee,
            pay_by=form.pay_by.data,
            reference=form.reference.data or "",
            shown_amount=form.shown_amount.data,
            **said,
        ),
        _("The card is refunded."),
    )


@bp.post("/<int:treatment_id>/withdraw-refund")
@roles(*MANAGERS)
def withdraw_refund(treatment_id: int) -> ResponseReturnValue:
    """Take the refund back: ``reason``."""
    form = ReasonForm()
    return _act(
        treatment_id,
        "withdraw-refund",
        form,
        lambda said: refunds.withdraw_refund(treatment_id, **said),
        _("The refund is taken back, and the sessions are on the card again."),
    )


@bp.post("/<int:treatment_id>/exchange")
@roles(*MANAGERS)
def exchange(treatment_id: int) -> ResponseReturnValue:
    """Take the card back toward ``plan_id``, and go on to the new sale's invoice: ``fee_amount``, ``reason``."""
    branch_id = enter(treatment_id).branch_id
    form = ExchangeForm(list_plans_for_sale(branch_id))
    return _act(
        treatment_id,
        "exchange",
        form,
        lambda said: refunds.exchange_card(
            treatment_id,
            plan_id=form.plan_id.data,
            branch_id=branch_id,
            fee_amount=form.fee,
            shown_amount=form.shown_amount.data,
            **said,
        ),
        _("The card is exchanged. What is missing is still to be paid."),
        to_invoice=True,
    )


def _act(
    treatment_id: int,
    name: str,
    form: Any,
    work: Callable[[dict[str, Any]], int],
    done: str,
    *,
    to_invoice: bool = False,
) -> ResponseReturnValue:
    """Do what a form asks for, and go to the card (or invoice) that ``work`` returns; else the page with the form."""
    head = enter(treatment_id)
    if not form.validate():
        return card_page(head, name, form, 422)
    said = {"reason": form.reason.data or "", "actor": current_actor()}
    try:
        found = run_once(f"card_{name}", lambda: work(said))
    except (InvalidError, ConflictError, NotAllowedError) as error:
        errors.add_to_form(form, error)
        return card_page(head, name, form, errors.status_of(error))
    toast(done)
    refresh("bookings-changed")
    if to_invoice:
        return redirect(url_for("invoices.show", invoice_id=found))
    return redirect(url_for("cards.show", treatment_id=found))
