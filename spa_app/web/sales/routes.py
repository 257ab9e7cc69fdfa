"""/sales/new, changing an unpaid bill, and completing a visit with more on its bill than its services."""

import re
from collections.abc import Callable

from flask import Blueprint, abort, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from spa_app.errors import DomainError, NotFoundError
from spa_app.queries import billing as queries
from spa_app.queries.billing import InvoiceView
from spa_app.queries.customers import find_customers
from spa_app.services import billing, bookings, customers
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.bookings.forms import parse_id
from spa_app.web.bookings.new import branch_of
from spa_app.web.bookings.place import beside, calendar_url, in_panel, redraw_swap, swap
from spa_app.web.bookings.routes import require_visit
from spa_app.web.bookings.settling import posted_version
from spa_app.web.htmx import redirect, refresh, render, toast, with_notices
from spa_app.web.navigation import DESK
from spa_app.web.sales.draft import Draft, draft_change, draft_completion, draft_sale
from spa_app.web.sales.forms import BillForm, numbered_anew
from spa_app.web.security import current_actor, local_today, roles, signed_in, use_branch

bp = Blueprint("sales", __name__)
FOUND = 6
_REMOVE = re.compile(r"remove-(\d{1,3})", re.ASCII)

errors.register_way_out("new_sale", "sales.new", "customer_id")


@bp.get("/sales/new")
@roles(*DESK)
def new() -> ResponseReturnValue:
    """The empty bill of ``customer_id``, or one begun with the tip of a visit, ``booking_id``, whose bill is paid."""
    values = MultiDict((name, value) for name, value in request.args.items(multi=True) if value.strip())
    draft = _sale(values)
    form = draft.begin()
    form.customer_id.data = _id(values.get("customer_id", ""))
    if draft.customer and draft.names_customer:
        form.customer_id.data = draft.customer.id
    return _answer(draft.prepare(form))


@bp.post("/sales/form")
@roles(*DESK)
def redraw() -> ResponseReturnValue:
    """The bill as typed, drawn anew: nothing is stored. ``do`` names the button that was pressed, if any."""
    return _redraw(_sale(request.form))


@bp.post("/sales")
@roles(*DESK)
def create() -> ResponseReturnValue:
    """Issue the bill, and go on to its payment."""
    draft = _sale(request.form)
    form = BillForm(formdata=numbered_anew(request.form))
    valid = form.validate()
    if draft.names_customer:
        if draft.customer and not form.adds_customer:  # sent again: its visit has got its bill meanwhile
            form.customer_id.data = form.customer_id.data or draft.customer.id
        valid = form.require_customer() and valid
    return _issue(draft, form, "sell", lambda: _sell(draft, form), is_valid=valid)


@bp.get("/invoices/<int:invoice_id>/change")
@roles(*DESK)
def show_change(invoice_id: int) -> ResponseReturnValue:
    """An unpaid bill, to be changed; one that cannot be any more is shown as it is."""
    invoice = _invoice(invoice_id)
    if not invoice.is_changeable:
        return redirect(
            url_for("invoices.show", invoice_id=invoice.replaced_by[0] if invoice.replaced_by else invoice_id),
            target="#panel" if in_panel() else "#main",
        )
    draft = draft_change(invoice)
    return _answer(draft.prepare(draft.begin()))


@bp.post("/invoices/<int:invoice_id>/change/form")
@roles(*DESK)
def redraw_change(invoice_id: int) -> ResponseReturnValue:
    """The same as typed, drawn anew."""
    return _redraw(draft_change(_bill(invoice_id)))


@bp.post("/invoices/<int:invoice_id>/change")
@roles(*DESK)
def change(invoice_id: int) -> ResponseReturnValue:
    """Void the bill and issue the changed one in its place."""
    draft = draft_change(_bill(invoice_id))
    form = BillForm(formdata=numbered_anew(request.form))
    return _issue(
        draft,
        form,
        "change_bill",
        lambda: billing.change_bill(invoice_id, bill=form.bill(), actor=current_actor()),
        is_valid=form.validate(),
    )


@bp.get("/bookings/<int:booking_id>/bill")
@roles(*DESK)
def show_completion(booking_id: int) -> ResponseReturnValue:
    """What goes on the bill of a visit that is being completed; of another, its page."""
    visit = require_visit(booking_id)
    if visit.status != "in_progress":
        return redirect(url_for("bookings.show", booking_id=booking_id), target="#panel" if in_panel() else "#main")
    draft = draft_completion(booking_id)
    return _answer(draft.prepare(draft.begin()))


@bp.post("/bookings/<int:booking_id>/bill/form")
@roles(*DESK)
def redraw_completion(booking_id: int) -> ResponseReturnValue:
    """The same as typed, drawn anew."""
    require_visit(booking_id)
    return _redraw(draft_completion(booking_id))


@bp.post("/bookings/<int:booking_id>/bill")
@roles(*DESK)
def complete(booking_id: int) -> ResponseReturnValue:
    """Complete the visit of ``version`` and issue its bill with all that is on it, in one."""
    require_visit(booking_id)
    draft = draft_completion(booking_id)
    form = BillForm(formdata=numbered_anew(request.form))

    def act() -> int:
        bookings.complete(booking_id, bill=form.bill(), version=posted_version() or 0, actor=current_actor())
        return booking_id

    return _issue(draft, form, "booking_complete", act, is_valid=form.validate(), completes=booking_id)


def _sell(draft: Draft, form: BillForm) -> int:
    actor = current_actor()
    customer_id = form.customer_id.data if draft.names_customer else draft.customer.id if draft.customer else None
    if customer_id is None:
        customer_id = customers.create_customer(
            full_name=form.full_name.data or "",
            phone=form.phone.data,
            shares_phone=form.shares_phone.data,
            actor=actor,
        )
    return billing.sell(
        customer_id=customer_id,
        branch_id=draft.branch_id,
        bill=form.bill(),
        booking_id=draft.visit.id if draft.visit else None,
        actor=actor,
    )


def _issue(
    draft: Draft,
    form: BillForm,
    action: str,
    work: Callable[[], int],
    *,
    is_valid: bool,
    completes: int | None = None,
) -> ResponseReturnValue:
    """Do it and go on to the payment; what is refused stands at the form's fields, as typed."""
    if not is_valid:
        return _answer(draft.prepare(form), 422)
    try:
        done = run_once(action, work)
    except NotFoundError:
        raise
    except DomainError as error:
        return _refuse(draft, form, error)
    visit = require_visit(completes) if completes else None
    if visit is not None:
        toast(_("The visit is completed."))
    else:
        toast(_("The bill is issued. Now take the payment."))
    refresh("bookings-changed")
    if visit is not None and visit.invoice is None:
        url = url_for("bookings.show", booking_id=visit.id)
    else:
        url = url_for("invoices.show", invoice_id=visit.invoice.id if visit and visit.invoice else done)
    return redirect(url, target="#panel" if in_panel() else "#main")


def _refuse(draft: Draft, form: BillForm, error: DomainError) -> ResponseReturnValue:
    named = form.field_named(error.field)
    if named is not None:
        named.errors = [*named.errors, errors.translate(error)]
    else:
        form.form_errors = [*form.form_errors, errors.translate(error)]
    form.ways_out = errors.ways_out(error)
    return _answer(draft.prepare(form), errors.status_of(error))


def _redraw(draft: Draft) -> ResponseReturnValue:
    values = numbered_anew(request.form)
    do = values.get("do", "")
    if do == "forget-customer":
        values.setlist("customer_id", [])
    if gone := _REMOVE.fullmatch(do):
        start = f"lines-{gone[1]}-"
        values = numbered_anew(MultiDict(one for one in values.items(multi=True) if not one[0].startswith(start)))
    form = BillForm(formdata=values)
    for field in form:
        if field.type not in ("FieldList", "FormField"):
            field.errors = list(field.process_errors)
    if do == "add-line":
        form.lines.append_entry() if len(form.lines) < form.lines.max_entries - 1 else None
    if do == "find" and draft.names_customer:
        draft.found = find_customers(" ".join((form.customer_q.data or "").split()), FOUND)
        if len(draft.found) == 1 and form.customer_id.data is None:
            form.customer_id.data = draft.found[0].id
    draft.prepare(form, shows_refusal=True)
    if request.headers.get("HX-Target") == "bill-sums":
        return with_notices(render_template("sales/_sums.html", draft=draft))
    return _answer(draft)


def _sale(values: "MultiDict[str, str]") -> Draft:
    """The draft of a sale, in the branch and for the visit that the address or the form names."""
    booking_id = _id(values.get("booking_id", ""))
    branch_id = require_visit(booking_id).branch_id if booking_id else branch_of(values).id
    return draft_sale(branch_id, booking_id=booking_id, staff_id=_id(values.get("staff_id", "")))


def _invoice(invoice_id: int) -> InvoiceView:
    branch_ids = [branch.id for branch in signed_in().branches]
    branch_id = queries.find_invoice_branch(invoice_id, branch_ids=branch_ids)
    if branch_id is None:
        abort(404)
    use_branch(branch_id)
    return queries.get_invoice(invoice_id)


def _bill(invoice_id: int) -> InvoiceView:
    invoice = _invoice(invoice_id)
    if invoice.kind != "invoice":
        abort(404)
    return invoice


def _answer(draft: Draft, status: int = 200) -> ResponseReturnValue:
    return render(
        "sales/page.html",
        "sales/_bill.html",
        status,
        title=draft.title,
        draft=draft,
        form=draft.form,
        panel=in_panel(),
        close_url=calendar_url(local_today()),
        post=swap(draft.post_url),
        redraw_url=draft.redraw_url,
        redraw=redraw_swap(draft.redraw_url),
        finder={"for": "sale"},
        beside=beside,
        back_url=_back_url(draft),
    )


def _back_url(draft: Draft) -> str:
    if draft.invoice_id:
        return url_for("invoices.show", invoice_id=draft.invoice_id)
    return url_for("bookings.show", booking_id=draft.visit.id) if draft.visit else url_for("invoices.index")


def _id(text: str) -> int | None:
    try:
        return parse_id(text)
    except ValueError:
        return None
