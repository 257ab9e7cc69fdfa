"""The sample of 500 rows, and what may go wrong with an import. Counts and reasons are exact."""

import datetime as dt
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from spa_app.cli.imports import import_customers
from spa_app.extensions import db
from spa_app.models import Customer, CustomerTreatment, JournalLine
from spa_app.services.actor import SYSTEM
from spa_app.services.customer_merging import merge_customers
from spa_app.services.demo import SERVICES
from spa_app.services.imports import import_table, plan_import, read_table
from spa_app.services.ledger import Account
from tests import factories

SAMPLE = Path(__file__).parent.parent / "data" / "customers-sample.csv"
TODAY = dt.date(2026, 7, 1)
ABOUT = {"currency": "VND", "locale": "vi"}
BAD = {
    "phone_invalid": 5,
    "date_invalid": 5,
    "phone_of_row": 4,
    "phone_rounded": 3,
    "service_unknown_near": 3,
    "row_repeated": 3,
    "name_missing": 2,
    "used_over_total": 2,
    "counts_disagree": 2,
    "amount_invalid": 2,
    "service_missing": 1,
    "service_unknown": 1,
    "sessions_missing": 1,
    "count_negative": 1,
    "count_invalid": 1,
    "amount_negative": 1,
    "answer_invalid": 1,
    "control_character": 1,
    "total_line": 1,
}


@pytest.fixture
def branch(app):
    for name, minutes, clean_up, price, _ in SERVICES:
        factories.make_service(name, minutes=minutes, after=clean_up, price=price)
    return factories.make_branch(code="Q1")


def run(data, branch):
    table = read_table(data if isinstance(data, bytes) else data.encode())
    return import_table(table, branch_id=branch, actor=SYSTEM, progress=lambda done, total: None, **ABOUT)


def stored():
    return {
        "customers": db.session.scalar(select(func.count(Customer.id))),
        "cards": db.session.scalar(select(func.count(CustomerTreatment.id))),
        "owed": db.session.scalar(select(func.coalesce(func.sum(CustomerTreatment.deferred_amount), 0))),
    }


def reasons(reports):
    return {report.number: [reason.code for reason in report.reasons] for report in reports}


def test_the_sample_says_what_is_wrong_with_each_row(branch):
    plan = plan_import(read_table(SAMPLE.read_bytes()), today=TODAY, **ABOUT)

    assert plan.rows == 500
    assert len(plan.new_people) == 430
    assert len(plan.cards) == 375
    first_reasons = Counter(codes[0] for codes in reasons(plan.bad).values())
    assert first_reasons == BAD
    assert Counter(codes[0] for codes in reasons(plan.left_out).values()) == {"card_expired": 6, "card_used_up": 4}
    assert stored() == {"customers": 0, "cards": 0, "owed": 0}


def test_the_sample_is_imported_once_however_often(branch):
    first = run(SAMPLE.read_bytes(), branch)
    after_first = stored()

    assert after_first == {"customers": 430, "cards": 375, "owed": first.deferred_amount}
    credited = db.session.scalar(
        select(-func.sum(JournalLine.amount)).where(JournalLine.account_id == Account.DEFERRED_REVENUE.value)
    )
    opened = db.session.scalar(
        select(func.sum(JournalLine.amount)).where(JournalLine.account_id == Account.OPENING_BALANCE.value)
    )
    assert first.deferred_amount == credited == opened > 0
    differing = "SELECT count(*) FROM customer_treatments c WHERE deferred_amount <> (SELECT coalesce(-sum(amount), 0)"
    assert db.session.scalar(text(differing + " FROM journal_lines WHERE treatment_id = c.id)")) == 0

    again = run(SAMPLE.read_bytes(), branch)

    assert stored() == after_first
    assert (len(again.new_people), len(again.cards), again.cards_known) == (0, 0, 375)
    assert reasons(again.bad).keys() == reasons(first.bad).keys()


def test_a_failure_in_the_middle_stores_nothing(branch):
    def fail(done, total):
        if done > 430:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        import_table(read_table(SAMPLE.read_bytes()), branch_id=branch, actor=SYSTEM, progress=fail, **ABOUT)

    assert stored() == {"customers": 0, "cards": 0, "owed": 0}
    assert db.session.scalar(select(func.count(JournalLine.id))) == 0


HEAD = "Họ tên,SĐT,Dịch vụ,Tổng số buổi,Đã dùng,Giá trị,Hạn dùng\n"


def test_what_is_owed_is_the_net_of_the_sessions_left(branch):
    run(HEAD + 'Mai,0912345678,basic facial,3,1,"1,000,000",31/12/2031\n', branch)

    # 1,000,000 with 8 % VAT is 925,926 net; one session of 308,642 is gone.
    card = db.session.execute(select(CustomerTreatment)).scalar_one()
    assert (card.total_sessions, card.used_sessions, card.deferred_amount) == (2, 0, 617_284)
    assert card.expiry_date == dt.date(2031, 12, 31)


def test_a_later_export_does_not_bring_a_card_again(branch):
    run(HEAD + "Mai,0912345678,Basic Facial,10,1,1000000,31/12/2031\n", branch)
    before = stored()

    plan = run(HEAD + "Mai,0912 345 678,Basic Facial,10,4,1.000.000,2031-12-31\n", branch)

    assert plan.cards_known == 1
    assert stored() == before


def test_two_cards_that_differ_only_in_use_are_two(branch):
    rows = "Mai,0912345678,Basic Facial,10,1,1000000,31/12/2031\nMai,0912345678,Basic Facial,10,0,1000000,31/12/2031\n"

    run(HEAD + rows, branch)
    run(HEAD + rows, branch)

    assert stored()["cards"] == 2


def test_customers_who_are_there_get_the_card_and_what_was_empty(branch):
    mai = factories.make_customer("Lê Thị Mai", "+84912345678")

    run("Tên,SĐT,Dị ứng,Dịch vụ,Số buổi,Giá\nchị Mai,912345678,Mật ong,Basic Facial,5,900000\n", branch)

    assert db.session.get(Customer, mai).allergies == "Mật ong"
    assert db.session.execute(select(CustomerTreatment.customer_id)).scalar_one() == mai


def test_a_phone_of_somebody_else_needs_the_word_that_they_share_it(branch):
    factories.make_customer("Lê Thị Mai", "+84912345678")
    rows = "Tên,SĐT,Dùng chung số\nTrần Nam,0912345678,\nTrần Hoa,0912345678,x\n"

    plan = run(rows, branch)

    assert reasons(plan.bad) == {2: ["phone_of_customer"]}
    assert [person.full_name for person in plan.new_people] == ["Trần Hoa"]


def test_customers_without_a_phone_are_known_again(branch):
    rows = "Tên,Ngày sinh\nTrần Nam,1/2/1980\nTrần Nam,3/4/1990\n"

    run(rows, branch)
    run(rows, branch)

    assert stored()["customers"] == 2


def test_who_was_merged_since_is_known_as_the_survivor(branch):
    rows = "Tên,Ngày sinh\nTrần Nam,1/2/1980\nTrần Năm,3/4/1990\n"
    run(rows, branch)
    one, other = db.session.scalars(select(Customer.id).order_by(Customer.id))
    merge_customers(one, other, actor=SYSTEM)

    plan = run("Tên,Ngày sinh,Dịch vụ,Số buổi,Giá\nTrần Năm,3/4/1990,Basic Facial,5,900000\n", branch)

    assert (plan.new_people, stored()["customers"]) == ([], 2)
    assert db.session.scalar(select(CustomerTreatment.customer_id)) == one


def test_the_command_reports_and_imports_without_being_asked(app, branch):
    runner = app.test_cli_runner()

    dry = runner.invoke(import_customers, [str(SAMPLE), "--dry-run"])
    assert dry.exit_code == 0
    assert "Row 352: Dịch vụ: There is no service “Hot Stone”. Is it “Hot Stone Massage”?" in dry.output
    done = runner.invoke(import_customers, [str(SAMPLE), "--branch", "q1"])

    assert done.exit_code == 0
    assert "Imported 430 customers and 375 cards" in done.output
    assert sum(line.startswith("Row ") for line in done.output.splitlines()) == 10 + 42


@pytest.mark.parametrize(("arguments", "sentence"), [([], "is empty"), (["--branch", "X"], "There is no branch X")])
def test_what_cannot_be_read_is_one_sentence(app, branch, tmp_path, arguments, sentence):
    file = tmp_path / "customers.csv"
    file.write_bytes(SAMPLE.read_bytes() if arguments else b"")

    result = app.test_cli_runner().invoke(import_customers, [str(file), *arguments])

    assert result.exit_code == 1
    assert sentence in result.output
    assert len(result.output.splitlines()) == 1
