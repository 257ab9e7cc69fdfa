"""The invoice on A4, over as many pages as its lines need."""

from spa_app.errors import N_
from spa_app.papers.content import Mark, PaperLine, line_words, mark_words, paper_lines, payment_words, title, vat_sums
from spa_app.papers.sheet import Align, Sheet
from spa_app.papers.style import Style, format_phone
from spa_app.queries.billing import InvoiceView

MARGIN, FOOT = 16, 18  # mm
ROW_GAP = 0.8  # mm, above and below
TABLE: tuple[tuple[str, float, Align], ...] = (
    (N_("No."), 9, "L"),
    (N_("What"), 56, "L"),
    (N_("Quantity"), 18, "R"),
    (N_("Unit price"), 27, "R"),
    (N_("VAT rate"), 18, "R"),
    (N_("VAT"), 23, "R"),
    (N_("Amount"), 27, "R"),
)
WHAT = 1  # the column that wraps
GAP = 2.5  # mm, between columns


def a4_invoice(invoice: InvoiceView, mark: Mark, style: Style) -> bytes:
    """The invoice, or the credit note, with the sums at each rate of VAT, what was paid, and what is left to pay."""
    with _A4(invoice, mark, style) as sheet:
        sheet.add_page()
        sheet.about()
        sheet.lines()
        sheet.sums()
        sheet.payments()
        return bytes(sheet.output())


class _A4(Sheet):
    def __init__(self, invoice: InvoiceView, mark: Mark, style: Style) -> None:
        self._invoice, self._style = invoice, style
        self._say = style.say
        self._title = title(invoice, "a4", style)
        self._marks = [
            words
            for words in (mark_words(mark, style), self._say(N_("VOID")) if invoice.status == "void" else "")
            if words
        ]
        super().__init__(
            size=(210, 297),
            margin=MARGIN,
            title=f"{self._title} {invoice.number}",
            locale=style.locale,
            created_at=invoice.issued_at,
        )
        self.set_auto_page_break(True, FOOT)
        self.alias_nb_pages()

    def header(self) -> None:
        """The branch and what this is on the first page, a line that says so on the others; the marks on each."""
        branch, half = self._invoice.branch, self.epw / 2
        right = self.l_margin + half
        self.type(13 if self.page == 1 else 9, bold=True)
        left_end = self.text_at(self.l_margin, half - GAP, branch.name)
        right_end = self.text_at(
            right, half, self._title if self.page == 1 else f"{self._title} {self._invoice.number}", "R"
        )
        if self.page == 1:
            self.type(9)
            self.y = left_end
            for words in self._branch_words():
                self.y = self.text_at(self.l_margin, half - GAP, words)
            left_end, self.y = self.y, right_end
            for words in (
                f"{self._say(N_('No.'))} {self._invoice.number}",
                self._style.datetime(self._invoice.issued_at),
            ):
                self.y = self.text_at(right, half, words, "R")
            right_end = self.y
        self.y = max(left_end, right_end)
        self.rule()
        self.type(10, bold=True)
        for words in self._marks:
            self.stamp(words, self.l_margin, self.epw)

    def footer(self) -> None:
        """Which page it is."""
        self.set_y(-FOOT + 6)
        self.type(8, grey=True)
        of = self._say(N_("Page %(page)s of %(pages)s"), page=self.page, pages=self.str_alias_nb_pages)
        self.text_at(self.l_margin, self.epw, f"{self._invoice.number}  ·  {of}")

    def about(self) -> None:
        """For whom it is, and what it corrects."""
        invoice = self._invoice
        facts = [(self._say(N_("Customer")), invoice.customer_name)]
        if invoice.customer_phone:
            facts.append((self._say(N_("Phone")), format_phone(invoice.customer_phone)))
        if invoice.visit_at:
            facts.append((self._say(N_("Visit")), self._style.datetime(invoice.visit_at)))
        if invoice.corrects:
            facts.append((self._say(N_("Takes back")), self._say(N_("Invoice %(number)s"), number=invoice.corrects[1])))
        if invoice.reason:
            facts.append((self._say(N_("Reason")), invoice.reason))
        self.y += 1
        for name, value in facts:
            self.type(9.5, grey=True)
            self.text_at(self.l_margin, 32, name)
            self.type(9.5)
            self.y = self.text_at(self.l_margin + 32, self.epw - 32, value) + 0.5
        self.y += 3

    def lines(self) -> None:
        """The table, whose head stands on each page that it goes over."""
        self._table_head()
        self.type(9)
        for number, line in enumerate(paper_lines(self._invoice.lines), start=1):
            cells = self._cells(number, line)
            if self.will_page_break(self.height_of(TABLE[WHAT][1] - GAP, cells[WHAT]) + 2 * ROW_GAP):
                self.add_page()
                self._table_head()
                self.type(9)
            self._row(cells)
        self.rule(gap=0.5)

    def sums(self) -> None:
        """What it holds at each rate of VAT, and the whole of it. Stays on one page."""
        style, invoice = self._style, self._invoice
        rates = vat_sums(invoice.lines)
        self._keep_together(8 + 6 * len(rates) + 14)
        self.y += 3
        widths = (self.epw - 3 * 36, 36, 36, 36)
        rows = [
            (N_("VAT rate"), N_("Before VAT"), N_("VAT"), N_("With VAT")),
            *(
                (
                    style.percent(rate.vat_rate_bp),
                    style.money(rate.amount - rate.vat_amount),
                    style.money(rate.vat_amount),
                    style.money(rate.amount),
                )
                for rate in rates
            ),
        ]
        for number, row in enumerate(rows):
            self.type(9, grey=number == 0)
            self._columns([self._say(cell) for cell in row] if number == 0 else list(row), widths)
        self.rule(gap=0.8)
        self.type(10.5, bold=True)
        net = style.money(invoice.total_amount - invoice.vat_amount)
        total = style.money(invoice.total_amount)
        self._columns([self._say(N_("Total")), net, style.money(invoice.vat_amount), total], widths)
        self.type(8, grey=True)
        self.y = self.text_at(self.l_margin, self.epw, self._say(N_("Prices include VAT.")))

    def payments(self) -> None:
        """What was paid and how, and what is left."""
        style, invoice = self._style, self._invoice
        if invoice.payments:
            self._keep_together(20)
            self.y += 4
            self.type(10, bold=True)
            self.y = self.text_at(self.l_margin, self.epw, self._say(N_("Payments"))) + 1
        for payment in invoice.payments:
            self.type(9)
            words = f"{style.datetime(payment.taken_at)}  {payment_words(payment, style)}"
            self.pair(words, style.money(payment.amount))
        if invoice.kind == "invoice" and invoice.status != "void" and not invoice.is_credited:
            self._keep_together(12)
            self.rule(gap=1)
            self.type(12, bold=True)
            self.pair(self._say(N_("Left to pay")), style.money(invoice.due_amount))

    def _branch_words(self) -> list[str]:
        branch = self._invoice.branch
        words = [branch.address]
        if branch.phone:
            words.append(f"{self._say(N_('Phone'))}: {format_phone(branch.phone)}")
        if branch.tax_code:
            words.append(f"{self._say(N_('Tax number'))}: {branch.tax_code}")
        return [word for word in words if word]

    def _cells(self, number: int, line: PaperLine) -> list[str]:
        style = self._style
        return [
            str(number),
            line_words(line, style),
            str(line.quantity),
            "" if line.unit_amount is None else style.money(line.unit_amount),
            "" if line.vat_rate_bp is None else style.percent(line.vat_rate_bp),
            style.money(line.vat_amount),
            style.money(line.amount),
        ]

    def _table_head(self) -> None:
        self.type(8, grey=True)
        self._row([self._say(name) for name, _, _ in TABLE])
        self.rule(gap=0.4)

    def _row(self, cells: list[str]) -> None:
        """A row as high as the highest of its cells."""
        self.y += ROW_GAP
        x, bottoms = self.l_margin, []
        for cell, (_, width, align) in zip(cells, TABLE, strict=True):
            # A column of figures takes the gap at its left, the text at its right.
            bottoms.append(self.text_at(x if align == "L" else x + GAP, width - GAP, cell, align))
            x += width
        self.y = max(bottoms) + ROW_GAP

    def _columns(self, cells: list[str], widths: tuple[float, ...]) -> None:
        x = self.l_margin
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            self.text_at(x, width, cell, "L" if number == 0 else "R")
            x += width
        self.y += self.line_height

    def _keep_together(self, height: float) -> None:
        if self.will_page_break(height):
            self.add_page()
