"""Papers on the web: looking writes nothing, printing is on record and marks copies, and a mail is asked for once."""

import datetime as dt
import uuid

import pytest
import time_machine

from spa_app import clock
from spa_app.queries.papers import PRINT_LASTS, list_prints
from spa_app.services import billing, payments
from tests.factories import login
from tests.pdf import read_pages
from tests.services.checks import execute, rows, snapshot

PAPERS = ("receipt", "a4")
PREVIEW = "PREVIEW: not valid until it is printed"


def form(**fields):
    return {"idempotency_key": str(uuid.uuid4()), **fields}


@pytest.fixture
def sale(spa):
    return billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)


def printed(desk, sale, paper="receipt", way="print", **more):
    return desk.post(f"/invoices/{sale}/prints", data=form(paper=paper, way=way) | more)


@pytest.mark.parametrize("path", ["receipt", "a4", "receipt.pdf", "invoice.pdf"])
def test_looking_at_a_paper_writes_nothing_and_says_that_it_is_a_preview(desk, sale, path):
    before = snapshot()

    answer = desk.get(f"/invoices/{sale}/{path}")

    said = answer.text if answer.mimetype == "text/html" else read_pages(answer.data)[0].text
    assert PREVIEW in said
    assert "₫1,000,000" in said
    assert snapshot() == before


@pytest.mark.parametrize("paper", PAPERS)
def test_the_first_print_is_the_original_and_the_next_its_copy(desk, sale, paper):
    first, second = printed(desk, sale, paper), printed(desk, sale, paper)

    assert (first.status_code, second.status_code) == (303, 303)
    original, copy = desk.get(first.location).text, desk.get(second.location).text
    assert PREVIEW not in original + copy
    assert ("COPY" in original, "COPY 1 · " in copy) == (False, True)
    assert "js/print.js" in original
    assert "js/print.js" not in desk.get(f"/invoices/{sale}/{paper}").text


@pytest.mark.parametrize(("paper", "name"), [("receipt", "receipt"), ("a4", "invoice")])
def test_a_pdf_is_a_file_that_nobody_keeps_on_the_way(desk, sale, paper, name):
    printed(desk, sale, paper)
    answer = desk.get(printed(desk, sale, paper, "pdf").location)

    number = rows("SELECT number FROM invoices WHERE id = :id", id=sale)[0][0]
    assert answer.mimetype == "application/pdf"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}-{number}.pdf"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "COPY 1" in read_pages(answer.data)[0].text


def test_a_double_click_is_one_print(desk, sale):
    data = form(paper="receipt", way="print")
    answers = [desk.post(f"/invoices/{sale}/prints", data=data) for _ in range(3)]

    assert len({answer.location for answer in answers}) == 1
    assert rows("SELECT count(*) FROM prints") == [(1,)]


def test_a_print_that_is_come_back_to_is_only_a_preview(desk, sale):
    data = form(paper="receipt", way="print")
    address = desk.post(f"/invoices/{sale}/prints", data=data).location
    with time_machine.travel(clock.now() + PRINT_LASTS + dt.timedelta(seconds=1)):
        login(desk, "reception")
        assert PREVIEW in desk.get(address).text
        again = desk.post(f"/invoices/{sale}/prints", data=data)
        assert again.location == f"/invoices/{sale}"
        assert "Choose again" in desk.get(again.location).text
    assert rows("SELECT count(*) FROM prints") == [(1,)]


def test_a_print_of_before_a_payment_does_not_show_the_payment(desk, spa, sale):
    address = printed(desk, sale).location
    payments.take_payment(sale, method="cash", amount=400_000, actor=spa.receptionist)

    assert PREVIEW in desk.get(address).text
    fresh = desk.get(printed(desk, sale).location).text
    assert PREVIEW not in fresh
    assert "COPY" not in fresh


@pytest.mark.parametrize("mark", ["", "0", "-1", "x", "99999999999999999999999"])
def test_a_print_that_is_not_this_papers_marks_nothing(desk, spa, sale, mark):
    address = printed(desk, sale).location
    other = billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)

    assert PREVIEW in desk.get(f"/invoices/{sale}/receipt?print={mark}").text
    assert PREVIEW in desk.get(address.replace("/receipt", "/a4")).text
    assert PREVIEW in desk.get(address.replace(f"/{sale}/", f"/{other}/")).text


@pytest.mark.parametrize("fields", [{"paper": "a3"}, {"way": "email"}, {"paper": "", "way": ""}])
def test_what_there_is_not_is_refused(desk, sale, fields):
    assert printed(desk, sale, **fields).status_code == 422
    assert rows("SELECT count(*) FROM prints") == [(0,)]


def test_papers_of_another_branch_are_not_there(client, sale):
    login(client, "reception7")

    for path in ("receipt", "a4", "receipt.pdf", "invoice.pdf"):
        assert client.get(f"/invoices/{sale}/{path}").status_code == 404
    assert printed(client, sale).status_code == 404
    assert client.post(f"/invoices/{sale}/mails", data=form(paper="a4", recipient="a@b.vn")).status_code == 404


def test_the_invoice_offers_its_papers_and_says_what_went_out(desk, sale):
    execute("UPDATE customers SET email = 'mai@example.com'")
    printed(desk, sale)
    page = desk.get(f"/invoices/{sale}").text

    assert page.count('name="paper" value="receipt"') == 3  # in the head, and print and PDF in the card
    assert page.count('name="paper" value="a4"') == 3
    assert 'value="mai@example.com"' in page
    assert "original, printed" in " ".join(page.split())
    assert "No mail server is set up here" in page


def test_a_mail_is_queued_once_and_its_state_is_shown(desk, sale):
    data = form(paper="a4", recipient="mai@example.com", locale="vi")
    answers = [desk.post(f"/invoices/{sale}/mails", data=data) for _ in range(2)]

    assert [answer.location for answer in answers] == [f"/invoices/{sale}"] * 2
    assert rows("SELECT count(*) FROM outbox WHERE kind = 'paper_mailed'") == [(1,)]
    assert "mai@example.com: waiting to be sent" in " ".join(desk.get(f"/invoices/{sale}").text.split())
    execute("UPDATE outbox SET failed_at = now(), error = '550 no such mailbox'")
    page = " ".join(desk.get(f"/invoices/{sale}").text.split())
    assert "could not be sent" in page
    assert "550 no such mailbox" in page


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"recipient": ""}, 'id="recipient-error"'),
        ({"recipient": "mai"}, 'id="recipient-error"'),
        ({"recipient": "a@b.vn\r\nBcc: c@d.vn"}, 'id="recipient-error"'),
        ({"paper": "a3"}, 'id="paper-error"'),
        ({"locale": "xx"}, 'id="locale-error"'),
    ],
)
def test_a_mail_that_cannot_be_sent_says_why_at_the_field(desk, sale, fields, at):
    answer = desk.post(f"/invoices/{sale}/mails", data=form(paper="a4", recipient="a@b.vn", locale="en") | fields)

    assert answer.status_code == 422
    assert at in answer.text
    assert rows("SELECT count(*) FROM outbox WHERE kind = 'paper_mailed'") == [(0,)]
    assert list_prints(sale) == ()


def test_the_branchs_tax_number_is_set_up_and_stands_on_its_papers(client, spa, sale):
    login(client, "manager")
    page = client.get("/setup/branch").text
    about = {"name": "Spa Q1", "timezone": "Asia/Ho_Chi_Minh", "address": "", "phone": ""}
    seen = page.partition('name="seen" value="')[2].partition('"')[0]

    bad = client.post("/setup/branch", data=form(**about, tax_code="MST: 1", seen=seen))
    done = client.post("/setup/branch", data=form(**about, tax_code=" 0312345678-001 ", seen=seen))

    assert (bad.status_code, done.status_code) == (422, 303)
    assert 'id="tax_code-error"' in bad.text
    for paper in PAPERS:
        assert "Tax number: 0312345678-001" in client.get(f"/invoices/{sale}/{paper}").text
