"""/store-credit: who has how much; /customers/<id>/credit: where it came from and where it went."""

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from spa_app.errors import N_
from spa_app.queries import store_credit as queries
from spa_app.web.customers.routes import require_profile
from spa_app.web.htmx import render
from spa_app.web.navigation import DESK
from spa_app.web.security import roles, signed_in

bp = Blueprint("store_credit", __name__)

# What moved it, as the history says it; anything else is "Booked".
EVENTS = {
    "invoice_credited": N_("Invoice taken back"),
    "invoice_refunded": N_("Refund"),
    "card_refunded": N_("Card refunded"),
    "refund_withdrawn": N_("Refund taken back"),
    "payment_taken": N_("Used for payment"),
    "credit_paid_out": N_("Paid out"),
    "credit_moved": N_("Came with a merge, or went with one"),
    "gift_card_adjusted": N_("Gift card closed"),
    "deposit_returned": N_("Deposit turned into store credit"),
}


@bp.get("/store-credit")
@roles(*DESK)
def index() -> ResponseReturnValue:
    """Customers with store credit, the most first, or found by ``q``."""
    search = request.args.get("q", "").strip()[:100]
    page = request.args.get("page", "1")
    number = max(int(page), 1) if page.isascii() and page.isdigit() and len(page) < 6 else 1
    return render(
        "store_credit/index.html",
        "store_credit/_index.html",
        title=_("Store credit"),
        found=queries.list_credits(search=search, page=number),
        search=search,
        page_number=number,
        page_url=lambda wanted: url_for("store_credit.index", q=search or None, page=wanted),
    )


@bp.get("/customers/<int:customer_id>/credit")
@roles(*DESK)
def history(customer_id: int) -> ResponseReturnValue:
    """A customer's store credit with everything that moved it."""
    profile = require_profile(customer_id)
    return render(
        "store_credit/customer.html",
        "store_credit/_customer.html",
        title=_("Store credit of %(name)s", name=profile.full_name),
        customer=profile,
        changes=queries.list_changes(customer_id),
        events=EVENTS,
        branch_ids=[branch.id for branch in signed_in().branches],
    )
