"""What the desk can do about a card that cannot be used."""

from spa_app.errors import N_, WayOut

PAY_VISIT = WayOut("pay_visit", N_("Let the customer pay for this visit"))
OTHER_CARD = WayOut("choose_card", N_("Choose another card"))
EXTEND = WayOut("extend_card", N_("Ask a manager to extend the card"))
REFUND = WayOut("refund_card", N_("Refund what is left"))
REACTIVATE = WayOut("reactivate_card", N_("Ask a manager to reactivate the card"))
UNFREEZE = WayOut("unfreeze_card", N_("Unfreeze the card"))


def sell_plan_way(customer_id: int) -> WayOut:
    """The way out of a card that cannot be used: a new one for its customer."""
    return WayOut("sell_plan", N_("Sell a package"), {"customer_id": customer_id})
