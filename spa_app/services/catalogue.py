"""The services that a spa offers. What is booked or sold keeps the price, the length and the VAT it was made with."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, select

from spa_app.errors import N_, InvalidError, NotFoundError
from spa_app.models import ResourceType, Service, ServiceResource
from spa_app.queries import setup
from spa_app.services import audit
from spa_app.services.actor import Actor
from spa_app.services.seen import require_unchanged
from spa_app.services.team import clean_name, refuse_with_visits
from spa_app.services.transaction import atomic

BIGGEST_PRICE = 10**12
# column → least, most
LIMITS = {
    "duration_minutes": (5, 720),
    "buffer_before_minutes": (0, 120),
    "buffer_after_minutes": (0, 120),
    "price_amount": (0, BIGGEST_PRICE),
    "vat_rate_bp": (0, 10_000),
}


def save_service(
    *,
    values: dict[str, Any],
    types: Collection[int],
    actor: Actor,
    service_id: int | None = None,
    seen: str | None = None,
    despite_visits: bool = False,
) -> int:
    """Add a service, or change one, and return its id. It is offered in every branch that can perform it.

    ``values`` are :data:`setup.SERVICE_COLUMNS`; ``types`` are the ids of the kinds of rooms and machines it needs (one
    that was needed for a part of it stays so). Locks the service. Raises :class:`InvalidError` at the field, and
    :class:`ConflictError` for a name in use, where it is no longer as ``seen``, and where it is to be offered no longer
    with visits ahead (has_visits) unless ``despite_visits``: those stay booked.
    """
    actor.require_manager()
    values = {**values, "name": clean_name(values["name"], field="name")}
    for column, (least, most) in LIMITS.items():
        if not least <= values[column] <= most:
            raise InvalidError(
                "out_of_range", N_("Give a number from %(least)s to %(most)s."), field=column, least=least, most=most
            )
    with atomic() as session:
        known = set(session.execute(select(ResourceType.id).where(ResourceType.id.in_(types))).scalars())
        if known != set(types):
            raise InvalidError("type_unknown", N_("Choose a kind of room."), field="types")
        before = None
        if service_id is None:
            row = Service(**values)
            session.add(row)
            session.flush()
        else:
            found = session.get(Service, service_id, with_for_update={"key_share": True}, populate_existing=True)
            if found is None:
                raise NotFoundError("not_found", N_("There is no such thing in your branches."))
            row = found
            before = setup.list_services(row.id)[0].state
            require_unchanged(before, seen)
            if row.is_active and not values["is_active"] and not despite_visits:
                refuse_with_visits(setup.visits_for_service(row.id))
            for column, value in values.items():
                setattr(row, column, value)
            session.execute(
                delete(ServiceResource).where(
                    ServiceResource.service_id == row.id, ServiceResource.type_id.not_in(known)
                )
            )
            known -= set(before["types"])
        session.add_all(ServiceResource(service_id=row.id, type_id=type_id) for type_id in sorted(known))
        session.flush()
        after = setup.list_services(row.id)[0].state
        audit.record("service_saved", entity="service", entity_id=row.id, actor=actor, before=before, after=after)
        return row.id
