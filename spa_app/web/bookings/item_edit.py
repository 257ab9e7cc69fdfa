"""One service of a visit in a form: what it offers, and the ways to pay for a service whose card gave out."""

from collections import Counter
from dataclasses import dataclass, field

from flask import url_for
from flask_babel import gettext as _

from spa_app import clock
from spa_app.queries.booking_form import CardChoice, fitting_cards, get_choices, list_card_choices
from spa_app.queries.bookings import Visit, VisitItem
from spa_app.web import filters
from spa_app.web.bookings.card_advice import Advice, warn_of_unfit
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


def prepare_edit(visit: Visit, form: PaymentForm, item: VisitItem | None = None) -> ItemEdit:
    """The form with all that it offers. It carries the version that the user sees now."""
    form.version.data, form.version.raw_data = visit.version, None
    known = list_card_choices(visit.customer.id, branch_id=visit.branch_id)
    cards = cards_for(visit, item) if item else [card for card in known if not card.is_stopped]
    offered = [(card.id, card_label(card)) for card in cards]
    if item and item.card and item.card.id not in dict(offered):
        name = item.card.service_name or _("Any service")
        offered.insert(0, (item.card.id, f"{_('Card')} #{item.card.id} · {name}"))
    form.treatment_id.offer(offered, none=_("Paid at the desk"))
    if isinstance(form, ItemEditForm):
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
    advice = Advice()
    if item and not cards and item.card is None:
        visit_on = clock.local_date(item.starts_at, visit.timezone)
        advice = warn_of_unfit(known, service_id=item.service_id, visit_on=visit_on)
    return ItemEdit(form, item, advice)


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
