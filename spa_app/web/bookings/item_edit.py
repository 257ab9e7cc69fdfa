"""One service of a visit in a form: what it offers, and the ways to pay for a service whose card gave out."""

from collections import Counter
from dataclasses import dataclass, field

from flask import url_for
from flask_babel import gettext as _

from spa_app import clock
from spa_app.queries.booking_form import CardChoice, fitting_cards, get_choices, list_card_choices
from spa_app.queries.bookings import Visit, VisitItem
from spa_app.web import filters
from spa_app.web.bookings.card_advice import Advice, advise, warn_of_unfit
from spa_app.web.bookings.draft import card_label
from spa_app.web.bookings.forms import ItemEditForm, PaymentForm


@dataclass(frozen=True)
class ItemEdit:
    """A form for one service of a visit, or (no ``item``) for one more."""

    form: PaymentForm
    item: VisitItem | None = None
    advice: Advice = field(default_factory=Advice)

    @property
    def is_payment_only(self) -> bool:
        """Whether only the way of paying can still be changed."""
        return not isinstance(self.form, ItemEditForm)

    def url(self, visit: Visit) -> str:
        """Where the form is posted to."""
        if self.item is None:
            return url_for("bookings.add_item", booking_id=visit.id)
        endpoint = "bookings.change_payment" if self.is_payment_only else "bookings.change_item"
        return url_for(endpoint, booking_id=visit.id, item_id=self.item.id)


def prepare_edit(visit: Visit, form: PaymentForm, item: VisitItem | None = None, *, redo: bool = False) -> ItemEdit:
    """The form with all that it offers. It carries the version that the user sees now.

    ``redo``: it is only being drawn anew, so that a card is chosen for the service that it now names.
    """
    form.version.data, form.version.raw_data = visit.version, None
    if redo and isinstance(form, ItemEditForm):
        settle_card(visit, form, item, redo=True)
    service_id = _service_of(form, item)
    known = list_card_choices(visit.customer.id, branch_id=visit.branch_id)
    visit_on = clock.local_date(item.starts_at if item else visit.starts_at, visit.timezone)
    cards = fitting_cards(known, service_id=service_id, visit_on=visit_on, taken=Counter())
    offered = [(card.id, card_label(card)) for card in cards]
    own = item.card if item and item.service_id == service_id else None
    if own and own.id not in dict(offered):
        name = own.service_name or _("Any service")
        offered.insert(0, (own.id, f"{_('Card')} #{own.id} · {name}"))
    form.treatment_id.offer(offered, none=_("Paid at the desk"))
    if isinstance(form, ItemEditForm):
        form.card_for.data = _card_key(form)
        choices = get_choices(visit.branch_id)
        form.service_id.offer(
            [
                (one.id, f"{one.name} · {filters.minutes(one.minutes)} · {filters.money(one.price_amount)}")
                for one in choices.services
            ],
            none=None if item else _("Choose a service"),
        )
        form.staff_id.offer([(one.id, one.full_name) for one in choices.staff], none=_("Anyone"))
        form.resource_id.offer([(one.id, one.name) for one in choices.resources], none=_("Any that is free"))
    chosen = next((card for card in cards if card.id == form.treatment_id.data), None)
    if chosen:
        # The service's own card has a session reserved for it already.
        advice = advise(chosen, chosen.free - (0 if own and own.id == chosen.id else 1))
    elif cards or own:
        advice = Advice()
    else:
        advice = warn_of_unfit(known, service_id=service_id, visit_on=visit_on)
    return ItemEdit(form, item, advice)


def settle_card(visit: Visit, form: ItemEditForm, item: VisitItem | None = None, *, redo: bool = False) -> None:
    """Choose the card anew where the service changed after the screen last did so, as the booking form does.

    A posted form that never was on a screen keeps what it says, and one that was keeps a card that can pay.
    """
    if form.card_for.data == _card_key(form) or not (redo or form.card_for.data):
        return
    if item and item.service_id == form.service_id.data:
        if redo:
            form.treatment_id.data = item.card.id if item.card else None
        return
    visit_on = clock.local_date(item.starts_at if item else visit.starts_at, visit.timezone)
    cards = list_card_choices(visit.customer.id, branch_id=visit.branch_id)
    fitting = fitting_cards(cards, service_id=form.service_id.data, visit_on=visit_on, taken=Counter())
    fits = [card.id for card in fitting]
    if redo or form.treatment_id.data not in fits:
        form.treatment_id.data = fits[0] if fits else None


def _service_of(form: PaymentForm, item: VisitItem | None) -> int | None:
    if isinstance(form, ItemEditForm):
        service_id: int | None = form.service_id.data
        return service_id
    return item.service_id if item else None


def _card_key(form: ItemEditForm) -> str:
    return f":{form.service_id.data or ''}"


def edit_as_it_is(visit: Visit, item: VisitItem) -> ItemEdit:
    """The form of a service that stands in the visit, filled with what holds now."""
    form: PaymentForm
    if visit.can_edit_items:
        form = ItemEditForm(formdata=None)
        form.service_id.data = item.service_id
        form.staff_id.data = item.staff_id
        form.resource_id.data = item.resources[0][0] if len(item.resources) == 1 else None
    else:
        form = PaymentForm(formdata=None)
    form.treatment_id.data = item.card.id if item.card else None
    return prepare_edit(visit, form, item)


def cards_for(visit: Visit, item: VisitItem) -> list[CardChoice]:
    """The customer's cards that can pay for the service."""
    visit_on = clock.local_date(item.starts_at, visit.timezone)
    cards = list_card_choices(visit.customer.id, branch_id=visit.branch_id)
    return fitting_cards(cards, service_id=item.service_id, visit_on=visit_on, taken=Counter())
