"""Gift cards: codes that are money owed to whoever brings them, and what happened to each."""

import datetime as dt
import secrets

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

# Nobody takes one of these for another, said or written. Their number is a prime: so the last letter, a sum of the
# others by their places, tells any one mistyped letter and any two that were swapped.
LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_LENGTH = 12


def new_code() -> str:
    """A code that nobody can guess: eleven letters by chance, and the one that checks them."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH - 1))
    return letters + _check_letter(letters)


def read_code(typed: str) -> str | None:
    """The code as it is stored, from what somebody types (any case, with or without dashes); None if it cannot be."""
    code = "".join(typed.split()).replace("-", "").upper()
    known = len(code) == CODE_LENGTH and all(letter in LETTERS for letter in code)
    return code if known and code[-1] == _check_letter(code[:-1]) else None


def show_code(code: str) -> str:
    """``ABCDEFGHJKMN`` as ``ABCD-EFGH-JKMN``."""
    return "-".join(code[at : at + 4] for at in range(0, CODE_LENGTH, 4))


def _check_letter(letters: str) -> str:
    return LETTERS[sum(place * LETTERS.index(letter) for place, letter in enumerate(letters, start=1)) % len(LETTERS)]


class GiftCard(Base):
    """What is on a gift card, in minor units; ``balance_amount`` and ``expired_amount`` cache its history.

    Sold by the invoice line, or issued without a sale. ``customer_id`` is who bought it (or, without a sale, whom it
    was given to); whoever brings the code may use it, in every branch. It can be used until the end of ``expires_on``
    by its branch's clocks, without a date for ever. The texts are what is printed on it.
    """

    __tablename__ = "gift_cards"
    __table_args__ = (
        UniqueConstraint("code"),
        UniqueConstraint("invoice_line_id"),
        CheckConstraint("code ~ '^[2-9A-HJKMNP-Z]{12}$'", name="code"),
        CheckConstraint("initial_amount > 0", name="initial"),
        CheckConstraint("balance_amount >= 0", name="balance"),
        CheckConstraint("expired_amount >= 0", name="expired"),
        CheckConstraint("cancelled_at IS NULL OR balance_amount = 0", name="cancelled"),
        Index("ix_gift_cards_branch_id", "branch_id", "id"),
        Index("ix_gift_cards_customer_id", "customer_id"),
        Index("ix_gift_cards_due", "branch_id", "expires_on", postgresql_where=text("balance_amount > 0")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    branch_id: Mapped[int] = mapped_column(ForeignKey("branches.id"))
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"))
    receiver_name: Mapped[str] = mapped_column(server_default="")
    greeting: Mapped[str] = mapped_column(server_default="")
    invoice_line_id: Mapped[int | None] = mapped_column(ForeignKey("invoice_lines.id"))
    initial_amount: Mapped[int]
    balance_amount: Mapped[int]
    expired_amount: Mapped[int] = mapped_column(server_default=text("0"))
    expires_on: Mapped[dt.date | None]
    cancelled_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())

    def status(self, today: dt.date) -> str:
        """``cancelled``, ``expired``, ``used_up`` or ``active``, from the facts; ``today`` is its branch's date."""
        if self.cancelled_at is not None:
            return "cancelled"
        if self.expired_amount or (self.balance_amount and self.expires_on is not None and self.expires_on < today):
            return "expired"
        return "active" if self.balance_amount else "used_up"


class GiftCardEntry(Base):
    """One change of a gift card, signed by what it does to the balance; append-only.

    ``expires_on`` is until when it can be used from then on, where that is what changed.
    """

    __tablename__ = "gift_card_entries"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('issue', 'redeem', 'refund', 'expire', 'reactivate', 'extend', 'adjust', 'cancel')", name="kind"
        ),
        CheckConstraint(
            "CASE WHEN kind IN ('issue', 'refund', 'reactivate') THEN amount > 0"
            " WHEN kind IN ('redeem', 'expire') THEN amount < 0"
            " WHEN kind = 'cancel' THEN amount <= 0"
            " WHEN kind = 'extend' THEN amount = 0 ELSE amount <> 0 END",
            name="sign",
        ),
        CheckConstraint("(kind IN ('redeem', 'refund')) = (payment_id IS NOT NULL)", name="payment"),
        CheckConstraint("kind IN ('extend', 'reactivate') OR expires_on IS NULL", name="expires_on"),
        Index("ix_gift_card_entries_gift_card_id", "gift_card_id", "id"),
        Index("ix_gift_card_entries_payment_id", "payment_id"),
        Index("uq_gift_card_entries_issue", "gift_card_id", unique=True, postgresql_where=text("kind = 'issue'")),
        Index("uq_gift_card_entries_redeem", "payment_id", unique=True, postgresql_where=text("kind = 'redeem'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    gift_card_id: Mapped[int] = mapped_column(ForeignKey("gift_cards.id"))
    kind: Mapped[str]
    amount: Mapped[int]
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    expires_on: Mapped[dt.date | None]
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
