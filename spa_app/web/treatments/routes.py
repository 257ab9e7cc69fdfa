"""/customers/<id>/treatments: the cards, and selling a plan."""

from flask import Blueprint, abort, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import ConflictError, InvalidError
from spa_app.queries import treatments as queries
from spa_app.queries.customers import find_survivor
from spa_app.services.billing import sell_plan
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.bookings.place import in_panel
from spa_app.web.htmx import redirect, refresh, render, toast
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, current_branch, roles, signed_in
from spa_app.web.treatments.forms import SellForm

bp = Blueprint("treatments", __name__)

errors.register_way_out("sell_plan", "treatments.cards", "customer_id")


@bp.get("/customers/<int:customer_id>/treatments")
@roles(*DESK)
def cards(customer_id: int) -> ResponseReturnValue:
    """A customer's cards, a square per session, and a form that sells a plan. Of one who was merged, the survivor's."""
    survivor_id = find_survivor(customer_id)
    if survivor_id is not None:
        return redirect(url_for("treatments.cards", customer_id=survivor_id))
    return _page(customer_id)


@bp.post("/customers/<int:customer_id>/treatments")
@roles(*DESK)
def sell(customer_id: int) -> ResponseReturnValue:
    """Sell ``plan_id`` and go on to its invoice."""
    branch = current_branch()
    if branch is None or queries.get_owner(customer_id) is None:
        abort(404)
    form = SellForm(queries.list_plans_for_sale(branch.id))
    if not form.validate():
        return _page(customer_id, 422, form)
    try:
        invoice_id = run_once(
            "sell_plan",
            lambda: sell_plan(
                customer_id=customer_id, plan_id=form.plan_id.data, branch_id=branch.id, actor=current_actor()
            ),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _page(customer_id, errors.status_of(error), form)
    toast(_("Sold. Now take the payment."))
    refresh("bookings-changed")
    return redirect(
        url_for("invoices.show", invoice_id=invoice_id),
        target="#panel" if in_panel() else "#main",
    )


def _page(customer_id: int, status: int = 200, form: SellForm | None = None) -> ResponseReturnValue:
    owner = queries.get_owner(customer_id)
    if owner is None:
        abort(404)
    branch = current_branch()
    plans = queries.list_plans_for_sale(branch.id if branch else None)
    return render(
        "treatments/page.html",
        "treatments/_main.html",
        status,
        title=_("Treatment cards of %(name)s", name=owner.full_name),
        owner=owner,
        customer_id=owner.id,
        cards=queries.list_cards(customer_id),
        shared=queries.list_shared_cards(customer_id),
        plans=plans,
        sell_form=form or SellForm(plans, formdata=None),
        branch_ids=[branch.id for branch in signed_in().branches],
    )
