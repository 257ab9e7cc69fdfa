"""Promotions: claimed while a bill is written, under the lock of the promotion's row. Rules: 1-product, *Money*."""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from spa_app import clock
from spa_app.errors import N_, ConflictError, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import Branch, Promotion, PromotionUse
from spa_app.money import Money
from spa_app.queries import promotions as queries
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.catalogue import BIGGEST_PRICE
from spa_app.services.seen import require_unchanged
from spa_app.services.team import clean_name
from spa_app.services.transaction import atomic

MOST_USES = 1_000_000
# column → least, most
LIMITS = {
    "discount_amount": (1, BIGGEST_PRICE),
    "minimum_amount": (0, BIGGEST_PRICE),
    "max_uses": (1, MOST_USES),
    "max_uses_per_customer": (1, MOST_USES),
}


@dataclass(frozen=True)
class Claim:
    """A use that is counted already, and ``amount``, in minor units, which it takes off the bill."""

    promotion_id: int
    name: str
    amount: int


def clean_code(code: str) -> str:
    """A code as it is stored: upper case, without spaces."""
    return re.sub(r"\s+", "", code).upper()


def check(code: str, *, branch: Branch, customer_id: int, total_amount: int, besides: int | None = None) -> Claim:
    """What a code would take off a bill of ``total_amount`` (VAT in it) today; counts and locks nothing.

    The use that the invoice ``besides`` holds does not count: the bill would take its place. Raises what :func:`claim`
    raises.
    """
    return _check(
        _find(code, lock=False), branch=branch, customer_id=customer_id, total_amount=total_amount, besides=besides
    )


def claim(code: str, *, branch: Branch, customer_id: int, total_amount: int) -> Claim:
    """Count a use of a promotion for the bill that the caller is about to issue (:func:`record_use` names it).

    ``total_amount`` is what the promotion may lower, VAT in it. Locks the promotion to the end of the transaction,
    before the invoice counter. Raises, at the field ``code``, :class:`InvalidError` for a code that does not exist, is
    not offered (any longer, or yet) or wants a larger bill, and :class:`ConflictError` where its uses are taken.
    """
    promotion = _find(code, lock=True)
    claimed = _check(promotion, branch=branch, customer_id=customer_id, total_amount=total_amount)
    # By the database's own arithmetic: so the constraint holds even for one who read it too early.
    promotion.used_count = Promotion.used_count + 1
    db.session.flush()
    return claimed


def record_use(claimed: Claim, *, invoice_id: int, customer_id: int) -> None:
    """Write down which bill a claim went to. The caller has issued it in the transaction of the claim."""
    db.session.add(
        PromotionUse(
            promotion_id=claimed.promotion_id,
            customer_id=customer_id,
            invoice_id=invoice_id,
            discount_amount=claimed.amount,
        )
    )
    db.session.flush()


def release(invoice_id: int) -> None:
    """Give back the use of a bill that is void or wholly credited, which the caller holds. Locks the promotion."""
    use = db.session.execute(
        select(PromotionUse).where(PromotionUse.invoice_id == invoice_id, PromotionUse.released_at.is_(None))
    ).scalar()
    if use is None:
        return
    promotion = _lock(use.promotion_id)
    use.released_at = clock.now()
    promotion.used_count = Promotion.used_count - 1
    db.session.flush()


def retake(invoice_id: int) -> None:
    """Count the use of a bill that :func:`release` gave back again, because what credited the bill is taken back.

    The caller holds the invoice. Locks the promotion. Raises :class:`ConflictError` where its uses are taken meanwhile.
    """
    use = db.session.execute(
        select(PromotionUse).where(PromotionUse.invoice_id == invoice_id).order_by(PromotionUse.id.desc()).limit(1)
    ).scalar()
    if use is None or use.released_at is None:
        return
    promotion = _lock(use.promotion_id)
    use.released_at = None
    promotion.used_count = Promotion.used_count + 1
    db.session.flush()


def save_promotion(
    *, values: dict[str, Any], actor: Actor, promotion_id: int | None = None, seen: str | None = None
) -> int:
    """Add a promotion, or change one, and return its id; bills that hold it stay as they are. A manager's act.

    ``values`` are :data:`queries.COLUMNS`; amounts in minor units, either ``percent_bp`` or ``discount_amount``. Locks
    the promotion. Raises :class:`InvalidError` at the field, and :class:`ConflictError` for a code in use, for fewer
    uses than there are, and where it is no longer as ``seen``.
    """
    actor.require_manager()
    values = {**values, "name": clean_name(values["name"], field="name"), "code": clean_code(values["code"])}
    if not re.fullmatch(r"[A-Z0-9-]{2,20}", values["code"]):
        raise InvalidError(
            "code_malformed", N_("A code has 2 to 20 letters without accents, digits or hyphens."), field="code"
        )
    for column, (least, most) in LIMITS.items():
        if values[column] is not None and not least <= values[column] <= most:
            raise InvalidError(
                "out_of_range", N_("Give a number from %(least)s to %(most)s."), field=column, least=least, most=most
            )
    if values["percent_bp"] is not None and not 1 <= values["percent_bp"] <= 10_000:
        raise InvalidError("percent", N_("Give a percentage above 0, up to 100."), field="percent_bp")
    if (values["percent_bp"] is None) == (values["discount_amount"] is None):
        raise InvalidError("one_discount", N_("Give either a percentage or an amount."), field="percent_bp")
    if values["starts_on"] and values["ends_on"] and values["starts_on"] > values["ends_on"]:
        raise InvalidError("window", N_("The last day lies before the first."), field="ends_on")
    with atomic() as session:
        before: dict[str, Any] | None = None
        if promotion_id is None:
            row = Promotion(**values)
            session.add(row)
        else:
            row = _lock(promotion_id)
            before = queries.list_promotions(row.id)[0].state
            require_unchanged(before, seen)
            if values["max_uses"] is not None and values["max_uses"] < row.used_count:
                raise ConflictError(
                    "used_more_often",
                    N_("It is on %(count)s bills already: allow at least as many."),
                    field="max_uses",
                    count=row.used_count,
                )
            for column, value in values.items():
                setattr(row, column, value)
        session.flush()
        after = queries.list_promotions(row.id)[0].state
        audit.record("promotion_saved", entity="promotion", entity_id=row.id, actor=actor, before=before, after=after)
        return row.id


def _find(code: str, *, lock: bool) -> Promotion:
    query = select(Promotion).where(Promotion.code == clean_code(code))
    if lock:
        query = query.with_for_update(key_share=True)
    promotion = db.session.execute(query.execution_options(populate_existing=True)).scalar()
    if promotion is None:
        raise InvalidError(
            "promotion_unknown",
            N_("There is no promotion with the code %(typed)s."),
            field="code",
            typed=clean_code(code),
        )
    return promotion


def _lock(promotion_id: int) -> Promotion:
    promotion = db.session.execute(
        select(Promotion)
        .where(Promotion.id == promotion_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).scalar()
    if promotion is None:
        raise NotFoundError("not_found", N_("There is no such thing in your branches."))
    return promotion


def _check(
    promotion: Promotion, *, branch: Branch, customer_id: int, total_amount: int, besides: int | None = None
) -> Claim:
    def refuse(kind: type[InvalidError] | type[ConflictError], code: str, message: str, **params: Any) -> None:
        raise kind(code, message, field="code", name=promotion.name, **params)

    today = clock.today(branch.timezone)
    if not promotion.is_active:
        refuse(InvalidError, "promotion_over", N_("%(name)s is no longer offered."))
    if promotion.starts_on and today < promotion.starts_on:
        refuse(InvalidError, "promotion_not_yet", N_("%(name)s begins on %(day)s."), day=promotion.starts_on)
    if promotion.ends_on and today > promotion.ends_on:
        refuse(InvalidError, "promotion_ended", N_("%(name)s ended on %(day)s."), day=promotion.ends_on)
    if total_amount < max(promotion.minimum_amount, 1):
        refuse(
            InvalidError,
            "promotion_minimum",
            N_("%(name)s wants a bill of at least %(minimum)s; it is %(total)s so far, without tips and gift cards."),
            minimum=Money(max(promotion.minimum_amount, 1)),
            total=Money(total_amount),
        )
    held = (
        select(PromotionUse.id)
        .where(PromotionUse.invoice_id == besides, PromotionUse.released_at.is_(None))
        .where(PromotionUse.promotion_id == promotion.id)
    )
    own = 1 if besides and db.session.scalar(held) else 0
    if promotion.max_uses is not None and promotion.used_count - own >= promotion.max_uses:
        refuse(
            ConflictError,
            "promotion_used_up",
            N_("All %(count)s uses of %(name)s are taken."),
            count=promotion.max_uses,
        )
    if promotion.max_uses_per_customer is not None:
        used = db.session.scalar(
            select(func.count()).where(
                PromotionUse.promotion_id == promotion.id,
                PromotionUse.customer_id == customer_id,
                PromotionUse.released_at.is_(None),
            )
        )
        if (used or 0) - own >= promotion.max_uses_per_customer:
            refuse(
                ConflictError,
                "promotion_used_by_customer",
                N_("This customer has used %(name)s as often as it allows (%(count)s)."),
                count=promotion.max_uses_per_customer,
            )
    return Claim(promotion.id, promotion.name, promotion.takes(total_amount))
