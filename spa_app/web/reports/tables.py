"""What the exported files hold: a header, and plain rows (money as integers in minor units)."""

from collections.abc import Iterator, Sequence

from flask_babel import gettext as _

from spa_app.models import MONEY_METHODS
from spa_app.papers import format_phone
from spa_app.queries.reports import OTHER_METHODS, Daily, OwedRow, PaymentRow, SessionRow
from spa_app.sheets import Cell
from spa_app.web.invoices.forms import METHODS, WAYS

Sheet = Iterator[Sequence[Cell]]


def session_kind(kind: str) -> str:
    """What happened to a session, in words."""
    return {"punch": _("Punched"), "forfeit": _("Forfeited"), "unpunch": _("Given back")}[kind]


def daily(report: Daily) -> Sheet:
    """A row for each day."""
    yield [
        _("Day"),
        *(str(METHODS[method]) for method in MONEY_METHODS),
        _("Taken"),
        *(_("%(method)s, no money", method=str(METHODS[method])) for method in OTHER_METHODS),
        _("Sessions"),
        _("Revenue from sessions"),
        _("Revenue from expired sessions"),
        _("Revenue from services"),
        _("Revenue from products"),
        _("Fees"),
        _("Expired gift cards"),
        _("Tips for therapists"),
    ]
    for day in report.days:
        yield [
            day.on,
            *(day.takings[method] for method in MONEY_METHODS),
            day.taken_amount,
            *(day.takings[method] for method in OTHER_METHODS),
            day.sessions,
            day.revenue_amount,
            day.breakage_amount,
            *(day.earned[name] for name in ("services", "products", "fees", "gift_cards", "tips")),
        ]


def payments(rows: Sequence[PaymentRow]) -> Sheet:
    """A row for each payment; a deposit has its visit in place of an invoice."""
    yield [_("Time"), _("Invoice"), _("Customer"), _("How"), _("Amount"), _("Reference"), _("Taken by")]
    for row in rows:
        method = str(WAYS[row.method])
        number = row.number or _("Deposit, visit %(id)s", id=row.booking_id)
        yield [row.taken_at, number, row.customer, method, row.amount, row.reference, row.taken_by]


def sessions(rows: Sequence[SessionRow]) -> Sheet:
    """A row for each session that was used or given back."""
    yield [
        _("Time"),
        _("Customer"),
        _("Card"),
        _("Service"),
        _("Therapist"),
        _("Visit"),
        _("What"),
        _("Sessions"),
        _("Revenue"),
    ]
    for row in rows:
        yield [
            row.at,
            row.customer,
            row.card_id,
            row.service,
            row.staff,
            row.booking_id,
            session_kind(row.kind),
            row.sessions,
            row.amount,
        ]


def owed(rows: Sequence[OwedRow]) -> Sheet:
    """A row for each card that is owed for."""
    yield [
        _("Card"),
        _("Customer"),
        _("Phone"),
        _("Service"),
        _("Unused sessions"),
        _("Reserved"),
        _("Valid to"),
        _("Owed"),
    ]
    for row in rows:
        service = row.service or _("Any service")
        yield [
            row.card_id,
            row.customer,
            format_phone(row.phone),
            service,
            row.sessions,
            row.held,
            row.expiry_date,
            row.amount,
        ]
