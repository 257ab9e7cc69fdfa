"""The receipt on a roll of 80 mm."""

from spa_app.errors import N_
from spa_app.papers.content import Mark, line_words, mark_words, paper_lines, payment_words, slip_words, title
from spa_app.papers.sheet import Sheet
from spa_app.papers.style import Style, format_phone
from spa_app.queries.billing import InvoiceView

WIDTH, MARGIN = 80, 5  # mm; printers leave about 4 mm free at each side
LONGEST = 5000  # mm: a PDF page cannot be longer; what is, goes on on another


def receipt(invoice: InvoiceView, mark: Mark, style: Style) -> bytes:
    """The receipt, or the credit note, as one page that is as long as what stands on it."""
    with _new_sheet(invoice, style, LONGEST) as trial:
        _draw(trial, invoice, mark, style)
        height = trial.y + MARGIN if trial.pages_count == 1 else LONGEST
    with _new_sheet(invoice, style, height) as sheet:
        _draw(sheet, invoice, mark, style)
        return bytes(sheet.output())


def _new_sheet(invoice: InvoiceView, style: Style, height: float) -> Sheet:
    heading = title(invoice, "receipt", style)
    sheet = Sheet(
        size=(WIDTH, height),
        margin=MARGIN,
        title=f"{heading} {invoice.number}",
        locale=style.locale,
        created_at=invoice.issued_at,
    )
    sheet.set_auto_page_break(height == LONGEST, MARGIN)
    return sheet


def _draw(sheet: Sheet, invoice: InvoiceView, mark: Mark, style: Style) -> None:
    heading = title(invoice, "receipt", style)
    sheet.add_page()
    _head(sheet, invoice, style)
    sheet.y += 2
    sheet.type(11, bold=True)
    sheet.centred(heading)
    sheet.y += 1
    sheet.type(9, bold=True)
    for words in (mark_words(mark, style), style.say(N_("VOID")) if invoice.status == "void" else ""):
        if words:
            sheet.stamp(words, MARGIN, sheet.epw)
    sheet.type(8.5)
    for name, value in _facts(invoice, style):
        sheet.pair(name, value)
    _sums(sheet, invoice, style)
    _slip(sheet, invoice, style)
    sheet.y += 3
    sheet.type(8.5)
    sheet.centred(style.say(N_("Thank you, see you soon!")))


def _head(sheet: Sheet, invoice: InvoiceView, style: Style) -> None:
    branch = invoice.branch
    sheet.type(11, bold=True)
    sheet.centred(branch.name)
    sheet.type(8.5)
    tax_code = f"{style.say(N_('Tax number'))}: {branch.tax_code}" if branch.tax_code else ""
    for words in (branch.address, format_phone(branch.phone), tax_code):
        if words:
            sheet.centred(words)


def _facts(invoice: InvoiceView, style: Style) -> list[tuple[str, str]]:
    facts = [
        (style.say(N_("No.")), invoice.number),
        (style.say(N_("Date")), style.datetime(invoice.issued_at)),
        (style.say(N_("Customer")), invoice.customer_name),
    ]
    if invoice.visit_at:
        facts.append((style.say(N_("Visit")), style.datetime(invoice.visit_at)))
    if invoice.corrects:
        facts.append((style.say(N_("Takes back")), invoice.corrects[1]))
    if invoice.reason:
        facts.append((style.say(N_("Reason")), invoice.reason))
    return facts


def _sums(sheet: Sheet, invoice: InvoiceView, style: Style) -> None:
    sheet.rule(dashed=True)
    for line in paper_lines(invoice.lines):
        count = "" if line.quantity in (1, -1) else f"{line.quantity} × "
        sheet.pair(count + line_words(line, style), style.money(line.amount))
        sheet.y += 0.5
    sheet.rule(dashed=True)
    sheet.type(11, bold=True)
    sheet.pair(style.say(N_("Total")), style.money(invoice.total_amount))
    sheet.type(8.5)
    sheet.pair(style.say(N_("VAT in it")), style.money(invoice.vat_amount))
    if invoice.payments:
        sheet.rule(dashed=True)
    for payment in invoice.payments:
        sheet.pair(payment_words(payment, style), style.money(payment.amount))
        if payment.change_amount:
            received = style.say(N_("received %(amount)s, change"), amount=style.money(payment.tendered_amount))
            sheet.pair(received, style.money(payment.change_amount))
    if invoice.due_amount:
        sheet.rule(dashed=True)
        sheet.type(11, bold=True)
        sheet.pair(style.say(N_("Left to pay")), style.money(invoice.due_amount))


def _slip(sheet: Sheet, invoice: InvoiceView, style: Style) -> None:
    if invoice.slip:
        sheet.rule(dashed=True)
    for line in invoice.slip:
        what, left = slip_words(line, style, is_sale=not invoice.booking_id)
        for words, bold in ((what, True), (left, False)):
            sheet.type(8.5, bold=bold)
            sheet.y = sheet.text_at(MARGIN, sheet.epw, words)
        sheet.y += 0.5
