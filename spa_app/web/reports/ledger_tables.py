"""What the ledger's files hold: a header, and plain rows (money as integers in minor units, debits positive)."""

from collections.abc import Iterable, Sequence

from flask_babel import gettext as _

from spa_app.queries.ledger.balances import Revenue, TrialBalance
from spa_app.queries.ledger.chart import KINDS, account_name, event_name, vas_code
from spa_app.queries.ledger.entries import AccountLine, EntryView
from spa_app.queries.ledger.journal import JournalRow
from spa_app.queries.ledger.liability import MOVES, CardRow, Liability, Roll
from spa_app.sheets import Cell
from spa_app.web.invoices.forms import METHODS
from spa_app.web.reports.tables import Sheet


def move_names() -> dict[str, str]:
    """What changes the package liability, in words."""
    return {
        "sold": _("Sold"),
        "recognised": _("Used"),
        "refunded": _("Refunded"),
        "expired": _("Expired"),
        "transferred_in": _("Transferred in"),
        "transferred_out": _("Transferred out"),
        "other": _("Imported"),
    }


def trial_balance(balance: TrialBalance) -> Sheet:
    """A row for each account, and their totals."""
    yield [
        _("Account"),
        _("Vietnamese account"),
        _("Name of the account"),
        _("Kind"),
        _("Opening debit"),
        _("Opening credit"),
        _("Debit"),
        _("Credit"),
        _("Closing debit"),
        _("Closing credit"),
    ]
    for row in balance.rows:
        one = row.balance
        yield [
            row.code,
            vas_code(row.code),
            _(account_name(row.code, row.name)),
            _(KINDS[row.kind]),
            max(one.opening, 0),
            max(-one.opening, 0),
            one.debit,
            one.credit,
            max(one.closing, 0),
            max(-one.closing, 0),
        ]
    total = balance.total
    yield [
        _("Together"),
        None,
        None,
        None,
        total.opening_debit,
        total.opening_credit,
        total.debit,
        total.credit,
        total.closing_debit,
        total.closing_credit,
    ]


def account(rows: Sequence[AccountLine]) -> Sheet:
    """A row for each line of the account."""
    yield [
        _("Date"),
        _("Entry"),
        _("What"),
        _("Document"),
        _("Customer"),
        _("Debit"),
        _("Credit"),
        _("Balance"),
    ]
    for row in rows:
        yield [
            row.posted_on,
            row.entry_id,
            _(event_name(row.event)),
            row.number,
            row.customer,
            max(row.amount, 0),
            max(-row.amount, 0),
            row.balance,
        ]


def entry(found: EntryView) -> Sheet:
    """A row for each line of the entry."""
    yield [
        _("Date"),
        _("Entry"),
        _("What"),
        _("Document"),
        _("Account"),
        _("Name of the account"),
        _("Debit"),
        _("Credit"),
        _("Customer"),
        _("Card"),
    ]
    for line in found.lines:
        yield [
            found.posted_on,
            found.id,
            _(event_name(found.event)),
            found.source.number,
            line.code,
            _(account_name(line.code, line.account)),
            max(line.amount, 0),
            max(-line.amount, 0),
            line.customer,
            line.card_id,
        ]


def revenue(report: Revenue) -> Sheet:
    """A row for each day or month."""
    names = [_(account_name(code, name)) for _id, code, name in report.accounts]
    yield [_("Month") if report.is_by_month else _("Day"), *names, _("Together")]
    for part in report.parts:
        yield [part.on, *(part.amounts[code] for _id, code, _name in report.accounts), part.amount]


def liability_by_month(liability: Liability) -> Sheet:
    """A row for each month, one for each package over the whole period, and the totals."""
    names = move_names()
    yield [
        _("Month"),
        _("Package"),
        _("Service"),
        _("Opening"),
        *(names[move] for move in MOVES),
        _("Closing"),
        _("Since then"),
        _("On the cards now"),
    ]
    for month in liability.months:
        yield [month.on, None, None, *_roll(month.roll), None, None]
    for row in liability.lots:
        yield [
            None,
            row.plan or _("Imported"),
            row.service or _("Any service"),
            *_roll(row.roll),
            row.since,
            row.on_cards,
        ]
    yield [_("Together"), None, None, *_roll(liability.total), liability.since, liability.on_cards]


def cards(rows: Sequence[CardRow]) -> Sheet:
    """A row for each card."""
    names = move_names()
    yield [
        _("Card"),
        _("Customer"),
        _("Package"),
        _("Service"),
        _("Opening"),
        *(names[move] for move in MOVES),
        _("Closing"),
        _("Since then"),
        _("On the card now"),
    ]
    for row in rows:
        yield [
            row.card_id,
            row.customer,
            row.plan or _("Imported"),
            row.service or _("Any service"),
            *_roll(row.roll),
            row.since,
            row.on_card,
        ]


def _roll(roll: Roll) -> list[Cell]:
    return [roll.opening, *(roll.moves[move] for move in MOVES), roll.closing]


def journal(rows: Iterable[JournalRow]) -> Sheet:
    """A row for each line of the journal, and at the end the sums of both sides, which must be equal."""
    yield [
        _("Date"),
        _("Entry"),
        _("What"),
        _("Document"),
        _("Account"),
        _("Vietnamese account"),
        _("Name of the account"),
        _("Debit"),
        _("Credit"),
        _("Description"),
        _("Customer"),
        _("Card"),
    ]
    debit = credit = 0
    for row in rows:
        debit += max(row.amount, 0)
        credit += max(-row.amount, 0)
        yield [
            row.posted_on,
            row.entry_id,
            _(event_name(row.event)),
            row.number,
            row.code,
            vas_code(row.code),
            _(account_name(row.code, row.account)),
            max(row.amount, 0),
            max(-row.amount, 0),
            _description(row),
            row.customer,
            row.card_id,
        ]
    yield [_("Together"), None, None, None, None, None, None, debit, credit, _balance_words(debit, credit), None, None]


def _balance_words(debit: int, credit: int) -> str:
    return _("Debits equal credits.") if debit == credit else _("Debits and credits differ: run reconcile.")


def _description(row: JournalRow) -> str:
    method = str(METHODS[row.payment_method]) if row.payment_method in METHODS else row.payment_method
    billed = _(row.billed) if row.billed else None
    parts = (method, row.payment_reference, row.service, billed, row.reason)
    return " · ".join(part for part in parts if part)
