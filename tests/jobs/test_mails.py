"""Mails of papers in a real SMTP conversation: sent once, tried again, given up; without a server, kept as files."""

from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest
import time_machine
from flask import Flask

from spa_app import clock
from spa_app.integrations.email import Mail, SmtpGateway, compose, is_smtp_url, sender_of
from spa_app.jobs import outbox as jobs
from spa_app.queries.papers import list_prints
from spa_app.services import billing, outbox, papers
from tests.factories import Spa
from tests.jobs.smtp import Server, smtp_server
from tests.pdf import read_pages
from tests.services.checks import execute, rows

MAIL = Mail("mai@example.com", "Spa", "Receipt", "Hello", "receipt.pdf", b"%PDF-1.3", "print-1")


@pytest.fixture
def server():
    with smtp_server() as server:
        yield server


@pytest.fixture
def spa(spa: Spa, app: Flask, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The small spa, whose mails go to the server, and only once a test says so."""
    monkeypatch.setattr(outbox, "_hand_over", [])
    monkeypatch.setitem(app.config, "SETTINGS", replace(app.config["SETTINGS"], smtp_url=server.url, data_dir=tmp_path))
    with app.app_context():
        yield spa


@pytest.fixture
def sale(spa: Spa) -> int:
    return billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)


def mail(spa: Spa, sale: int, **changes: str) -> int:
    given = {"paper": "receipt", "recipient": "mai@example.com", "locale": "vi"}
    papers.mail_paper(sale, **given | changes, actor=spa.receptionist)
    (message,) = outbox.list_undone()
    return message


def mailing(sale: int):
    return list_prints(sale)[0].mailing


def test_a_paper_arrives_with_its_pdf_in_the_language_asked_for(spa: Spa, sale: int, server: Server):
    execute("UPDATE branches SET name = E'Spa Hương\\r\\nBcc: all@example.com' WHERE id = :id", id=spa.branch)
    message = mail(spa, sale)

    assert jobs.deliver(message)
    assert not jobs.deliver(message)

    ((recipients, got),) = server.mails
    number = billing.lock_invoice(sale, actor=spa.manager).number
    assert recipients == ["<mai@example.com>"]
    assert (got["To"], got["Bcc"]) == ("mai@example.com", None)
    assert got["From"] == '"Spa Hương Bcc: all@example.com" <desk@spa.example>'
    assert got["Subject"].startswith(f"Biên lai {number}")
    assert got["Message-ID"] == f"<print-{list_prints(sale)[0].id}@spa.example>"
    (pdf,) = got.iter_attachments()
    assert (pdf.get_content_type(), pdf.get_filename()) == ("application/pdf", f"receipt-{number}.pdf")
    (page,) = read_pages(pdf.get_content())
    assert "Lê Thị Mai" in page.text
    assert "1.000.000 ₫" in page.text
    assert "COPY" not in page.text
    assert mailing(sale).status == "sent"


def test_a_second_mail_of_a_paper_is_a_copy(spa: Spa, sale: int, server: Server):
    for _ in range(2):
        jobs.deliver(mail(spa, sale, locale="en", paper="a4"))

    pages = [read_pages(next(got.iter_attachments()).get_content())[0].text for _, got in server.mails]
    assert ["COPY 1" in page for page in pages] == [False, True]


def test_a_server_that_is_busy_is_tried_again_later_and_then_no_more(spa: Spa, sale: int, server: Server):
    server.refusals["RCPT"] = ["451 try later"] * 10
    message, now = mail(spa, sale), clock.now()
    for pause in outbox.BACK_OFF:
        with time_machine.travel(now, tick=False):
            assert not jobs.deliver(message)
            assert (mailing(sale).status, mailing(sale).error) == ("retrying", "451 try later")
            assert jobs.sweep() == 0
            assert mailing(sale).due_at == now + pause
        now += pause
    with time_machine.travel(now):
        jobs.sweep()
        assert mailing(sale).status == "failed"
        assert outbox.list_undone() == []

    assert len(server.refusals["RCPT"]) == 10 - len(outbox.BACK_OFF) - 1
    assert server.mails == []


def test_one_failure_does_not_lose_a_mail(spa: Spa, sale: int, server: Server):
    server.refusals["END"] = ["451 disk full"]
    message = mail(spa, sale)

    assert not jobs.deliver(message)
    with time_machine.travel(clock.now() + outbox.BACK_OFF[0]):
        assert jobs.sweep() == 1

    assert len(server.mails) == 1
    assert (mailing(sale).status, mailing(sale).error) == ("sent", "")


@pytest.mark.parametrize("refused_at", ["RCPT", "END"])
def test_what_is_refused_for_good_is_not_tried_again(spa: Spa, sale: int, server: Server, refused_at: str):
    server.refusals[refused_at] = ["550 no such mailbox"]

    assert not jobs.deliver(mail(spa, sale))

    assert (mailing(sale).status, mailing(sale).error) == ("failed", "550 no such mailbox")
    assert outbox.list_undone() == []


def test_a_bad_farewell_does_not_send_it_twice(spa: Spa, sale: int, server: Server):
    server.refusals["QUIT"] = ["421 gone"]

    assert jobs.deliver(mail(spa, sale))
    assert len(server.mails) == 1


def test_while_one_worker_is_at_it_no_other_is_and_nothing_is_locked(spa: Spa, sale: int):
    message = mail(spa, sale)
    seen = []

    def send(kind: str, payload: dict) -> None:
        locks = rows("SELECT count(*) FROM pg_locks WHERE mode = 'RowShareLock'")
        seen.append((outbox.deliver(message, send), locks))

    assert outbox.deliver(message, send)
    assert seen == [(False, [(0,)])]


def test_a_worker_that_died_at_it_is_followed_by_another(spa: Spa, sale: int, server: Server):
    message = mail(spa, sale)

    def die(kind: str, payload: dict) -> None:
        raise SystemExit  # as a killed process: nothing is caught, nothing is marked

    with pytest.raises(SystemExit):
        outbox.deliver(message, die)

    assert outbox.list_undone() == []
    with time_machine.travel(clock.now() + outbox.CLAIMED_FOR):
        assert jobs.sweep() == 1
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("url", "sender"),
    [
        ("smtp://127.0.0.1:25?from=desk@spa.example", "desk@spa.example"),
        ("smtps://desk%40spa.example:p%2Fw@mail.example", "desk@spa.example"),
        ("smtp://desk:pw@mail.example?from=an@spa.example", "an@spa.example"),
        ("smtp://desk:pw@mail.example", None),
        ("smtp://mail.example:99999?from=a@b.vn", None),
        ("smtp://?from=a@b.vn", None),
        ("http://mail.example?from=a@b.vn", None),
        ("mail.example", None),
    ],
)
def test_an_address_of_a_mail_server_names_server_and_sender(url: str, sender: str | None):
    assert is_smtp_url(url) is (sender is not None)
    if sender:
        assert sender_of(url) == sender


def test_a_password_is_never_sent_in_the_clear(server: Server):
    with pytest.raises(ConnectionError, match="no encryption"):
        SmtpGateway(server.url.replace("smtp://", "smtp://desk:secret@")).send(MAIL)

    assert server.mails == []


def test_nothing_breaks_out_of_a_header():
    got = compose(replace(MAIL, subject="a\r\nBcc: x@y.vn\n\nbody", sender_name='"\r\nTo: x'), "desk@spa.example")

    again = message_from_bytes(got.as_bytes(), policy=policy.default)
    assert again.keys() == got.keys()
    assert again["Subject"] == "a Bcc: x@y.vn body"
    for bad in ("a@b.vn\r\nBcc: c@d.vn", "a@b.vn, c@d.vn"):
        with pytest.raises((ValueError, Exception)):
            compose(replace(MAIL, recipient=bad), "desk@spa.example").as_bytes()


def test_without_a_server_mails_are_kept_as_files(spa: Spa, sale: int, app: Flask, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(app.config, "SETTINGS", replace(app.config["SETTINGS"], smtp_url=None))

    assert jobs.deliver(mail(spa, sale))

    (file,) = (tmp_path / "outbox-mail").iterdir()
    assert file.suffix == ".eml"
    assert file.stat().st_mode & 0o077 == 0
    got = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert got["To"] == "mai@example.com"
    assert next(got.iter_attachments()).get_content().startswith(b"%PDF")
