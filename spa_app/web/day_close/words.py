"""What the Z-report's figures are called, and the report as a file."""

import datetime as dt
from collections.abc import Iterator, Sequence

from flask_babel import gettext as _

from spa_app.queries.day_close import Change
from spa_app.queries.day_facts import ZFacts
from spa_app.sheets import Cell
from spa_app.web.filters import datetime as local
from spa_app.web.invoices.forms import WAYS


def kinds() -> dict[str, str]:
    """Kinds of lines of an invoice, in words."""
    return {
        "service": _("Services"),
        "plan": _("Packages"),
        "product": _("Products"),
        "gift_card": _("Gift cards"),
        "tip": _("Tips"),
        "fee": _("Fees"),
        "discount": _("Discounts"),
    }


def opened_as(kind: str) -> str:
    """How much is known about the float of a drawer."""
    return {
        "counted": _("counted"),
        "carried": _("as the last close left it, not counted"),
        "unknown": _("not counted, nobody knows it"),
    }[kind]


def percent(rate_bp: int) -> str:
    """A rate in basis points: ``8 %``."""
    return f"{rate_bp / 100:g} %"


def change(one: Change) -> str:
    """What differs from the report before."""
    if one.section == "sales":
        return _("Sales: %(what)s", what=kinds().get(one.what, one.what))
    method = WAYS.get(one.what, one.what)
    if one.section == "payments":
        return _("Taken: %(method)s", method=method)
    if one.section == "payouts":
        return _("Paid out: %(method)s", method=method)
    if one.section == "deposits":
        return _("Deposits taken: %(method)s", method=method)
    if one.section == "deposits_returned":
        return _("Deposits given back: %(method)s", method=method)
    return {
        "voided": _("Voided"),
        "credited": _("Credit notes"),
        "open": _("Still to be paid"),
        "variance": _("Over or short"),
        "documents": _("Numbers given out"),
        "sessions": _("Sessions punched"),
        "drawers": _("Drawers"),
    }[one.what]


def sheet(facts: ZFacts) -> Iterator[Sequence[Cell]]:
    """The report as rows of a file; amounts in minor units. Of an open drawer no sum is told before it is counted."""
    yield [_("Part"), _("What"), _("Number"), _("Amount")]
    for row in facts.sales:
        yield [_("Sold"), kinds().get(row.kind, row.kind), row.quantity, row.amount]
    yield [_("Sold"), _("Voided"), len(facts.voids), facts.voided_amount]
    yield [_("Sold"), _("Credit notes"), len(facts.credit_notes), facts.credited_amount]
    yield [_("Sold"), _("Together"), facts.documents, facts.net_amount]
    for rate in facts.vat:
        yield [_("VAT in it"), percent(rate.rate_bp), None, rate.vat_amount]
    yield from _money(facts)
    yield [_("Packages"), _("Sessions punched"), facts.sessions_punched, facts.sessions_amount]
    yield [_("Packages"), _("Packages sold"), facts.plans_sold, None]
    yield [_("Numbers"), f"{facts.first_number} – {facts.last_number}", facts.documents, None]
    yield [_("Still to be paid"), _("Of this day"), facts.open_count, facts.open_amount]
    yield [_("Still to be paid"), _("Of earlier days"), facts.older_count, facts.older_amount]
    for drawer in facts.drawers:
        part = f"{drawer.drawer}, {local(dt.datetime.fromisoformat(drawer.opened_at))}"
        if drawer.closed_at is None:
            yield [part, _("Still open"), None, None]
            continue
        for what, amount in (
            (_("Float"), drawer.opening_float_amount),
            (_("Float over or short"), drawer.opening_variance_amount),
            (_("Cash taken"), drawer.taken_amount),
            (_("Cash paid out"), -drawer.given_amount),
            (_("From the safe"), drawer.paid_in_amount),
            (_("Into the safe"), -drawer.dropped_amount),
            (_("Small expenses"), -drawer.spent_amount),
            (_("Expected"), drawer.expected_amount),
            (_("Counted"), drawer.counted_amount),
            (_("Over or short"), drawer.variance_amount),
            (_("Stayed as float"), drawer.left_amount),
        ):
            not_counted = what == _("Counted") and amount is None
            yield [part, _("Not counted") if not_counted else what, None, amount]


def _money(facts: ZFacts) -> Iterator[Sequence[Cell]]:
    """The money of the day, and what was paid without any."""
    for part, rows, is_money in (
        (_("Taken"), facts.payments, True),
        (_("Deposits taken"), facts.deposits, True),
        (_("Paid out"), facts.payouts, True),
        (_("Deposits given back"), facts.deposits_returned, True),
        (_("No money"), facts.payments, False),
        (_("Put back, no money"), facts.payouts, False),
        (_("Deposits turned into store credit"), facts.deposits_returned, False),
    ):
        for row in rows:
            if row.is_money == is_money:
                yield [part, str(WAYS.get(row.method, row.method)), row.count, row.amount]
    yield [_("Money"), _("Money taken"), None, facts.taken_amount]
    yield [_("Money"), _("Money paid out"), None, facts.given_amount]
    yield [_("Money"), _("Money left of it"), None, facts.kept_amount]
