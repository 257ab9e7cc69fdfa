"""Integer money: amounts are minor units of the installation's one currency (đồng have none smaller). Never floats."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from babel.numbers import format_currency, format_decimal, get_currency_precision, get_group_symbol


@dataclass(frozen=True)
class Money:
    """An amount on its way to a reader; the page formats it in its language."""

    amount: int


def vat_within(gross: int, rate_bp: int) -> int:
    """The VAT inside a price. ``rate_bp`` is in basis points (800 = 8 %). Half a unit rounds up, away from zero."""
    sign = -1 if gross < 0 else 1
    whole = 10_000 + rate_bp
    return sign * ((abs(gross) * rate_bp * 2 + whole) // (2 * whole))


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Shares of ``amount`` in proportion to ``weights``, rounded down; the last one takes what is left.

    So a plan's price is spread over its cards (1-product, *Treatment cards*). All weights zero means equal weights.
    Raises ``ValueError`` for no weights or a negative one.
    """
    if not weights or min(weights) < 0:
        raise ValueError("weights must be given and not negative")
    if not any(weights):
        weights = [1] * len(weights)
    shares = [amount * weight // sum(weights) for weight in weights[:-1]]
    return [*shares, amount - sum(shares)]


def share_out(amount: int, weights: Sequence[int]) -> list[int]:
    """Shares of ``amount`` in proportion to ``weights``, by largest remainder: each is within one of its exact share.

    What rounding down leaves goes one by one to the largest remainders, the earlier of two equal ones first. So no
    share exceeds its weight where ``amount`` does not exceed their sum. All weights zero means equal weights. Raises
    ``ValueError`` for no weights, a negative one, or a negative amount.
    """
    if not weights or min(weights) < 0 or amount < 0:
        raise ValueError("weights must be given, and nothing be negative")
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    shares = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: -(amount * weights[place] % whole))
    for place in by_remainder[: amount - sum(shares)]:
        shares[place] += 1
    return shares


def percentage(amount: int, share_bp: int) -> int:
    """So many basis points of an amount that is not negative, half a unit rounded up."""
    return (amount * share_bp + 5_000) // 10_000


def session_value(*, whole: int, spent: int, total_sessions: int, sessions_gone: int, sessions: int = 1) -> int:
    """What ``sessions`` of a card are worth now, in minor units.

    Each session is worth the whole divided by the number sold, rounded down; the last one takes what is left, so the
    card ends at exactly zero (1-product, *Money*). ``spent`` is what was recognised or expired before, and
    ``sessions_gone`` how many sessions that was. Where sessions without a value were added meanwhile, what is left is
    shared by all that are left, if that is less.
    """
    left = total_sessions - sessions_gone
    if sessions == left:
        return whole - spent
    return min(whole // total_sessions, (whole - spent) // left) * sessions


def format_money(amount: int, currency: str, locale: str) -> str:
    """``1500000`` as ``1.500.000 ₫`` (vi) or ``₫1,500,000`` (en)."""
    return format_currency(to_major(amount, currency), currency, locale=locale)


def format_plain(amount: int, currency: str, locale: str) -> str:
    """``1500000`` as ``1.500.000`` (vi) or ``1,500,000`` (en): what :func:`parse_amount` reads, for a form's field."""
    digits = get_currency_precision(currency)
    return format_decimal(
        to_major(amount, currency), format=f"#,##0.{'0' * digits}" if digits else "#,##0", locale=locale
    )


def parse_amount(text: str, currency: str, locale: str) -> int:
    """Minor units from what a person types: ``450000``, ``450.000``, ``450,000 ₫``. Raises ``ValueError``.

    Grouping marks of any language are taken for a currency without decimals, since none can then be a decimal point.
    """
    cleaned = text.strip().removesuffix("₫").removesuffix("đ").removesuffix(currency).strip()
    cleaned = cleaned.replace("\u00a0", "").replace("\u202f", "").replace(" ", "")
    precision = get_currency_precision(currency)
    group = get_group_symbol(locale)
    if precision == 0:
        cleaned = _ungroup(cleaned, ".") if "." in cleaned else _ungroup(cleaned, ",")
        point = ""
    else:
        point = "," if group == "." else "."
        whole, _, fraction = cleaned.partition(point)
        cleaned = _ungroup(whole, group) + fraction.ljust(precision, "0")
        if len(fraction) > precision or (point in text and not fraction):
            raise ValueError("too many decimals")
    if not (cleaned.isascii() and cleaned.isdigit()) or len(cleaned) > 15:
        raise ValueError("not an amount")
    return int(cleaned)


def _ungroup(digits: str, mark: str) -> str:
    head, *groups = digits.split(mark)
    if any(len(group) != 3 for group in groups):
        raise ValueError("grouping marks stand between thousands")
    return head + "".join(groups)


def to_major(amount: int, currency: str) -> Decimal:
    """Minor units as a number of the currency itself: cents as euros, đồng as đồng."""
    return Decimal(amount).scaleb(-get_currency_precision(currency))
