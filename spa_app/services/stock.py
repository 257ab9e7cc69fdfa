"""Products and their stock, branch by branch: the only place that writes either.

What is on hand is a cache of the movements; whoever changes it holds the row's lock, and the database keeps it at zero
or above.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError, WayOut
from spa_app.extensions import db
from spa_app.models import Branch, InvoiceLine, Product, ProductStock, StockMovement
from spa_app.queries import stock as queries
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.catalogue import BIGGEST_PRICE
from spa_app.services.seen import require_unchanged
from spa_app.services.team import clean_name
from spa_app.services.texts import REASON_LENGTH, clean_text, required_reason
from spa_app.services.transaction import atomic

SKU_LENGTH = 40
MOST_PIECES = 100_000
# column → least, most
LIMITS = {"price_amount": (0, BIGGEST_PRICE), "vat_rate_bp": (0, 10_000)}
BY_HAND = ("received", "counted", "written_off")


def save_product(
    *,
    values: dict[str, Any],
    low_quantity: int,
    branch_id: int,
    actor: Actor,
    product_id: int | None = None,
    seen: str | None = None,
) -> int:
    """Add a product, or change one, and return its id. It is sold in every branch that has any.

    ``values`` are :data:`queries.PRODUCT_COLUMNS`; from ``low_quantity`` pieces down it counts as low in that branch.
    A manager's act. Locks the product, then its stock. Raises :class:`InvalidError` at the field, and
    :class:`ConflictError` for a name or number in use and where it is no longer as ``seen``.
    """
    actor.require_manager()
    actor.require_branch(branch_id)
    sku = clean_text(values["sku"] or "", field="sku", limit=SKU_LENGTH, lines=False)
    values = {**values, "name": clean_name(values["name"], field="name"), "sku": sku or None}
    for column, (least, most) in {**LIMITS, "low_quantity": (0, MOST_PIECES)}.items():
        value = low_quantity if column == "low_quantity" else values[column]
        if not least <= value <= most:
            raise InvalidError(
                "out_of_range", N_("Give a number from %(least)s to %(most)s."), field=column, least=least, most=most
            )
    with atomic() as session:
        before: dict[str, Any] | None = None
        if product_id is None:
            row = Product(**values)
            session.add(row)
            session.flush()
        else:
            found = session.get(Product, product_id, with_for_update={"key_share": True}, populate_existing=True)
            if found is None:
                raise NotFoundError("not_found", N_("There is no such thing in your branches."))
            row = found
            before = queries.list_products(branch_id, row.id)[0].state
            require_unchanged(before, seen)
            for column, value in values.items():
                setattr(row, column, value)
        lock_stocks([row.id], branch_id=branch_id, make=True)[row.id].low_quantity = low_quantity
        session.flush()
        after = queries.list_products(branch_id, row.id)[0].state
        audit.record("product_saved", entity="product", entity_id=row.id, actor=actor, before=before, after=after)
        return row.id


def move_stock(
    product_id: int, *, branch_id: int, kind: str, quantity: int | None, actor: Actor, reason: str = ""
) -> int:
    """Receive or write off ``quantity`` pieces, or set what was counted, and return the movement's id.

    ``kind`` is one of :data:`BY_HAND`. Pieces are written off with a reason. A manager's act. Locks the stock. Raises
    :class:`NotFoundError` for an unknown product, :class:`InvalidError` at the field, and :class:`ConflictError` for
    writing off more than there are.
    """
    actor.require_manager()
    actor.require_branch(branch_id)
    with atomic() as session:
        reason = (
            required_reason(reason)
            if kind == "written_off"
            else clean_text(reason, field="reason", limit=REASON_LENGTH)
        )
        if kind not in BY_HAND:
            raise InvalidError("kind_unknown", N_("Choose what happened."), field="kind")
        least = 0 if kind == "counted" else 1
        if quantity is None or not least <= quantity <= MOST_PIECES:
            raise InvalidError(
                "out_of_range",
                N_("Give a number from %(least)s to %(most)s."),
                field="quantity",
                least=least,
                most=MOST_PIECES,
            )
        if session.get(Product, product_id) is None:
            raise NotFoundError("not_found", N_("There is no such thing in your branches."))
        row = lock_stocks([product_id], branch_id=branch_id, make=True)[product_id]
        before = row.on_hand
        by = quantity if kind == "received" else quantity - before if kind == "counted" else -quantity
        if before + by < 0:
            raise ConflictError(
                "too_few", N_("Only %(left)s are on hand: count them first."), field="quantity", left=before
            )
        movement = StockMovement(stock_id=row.id, kind=kind, quantity=by, reason=reason, actor_id=actor.user_id)
        session.add(movement)
        row.on_hand = ProductStock.on_hand + by
        session.flush()
        audit.record(
            f"stock_{kind}",
            entity="product",
            entity_id=product_id,
            actor=actor,
            before={"branch_id": branch_id, "on_hand": before},
            after={"branch_id": branch_id, "on_hand": before + by},
            reason=reason,
        )
        return movement.id


def lock_stocks(product_ids: Iterable[int], *, branch_id: int, make: bool = False) -> dict[int, ProductStock]:
    """Lock a branch's stocks of products, by id, and return them fresh by product; ``make`` those that are missing."""
    ids = sorted(set(product_ids))
    if not ids:
        return {}
    if make:
        db.session.execute(
            insert(ProductStock)
            .values([{"product_id": product_id, "branch_id": branch_id} for product_id in ids])
            .on_conflict_do_nothing()
        )
    query = (
        select(ProductStock)
        .where(ProductStock.product_id.in_(ids), ProductStock.branch_id == branch_id)
        .order_by(ProductStock.id)
        .execution_options(populate_existing=True)
    )
    return {row.product_id: row for row in db.session.execute(query.with_for_update()).scalars()}


def require_on_hand(wanted: Mapping[int, int], stocks: Mapping[int, ProductStock], *, branch: Branch) -> None:
    """Raise :class:`ConflictError` unless so many pieces of each product are on hand. ``stocks`` are locked."""
    for product_id, quantity in wanted.items():
        left = stocks[product_id].on_hand if product_id in stocks else 0
        if left < quantity:
            name = db.session.get_one(Product, product_id).name
            where = {"product_id": product_id, "branch": branch.id, "product": name}
            raise ConflictError(
                "out_of_stock",
                N_("Of %(product)s, %(left)s are on hand. Nothing was sold."),
                field="lines",
                ways_out=(WayOut("count_stock", N_("Correct the stock of %(product)s"), where),),
                product=name,
                left=left,
            )


def take_sold(lines: Sequence[InvoiceLine], stocks: Mapping[int, ProductStock], *, actor: Actor) -> None:
    """Take what lines sold out of the stocks, which the caller holds locked and has found sufficient."""
    _move(lines, stocks, "sold", "", actor)


def give_back(lines: Sequence[InvoiceLine], *, branch_id: int, reason: str, actor: Actor) -> None:
    """Put what lines sold back into the branch's stock. Locks the stocks by id."""
    stocks = lock_stocks((line.product_id for line in lines if line.product_id), branch_id=branch_id)
    _move(lines, stocks, "returned", reason, actor)


def _move(
    lines: Sequence[InvoiceLine], stocks: Mapping[int, ProductStock], kind: str, reason: str, actor: Actor
) -> None:
    for line in lines:
        if line.product_id is None:
            continue
        row = stocks[line.product_id]
        by = line.quantity if kind == "returned" else -line.quantity
        db.session.add(
            StockMovement(
                stock_id=row.id,
                kind=kind,
                quantity=by,
                invoice_line_id=line.id,
                reason=reason,
                actor_id=actor.user_id,
            )
        )
        # By the database's own arithmetic: so the constraint holds even for one who read it too early.
        row.on_hand = ProductStock.on_hand + by
        db.session.flush()
