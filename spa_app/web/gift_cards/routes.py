"""/gift-cards: found by code or name, each one's page, voucher and QR code, selling and giving, and managers' acts."""

import io
from collections.abc import Callable
from typing import Any

import segno
from flask import Blueprint, Response, abort, current_app, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import ConflictError, DomainError, InvalidError, NotAllowedError
from spa_app.queries import gift_cards as queries
from spa_app.queries.customers import find_customers
from spa_app.queries.gift_cards import GiftCardView
from spa_app.queries.treatments import get_owner
from spa_app.services import gift_card_desk, gift_cards
from spa_app.web import errors
from spa_app.web.actions import run_once
from spa_app.web.gift_cards.forms import FORMS, IssueGiftCardForm, SellGiftCardForm
from spa_app.web.htmx import redirect, render, toast
from spa_app.web.invoices.forms import plain_amount
from spa_app.web.navigation import DESK, MANAGERS
from spa_app.web.security import asked_branch, current_actor, local_today, roles, signed_in, use_branch

bp = Blueprint("gift_cards", __name__, url_prefix="/gift-cards")

FOUND = 8
QUICK_AMOUNTS = {"VND": (200_000, 500_000, 1_000_000, 2_000_000)}
# status → what a manager can do with such a card
ACTS = {
    "active": ("extend", "adjust", "cancel"),
    "expired": ("extend",),
    "used_up": ("adjust",),
    "cancelled": (),
}

errors.register_way_out("open_gift_card", "gift_cards.show", "gift_card_id")
errors.register_way_out("open_invoice", "invoices.show", "invoice_id")


@bp.get("")
@roles(*DESK)
def index() -> ResponseReturnValue:
    """The branch's gift cards with what is owed on them, by ``status``, or found by ``q``."""
    branch = asked_branch()
    search = request.args.get("q", "").strip()[:100]
    status = request.args.get("status", "")
    if status not in queries.STATUSES:
        status = ""
    page = request.args.get("page", "1")
    number = max(int(page), 1) if page.isascii() and page.isdigit() and len(page) < 6 else 1
    return render(
        "gift_cards/index.html",
        "gift_cards/_index.html",
        title=_("Gift cards"),
        found=queries.list_gift_cards(branch.id, today=local_today(), search=search, status=status, page=number),
        chosen=status,
        search=search,
        page_number=number,
        url=lambda **changes: _list_url(status, search, changes),
        page_url=lambda wanted: _list_url(status, search, {"page": wanted}),
    )


@bp.get("/new")
@roles(*DESK)
def new() -> ResponseReturnValue:
    """The form that sells a gift card to ``customer_id``; without one, ``q`` finds who buys it."""
    form = SellGiftCardForm(formdata=None, customer_id=request.args.get("customer_id", "")[:20])
    return _new_page(form, IssueGiftCardForm(formdata=None, customer_id=form.customer_id.data))


@bp.post("")
@roles(*DESK)
def sell() -> ResponseReturnValue:
    """Sell a card for ``amount`` to ``customer_id`` and go on to its invoice: ``receiver_name``, ``greeting``."""
    branch, form = asked_branch(), SellGiftCardForm()
    giving = IssueGiftCardForm(formdata=None, customer_id=form.customer_id.data)
    customer_id = form.chosen()
    if customer_id is None or get_owner(customer_id) is None:
        form.form_errors = [*form.form_errors, _("Choose a customer.")]
        return _new_page(form, giving, 422)
    if not form.validate():
        return _new_page(form, giving, 422)
    try:
        invoice_id = run_once(
            "sell_gift_card",
            lambda: gift_card_desk.sell_gift_card(
                customer_id=customer_id,
                amount=form.amount.data or 0,
                branch_id=branch.id,
                receiver_name=form.receiver_name.data or "",
                greeting=form.greeting.data or "",
                actor=current_actor(),
            ),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _new_page(form, giving, errors.status_of(error))
    toast(_("Sold. Now take the payment."))
    return redirect(url_for("invoices.show", invoice_id=invoice_id))


@bp.post("/issue")
@roles(*MANAGERS)
def issue() -> ResponseReturnValue:
    """Give a card away without a sale: ``amount``, ``reason``, and as for a sale."""
    branch, form = asked_branch(), IssueGiftCardForm()
    selling = SellGiftCardForm(formdata=None, customer_id=form.customer_id.data)
    customer_id = form.chosen()
    if not form.validate():
        return _new_page(selling, form, 422)
    try:
        gift_card_id = run_once(
            "issue_gift_card",
            lambda: gift_card_desk.issue_gift_card(
                customer_id=customer_id,
                amount=form.amount.data or 0,
                branch_id=branch.id,
                reason=form.reason.data or "",
                receiver_name=form.receiver_name.data or "",
                greeting=form.greeting.data or "",
                actor=current_actor(),
            ),
        )
    except (InvalidError, ConflictError) as error:
        errors.add_to_form(form, error)
        return _new_page(selling, form, errors.status_of(error))
    toast(_("The gift card is issued."))
    return redirect(url_for("gift_cards.show", gift_card_id=gift_card_id))


@bp.get("/balance")
@roles(*DESK)
def balance() -> ResponseReturnValue:
    """For the checkout, where ``due`` is to be paid: what is on the card with ``gift_card_code``, or why not."""
    typed = request.args.get("gift_card_code", "").strip()[:100]
    card, refusal = None, None
    if typed:
        try:
            card = gift_cards.look_at(typed)
        except DomainError as error:
            refusal = (errors.translate(error), errors.ways_out(error))
    return render_template("gift_cards/_balance.html", card=card, refusal=refusal, due=_due(), plain=plain_amount)


@bp.get("/<int:gift_card_id>")
@roles(*DESK)
def show(gift_card_id: int) -> ResponseReturnValue:
    """A gift card with its history, and for managers the acts that are open on it."""
    return _page(_enter(gift_card_id))


@bp.get("/<int:gift_card_id>/voucher")
@roles(*DESK)
def voucher(gift_card_id: int) -> ResponseReturnValue:
    """The voucher to print and hand over."""
    return make_response(render_template("gift_cards/voucher.html", card=_enter(gift_card_id)))


@bp.get("/<int:gift_card_id>/code.svg")
@roles(*DESK)
def qr_code(gift_card_id: int) -> ResponseReturnValue:
    """The code as a QR code, to be scanned into the field at the checkout."""
    drawing = io.BytesIO()
    segno.make_qr(_enter(gift_card_id).shown_code, error="m").save(
        drawing, kind="svg", border=2, scale=6, xmldecl=False
    )
    return Response(drawing.getvalue(), mimetype="image/svg+xml")


@bp.post("/<int:gift_card_id>/extend")
@roles(*MANAGERS)
def extend(gift_card_id: int) -> ResponseReturnValue:
    """Let the card be used through ``expires_on``: ``reason``. What has expired on it comes back."""
    return _act(
        gift_card_id,
        "extend",
        lambda form, said: gift_card_desk.extend_gift_card(gift_card_id, expires_on=form.expires_on.data, **said),
        _("The gift card has more time."),
    )


@bp.post("/<int:gift_card_id>/adjust")
@roles(*MANAGERS)
def adjust(gift_card_id: int) -> ResponseReturnValue:
    """Put ``amount`` onto the card, or with ``take_off`` take it off: ``reason``."""
    return _act(
        gift_card_id,
        "adjust",
        lambda form, said: gift_card_desk.adjust_gift_card(gift_card_id, amount=form.signed(), **said),
        _("The gift card is adjusted."),
    )


@bp.post("/<int:gift_card_id>/cancel")
@roles(*MANAGERS)
def cancel(gift_card_id: int) -> ResponseReturnValue:
    """Close the card: ``reason``. What is on it becomes the buyer's store credit."""
    return _act(
        gift_card_id,
        "cancel",
        lambda _form, said: gift_card_desk.cancel_gift_card(gift_card_id, **said),
        _("The gift card is closed."),
    )


def _act(gift_card_id: int, name: str, work: Callable[[Any, dict[str, Any]], int], done: str) -> ResponseReturnValue:
    card = _enter(gift_card_id)
    form = FORMS[name]()
    if not form.validate():
        return _page(card, {name: form}, 422)
    said = {"reason": form.reason.data or "", "actor": current_actor()}
    try:
        run_once(f"gift_card_{name}", lambda: work(form, said))
    except (InvalidError, ConflictError, NotAllowedError) as error:
        errors.add_to_form(form, error)
        return _page(_enter(gift_card_id), {name: form}, errors.status_of(error))
    toast(done)
    return redirect(url_for("gift_cards.show", gift_card_id=gift_card_id))


def _page(card: GiftCardView, refused: dict[str, Any] | None = None, status: int = 200) -> ResponseReturnValue:
    refused = refused or {}
    is_manager = signed_in().role in MANAGERS
    # A refused form shows what was refused, even where the fresh truth no longer offers the act.
    acts = [act for act in FORMS if act in refused or (act in ACTS[card.status] and not card.due_amount)]
    dates = {"expires_on": max(card.expires_on or local_today(), local_today())}
    return render(
        "gift_cards/show.html",
        "gift_cards/_show.html",
        status,
        title=_("Gift card %(code)s", code=card.shown_code),
        card=card,
        forms={act: refused.get(act) or FORMS[act](formdata=None, data=dates) for act in acts if is_manager},
        branch_ids=[branch.id for branch in signed_in().branches],
    )


def _new_page(form: SellGiftCardForm, giving: IssueGiftCardForm, status: int = 200) -> ResponseReturnValue:
    customer_id = form.chosen()
    q = request.args.get("q", "").strip()[:100]
    return render(
        "gift_cards/new.html",
        "gift_cards/_new.html",
        status,
        title=_("Sell a gift card"),
        form=form,
        giving=giving,
        buyer=get_owner(customer_id) if customer_id else None,
        q=q,
        people=find_customers(q, FOUND) if q else [],
        quick=QUICK_AMOUNTS.get(current_app.config["SETTINGS"].currency, ()),
        plain=plain_amount,
        may_give=signed_in().role in MANAGERS,
    )


def _enter(gift_card_id: int) -> GiftCardView:
    """The card, if it is of one of the user's branches, whose clocks then count; else 404."""
    branch_id = queries.find_branch_of(gift_card_id, branch_ids=[branch.id for branch in signed_in().branches])
    if branch_id is None:
        abort(404)
    use_branch(branch_id)
    return queries.get_gift_card(gift_card_id, today=local_today())


def _due() -> int:
    due = request.args.get("due", "")
    return int(due) if due.isascii() and due.isdigit() and len(due) < 19 else 0


def _list_url(status: str, search: str, changes: dict[str, object]) -> str:
    shown = {name: value for name, value in ({"status": status, "q": search} | changes).items() if value}
    return url_for("gift_cards.index", **shown)  # type: ignore[arg-type]
