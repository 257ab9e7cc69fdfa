"""What the desk should know of a customer's cards while it chooses how a service is paid."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _
from flask_babel import ngettext

from spa_app.errors import N_, WayOut
from spa_app.queries.booking_form import CardChoice
from spa_app.web import filters
from spa_app.web.errors import Way, way_of


@dataclass(frozen=True)
class Advice:
    """``note``: what the chosen card says. ``warnings``: each with the way out of it, if there is one."""

    note: str = ""
    warnings: tuple[tuple[str, Way | None], ...] = ()


def advise(chosen: CardChoice | None, left: int, *, visits: int = 1) -> Advice:
    """What is left on the chosen card after so many ``visits``, ``left`` sessions, and whether that was its last."""
    if chosen is None:
        return Advice()
    if visits > 1:
        says = ngettext("After these visits %(num)s left", "After these visits %(num)s left", left)
    else:
        says = ngettext("After this visit %(num)s left", "After this visit %(num)s left", left)
    last = ((_("This is the last session of card #%(id)s.", id=chosen.id), None),) if left == 0 else ()
    return Advice(f"{says} · {filters.valid_to(chosen.expiry_date)}", last)


def warn_of_unfit(cards: Sequence[CardChoice], *, service_id: int | None, visit_on: dt.date) -> Advice:
    """Why cards that cover the service cannot pay for it: good elsewhere, frozen, or not valid on that local date."""
    warnings: list[tuple[str, Way | None]] = []
    for card in cards:
        if not card.covers(service_id):
            continue
        params = {"treatment_id": card.id, "branch_id": card.branch_id}
        if card.elsewhere is not None:
            text = _("Card #%(id)s is only good in %(branches)s.", id=card.id, branches=", ".join(card.elsewhere))
            warnings.append((text, None))
        elif card.frozen_on is not None:
            text = _("Card #%(id)s is frozen and cannot be used.", id=card.id)
            warnings.append((text, way_of(WayOut("unfreeze_card", N_("Unfreeze the card"), params))))
        elif card.expiry_date is not None and card.expiry_date < visit_on:
            text = _(
                "Card #%(id)s is valid to %(date)s, which is before this visit.",
                id=card.id,
                date=filters.date(card.expiry_date),
            )
            warnings.append((text, way_of(WayOut("extend_card", N_("Extend the card"), params))))
    return Advice(warnings=tuple(warnings))
