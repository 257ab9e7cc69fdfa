"""The sample of 500 rows, and what may go wrong with an import. Counts and reasons are exact."""

import datetime as dt
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from spa_app.cli.imports import import_customers
from spa_app.config import PROJECT_DIR
from spa_app.extensions import db
from spa_app.models import Customer, CustomerTreatment, JournalLine, TreatmentEntry
from spa_app.services import reconciliation
from spa_app.services.actor import SYSTEM
from spa_app.services.customer_merging import merge_customers
from spa_app.services.demo import SERVICES
from spa_app.services.imports import import_table, plan_import, read_table, store
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
        "owed": db.session.scalar(
            select(func.coalesce(func.sum(CustomerTreatment.deferred_amount - CustomerTreatment.recognised_amount), 0))
        ),
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

    assert after_first == {"customers": 430, "cards": 375, "owed": first.owed_amount}
    credited = db.session.scalar(
        select(-func.sum(JournalLine.amount)).where(JournalLine.account_id == Account.DEFERRED_REVENUE.value)
    )
    opened = db.session.scalar(
        select(func.sum(JournalLine.amount)).where(JournalLine.account_id == Account.OPENING_BALANCE.value)
    )
    assert first.owed_amount == credited == opened > 0
    assert reconciliation.list_faults() == []

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
    assert (card.total_sessions, card.used_sessions, card.owed_amount) == (3, 1, 617_284)
    assert (card.deferred_amount, card.expiry_date) == (925_926, dt.date(2031, 12, 31))
    rows = db.session.scalars(select(TreatmentEntry).order_by(TreatmentEntry.id)).all()
    assert [(row.kind, row.sessions, row.value_amount, row.booking_item_id) for row in rows] == [
        ("purchase", 3, 0, None),
        ("punch", -1, 308_642, None),
    ]
    assert rows[1].reason == "Used before the import"


@pytest.mark.parametrize(
    ("cells", "owed", "of"),
    [
        ("10,4,,,", 0, 0),  # no value: nothing is owed
        ("10,4,1080000,,", 600_000, 1_000_000),
        ("10,4,,600001,", 600_001, 1_000_001),  # without a price the used ones count as much as those left
        ("10,4,,600001,990001", 600_001, 990_001),
        ("10,0,,600001,990001", 600_001, 600_001),
    ],
)
def test_value_is_the_price_with_vat_and_what_is_owed_goes_before_it(branch, cells, owed, of):
    run("Name,Phone,Service,Total,Used,Value,Owed amount,Net value\nMai,0912345678,Basic Facial," + cells, branch)

    card = db.session.execute(select(CustomerTreatment)).scalar_one()
    assert (card.total_sessions, card.owed_amount, card.deferred_amount) == (10, owed, of)
    assert reconciliation.list_faults() == []


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ("*,10,4,1080000,,", "value_needs_service"),
        ("Basic Facial,10,4,,600001,600000", "owed_over_value"),
        ("Basic Facial,10,4,,600.001,", "amount_not_whole"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused(branch, cells, code):
    rows = "Name,Phone,Service,Total,Used,Value,Owed amount,Net value\nMai,0912345678," + cells

    assert reasons(run(rows, branch).bad) == {2: [code]}


def test_a_desk_that_fills_something_in_meanwhile_is_not_overruled(branch, monkeypatch):
    mai = factories.make_customer("Lê Thị Mai", "+84912345678")
    decide = store.plan_import

    def decide_slowly(*args, **about):
        plan = decide(*args, **about)
        # The desk writes after the rows were decided about and before they are stored, on a connection of its own.
        with db.engine.connect() as desk:
            desk.execute(text("SET TRANSACTION READ WRITE"))
            desk.execute(text("UPDATE customers SET allergies = 'latex' WHERE id = :id"), {"id": mai})
            desk.commit()
        return plan

    monkeypatch.setattr(store, "plan_import", decide_slowly)

    plan = run("Tên,SĐT,Dị ứng,Ghi chú\nLê Thị Mai,0912345678,Mật ong,VIP\n", branch)

    db.session.expire_all()
    customer = db.session.get_one(Customer, mai)
    assert (customer.allergies, customer.note) == ("latex", "VIP")
    assert reasons(plan.left_out) == {2: ["changed_meanwhile"]}


KILLED = """
import os, signal, sys
from pathlib import Path
from spa_app import create_app
from spa_app.services.actor import SYSTEM
from spa_app.services.imports import import_table, read_table

def progress(done, total):
    if done > total * 2 // 3:
        os.kill(os.getpid(), signal.SIGKILL)

with create_app().app_context():
    table = read_table(Path(sys.argv[1]).read_bytes())
    import_table(
        table, branch_id=int(sys.argv[2]), actor=SYSTEM, progress=progress, currency="VND", locale="vi"
    )
"""


def test_killed_half_way_it_has_stored_nothing_and_is_simply_run_again(settings, branch):
    env = os.environ | {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url, "SECRET_KEY": "x"}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(SAMPLE), str(branch)], cwd=PROJECT_DIR, env=env, check=False
    )

    assert killed.returncode == -signal.SIGKILL
    assert stored() == {"customers": 0, "cards": 0, "owed": 0}
    again = run(SAMPLE.read_bytes(), branch)

    assert stored() == {"customers": 430, "cards": 375, "owed": again.owed_amount}
    assert reconciliation.list_faults() == []


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


def test_a_card_may_be_limited_to_branches_by_their_codes(branch):
    other = factories.make_branch(code="Q7")
    head = "Họ tên,Dịch vụ,Tổng số buổi,good_in\n"
    assert reasons(run(head + f"An,{SERVICES[0][0]},3,Q7; HN\n", branch).bad) == {2: ["branch_unknown"]}

    run(head + f"An,{SERVICES[0][0]},3,q7;Q1\nBình,{SERVICES[0][0]},3,\n", branch)
    limits = db.session.scalars(select(CustomerTreatment.branch_ids).order_by(CustomerTreatment.id)).all()
    assert limits == [sorted([branch, other]), None]
