"""Completing a visit whose card can no longer pay: each way out is a button that does it and completes."""

import re
from dataclasses import replace

from flask import request, url_for
from flask_babel import gettext as _

from spa_app import clock
from spa_app.errors import N_, DomainError, InvalidError, WayOut
from spa_app.queries.bookings import Visit, VisitItem, get_booking
from spa_app.queries.parties import list_mates
from spa_app.queries.treatments import find_plans_for, get_sale_of_visit
from spa_app.services import treatments
from spa_app.services.bookings import Settlement
from spa_app.services.bookings.party import guest_prefix
from spa_app.web import filters
from spa_app.web.bookings.draft import card_label
from spa_app.web.bookings.forms import SeenForm, parse_id, say_seen
from spa_app.web.bookings.item_edit import cards_for
from spa_app.web.bookings.place import beside
from spa_app.web.bookings.refusals import Refusal, guest_of, item_of
from spa_app.web.errors import Way, way_of
from spa_app.web.htmx import toast
from spa_app.web.security import current_actor

PLANS = 3
_FIELD = re.compile(r"pay-(\d{1,19})", re.ASCII)
_VALUE = re.compile(r"(desk|extend|unfreeze|card|plan)(?:-(\d{1,19}))?", re.ASCII)


def posted_settlements() -> dict[int, Settlement]:
    """How the posted form has services paid, by item id. Raises :class:`InvalidError` for what cannot be read."""
    settlements = {}
    for name, value in request.form.items():
        if field := _FIELD.fullmatch(name):
            settlements[_id(field[1])] = _settlement(value)
    return settlements


def posted_version() -> int | None:
    """The version of the visit that the sender of the form saw, where it says so."""
    text = request.form.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def posted_versions() -> dict[int, int]:
    """The versions of the visits of a party that the sender of the form saw; none where it says nothing readable."""
    return SeenForm().seen.data or {}


def offer_settlements(refusal: Refusal, shown: Visit, error: DomainError, *, together: bool) -> Refusal:
    """Put buttons in place of the ways out where a card can no longer pay; each posts all that was chosen so far.

    ``shown``: the visit on the screen; ``together``: the party was to be completed, and a guest's card gave out.
    """
    if not (error.field or "").endswith("-treatment_id"):
        return refusal
    visit = _visit_of(error, shown) if together else shown
    if visit is None or visit.status != "in_progress":
        return refusal
    position = int(item_of(error.field)) + 1
    item = next((one for one in visit.items if one.position == position), None)
    if item is None:
        return refusal
    chosen = {
        name: value
        for name, value in request.form.items()
        if (field := _FIELD.fullmatch(name)) and field[1] != str(item.id)
    }
    url = url_for("bookings.complete", booking_id=shown.id)
    seen = {shown.id: shown.version} | {mate.booking_id: mate.version for mate in shown.mates}
    as_seen = {"together": "y", "seen": say_seen(seen)} if together else {"version": str(visit.version)}

    def button(label: str, value: str) -> Way:
        return Way(label, post=url, fields={**chosen, f"pay-{item.id}": value, **as_seen})

    ways: list[Way] = []
    for way in error.ways_out:
        if buttons := [button(label, value) for label, value in _settles(way, visit, item)]:
            ways += buttons
        elif way.action != "choose_card":  # there is no other
            ways.append(way_of(way))
    if together:
        who = visit.customer.full_name
        lead = _("It is about %(name)s. Nothing was completed yet. Each of these completes all visits:", name=who)
    else:
        lead = _("Nothing was completed yet. Each of these completes the visit:")
    return replace(refusal, ways=tuple(ways), lead=lead if any(way.post for way in ways) else "")


def tell_sold(booking_id: int) -> None:
    """Say that a package which was sold on the way, for this visit or for one of its party, is still to be paid."""
    if not any(value.startswith("plan-") for value in request.form.values()):
        return
    mates = list_mates(booking_id) if request.form.get("together") else ()
    for visit_id in (booking_id, *(mate.booking_id for mate in mates)):
        if sale := get_sale_of_visit(visit_id):
            url = url_for("invoices.show", invoice_id=sale.id)
            words = _("Sold. Still to pay for the package: %(due)s", due=filters.money(sale.due_amount))
            toast(words, link_url=url, link_attrs=beside(url))


def _visit_of(error: DomainError, shown: Visit) -> Visit | None:
    """The visit of the guest whom a refusal is about: they stand in the order of their visits' ids."""
    ids = sorted((shown.id, *(mate.booking_id for mate in shown.mates)))
    prefixes = {guest_prefix(number): visit_id for number, visit_id in enumerate(ids)}
    visit_id = prefixes.get(guest_of(error.field))
    return shown if visit_id == shown.id else get_booking(visit_id, branch_ids=[shown.branch_id]) if visit_id else None


def _settles(way: WayOut, visit: Visit, item: VisitItem) -> list[tuple[str, str]]:
    """The buttons that a way out becomes: label, and what is posted; none where it leads elsewhere."""
    match way.action:
        case "pay_visit":
            said = {"amount": filters.money(item.price_amount), "service": item.service_name}
            return [(_("Let the customer pay %(amount)s for %(service)s", **said), "desk")]
        case "choose_card":
            return [(card_label(card), f"card-{card.id}") for card in cards_for(visit, item)]
        case "unfreeze_card" if current_actor().works_in(way.params["branch_id"]):
            return [(_("Unfreeze the card"), "unfreeze")]
        case "extend_card" | "reactivate_card":
            until = max(clock.local_date(item.starts_at, visit.timezone), clock.today(visit.timezone))
            if treatments.may_extend(way.params["treatment_id"], expiry_date=until, actor=current_actor()):
                return [(_("Extend the card to %(date)s", date=filters.date(until)), "extend")]
        case "sell_plan":
            return [
                (
                    _("Sell %(plan)s for %(price)s and use it", plan=one.name, price=filters.money(one.price_amount)),
                    f"plan-{one.id}",
                )
                for one in find_plans_for(item.service_id, PLANS, branch_id=visit.branch_id)
            ]
    return []


def _settlement(value: str) -> Settlement:
    found = _VALUE.fullmatch(value)
    if found is None:
        raise InvalidError("settlement_unknown", N_("Choose how this service is paid."))
    return Settlement(found[1], _id(found[2]) if found[2] else None)


def _id(text: str) -> int:
    try:
        return parse_id(text) or 0
    except ValueError as error:
        raise InvalidError("settlement_unknown", N_("Choose how this service is paid.")) from error
