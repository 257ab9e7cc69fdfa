"""A walk-in: somebody stands at the desk and wants to be treated now."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from spa_app import clock
from spa_app.errors import N_, ConflictError, WayOut
from spa_app.models import Branch
from spa_app.queries.booking_form import fitting_cards, list_card_choices
from spa_app.queries.customers import FoundCustomer, find_by_phone
from spa_app.services import customers, phones
from spa_app.services.actor import Actor
from spa_app.services.bookings.booking import ItemRequest, book
from spa_app.services.bookings.progress import arrive
from spa_app.services.imports.values import fold
from spa_app.services.transaction import atomic


def take_walk_in(
    *,
    branch_id: int,
    service_id: int,
    actor: Actor,
    customer_id: int | None = None,
    full_name: str = "",
    phone: str | None = None,
    shares_phone: bool = False,
    starts_at: dt.datetime | None = None,
    treatment_id: int | None = None,
    choose_card: bool = True,
) -> int:
    """Book one service for whoever has just come in, note that they are here, and return the visit's id.

    It begins this minute, or at ``starts_at`` when they would rather wait (a time that has passed means now; on another
    day they have not arrived yet). First free therapist and room. The customer is ``customer_id``, else found by
    ``phone``, else added. ``treatment_id`` pays; without one the card that expires first of those that fit, or with
    ``choose_card`` off the customer. Locks what :func:`book` does. Raises what it raises, and :class:`ConflictError`
    ``phone_known``, with each possible customer as a way out, when the phone and the name do not say clearly who it is.
    """
    with atomic() as session:
        actor.require_branch(branch_id)
        timezone = session.get_one(Branch, branch_id).timezone
        now = clock.now().replace(second=0, microsecond=0)
        begins_at = max(starts_at or now, now)
        visit_on = clock.local_date(begins_at, timezone)
        if customer_id is None:
            customer_id = _find_or_add(full_name=full_name, phone=phone, shares_phone=shares_phone, actor=actor)
        if treatment_id is None and choose_card:
            known = list_card_choices(customer_id, branch_id=branch_id)
            fitting = fitting_cards(known, service_id=service_id, visit_on=visit_on, taken=Counter())
            treatment_id = fitting[0].id if fitting else None
        booking_id = book(
            customer_id=customer_id,
            branch_id=branch_id,
            starts_at=begins_at,
            items=[ItemRequest(service_id, treatment_id=treatment_id)],
            actor=actor,
        )
        if visit_on == clock.today(timezone):
            arrive(booking_id, actor=actor)
        return booking_id


def list_meant(known: Sequence[FoundCustomer], full_name: str) -> list[FoundCustomer]:
    """Who of those on a phone can be meant by a typed name: everybody by none, else whoever is called just so."""
    wanted = fold(full_name)
    return [one for one in known if wanted in ("", fold(one.full_name))]


def _find_or_add(*, full_name: str, phone: str | None, shares_phone: bool, actor: Actor) -> int:
    """Whose phone it is, if the name agrees or none was given; else a new customer.

    Part of a name is another name: who is taken for somebody else would pay with their card.
    """
    number = phones.normalise(phone)
    known = find_by_phone(number) if number else []
    meant = list_meant(known, full_name)
    if len(meant) == 1 and not (shares_phone and not fold(full_name)):
        return meant[0].id
    if known and not shares_phone:
        raise ConflictError(
            "phone_known",
            N_("This phone number is known. Who is here?"),
            field="phone",
            ways_out=(
                *(
                    WayOut("choose_customer", N_("It is %(name)s"), {"customer_id": one.id, "name": one.full_name})
                    for one in meant or known
                ),
                WayOut("share_phone", N_("Somebody else on the same phone")),
            ),
        )
    return customers.create_customer(full_name=full_name, phone=phone, shares_phone=shares_phone, actor=actor)
