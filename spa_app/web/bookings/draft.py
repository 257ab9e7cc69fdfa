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
from spa_app.services.scheduling import Slot, Wish, find_slots
from spa_app.web import filters
from spa_app.web.bookings.card_advice import Advice, advise, warn_of_unfit
from spa_app.web.bookings.forms import BookingForm, ItemForm, parse_id
from spa_app.web.bookings.place import in_panel
from spa_app.web.bookings.refusals import Refusal
from spa_app.web.security import local_timezone
from spa_app.web.times import format_local

FOUND = 6
SLOTS = 5


@dataclass
class Draft:
    """A booking form with everything that its template asks."""

    form: BookingForm
    customer: VisitCustomer | None
    advice: list[Advice]
    due_amount: int
    slots: list[Slot]
    found: list[FoundCustomer] | None  # None: not searched
    pressed: str  # the button that had the form drawn anew
    later: str  # where further free times are; empty where there are none
    refusal: Refusal | None = None
    waiting: tuple[str, str] | None = None  # who waits for the chosen time: how many, and where it says who

    @property
    def seeks_customer(self) -> bool:
        """Whether the first thing to be typed is who comes."""
        return self.pressed == "forget-customer" or not self.form.items[0].form.service_id.data

    @property
    def starts_value(self) -> str:
        """The chosen time as the slot buttons carry theirs."""
        starts_at = self.form.starts_at.data
        return format_local(starts_at, local_timezone()) if starts_at else ""


def has_stale_card(form: BookingForm) -> bool:
    """Whether a customer or service changed after the screen chose a card for it (no script redrew the form)."""
    items = [entry.form for entry in form.items]
    return any(item.card_for.data and item.card_for.data != _card_key(form, item) for item in items)


def _card_key(form: BookingForm, item: ItemForm) -> str:
    return f"{form.customer_id.data or ''}:{item.service_id.data or ''}"


def settle_cards(form: BookingForm, *, redo: bool) -> list[Advice]:
    """Choose a card for each service whose customer or service changed after the screen last did so.

    Returns what the desk should know of each.

    ``redo``: the form is only being drawn anew, so that a card that no longer fits gives way too, and one is chosen
    where none ever was. A posted form that never was on a screen keeps what it says.
    """
    cards = list_card_choices(form.customer_id.data) if form.customer_id.data else ()
    starts_at = form.starts_at.data or clock.now()
    visit_on = clock.local_date(starts_at, local_timezone())
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


def settle_therapists(form: BookingForm, customer: VisitCustomer | None, choices: Choices) -> None:
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
    found: list[FoundCustomer] | None = None,
    pressed: str = "",
    minutes: int | None = None,
) -> Draft:
    """Everything for one drawing of the form. ``redo``: it is drawn anew on the way, not posted.

    ``minutes``: how much time was drawn for its first service, if no service is named.
    """
    choices = get_choices(branch_id)
    if minutes is not None:
        _propose_service(form, choices, minutes)
    form.branch_id.data = branch_id
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
    advice = settle_cards(form, redo=redo)
    services = [choices.service(entry.form.service_id.data) for entry in form.items]
    slots = _slots(form, choices, branch_id)
    place = "panel" if in_panel() else "main"
    return Draft(
        form=form,
        customer=customer,
        advice=advice,
        due_amount=sum(
            service.price_amount
            for service, entry in zip(services, form.items, strict=True)
            if service and entry.form.treatment_id.data is None
        ),
        slots=slots,
        later=later_url(form.items, slots, branch_id, form.customer_id.data, place=place),
        found=found,
        pressed=pressed,
    )


def search(form: BookingForm, *, choose: bool = True) -> list[FoundCustomer]:
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
    wishes = []
    for entry in form.items:
        item = entry.form
        if choices.service(item.service_id.data) is None:
            continue
        able = {one.id for one in choices.staff_for(item.service_id.data)}
        staff_id = item.staff_id.data if item.staff_id.data in able else None
        wishes.append(Wish(item.service_id.data, staff_id, item.resource_id.data))
    if not wishes or len(wishes) > MOST_ITEMS:
        return []
    since = max(form.starts_at.data or clock.now(), clock.now())
    return find_slots(wishes, branch_id=branch_id, since=since, limit=SLOTS, customer_id=form.customer_id.data)


def card_label(card: CardChoice) -> str:
    """A card as a choice of a form: what it is good for and how many sessions are left."""
    name = card.service_name or _("Any service")
    if card.owner:
        name = _("%(service)s, shared by %(owner)s", service=name, owner=card.owner)
    left = ngettext("%(num)s left", "%(num)s left", card.free)
    return f"{_('Card')} #{card.id} · {name} · {left}"
