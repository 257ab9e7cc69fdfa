"""What a paper says beyond the invoice's own rows: lines as a reader wants them, VAT by rate, and which print it is."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from spa_app.errors import N_
from spa_app.papers.style import METHOD_WORDS, Style
from spa_app.queries.billing import InvoiceView, LineView, PaymentView, SlipLine


@dataclass(frozen=True)
class PaperLine:
    """A line as it is printed. ``vat_rate_bp`` is None where discounts of several rates stand together."""

    kind: str
    description: str
    quantity: int
    amount: int
    vat_amount: int
    vat_rate_bp: int | None

    @property
    def unit_amount(self) -> int | None:
        """The price of one, where the amount is a whole number of them."""
        return None if self.amount % self.quantity else self.amount // self.quantity


@dataclass(frozen=True)
class RateSum:
    """What an invoice holds at one rate of VAT. ``amount`` includes it."""

    vat_rate_bp: int
    amount: int
    vat_amount: int


@dataclass(frozen=True)
class Mark:
    """Which print of a paper this is: 0 the original, 1 the first copy. None: nobody printed it, it is a preview."""

    copy_number: int | None = None
    printed_at: dt.datetime | None = None


PREVIEW = Mark()


def paper_lines(lines: Iterable[LineView]) -> tuple[PaperLine, ...]:
    """The lines in their order, and then the discounts: those of one name are one line, over however many it is spread.

    So a promotion that is spread over the lines of a bill is printed as the one thing that it is to the customer.
    """
    shown, discounts = [], dict[str, PaperLine]()
    for line in lines:
        one = PaperLine(line.kind, line.description, line.quantity, line.amount, line.vat_amount, line.vat_rate_bp)
        if line.kind != "discount":
            shown.append(one)
            continue
        sum_ = discounts.get(line.description)
        discounts[line.description] = PaperLine(
            kind=line.kind,
            description=line.description,
            quantity=1,
            amount=line.amount + (sum_.amount if sum_ else 0),
            vat_amount=line.vat_amount + (sum_.vat_amount if sum_ else 0),
            vat_rate_bp=line.vat_rate_bp if sum_ is None or sum_.vat_rate_bp == line.vat_rate_bp else None,
        )
    return (*shown, *discounts.values())


def vat_sums(lines: Iterable[LineView]) -> tuple[RateSum, ...]:
    """The sums at each rate of VAT, the highest rate first."""
    sums: dict[int, tuple[int, int]] = {}
    for line in lines:
        amount, vat = sums.get(line.vat_rate_bp, (0, 0))
        sums[line.vat_rate_bp] = (amount + line.amount, vat + line.vat_amount)
    return tuple(RateSum(rate, *sums[rate]) for rate in sorted(sums, reverse=True))


def line_words(line: PaperLine, style: Style) -> str:
    """A line's text. That of a fee is a msgid, translated where it is shown; that of a tip is whose it is."""
    match line.kind:
        case "fee" | "gift_card":
            return style.say(line.description)
        case "tip":
            return style.say(N_("Tip for %(name)s"), name=line.description)
        case "discount":
            return style.say(N_("Discount: %(reason)s"), reason=line.description)
    return line.description


def payment_words(payment: PaymentView, style: Style) -> str:
    """How something was paid, with its reference. What a credit note settled was not."""
    how = N_("Settled by a credit note") if payment.is_settlement else METHOD_WORDS[payment.method]
    return f"{style.say(how)} {payment.reference}".rstrip()


def mark_words(mark: Mark, style: Style) -> str:
    """What the mark says; an original says nothing."""
    if mark.copy_number is None or mark.printed_at is None:
        return style.say(N_("PREVIEW: not valid until it is printed"))
    if mark.copy_number == 0:
        return ""
    return style.say(
        N_("COPY %(number)s · %(printed_at)s"), number=mark.copy_number, printed_at=style.datetime(mark.printed_at)
    )


def title(invoice: InvoiceView, paper: str, style: Style) -> str:
    """What the paper is: ``paper`` is ``receipt`` or ``a4``."""
    if invoice.kind == "credit_note":
        return style.say(N_("Credit note"))
    return style.say(N_("Receipt") if paper == "receipt" else N_("Invoice"))


def slip_words(line: SlipLine, style: Style, *, is_sale: bool) -> tuple[str, str]:
    """What happened on a card, and what is left on it."""
    service = line.service or style.say(N_("Any service"))
    if is_sale:
        what = style.say(N_("%(count)s × %(service)s"), count=line.sessions, service=service)
    elif line.is_forfeited:
        what = style.say(N_("Forfeited 1 of %(service)s"), service=service)
    else:
        what = style.say(N_("Punched 1 of %(service)s"), service=service)
    left = style.say(N_("%(count)s left"), count=line.left)
    if line.held:
        left += ", " + style.say(N_("%(count)s reserved"), count=line.held)
    card = style.say(N_("card #%(id)s"), id=line.card_id)
    return what, f"{left}, {style.valid_to(line.expiry_date)} · {card}"
