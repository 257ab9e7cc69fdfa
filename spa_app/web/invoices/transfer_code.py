"""The VietQR code of what is left to pay on an invoice."""

from dataclasses import dataclass

from flask import current_app

from spa_app.integrations.vietqr import BANKS, transfer_code
from spa_app.queries.billing import InvoiceView

CURRENCY = "VND"  # the only one that VietQR carries


@dataclass(frozen=True)
class Transfer:
    """A transfer that would pay an invoice: to whom, how much, and the text of its code."""

    bank_name: str
    account: str
    holder: str
    amount: int
    purpose: str
    code: str


def offered_transfer(invoice: InvoiceView) -> Transfer | None:
    """The transfer of what is left to pay; None where nothing is, or the branch has no account for it."""
    if not invoice.due_amount or not invoice.branch.bank or current_app.config["SETTINGS"].currency != CURRENCY:
        return None
    bank_bin, account, holder = invoice.branch.bank
    return Transfer(
        bank_name=BANKS.get(bank_bin, bank_bin),
        account=account,
        holder=holder,
        amount=invoice.due_amount,
        purpose=invoice.number,
        code=transfer_code(bank_bin=bank_bin, account=account, amount=invoice.due_amount, purpose=invoice.number),
    )
