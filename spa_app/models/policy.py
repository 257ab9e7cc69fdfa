"""What a branch's policy takes for a visit that does not take place: one rule for what is said and what is done."""

from collections.abc import Iterable
from dataclasses import dataclass

from spa_app.money import percentage

POLICIES = ("none", "forfeit", "fee")


@dataclass(frozen=True)
class Taking:
    """What is taken: nothing, the sessions reserved for the visit, or a fee.

    ``amount`` in minor units is the fee, or what the services of the forfeited sessions cost by the list: the sum that
    is compared with the branch's waiver limit.
    """

    kind: str = "none"
    amount: int = 0
    sessions: int = 0

    def __bool__(self) -> bool:
        return self.kind != "none"


NOTHING = Taking()


@dataclass(frozen=True)
class Policy:
    """``kind`` is one of :data:`POLICIES`; a fee is ``fee_bp`` basis points of the visit's price, or ``fee_amount``."""

    kind: str
    fee_bp: int | None = None
    fee_amount: int | None = None

    def takes(self, items: Iterable[tuple[int, bool]]) -> Taking:
        """What it takes for a visit of these services: (list price, whether a card pays), half a unit rounded up.

        A fee counts every service at its list price, a prepaid one too, whose session goes back to its card.
        """
        items = list(items)
        if self.kind == "forfeit":
            prepaid = [price for price, is_prepaid in items if is_prepaid]
            return Taking("forfeit", sum(prepaid), len(prepaid)) if prepaid else NOTHING
        if self.kind == "fee":
            price = sum(price for price, _ in items)
            fee = percentage(price, self.fee_bp) if self.fee_bp is not None else self.fee_amount or 0
            return Taking("fee", fee) if fee else NOTHING
        return NOTHING
