"""/setup/products: what is sold over the counter, and how many of each the branch has."""

from typing import Any

from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, DecimalField, IntegerField, RadioField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange

from spa_app.errors import N_, NotFoundError
from spa_app.queries import stock as queries
from spa_app.queries.stock import ProductSetup
from spa_app.queries.users import BranchRef
from spa_app.services import stock, team
from spa_app.services.texts import REASON_LENGTH
from spa_app.web import errors
from spa_app.web.forms import Form
from spa_app.web.invoices.forms import AmountField
from spa_app.web.navigation import MANAGERS
from spa_app.web.security import asked_branch, current_actor, roles
from spa_app.web.setup.fields import percent
from spa_app.web.setup.frame import NOT_SENT, Submitted, bp, see, seen, show, submit

KINDS = {
    "received": _l("Received"),
    "counted": _l("Counted"),
    "written_off": _l("Written off"),
    "sold": _l("Sold"),
    "returned": _l("Came back"),
}

errors.register_way_out("count_stock", "setup.product", "product_id", "branch", roles=MANAGERS)


class ProductForm(Form):
    """A product, its price with VAT, and from when on it is low here."""

    name = StringField(
        _l("Name of the product"), [InputRequired(), Length(max=team.NAME_LENGTH)], render_kw={"autocomplete": "off"}
    )
    sku = StringField(
        _l("Article number"), [Length(max=stock.SKU_LENGTH)], render_kw={"autocomplete": "off", "maxlength": 40}
    )
    price_amount = AmountField(
        _l("Price, VAT included"),
        [InputRequired()],
        render_kw={"inputmode": "numeric", "autocomplete": "off", "maxlength": 40},
    )
    vat_percent = DecimalField(_l("VAT in percent"), [InputRequired(), NumberRange(0, 100)], places=None, default=10)
    low_quantity = IntegerField(
        _l("Low from so many pieces down"), [InputRequired(), NumberRange(0, stock.MOST_PIECES)], default=2
    )
    is_active = BooleanField(_l("For sale"), default=True)

    def values(self) -> dict[str, Any]:
        """The product's columns."""
        vat = self.vat_percent.data
        return {
            "name": self.name.data,
            "sku": self.sku.data,
            "price_amount": self.price_amount.data if self.price_amount.data is not None else -1,
            "vat_rate_bp": int(vat * 100) if vat is not None else -1,
            "is_active": self.is_active.data,
        }


class StockForm(Form):
    """What came, what went, or what was counted."""

    kind = RadioField(
        _l("What happened"),
        [InputRequired()],
        choices=[SelectChoice(kind, KINDS[kind]) for kind in stock.BY_HAND],
        default="received",
    )
    quantity = IntegerField(
        _l("Pieces"),
        [InputRequired(), NumberRange(0, stock.MOST_PIECES)],
        render_kw={"autocomplete": "off", "min": 0},
    )
    reason = StringField(
        _l("Reason"), [Length(max=REASON_LENGTH)], render_kw={"autocomplete": "off", "maxlength": REASON_LENGTH}
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reason.flags.unmarked = True


@bp.get("/products")
@roles(*MANAGERS)
def products() -> ResponseReturnValue:
    """All products with the branch's stock of each, those that are low pointed out."""
    return show("setup.products", "_products.html", products=queries.list_products(asked_branch().id))


@bp.get("/products/new")
@roles(*MANAGERS)
def new_product() -> ResponseReturnValue:
    """The form for a new one."""
    return _page(asked_branch(), None)


@bp.get("/products/<int:product_id>")
@roles(*MANAGERS)
def product(product_id: int) -> ResponseReturnValue:
    """One of them, to be changed, received, counted or written off."""
    branch = asked_branch()
    return _page(branch, _known(branch, product_id))


@bp.post("/products")
@roles(*MANAGERS)
def add_product() -> ResponseReturnValue:
    """Add one, and go on to its stock."""
    return _save(asked_branch(), None)


@bp.post("/products/<int:product_id>")
@roles(*MANAGERS)
def save_product(product_id: int) -> ResponseReturnValue:
    """Change one."""
    branch = asked_branch()
    return _save(branch, _known(branch, product_id))


@bp.post("/products/<int:product_id>/stock")
@roles(*MANAGERS)
def move_stock(product_id: int) -> ResponseReturnValue:
    """Receive ``quantity`` pieces, write them off, or set what was counted; ``kind`` says which."""
    branch = asked_branch()
    chosen = _known(branch, product_id)
    form = StockForm()
    submitted = submit(
        form,
        "setup_stock",
        lambda: stock.move_stock(
            product_id,
            branch_id=branch.id,
            kind=form.kind.data or "",
            quantity=form.quantity.data,
            reason=form.reason.data or "",
            actor=current_actor(),
        ),
    )
    if submitted.is_done:
        return see("setup.product", branch, product_id=product_id)
    return _page(branch, chosen, submitted=submitted, stock_form=form)


def _save(branch: BranchRef, chosen: ProductSetup | None) -> ResponseReturnValue:
    form = ProductForm()
    added: list[int] = []

    def save() -> int:
        added.append(
            stock.save_product(
                product_id=chosen.id if chosen else None,
                values=form.values(),
                low_quantity=form.low_quantity.data if form.low_quantity.data is not None else -1,
                branch_id=branch.id,
                seen=seen() if chosen else None,
                actor=current_actor(),
            )
        )
        return added[0]

    submitted = submit(form, "setup_product", save, {"vat_rate_bp": "vat_percent"})
    if not submitted.is_done:
        return _page(branch, chosen, form, submitted)
    # A new one has no stock yet: that is the next thing to say. A replay of the form did nothing, and lists all.
    if chosen is None and added:
        return see("setup.product", branch, product_id=added[0])
    return see("setup.products", branch)


def _known(branch: BranchRef, product_id: int) -> ProductSetup:
    for one in queries.list_products(branch.id, product_id):
        return one
    raise NotFoundError("not_found", N_("There is no such thing in your branches."))


def _page(
    branch: BranchRef,
    chosen: ProductSetup | None,
    form: ProductForm | None = None,
    submitted: Submitted = NOT_SENT,
    stock_form: StockForm | None = None,
) -> ResponseReturnValue:
    if chosen and submitted.is_stale:
        chosen = _known(branch, chosen.id)
    if form is None or submitted.is_stale:
        vat = {"vat_percent": percent(chosen.values["vat_rate_bp"])} if chosen else {}
        form = ProductForm(formdata=None, data={**(chosen.state if chosen else {}), **vat})
    return show(
        "setup.products",
        "_product.html",
        submitted,
        title=chosen.name if chosen else _("New product"),
        form=form,
        stock_form=stock_form or StockForm(formdata=None),
        chosen=chosen,
        stamp=chosen.stamp if chosen else None,
        movements=queries.list_movements(chosen.id, branch.id) if chosen else [],
        kinds=KINDS,
    )
