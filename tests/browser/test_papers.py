"""From the invoice to the printer in one click, to a PDF in one, to a mail in two; also without JavaScript."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from spa_app.services import billing
from tests.browser.test_visit import Desk
from tests.factories import Spa
from tests.pdf import read_pages
from tests.services.checks import execute, rows

pytestmark = pytest.mark.browser
COUNT_DIALOGUES = "window.print = () => { document.documentElement.dataset.dialogues = '1'; };"


@pytest.fixture
def sale(spa: Spa) -> int:
    return billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)


@pytest.mark.parametrize("paper", ["Receipt 80 mm", "Invoice A4"])
def test_one_click_opens_the_printers_dialogue(page: Page, sale: int, paper: str):
    page.add_init_script(COUNT_DIALOGUES)
    desk = Desk(page)
    page.goto(f"/invoices/{sale}")

    desk.click("button", paper)
    expect(page.locator("html[data-dialogues]")).to_be_attached()
    assert desk.count() == 1, "from the invoice to the printer"
    expect(page.get_by_text("PREVIEW")).to_have_count(0)
    expect(page.get_by_text("COPY")).to_have_count(0)

    page.reload()
    expect(page.get_by_text("PREVIEW: not valid until it is printed")).to_be_visible()
    expect(page.locator("html[data-dialogues]")).to_have_count(0)
    desk.press("p")
    expect(page.locator("html[data-dialogues]")).to_be_attached()
    expect(page.get_by_text("COPY 1")).to_be_visible()
    desk.click("link", "Back")
    expect(page.get_by_text("copy 1, printed")).to_be_visible()


def test_one_click_gives_a_pdf_and_the_invoice_stays(page: Page, sale: int):
    page.goto(f"/invoices/{sale}")

    with page.expect_download() as download:
        page.get_by_role("button", name="PDF: Invoice A4").click()

    with open(download.value.path(), "rb") as file:
        (one,) = read_pages(file.read())
    assert "Lê Thị Mai" in one.text
    assert download.value.suggested_filename.startswith("invoice-")
    expect(page.get_by_role("heading", name="Paper")).to_be_visible()


def test_a_paper_is_mailed_from_the_invoice(page: Page, sale: int):
    execute("UPDATE customers SET email = 'mai@example.com'")
    desk = Desk(page)
    page.goto(f"/invoices/{sale}")

    page.locator("summary", has_text="Send by e-mail").click()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    desk.click("button", "Send")

    expect(page.get_by_text("On its way to mai@example.com.").first).to_be_visible()
    expect(page.get_by_text("mai@example.com: ")).to_be_visible()
    assert rows("SELECT way, copy_number FROM prints") == [("email", 0)]


def test_without_javascript(sale: int, log_in: Callable[..., Page]):
    page = log_in("reception", java_script_enabled=False)
    page.goto(f"/invoices/{sale}")
    page.get_by_role("button", name="Invoice A4").first.click()
    expect(page.get_by_role("heading", name="Invoice")).to_be_visible()
    expect(page.get_by_text("PREVIEW")).to_have_count(0)

    page.get_by_role("link", name="Back").click()
    page.locator("summary", has_text="Send by e-mail").click()
    page.get_by_label("E-mail", exact=True).fill("mai@example")
    page.get_by_role("button", name="Send", exact=True).click()

    expect(page.get_by_text("This is not an e-mail address.")).to_be_visible()
    expect(page.get_by_label("E-mail", exact=True)).to_have_value("mai@example")
