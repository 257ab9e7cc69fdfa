"""Who a customer is, and whose phone it is."""

import datetime as dt

import psycopg
import pytest
from sqlalchemy import event, select

from spa_app import clock
from spa_app.errors import ConflictError, InvalidError, NotFoundError
from spa_app.extensions import db
from spa_app.models import AuditLog, Customer, Staff
from spa_app.queries.customers import find_customers, get_customer
from spa_app.services.actor import SYSTEM
from spa_app.services.customers import create_customer, update_customer
from spa_app.services.transaction import atomic
from tests import factories


def add(full_name, phone=None, **details):
    return create_customer(full_name=full_name, phone=phone, actor=SYSTEM, **details)


def names(q):
    return [found.full_name for found in find_customers(q)]


def test_a_new_customer_is_tidied_and_audited(app):
    customer_id = add("  Trâ\u0300n   Thị Hoa ", "0912 345 678", email=" Hoa@Spa.VN ", allergies="Mật ong")

    customer = db.session.get(Customer, customer_id)
    assert (customer.full_name, customer.phone, customer.email) == ("Trần Thị Hoa", "+84912345678", "hoa@spa.vn")
    audited = db.session.execute(select(AuditLog.after).where(AuditLog.entity_id == customer_id)).scalar_one()
    assert audited["phone"] == "+84912345678"


@pytest.mark.parametrize(
    ("details", "field"),
    [
        ({"full_name": " "}, "full_name"),
        ({"full_name": "Hoa\x00"}, "full_name"),
        ({"full_name": "Hoa\u202egnp"}, "full_name"),
        ({"full_name": "Hoa\nLan"}, "full_name"),
        ({"full_name": "x" * 201}, "full_name"),
        ({"phone": "12ab"}, "phone"),
        ({"email": "nobody"}, "email"),
        ({"birth_date": dt.date(1700, 1, 1)}, "birth_date"),
        ({"birth_date": dt.date(2999, 1, 1)}, "birth_date"),
        ({"note": "a\x07b"}, "note"),
    ],
)
def test_what_cannot_be_right_is_refused_at_its_field(app, details, field):
    with pytest.raises(InvalidError) as refused:
        create_customer(**{"full_name": "Hoa", "actor": SYSTEM} | details)

    assert refused.value.field == field
    assert db.session.scalars(select(Customer.id)).all() == []


def test_a_taken_phone_names_who_has_it_and_the_ways_out(app):
    first = add("Trần Thị Hoa", "0912345678")

    with pytest.raises(ConflictError) as refused:
        add("Lê Văn Nam", "+84 912 345 678")

    assert refused.value.params == {"name": "Trần Thị Hoa", "customer_id": first}
    assert [way.action for way in refused.value.ways_out] == ["open_customer", "share_phone"]


def test_a_family_shares_a_phone_and_one_may_leave_it(app):
    first = add("Trần Thị Hoa", "0912345678")
    second = add("Lê Văn Nam", "0912345678", shares_phone=True)
    third = add("Lê Thị Lan", "0912345678", shares_phone=True)

    update_customer(first, full_name="Trần Thị Hoa", phone="0987654321", actor=SYSTEM)

    shares = dict(db.session.execute(select(Customer.id, Customer.shares_phone_with_id)).all())
    assert shares == {first: None, second: None, third: second}
    with pytest.raises(ConflictError):
        add("Somebody", "0912345678")


def test_sharing_a_phone_and_an_update_do_not_wait_for_a_booking_under_way(app, settings):
    mai = add("Lê Thị Mai", "0912345678")

    with psycopg.connect(settings.database_url) as desk:
        desk.execute("SELECT FROM customers WHERE id = %s FOR KEY SHARE", [mai])  # what a booking's foreign key takes
        add("Lê Văn Nam", "0912345678", shares_phone=True)
        update_customer(mai, full_name="Lê Thị Mai Anh", phone="0912345678", actor=SYSTEM)

    assert names("mai anh") == ["Lê Thị Mai Anh"]


def test_an_update_says_what_changed(app):
    customer_id = add("Trần Thị Hoa", "0912345678", note="quiet")

    update_customer(customer_id, full_name="Trần Thị Hoà", phone="0912 345 678", note="quiet", actor=SYSTEM)

    row = db.session.execute(select(AuditLog).where(AuditLog.action == "customer_updated")).scalar_one()
    assert (row.before, row.after) == ({"full_name": "Trần Thị Hoa"}, {"full_name": "Trần Thị Hoà"})


def test_an_unknown_customer_is_not_found(app):
    with pytest.raises(NotFoundError):
        update_customer(1, full_name="Hoa", actor=SYSTEM)


def test_customers_are_found_by_name_without_accents_in_any_order(app):
    for name in ("Trần Thị Hoa", "Hoàng Văn Nam", "Khoa Đỗ", "Đặng Thị Hoà", "Nguyễn An"):
        add(name)

    assert names("hoa") == ["Đặng Thị Hoà", "Trần Thị Hoa", "Hoàng Văn Nam", "Khoa Đỗ"]
    assert names("HOÀ thi") == ["Đặng Thị Hoà", "Trần Thị Hoa"]
    assert names("tran thi hoa") == ["Trần Thị Hoa"]
    assert names("dang") == ["Đặng Thị Hoà"]
    assert names("an") == ["Nguyễn An"]
    assert names("nobody") == names("%") == names("'") == names(" ") == names("\\") == []


def test_customers_are_found_by_phone_in_any_format(app):
    add("Hoa", "0912 345 678")
    add("Nam", "0330 912 345")
    add("Lan", "+1 202 555 0123")

    for q in ("0912345678", "+84 912 345 678", "84912345678", "912 345 678", "0912.345.678"):
        assert names(q) == ["Hoa"], q
    assert names("0912") == ["Hoa", "Nam"]
    assert names("912345") == ["Hoa", "Nam"]
    assert names("678") == ["Hoa"]
    assert names("hoa 678") == ["Hoa"]
    assert names("+1202") == ["Lan"]


def test_customers_are_found_by_card_and_invoice(app):
    spa = factories.make_spa()
    card = factories.make_card(spa.customer, spa.facial, branch_id=spa.branch)
    number = db.session.execute(db.text("SELECT number FROM invoices")).scalar_one()

    assert [found.id for found in find_customers(f"#{card}")] == [spa.customer]
    assert [found.id for found in find_customers(number.lower())] == [spa.customer]
    assert find_customers(f"#{card}")[0].free_sessions == 10
    assert find_customers("#999999999999999999") == []


def test_common_names_come_out_best_first_however_many_there_are(app):
    with db.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO customers (full_name) SELECT 'Nguyễn Khoa ' || i FROM generate_series(1, 12000) i"
        )
        connection.exec_driver_sql("INSERT INTO customers (full_name) VALUES ('Trần Hoa')")

    found = names("hoa")
    assert found[0] == "Trần Hoa"
    assert len(found) == 20


def test_the_profile_knows_what_the_desk_should_know(app):
    spa = factories.make_spa()
    now, today = clock.now(), dt.date(2027, 2, 27)
    customer = add("Hoa", "0912345678", birth_date=dt.date(2000, 2, 29), allergies="Retinol")
    other = add("Nam", "0912345678", shares_phone=True)
    factories.make_booking(spa, customer_id=customer, starts_at=factories.tomorrow_at(spa.branch, "10:00"))
    statements = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    profile = get_customer(customer, branch_ids=[spa.branch], now=now, today=today)

    assert len(statements) <= 6
    assert profile.phone_shared_with == ((other, "Nam"),)
    assert (profile.is_first_visit, profile.is_often_no_show, profile.birthday_in_days) == (True, False, 2)
    assert [visit.services for visit in profile.upcoming] == [("Basic Facial",)]
    assert profile.past == ()
    elsewhere = get_customer(customer, branch_ids=[spa.other_branch], now=now, today=today)
    assert elsewhere.upcoming == ()
    assert get_customer(other + 1000, branch_ids=[], now=now, today=today) is None


def test_whom_they_prefer_is_audited_and_checked_when_it_changes(spa):
    hong, _anh = spa.therapists
    details = {"full_name": "Lê Thị Mai", "actor": spa.receptionist}
    update_customer(spa.customer, preferred_staff_id=hong, **details)

    said = db.session.execute(
        select(AuditLog.before, AuditLog.after).where(
            AuditLog.action == "customer_updated", AuditLog.entity_id == spa.customer
        )
    ).one()
    assert said.before["preferred_staff_id"] is None
    assert said.after["preferred_staff_id"] == hong
    for unknown in (spa.other_therapist, 987_654):
        with pytest.raises(InvalidError) as caught:
            update_customer(spa.customer, preferred_staff_id=unknown, **details)
        assert (caught.value.code, caught.value.field) == ("staff_unknown", "preferred_staff_id")
    # One who has left is no choice any more, but the wish stands while nobody changes it.
    with atomic() as session:
        session.get_one(Staff, hong).is_active = False
    update_customer(spa.customer, preferred_staff_id=hong, note="trà gừng", **details)
    assert db.session.get_one(Customer, spa.customer).preferred_staff_id == hong
    with pytest.raises(InvalidError):
        create_customer(full_name="Trần An", preferred_staff_id=hong, actor=SYSTEM)
