"""Papers that leave the house: one original, copies with their number, and mails that wait for the commit."""

import pytest

from spa_app import clock
from spa_app.errors import InvalidError, NotFoundError, WrongStateError
from spa_app.models import Invoice
from spa_app.queries.papers import list_prints
from spa_app.services import billing, papers, payments
from spa_app.services.transaction import atomic
from tests.services.checks import audited, execute, refused, rows


@pytest.fixture
def spa(spa, app):
    with app.app_context():
        yield spa


@pytest.fixture
def sale(spa):
    return billing.sell_plan(customer_id=spa.customer, plan_id=spa.plan, branch_id=spa.branch, actor=spa.receptionist)


def copies():
    return rows("SELECT paper, way, paid_amount, copy_number FROM prints ORDER BY id")


def test_the_first_is_the_original_and_each_paper_has_its_own(spa, sale):
    for paper, way in (("receipt", "print"), ("receipt", "pdf"), ("a4", "pdf"), ("receipt", "print")):
        papers.record_print(sale, paper=paper, way=way, actor=spa.receptionist)

    assert copies() == [
        ("receipt", "print", 0, 0),
        ("receipt", "pdf", 0, 1),
        ("a4", "pdf", 0, 0),
        ("receipt", "print", 0, 2),
    ]
    assert audited("invoice")[-4:] == ["paper_printed"] * 4
    newest = list_prints(sale)[0]
    assert (newest.copy_number, newest.printed_by, newest.mailing) == (2, "Reception", None)


def test_once_more_is_paid_the_receipt_is_a_new_paper(spa, sale):
    papers.record_print(sale, paper="receipt", way="print", actor=spa.receptionist)
    payments.take_payment(sale, method="cash", amount=400_000, actor=spa.receptionist)
    for _ in range(2):
        papers.record_print(sale, paper="receipt", way="print", actor=spa.receptionist)

    assert [(paid, copy) for _, _, paid, copy in copies()] == [(0, 0), (400_000, 0), (400_000, 1)]


def test_what_cannot_be_printed(spa, sale):
    with refused("paper_unknown", InvalidError, "paper"):
        papers.record_print(sale, paper="a3", way="print", actor=spa.receptionist)
    with refused("way_unknown", InvalidError, "way"):
        papers.record_print(sale, paper="a4", way="email", actor=spa.receptionist)
    with refused("invoice_unknown", NotFoundError):
        papers.record_print(999_999, paper="a4", way="print", actor=spa.receptionist)
    with pytest.raises(NotFoundError):
        papers.record_print(sale, paper="a4", way="print", actor=spa.other_receptionist)
    with atomic() as session:
        draft = Invoice(
            branch_id=spa.branch,
            customer_id=spa.customer,
            number="D",
            status="draft",
            total_amount=0,
            vat_amount=0,
            issued_at=clock.now(),
        )
        session.add(draft)
        session.flush()
        draft_id = draft.id
    with refused("not_issued", WrongStateError):
        papers.record_print(draft_id, paper="a4", way="print", actor=spa.receptionist)


def mail(spa, sale, **changes):
    given = {"paper": "receipt", "recipient": "mai@example.com", "locale": "vi", "actor": spa.receptionist}
    return papers.mail_paper(sale, **given | changes)


def test_a_mail_is_a_print_and_waits_in_the_outbox(spa, sale):
    mail(spa, sale, recipient=" mai@example.com ")
    mail(spa, sale)

    assert [(way, copy) for _, way, _, copy in copies()] == [("email", 0), ("email", 1)]
    (message, _) = rows("SELECT kind, payload ->> 'recipient', payload ->> 'locale' FROM outbox ORDER BY id")
    assert message == ("paper_mailed", "mai@example.com", "vi")
    assert [one.mailing.status for one in list_prints(sale)] == ["queued", "queued"]


@pytest.mark.parametrize(
    "recipient",
    [
        "",
        "mai",
        "mai@example",
        "a@b.vn,c@d.vn",
        "a@b.vn; c@d.vn",
        "Mai <a@b.vn>",
        "a@b.vn\r\nBcc: all@b.vn",
        "a@b.vn\nBcc:all@b.vn",
        "a@b.vn%0aBcc:all",
        '"a\\r\\nBcc: x"@b.vn',
        "a\x00@b.vn",
        "a@b.vn>\r\nRCPT TO:<x@y.vn",
        "mái@example.com",
        "a" * 250 + "@b.vn",
    ],
)
def test_only_one_plain_address_is_mailed_to(spa, sale, recipient):
    with refused("email_invalid", InvalidError, "recipient"):
        mail(spa, sale, recipient=recipient)


def test_a_language_that_there_is_not_is_refused(spa, sale):
    with refused("language_unknown", InvalidError, "locale"):
        mail(spa, sale, locale="xx")


def test_what_became_of_a_mail_is_seen(spa, sale):
    for state in ("error = '451 later', due_at = now()", "failed_at = now(), error = '550 no'", "done_at = now()"):
        mail(spa, sale)
        execute(f"UPDATE outbox SET {state} WHERE id = (SELECT max(id) FROM outbox)")

    seen = [(one.mailing.status, one.mailing.error) for one in list_prints(sale)]
    assert seen == [("sent", ""), ("failed", "550 no"), ("retrying", "451 later")]
