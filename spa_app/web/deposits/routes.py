"""/bookings/<id>/deposits: what was paid ahead for a visit; /deposits/<id>: giving it back, and the slip for it."""

from flask import Blueprint, abort, make_response, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from wtforms.fields.choices import SelectChoice

from spa_app.errors import ConflictError, InvalidError
from spa_app.models import MONEY_METHODS
from spa_app.queries import deposits as queries
from spa_app.queries.bookings import Visit
from spa_app.queries.deposits import DepositView
from spa_app.services import deposits as services
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.bookings.place import in_panel
from spa_app.web.bookings.routes import require_visit
from spa_app.web.deposits.forms import DepositForm, ReturnForm
from spa_app.web.filters import money
from spa_app.web.htmx import announce, is_partial, redirect, refresh, render, toast
from spa_app.web.invoices.forms import METHOD_ICONS, METHODS
from spa_app.web.navigation import DESK
from spa_app.web.security import current_actor, roles, signed_in, use_branch

bp = Blueprint("deposits", __name__)


@bp.get("/bookings/<int:booking_id>/deposits")
@roles(*DESK)
def index(booking_id: int) -> ResponseReturnValue:
    """The deposits of a visit with what became of them, and the form for one more."""
    return _page(require_visit(booking_id))


@bp.post("/bookings/<int:booking_id>/deposits")
@roles(*DESK)
def take(booking_id: int) -> ResponseReturnValue:
    """Take ``amount`` by ``method`` (with ``reference``) for the visit."""
    visit = require_visit(booking_id)
    form = DepositForm()
    if not form.validate():
        return _page(visit, 422, taking=form)

    def work() -> int:
        return services.take_deposit(
            booking_id,
            method=form.method.data,
            amount=form.amount.data or 0,
            reference=form.reference.data or "",
            actor=current_actor(),
        )

    try:
        run_once("take_deposit", work)
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _page(require_visit(booking_id), errors.status_of(error), taking=form)
    taken = money(form.amount.data or 0)
    words = _("%(amount)s taken as a deposit: %(method)s.", amount=taken, method=METHODS[form.method.data])
    return _done(booking_id, words)


@bp.post("/deposits/<int:deposit_id>/return")
@roles(*DESK)
def give_back(deposit_id: int) -> ResponseReturnValue:
    """Give ``amount`` (empty: all that is left) back by ``method``: ``reason``."""
    deposit = _enter(deposit_id)
    form = ReturnForm()
    if not form.validate():
        return _page(require_visit(deposit.booking_id), 422, returning=(deposit_id, form))

    def work() -> int:
        return services.return_deposit(
            deposit_id,
            method=form.method.data or "",
            amount=form.amount.data,
            reference=form.reference.data or "",
            reason=form.reason.data or "",
            actor=current_actor(),
        )

    try:
        run_once("return_deposit", work)
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        visit = require_visit(deposit.booking_id)
        return _page(visit, errors.status_of(error), returning=(deposit_id, form))
    return _done(deposit.booking_id, _("The deposit went back: %(method)s.", method=METHODS[form.method.data]))


@bp.get("/deposits/<int:deposit_id>/slip")
@roles(*DESK)
def slip(deposit_id: int) -> ResponseReturnValue:
    """The paper that says what was taken, for the customer."""
    return make_response(render_template("deposits/slip.html", deposit=_enter(deposit_id), methods=METHODS))


def _enter(deposit_id: int) -> DepositView:
    found = queries.get_deposit(deposit_id, branch_ids=[branch.id for branch in signed_in().branches])
    if found is None:
        abort(404)
    use_branch(found.branch_id)
    return found


def _done(booking_id: int, message: str) -> ResponseReturnValue:
    toast(message)
    if not is_partial():
        return redirect(url_for("deposits.index", booking_id=booking_id))
    announce(message)
    refresh("bookings-changed")
    return _page(require_visit(booking_id))


def _page(
    visit: Visit,
    status: int = 200,
    *,
    taking: DepositForm | None = None,
    returning: tuple[int, ReturnForm] | None = None,
) -> ResponseReturnValue:
    found = queries.list_deposits(visit.id)
    is_manager = current_actor().is_manager
    forms = {}
    for one in found:
        form = returning[1] if returning and returning[0] == one.id else ReturnForm(formdata=None)
        # The way it came is the first that is offered; money goes back by a manager's hand.
        ways = [one.method, *(way for way in MONEY_METHODS if way != one.method)] if is_manager else []
        form.method.choices = [SelectChoice(method, METHODS[method]) for method in (*ways, "store_credit")]
        for field in form:
            field.id = f"{field.name}-{one.id}"  # there are several such forms on the page
        forms[one.id] = form
    beside = in_panel()
    return render(
        "deposits/page.html",
        "deposits/_panel.html" if beside else "deposits/_main.html",
        status,
        title=_("Deposit of %(name)s", name=visit.customer.full_name),
        visit=visit,
        deposits=found,
        form=taking or DepositForm(formdata=None),
        return_forms=forms,
        can_take=visit.status in services.LIVE,
        is_manager=is_manager,
        methods=METHODS,
        method_icons=METHOD_ICONS,
        target="#panel" if beside else "#main",
        visit_url=url_for("bookings.show", booking_id=visit.id),
    )
