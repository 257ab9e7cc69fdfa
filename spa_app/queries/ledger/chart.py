"""The chart of accounts and the events of the journal in words (msgids), and the accounts' Vietnamese numbers.

The numbers are those of the Vietnamese chart of accounts for enterprises, Circular 200/2014/TT-BTC of the Ministry of
Finance, Appendix 1; checked against its transcription in Odoo's module l10n_vn (account.account-vn.csv). They are what
most accountants here would post to, and a proposal: which ones an enterprise uses is for its accountant to say.
"""

from dataclasses import dataclass

from spa_app.errors import N_

KINDS = {
    "asset": N_("Assets"),
    "liability": N_("Liabilities"),
    "equity": N_("Equity"),
    "revenue": N_("Revenue"),
    "expense": N_("Expenses"),
}


@dataclass(frozen=True)
class AccountWords:
    """The name of an account, and its number in the Vietnamese chart."""

    name: str
    vas_code: str


# our code → its name, and the Vietnamese account of the comment
ACCOUNTS = {
    "1110": AccountWords(N_("Cash"), "1111"),  # tiền mặt, tiền Việt Nam
    "1120": AccountWords(N_("Card payments"), "1131"),  # tiền đang chuyển: the card company has it still
    "1130": AccountWords(N_("Bank"), "1121"),  # tiền gửi ngân hàng, tiền Việt Nam
    "1140": AccountWords(N_("E-wallets"), "1131"),  # tiền đang chuyển
    "1150": AccountWords(N_("Safe"), "1111"),  # tiền mặt
    "1310": AccountWords(N_("Receivables"), "131"),  # phải thu của khách hàng
    "2110": AccountWords(N_("Deferred revenue"), "3387"),  # doanh thu chưa thực hiện
    "2120": AccountWords(N_("VAT payable"), "33311"),  # thuế GTGT đầu ra
    "2130": AccountWords(N_("Store credit"), "3388"),  # phải trả, phải nộp khác
    "2140": AccountWords(N_("Gift cards"), "3387"),  # doanh thu chưa thực hiện
    "2150": AccountWords(N_("Tips payable"), "3388"),  # phải trả, phải nộp khác
    "2160": AccountWords(N_("Deposits"), "131"),  # khách hàng trả tiền trước: the credit side of 131
    "3110": AccountWords(N_("Opening balances"), ""),  # the counterpart of what was taken over; no such account
    "4110": AccountWords(N_("Service revenue"), "5113"),  # doanh thu cung cấp dịch vụ
    "4120": AccountWords(N_("Breakage revenue"), "711"),  # thu nhập khác
    "4130": AccountWords(N_("Fee revenue"), "711"),  # thu nhập khác
    "4140": AccountWords(N_("Product revenue"), "5111"),  # doanh thu bán hàng hóa
    "5110": AccountWords(N_("Cash over and short"), "811"),  # chi phí khác
    "5120": AccountWords(N_("Petty expenses"), "6428"),  # chi phí quản lý doanh nghiệp, chi phí bằng tiền khác
    "5130": AccountWords(N_("Goodwill"), "6418"),  # chi phí bán hàng, chi phí bằng tiền khác: gift cards given away
}

EVENTS = {
    "visit_invoiced": N_("Visit invoiced"),
    "plan_sold": N_("Package sold"),
    "sale_invoiced": N_("Sale invoiced"),
    "fee_charged": N_("Fee charged"),
    "payment_taken": N_("Payment taken"),
    "session_recognised": N_("Session used"),
    "session_returned": N_("Session given back"),
    "sessions_expired": N_("Sessions expired"),
    "sessions_reactivated": N_("Expired sessions given back"),
    "sessions_transferred": N_("Sessions transferred"),
    "cards_imported": N_("Cards imported"),
    "invoice_voided": N_("Invoice voided"),
    "invoice_credited": N_("Invoice credited"),
    "invoice_refunded": N_("Invoice refunded"),
    "card_refunded": N_("Card refunded"),
    "refund_withdrawn": N_("Refund withdrawn"),
    "credit_paid_out": N_("Store credit paid out"),
    "credit_moved": N_("Store credit moved"),
    "gift_cards_expired": N_("Gift cards expired"),
    "gift_card_adjusted": N_("Gift card adjusted"),
    "deposit_taken": N_("Deposit taken"),
    "deposit_returned": N_("Deposit returned"),
    "deposit_kept": N_("Deposit kept"),
    "cash_moved": N_("Cash moved"),
    "drawer_counted": N_("Drawer counted"),
}


def account_name(code: str, stored: str) -> str:
    """The msgid of an account's name; what is ``stored`` for one that is not in the chart."""
    return ACCOUNTS[code].name if code in ACCOUNTS else stored


def vas_code(code: str) -> str:
    """The account's number in the Vietnamese chart; empty where there is none."""
    return ACCOUNTS[code].vas_code if code in ACCOUNTS else ""


def event_name(event: str) -> str:
    """The msgid of what an entry was posted for."""
    return EVENTS.get(event, event)
