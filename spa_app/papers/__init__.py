"""Papers as PDF: frozen facts in, bytes out. They read nothing and write nothing.

A receipt is for rolls of 80 mm, an A4 invoice for sheets; both also make credit notes. The same facts make the same
bytes.
"""

from spa_app.papers.content import (
    PREVIEW,
    Mark,
    line_words,
    mark_words,
    paper_lines,
    payment_words,
    title,
    vat_sums,
)
from spa_app.papers.style import Style, format_phone
from spa_app.queries.billing import InvoiceView

__all__ = [
    "PREVIEW",
    "Mark",
    "Style",
    "filename",
    "format_phone",
    "line_words",
    "make_pdf",
    "mark_words",
    "paper_lines",
    "payment_words",
    "title",
    "vat_sums",
]


def make_pdf(invoice: InvoiceView, paper: str, mark: Mark, style: Style) -> bytes:
    """The PDF of a paper (``receipt`` or ``a4``)."""
    # The library takes 18 MB and a third of a second: a process that makes no PDF is spared them.
    from spa_app.papers.a4 import a4_invoice
    from spa_app.papers.receipt import receipt

    return a4_invoice(invoice, mark, style) if paper == "a4" else receipt(invoice, mark, style)


def filename(invoice: InvoiceView, paper: str) -> str:
    """What the PDF is called where it is kept: ``receipt-Q1-2026-000123.pdf``."""
    kind = "credit-note" if invoice.kind == "credit_note" else "receipt" if paper == "receipt" else "invoice"
    return f"{kind}-{invoice.number}.pdf"
