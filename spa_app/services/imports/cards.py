"""The card in a row: how many sessions are left, what they are worth, to when."""

import datetime as dt
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from spa_app.errors import N_, InvalidError
from spa_app.models import Service
from spa_app.money import session_value, vat_within
from spa_app.services.imports.table import Row
from spa_app.services.imports.values import fold, parse_count, parse_date, parse_minor, parse_money, parse_validity

Value = TypeVar("Value")
ANY_SERVICE = "*"
NO_EXPIRY_DAYS = 3650  # the longest that a plan of our own may run (ck_plans_validity)
NO_EXPIRY_MONTHS = 120


@dataclass(frozen=True)
class ImportedCard:
    """A card as its row describes it. ``identity`` does not change when more sessions are used in the old system."""

    service_id: int | None  # None: any service
    sessions: int  # left
    total_sessions: int
    owed_amount: int  # for what is left, without VAT
    used_amount: int  # for what was used, without VAT
    has_value: bool
    has_code: bool
    expiry_date: dt.date | None  # None: it begins with the first visit, and is valid for days or months from there
    validity_days: int | None
    validity_months: int | None
    branch_ids: list[int] | None  # None: good in every branch
    identity: tuple[str, ...]


class CardReader:
    """Reads the cards of one file.

    Amounts are in ``currency``; ``today`` is the branch's date; ``branches`` are the ids by code.
    """

    def __init__(
        self, services: list[Service], branches: Mapping[str, int], *, today: dt.date, currency: str, locale: str
    ) -> None:
        self._branches = branches
        self._today = today
        self._currency = currency
        self._locale = locale
        # Of two services with alike names the one that is still sold is meant.
        self._services = {fold(service.name): service for service in sorted(services, key=lambda s: s.is_active)}

    def read(self, row: Row) -> tuple[ImportedCard | None, list[InvalidError]]:
        """The card in the row, if there is one, and all that is wrong with it.

        The value is the price of the whole card with VAT in it. Its net, by the service's rate, is spread over the
        sessions as a sale's would be (:func:`session_value`): those used are gone, the rest is owed. Where the file
        says what is owed, without VAT and in minor units as an export of ours does, that counts and no value is needed.
        Without either nothing is owed.
        """
        cells = row.cells
        errors: list[InvalidError] = []

        def read(parse: Callable[..., int | None], column: str, *args: str) -> int | None:
            return _collect(errors, lambda: parse(cells.get(column, ""), column, *args))

        total = read(parse_count, "total")
        used = read(parse_count, "used")
        left = read(parse_count, "left")
        value = read(parse_money, "value", self._currency, self._locale)
        owed = read(parse_minor, "owed")
        net = read(parse_minor, "net")
        if not errors and not cells.get("service") and not any((total, used, left, value, owed)):
            return None, []
        expiry = _collect(errors, lambda: parse_date(cells.get("expiry", ""), "expiry"))
        days = read(parse_validity, "validity_days", str(NO_EXPIRY_DAYS))
        months = None if days else read(parse_validity, "validity_months", str(NO_EXPIRY_MONTHS))
        branch_ids = _collect(errors, lambda: self._find_branches(cells))
        service = None if _is_any(cells) else _collect(errors, lambda: self._find_service(cells))
        counts = None if errors else _collect(errors, lambda: _agree(total, used, left))
        amounts = None if counts is None else _collect(errors, lambda: _amounts(counts, service, value, owed, net))
        if counts is None or amounts is None:
            return None, errors
        total_sessions, left_sessions = counts
        owed_amount, used_amount = amounts
        code = cells.get("card_code", "").casefold()
        sold = (code,) if code else (str(total_sessions), str(value), str(expiry))
        card = ImportedCard(
            service_id=service.id if service else None,
            sessions=left_sessions,
            total_sessions=total_sessions,
            owed_amount=owed_amount,
            used_amount=used_amount,
            has_value=value is not None or owed is not None,
            expiry_date=expiry if expiry or days or months else self._today + dt.timedelta(days=NO_EXPIRY_DAYS),
            validity_days=days,
            validity_months=months,
            branch_ids=branch_ids,
            has_code=bool(code),
            identity=(fold(cells["service"]), *sold),
        )
        return card, errors

    def left_out(self, card: ImportedCard) -> InvalidError | None:
        """Why nothing is owed on the card any more, if so: its customer is imported, the card is not."""
        if not card.sessions:
            return InvalidError(
                "card_used_up",
                N_("All %(total)d sessions are used: there is no card to keep."),
                field="left",
                total=card.total_sessions,
            )
        if card.expiry_date and card.expiry_date < self._today:
            return InvalidError(
                "card_expired",
                N_("Expired on %(date)s with %(left)d sessions left. To honour them, give a later date and run again."),
                field="expiry",
                date=card.expiry_date.strftime("%d/%m/%Y"),
                left=card.sessions,
            )
        return None

    def _find_branches(self, cells: Mapping[str, str]) -> list[int] | None:
        """The branches that the row limits its card to, by their codes."""
        codes = [code.strip().upper() for code in cells.get("good_in", "").split(";") if code.strip()]
        for code in codes:
            if code not in self._branches:
                raise InvalidError(
                    "branch_unknown", N_("There is no branch “%(name)s”."), field="good_in", name=code[:20]
                )
        return sorted({self._branches[code] for code in codes}) or None

    def _find_service(self, cells: Mapping[str, str]) -> Service:
        name = cells.get("service", "")
        if not name:
            raise InvalidError("service_missing", N_("There are sessions, but of which service?"), field="service")
        service = self._services.get(fold(name))
        if service is not None:
            return service
        near = difflib.get_close_matches(fold(name), self._services, n=3, cutoff=0.5)
        if not near:
            raise InvalidError(
                "service_unknown", N_("There is no service “%(name)s”."), field="service", name=name[:100]
            )
        raise InvalidError(
            "service_unknown_near",
            N_("There is no service “%(name)s”. Is it %(near)s?"),
            field="service",
            name=name[:100],
            near=", ".join(f"“{self._services[key].name}”" for key in near),
        )


def _agree(total: int | None, used: int | None, left: int | None) -> tuple[int, int]:
    """Sessions in all, and left, of which any two give the third."""
    if total is None and left is None:
        raise InvalidError("sessions_missing", N_("How many sessions does the card have?"), field="total")
    if total is None:
        assert left is not None
        return left + (used or 0), left
    if used is not None and used > total:
        raise InvalidError(
            "used_over_total",
            N_("%(used)d sessions used of %(total)d."),
            field="used",
            used=used,
            total=total,
        )
    if left is not None and left > total:
        raise InvalidError(
            "left_over_total", N_("%(left)d sessions left of %(total)d."), field="left", left=left, total=total
        )
    if used is not None and left is not None and used + left != total:
        raise InvalidError(
            "counts_disagree",
            N_("%(used)d sessions used and %(left)d left do not make %(total)d."),
            field="total",
            used=used,
            left=left,
            total=total,
        )
    return total, left if left is not None else total - (used or 0)


def _is_any(cells: Mapping[str, str]) -> bool:
    return cells.get("service", "") == ANY_SERVICE


def _amounts(
    counts: tuple[int, int], service: Service | None, value: int | None, owed: int | None, net: int | None
) -> tuple[int, int]:
    """What is owed for the sessions left, and what those used were worth, without VAT."""
    total, left = counts
    used = total - left
    if owed is not None:
        if net is not None and net < owed:
            raise InvalidError("owed_over_value", N_("More is owed on the card than it was sold for."), field="owed")
        # Without the price a session used counts as much as one of those left.
        worth = net - owed if net is not None else used * (owed // left if left else 0)
        return owed if left else 0, worth if used else 0
    if not value or not total:
        return 0, 0
    if service is None:
        raise InvalidError(
            "value_needs_service",
            N_("A card for any service has no VAT rate: say what is owed instead."),
            field="value",
        )
    whole = value - vat_within(value, service.vat_rate_bp)
    spent = session_value(whole=whole, spent=0, total_sessions=total, sessions_gone=0, sessions=used)
    return whole - spent, spent


def _collect(errors: list[InvalidError], parse: Callable[[], Value]) -> Value | None:
    try:
        return parse()
    except InvalidError as error:
        errors.append(error)
        return None
