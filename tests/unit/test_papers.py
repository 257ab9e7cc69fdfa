"""Papers as PDF: every letter comes out, sums are right, long ones break, and the same facts make the same bytes."""

import datetime as dt
from dataclasses import fields, replace

import pytest
from babel.messages.pofile import read_po
from fontTools.ttLib import TTFont

from spa_app.config import PROJECT_DIR
from spa_app.papers import PREVIEW, Mark, Style, make_pdf, paper_lines, vat_sums
from spa_app.papers.sheet import FONTS, printable
from spa_app.queries.billing import BranchHead, InvoiceView, LineView, PaymentView, SlipLine
from tests.pdf import read_pages

AT = dt.datetime(2026, 11, 23, 9, 30, tzinfo=dt.UTC)
NAME = "Nguyễn Thị Hường"
SERVICE = "Gội đầu dưỡng sinh 60 phút"
ENGLISH = Style("en", "Asia/Ho_Chi_Minh", "VND", str)
ORIGINAL = Mark(0, AT)


def line(kind: str, description: str, quantity: int, amount: int, vat: int, rate: int, **more: int) -> LineView:
    """A line of an invoice, with what papers ask of it."""
    named = dict.fromkeys(one.name for one in fields(LineView))
    said = (kind, description, quantity, amount, vat, rate)
    return LineView(**{**named, **dict(zip(named, said, strict=False)), **more})


LINES = (
    line("service", SERVICE, 1, 450_000, 33_333, 800),
    line("product", "Tinh dầu sả chanh", 3, 600_000, 54_545, 1000),
    line("discount", "KHAI TRƯƠNG", 1, -45_000, -3_333, 800, discounts_id=1),
    line("discount", "KHAI TRƯƠNG", 1, -60_000, -5_455, 1000, discounts_id=2),
    line("tip", "Hồng", 1, 50_000, 0, 0),
)
INVOICE = InvoiceView(
    id=1,
    number="Q1-2026-000123",
    kind="invoice",
    status="partly_paid",
    branch=BranchHead(
        1, "An Nhiên Spa – Quận 1", "12 Nguyễn Huệ", "+842838222222", "0312345678-001", "Asia/Ho_Chi_Minh", None
    ),
    customer_id=1,
    customer_name=NAME,
    customer_phone="+84912345678",
    customer_email=None,
    credit_amount=0,
    deposit_amount=0,
    booking_id=4,
    visit_at=AT,
    total_amount=995_000,
    vat_amount=79_090,
    paid_amount=500_000,
    due_amount=495_000,
    credited_amount=0,
    is_credited=False,
    is_refund=False,
    corrects=None,
    notes=(),
    replaces=None,
    replaced_by=None,
    reason="",
    issued_at=AT,
    issued_by=None,
    lines=LINES,
    payments=(
        PaymentView(1, "cash", 300_000, 500_000, "", AT, None, False),
        PaymentView(2, "gift_card", 200_000, 200_000, "G-77", AT, None, False),
    ),
    payouts=(),
    slip=(SlipLine(7, "Chăm sóc da", 1, 8, 2, dt.date(2027, 3, 12)),),
)


def catalogue() -> dict[str, str]:
    path = PROJECT_DIR / "spa_app" / "translations" / "vi" / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        return {one.id: one.string for one in read_po(file) if isinstance(one.id, str) and one.string}


def text_of(paper: str, invoice: InvoiceView = INVOICE, mark: Mark = ORIGINAL, style: Style = ENGLISH) -> str:
    return " ".join(page.text for page in read_pages(make_pdf(invoice, paper, mark, style)))


@pytest.mark.parametrize("paper", ["receipt", "a4"])
def test_every_diacritic_comes_out(paper):
    text = text_of(paper, replace(INVOICE, customer_name=f"{NAME} – {SERVICE}"))

    for said in (
        NAME,
        SERVICE,
        "An Nhiên Spa – Quận 1",
        "0912 345 678" if paper == "a4" else "028 3822 2222",
        "₫995,000",
    ):
        assert said in text.replace("  ", " "), said


@pytest.mark.parametrize("weight", [400, 600])
def test_the_font_has_every_letter_of_vietnamese_and_of_the_catalogue(weight):
    letters = TTFont(FONTS / f"be-vietnam-pro-{weight}.ttf").getBestCmap()
    vowels = "aăâeêioôơuưy"
    said = {char for text in catalogue().values() for char in printable(text) if char != "\n"}
    with_tones = {printable(vowel + tone) for vowel in vowels for tone in "\u0300\u0301\u0303\u0309\u0323"}

    wanted = said | with_tones | {char.upper() for char in with_tones} | set("đĐ₫€·–\u202f\u00a0")
    # Arrows and signs of the screen stand on no paper.
    assert {char for char in wanted if ord(char) not in letters and char.isalpha()} == set()
    assert {char for char in "₫€·–×%\u202f\u00a0" if ord(char) not in letters} == set()


def test_figures_stand_in_columns():
    font = TTFont(FONTS / "be-vietnam-pro-400.ttf")

    assert len({font["hmtx"][font.getBestCmap()[ord(figure)]][0] for figure in "0123456789"}) == 1


@pytest.mark.parametrize("paper", ["receipt", "a4"])
def test_the_same_facts_make_the_same_bytes(paper):
    one, other = (make_pdf(INVOICE, paper, ORIGINAL, ENGLISH) for _ in range(2))

    assert one == other
    assert one != make_pdf(replace(INVOICE, due_amount=1), paper, ORIGINAL, ENGLISH)
    assert len(one) < 40_000


def test_in_vietnamese_money_and_dates_are_written_as_there():
    said = catalogue()
    text = text_of("receipt", style=Style("vi", "Asia/Ho_Chi_Minh", "VND", lambda msgid: said.get(msgid, msgid)))

    assert "995.000 ₫" in text
    assert "23 thg 11, 2026, 16:30" in text
    assert said["Left to pay"] in text


def test_discounts_of_one_name_are_one_line_and_come_last():
    lines = paper_lines(LINES)

    assert [(line.description, line.amount, line.vat_amount, line.vat_rate_bp) for line in lines[-2:]] == [
        ("Hồng", 50_000, 0, 0),
        ("KHAI TRƯƠNG", -105_000, -8_788, None),
    ]
    assert [line.unit_amount for line in lines] == [450_000, 200_000, 50_000, -105_000]
    assert text_of("a4").count("KHAI TRƯƠNG") == 1


@pytest.mark.parametrize("paper", ["receipt", "a4"])
def test_a_tip_says_that_it_is_one_and_so_does_a_discount(paper):
    text = text_of(paper).replace("\n", " ")

    assert "Tip for Hồng" in text
    assert "Discount: KHAI TRƯƠNG" in text


@pytest.mark.parametrize("paper", ["receipt", "a4"])
def test_what_a_credit_note_settled_was_not_paid(paper):
    settled = PaymentView(3, "store_credit", 495_000, 495_000, "", AT, None, True)

    text = text_of(paper, replace(INVOICE, payments=(settled,))).replace("\n", " ")

    assert "Settled by a credit note" in text
    assert "Store credit" not in text


def test_sums_by_rate_add_up_to_the_whole():
    sums = vat_sums(LINES)

    assert [(one.vat_rate_bp, one.amount, one.vat_amount) for one in sums] == [
        (1000, 540_000, 49_090),
        (800, 405_000, 30_000),
        (0, 50_000, 0),
    ]
    assert sum(one.amount for one in sums) == INVOICE.total_amount
    assert sum(one.vat_amount for one in sums) == INVOICE.vat_amount
    assert "₫490,910 ₫49,090 ₫540,000" in text_of("a4")


def test_an_a4_invoice_has_all_that_one_wants():
    text = text_of("a4")

    for said in (
        "Tax number: 0312345678-001",
        "Tip for Hồng",
        "Discount: KHAI TRƯƠNG",
        "Gift card G-77",
        "10 %",
        "₫200,000",
        "Left to pay ₫495,000",
        "Page 1 of 1",
    ):
        assert said in text, said


def test_a_roll_is_as_long_as_what_stands_on_it():
    few, many = (
        read_pages(make_pdf(replace(INVOICE, lines=LINES * number), "receipt", ORIGINAL, ENGLISH)) for number in (1, 5)
    )

    assert len(few) == len(many) == 1
    assert round(few[0].width / 72 * 25.4) == round(many[0].width / 72 * 25.4) == 80
    assert 90 < few[0].height / 72 * 25.4 < 150
    assert many[0].height > few[0].height
    assert len(read_pages(make_pdf(replace(INVOICE, lines=LINES[:2] * 800), "receipt", ORIGINAL, ENGLISH))) > 1


def test_many_lines_go_over_pages_each_with_head_mark_and_number():
    pages = read_pages(make_pdf(replace(INVOICE, lines=LINES[:2] * 40), "a4", Mark(2, AT), ENGLISH))

    assert len(pages) == 3
    for number, page in enumerate(pages, start=1):
        assert "Q1-2026-000123" in page.text
        assert "COPY 2 · Nov 23, 2026, 16:30" in page.text
        assert f"Page {number} of 3" in page.text
    for page in pages[:2]:
        assert "Unit price" in page.text
    assert " ".join(page.text for page in pages).count(SERVICE) == 40


@pytest.mark.parametrize("paper", ["receipt", "a4"])
@pytest.mark.parametrize("name", ["Gội đầu " * 40, "X" * 300])
def test_a_long_name_wraps(paper, name):
    pages = read_pages(
        make_pdf(replace(INVOICE, lines=(replace(LINES[0], description=name),)), paper, ORIGINAL, ENGLISH)
    )

    written = "".join("".join(page.runs) for page in pages)
    assert name.replace(" ", "") in written.replace(" ", "")
    assert max(len(run) for run in pages[0].runs) < 130


def test_marks_say_which_print_it_is():
    assert "COPY" not in text_of("receipt")
    assert "PREVIEW" not in text_of("receipt")
    assert "COPY 1 · Nov 23, 2026, 16:30" in text_of("receipt", mark=Mark(1, AT))
    assert "PREVIEW: not valid until it is printed" in text_of("receipt", mark=PREVIEW)
    assert "VOID" in text_of("a4", replace(INVOICE, status="void"))


@pytest.mark.parametrize("paper", ["receipt", "a4"])
def test_a_credit_note_names_what_it_corrects_and_why(paper):
    note = replace(
        INVOICE, kind="credit_note", corrects=(5, "Q1-2026-000120"), reason="Khách đổi ý", payments=(), due_amount=0
    )
    text = text_of(paper, note)

    for said in ("Credit note", "Q1-2026-000120", "Khách đổi ý"):
        assert said in text
    assert "Left to pay" not in text


@pytest.mark.parametrize("name", ["漢字 😀", "a\x00b\x1b‮c", "\n", "%(x)s {nb} \\) (", "e\u0302\u0323"])
@pytest.mark.parametrize("paper", ["receipt", "a4"])
def test_whatever_a_name_holds_a_paper_comes_out(paper, name):
    assert make_pdf(replace(INVOICE, customer_name=name, slip=()), paper, ORIGINAL, ENGLISH)


def test_letters_typed_apart_are_put_together():
    assert "Nguyệt" in text_of("a4", replace(INVOICE, customer_name="Nguye\u0323\u0302t"))
