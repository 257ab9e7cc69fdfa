"""Two customers who are one: what comes together, that nothing is lost, and that it can be undone."""

import datetime as dt

import pytest

from spa_app.errors import InvalidError, NotAllowedError, NotFoundError
from spa_app.extensions import db
from spa_app.queries import duplicates
from spa_app.queries.customers import find_customers, list_newest_customers
from spa_app.services import billing, bookings, customer_moves, payments
from spa_app.services.customer_merging import mark_distinct, merge_customers, undo_merge
from spa_app.services.customers import create_customer, update_customer
from tests import factories
from tests.books import assert_books_balance
from tests.services.checks import audited, invoice_of, refused, rows

FOREIGN_KEYS = """
    SELECT conrelid::regclass || '.' || attname FROM pg_constraint c
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)
    WHERE contype = 'f' AND confrelid = 'customers'::regclass ORDER BY 1"""


@pytest.fixture
def spa(spa, app):
    with app.app_context():
        yield spa


def person(customer_id):
    return rows(
        "SELECT full_name, phone, allergies, note, credit_amount, merged_into_id FROM customers WHERE id = :id",
        id=customer_id,
    )[0]


def belongings(customer_id):
    return {
        table: [id_ for (id_,) in rows(f"SELECT id FROM {table} WHERE customer_id = :id ORDER BY id", id=customer_id)]
        for table in ("bookings", "customer_treatments", "invoices")
    }


def give_credit(spa, customer_id, at):
    visit = factories.make_booking(spa, customer_id=customer_id, starts_at=at, status="completed")
    payments.take_payment(invoice_of(visit), method="cash", amount=None, actor=spa.manager)
    bookings.undo_complete(visit, actor=spa.manager)
    return visit


def test_every_foreign_key_to_customers_is_decided_about(spa):
    decided = {move.name for move in customer_moves.MOVES} | customer_moves.STAYS.keys()

    assert [name for (name,) in rows(FOREIGN_KEYS) if name not in decided] == []
    assert decided == {name for (name,) in rows(FOREIGN_KEYS)}


def test_everything_of_the_other_comes_over_and_the_books_balance(spa):
    other = factories.make_customer("Le Thi Mai")
    now = factories.this_minute()
    card = factories.make_card(other, spa.facial, branch_id=spa.branch)
    visit = factories.make_booking(spa, customer_id=other, card=card)
    give_credit(spa, other, now - dt.timedelta(hours=3))
    give_credit(spa, spa.customer, now - dt.timedelta(hours=6))
    both = {name: sorted(ids + belongings(other)[name]) for name, ids in belongings(spa.customer).items()}

    merge_customers(spa.customer, other, reason="told us", actor=spa.manager)

    assert belongings(spa.customer) == both
    assert not any(belongings(other).values())
    assert (person(spa.customer)[4], person(other)[4], person(other)[5]) == (900_000, 0, spa.customer)
    assert_books_balance()
    bookings.start(visit, actor=spa.receptionist)
    bookings.complete(visit, actor=spa.receptionist)
    assert rows("SELECT used_sessions FROM customer_treatments WHERE id = :id", id=card) == [(1,)]
    assert audited("customer")[-2:] == ["customer_merged", "customer_merged_away"]
    assert_books_balance()


def test_the_desk_chooses_what_is_kept(spa):
    one = create_customer(full_name="Lê Mai", phone="0912345678", allergies="nuts", note="A", actor=spa.manager)
    other = create_customer(full_name="Lê Thị Mai", phone="0912345679", allergies="latex", actor=spa.manager)

    merge_customers(one, other, choices={"full_name": "other", "phone": "other"}, actor=spa.manager)

    assert person(one)[:4] == ("Lê Thị Mai", "+84912345679", "nuts\nlatex", "A")
    assert person(other)[1] is None
    create_customer(full_name="New", phone="0912345678", actor=spa.manager)


def test_what_is_missing_is_filled_in(spa):
    one = create_customer(full_name="Lê Mai", actor=spa.manager)
    other = create_customer(full_name="L Mai", phone="0912345679", actor=spa.manager)

    merge_customers(one, other, actor=spa.manager)

    assert person(one)[:2] == ("Lê Mai", "+84912345679")


@pytest.mark.parametrize("choice", ["this", "other"])
def test_a_family_keeps_its_number(spa, choice):
    one = create_customer(full_name="Lê Mai", phone="0912345678", actor=spa.manager)
    child = create_customer(full_name="Bé Na", phone="0912345678", shares_phone=True, actor=spa.manager)
    other = create_customer(full_name="Le Mai", phone="0987654321", actor=spa.manager)
    friend = create_customer(full_name="Bé Bo", phone="0987654321", shares_phone=True, actor=spa.manager)

    merge_id = merge_customers(one, other, choices={"phone": choice}, actor=spa.manager)

    numbers = {child: "+84912345678", friend: "+84987654321"}
    assert {id_: person(id_)[1] for id_ in numbers} == numbers
    assert person(one)[1] == ("+84912345678" if choice == "this" else "+84987654321")
    undo_merge(merge_id, actor=spa.manager)
    assert [person(id_)[1] for id_ in (one, other)] == ["+84912345678", "+84987654321"]
    assert {id_: person(id_)[1] for id_ in numbers} == numbers


def test_who_was_merged_is_found_as_the_survivor_only(spa):
    other = factories.make_customer("Le Thi Mai")
    phone = person(other)[1]
    merge_customers(spa.customer, other, choices={"phone": "other"}, actor=spa.manager)

    assert [one.id for one in find_customers("le thi mai")] == [spa.customer]
    assert [one.id for one in find_customers(phone)] == [spa.customer]
    assert [one.id for one in list_newest_customers()] == [spa.customer]
    with refused("customer_merged", ways_out=("open_survivor",)):
        update_customer(other, full_name="X", actor=spa.manager)
    with refused("customer_gone", field="customer_id"):
        factories.make_booking(spa, customer_id=other)
    with refused("customer_gone", field="customer_id"):
        billing.sell_plan(customer_id=other, plan_id=spa.plan, branch_id=spa.branch, actor=spa.manager)


def test_undo_puts_everything_back(spa):
    other = factories.make_customer("Le Thi Mai")
    card = factories.make_card(other, spa.facial, branch_id=spa.branch)
    factories.make_booking(spa, customer_id=other, card=card)
    give_credit(spa, other, factories.this_minute() - dt.timedelta(hours=3))
    before = [belongings(spa.customer), belongings(other), person(spa.customer), person(other)]
    merge_id = merge_customers(spa.customer, other, choices={"full_name": "other"}, actor=spa.manager)

    undo_merge(merge_id, actor=spa.manager)

    assert [belongings(spa.customer), belongings(other), person(spa.customer), person(other)] == before
    assert_books_balance()
    with refused("merge_undone"):
        undo_merge(merge_id, actor=spa.manager)


def test_what_has_changed_since_stays_with_all_that_hangs_on_it(spa):
    other = factories.make_customer("Le Thi Mai")
    now = factories.this_minute()
    used, fresh = (factories.make_card(other, spa.facial, branch_id=spa.branch) for _ in range(2))
    touched = factories.make_booking(spa, customer_id=other, card=used)
    alone = factories.make_booking(spa, customer_id=other, starts_at=now - dt.timedelta(hours=3))
    merge_id = merge_customers(spa.customer, other, actor=spa.manager)
    bookings.start(touched, actor=spa.receptionist)
    bookings.complete(touched, actor=spa.receptionist)
    update_customer(spa.customer, full_name="Mai L.", actor=spa.manager)

    back, stay = undo_merge(merge_id, actor=spa.manager)

    assert (back, stay) == (3, 3)  # a visit, a card and its sale; the visit that was completed, its card and its sale
    assert belongings(other)["bookings"] == [alone]
    assert belongings(other)["customer_treatments"] == [fresh]
    assert belongings(spa.customer)["customer_treatments"] == [used]
    assert person(spa.customer)[0] == "Mai L."
    assert_books_balance()


def test_credit_that_was_spent_stays(spa):
    other = factories.make_customer()
    now = factories.this_minute()
    give_credit(spa, other, now - dt.timedelta(hours=3))
    merge_id = merge_customers(spa.customer, other, actor=spa.manager)
    visit = factories.make_booking(spa, starts_at=now - dt.timedelta(hours=6), status="completed")
    payments.take_payment(invoice_of(visit), method="store_credit", amount=50_000, actor=spa.manager)

    undo_merge(merge_id, actor=spa.manager)

    assert [person(id_)[4] for id_ in (spa.customer, other)] == [400_000, 0]
    assert_books_balance()


def test_the_later_of_two_merges_is_undone_first(spa):
    second, third = factories.make_customer(), factories.make_customer()
    visit = factories.make_booking(spa, customer_id=third)
    first_merge = merge_customers(second, third, actor=spa.manager)
    second_merge = merge_customers(spa.customer, second, actor=spa.manager)
    assert person(third)[5] == spa.customer

    with refused("customer_merged", ways_out=("open_survivor",)):
        undo_merge(first_merge, actor=spa.manager)
    undo_merge(second_merge, actor=spa.manager)
    assert person(third)[5] == second
    undo_merge(first_merge, actor=spa.manager)

    assert person(third)[5] is None
    assert belongings(second)["bookings"] == []
    # The visit went twice and came back once: who changed it in between was the other merge.
    assert visit in belongings(third)["bookings"] + belongings(second)["bookings"]


def test_what_cannot_be_merged(spa):
    other = factories.make_customer()
    with refused("same_customer", InvalidError):
        merge_customers(other, other, actor=spa.manager)
    with refused("not_found", NotFoundError):
        merge_customers(other, 999_999, actor=spa.manager)
    with refused("manager_only", NotAllowedError):
        merge_customers(spa.customer, other, actor=spa.receptionist)
    with refused("choice_unknown", InvalidError, "full_name"):
        merge_customers(spa.customer, other, choices={"full_name": "both"}, actor=spa.manager)
    merge_customers(spa.customer, other, actor=spa.manager)
    for one, two in ((spa.customer, other), (other, spa.customer)):
        with refused("already_merged", ways_out=("open_survivor",)):
            merge_customers(one, two, actor=spa.manager)


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"full_name": "le thi mai", "phone": "0912345678", "shares_phone": True}, "name_phone"),
        ({"full_name": "LÊ THỊ MAI", "birth_date": dt.date(1990, 2, 3)}, "name_birthday"),
        ({"full_name": "Lê Thị Mai", "phone": "0912345578"}, "name_digit"),
        ({"full_name": "Lê Thị Mai", "phone": "0312345678"}, "name_digit"),
        ({"full_name": "Lê Thị Mai", "phone": "0987000000"}, None),
        ({"full_name": "Lê Thị Mai An", "phone": "0912345578", "birth_date": dt.date(1990, 2, 3)}, None),
        ({"full_name": "Trần Văn Nam", "phone": "0912345678", "shares_phone": True}, None),
    ],
)
def test_likely_pairs(app, details, reason):
    with app.app_context():
        actor = factories.SYSTEM
        one = create_customer(full_name="Lê Thị Mai", phone="0912345678", birth_date=dt.date(1990, 2, 3), actor=actor)
        other = create_customer(**details, actor=actor)

        found = duplicates.list_duplicates()

        assert [(pair.one.id, pair.other.id, pair.reason) for pair in found.pairs] == (
            [(one, other, reason)] if reason else []
        )
        for mine, theirs in ((one, other), (other, one)):
            suspects = [(suspect.person.id, suspect.reason) for suspect in duplicates.list_suspects(mine)]
            assert suspects == ([(theirs, reason)] if reason else [])
        if reason:
            mark_distinct(other, one, actor=actor)
            mark_distinct(one, other, actor=actor)
            assert duplicates.list_duplicates().pairs == ()
            assert duplicates.list_suspects(one) == []
        db.session.remove()


def test_a_lost_zero_is_seen_without_the_name(spa):
    for name, phone in (("Mai", "+842838224567"), ("Chi Mai", "+84283822456")):
        factories.make_customer(name, phone)
    assert duplicates.list_duplicates().pairs == ()
    factories.make_customer("Ms Mai", "+8428382204567")

    (pair,) = duplicates.list_duplicates().pairs

    assert (pair.one.full_name, pair.other.full_name, pair.reason) == ("Mai", "Ms Mai", "zero")
