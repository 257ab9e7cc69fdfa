"""What the desk can do about a card that cannot be used."""

from spa_app.errors import N_, WayOut
from spa_app.models import CustomerTreatment

PAY_VISIT = WayOut("pay_visit", N_("Let the customer pay for this visit"))
OTHER_CARD = WayOut("choose_card", N_("Choose another card"))


def refund_way(card: CustomerTreatment) -> WayOut:
    """The way out of value that would remain on a card without sessions."""
    return _on(card, "refund_card", N_("Refund what is left"))


def unfreeze_way(card: CustomerTreatment) -> WayOut:
    """The way out of a card that is frozen."""
    return _on(card, "unfreeze_card", N_("Unfreeze the card"))


def share_way(card: CustomerTreatment) -> WayOut:
    """The way out of a card that is no longer shared."""
    return _on(card, "share_card", N_("Share the card again"))


def extend_way(card: CustomerTreatment) -> WayOut:
    """The way out of a card whose time is over: more time, and for sessions that have expired a second life."""
    if card.expired_sessions:
        return _on(card, "reactivate_card", N_("Reactivate the card"))
    return _on(card, "extend_card", N_("Extend the card"))


def sell_plan_way(customer_id: int) -> WayOut:
    """The way out of a card that cannot be used: a new one for its customer."""
    return WayOut("sell_plan", N_("Sell a package"), {"customer_id": customer_id})


def _on(card: CustomerTreatment, action: str, label: str) -> WayOut:
    """An act on the card's page, which its own branch does."""
    return WayOut(action, label, {"treatment_id": card.id, "branch_id": card.branch_id})
