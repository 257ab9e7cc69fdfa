"""Which papers were printed, made into a PDF or sent, by whom and when."""

import datetime as dt

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from spa_app.extensions import Base

PAPERS = ("receipt", "a4")


class Print(Base):
    """One print of an invoice's paper; append-only. The first that says so much is paid is the original (0), the others
    are its copies (1, 2, …): once more is paid, the receipt that says so is a new paper.
    """

    __tablename__ = "prints"
    __table_args__ = (
        CheckConstraint("paper IN ('receipt', 'a4')", name="paper"),
        CheckConstraint("way IN ('print', 'pdf', 'email')", name="way"),
        CheckConstraint("copy_number >= 0", name="copy_number"),
        UniqueConstraint("invoice_id", "paper", "paid_amount", "copy_number"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    paper: Mapped[str]
    way: Mapped[str]
    paid_amount: Mapped[int]
    copy_number: Mapped[int] = mapped_column(SmallInteger)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    printed_at: Mapped[dt.datetime] = mapped_column(server_default=func.now())
