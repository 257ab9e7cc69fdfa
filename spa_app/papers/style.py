"""How a paper speaks: words in the reader's language, money, dates of the branch's clocks, phone numbers."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

import phonenumbers
from babel.dates import format_date
from babel.numbers import format_decimal

from spa_app.errors import N_
from spa_app.money import format_money

METHOD_WORDS = {
    "cash": N_("Cash"),
    "card": N_("Card"),
    "bank_transfer": N_("Bank transfer"),
    "e_wallet": N_("E-wallet"),
    "store_credit": N_("Store credit"),
    "gift_card": N_("Gift card"),
    "deposit": N_("Deposit"),
}


@dataclass(frozen=True)
class Style:
    """Language (``en`` or ``vi``), time zone, currency, and what says a msgid in that language."""

    locale: str
    timezone: str
    currency: str
    translate: Callable[[str], str]

    def say(self, msgid: str, **values: object) -> str:
        """A msgid in the reader's language, with its values filled in."""
        words = self.translate(msgid)
        return words % values if values else words

    def money(self, amount: int) -> str:
        """Minor units as ``1.500.000 ₫``."""
        return format_money(amount, self.currency, self.locale)

    def date(self, value: dt.date) -> str:
        """A date, in the middle length of the language."""
        return format_date(value, "medium", locale=self.locale)

    def datetime(self, instant: dt.datetime) -> str:
        """An instant as local date and time (24 hours, no seconds)."""
        local = instant.astimezone(ZoneInfo(self.timezone))
        return f"{self.date(local.date())}, {local:%H:%M}"

    def percent(self, basis_points: int) -> str:
        """A rate as people write it: ``8 %``, ``8.5 %``."""
        return f"{format_decimal(Decimal(basis_points) / 100, locale=self.locale)} %"

    def valid_to(self, expiry_date: dt.date | None) -> str:
        """Until when a card is valid; None: its validity has not begun yet."""
        if expiry_date is None:
            return self.say(N_("valid from the first visit on"))
        return self.say(N_("valid to %(date)s"), date=self.date(expiry_date))


def format_phone(number: str | None) -> str:
    """An E.164 number in the national format of its country: ``0912 345 678``; None is empty."""
    if not number:
        return ""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    home = phonenumbers.region_code_for_number(parsed) == "VN"
    style = phonenumbers.PhoneNumberFormat.NATIONAL if home else phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(parsed, style)
