"""The plans that a spa sells. Sold cards keep the sessions, the price, the validity and the branches they came with."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import delete, select

from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import Branch, Plan, PlanBranch, PlanItem, Service
from spa_app.queries import setup
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.catalogue import BIGGEST_PRICE
from spa_app.services.seen import require_unchanged
from spa_app.services.team import clean_name
from spa_app.services.transaction import atomic

MOST_SESSIONS = 1000
MOST_ITEMS = 8
# column → least, most
LIMITS = {
    "price_amount": (0, BIGGEST_PRICE),
    "vat_rate_bp": (0, 10_000),
    "validity_days": (1, 3650),
    "validity_months": (1, 120),
}
Item = tuple[int | None, int, int]


def save_plan(
    *,
    values: dict[str, Any],
    items: Sequence[Item],
    actor: Actor,
    branch_ids: Collection[int] = (),
    plan_id: int | None = None,
    seen: str | None = None,
) -> int:
    """Add a plan, or change one, and return its id. Its price is in minor units, VAT included.

    ``values`` are :data:`setup.PLAN_COLUMNS`, with either days or months; ``items`` are (service or None for any,
    sessions, bonus sessions on top). It is sold, and its cards are good, in ``branch_ids`` only; none: everywhere. One
    that is no longer for sale keeps its cards valid. Locks the plan. Raises :class:`InvalidError` at the field, and
    :class:`ConflictError` for a name in use and where the plan is no longer as ``seen``.
    """
    actor.require_manager()
    values = {**values, "name": clean_name(values["name"], field="name")}
    for column, (least, most) in LIMITS.items():
        if values[column] is not None and not least <= values[column] <= most:
            raise InvalidError(
                "out_of_range", N_("Give a number from %(least)s to %(most)s."), field=column, least=least, most=most
            )
    if (values["validity_days"] is None) == (values["validity_months"] is None):
        raise InvalidError("validity_unit", N_("Give either days or months."), field="validity_days")
    with atomic() as session:
        before: dict[str, Any] | None = None
        if plan_id is None:
            _check(items, ())
            _check_branches(branch_ids, ())
            row = Plan(**values)
            session.add(row)
        else:
            found = session.get(Plan, plan_id, with_for_update={"key_share": True}, populate_existing=True)
            if found is None:
                raise NotFoundError("not_found", N_("There is no such thing in your branches."))
            row = found
            before = setup.list_plans(row.id)[0].state
            require_unchanged(before, seen)
            _check(items, [item[0] for item in before["items"]])
            _check_branches(branch_ids, before["branch_ids"])
            for column, value in values.items():
                setattr(row, column, value)
            session.execute(delete(PlanItem).where(PlanItem.plan_id == row.id))
            session.execute(delete(PlanBranch).where(PlanBranch.plan_id == row.id))
        session.flush()
        for service_id, sessions, bonus in items:
            session.add(PlanItem(plan_id=row.id, service_id=service_id, sessions=sessions, bonus_sessions=bonus))
            session.flush()  # one by one: their ids are their order
        session.add_all(PlanBranch(plan_id=row.id, branch_id=branch_id) for branch_id in sorted(set(branch_ids)))
        session.flush()
        after = setup.list_plans(row.id)[0].state
        audit.record("plan_saved", entity="plan", entity_id=row.id, actor=actor, before=before, after=after)
        return row.id


def _check_branches(branch_ids: Collection[int], kept: Collection[int]) -> None:
    known = {*kept, *db.session.execute(select(Branch.id).where(Branch.is_active)).scalars()}
    if not set(branch_ids) <= known:
        raise InvalidError("branch_unknown", N_("There is no such branch."), field="branch_ids")


def _check(items: Sequence[Item], kept: Collection[int | None]) -> None:
    """Refuse items that cannot be. A service that is ``kept`` may stay although it is no longer offered."""
    if not 1 <= len(items) <= MOST_ITEMS:
        raise InvalidError("items_missing", N_("Choose what the package holds."), field="items")
    named = [item[0] for item in items]
    if len(set(named)) < len(named):
        raise InvalidError("service_twice", N_("A service can stand in a package only once."), field="items")
    known = {None, *kept, *db.session.execute(select(Service.id).where(Service.is_active)).scalars()}
    if not set(named) <= known:
        raise InvalidError("service_unknown", N_("Choose a service."), field="items")
    for _service_id, sessions, bonus in items:
        if sessions < 1 or bonus < 0 or sessions + bonus > MOST_SESSIONS:
            raise InvalidError(
                "sessions_out_of_range",
                N_("Give the sessions of each service, up to %(most)s with those that are free."),
                field="items",
                most=MOST_SESSIONS,
            )
