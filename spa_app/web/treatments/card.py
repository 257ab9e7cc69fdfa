"""/treatments/<id>: one card with its history, and the acts that are open on it now."""

from typing import Any

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.queries import card_page as queries
from spa_app.queries import treatments as cards
from spa_app.queries.card_page import PER_PAGE, CardHead, Person
from spa_app.queries.customers import find_customers
from spa_app.queries.treatments import Card
from spa_app.web import errors
from spa_app.web.htmx import render
from spa_app.web.invoices.forms import plain_amount
from spa_app.web.navigation import DESK, MANAGERS
from spa_app.web.security import local_today, roles, signed_in, use_branch
from spa_app.web.treatments.forms import (
    BASES,
    AdjustForm,
    DateForm,
    ExchangeForm,
    ReasonForm,
    RefundForm,
    ShareForm,
    TermsForm,
    TransferForm,
    UnfreezeForm,
)

bp = Blueprint("cards", __name__, url_prefix="/treatments")

FOUND = 8
# status → what can be done with such a card, in the order in which it is offered
ACTS = {
    "active": ("extend", "freeze", "share", "transfer", "adjust", "exchange", "refund"),
    "completed": ("adjust",),
    "frozen": ("unfreeze",),
    "expired": ("extend", "reactivate"),
    "cancelled": ("withdraw-refund",),
}
MANAGERS_ACTS = ("adjust", "exchange", "refund", "reactivate", "withdraw-refund")

for _action, _do, _whose in (
    ("extend_card", "extend", DESK),
    ("unfreeze_card", "unfreeze", DESK),
    ("share_card", "share", DESK),
    ("reactivate_card", "reactivate", MANAGERS),
    ("refund_card", "refund", MANAGERS),
):
    errors.register_way_out(_action, "cards.show", "treatment_id", roles=_whose, do=_do, _anchor="act")


@bp.get("/<int:treatment_id>")
@roles(*DESK)
def show(treatment_id: int) -> ResponseReturnValue:
    """The card; ``do`` opens the form of an act, ``q`` finds whom it is for, ``basis`` and ``fee_amount`` its terms."""
    head = enter(treatment_id)
    return card_page(head, request.args.get("do", ""))


def enter(treatment_id: int) -> CardHead:
    """The card, if it is of one of the user's branches, whose clocks then count; else 404."""
    head = queries.find_card(treatment_id, branch_ids=_branch_ids())
    if head is None:
        abort(404)
    use_branch(head.branch_id)
    return head


def card_page(head: CardHead, act: str, form: Any = None, status: int = 200) -> ResponseReturnValue:
    """The page of a card, with the form of ``act`` open: an empty one, or a refused one."""
    card = cards.get_card(head.id)
    assert card is not None
    acts = _open_acts(card, head)
    # A refused form shows what was refused, even where the fresh truth no longer offers the act.
    shown = act if act in acts or form is not None else ""
    page = request.args.get("page", "1")
    number = max(int(page), 1) if page.isascii() and page.isdigit() and len(page) < 6 else 1
    history, total = queries.list_history(head.id, page=number)
    owner = queries.get_person(head.customer_id)
    return render(
        "treatments/card_page.html",
        "treatments/_card_main.html",
        status,
        title=_("Card #%(id)s", id=head.id),
        card=card,
        owner=owner,
        lot=queries.get_lot(head.id),
        acts=acts,
        act=shown,
        history=history,
        total=total,
        page_number=number,
        pages=-(-total // PER_PAGE),
        page_url=lambda wanted: url_for("cards.show", treatment_id=head.id, page=wanted),
        branch_ids=_branch_ids(),
        plain=plain_amount,
        **_form_of(shown, card, form),
    )


def _open_acts(card: Card, head: CardHead) -> list[str]:
    may = list(ACTS[card.status])
    if card.status == "expired":
        may = ["reactivate"] if head.expired_sessions else ["extend"]
    if card.expiry_date is None and "extend" in may:
        may.remove("extend")
    if head.has_refund and "withdraw-refund" not in may:
        may.append("withdraw-refund")
    if not head.has_refund and "withdraw-refund" in may:
        may.remove("withdraw-refund")
    is_manager = signed_in().role in MANAGERS
    return [act for act in may if is_manager or act not in MANAGERS_ACTS]


def _form_of(act: str, card: Card, form: Any) -> dict[str, Any]:
    """What the form of an act needs, filled with what is likely."""
    if act in ("extend", "reactivate"):
        return {
            "form": form or DateForm(formdata=None, expiry_date=max(card.expiry_date or local_today(), local_today()))
        }
    if act in ("freeze", "withdraw-refund"):
        return {"form": form or ReasonForm(formdata=None)}
    if act == "unfreeze":
        return {"form": form or UnfreezeForm(formdata=None)}
    if act == "adjust":
        return {"form": form or AdjustForm(formdata=None)}
    if act in ("transfer", "share"):
        return _people_form(act, card, form)
    if act in ("refund", "exchange"):
        return _terms_form(act, card, form)
    return {}


def _people_form(act: str, card: Card, form: Any) -> dict[str, Any]:
    form = form or (TransferForm(formdata=None) if act == "transfer" else ShareForm(formdata=None))
    q = request.args.get("q", "").strip()[:100]
    people = [Person(one.id, one.full_name, one.phone) for one in find_customers(q, FOUND)] if q else None
    near = queries.list_near(card.id) if people is None else people
    chosen = form.customer_id.data
    if chosen and chosen not in [one.id for one in near] and (person := queries.get_person(chosen)):
        near = [*near, person]
    form.offer(near)
    return {"form": form, "q": q, "people": near}


def _terms_form(act: str, card: Card, form: Any) -> dict[str, Any]:
    terms = form or TermsForm(formdata=request.args)
    if form is None and not terms.validate():
        terms = TermsForm(formdata=None)
    if form is None:
        form = (
            RefundForm(formdata=None)
            if act == "refund"
            else ExchangeForm(cards.list_plans_for_sale(card.branch_id), formdata=None)
        )
    basis = "pro_rata" if act == "exchange" or card.service is None else terms.basis.data
    refund = queries.preview_refund(card.id, basis=basis if basis in BASES else "pro_rata", fee_amount=terms.fee)
    return {"form": form, "terms": terms, "refund": refund, "basis": basis}


def _branch_ids() -> list[int]:
    return [branch.id for branch in signed_in().branches]
