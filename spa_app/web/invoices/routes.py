"""/sales, /invoices/<id> with its payments, and the session slip of a visit."""

import datetime as dt

from flask import Blueprint, abort, current_app, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError
from spa_app.queries import billing as queries
from spa_app.queries import invoice_lists
from spa_app.queries.gift_cards import list_sold
from spa_app.queries.parties import list_mates
from spa_app.services import billing, payments
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.bookings.place import calendar_url, in_panel
from spa_app.web.filters import money
from spa_app.web.htmx import announce, is_partial, redirect, refresh, render, toast
from spa_app.web.invoices.forms import METHOD_ICONS, METHODS, PaymentForm, VoidForm, plain_amount, suggest_cash
from spa_app.web.invoices.paper_forms import papers_context
from spa_app.web.invoices.transfer_code import offered_transfer
from spa_app.web.navigation import DESK
from spa_app.web.security import asked_branch, current_actor, local_today, roles, signed_in, use_branch

bp = Blueprint("invoices", __name__)
EARLIEST, LATEST = dt.date(2000, 1, 1), dt.date(2199, 12, 31)

errors.register_way_out("pay_due", "invoices.show", "invoice_id")


@bp.get("/sales")
@roles(*DESK)
def index() -> ResponseReturnValue:
    """The branch's invoices of a day (``date``: today unless given, ``all``: any), by ``status``, or found by ``q``."""
    branch = asked_branch()
    search = request.args.get("q", "").strip()[:100]
    status = request.args.get("status", "")
    if status not in invoice_lists.STATUSES:
        status = ""
    day = _day(request.args.get("date", ""), any_day=bool(search))
    page = request.args.get("page", "1")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 6 else 1
    found = invoice_lists.list_invoices(
        branch.id,
        between=clock.day_bounds(day, branch.timezone) if day else None,
        status=status,
        search=search,
        page=max(number, 1),
    )
    overdue = invoice_lists.list_invoices(branch.id, status="due") if day and not status else None
    return render(
        "invoices/index.html",
        "invoices/_index.html",
        title=_("Sales"),
        found=found,
        overdue=overdue,
        day=day,
        before=day - dt.timedelta(days=1) if day else None,
        after=day + dt.timedelta(days=1) if day and day < local_today() else None,
        chosen=status,
        search=search,
        page_number=max(number, 1),
        url=lambda **changes: _sales_url(day, status, search, changes),
        page_url=lambda wanted: _sales_url(day, status, search, {"page": wanted}),
    )


@bp.get("/invoices/<int:invoice_id>")
@roles(*DESK)
def show(invoice_id: int) -> ResponseReturnValue:
    """An invoice, with a form for what is left to pay. In the side panel it is the checkout."""
    enter(invoice_id)
    return show_invoice(invoice_id)


@bp.get("/bookings/<int:booking_id>/slip")
@roles(*DESK)
def slip(booking_id: int) -> ResponseReturnValue:
    """What a visit punched and what is left, to print: the paper of a visit that made no invoice."""
    found = queries.get_slip(booking_id, branch_ids=_branch_ids())
    if found is None:
        abort(404)
    use_branch(found.branch.id)
    return make_response(render_template("invoices/slip.html", slip=found))


@bp.post("/invoices/<int:invoice_id>/payments")
@roles(*DESK)
def pay(invoice_id: int) -> ResponseReturnValue:
    """Take a payment: ``method``, ``amount`` (empty: what is left), ``reference``, and for cash ``tendered_amount``."""
    enter(invoice_id)
    form = PaymentForm()
    if not form.validate():
        return show_invoice(invoice_id, 422, payment=form)
    cash = form.method.data == "cash"
    try:
        payment_id = run_once(
            "take_payment",
            lambda: payments.take_payment(
                invoice_id,
                method=form.method.data or "",
                amount=form.amount.data,
                reference="" if cash else form.reference.data or "",
                tendered_amount=form.tendered_amount.data if cash else None,
                gift_card_code=form.gift_card_code.data or "",
                actor=current_actor(),
            ),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        if error.code == "gift_card_too_small" and "balance" in error.params:
            form.set_amount(error.params["balance"].amount)
        return show_invoice(invoice_id, errors.status_of(error), payment=form)
    invoice = queries.get_invoice(invoice_id)
    taken = next(payment for payment in invoice.payments if payment.id == payment_id)
    words = [_("%(amount)s taken: %(method)s.", amount=money(taken.amount), method=METHODS[taken.method])]
    if taken.change_amount:
        words.append(_("Give %(change)s change.", change=money(taken.change_amount)))
    due = invoice.due_amount
    words.append(_("%(due)s left to pay.", due=money(due)) if due else _("Paid in full."))
    return _done(invoice_id, " ".join(words))


@bp.post("/invoices/<int:invoice_id>/void")
@roles(*DESK)
def void(invoice_id: int) -> ResponseReturnValue:
    """Take the unpaid sale of a plan back: ``reason``."""
    enter(invoice_id)
    form = VoidForm()
    if not form.validate():
        return show_invoice(invoice_id, 422, voiding=form)
    try:
        run_once(
            "void_sale",
            lambda: billing.void_sale(invoice_id, reason=form.reason.data or "", actor=current_actor()),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return show_invoice(invoice_id, errors.status_of(error), voiding=form)
    return _done(invoice_id, _("The sale is void, and its cards are taken back."))


def _done(invoice_id: int, message: str) -> ResponseReturnValue:
    """A plain client goes to the invoice; HTMX gets it as it stands now, and the rest of the page is told."""
    toast(message)
    if not is_partial():
        return redirect(url_for("invoices.show", invoice_id=invoice_id))
    announce(message)
    refresh("bookings-changed")
    return show_invoice(invoice_id)


def show_invoice(
    invoice_id: int,
    status: int = 200,
    *,
    payment: PaymentForm | None = None,
    voiding: VoidForm | None = None,
    withdrawing: VoidForm | None = None,
) -> ResponseReturnValue:
    """The page of an invoice, or its checkout in the side panel, with the forms as they were refused."""
    invoice = queries.get_invoice(invoice_id)
    if payment is None:
        payment = PaymentForm(formdata=None, method="cash", amount=invoice.due_amount)
        if invoice.deposit_amount:
            amount = min(invoice.deposit_amount, invoice.due_amount)
            payment = PaymentForm(formdata=None, method="deposit", amount=amount)
    beside = in_panel()
    return render(
        "invoices/page.html",
        "invoices/_panel.html" if beside else "invoices/_main.html",
        status,
        title=invoice.number,
        invoice=invoice,
        gift_cards=list_sold(invoice_id, today=local_today()) if invoice.sells_gift_cards else (),
        form=payment,
        voiding=voiding or VoidForm(formdata=None),
        withdrawing=withdrawing or VoidForm(formdata=None),
        is_manager=current_actor().is_manager,
        methods=METHODS,
        method_icons=METHOD_ICONS,
        plain=plain_amount,
        suggested=suggest_cash(invoice.due_amount),
        older=invoice_lists.list_due(invoice.customer_id, branch_ids=_branch_ids(), besides=invoice.id),
        transfer=offered_transfer(invoice),
        owing=[mate for mate in list_mates(invoice.booking_id) if mate.due_amount] if invoice.booking_id else [],
        target="#panel" if beside else "#main",
        panel_close_url=calendar_url(local_today()),
        currency=current_app.config["SETTINGS"].currency,
        **papers_context(invoice),
    )


def enter(invoice_id: int) -> None:
    """Have the request be about the invoice's branch from here on; 404 where it is none of the user's."""
    branch_id = queries.find_invoice_branch(invoice_id, branch_ids=_branch_ids())
    if branch_id is None:
        abort(404)
    use_branch(branch_id)


def _branch_ids() -> list[int]:
    return [branch.id for branch in signed_in().branches]


def _day(text: str, *, any_day: bool) -> dt.date | None:
    """The day asked for; today for none or one that makes no sense, None for any day."""
    if text == "all" or (any_day and not text):
        return None
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return local_today()
    return min(max(day, EARLIEST), LATEST)


def _sales_url(day: dt.date | None, status: str, search: str, changes: dict[str, object]) -> str:
    branch = request.args.get("branch", "")
    values: dict[str, object] = {
        "date": day.isoformat() if day else "all",
        "status": status,
        "q": search,
        "branch": branch,
    }
    shown = {name: value for name, value in (values | changes).items() if value}
    return url_for("invoices.index", **shown)  # type: ignore[arg-type]
