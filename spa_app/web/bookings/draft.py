"""The booking form between two keystrokes: what it offers, which card pays, when there is room."""

import datetime as dt
from collections import Counter
from dataclasses import dataclass

from flask import url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from wtforms import FieldList

from spa_app import clock
from spa_app.queries.booking_form import CardChoice, Choices, fitting_cards, get_choices, list_card_choices
from spa_app.queries.bookings import VisitCustomer, get_visit_customer
from spa_app.queries.customers import FoundCustomer, find_customers
from spa_app.services.bookings.booking import MOST_ITEMS
from spa_app.services.bookings.party import MOST_GUESTS
from spa_app.services.scheduling import Slot, find_slots
from spa_app.services.scheduling_needs import Wish
from spa_app.services.scheduling_parties import find_slots_together
from spa_app.web import filters
from spa_app.web.bookings.card_advice import Advice, advise, warn_of_unfit
from spa_app.web.bookings.forms import BookingForm, GuestForm, ItemForm, parse_id
from spa_app.web.bookings.place import in_panel
from spa_app.web.bookings.refusals import Refusal
from spa_app.web.security import local_timezone
from spa_app.web.times import format_local

FOUND = 6
SLOTS = 5


@dataclass
class GuestDraft:
    """One of those who come, as the form shows them. ``prefix`` stands before the names of their fields."""

    prefix: str
    form: GuestForm
    customer: VisitCustomer | None
    advice: list[Advice]
    found: list[FoundCustomer] | None = None  # None: not searched


@dataclass
class Draft:
    """A booking form with everything that its template asks."""

    form: BookingForm
    guests: list[GuestDraft]
    due_amount: int
    slots: list[Slot]
    pressed: str  # the button that had the form drawn anew
    later: str  # where further free times are; empty where there are none, and for several guests
    refusal: Refusal | None = None
    waiting: tuple[str, str] | None = None  # who waits for the chosen time: how many, and where it says who

    @property
    def starts_value(self) -> str:
        """The chosen time as the slot buttons carry theirs."""
        starts_at = self.form.starts_at.data
        return format_local(starts_at, local_timezone()) if starts_at else ""

    @property
    def can_add_guest(self) -> bool:
        """Whether somebody else can come along."""
        return len(self.guests) < MOST_GUESTS

    @property
    def unnamed(self) -> str | None:
        """The prefix of the first guest of whom nobody knows yet who it is; None where all are known."""
        return next((guest.prefix for guest in self.guests if guest.customer is None), None)


def has_stale_card(form: BookingForm) -> bool:
    """Whether a customer or service changed after the screen chose a card for it (no script redrew the form)."""
    items = [(guest, entry.form) for _prefix, guest in form.everybody for entry in guest.items]
    return any(item.card_for.data and item.card_for.data != _card_key(guest, item) for guest, item in items)


def _card_key(form: GuestForm, item: ItemForm) -> str:
    return f"{form.customer_id.data or ''}:{item.service_id.data or ''}"


def settle_cards(form: BookingForm, branch_id: int, *, redo: bool) -> list[list[Advice]]:
    """Choose a card for each service whose customer or service changed after the screen last did so, guest by guest.

    Returns what the desk should know of each.

    ``redo``: the form is only being drawn anew, so that a card that no longer fits gives way too, and one is chosen
    where none ever was. A posted form that never was on a screen keeps what it says.
    """
    starts_at = form.starts_at.data or clock.now()
    visit_on = clock.local_date(starts_at, local_timezone())
    return [_settle_guest(guest, branch_id, visit_on, redo=redo) for _prefix, guest in form.everybody]


def _settle_guest(form: GuestForm, branch_id: int, visit_on: dt.date, *, redo: bool) -> list[Advice]:
    cards = list_card_choices(form.customer_id.data, branch_id=branch_id) if form.customer_id.data else ()
    taken: Counter[int] = Counter()
    advice: list[Advice] = []
    for entry in form.items:
        item = entry.form
        key = _card_key(form, item)
        fitting = fitting_cards(cards, service_id=item.service_id.data, visit_on=visit_on, taken=taken)
        fits = [card.id for card in fitting]
        stale = item.card_for.data != key if redo or item.card_for.data else False
        if stale or (redo and item.treatment_id.data and item.treatment_id.data not in fits):
            item.treatment_id.data = fits[0] if fits else None
        item.card_for.data = key
        if redo:
            item.treatment_id.errors = []
        item.treatment_id.offer([(card.id, card_label(card)) for card in fitting], none=_("Paid at the desk"))
        card = next((card for card in fitting if card.id == item.treatment_id.data), None)
        if card:
            taken[card.id] += 1
        advice.append(
            advise(card, card.free - taken[card.id] if card else 0)
            if fitting
            else warn_of_unfit(cards, service_id=item.service_id.data, visit_on=visit_on)
        )
    return advice


def settle_therapists(form: GuestForm, customer: VisitCustomer | None, choices: Choices) -> None:
    """Put the customer's preferred therapist where nobody is named, once per customer and service on the screen.

    So "anyone" stays what the desk then chooses. The wish of a customer who was chosen before goes with them.
    """
    wished = customer.preferred_staff_id if customer else None
    for entry in form.items:
        item = entry.form
        if item.card_for.data == _card_key(form, item):
            continue
        if item.staff_id.data and item.staff_id.data == _former_wish(item.card_for.data, form.customer_id.data):
            item.staff_id.data = None
        able = {one.id for one in choices.staff_for(item.service_id.data)}
        if item.staff_id.data is None and item.service_id.data and wished in able:
            item.staff_id.data = wished


def _former_wish(card_for: str | None, customer_id: int | None) -> int | None:
    """Whom the customer preferred for whom the screen last chose, where that was another."""
    try:
        former_id = parse_id((card_for or "").partition(":")[0])
    except ValueError:
        return None
    former = get_visit_customer(former_id) if former_id and former_id != customer_id else None
    return former.preferred_staff_id if former else None


def prepare(
    form: BookingForm,
    branch_id: int,
    *,
    redo: bool,
    found: dict[str, list[FoundCustomer]] | None = None,
    pressed: str = "",
    minutes: int | None = None,
) -> Draft:
    """Everything for one drawing of the form. ``redo``: it is drawn anew on the way, not posted.

    ``found``: who was searched for, by the prefix of the guest. ``minutes``: how much time was drawn for the first
    service, if no service is named.
    """
    choices = get_choices(branch_id)
    if minutes is not None:
        _propose_service(form, choices, minutes)
    form.branch_id.data = branch_id
    customers = [_offer(guest, choices, redo=redo) for _prefix, guest in form.everybody]
    advice = settle_cards(form, branch_id, redo=redo)
    guests = [
        GuestDraft(prefix, guest, customer, known, (found or {}).get(prefix))
        for (prefix, guest), customer, known in zip(form.everybody, customers, advice, strict=True)
    ]
    items = [entry.form for guest in guests for entry in guest.form.items]
    services = [choices.service(item.service_id.data) for item in items]
    slots = _slots(form, choices, branch_id)
    place = "panel" if in_panel() else "main"
    alone = len(guests) == 1
    return Draft(
        form=form,
        guests=guests,
        due_amount=sum(
            service.price_amount
            for service, item in zip(services, items, strict=True)
            if service and item.treatment_id.data is None
        ),
        slots=slots,
        later=later_url(form.items, slots, branch_id, form.customer_id.data, place=place) if alone else "",
        pressed=pressed,
    )


def _offer(form: GuestForm, choices: Choices, *, redo: bool) -> VisitCustomer | None:
    """Fill one guest's choices, and return who it is."""
    customer = get_visit_customer(form.customer_id.data) if form.customer_id.data else None
    if customer is None:
        form.customer_id.data = None
    if redo:
        settle_therapists(form, customer, choices)
    for entry in form.items:
        item = entry.form
        item.service_id.offer(
            [
                (one.id, f"{one.name} · {filters.minutes(one.minutes)} · {filters.money(one.price_amount)}")
                for one in choices.services
            ],
            none=_("Choose a service"),
        )
        item.staff_id.offer(
            [(one.id, one.full_name) for one in choices.staff_for(item.service_id.data)], none=_("Anyone")
        )
        item.resource_id.offer(
            [(one.id, one.name) for one in choices.resources_for(item.service_id.data)], none=_("Any that is free")
        )
    return customer


def search(form: GuestForm, *, choose: bool = True) -> list[FoundCustomer]:
    """The customers whom the search field names. One alone is the one (``choose``); nobody: they may be added."""
    q = " ".join((form.customer_q.data or "").split())
    found = find_customers(q, FOUND)
    if len(found) == 1 and choose:
        form.customer_id.data = found[0].id
    if not found:
        is_phone = sum(char.isdigit() for char in q) > len(q) // 2
        (form.phone if is_phone else form.full_name).data = q
    return found


def _propose_service(form: BookingForm, choices: Choices, minutes: int) -> None:
    """Choose the one service that takes just so long with the chosen therapist and room; of several, none."""
    item = form.items[0].form
    staff, room = item.staff_id.data, item.resource_id.data
    fitting = [
        one.id
        for one in choices.services
        if one.minutes == minutes
        and (staff is None or staff in {able.id for able in choices.staff_for(one.id)})
        and (room is None or room in {place.id for place in choices.resources_for(one.id)})
    ]
    if item.service_id.data is None and len(fitting) == 1:
        item.service_id.data = fitting[0]


def later_url(items: FieldList, slots: list[Slot], branch_id: int, customer_id: int | None, *, place: str) -> str:
    """Where the free times from the day after the last of ``slots`` on are; empty where there are none.

    ``place``: where the booking form stands that shows them, ``panel`` or ``main``.
    """
    if not slots:
        return ""
    values = {
        f"items-{number}-{name}": entry.form[name].data
        for number, entry in enumerate(items)
        for name in ("service_id", "staff_id", "resource_id")
        if entry.form[name].data
    }
    date = clock.local_date(slots[-1].starts_at, local_timezone()) + dt.timedelta(days=1)
    return url_for(
        "bookings.slots",
        date=date.isoformat(),
        customer_id=customer_id,
        branch_id=branch_id,
        place=place,
        **values,
    )


def _slots(form: BookingForm, choices: Choices, branch_id: int) -> list[Slot]:
    """The next times at which all who come fit, as far as they have chosen what for."""
    guests = []
    for _prefix, guest in form.everybody[:MOST_GUESTS]:
        wishes = []
        for entry in guest.items:
            item = entry.form
            if choices.service(item.service_id.data) is None:
                continue
            able = {one.id for one in choices.staff_for(item.service_id.data)}
            staff_id = item.staff_id.data if item.staff_id.data in able else None
            wishes.append(Wish(item.service_id.data, staff_id, item.resource_id.data))
        if len(wishes) > MOST_ITEMS:
            return []
        if wishes:
            guests.append((wishes, guest.customer_id.data))
    if not guests:
        return []
    since = max(form.starts_at.data or clock.now(), clock.now())
    if len(guests) > 1:
        return find_slots_together(guests, branch_id=branch_id, since=since, limit=SLOTS)
    wishes, customer_id = guests[0]
    return find_slots(wishes, branch_id=branch_id, since=since, limit=SLOTS, customer_id=customer_id)


def card_label(card: CardChoice) -> str:
    """A card as a choice of a form: what it is good for and how many sessions are left."""
    name = card.service_name or _("Any service")
    if card.owner:
        name = _("%(service)s, shared by %(owner)s", service=name, owner=card.owner)
    left = ngettext("%(num)s left", "%(num)s left", card.free)
    return f"{_('Card')} #{card.id} · {name} · {left}"
